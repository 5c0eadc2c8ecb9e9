#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "rollout/input.h"
#include "stats/gates.h"

namespace covey::rollout {

/// A criterion's standing, with what it stands on.
struct Evidence {
  std::string criterion;  ///< as the plan has it
  stats::Verdict verdict = stats::Verdict::kUndecided;
  std::optional<double> value;  ///< rate, level or estimate seen
  double log_e_pass = 0, log_e_fail = 0;
  std::optional<double> more_needed;  ///< requests until it is decided, if it stays as it is
  std::string text;                   ///< a sentence part: "0.12% of 36,000 requests"
};

struct GateLevels {
  double alpha = 0.01;       ///< chance to pass a stage wrongly, and to fail it wrongly
  double margin = 0.2;       ///< how much worse than the baseline is still as good
  std::size_t criteria = 1;  ///< of the stage: any of them fails it, so each fails at alpha / this
};

/// Whether a criterion held.
///
/// Counts of requests are judged by stats::rate_gate and spread_gate. A rate whose claim passes
/// still fails where the candidate is shown to be worse than the baseline by more than the margin
/// (stats::comparison_gate); without baseline requests there is nothing to compare. Passing needs
/// every criterion (an intersection-union test: each at alpha); failing needs one, hence
/// alpha / criteria.
/// Levels pass and fail by their mean, on at least kLevelCoverage of the readings that should have
/// come; impact by the ends of its interval. Nothing measured is undecided.
Evidence judge(const plan::Rule& criterion, const Measured& measured, const GateLevels& levels);

/// Whether the sliding window's evidence says that the criterion fails: a breach. Counts need
/// evidence at alpha / criteria; levels are read; impact is never breached by a window so short.
bool breached(const plan::Rule& criterion, const Measured& recent, const GateLevels& levels);

/// Of the readings of a level that known time should have brought, so many must have come for their
/// mean to speak for all of it.
inline constexpr double kLevelCoverage = 0.8;

/// Whether a level has gone unread: not one reading in the sliding window, though requests of that
/// time are known. It is treated as missing telemetry, for a machine that tells nothing is no
/// machine at rest. Not so a level that the machine can't tell, which stays undecided.
bool absent(const plan::Rule& criterion, const Measured& recent, std::uint64_t slots_of_window);

/// Whether a warning's or reaction's measure is beyond its limit, as read; `shown`: only if the
/// counts prove it. Counts of incidents come as `value`.
bool beyond(const plan::Rule& rule, const Measured& recent, const GateLevels& levels, bool shown);

/// The value seen, if any request or sample was.
std::optional<double> seen_value(const plan::Rule& rule, const Measured& measured);

}  // namespace covey::rollout

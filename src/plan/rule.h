#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace covey::plan {

/// What a rule may be about. Shares and rates are fractions, latencies seconds.
enum class Measure : std::uint8_t {
  kErrorRate,          ///< wrong answers (5xx, failed validation) / answers
  kP99,                ///< "P(slower than the limit) <= 1 %": a rate, so that its gate is exact
  kP95,                ///< the same with 5 %
  kAvailability,       ///< requests and probes answered in time / all sent
  kSegmentSpread,      ///< best minus worst segment's share of good requests
  kCriticalIncidents,  ///< of a criterion: open, or opened in the window; else open, unanswered
  kCpu,
  kMemory,
  kNetwork,     ///< used share of what the machine has
  kCacheHits,   ///< of look-ups
  kRevenue,     ///< lift of the candidate's revenue per learner
  kChurn,       ///< difference of the share of learners lost
  kEngagement,  ///< lift of completions
};
std::string_view name(Measure measure);  ///< "error_rate", "p99", ...

/// How a measure's limit is written.
enum class Unit : std::uint8_t { kPercent, kDuration, kCount, kPoints };
Unit unit_of(Measure measure);

/// How a measure is judged.
enum class Kind : std::uint8_t {
  kEvidence,  ///< counts of requests: passes and fails by the bounds of stats/gates.h
  kGauge,     ///< a level that is read, not inferred
  kCount,     ///< of incidents
  kImpact,    ///< of learners, with an interval of its own: passes and fails by its ends
};
Kind kind_of(Measure measure);

/// One line of a plan: `error_rate < 0.5%`, `cache_hits > 70% after 2h`, `p99 > 250ms for 2m`.
///
/// As a criterion it says what must hold for the whole window, as a warning or reaction what must
/// not; the reader of the list knows which.
struct Rule {
  Measure measure = Measure::kErrorRate;
  bool below = true;  ///< `<`; `>` otherwise
  double limit = 0;   ///< fraction, seconds, number or (kChurn) fraction of learners
  std::chrono::microseconds lasting{};  ///< `for`: only once it has been so this long
  std::chrono::microseconds watch{};    ///< `watch`: how long a breach is watched, of a criterion
  std::chrono::microseconds from{};     ///< `after`: of the stage's start
  std::string text;                     ///< as written
};

/// What a list of rules is for.
enum class RuleList : std::uint8_t { kCriteria, kWarnings };

/// kRejected says what is wrong and what would be right, with a near match of the measure.
Result<Rule> parse_rule(std::string_view text, RuleList list);

/// Of a rule of Kind::kEvidence: the rate of bad requests at the limit, in (0, 1). 1 % for a P99.
double limit_rate(const Rule& rule);
/// Whether `value` lies on the rule's side of its limit.
inline bool satisfies(const Rule& rule, double value) {
  return rule.below ? value < rule.limit : value > rule.limit;
}
/// A value of the rule's measure as people write it: "0.42%", "187ms", "+6.1%", "-3.2pp".
std::string value_text(Measure measure, double value);

/// The limit as people write it: "0.5%", "200ms", "-3pp".
std::string limit_text(const Rule& rule);

}  // namespace covey::plan

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "experiment/collection.h"
#include "experiment/definition.h"
#include "stats/gates.h"
#include "stats/impact.h"

namespace covey::experiment {

struct ArmSummary {
  double n = 0;       ///< learners
  double mean = 0;    ///< of the (clipped) metric; a ratio: the ratio
  double events = 0;  ///< learners whose value is not 0
};

/// A difference of the treatment from the control.
struct Estimate {
  stats::Status status = stats::Status::kOk;
  std::optional<double> diff, lift;  ///< lift: share of the control's mean
  std::optional<stats::Interval> diff_interval, lift_interval;
  std::optional<double> p_value;
  std::string_view method;  ///< "welch", "newcombe", "delta", "fieller", "asymptotic sequence"
};

struct SegmentResult {
  std::string attribute, value;
  ArmSummary control, treatment;
  Estimate estimate;                 ///< by the experiment's way of deciding
  std::optional<double> p_adjusted;  ///< among the segments of its metric, Benjamini-Hochberg
};

struct RunningPoint {
  Time at;
  double n = 0;  ///< learners of both arms
  std::optional<double> lift;
  std::optional<stats::Interval> interval;  ///< valid at all points together
};

struct MetricResult {
  std::size_t metric = 0;
  ArmSummary control, treatment;
  Estimate fixed;                   ///< valid for one look, at the end
  Estimate sequential;              ///< valid for every look together
  bool has_enough_events = false;   ///< stats::kEventsInSmallerArm in the smaller arm
  std::optional<double> p_decides;  ///< primary metrics: by the way of deciding, Holm-adjusted
  std::optional<double> theta, variance_ratio;  ///< of CUPED
  std::optional<double> clipped_at;
  std::uint64_t clipped = 0;
  std::vector<SegmentResult> segments;
  std::vector<RunningPoint> running;  ///< of the first primary metric
  std::optional<stats::GateResult> guardrail;
  std::optional<double> detectable;  ///< lift that today's data finds with 80 % power
  std::optional<double>
      days_more;  ///< until `mde` is found with 80 % power, at today's rate; 0: now
};

struct RatioCheck {
  std::array<std::int64_t, 2> learners{};  ///< by Arm
  std::array<double, 2> planned{};         ///< shares
  stats::Status status = stats::Status::kOk;
  std::optional<double> p_value;        ///< sequential, the smallest so far
  std::optional<double> p_value_fixed;  ///< chi-squared, one look
  bool alarm = false;                   ///< p_value < 0.001
};

enum class Decision : std::uint8_t {
  kNoData,
  kInvalid,  ///< the arms are not as planned: nothing else can be believed
  kWin,
  kLoss,       ///< a primary metric or a guardrail is worse
  kUndecided,  ///< more data may tell
  kNoEffect,   ///< at its end, and nothing was shown
  kAaOk,
  kAaAlarm,  ///< two equal arms differ: the measuring is wrong
};
std::string_view name(Decision decision);  ///< "no_data", "invalid", "win", ...

/// What is known about an experiment, ready to be shown.
struct Analysis {
  Experiment experiment;
  Time as_of{};
  bool is_over = false;  ///< as_of has reached `end`
  double days = 0;       ///< since the start
  Decision decision = Decision::kNoData;
  std::string verdict;            ///< one sentence
  std::vector<std::string> next;  ///< what to do, most important first
  std::vector<std::string> adjusted, notes;
  RatioCheck ratio;
  std::vector<MetricResult> metrics;
  std::optional<stats::AnnualImpact> impact;
  std::uint64_t events = 0, excluded = 0, memory_bytes = 0;
};

/// Weighs what was collected. `collection` must be finished.
Result<Analysis> analyze(const Experiment& experiment, const Collection& collection,
                         Parallel& parallel);

}  // namespace covey::experiment

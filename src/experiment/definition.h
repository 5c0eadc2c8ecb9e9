#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "events/event.h"
#include "experiment/assignment.h"

namespace covey::experiment {

/// What one event adds to a sum.
struct Measure {
  enum class Of : std::uint8_t { kCount, kAmount, kScore, kDuration };
  std::optional<events::EventType> event;  ///< nothing: any but `profile`
  Of of = Of::kCount;
  std::string currency{};  ///< kAmount: only amounts in it count
};

enum class MetricKind : std::uint8_t {
  kMean,        ///< a sum per learner
  kRatio,       ///< a sum over another, over all learners of an arm
  kProportion,  ///< learners with at least one such event
  kRetention,   ///< learners with one between `from` and `to` after their exposure
};
std::string_view name(MetricKind kind);

enum class Role : std::uint8_t {
  kPrimary,    ///< decides
  kSecondary,  ///< is reported
  kGuardrail,  ///< must not get worse by more than its margin
};
std::string_view name(Role role);

struct Metric {
  std::string name, title;
  MetricKind kind = MetricKind::kMean;
  Role role = Role::kSecondary;
  bool higher_is_better = true;
  Measure what;                            ///< a ratio's numerator
  Measure per;                             ///< a ratio's denominator
  std::optional<double> winsorize;         ///< kMean: values beyond this quantile are clipped to it
  std::chrono::microseconds from{}, to{};  ///< kRetention: after exposure
  double margin = 0;                       ///< kGuardrail: share of the control's mean
};

/// What to leave out: learners with one of `values` as `attribute` when they were exposed.
struct Exclusion {
  std::string attribute;
  std::vector<std::string> values;
};

struct Impact {
  std::size_t metric = 0;  ///< a kMean of an amount
  double traffic = 1;      ///< share of all learners that came by who were in the experiment
};

/// An experiment of two arms as its file describes it. docs/experiments.md has every key.
struct Experiment {
  std::string name, question;
  bool is_aa = false;  ///< both arms get the same: it tests the measuring itself
  Assignment assignment;
  std::array<std::string, 2> arms;  ///< by Arm
  std::vector<Exclusion> exclude;
  Time start{};
  std::optional<Time> end;
  std::optional<events::EventType> exposure;        ///< the event that lets a learner in; any
  std::optional<std::chrono::microseconds> window;  ///< after exposure; nothing: to the end
  std::chrono::microseconds pre_period{};           ///< before exposure, for CUPED; 0: none
  double alpha = 0.05;
  bool sequential = true;  ///< decides by what holds at every look; else at the end, once
  double tune = 10'000;    ///< learners of both arms at which `sequential` is sharpest
  double mde = 0.02;       ///< lift worth finding
  std::vector<Metric> metrics;
  std::vector<std::string> segments;  ///< profile attributes
  std::optional<Impact> impact;
};

/// Reads an experiment file. kRejected: every fault, a line each, with line and column.
/// @param file  its name, for messages.
Result<Experiment> parse_experiment(std::string file, std::string_view yaml);

inline constexpr std::size_t kMetricsMax = 20;
inline constexpr std::size_t kSegmentsMax = 16;

}  // namespace covey::experiment

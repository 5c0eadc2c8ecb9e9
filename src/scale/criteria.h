#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "scale/measured.h"

namespace covey::scale {

/// What is asked of one number of learners.
struct Goal {
  std::uint64_t learners;                       ///< up to so many
  double error_rate;                            ///< of all requests, below it
  telemetry::Duration p99;                      ///< of look-ups, below it
  std::optional<double> learners_per_minute{};  ///< re-discovered with their traits, at least
};
/// 500 K, 1 M, 2.5 M, 5 M. A number between two has the goals of the larger, one beyond all those
/// of the last.
const Goal& goal_for(std::uint64_t learners);

enum class State {
  kHeld,
  kMissed,
  kNotMeasured,  ///< should have been: no pass
  kOutOfReach,   ///< cannot be on one machine, whatever is done: neither pass nor fault
};
std::string_view name(State state);

struct Criterion {
  std::optional<std::uint64_t> learners{};  ///< nothing: of all sizes together
  std::string id{};                         ///< "errors", "lookup_p99", ...
  std::string what{}, limit{}, measured{};
  std::string how{};  ///< it was measured, or why it was not
  State state = State::kNotMeasured;
};

/// Every criterion, from measured figures alone.
std::vector<Criterion> judge(const Measured& measured);
/// Whether none was missed and none that should have been measured was not.
bool passed(const std::vector<Criterion>& criteria);

/// Of log cost over log size, least squares: 1 is linear. Nothing of fewer than two sizes, of equal
/// ones, or of a cost that is not above 0.
std::optional<double> growth(const std::vector<double>& sizes, const std::vector<double>& costs);

inline constexpr double kSlopeMax = 1.10;
inline constexpr double kReadyMaxSeconds = 30;
inline constexpr double kBackMaxSeconds = 5;
inline constexpr telemetry::Duration kTurnedAwayMax = std::chrono::seconds(1);

}  // namespace covey::scale

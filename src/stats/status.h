#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace covey::stats {

/// What an answer is worth. Data that cannot answer the question is a status, never an error and
/// never a number made up for it; an impossible input (a negative variance, a level of 2) is an
/// Error of kRejected.
enum class Status : std::uint8_t {
  kOk,
  kNoData,                       ///< no units at all
  kTooFewUnits,                  ///< fewer than two units in an arm: no variance
  kZeroVariance,                 ///< nothing varies: no test
  kZeroBaseline,                 ///< the control's mean is 0: no relative lift
  kZeroDenominator,              ///< a ratio's denominator is 0 on average
  kUnbounded,                    ///< the control's mean is too uncertain for a bounded interval
  kUnexpectedArm,                ///< units where the plan sends none
  kFallbackNoCovariateVariance,  ///< answered, without the covariate
  kAllTied,                      ///< all values are equal
};
std::string_view name(Status status);  ///< "ok", "no_data", "too_few_units", ...

struct Interval {
  double low = 0;
  double high = 0;
};

/// Collects what is wrong with a function's input.
///
///     Inputs in;
///     in.level("alpha", alpha);
///     COVEY_TRY_VOID(in.verdict());
class Inputs {
 public:
  void require(bool holds, std::string_view otherwise);
  void level(std::string_view what, double value);         ///< in (0, 1)
  void finite(std::string_view what, double value);        ///< neither infinite nor NaN
  void positive(std::string_view what, double value);      ///< finite and > 0
  void not_negative(std::string_view what, double value);  ///< finite and >= 0
  /// kRejected with every fault, in the order found.
  Result<void> verdict() const;

 private:
  std::string faults_;
};

}  // namespace covey::stats

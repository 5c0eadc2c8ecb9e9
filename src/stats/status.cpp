#include "stats/status.h"

#include <cmath>

#include <fmt/format.h>

namespace covey::stats {

std::string_view name(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kNoData:
      return "no_data";
    case Status::kTooFewUnits:
      return "too_few_units";
    case Status::kZeroVariance:
      return "zero_variance";
    case Status::kZeroBaseline:
      return "zero_baseline";
    case Status::kZeroDenominator:
      return "zero_denominator";
    case Status::kUnbounded:
      return "unbounded";
    case Status::kUnexpectedArm:
      return "unexpected_arm";
    case Status::kFallbackNoCovariateVariance:
      return "fallback_no_covariate_variance";
    case Status::kAllTied:
      return "all_tied";
  }
  return "unknown";
}

void Inputs::require(bool holds, std::string_view otherwise) {
  if (holds) return;
  if (!faults_.empty()) faults_ += "; ";
  faults_ += otherwise;
}

void Inputs::level(std::string_view what, double value) {
  require(value > 0 && value < 1,
          fmt::format("{} must lie between 0 and 1, both excluded, not {}", what, value));
}

void Inputs::finite(std::string_view what, double value) {
  require(std::isfinite(value), fmt::format("{} must be a finite number, not {}", what, value));
}

void Inputs::positive(std::string_view what, double value) {
  require(std::isfinite(value) && value > 0,
          fmt::format("{} must be greater than 0, not {}", what, value));
}

void Inputs::not_negative(std::string_view what, double value) {
  require(std::isfinite(value) && value >= 0,
          fmt::format("{} must not be below 0, but is {}", what, value));
}

Result<void> Inputs::verdict() const {
  if (faults_.empty()) return {};
  return fail(Errc::kRejected, faults_);
}

}  // namespace covey::stats

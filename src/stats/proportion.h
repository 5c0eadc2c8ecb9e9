#pragma once

#include <cstdint>
#include <optional>

#include "stats/status.h"

namespace covey::stats {

/// Successes among trials. 0 <= successes <= trials.
struct Count {
  std::int64_t successes = 0;
  std::int64_t trials = 0;
  double rate() const {
    return trials == 0 ? 0 : static_cast<double>(successes) / static_cast<double>(trials);
  }
};

struct ProportionInterval {
  Status status = Status::kOk;
  std::optional<Interval> wilson;           ///< close to its level on average; the usual choice
  std::optional<Interval> clopper_pearson;  ///< at least its level, always
};

/// Intervals for one proportion at one look. kNoData: no trials.
/// Source: Wilson, JASA 22 (1927), without continuity correction; Clopper and Pearson, Biometrika
/// 26 (1934).
Result<ProportionInterval> proportion_ci(const Count& count, double alpha);

struct ProportionDifference {
  Status status = Status::kOk;
  std::optional<double> diff;        ///< treatment minus control
  std::optional<Interval> newcombe;  ///< hybrid score interval
  std::optional<double> z_pooled, p_value;
};

/// Difference of two proportions. kNoData: an arm without trials. kZeroVariance: all or none of
/// both arms succeeded, so z and p say nothing (the interval still does).
/// Source: Newcombe, Statistics in Medicine 17 (1998), method 10; z with the pooled rate.
Result<ProportionDifference> proportion_diff(const Count& control, const Count& treatment,
                                             double alpha);

/// Faults of a count, in words that name it.
void require_count(Inputs& in, std::string_view what, const Count& count);

}  // namespace covey::stats

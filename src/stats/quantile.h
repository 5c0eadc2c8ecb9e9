#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "stats/status.h"

namespace covey::stats {

/// An interval for a quantile as two order statistics: exact for any continuous distribution.
struct QuantileRanks {
  Status status = Status::kOk;
  std::optional<std::int64_t> lower_rank;  ///< counted from 1; nothing: the sample is too small
  std::optional<std::int64_t> upper_rank;
  double coverage = 0;  ///< the level really reached, at least 1 - alpha
};

/// Ranks around the q-quantile of n values. With B ~ Binomial(n, q): lower_rank is the largest l
/// with P(B <= l-1) < alpha/2, upper_rank the smallest u with P(B <= u-1) >= 1 - alpha/2. A P99 has
/// no upper end below n = 368 at alpha = 0.05. kNoData: n = 0.
/// Source: David and Nagaraja, Order Statistics, 7.1.
Result<QuantileRanks> quantile_order_stat_ci(std::int64_t n, double q, double alpha);

/// The same from a histogram, whose buckets are (edge before, own edge].
struct HistogramQuantile {
  Status status = Status::kOk;
  std::int64_t n = 0;
  std::optional<std::int64_t> lower_rank, upper_rank;
  std::optional<double> point_low, point_high;  ///< the bucket of rank ceil(q n)
  std::optional<double> ci_low;                 ///< lower edge of the lower rank's bucket
  std::optional<double> ci_high;                ///< upper edge of the upper rank's bucket
};

/// @param lower_edge   where the first bucket begins, in the values' unit.
/// @param upper_edges  one per bucket, ascending.
/// @param counts       one per bucket, >= 0.
Result<HistogramQuantile> quantile_histogram_ci(double lower_edge,
                                                std::span<const double> upper_edges,
                                                std::span<const std::int64_t> counts, double q,
                                                double alpha);

}  // namespace covey::stats

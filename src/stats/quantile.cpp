#include "stats/quantile.h"

#include <algorithm>
#include <cmath>

#include "stats/special.h"

namespace covey::stats {
namespace {

/// The smallest k in [low, high] where `holds`, which turns true once; high + 1 if nowhere.
template <typename Holds>
std::int64_t first_where(std::int64_t low, std::int64_t high, const Holds& holds) {
  while (low <= high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (holds(middle)) {
      high = middle - 1;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace

Result<QuantileRanks> quantile_order_stat_ci(std::int64_t n, double q, double alpha) {
  Inputs in;
  in.require(n >= 0, "n must not be below 0");
  in.level("q", q);
  in.level("alpha", alpha);
  COVEY_TRY_VOID(in.verdict());
  QuantileRanks out;
  if (n == 0) {
    out.status = Status::kNoData;
    return out;
  }
  // P(B <= l-1) < alpha/2 holds up to the lower rank, P(B > u-1) <= alpha/2 from the upper rank on.
  const std::int64_t lower =
      first_where(1, n, [&](std::int64_t l) { return binomial_cdf(l - 1, n, q) >= alpha / 2; }) - 1;
  const std::int64_t upper =
      first_where(1, n, [&](std::int64_t u) { return binomial_sf(u - 1, n, q) <= alpha / 2; });
  double outside = 0;
  if (lower >= 1) {
    out.lower_rank = lower;
    outside += binomial_cdf(lower - 1, n, q);
  }
  if (upper <= n) {
    out.upper_rank = upper;
    outside += binomial_sf(upper - 1, n, q);
  }
  out.coverage = 1 - outside;
  return out;
}

Result<HistogramQuantile> quantile_histogram_ci(double lower_edge,
                                                std::span<const double> upper_edges,
                                                std::span<const std::int64_t> counts, double q,
                                                double alpha) {
  Inputs in;
  in.finite("lower_edge", lower_edge);
  in.require(!counts.empty() && counts.size() == upper_edges.size(),
             "counts and upper_edges must have one entry per bucket");
  in.require(std::ranges::is_sorted(upper_edges) &&
                 (upper_edges.empty() || upper_edges.front() >= lower_edge),
             "upper_edges must ascend from lower_edge");
  in.require(std::ranges::all_of(counts, [](std::int64_t c) { return c >= 0; }),
             "counts must not be below 0");
  in.level("q", q);
  in.level("alpha", alpha);
  COVEY_TRY_VOID(in.verdict());
  HistogramQuantile out;
  for (const std::int64_t count : counts) out.n += count;
  const QuantileRanks ranks = COVEY_TRY(quantile_order_stat_ci(out.n, q, alpha));
  out.status = ranks.status;
  if (out.n == 0) return out;
  const auto bucket = [&](std::int64_t rank) {
    std::size_t i = 0;
    for (std::int64_t seen = counts[0]; seen < rank; seen += counts[++i]) {
    }
    return i;
  };
  const auto lower_edge_of = [&](std::size_t i) {
    return i == 0 ? lower_edge : upper_edges[i - 1];
  };
  out.lower_rank = ranks.lower_rank;
  out.upper_rank = ranks.upper_rank;
  const auto point = bucket(std::clamp<std::int64_t>(
      static_cast<std::int64_t>(std::ceil(q * static_cast<double>(out.n))), 1, out.n));
  out.point_low = lower_edge_of(point);
  out.point_high = upper_edges[point];
  if (out.lower_rank) out.ci_low = lower_edge_of(bucket(*out.lower_rank));
  if (out.upper_rank) out.ci_high = upper_edges[bucket(*out.upper_rank)];
  return out;
}

}  // namespace covey::stats

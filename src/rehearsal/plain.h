#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "plan/plan.h"
#include "telemetry/history.h"

namespace covey::rehearsal {

/// log P(X <= k) and log P(X >= k) of a binomial: its terms added up, from k outwards until they no
/// longer count. 0 <= k <= n, 0 < p < 1. O(sqrt(n)) or so, for k on the far side of the mean; a k
/// on the near side is answered 0, the logarithm of 1.
double log_lower_tail(std::uint64_t k, std::uint64_t n, double p);
double log_upper_tail(std::uint64_t k, std::uint64_t n, double p);

/// What is counted of one criterion over a stretch, straight from the world's slots: apart from
/// History, from measure() and from the gates, so that a fault in them is not made here again.
struct Plain {
  std::uint64_t bad = 0, all = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> segments;  ///< bad, all
  std::uint64_t level = 0, level_of = 0;                          ///< summed, and of how many
  std::uint64_t readings = 0, slots = 0;                          ///< that came, of so many

  /// @param good_within  place of the latency beyond which a request is not good; or none
  void add(const plan::Rule& rule, const telemetry::Sums& slot, const telemetry::Shape& shape,
           std::optional<std::size_t> good_within, std::uint64_t covers);
};

/// Whether so much was counted that the criterion may be said to hold: for rates, by the exact
/// binomial test at `alpha`, which any test that holds at every look is stricter than.
bool plainly_may_hold(const plan::Rule& rule, const Plain& counted, double alpha);
/// Whether it is so badly broken that no sound test could miss it: odds of one in 10^12 for a rate,
/// twelve standard errors for a spread, the mean for a level.
bool plainly_broken(const plan::Rule& rule, const Plain& counted);

}  // namespace covey::rehearsal

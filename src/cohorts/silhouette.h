#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/parallel.h"
#include "cohorts/kernels.h"
#include "cohorts/points.h"

namespace covey::cohorts {

struct Silhouette {
  double mean = 0;
  std::array<double, kCenters> of_cohort{};  ///< mean over its members; 0 where there are none
};

/// How much nearer points are to their own cohort than to the next: (b - a) / max(a, b), in
/// [-1, 1], with Euclidean distances; 0 for a cohort's only member. Exact over the points given,
/// O(n^2). Distances in f32, sums per 16 lanes in f32 and beyond in f64.
///
/// Source: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of
/// cluster analysis", J. Comput. Appl. Math. 20 (1987).
Silhouette silhouette(const Points& points, std::span<const std::uint8_t> label, unsigned k,
                      Parallel& parallel);

}  // namespace covey::cohorts

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "base/random.h"
#include "cohorts/kernels.h"
#include "cohorts/points.h"

namespace covey::cohorts {

/// What one Lloyd pass over all points found: f64 sums over chunks, in chunk order.
struct Totals {
  std::array<std::array<double, kDims>, kCenters> sum{};
  std::array<std::uint64_t, kCenters> count{};
  std::uint64_t changed = 0;
};

/// Assigns every point to the nearest of `k` centers and adds up the members. `label` holds the
/// labels of the pass before (any bytes at first) and receives the new ones.
Totals pass(const Points& points, const Centers& centers, unsigned k, std::uint8_t* label,
            Kernel kernel, Parallel& parallel);

/// Rounds coordinates to what a pass reads and adds their half norms.
Centers make_centers(const std::array<std::array<double, kDims>, kCenters>& at, unsigned k);

/// Sum of squared distances to each point's center, f64.
double inertia(const Points& points, const Centers& centers, const std::uint8_t* label,
               Parallel& parallel);

struct Limits {
  unsigned passes_max = 300;
  /// Stop when a pass improves the inertia by less than this part of it; 0: only when no
  /// assignment changes.
  double tolerance = 0;
};

struct Fit {
  unsigned k = 0;
  Centers centers{};
  std::vector<std::uint8_t> label;  ///< the nearest of `centers`, for every point
  Totals totals;                    ///< of that assignment
  double inertia = 0;               ///< of that assignment about its means
  unsigned passes = 0;
};

/// Lloyd's iteration from `start` until it settles. A center that loses its last member moves to
/// the point farthest from its own center, so an empty cohort survives only where there are fewer
/// distinct points than centers. `squares` is sum_of_squares(points).
Fit lloyd(const Points& points, double squares, const Centers& start, unsigned k,
          const Limits& limits, Kernel kernel, Parallel& parallel);

/// Greedy k-means++: each center is the best of 2 + ln k points drawn with probability
/// proportional to the squared distance from the centers so far.
///
/// Source: Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007,
/// section 5 (the greedy variant). Distances in f32, potentials in f64.
Centers seed_centers(const Points& points, unsigned k, Random& random);

struct StartPlan {
  unsigned restarts = 50;
  std::size_t points = 2'048;  ///< each start settles on this many points first
  unsigned finalists = 6;      ///< starts that settle on all points
};

/// The best fit found for each of `ks`, in their order, with labels over `points`.
///
/// Where there are more points than a start may have, each one settles on its own draw of them and
/// only the best go on with all (Bradley and Fayyad, "Refining initial points for k-means
/// clustering", ICML 1998). One task per start; ties go to the earlier start.
std::vector<Fit> best_fits(const Points& points, std::span<const unsigned> ks,
                           const StartPlan& plan, const Random& random, Kernel kernel,
                           Parallel& parallel);

}  // namespace covey::cohorts

#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/parallel.h"
#include "base/random.h"
#include "cohorts/kmeans.h"
#include "cohorts/points.h"

namespace covey::cohorts {

/// How well each cohort is found again in other learners like these: over bootstraps, the mean of
/// the best Jaccard similarity between the cohort and any cohort of the resample. 0 for a cohort
/// no resample drew. Each resample draws min(n, 4096) points with replacement and keeps the
/// distinct ones, is clustered with `starts` starts, and is compared on the points it drew.
///
/// Source: Hennig, "Cluster-wise assessment of cluster stability", Computational Statistics & Data
/// Analysis 52 (2007), the bootstrap without multiple points. Departures: resamples are bounded,
/// which errs towards lower values; a resample that missed a cohort altogether says nothing of it.
/// Hennig reads above 0.75 as stable, below 0.6 as doubtful.
std::array<double, kCenters> stability(const Points& points, std::span<const std::uint8_t> label,
                                       unsigned k, unsigned bootstraps, unsigned starts,
                                       const Random& random, Kernel kernel, Parallel& parallel);

}  // namespace covey::cohorts

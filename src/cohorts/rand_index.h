#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "cohorts/kernels.h"

namespace covey::cohorts {

/// Members that two labellings share: row = label before, column = label now.
using Overlap = std::array<std::array<std::uint64_t, kCenters>, kCenters>;

/// Agreement of two partitions of the same learners, corrected for chance: 1 when they are the
/// same whatever their labels, about 0 for independent ones, below 0 for worse than chance.
/// 1 where both leave no choice (all in one cohort). None for fewer than two learners.
///
/// Source: Hubert and Arabie, "Comparing partitions", Journal of Classification 2 (1985), eq. 5.
std::optional<double> adjusted_rand_index(const Overlap& shared);

}  // namespace covey::cohorts

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stats/status.h"

namespace covey::stats {

enum class Spending : std::uint8_t {
  kObrienFleming,  ///< almost nothing early: 2 sides (1 - Phi(z_{alpha / (2 sides)} / sqrt(t)))
  kPower,          ///< alpha t^phi
};

/// Bounds on z for a few planned looks that together spend `alpha`.
///
/// @param information  shares of the final information at each look: ascending, in (0, 1].
/// @param sides        1 or 2; two-sided bounds are symmetric.
/// @param phi          > 0, for kPower only.
/// @return one bound per look; infinite where a look may spend less than the smallest double.
/// Source: Lan and DeMets, Biometrika 70 (1983); the integration of Armitage, McPherson and Rowe,
/// JRSS A 132 (1969), by Gauss-Legendre panels.
Result<std::vector<double>> group_sequential_bounds(std::span<const double> information,
                                                    double alpha, int sides, Spending spending,
                                                    double phi = 1);

}  // namespace covey::stats

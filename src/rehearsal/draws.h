#pragma once

#include <cstdint>

#include "base/random.h"

namespace covey::rehearsal {

/// Poisson: by multiplying uniforms up to a mean of 30 (Knuth), beyond by the rounded normal, whose
/// third moment is off by less than 4 % there. mean >= 0.
std::uint64_t poisson(Random& random, double mean);
/// Binomial: a clipped Poisson where p is rare, else a rounded normal. 0 <= p <= 1.
std::uint64_t binomial(Random& random, std::uint64_t n, double p);

}  // namespace covey::rehearsal

#include "rehearsal/draws.h"

#include <algorithm>
#include <cmath>

namespace covey::rehearsal {

std::uint64_t poisson(Random& random, double mean) {
  if (mean <= 0) return 0;
  if (mean > 30) {
    return static_cast<std::uint64_t>(
        std::max(0.0, std::round(mean + std::sqrt(mean) * random.normal())));
  }
  const double limit = std::exp(-mean);
  std::uint64_t count = 0;
  for (double product = random.uniform(); product > limit; product *= random.uniform()) ++count;
  return count;
}

std::uint64_t binomial(Random& random, std::uint64_t n, double p) {
  if (n == 0 || p <= 0) return 0;
  if (p >= 1) return n;
  const double mean = static_cast<double>(n) * p;
  if (p <= 0.05 || mean <= 30) {
    if (n <= 40) {  // too few for either approximation
      std::uint64_t hits = 0;
      for (std::uint64_t i = 0; i < n; ++i) hits += random.chance(p);
      return hits;
    }
    return std::min(n, poisson(random, mean));
  }
  const double drawn = std::round(mean + std::sqrt(mean * (1 - p)) * random.normal());
  return static_cast<std::uint64_t>(std::clamp(drawn, 0.0, static_cast<double>(n)));
}

}  // namespace covey::rehearsal

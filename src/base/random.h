#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace covey {

/// A small generator whose stream is the same on every machine and library version.
///
/// xoshiro256++ 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM
/// TOMS 2021), seeded by splitmix64. Distributions are ours too: the standard ones differ between
/// library versions and would break replay. Not for secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed);

  /// An independent stream named for its use, so that a new draw in one place leaves the others
  /// alone. Depends on the seed and the name only, not on what was drawn before.
  Random fork(std::string_view name) const;
  Random fork(std::string_view name, std::uint64_t index) const;

  std::uint64_t next();
  /// Uniform in [0, bound), without bias. bound > 0.
  std::uint64_t below(std::uint64_t bound);
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Mean 0, variance 1 (Marsaglia's polar method; the second value is dropped to keep one draw
  /// one call).
  double normal();
  /// Mean 1.
  double exponential();
  bool chance(double probability) { return uniform() < probability; }

 private:
  std::uint64_t seed_;
  std::array<std::uint64_t, 4> state_;
};

}  // namespace covey

#include "base/random.h"

#include <bit>
#include <cmath>

#include "base/hash.h"
#include "base/result.h"

namespace covey {

Random::Random(std::uint64_t seed) : seed_(seed) {
  std::uint64_t x = seed;
  for (auto& word : state_) {
    x += 0x9e3779b97f4a7c15ULL;
    word = mix64(x);
  }
}

Random Random::fork(std::string_view name) const {
  return Random(hash64(name, seed_));
}

Random Random::fork(std::string_view name, std::uint64_t index) const {
  return Random(mix64(hash64(name, seed_) + index * 0x9e3779b97f4a7c15ULL));
}

std::uint64_t Random::next() {
  const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

// Lemire, "Fast random integer generation in an interval", ACM TOMACS 2019.
std::uint64_t Random::below(std::uint64_t bound) {
  COVEY_CHECK(bound > 0);
  auto product = static_cast<unsigned __int128>(next()) * bound;
  if (auto low = static_cast<std::uint64_t>(product); low < bound) {
    const std::uint64_t threshold = -bound % bound;
    while (low < threshold) {
      product = static_cast<unsigned __int128>(next()) * bound;
      low = static_cast<std::uint64_t>(product);
    }
  }
  return static_cast<std::uint64_t>(product >> 64);
}

double Random::uniform() {
  return static_cast<double>(next() >> 11) * 0x1p-53;
}

double Random::normal() {
  double u = 0, v = 0, s = 0;
  do {
    u = 2 * uniform() - 1;
    v = 2 * uniform() - 1;
    s = u * u + v * v;
  } while (s >= 1 || s == 0);
  return u * std::sqrt(-2 * std::log(s) / s);
}

double Random::exponential() {
  return -std::log1p(-uniform());
}

}  // namespace covey

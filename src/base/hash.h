#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

namespace covey {

/// XXH3 (xxhash library). Not cryptographic: a hash of foreign bytes picks a slot or finds damage,
/// it never proves who sent them.
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);

/// XXH32, for what must equal another program's: HAProxy's `xxh32(seed)`.
std::uint32_t hash32(std::string_view bytes, std::uint32_t seed);

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};

/// 128 bits: two of 10^10 different inputs collide with probability 1.5e-19, so equal hashes are
/// treated as equal inputs where that is said.
Hash128 hash128(std::string_view bytes, std::uint64_t seed = 0);

/// Spreads the bits of an integer (the finaliser of splitmix64). Bijective.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace covey

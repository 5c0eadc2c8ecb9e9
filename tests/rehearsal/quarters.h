#pragma once

#include <gtest/gtest.h>

#include <cstdint>

namespace covey::rehearsal {

/// Simulations of many minutes come in quarters, named Quarter/SUITE.TEST/N: they run side by side,
/// and `script/test --quarter N` takes one. A quarter sees every fourth seed or point in time.
inline constexpr std::uint64_t kQuarters = 4;

class Quarters : public testing::TestWithParam<std::uint64_t> {
 protected:
  static bool mine(std::uint64_t one) { return one % kQuarters == GetParam(); }
};

inline auto all_quarters() {
  return testing::Range(std::uint64_t{0}, kQuarters);
}

}  // namespace covey::rehearsal

#include "learners/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace covey::learners {
namespace {

// Goal: memory is zeroed and lies at 64 bytes, small pieces and those with a slab of their own,
// also where the allocator gives out again what another engine left.
TEST(Slabs, GiveZeroedMemory) {
  for (int round = 0; round < 2; ++round) {
    Slabs slabs;
    for (const std::size_t bytes :
         {std::size_t{100}, std::size_t{64} << 10, std::size_t{1} << 20}) {
      for (int i = 0; i < 4; ++i) {
        const std::span<std::byte> taken(slabs.take(bytes), bytes);
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(taken.data()) % 64, 0u);
        ASSERT_TRUE(std::ranges::all_of(taken, [](std::byte b) { return b == std::byte{0}; }));
        std::ranges::fill(taken, std::byte{0xff});
      }
    }
  }
}

}  // namespace
}  // namespace covey::learners

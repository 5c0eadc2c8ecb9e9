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

// Goal: pieces from the allocator grow with the engine, yet what nobody took stays a small part.
TEST(Slabs, GrowWithWhatIsTaken) {
  Slabs slabs;
  std::size_t most_spare = 0;
  constexpr std::size_t kChunk = std::size_t{64} << 10;
  for (std::size_t taken = kChunk; taken <= std::size_t{160} << 20; taken += kChunk) {
    slabs.take(kChunk);
    ASSERT_LE(slabs.spare(), std::max(Pages::kHuge, taken / 32));
    most_spare = std::max(most_spare, slabs.spare());
  }
  EXPECT_GT(most_spare, Pages::kHuge);
}

}  // namespace
}  // namespace covey::learners

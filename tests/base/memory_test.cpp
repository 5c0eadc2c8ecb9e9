#include "base/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace covey {
namespace {

// Goal: zeroed, writable to the last byte, and large ones where huge pages can lie.
TEST(Mapping, IsZeroedAndAligned) {
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{4096}, Mapping::kHugePage - 1, Mapping::kHugePage,
        Mapping::kHugePage + 1, 5 * Mapping::kHugePage}) {
    const Mapping mapping(bytes);
    ASSERT_GE(mapping.size(), bytes);
    EXPECT_TRUE(std::all_of(mapping.data(), mapping.data() + mapping.size(), [](std::byte b) {
      return b == std::byte{0};
    })) << bytes;
    std::fill_n(mapping.data(), mapping.size(), std::byte{0xff});
    if (bytes >= Mapping::kHugePage) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(mapping.data()) % Mapping::kHugePage, 0u);
    }
  }
  EXPECT_EQ(Mapping(0).data(), nullptr);
}

TEST(Mapping, MovesItsMemory) {
  Mapping first(100);
  std::byte* const data = first.data();
  Mapping second(std::move(first));
  EXPECT_EQ(second.data(), data);
  Mapping third;
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
}

TEST(Room, HoldsWhatWasAskedFor) {
  Room<std::uint64_t> room;
  EXPECT_TRUE(room.take(0).empty());
  std::uint64_t* first = nullptr;
  for (const std::size_t count : {10u, 1'000'000u, 10u}) {
    const auto numbers = room.take(count);
    ASSERT_EQ(numbers.size(), count);
    std::ranges::fill(numbers, count);
    if (count == 10) first = numbers.data();
  }
  // The last needed no more than was there.
  EXPECT_EQ(room.take(1'000'000).data(), first);
}

}  // namespace
}  // namespace covey

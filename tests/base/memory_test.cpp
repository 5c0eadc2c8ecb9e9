#include "base/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace covey {
namespace {

// Goal: writable to the last byte, and large ones where huge pages can lie.
TEST(Pages, AreAligned) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4096}, Pages::kHuge - 1, Pages::kHuge,
                                  Pages::kHuge + 1, 5 * Pages::kHuge}) {
    const Pages pages(bytes);
    ASSERT_GE(pages.size(), bytes);
    std::fill_n(pages.data(), pages.size(), std::byte{0xff});
    const std::size_t page = bytes >= Pages::kHuge ? Pages::kHuge : 4096;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pages.data()) % page, 0u) << bytes;
  }
  EXPECT_EQ(Pages(0).data(), nullptr);
}

TEST(Pages, MoveTheirMemory) {
  Pages first(100);
  std::byte* const data = first.data();
  Pages second(std::move(first));
  EXPECT_EQ(second.data(), data);
  Pages third;
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

// Goal: nothing is kept, where an assignment of an empty one keeps all of it.
TEST(LetGo, GivesTheRoomBack) {
  std::string text(1'000, 'x');
  let_go(text);
  EXPECT_LT(text.capacity(), 100u);
  std::vector<int> numbers(1'000);
  let_go(numbers);
  EXPECT_EQ(numbers.capacity(), 0u);
}

}  // namespace
}  // namespace covey

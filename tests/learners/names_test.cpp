#include <gtest/gtest.h>

#include <fmt/format.h>

#include "learners/arena.h"
#include "learners/keyed_block.h"

namespace covey::learners {
namespace {

TEST(Names, AreNumberedByFirstUseAndKept) {
  Names names;
  const std::string longest(100'000, 'x');
  for (std::uint32_t i = 0; i < 5'000; ++i) ASSERT_EQ(names.intern(fmt::format("n{}", i)), i);
  EXPECT_EQ(names.intern(longest), 5'000u);
  EXPECT_EQ(names.intern(""), 5'001u);
  for (std::uint32_t i = 0; i < 5'000; ++i) {
    ASSERT_EQ(names[i], fmt::format("n{}", i));
    ASSERT_EQ(names.find(fmt::format("n{}", i)), i);
  }
  EXPECT_EQ(names[5'000], longest);
  EXPECT_EQ(names[5'001], "");
}

// Goal: a block is a map, at every size from list to large table, and freed blocks are used again.
TEST(KeyedBlock, IsAMapAtEverySize) {
  BlockArena arena;
  for (const std::uint32_t count : {1u, 4u, 5u, 31u, 32u, 33u, 100u, 5'000u, 100'000u}) {
    SCOPED_TRACE(count);
    KeyedBlock map;
    for (std::uint32_t i = 0; i < count; ++i) {
      keyed::insert<std::int64_t>(arena, map, i * 2'654'435'761u % 0xfffffffbu, i);
    }
    ASSERT_EQ(map.count, count);
    const std::uint32_t entries = keyed::capacity(map.size_class);
    std::byte* block = arena.at(map.handle);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t at =
          keyed::find(keyed::keys(block), map.count, entries, i * 2'654'435'761u % 0xfffffffbu);
      ASSERT_NE(at, keyed::kEmpty);
      ASSERT_EQ(keyed::values<std::int64_t>(block, entries)[at], i);
    }
    EXPECT_EQ(keyed::find(keyed::keys(block), map.count, entries, 0xfffffffeu), keyed::kEmpty);
    std::uint64_t seen = 0;
    keyed::each<std::int64_t>(arena, map, [&](std::uint32_t, std::int64_t&) { ++seen; });
    EXPECT_EQ(seen, count);
  }
  const std::size_t bytes = arena.bytes();
  for (int i = 0; i < 1'000; ++i) {
    const Handle handle = arena.allocate(3, keyed::bytes(keyed::capacity(3)));
    arena.release(3, handle);
  }
  EXPECT_EQ(arena.bytes(), bytes);
}

}  // namespace
}  // namespace covey::learners

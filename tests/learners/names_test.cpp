#include <gtest/gtest.h>

#include <map>

#include <fmt/format.h>

#include "learners/arena.h"
#include "learners/keyed_block.h"
#include "learners/name.h"

namespace covey::learners {
namespace {

TEST(Names, AreNumberedByFirstUseAndKept) {
  Slabs slabs;
  Names names(slabs);
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

// Goal: a block is the map it stands for at every size, list or table, with two bytes a key, four,
// or the first large one coming late; and freed blocks are used again.
// Method: the same insertions into std::map.
template <typename Block, typename Value>
void expect_a_map(BlockArena& arena, std::uint32_t count, std::uint32_t stride,
                  std::uint32_t large_at) {
  SCOPED_TRACE(::testing::Message()
               << count << " entries, stride " << stride << ", large at " << large_at);
  KeyedBlock map;
  std::map<std::uint32_t, Value> plain;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t key = i == large_at ? 70'000 : i * stride % 65'535;
    if (!plain.emplace(key, static_cast<Value>(i)).second) continue;
    ASSERT_EQ(Block::find(arena, map, key), nullptr);
    Block::insert(arena, map, key, static_cast<Value>(i));
  }
  ASSERT_EQ(map.count, plain.size());
  EXPECT_EQ(Block::wide(map.size_class), plain.contains(70'000));
  const std::uint32_t capacity = Block::capacity(map.size_class);
  EXPECT_LE(map.count, capacity <= Block::kScanMax ? capacity : capacity * 4 / 5);
  for (const auto& [key, value] : plain) {
    const Value* at = Block::find(arena, map, key);
    ASSERT_NE(at, nullptr) << key;
    ASSERT_EQ(*at, value);
  }
  for (const std::uint32_t key : {65'534u, 65'535u, 65'536u, 70'000u, 70'001u, 0xfffffffeu}) {
    EXPECT_EQ(Block::find(arena, map, key) != nullptr, plain.contains(key)) << key;
  }
  std::map<std::uint32_t, Value> seen;
  Block::each(arena, map, [&](std::uint32_t key, Value& value) { seen[key] = value; });
  EXPECT_EQ(seen, plain);
}

TEST(KeyedBlock, IsAMapAtEverySize) {
  Slabs slabs;
  BlockArena arena(slabs);
  for (std::uint32_t count = 1; count < 140; ++count) {
    for (const std::uint32_t large_at : {0u, count / 2, count - 1, count}) {
      expect_a_map<Keyed<std::int32_t, 0>, std::int32_t>(arena, count, 7, large_at);
      expect_a_map<Keyed<double, 1>, double>(arena, count, 40'503, large_at);
      if (HasFatalFailure()) return;
    }
  }
  for (const std::uint32_t count : {1'000u, 65'535u}) {
    expect_a_map<Keyed<std::int32_t, 0>, std::int32_t>(arena, count, 1, count);
    expect_a_map<Keyed<double, 1>, double>(arena, count, 1, count - 1);
  }
  const std::size_t bytes = arena.bytes();
  for (int i = 0; i < 1'000; ++i) {
    const Handle handle = arena.allocate(3, Keyed<double, 1>::bytes(3));
    arena.release(3, handle);
  }
  EXPECT_EQ(arena.bytes(), bytes);
}

// Goal: keys that come many at a time are the same entries as those that come one by one, in lists,
// in tables, and where a list becomes a table.
TEST(KeyedBlock, TakesManyAtOnce) {
  using Block = Keyed<std::int32_t, 0>;
  Slabs slabs;
  BlockArena arena(slabs);
  for (const std::size_t at_once : {1u, 3u, 64u}) {
    KeyedBlock map, one_by_one;
    std::vector<std::uint16_t> keys;
    std::vector<std::int32_t> values;
    for (std::uint16_t key = 0; key < 700; ++key) {
      keys.push_back(static_cast<std::uint16_t>(key * 93 % 1'999));
      values.push_back(-key);
      Block::insert(arena, one_by_one, keys.back(), values.back());
      if (keys.size() < at_once && key < 699) continue;
      Block::append(arena, map, keys, values.data());
      keys.clear();
      values.clear();
      ASSERT_EQ(map.count, key + 1u);
      ASSERT_EQ(map.size_class, one_by_one.size_class) << key;
      for (std::uint32_t i = 0; i <= key; ++i) {
        const std::int32_t* const value = Block::find(arena, map, i * 93 % 1'999);
        ASSERT_TRUE(value != nullptr) << i;
        ASSERT_EQ(*value, -static_cast<std::int32_t>(i));
      }
    }
  }
}

// Goal: an id of every length is itself again, and equal to what was stored of the same id.
TEST(LearnerName, IsTheIdOfEveryLength) {
  const std::string id = "0123456789abcdefg";
  for (std::size_t size = 0; size <= 16; ++size) {
    const std::string text = id.substr(0, size);
    ASSERT_TRUE(Name::fits(text));
    Name stored;
    std::memcpy(stored.text.data(), text.data(), size);
    if (size < 16) stored.text[15] = static_cast<char>(16 - size);
    EXPECT_EQ(Name::of(text).view(), text);
    EXPECT_TRUE(Name::of(text) == stored) << size;
  }
  EXPECT_FALSE(Name::fits(id));
}

TEST(KeyedBlock, GrowsInSmallSteps) {
  using Block = Keyed<std::int32_t, 0>;
  for (std::uint8_t c = 1; Block::valid(c); ++c) {
    const std::uint32_t less = Block::capacity(c - 1), more = Block::capacity(c);
    ASSERT_GT(more, less);
    EXPECT_EQ(more % 4, 0u);
    EXPECT_LE(more - less, std::max(4u, less / 4)) << int{c};
    EXPECT_EQ(Block::bytes(c) % 8, 0u);
  }
}

}  // namespace
}  // namespace covey::learners

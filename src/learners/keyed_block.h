#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "learners/arena.h"

namespace covey::learners {

/// A small map from a 32-bit key to an 8-byte value in one arena block: all keys, then all values.
///
/// Up to 32 entries it is a list that is scanned (two cache lines of keys), beyond that a hash
/// table at a load of at most 4/5. The owner keeps handle, count and size class; only the thread
/// that folds a learner's shard touches its blocks.
struct KeyedBlock {
  Handle handle = 0;
  std::uint32_t count = 0;
  std::uint8_t size_class = 0;
};

namespace keyed {

inline constexpr std::uint32_t kEmpty = 0xffffffff;
inline constexpr std::uint32_t kScanMax = 32;
// 4, 8, 12, 16, 24, 32, 48, 64, 96, ... entries: half as much again and a third more by turns.
inline constexpr std::uint32_t capacity(std::uint32_t size_class) {
  constexpr std::array<std::uint32_t, 4> kFirst = {0, 4, 8, 12};
  if (size_class < 4) return kFirst[size_class];
  const std::uint32_t step = size_class - 4;
  return (step % 2 == 0 ? 16u : 24u) << (step / 2);
}
inline constexpr std::size_t bytes(std::uint32_t capacity) {
  return std::size_t{capacity} * 12;
}

inline std::uint32_t* keys(std::byte* block) {
  return reinterpret_cast<std::uint32_t*>(block);
}
template <typename Value>
Value* values(std::byte* block, std::uint32_t capacity) {
  static_assert(sizeof(Value) == 8);
  return reinterpret_cast<Value*>(block + std::size_t{capacity} * 4);
}

inline std::uint32_t home(std::uint32_t key, std::uint32_t capacity) {
  const std::uint32_t spread = key * 0x9e3779b1u;
  return static_cast<std::uint32_t>((std::uint64_t{spread} * capacity) >> 32);
}

/// The entry's place, or kEmpty.
inline std::uint32_t find(const std::uint32_t* keys, std::uint32_t count, std::uint32_t capacity,
                          std::uint32_t key) {
  if (capacity <= kScanMax) {
    for (std::uint32_t i = 0; i < count; ++i) {
      if (keys[i] == key) return i;
    }
    return kEmpty;
  }
  std::uint32_t at = home(key, capacity);
  while (keys[at] != kEmpty) {
    if (keys[at] == key) return at;
    if (++at == capacity) at = 0;
  }
  return kEmpty;
}

template <typename Value>
void place(std::byte* block, std::uint32_t capacity, std::uint32_t count, std::uint32_t key,
           Value value, std::uint32_t& at) {
  std::uint32_t* k = keys(block);
  if (capacity <= kScanMax) {
    at = count;
  } else {
    at = home(key, capacity);
    while (k[at] != kEmpty) {
      if (++at == capacity) at = 0;
    }
  }
  k[at] = key;
  values<Value>(block, capacity)[at] = value;
}

/// Adds a key that is not there, growing the block when it must.
template <typename Value>
void insert(BlockArena& arena, KeyedBlock& map, std::uint32_t key, Value value) {
  const std::uint32_t old_capacity = capacity(map.size_class);
  const std::uint32_t room = old_capacity <= kScanMax ? old_capacity : old_capacity / 5 * 4;
  std::uint32_t at = 0;
  if (map.count < room) {
    place(arena.at(map.handle), old_capacity, map.count, key, value, at);
    ++map.count;
    return;
  }
  const auto new_class = static_cast<std::uint8_t>(map.size_class + 1);
  const std::uint32_t new_capacity = capacity(new_class);
  const Handle fresh = arena.allocate(new_class, bytes(new_capacity));
  std::byte* block = arena.at(fresh);
  if (new_capacity > kScanMax) std::memset(block, 0xff, std::size_t{new_capacity} * 4);
  if (map.handle != 0) {
    std::byte* old = arena.at(map.handle);
    const std::uint32_t* old_keys = keys(old);
    const Value* old_values = values<Value>(old, old_capacity);
    std::uint32_t moved = 0;
    const std::uint32_t span = old_capacity <= kScanMax ? map.count : old_capacity;
    for (std::uint32_t i = 0; i < span; ++i) {
      if (old_keys[i] == kEmpty) continue;
      place(block, new_capacity, moved++, old_keys[i], old_values[i], at);
    }
    arena.release(map.size_class, map.handle);
  }
  place(block, new_capacity, map.count, key, value, at);
  map.handle = fresh;
  map.size_class = new_class;
  ++map.count;
}

/// Calls `see(key, value&)` for every entry.
template <typename Value, typename See>
void each(const BlockArena& arena, const KeyedBlock& map, See see) {
  if (map.handle == 0) return;
  const std::uint32_t entries = capacity(map.size_class);
  std::byte* block = arena.at(map.handle);
  const std::uint32_t span = entries <= kScanMax ? map.count : entries;
  for (std::uint32_t i = 0; i < span; ++i) {
    if (keys(block)[i] != kEmpty) see(keys(block)[i], values<Value>(block, entries)[i]);
  }
}

}  // namespace keyed
}  // namespace covey::learners

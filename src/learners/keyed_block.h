#pragma once

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/result.h"
#include "learners/arena.h"

namespace covey::learners {

/// A small map from a number to a value in one arena block: all keys, then all values.
///
/// Keys take two bytes each while all of them are small ("narrow"), four once one is not ("wide"):
/// numbers are given in order of appearance, and few platforms have 65,535 capabilities. Up to 64
/// entries it is a list that is scanned, eight keys at a time, beyond that a hash table at a load
/// of at most 4/5. The owner keeps handle, count and size class; only the thread that folds a
/// learner's shard touches its blocks.
struct KeyedBlock {
  Handle handle = 0;
  std::uint32_t count = 0;
  std::uint8_t size_class = 0;  ///< the high bit: wide
};

namespace detail {
/// Entries of a block by size class. Asked for at each event, so it is not worked out each time.
inline constexpr std::array<std::uint32_t, 128> kCapacities = [] {
  std::array<std::uint32_t, 128> entries{};
  for (std::uint32_t n = 0; n < entries.size(); ++n) {
    const std::uint32_t base = n <= 8 ? 0 : 32u << std::min((n - 8) / 4, 26u);
    entries[n] = n <= 8 ? n * 4 : base + base / 4 * ((n - 8) % 4);
  }
  return entries;
}();
}  // namespace detail

/// `Value` is trivially copyable, of 4 or 8 bytes; `kind` tells blocks of different Values in one
/// arena apart (0 or 1).
template <typename Value, std::size_t kind>
class Keyed {
 public:
  static constexpr std::uint32_t kScanMax = 64;
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::size_t kArenaClasses = 256;  ///< of one kind

  /// 4, 8, 12, ... 32, then four to each doubling: 40, 48, 56, 64, 80, ...
  static constexpr std::uint32_t capacity(std::uint8_t size_class) {
    return detail::kCapacities[size_class & 0x7fu];
  }
  static constexpr bool wide(std::uint8_t size_class) { return size_class >= kWide; }
  static constexpr std::size_t bytes(std::uint8_t size_class) {
    return std::size_t{capacity(size_class)} * (key_bytes(size_class) + sizeof(Value));
  }
  /// Largest that a block in a snapshot may claim: 2^30 entries.
  static constexpr bool valid(std::uint8_t size_class) { return (size_class & 0x7f) <= 108; }

  /// The value of `key`, or null.
  static Value* find(const BlockArena& arena, const KeyedBlock& map, std::uint32_t key) {
    if (map.count == 0) return nullptr;
    std::byte* block = arena.at(map.handle);
    const std::uint32_t at = place_of(block, map, key);
    return at == kNone ? nullptr : values(block, map.size_class) + at;
  }

  /// Adds a key that is not there, growing the block when it must.
  static void insert(BlockArena& arena, KeyedBlock& map, std::uint32_t key, Value value) {
    COVEY_CHECK(key != kNone);
    const bool widen = key >= kNarrowEmpty && !wide(map.size_class);
    if (map.count >= room(map.size_class) || widen) {
      KeyedBlock next = map;
      while (map.count >= room(next.size_class)) ++next.size_class;
      if (widen) next.size_class |= kWide;
      move(arena, map, next);
      map = next;
    }
    place(arena.at(map.handle), map.size_class, map.count++, key, value);
  }

  // For a thread that looks up many keys of one map: where each is, by a table over narrow keys
  // that is all zeros before and after.

  static constexpr std::uint32_t kNarrowMax = 0xfffe;

  /// Enters the place of every key, counted from 1. False, and nothing entered: keys are wide, or
  /// it would take more than `steps`.
  static bool tell_places(const BlockArena& arena, const KeyedBlock& map, std::size_t steps,
                          std::span<std::uint16_t> places) {
    if (wide(map.size_class) || span(map) > steps) return false;
    each_place(arena, map, [&](std::uint16_t key, std::uint32_t place) {
      places[key] = static_cast<std::uint16_t>(place + 1);
    });
    return true;
  }
  static void forget_places(const BlockArena& arena, const KeyedBlock& map,
                            std::span<std::uint16_t> places) {
    each_place(arena, map, [&](std::uint16_t key, std::uint32_t) { places[key] = 0; });
  }
  /// Copies the values of all places out, and back. Returns how many: no more than the steps that
  /// tell_places() was given.
  static std::uint32_t take_values(const BlockArena& arena, const KeyedBlock& map, Value* out) {
    const std::uint32_t count = span(map);
    if (count > 0) {
      std::memcpy(out, values(arena.at(map.handle), map.size_class), count * sizeof(Value));
    }
    return count;
  }
  static void put_values(const BlockArena& arena, const KeyedBlock& map, const Value* in) {
    const std::uint32_t count = span(map);
    if (count > 0) {
      std::memcpy(values(arena.at(map.handle), map.size_class), in, count * sizeof(Value));
    }
  }

  /// Adds narrow keys that are not there, in their order, growing the block once.
  static void append(BlockArena& arena, KeyedBlock& map, std::span<const std::uint16_t> keys,
                     const Value* value) {
    if (keys.empty()) return;
    COVEY_CHECK(!wide(map.size_class));
    const auto total = static_cast<std::uint32_t>(map.count + keys.size());
    KeyedBlock next = map;
    while (room(next.size_class) < total) ++next.size_class;
    if (next.size_class != map.size_class) move(arena, map, next);
    map = next;
    std::byte* const block = arena.at(map.handle);
    if (capacity(map.size_class) > kScanMax) {
      for (const std::uint16_t key : keys) place(block, map.size_class, map.count++, key, *value++);
      return;
    }
    std::memcpy(reinterpret_cast<std::uint16_t*>(block) + map.count, keys.data(),
                keys.size() * sizeof(std::uint16_t));
    std::memcpy(values(block, map.size_class) + map.count, value, keys.size() * sizeof(Value));
    map.count = total;
  }

  /// Calls `see(key, value&)` for every entry, in an order that depends on the insertions alone.
  template <typename See>
  static void each(const BlockArena& arena, const KeyedBlock& map, See see) {
    if (map.handle == 0) return;
    std::byte* block = arena.at(map.handle);
    Value* const value = values(block, map.size_class);
    const std::uint32_t end = span(map);
    const auto visit = [&](const auto* keys, std::uint32_t empty) {
      for (std::uint32_t i = 0; i < end; ++i) {
        if (keys[i] != empty) see(std::uint32_t{keys[i]}, value[i]);
      }
    };
    if (wide(map.size_class)) {
      visit(reinterpret_cast<const std::uint32_t*>(block), kNone);
    } else {
      visit(reinterpret_cast<const std::uint16_t*>(block), kNarrowEmpty);
    }
  }

 private:
  static constexpr std::uint8_t kWide = 0x80;
  static constexpr std::uint32_t kNarrowEmpty = 0xffff;
  static constexpr std::size_t key_bytes(std::uint8_t size_class) {
    return wide(size_class) ? 4 : 2;
  }
  static constexpr std::size_t arena_class(std::uint8_t size_class) {
    return kind * kArenaClasses + size_class;
  }
  /// Places to walk for every entry.
  static std::uint32_t span(const KeyedBlock& map) {
    const std::uint32_t entries = capacity(map.size_class);
    return entries <= kScanMax ? map.count : entries;
  }
  template <typename See>
  static void each_place(const BlockArena& arena, const KeyedBlock& map, See see) {
    if (map.handle == 0) return;
    const auto* keys = reinterpret_cast<const std::uint16_t*>(arena.at(map.handle));
    const std::uint32_t end = span(map);
    for (std::uint32_t place = 0; place < end; ++place) {
      if (keys[place] != kNarrowEmpty) see(keys[place], place);
    }
  }
  /// Entries at which a block has to grow.
  static constexpr std::uint32_t room(std::uint8_t size_class) {
    const std::uint32_t entries = capacity(size_class);
    return entries <= kScanMax ? entries : entries / 5 * 4;
  }
  /// Moves all entries to a block of `next`'s class, which gets its handle.
  static void move(BlockArena& arena, const KeyedBlock& map, KeyedBlock& next) {
    COVEY_CHECK(valid(next.size_class));
    if (capacity(next.size_class) <= kScanMax && wide(next.size_class) == wide(map.size_class)) {
      move_list(arena, map, next);
      return;
    }
    next.handle = arena.allocate(arena_class(next.size_class), bytes(next.size_class));
    std::byte* const block = arena.at(next.handle);
    if (capacity(next.size_class) > kScanMax) {
      std::memset(block, 0xff, capacity(next.size_class) * key_bytes(next.size_class));
    }
    std::uint32_t moved = 0;
    each(arena, map,
         [&](std::uint32_t k, Value& v) { place(block, next.size_class, moved++, k, v); });
    if (map.handle != 0) arena.release(arena_class(map.size_class), map.handle);
  }
  /// Moves a list to a longer one of the same kind; `next` gets its handle.
  static void move_list(BlockArena& arena, const KeyedBlock& map, KeyedBlock& next) {
    next.handle = arena.allocate(arena_class(next.size_class), bytes(next.size_class));
    if (map.handle == 0) return;
    std::byte* const block = arena.at(next.handle);
    std::byte* const old = arena.at(map.handle);
    std::memcpy(block, old, map.count * key_bytes(map.size_class));
    std::memcpy(values(block, next.size_class), values(old, map.size_class),
                map.count * sizeof(Value));
    arena.release(arena_class(map.size_class), map.handle);
  }
  static std::uint32_t place_of(const std::byte* block, const KeyedBlock& map, std::uint32_t key) {
    const std::uint32_t entries = capacity(map.size_class);
    if (!wide(map.size_class)) {
      if (key >= kNarrowEmpty) return kNone;
      const auto* keys = reinterpret_cast<const std::uint16_t*>(block);
      const auto narrow = static_cast<std::uint16_t>(key);
      return entries <= kScanMax ? scan(keys, map.count, narrow) : probe(keys, entries, narrow);
    }
    const auto* keys = reinterpret_cast<const std::uint32_t*>(block);
    return entries <= kScanMax ? scan(keys, map.count, key) : probe(keys, entries, key);
  }

  static Value* values(std::byte* block, std::uint8_t size_class) {
    // A capacity is a multiple of four, so this is aligned for every Value.
    return reinterpret_cast<Value*>(block + capacity(size_class) * key_bytes(size_class));
  }

  // Sixteen bytes of keys at a time. The last load may reach into the values, never beyond them.
  static std::uint32_t scan(const std::uint16_t* keys, std::uint32_t count, std::uint16_t key) {
    const __m128i wanted = _mm_set1_epi16(static_cast<short>(key));
    for (std::uint32_t i = 0; i < count; i += 8) {
      const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(keys + i));
      const auto alike =
          static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi16(eight, wanted)));
      if (alike == 0) continue;
      const std::uint32_t at = i + static_cast<std::uint32_t>(std::countr_zero(alike)) / 2;
      return at < count ? at : kNone;
    }
    return kNone;
  }
  static std::uint32_t scan(const std::uint32_t* keys, std::uint32_t count, std::uint32_t key) {
    for (std::uint32_t i = 0; i < count; ++i) {
      if (keys[i] == key) return i;
    }
    return kNone;
  }

  static std::uint32_t home(std::uint32_t key, std::uint32_t capacity) {
    const std::uint32_t spread = key * 0x9e3779b1u;
    return static_cast<std::uint32_t>((std::uint64_t{spread} * capacity) >> 32);
  }
  template <typename Key>
  static std::uint32_t probe(const Key* keys, std::uint32_t capacity, Key key) {
    std::uint32_t at = home(key, capacity);
    while (keys[at] != static_cast<Key>(kNone)) {
      if (keys[at] == key) return at;
      if (++at == capacity) at = 0;
    }
    return kNone;
  }

  static void place(std::byte* block, std::uint8_t size_class, std::uint32_t count,
                    std::uint32_t key, Value value) {
    const std::uint32_t entries = capacity(size_class);
    const auto put = [&](auto* keys, std::uint32_t empty) {
      std::uint32_t at = count;
      if (entries > kScanMax) {
        at = home(key, entries);
        while (keys[at] != empty) {
          if (++at == entries) at = 0;
        }
      }
      keys[at] = static_cast<std::remove_reference_t<decltype(*keys)>>(key);
      values(block, size_class)[at] = value;
    };
    if (wide(size_class)) {
      put(reinterpret_cast<std::uint32_t*>(block), kNone);
    } else {
      put(reinterpret_cast<std::uint16_t*>(block), kNarrowEmpty);
    }
  }
};

}  // namespace covey::learners

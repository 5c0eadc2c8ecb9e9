#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "learners/traits.h"

namespace covey::learners {

/// When something happened, in sixteenths of a second: 62.5 ms off at most, which changes no weight
/// by more than 4e-8 of itself and never a day or a week, whose edges are whole sixteenths.
struct Sixteenths {
  static constexpr std::int64_t kPerDay = 86'400 * 16;
  static constexpr std::int64_t kUs = 62'500;  ///< microseconds in one
  static constexpr double kDays = 1.0 / kPerDay;
};

/// What the fast engine keeps of a learner beside its blocks: two cache lines, enough to compute
/// every trait as of any T without touching anything else.
///
/// Weights decay with time, so they are kept relative to the start of an epoch of 1,024 days, the
/// one of the learner's newest practice: exp(0.05 * 1,024) is far from overflow, and what is too
/// old to be told from 0 has no share in the answer either. Times of practice are kept relative to
/// it, too, and those too old for 32 bits (1,553 days) as the oldest: their weight is below 1e-33.
struct alignas(64) Row {
  std::uint32_t version = 0;        ///< odd while being written
  std::int32_t first_day = kNoDay;  ///< of any event but profile, days since 1970
  std::int32_t last_day = kNoDay;
  std::uint32_t active = 0;    ///< bit i: active on last_day - i
  std::uint32_t practice = 0;  ///< events
  std::uint32_t received = 0;  ///< feedback
  std::uint32_t acted_on = 0;
  std::int32_t newest = 0;      ///< practice, sixteenths since the epoch's start
  std::int16_t first_week = 0;  ///< of practice; meaningless while practice == 0
  std::int16_t last_week = 0;
  std::uint32_t capabilities_handle = 0;
  double domain_weight = 0;      ///< sum over domains of w
  double domain_weight_log = 0;  ///< sum over domains of w * log2(w)
  double domain_weight_max = 0;
  double use_weight = 0;        ///< sum over uses, retention's decay
  double first_use_weight = 0;  ///< sum over capabilities of their first use's
  std::uint32_t capabilities_count = 0;
  std::uint32_t domains_handle = 0;
  std::uint32_t attributes_handle = 0;
  std::uint16_t domains_count = 0;
  std::int16_t epoch = 0;  ///< of 1,024 days since 1970
  std::uint16_t attributes_count = 0;
  std::uint8_t capabilities_class = 0;
  std::uint8_t domains_class = 0;
  /// Capabilities first used in week w at w mod 26, for w in (last_week - 26, last_week]. Stops at
  /// 255, where r = 1 - exp(-51) is 1 to the last bit; see drop_first_use for the way back.
  std::array<std::uint8_t, 26> adopted{};
  std::uint8_t attributes_class = 0;
  std::uint8_t unused = 0;

  static constexpr std::int32_t kNoDay = INT32_MIN;
  static constexpr std::int32_t kEpochDays = 1024;
  static constexpr std::int32_t kOldest = INT32_MIN;
};
static_assert(sizeof(Row) == 128);
inline constexpr std::size_t kRowWords = sizeof(Row) / 8;

using RowWord = std::uint64_t __attribute__((may_alias));

/// Copies a row that its writer may be changing: a sequence lock. Readers repeat when they lost
/// the race, the writer never waits. Every word is an atomic access with acquire or release order
/// (plain moves on x86), so there is no data race in the language's sense either.
inline Row read_row(const Row& row) {
  Row copy;
  auto* to = reinterpret_cast<RowWord*>(&copy);
  const auto* from = reinterpret_cast<const RowWord*>(&row);
  for (;;) {
    for (std::size_t i = 0; i < kRowWords; ++i) to[i] = __atomic_load_n(from + i, __ATOMIC_ACQUIRE);
    // The version shares the first word with first_day, and both change together.
    if (copy.version % 2 == 0 && __atomic_load_n(from, __ATOMIC_RELAXED) == to[0]) return copy;
    __builtin_ia32_pause();
  }
}

/// Publishes `next` over `row`. Only the thread that owns the shard.
inline void write_row(Row& row, Row& next) {
  auto* to = reinterpret_cast<RowWord*>(&row);
  const auto* from = reinterpret_cast<const RowWord*>(&next);
  const std::uint32_t version = row.version;
  __atomic_store_n(to, *to + 1, __ATOMIC_RELAXED);  // version is the low half: now odd
  for (std::size_t i = 1; i < kRowWords; ++i) __atomic_store_n(to + i, from[i], __ATOMIC_RELEASE);
  next.version = version + 2;
  __atomic_store_n(to, from[0], __ATOMIC_RELEASE);
}

// What a row says as of an instant; `day` and `week` are its.

LearnerState state_of(const Row& row, std::int32_t week);
double entropy_bits(const Row& row);
bool is_specialist(const Row& row, double entropy);
/// For a learner that is not dormant; `entropy` is entropy_bits(row).
Traits traits_of(const Row& row, std::int32_t day, std::int32_t week, double entropy);

/// Slot of a week in Row::adopted.
inline std::size_t ring(std::int32_t week) {
  const std::int32_t slot = week % kWindowWeeks;
  return static_cast<std::size_t>(slot < 0 ? slot + kWindowWeeks : slot);
}

}  // namespace covey::learners

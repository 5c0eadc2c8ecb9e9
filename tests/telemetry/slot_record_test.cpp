#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "telemetry/collector.h"

namespace covey::telemetry {
namespace {

using namespace std::chrono_literals;

const Shape kTwo = Shape::of({"north"}, {50ms, 200ms});

ClosedSlot sample(Random& random) {
  ClosedSlot slot{parse_time("2025-10-31T12:00:05Z").value(), Sums(kTwo), random.below(2) == 1, {}};
  for (std::uint64_t& n : slot.sums.numbers()) n = random.below(3) == 0 ? random.next() : 0;
  for (Histogram& h : slot.latencies) {
    for (int i = 0; i < 20; ++i) h.add(Duration(random.below(10'000'000)));
  }
  return slot;
}

TEST(SlotRecord, ReadsBackWhatWasWritten) {
  Random random(11);
  for (int i = 0; i < 50; ++i) {
    const ClosedSlot slot = sample(random);
    const auto back = decode_slot(kTwo, encode_slot(slot));
    ASSERT_TRUE(back.has_value()) << back.error().message;
    EXPECT_EQ(back->end, slot.end);
    EXPECT_EQ(back->complete, slot.complete);
    EXPECT_TRUE(std::ranges::equal(back->sums.numbers(), slot.sums.numbers()));
    for (std::size_t a = 0; a < kArms; ++a) {
      EXPECT_EQ(back->latencies[a].buckets(), slot.latencies[a].buckets());
      EXPECT_EQ(back->latencies[a].count(), slot.latencies[a].count());
    }
  }
}

// Goal: a journal of a version before is read as if there had been none of what slots did not have
// then: revenue, practice; faults, uptime.
TEST(SlotRecord, ReadsOlderVersions) {
  ClosedSlot slot{parse_time("2025-10-31T12:00:05Z").value(), Sums(kTwo), true, {}};
  auto numbers = slot.sums.numbers();
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = i + 1;  // each one byte
  ASSERT_LT(numbers.size(), 127u);
  const std::string now = encode_slot(slot);
  const std::size_t first = now.size() - 2 - numbers.size();  // two empty histograms follow
  constexpr std::size_t kCells = 4, kCell = 3 + 4 + kFaults;
  for (const auto& [version, levels] : {std::pair<char, std::size_t>{1, 7}, {2, 9}}) {
    SCOPED_TRACE(static_cast<int>(version));
    std::string kept;
    ClosedSlot wanted = slot;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const bool cell = i < kCells * kCell;
      const std::size_t place = cell ? i % kCell : (i - kCells * kCell) % Levels::kNumbers;
      if (place < (cell ? kCell - kFaults : levels)) {
        kept += now[first + i];
      } else {
        wanted.sums.numbers()[i] = 0;
      }
    }
    std::string old = now.substr(0, first);
    old.front() = version;
    old.back() = static_cast<char>(kept.size());
    old += kept + now.substr(now.size() - 2);
    const auto back = decode_slot(kTwo, old);
    ASSERT_TRUE(back.has_value()) << back.error().message;
    EXPECT_TRUE(std::ranges::equal(back->sums.numbers(), wanted.sums.numbers()));
    old.back() = 1;  // a histogram that ends early
    EXPECT_FALSE(decode_slot(kTwo, old).has_value());
  }
}

TEST(SlotRecord, DamageIsSeen) {
  Random random(12);
  const std::string bytes = encode_slot(sample(random));
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(decode_slot(kTwo, bytes.substr(0, n)).has_value()) << n;
  }
  EXPECT_FALSE(decode_slot(kTwo, bytes + "x").has_value());
  EXPECT_FALSE(decode_slot(Shape::of({}, {50ms}), bytes).has_value()) << "another plan's";
}

}  // namespace
}  // namespace covey::telemetry

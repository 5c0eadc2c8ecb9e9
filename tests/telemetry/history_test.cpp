#include "telemetry/history.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace covey::telemetry {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSlot = 5s;
const Time kBegin = parse_time("2025-10-31T12:00:00Z").value();

Shape shape() {
  return Shape::of({"north", "south"}, {200ms, 50ms});
}

Sums requests(const Shape& s, int n, int wrong = 0) {
  Sums out(s);
  for (int i = 0; i < n; ++i) {
    out.add(Arm::kCandidate, 0, true, i >= wrong, 10ms, s.slower_than);
  }
  return out;
}

TEST(Shape, SortsItsLimitsAndAddsOther) {
  const Shape s = shape();
  EXPECT_EQ(s.slower_than, (std::vector<Duration>{50ms, 200ms}));
  EXPECT_EQ(s.segments, (std::vector<std::string>{"north", "south", "other"}));
  EXPECT_EQ(s.limit(200ms), 1u);
}

TEST(Sums, CountsExactlyAtTheLimits) {
  const Shape s = shape();
  Sums sums(s);
  struct Row {
    bool answered, right;
    Duration latency;
  };
  const Row kRows[] = {{true, true, 50ms},  {true, true, 50ms + 1us}, {true, true, 200ms},
                       {true, true, 201ms}, {true, false, 10ms},      {false, false, 0ms}};
  for (const Row& row : kRows) {
    sums.add(Arm::kBaseline, 1, row.answered, row.right, row.latency, s.slower_than);
  }
  const Counts counts = sums.counts(Arm::kBaseline, 1);
  EXPECT_EQ(counts.sent, 6u);
  EXPECT_EQ(counts.unanswered, 1u);
  EXPECT_EQ(counts.answered(), 5u);
  EXPECT_EQ(counts.wrong, 1u);
  EXPECT_EQ(counts.slow[0], 3u);  // at the limit is not beyond it
  EXPECT_EQ(counts.slow[1], 1u);
  EXPECT_EQ(counts.bad[0], 5u);
  EXPECT_EQ(counts.bad[1], 3u);
  EXPECT_EQ(sums.counts(Arm::kBaseline).sent, 6u);
  EXPECT_EQ(sums.counts(Arm::kCandidate).sent, 0u);
}

TEST(History, WindowsAreDifferencesOfTotals) {
  History history(shape(), kSlot);
  EXPECT_FALSE(history.between(kBegin, kBegin + 1min));
  for (int i = 1; i <= 12; ++i) {
    history.add(kBegin + i * kSlot, requests(history.shape(), i), true);
  }
  const auto window = history.between(kBegin + 10s, kBegin + 25s);
  ASSERT_TRUE(window);
  EXPECT_EQ(window->counts(Arm::kCandidate).sent, 3u + 4 + 5);
  EXPECT_EQ(window->missing, Duration{});
  // Rounded inwards: a slot that only partly lies within is left out.
  EXPECT_EQ(history.between(kBegin + 11s, kBegin + 24s)->counts(Arm::kCandidate).sent, 4u);
}

TEST(History, WhatNeverCameIsMissingNotZero) {
  History history(shape(), kSlot);
  history.add(kBegin + 5s, requests(history.shape(), 10), true);
  history.add(kBegin + 20s, requests(history.shape(), 10), true);  // two slots lost
  history.add(kBegin + 25s, requests(history.shape(), 4), false);  // and one incomplete
  const auto all = history.between(kBegin, kBegin + 25s);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->counts(Arm::kCandidate).sent, 24u);
  EXPECT_EQ(all->missing, Duration(15s));
  EXPECT_EQ(history.last_complete(), kBegin + 20s);
  // Before the first slot and after the last nothing is known either.
  EXPECT_EQ(history.between(kBegin - 1min, kBegin + 25s)->missing, Duration(15s + 1min));
  EXPECT_EQ(history.between(kBegin, kBegin + 1min)->missing, Duration(15s + 35s));
}

TEST(History, ASlotThatComesTwiceCountsOnce) {
  History history(shape(), kSlot);
  history.add(kBegin + 5s, requests(history.shape(), 10), true);
  history.add(kBegin + 10s, requests(history.shape(), 10), true);
  history.add(kBegin + 10s, requests(history.shape(), 10), true);
  history.add(kBegin + 5s, requests(history.shape(), 10), true);
  EXPECT_EQ(history.between(kBegin, kBegin + 10s)->counts(Arm::kCandidate).sent, 20u);
}

// Goal: merging loses grain, never requests. Method: sums of windows whose ends lie on the coarser
// grain equal those of a plain list of slots, over 17 days; and memory stops growing with them.
TEST(History, MergingKeepsEveryRequestInBoundedMemory) {
  History history(shape(), kSlot);
  Random random(7);
  std::vector<std::uint64_t> plain;
  constexpr int kSlots = 17 * 24 * 720;
  std::size_t after_three_days = 0;
  const Shape s = shape();
  for (int i = 1; i <= kSlots; ++i) {
    const std::uint64_t n = random.below(1'000);
    Sums slot(s);
    const std::uint64_t zeros[2] = {0, 0};
    slot.add(Arm::kCandidate, 0, n, 0, 0, zeros, zeros);
    history.add(kBegin + i * kSlot, slot, true);
    plain.push_back(n);
    if (i == 3 * 24 * 720) after_three_days = history.boundaries();
  }
  const auto sum = [&](int from, int to) {
    std::uint64_t out = 0;
    for (int i = from; i < to; ++i) out += plain[static_cast<std::size_t>(i)];
    return out;
  };
  const auto seen = [&](int from, int to) {
    return history.between(kBegin + from * kSlot, kBegin + to * kSlot)
        ->counts(Arm::kCandidate)
        .sent;
  };
  EXPECT_EQ(seen(0, kSlots), sum(0, kSlots));
  EXPECT_EQ(seen(720 * 24, 720 * 48), sum(720 * 24, 720 * 48));                // hours, long ago
  EXPECT_EQ(seen(kSlots - 12 * 600, kSlots), sum(kSlots - 12 * 600, kSlots));  // minutes
  EXPECT_EQ(seen(kSlots - 100, kSlots - 3), sum(kSlots - 100, kSlots - 3));    // slots
  EXPECT_LT(history.boundaries(), after_three_days + 15 * 24);
  EXPECT_LT(history.boundaries(), 4'100u);
}

TEST(History, LevelsAreSummed) {
  const Shape s = shape();
  History history(s, kSlot);
  for (int i = 1; i <= 4; ++i) {
    Sums slot(s);
    slot.add(Arm::kCandidate, Levels{.samples = 1,
                                     .cpu = 500'000,
                                     .memory = 1,
                                     .network = 2,
                                     .cache_hits = 7,
                                     .lookups = 10});
    history.add(kBegin + i * kSlot, slot, true);
  }
  const auto levels = history.between(kBegin, kBegin + 20s)->levels(Arm::kCandidate);
  EXPECT_EQ(levels.samples, 4u);
  EXPECT_EQ(levels.cpu, 2'000'000u);
  EXPECT_EQ(levels.cache_hits, 28u);
  EXPECT_EQ(levels.lookups, 40u);
}

}  // namespace
}  // namespace covey::telemetry

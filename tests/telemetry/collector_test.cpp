#include "telemetry/collector.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace covey::telemetry {
namespace {

using namespace std::chrono_literals;

const Time kStart = parse_time("2025-10-31T12:00:00Z").value();
const Shape kNorth = Shape::of({"north"}, {50ms});

Request request(std::uint64_t number, Time at) {
  return {
      .number = number, .process = 1, .at = at, .answered = true, .right = true, .latency = 1ms};
}

/// A collector that has begun: its first whole slot ends at kStart + 10 s.
Collector begun() {
  Collector out(kNorth, 5s, 1s);
  EXPECT_TRUE(out.close(kStart).empty());
  out.add(request(0, kStart + 1s));  // of before: from here on every number is missed
  return out;
}

TEST(Collector, ClosesWholeSlotsInOrder) {
  Collector collector = begun();
  std::uint64_t n = 0;
  for (int i = 0; i < 200; ++i) collector.add(request(++n, kStart + 5s + i * 100ms));
  collector.close(kStart + 10s);
  const auto closed = collector.close(kStart + 21s);
  ASSERT_EQ(closed.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(closed[i].end, kStart + 10s + static_cast<int>(i) * 5s);
    EXPECT_TRUE(closed[i].complete);
    EXPECT_EQ(closed[i].sums.counts(Arm::kBaseline).sent, 50u);
  }
  EXPECT_TRUE(collector.close(kStart + 25s).empty());  // not before its grace
}

TEST(Collector, WhatCameBeforeTheFirstWholeSlotSpoilsNothing) {
  Collector collector = begun();
  collector.add(request(1, kStart + 2s));
  for (std::uint64_t n = 2; n < 12; ++n) collector.add(request(n, kStart + 6s));
  const auto closed = collector.close(kStart + 11s);
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_TRUE(closed[0].complete);
  EXPECT_EQ(collector.late(), 0u);
}

TEST(Collector, ASlotWithoutAnyLineIsIncomplete) {
  Collector collector = begun();
  collector.add(request(1, kStart + 6s));
  collector.add(request(2, kStart + 16s));
  const auto closed = collector.close(kStart + 30s);
  ASSERT_EQ(closed.size(), 4u);
  EXPECT_TRUE(closed[0].complete);
  EXPECT_FALSE(closed[1].complete);
  EXPECT_TRUE(closed[2].complete);
  EXPECT_FALSE(closed[3].complete);
}

TEST(Collector, AHoleInTheNumbersIsALineLost) {
  Collector collector = begun();
  for (const std::uint64_t n : {1u, 2u, 3u, 5u, 6u}) collector.add(request(n, kStart + 6s));
  collector.close(kStart + 8s);  // up to 6 must have come by the next look
  const auto closed = collector.close(kStart + 11s);
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_FALSE(closed[0].complete);
  EXPECT_EQ(closed[0].sums.counts(Arm::kBaseline).sent, 5u);  // what came counts
  EXPECT_EQ(collector.lost(), 1u);
  // Told once.
  for (std::uint64_t n = 7; n < 12; ++n) collector.add(request(n, kStart + 12s));
  collector.close(kStart + 14s);
  const auto next = collector.close(kStart + 16s);
  ASSERT_EQ(next.size(), 1u);
  EXPECT_TRUE(next[0].complete);
  EXPECT_EQ(collector.lost(), 1u);
}

// Goal: swaps between threads are no loss; a loss is always found. Method: lines shuffled within
// hundreds, with and without some of them dropped.
TEST(Collector, OrderDoesNotMatterAndLossDoes) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    Collector collector = begun();
    const bool drops = seed % 2 == 0;
    std::vector<Request> lines;
    for (std::uint64_t n = 1; n <= 20'000; ++n) {
      lines.push_back(request(n, kStart + 5s + static_cast<int>(n - 1) * 1ms));
    }
    for (std::size_t block = 0; block < lines.size(); block += 100) {
      for (std::size_t i = 0; i < 100; ++i) {
        std::swap(lines[block + i], lines[block + i + random.below(100 - i)]);
      }
    }
    std::size_t incomplete = 0, dropped = 0;
    std::uint64_t sent = 0;
    const auto take = [&](const std::vector<ClosedSlot>& closed) {
      for (const ClosedSlot& slot : closed) {
        incomplete += !slot.complete;
        sent += slot.sums.counts(Arm::kBaseline).sent;
      }
    };
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (drops && i > 5'000 && i < 15'000 && random.chance(0.001)) {
        ++dropped;
        continue;
      }
      collector.add(lines[i]);
      if (i % 250 == 0) take(collector.close(kStart + 5s + static_cast<int>(i) * 1ms));
    }
    take(collector.close(kStart + 26s));
    EXPECT_EQ(incomplete > 0, dropped > 0) << "COVEY_SEED=" << seed;
    EXPECT_EQ(collector.lost(), dropped) << "COVEY_SEED=" << seed;
    EXPECT_EQ(sent + dropped, 20'000u - (collector.late())) << "COVEY_SEED=" << seed;
  }
}

TEST(Collector, ANewProcessBeginsItsOwnNumbers) {
  Collector collector = begun();
  for (std::uint64_t n = 1; n <= 10; ++n) collector.add(request(n, kStart + 6s));
  for (std::uint64_t n = 0; n < 9; ++n) {
    Request other = request(n, kStart + 7s);
    other.process = 2;
    collector.add(other);
  }
  collector.close(kStart + 9s);
  const auto closed = collector.close(kStart + 11s);
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_TRUE(closed[0].complete);
  EXPECT_EQ(closed[0].sums.counts(Arm::kBaseline).sent, 19u);
}

// Goal: a stream that is joined in its middle is no whole slot: what the process told before the
// first line that came is not known.
TEST(Collector, AStreamJoinedInItsMiddleBeginsWithTheNextSlot) {
  Collector collector = begun();
  collector.add(request(1, kStart + 6s));
  for (std::uint64_t n = 700; n < 710; ++n) {
    Request other = request(n, kStart + 12s);
    other.process = 2;
    collector.add(other);
  }
  collector.add(request(2, kStart + 16s));
  const auto closed = collector.close(kStart + 21s);
  ASSERT_EQ(closed.size(), 3u);
  EXPECT_FALSE(closed[0].complete);  // the other may have had lines here, too
  EXPECT_FALSE(closed[1].complete);
  EXPECT_TRUE(closed[2].complete);
  EXPECT_EQ(collector.lost(), 0u);  // how many, nobody knows
}

// Goal: whatever processes are named, the one that goes on is not forgotten.
TEST(Collector, OthersNumbersDoNotDriveOutTheBalancers) {
  Collector collector = begun();
  std::uint64_t n = 0;
  for (std::uint32_t other = 2; other < 100; ++other) {
    Request stranger = request(0, kStart + 6s);
    stranger.process = other;
    collector.add(stranger);
    collector.add(request(++n, kStart + 6s));
  }
  ++n;  // lost
  collector.add(request(++n, kStart + 7s));
  collector.close(kStart + 8s);
  EXPECT_FALSE(collector.close(kStart + 11s).at(0).complete);
  EXPECT_EQ(collector.lost(), 1u);
}

TEST(Collector, GarbageAndLateLinesSpoilTheirSlotAndNothingElse) {
  Collector collector = begun();
  collector.add(request(1, kStart + 6s));
  collector.add_garbage(kStart + 6s);
  EXPECT_FALSE(collector.close(kStart + 11s).at(0).complete);
  EXPECT_EQ(collector.garbage(), 1u);
  collector.add(request(2, kStart + 12s));
  collector.add(request(3, kStart + 6s));  // its slot is closed
  EXPECT_FALSE(collector.close(kStart + 16s).at(0).complete);
  EXPECT_EQ(collector.late(), 1u);
  collector.add(request(4, kStart + 17s));
  EXPECT_TRUE(collector.close(kStart + 21s).at(0).complete);
}

TEST(Collector, LinesFromAnywhenTakeBoundedMemory) {
  Collector collector = begun();
  Random random(3);
  for (std::uint64_t n = 1; n < 10'000; ++n) {
    Request wild = request(n, Time(std::chrono::seconds(random.below(2'000'000'000))));
    wild.process = static_cast<std::uint32_t>(random.below(1'000));
    collector.add(wild);
  }
  EXPECT_GT(collector.late(), 1'000u);
  EXPECT_FALSE(collector.close(kStart + 11s).empty());
}

// Goal: a slot in which an arm was asked and answered nobody is one of its being down; what was not
// asked, or not seen whole, says nothing.
TEST(Collector, UptimeCountsSlotsWithoutAnyAnswer) {
  const auto slot = [](std::uint64_t answered, std::uint64_t unanswered, bool complete) {
    ClosedSlot out{kStart, Sums(kNorth), complete, {}};
    for (std::uint64_t i = 0; i < answered + unanswered; ++i) {
      out.sums.add(Arm::kCandidate, 0, i < answered, true, 1ms, kNorth.slower_than);
    }
    note_uptime(out);
    const Levels levels = out.sums.levels(Arm::kCandidate);
    EXPECT_EQ(out.sums.levels(Arm::kBaseline).slots_up + out.sums.levels(Arm::kBaseline).slots_down,
              0u);
    return std::pair(levels.slots_up, levels.slots_down);
  };
  using Pair = std::pair<std::uint64_t, std::uint64_t>;
  EXPECT_EQ(slot(1, 9, true), Pair(1, 0));
  EXPECT_EQ(slot(0, 9, true), Pair(0, 1));
  EXPECT_EQ(slot(0, 0, true), Pair(0, 0));
  EXPECT_EQ(slot(0, 9, false), Pair(0, 0));
}

// Goal: what became of requests is kept by arm and segment.
TEST(Collector, FaultsAreKeptByArmAndSegment) {
  Collector collector = begun();
  for (std::uint64_t n = 1; n <= 9; ++n) {
    Request one = request(n, kStart + 6s);
    one.segment = n % 2;
    one.fault = n <= 4 ? Fault::kTimeOut : n <= 6 ? Fault::kClientError : Fault::kNone;
    one.answered = one.fault != Fault::kTimeOut;
    collector.add(one);
  }
  collector.close(kStart + 8s);
  const auto closed = collector.close(kStart + 11s);
  ASSERT_EQ(closed.size(), 1u);
  const auto of = [&](Counts counts, Fault fault) {
    return counts.faults[static_cast<std::size_t>(fault) - 1];
  };
  EXPECT_EQ(of(closed[0].sums.counts(Arm::kBaseline), Fault::kTimeOut), 4u);
  EXPECT_EQ(of(closed[0].sums.counts(Arm::kBaseline, 1), Fault::kTimeOut), 2u);
  EXPECT_EQ(of(closed[0].sums.counts(Arm::kBaseline), Fault::kClientError), 2u);
  EXPECT_EQ(of(closed[0].sums.counts(Arm::kBaseline), Fault::kError500), 0u);
  EXPECT_EQ(of(closed[0].sums.counts(Arm::kCandidate), Fault::kTimeOut), 0u);
  EXPECT_EQ(closed[0].sums.counts(Arm::kBaseline).wrong, 0u)
      << "a client's error is no wrong answer";
}

TEST(Collector, WhoLeftIsNobodysFailure) {
  Collector collector = begun();
  Request left = request(1, kStart + 6s);
  left.counts = false;
  left.answered = false;
  collector.add(left);
  const auto closed = collector.close(kStart + 11s);
  EXPECT_TRUE(closed.at(0).complete);
  EXPECT_EQ(closed[0].sums.counts(Arm::kBaseline).sent, 0u);
}

}  // namespace
}  // namespace covey::telemetry

#include "telemetry/latencies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace covey::telemetry {
namespace {

using namespace std::chrono_literals;

// Goal: every quantile is within 1 % of the one of the sorted latencies, over nine decades.
TEST(Histogram, QuantilesAreWithinOnePercent) {
  Random random(3);
  Histogram h;
  std::vector<std::int64_t> all;
  for (int i = 0; i < 20'000; ++i) {
    const auto us = static_cast<std::int64_t>(std::exp(random.uniform() * std::log(3e9)));
    all.push_back(us);
    h.add(Duration(us));
  }
  std::ranges::sort(all);
  EXPECT_EQ(h.count(), all.size());
  for (const double q : {0.0, 0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
    const auto rank = std::max<std::size_t>(
        1, static_cast<std::size_t>(std::ceil(q * static_cast<double>(all.size()))));
    const auto exact = static_cast<double>(all[rank - 1]);
    EXPECT_NEAR(static_cast<double>(h.quantile(q)->count()), exact, exact * 0.01) << q;
  }
  EXPECT_FALSE(Histogram().quantile(0.5).has_value());
}

TEST(Histogram, TakesWhatCannotBe) {
  Histogram h;
  h.add(Duration(-5));
  h.add(Duration::max());
  EXPECT_EQ(h.quantile(0.0)->count(), 0);
  EXPECT_GT(*h.quantile(1.0), 1h);
  EXPECT_LT(h.buckets().size(), 2'000u);
}

TEST(Histogram, SmallOnesAreExact) {
  Histogram h;
  for (int us = 0; us < 100; ++us) h.add(Duration(us));
  EXPECT_EQ(h.quantile(0.5)->count(), 49);
  EXPECT_EQ(h.quantile(0.99)->count(), 98);
}

// Goal: what leaves the hour of slots stays countable by minutes, and what is older than two days
// is gone: memory has an end.
TEST(Latencies, MergesAndForgets) {
  const Time start = parse_time("2025-10-31T00:00:00Z").value();
  Latencies kept;
  ArmHistograms slot;
  slot[1].add(10ms);
  Time end = start;
  for (Duration at{}; at < 50h; at += 30s) {
    end = start + at + 30s;
    kept.add(end, slot);
  }
  EXPECT_EQ(kept.between(end - 30min, end, Arm::kCandidate).count(), 60u);
  EXPECT_EQ(kept.between(end - 30min, end, Arm::kBaseline).count(), 0u);
  EXPECT_EQ(kept.between(end - 10h, end, Arm::kCandidate).count(), 1'200u);
  EXPECT_NEAR(static_cast<double>(kept.between(start, end, Arm::kCandidate).count()), 48 * 120, 4);
}

}  // namespace
}  // namespace covey::telemetry

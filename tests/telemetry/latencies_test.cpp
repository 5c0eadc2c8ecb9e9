#include "telemetry/latencies.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/random.h"
#include "sanitized.h"

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

// Goal: what leaves the hour of slots stays countable by minutes, what leaves two days by hours, to
// the end of the plan; nothing is lost or told twice on the way.
TEST(Latencies, MergesAndForgetsNothing) {
  const Time start = parse_time("2025-10-31T00:00:00Z").value();
  Latencies kept;
  ArmHistograms slot;
  slot[1].add(10ms);
  Time end = start;
  for (Duration at{}; at < 150h + 17min; at += 30s) {
    end = start + at + 30s;
    kept.add(end, slot);
  }
  EXPECT_EQ(kept.between(end - 30min, end, Arm::kCandidate).count(), 60u);
  EXPECT_EQ(kept.between(end - 30min, end, Arm::kBaseline).count(), 0u);
  EXPECT_EQ(kept.between(end - 10h, end, Arm::kCandidate).count(), 1'200u);
  EXPECT_EQ(kept.between(start, end, Arm::kCandidate).count(), 150 * 120 + 34u);
  EXPECT_EQ(kept.between(start, start + 48h, Arm::kCandidate).count(), 48 * 120u);
  EXPECT_EQ(kept.between(start + 10h, start + 11h, Arm::kCandidate).count(), 120u);
}

// Goal: a quantile of five days is of five days. Method: the first of six days is slow.
TEST(Latencies, AQuantileIsOfItsWholeWindow) {
  const Time start = parse_time("2025-10-31T00:00:00Z").value();
  Latencies kept;
  for (Duration at{}; at < 144h; at += 5min) {
    ArmHistograms slot;
    slot[1].add(at < 24h ? Duration(900ms) : Duration(20ms), 100'000'000);  // beyond 32 bits in all
    kept.add(start + at + 5min, slot);
  }
  const Time end = start + 144h;
  EXPECT_NEAR(seconds(*kept.between(start, end, Arm::kCandidate).quantile(0.99)), 0.9, 0.009);
  EXPECT_NEAR(seconds(*kept.between(end - 120h, end, Arm::kCandidate).quantile(0.99)), 0.02,
              0.0002);
  EXPECT_EQ(kept.between(start, end, Arm::kCandidate).count(),
            std::uint64_t{144 * 12} * 100'000'000);
}

// Goal: a plan of 17 days in slots of 5 s stays within the memory that the header names. Method:
// latencies of a service: log-normal, most within a factor of ten. Slots become minutes after an
// hour, so all but the last of 49 hours and of 17 days come a minute at a time.
TEST(Latencies, TakesBoundedMemory) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's allocator does not say what is in use";
  const Time start = parse_time("2025-10-31T00:00:00Z").value();
  Random random(17);
  ArmHistograms slot;
  for (auto& arm : slot) {
    for (int i = 0; i < 20'000; ++i) {
      arm.add(Duration(static_cast<std::int64_t>(8'000 * std::exp(0.5 * random.normal()))));
    }
  }
  Latencies kept;
  const auto before = ::mallinfo2();
  std::size_t after_two_days = 0;
  Time end = start;
  const auto pass = [&](Duration span, Duration step) {
    for (const Time until = end + span; end < until;) kept.add(end += step, slot);
  };
  pass(48h, 1min);
  pass(1h, 5s);
  after_two_days = ::mallinfo2().uordblks - before.uordblks;
  pass(15 * 24h - 2h, 1min);
  pass(1h, 5s);
  const std::size_t after_all = ::mallinfo2().uordblks - before.uordblks;
  std::printf("latencies: %.1f MB after two days, %.1f MB after 17\n",
              static_cast<double>(after_two_days) * 1e-6, static_cast<double>(after_all) * 1e-6);
  EXPECT_LT(after_two_days, 20'000'000u);
  EXPECT_LT(after_all - after_two_days, 15 * 150'000u);
}

}  // namespace
}  // namespace covey::telemetry

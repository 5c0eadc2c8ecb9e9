#include "rehearsal/plain.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/random.h"
#include "rollout/gate.h"

namespace covey::rehearsal {
namespace {

double choose(int n, int k) {
  double out = 1;
  for (int i = 1; i <= k; ++i) out *= static_cast<double>(n - k + i) / i;
  return out;
}

TEST(Plain, TailsAreSumsOfTheirTerms) {
  for (const int n : {1, 2, 7, 30}) {
    for (const double p : {0.01, 0.3, 0.9}) {
      for (int k = 0; k <= n; ++k) {
        double lower = 0, upper = 0;
        for (int i = 0; i <= n; ++i) {
          const double term = choose(n, i) * std::pow(p, i) * std::pow(1 - p, n - i);
          if (i <= k) lower += term;
          if (i >= k) upper += term;
        }
        const auto bad = static_cast<std::uint64_t>(k), all = static_cast<std::uint64_t>(n);
        if (k < n * p) {
          EXPECT_NEAR(log_lower_tail(bad, all, p), std::log(lower), 1e-9) << n << " " << k;
        } else {
          EXPECT_EQ(log_lower_tail(bad, all, p), 0);
        }
        if (k > n * p) {
          EXPECT_NEAR(log_upper_tail(bad, all, p), std::log(upper), 1e-9) << n << " " << k;
        } else {
          EXPECT_EQ(log_upper_tail(bad, all, p), 0);
        }
      }
    }
  }
}

// Goal: the plain tests bracket the gates'. What passes a gate passes the exact test, which looks
// once; what is plainly broken is a breach. Method: random counts about random limits.
TEST(Plain, BracketsTheGates) {
  Random random(7);
  int passed = 0, broken = 0;
  for (int i = 0; i < 20'000; ++i) {
    const double limit = std::pow(10, -4 + 3 * random.uniform());
    plan::Rule rule;
    rule.measure = plan::Measure::kErrorRate;
    rule.limit = limit;
    rule.text = "error_rate";
    const auto all = static_cast<std::uint64_t>(std::pow(10, 2 + 5 * random.uniform()));
    const double rate = std::min(1.0, limit * std::pow(10, -1 + 2.5 * random.uniform()));
    const auto bad = static_cast<std::uint64_t>(static_cast<double>(all) * rate);
    rollout::Measured measured;
    measured.candidate = {static_cast<std::int64_t>(bad), static_cast<std::int64_t>(all)};
    const rollout::GateLevels levels{.criteria = 10};
    Plain counted;
    counted.bad = bad;
    counted.all = all;
    if (rollout::judge(rule, measured, levels).verdict == stats::Verdict::kPass) {
      ++passed;
      ASSERT_TRUE(plainly_may_hold(rule, counted, levels.alpha)) << bad << " of " << all;
    }
    if (plainly_broken(rule, counted)) {
      ++broken;
      ASSERT_TRUE(rollout::breached(rule, measured, levels))
          << bad << " of " << all << ", " << limit;
    }
    if (rollout::breached(rule, measured, levels)) {
      ASSERT_LE(log_upper_tail(bad, all, limit), std::log(levels.alpha));
    }
  }
  EXPECT_GT(passed, 1'000);
  EXPECT_GT(broken, 1'000);
}

TEST(Plain, BracketsTheSpreadGateToo) {
  Random random(8);
  plan::Rule rule;
  rule.measure = plan::Measure::kSegmentSpread;
  rule.limit = 0.05;
  rule.text = "segment_spread";
  int broken = 0;
  for (int i = 0; i < 300; ++i) {
    Plain counted;
    rollout::Measured measured;
    for (int s = 0; s < 3; ++s) {
      const auto all = static_cast<std::uint64_t>(std::pow(10, 2.5 + 2 * random.uniform()));
      const auto bad =
          static_cast<std::uint64_t>(static_cast<double>(all) * std::pow(random.uniform(), 2));
      counted.segments.emplace_back(bad, all);
      measured.segments.push_back({static_cast<std::int64_t>(bad), static_cast<std::int64_t>(all)});
    }
    const rollout::GateLevels levels{.criteria = 10};
    if (plainly_broken(rule, counted)) {
      ++broken;
      ASSERT_TRUE(rollout::breached(rule, measured, levels));
    }
    if (rollout::judge(rule, measured, levels).verdict == stats::Verdict::kPass) {
      ASSERT_TRUE(plainly_may_hold(rule, counted, levels.alpha));
    }
  }
  EXPECT_GT(broken, 50);
}

}  // namespace
}  // namespace covey::rehearsal

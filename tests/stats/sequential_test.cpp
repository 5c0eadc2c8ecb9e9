// Goal: evidence is evidence: its mean under the null is at most 1, checked exactly where the
// sample space can be enumerated, and intervals are what their evidence does not reject.
#include "stats/sequential.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "stats/special.h"

namespace covey::stats {
namespace {

double log_choose(std::int64_t n, std::int64_t k) {
  const auto a = static_cast<double>(n);
  const auto b = static_cast<double>(k);
  return log_gamma(a + 1) - log_gamma(b + 1) - log_gamma(a - b + 1);
}

// The mean of the e-value over all outcomes of n trials.
double mean_evidence(std::int64_t n, double truth, double p0, Direction direction) {
  double mean = 0;
  for (std::int64_t s = 0; s <= n; ++s) {
    const double log_p = log_choose(n, s) + static_cast<double>(s) * std::log(truth) +
                         static_cast<double>(n - s) * std::log1p(-truth);
    mean += std::exp(log_p + bernoulli_one_sided_e({s, n}, p0, direction).value());
  }
  return mean;
}

TEST(BernoulliEvidence, HasMeanAtMostOneUnderEveryNull) {
  for (const double p0 : {0.01, 0.1, 0.5}) {
    for (const std::int64_t n : {1, 10, 200}) {
      // At the edge it is a martingale: exactly 1.
      EXPECT_NEAR(mean_evidence(n, p0, p0, Direction::kAbove), 1, 1e-9) << p0 << " " << n;
      EXPECT_NEAR(mean_evidence(n, p0, p0, Direction::kBelow), 1, 1e-9) << p0 << " " << n;
      EXPECT_LE(mean_evidence(n, p0 / 2, p0, Direction::kAbove), 1) << p0 << " " << n;
      EXPECT_LE(mean_evidence(n, (1 + p0) / 2, p0, Direction::kBelow), 1) << p0 << " " << n;
      // And it grows beyond: a test that can't reject would hold the lines above too.
      EXPECT_GT(mean_evidence(n, (1 + p0) / 2, p0, Direction::kAbove), 1) << p0 << " " << n;
    }
  }
}

TEST(BernoulliEvidence, OneStepIsALikelihoodRatioMartingale) {
  // E[e(n+1) | s, n] = e(n) under p0: looking after every trial costs nothing.
  const double p0 = 0.03;
  for (std::int64_t n = 0; n < 60; ++n) {
    for (std::int64_t s = 0; s <= n; ++s) {
      const double now = bernoulli_one_sided_e({s, n}, p0, Direction::kAbove).value();
      const double hit = bernoulli_one_sided_e({s + 1, n + 1}, p0, Direction::kAbove).value();
      const double miss = bernoulli_one_sided_e({s, n + 1}, p0, Direction::kAbove).value();
      const double next = p0 * std::exp(hit - now) + (1 - p0) * std::exp(miss - now);
      EXPECT_NEAR(next, 1, 1e-9) << s << "/" << n;
    }
  }
}

TEST(ConfidenceSequences, EndsAreWhereEvidenceReachesTheLevel) {
  for (const Count count : {Count{0, 40}, Count{1, 40}, Count{37, 4'000}, Count{40, 40},
                            Count{999'990, 1'000'000}, Count{3, 50'000'000}}) {
    for (const bool howard : {false, true}) {
      const Interval ends = howard ? bernoulli_cs_howard(count, 0.05, 1'000, 0.05).value()
                                   : bernoulli_cs_beta(count, 0.05, 0.5, 0.5).value();
      EXPECT_LE(ends.low, count.rate());
      EXPECT_GE(ends.high, count.rate());
      const Interval narrower = howard ? bernoulli_cs_howard(count, 0.2, 1'000, 0.05).value()
                                       : bernoulli_cs_beta(count, 0.2, 0.5, 0.5).value();
      EXPECT_GE(narrower.low, ends.low);
      EXPECT_LE(narrower.high, ends.high);
      EXPECT_TRUE(count.successes != 0 || ends.low == 0);
      EXPECT_TRUE(count.successes != count.trials || ends.high == 1);
      const double spread =
          std::sqrt(count.rate() * (1 - count.rate()) / static_cast<double>(count.trials));
      EXPECT_LT(ends.high - ends.low, 8 * spread + 30.0 / static_cast<double>(count.trials));
    }
  }
  EXPECT_EQ(bernoulli_cs_beta({0, 0}, 0.05, 0.5, 0.5).value().high, 1);
  EXPECT_EQ(bernoulli_cs_howard({0, 0}, 0.05, 100, 0.05).value().low, 0);
}

TEST(AsymptoticSequence, IsTheNormalMixtureInOtherWords) {
  for (const double n : {10.0, 1'000.0, 1e7}) {
    const double se = 1 / std::sqrt(n);
    const auto sequence = asympcs_two_sided(0.05, se, n, 0.05, 5'000).value();
    const auto mixture = normal_mixture(0.05 * n, n, 0.05, 5'000, 0.05, false).value();
    EXPECT_NEAR(sequence.log_e_value, mixture.log_mixture, 1e-9 * std::max(1.0, n * 0.0025));
    EXPECT_NEAR(sequence.halfwidth, mixture.bound / n, 1e-12);
    // The interval excludes 0 exactly when the evidence suffices.
    EXPECT_EQ(std::abs(0.05) > sequence.halfwidth, sequence.log_e_value > -std::log(0.05));
  }
}

TEST(NormalMixture, OneSidedBoundIsWhereItsEvidenceReachesTheLevel) {
  for (const double v : {0.0, 1.0, 100.0, 1e9}) {
    const double bound = normal_mixture(0, v, 0.01, 50, 0.05, true).value().bound;
    EXPECT_NEAR(normal_mixture(bound, v, 0.01, 50, 0.05, true).value().log_mixture, -std::log(0.01),
                1e-8)
        << v;
  }
}

TEST(NormalMixture, HasMeanOneUnderTheNull) {
  // By quadrature over S ~ N(0, v).
  for (const bool one_sided : {false, true}) {
    double mean = 0;
    const double v = 30;
    for (double z = -12; z <= 12; z += 1e-3) {
      const double log_m =
          normal_mixture(z * std::sqrt(v), v, 0.05, 50, 0.05, one_sided).value().log_mixture;
      mean += 1e-3 * std::exp(log_m - 0.5 * z * z) / std::sqrt(2 * M_PI);
    }
    EXPECT_NEAR(mean, 1, 1e-4) << one_sided;
  }
}

}  // namespace
}  // namespace covey::stats

// Goal: both ends of the distribution functions keep their digits.
#include "stats/special.h"

#include <cmath>

#include <gtest/gtest.h>

namespace covey::stats {
namespace {

TEST(Special, LogBetaKeepsItsDigits) {
  // ln B(a, b) by recursion from what lgamma does well: B(a + 1, b) = B(a, b) a / (a + b).
  for (const double b : {0.5, 3.0, 9.5, 10.5, 70.0}) {
    double expected = log_gamma(0.5) + log_gamma(b) - log_gamma(0.5 + b);
    for (int i = 0; i < 2'000; ++i) {
      const double a = 0.5 + i;
      ASSERT_NEAR(log_beta(a, b), expected, 1e-11 * std::max(1.0, std::abs(expected))) << a << b;
      ASSERT_EQ(log_beta(a, b), log_beta(b, a));
      expected += std::log(a / (a + b));
    }
  }
}

TEST(Special, TailsGoOnWhereDoublesEnd) {
  // Against the sum of the binomial tail in logs: I_p(s, n - s + 1) = P(B >= s).
  const double n = 20'000;
  const double p = 0.01;
  for (const double s : {300.0, 900.0, 2'000.0, 9'000.0}) {
    double log_sum = -INFINITY;
    for (double k = s; k < s + 3'000; ++k) {
      const double log_term = log_gamma(n + 1) - log_gamma(k + 1) - log_gamma(n - k + 1) +
                              k * std::log(p) + (n - k) * std::log1p(-p);
      const double high = std::max(log_sum, log_term);
      log_sum = high + std::log(std::exp(log_sum - high) + std::exp(log_term - high));
    }
    EXPECT_NEAR(log_ibeta(s, n - s + 1, p), log_sum, 1e-9 * std::abs(log_sum)) << s;
    EXPECT_NEAR(log_ibetac(n - s + 1, s, 1 - p), log_sum, 1e-9 * std::abs(log_sum)) << s;
  }
  EXPECT_LT(log_ibeta(9'000, 11'001, 0.01), -20'000);  // exp of which is no double
}

TEST(Special, LogNormalCdfIsSmoothAcrossItsSeams) {
  for (const double seam : {-30.0, 5.0}) {
    const double before = log_normal_cdf(seam - 1e-9);
    const double after = log_normal_cdf(seam + 1e-9);
    EXPECT_NEAR(before, after, 1e-7) << seam;
    EXPECT_LE(before, after);
  }
  EXPECT_NEAR(log_normal_cdf(-40), -804.608442, 1e-5);  // R: pnorm(-40, log.p = TRUE)
  EXPECT_NEAR(normal_upper(normal_sf(7.5)), 7.5, 1e-12);
}

}  // namespace
}  // namespace covey::stats

// Goal: moments and tests of means equal their plain twins.
#include "stats/means.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "stats/special.h"

namespace covey::stats {
namespace {

std::vector<double> draws(Random& random, std::size_t n, double mean, double sd) {
  std::vector<double> out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(mean + sd * random.normal());
  return out;
}

Moments all_of(const std::vector<double>& values) {
  Moments out;
  for (const double v : values) out.add(v);
  return out;
}

TEST(Moments, AnyCutMergesToTheSame) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const auto values = draws(random, 2 + random.below(100), 1e6 * random.normal(), 1);
    const Moments whole = all_of(values);
    const std::size_t cut = random.below(values.size() + 1);
    Moments merged = all_of({values.begin(), values.begin() + static_cast<std::ptrdiff_t>(cut)});
    merged.merge(all_of({values.begin() + static_cast<std::ptrdiff_t>(cut), values.end()}));
    EXPECT_EQ(merged.n(), whole.n()) << seed;
    EXPECT_NEAR(merged.mean(), whole.mean(), 1e-14 * std::abs(whole.mean())) << seed;
    EXPECT_NEAR(merged.var(), whole.var(), 1e-8 * whole.var()) << seed;
    Moments padded = whole;
    padded.add_zeros(10);
    std::vector<double> with_zeros = values;
    with_zeros.resize(values.size() + 10, 0.0);
    EXPECT_NEAR(padded.var(), all_of(with_zeros).var(), 1e-9 * padded.var()) << seed;
  }
}

TEST(Moments, PairsAgreeWithSums) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    PairMoments pairs;
    double n = 0, y = 0, yy = 0, x = 0, xx = 0, xy = 0;
    for (std::size_t i = 0; i < 5 + random.below(50); ++i) {
      const double b = random.normal() + 3;
      const double a = 0.5 * b + random.normal();
      pairs.add(a, b);
      n += 1, y += a, yy += a * a, x += b, xx += b * b, xy += a * b;
    }
    const PairMoments sums = PairMoments::of_sums(n, y, yy, x, xx, xy);
    EXPECT_NEAR(pairs.cov(), sums.cov(), 1e-9) << seed;
    EXPECT_NEAR(pairs.var_x(), sums.var_x(), 1e-9) << seed;
    EXPECT_NEAR(pairs.var_y(), sums.var_y(), 1e-9) << seed;
  }
}

// A covariate that explains nothing changes nothing; one that explains all removes the noise.
TEST(Cuped, IsWelchWithoutACovariateAndBetterWithOne) {
  Random random(7);
  PairMoments control, treatment, control_useful, treatment_useful;
  Moments c, t;
  for (int i = 0; i < 2'000; ++i) {
    const double before = random.normal();
    const double y = before + 0.3 * random.normal();
    c.add(y);
    control.add(y, 5);
    control_useful.add(y, before);
    const double before_t = random.normal();
    const double y_t = before_t + 0.3 * random.normal() + 0.05;
    t.add(y_t);
    treatment.add(y_t, 5);
    treatment_useful.add(y_t, before_t);
  }
  const auto welch = welch_diff(c.sample(), t.sample(), 0.05).value();
  const auto plain = cuped(control, treatment, 0.05).value();
  EXPECT_EQ(plain.status, Status::kFallbackNoCovariateVariance);
  EXPECT_NEAR(*plain.p_value, *welch.p_value, 1e-12);
  const auto useful = cuped(control_useful, treatment_useful, 0.05).value();
  EXPECT_EQ(useful.status, Status::kOk);
  EXPECT_NEAR(*useful.variance_ratio, 0.09 / 1.09, 0.01);
  EXPECT_LT(*useful.se, 0.35 * *welch.se);
}

// Goal: a two-sided question is not answered one-sided: an effect either way has the same p, and it
// is twice the tail.
TEST(Welch, IsTwoSided) {
  const Sample control{100, 10, 4};
  const Sample up{120, 10.6, 5}, down{120, 9.4, 5};
  const auto a = welch_diff(control, up, 0.05).value();
  const auto b = welch_diff(control, down, 0.05).value();
  EXPECT_NEAR(*a.p_value, *b.p_value, 1e-15);
  EXPECT_NEAR(*a.p_value, 2 * student_sf(*a.t, *a.df), 1e-15);
  // The interval and the test say the same: 0 is at the edge of the level-p interval.
  const auto edge = welch_diff(control, up, *a.p_value).value();
  EXPECT_NEAR(edge.interval->low, 0, 1e-9);
}

TEST(Fieller, EndsSolveItsEquation) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    const Sample c{50, 3 * random.normal(), 1 + random.uniform()};
    const Sample t{60, 3 * random.normal(), 1 + random.uniform()};
    const auto lift = relative_lift_fieller(c, t, 0.05).value();
    if (lift.status == Status::kUnbounded) {
      EXPECT_GE(*lift.g, 1) << seed;
      continue;
    }
    const double z = normal_upper(0.025);
    for (const double end : {lift.interval->low, lift.interval->high}) {
      const double r = c.mean > 0 ? end + 1 : 1 - end;
      const double left = std::pow(t.mean - r * c.mean, 2);
      const double right = z * z * (t.var / t.n + r * r * c.var / c.n);
      EXPECT_NEAR(left, right, 1e-9 * std::max(1.0, right)) << seed;
    }
    EXPECT_LT(lift.interval->low, *lift.lift) << seed;
    EXPECT_GT(lift.interval->high, *lift.lift) << seed;
  }
}

}  // namespace
}  // namespace covey::stats

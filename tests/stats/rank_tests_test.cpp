// Goal: exact p-values equal counting all arrangements.
#include "stats/rank_tests.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "stats/group_sequential.h"
#include "stats/multiplicity.h"
#include "stats/special.h"

namespace covey::stats {
namespace {

/// Calls `see(x, y)` for every way to deal `values` into samples of n and the rest.
template <typename See>
void each_deal(const std::vector<double>& values, std::size_t n, const See& see) {
  std::vector<bool> in_x(values.size(), false);
  std::fill(in_x.begin(), in_x.begin() + static_cast<std::ptrdiff_t>(n), true);
  do {
    std::vector<double> x, y;
    for (std::size_t i = 0; i < values.size(); ++i) (in_x[i] ? x : y).push_back(values[i]);
    see(x, y);
  } while (std::prev_permutation(in_x.begin(), in_x.end()));
}

TEST(RankTests, ExactPValuesCountArrangements) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Random random(seed);
    std::vector<double> values(9);
    for (double& v : values) v = random.normal();
    const std::size_t n = 3 + seed % 3;
    const std::vector<double> x(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(n));
    const std::vector<double> y(values.begin() + static_cast<std::ptrdiff_t>(n), values.end());
    const auto u = mann_whitney(x, y).value();
    const auto ks = ks_two_sample(x, y).value();
    const double most = static_cast<double>(x.size() * y.size());
    double deals = 0, as_far = 0, as_wide = 0;
    each_deal(values, n, [&](const auto& a, const auto& b) {
      const double other = mann_whitney(a, b).value().u1;
      deals += 1;
      as_far += std::max(other, most - other) >= std::max(u.u1, most - u.u1);
      as_wide += *ks_two_sample(a, b).value().d >= *ks.d - 1e-12;
    });
    EXPECT_NEAR(*u.p_exact, std::min(1.0, as_far / deals), 1e-12) << seed;
    EXPECT_NEAR(*ks.p_exact, as_wide / deals, 1e-12) << seed;
  }
}

TEST(RankTests, UniformTestsSeamsMeet) {
  // Where the formula changes (n d² = 4, d = 1/2) the p-value must not.
  const auto p_of = [](std::size_t n, double d) {
    // p-values whose largest distance is d: all pushed up by d - 1/n, as far as 1 allows.
    std::vector<double> p(n);
    for (std::size_t i = 0; i < n; ++i) {
      p[i] = std::min(1.0, static_cast<double>(i) / static_cast<double>(n) + d);
    }
    return *ks_uniform(p).value().p_exact;
  };
  for (const std::size_t n : {20, 100, 400}) {
    const double at = std::sqrt(4.0 / static_cast<double>(n));
    if (at >= 0.5) continue;
    const double below = p_of(n, at * (1 - 1e-9));
    const double above = p_of(n, at * (1 + 1e-9));
    EXPECT_NEAR(below, above, 1e-6 * above) << n;
  }
  EXPECT_NEAR(p_of(1, 0.75), 0.5, 1e-12);  // one uniform at 3/4 or beyond, either side
}

TEST(MultipleTesting, OrderAndTiesDoNotMatter) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Random random(seed);
    std::vector<double> p(12);
    for (double& v : p) v = std::round(random.uniform() * 20) / 100;  // many ties
    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    std::vector<double> shuffled;
    for (const std::size_t i : order) shuffled.push_back(p[i]);
    const auto a = multiple_testing(p, 0.1).value();
    const auto b = multiple_testing(shuffled, 0.1).value();
    for (std::size_t i = 0; i < p.size(); ++i) {
      for (const auto& [one, other] :
           {std::pair{&a.holm, &b.holm}, {&a.bh, &b.bh}, {&a.by, &b.by}}) {
        EXPECT_EQ(one->p[order[i]], other->p[i]) << seed;
        EXPECT_EQ(one->reject[order[i]], other->reject[i]) << seed;
      }
    }
  }
}

TEST(GroupSequential, BoundsSpendWhatTheyMay) {
  // By simulation of the walk the bounds are for.
  const std::vector<double> looks = {0.3, 0.55, 0.7, 1.0};
  for (const int sides : {1, 2}) {
    const auto bounds = group_sequential_bounds(looks, 0.05, sides, Spending::kPower, 1.5).value();
    Random random(static_cast<std::uint64_t>(sides));
    constexpr int kWalks = 200'000;
    std::vector<int> crossed(looks.size(), 0);
    for (int i = 0; i < kWalks; ++i) {
      double at = 0;
      double before = 0;
      for (std::size_t k = 0; k < looks.size(); ++k) {
        at += std::sqrt(looks[k] - before) * random.normal();
        before = looks[k];
        const double z = at / std::sqrt(before);
        if (z > bounds[k] || (sides == 2 && z < -bounds[k])) {
          ++crossed[k];
          break;
        }
      }
    }
    int so_far = 0;
    for (std::size_t k = 0; k < looks.size(); ++k) {
      so_far += crossed[k];
      EXPECT_NEAR(static_cast<double>(so_far) / kWalks, 0.05 * std::pow(looks[k], 1.5), 0.002)
          << sides << " look " << k;
    }
  }
  // One look is a plain test.
  EXPECT_NEAR(
      group_sequential_bounds(std::vector{1.0}, 0.05, 2, Spending::kObrienFleming).value()[0],
      normal_upper(0.025), 1e-9);
}

}  // namespace
}  // namespace covey::stats

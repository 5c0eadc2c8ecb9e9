#include "cohorts/kmeans.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "cohorts/sample_learners.h"
#include "cohorts/threads.h"

namespace covey::cohorts {
namespace {

// Goal: standardising is z-scores of the clusterable learners alone, with the population's
// standard deviation, times the square root of the weight; a constant trait says nothing.
TEST(Standardise, IsWeightedZScores) {
  learners::TraitColumns columns;
  given::add(columns, {0.9, 0.9, 0.9, 0.9, 0.9}, false);
  given::add(columns, {0.2, 0.5, 0.1, 0.7, 0.1});
  given::add(columns, {0.1, 0.1, 0.1, 0.1, 0.1}, false);
  given::add(columns, {0.6, 0.5, 0.2, 0.7, 0.1});
  given::add(columns, {1.0, 0.5, 0.9, 0.7, 0.1});
  Serial serial;
  const Standardised got = standardise(columns, serial);
  ASSERT_EQ(got.points.size(), 3u);
  EXPECT_NEAR(got.mean[0], 0.6, 1e-7);
  EXPECT_NEAR(got.scale[0], std::sqrt((0.16 + 0 + 0.16) / 3), 1e-7);
  EXPECT_NEAR(static_cast<double>(got.points.at(2)[0]), 0.4 / std::sqrt(0.32 / 3) * std::sqrt(0.30),
              1e-6);
  for (const std::size_t constant : {1u, 3u, 4u}) {
    EXPECT_EQ(got.scale[constant], 1);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(got.points.at(i)[constant], 0);
  }
  EXPECT_EQ(got.before, (std::vector<std::size_t>{0, 3}));
}

// Goal: gaps of any shape, across chunks, leave the clusterable learners in their order.
TEST(Standardise, SkipsTheOthers) {
  Random random(3);
  learners::TraitColumns columns;
  std::vector<double> kept;
  for (std::size_t i = 0; i < 3 * kChunk + 17; ++i) {
    // The second chunk is whole, the third empty.
    const std::size_t chunk = i / kChunk;
    const bool in = chunk == 1 || (chunk != 2 && random.chance(0.6));
    const double value = random.uniform();
    given::add(columns, {value, 0.5, 0.5, 0.5, 0.5}, in);
    if (in) kept.push_back(value);
  }
  Serial serial;
  given::Threads three(3);
  const Standardised got = standardise(columns, serial), again = standardise(columns, three);
  ASSERT_EQ(got.points.size(), kept.size());
  const double factor = coordinate_factor(got.scale)[0];
  for (std::size_t i = 0; i < kept.size(); ++i)
    ASSERT_NEAR(static_cast<double>(got.points.at(i)[0]), (kept[i] - got.mean[0]) * factor, 1e-5);
  EXPECT_EQ(got.mean, again.mean);
  EXPECT_EQ(got.scale, again.scale);
  EXPECT_EQ(std::memcmp(got.points.column(0), again.points.column(0), kept.size() * 4), 0);
}

// Goal: a draw has distinct, ascending members, reaches everyone, and favours nobody.
TEST(Draw, IsFairAndDistinct) {
  std::vector<int> hits(100);
  for (std::uint64_t seed = 0; seed < 4'000; ++seed) {
    const auto index = draw(100, 25, Random(seed));
    ASSERT_EQ(index.size(), 25u);
    for (std::size_t i = 1; i < index.size(); ++i) ASSERT_LT(index[i - 1], index[i]);
    for (const auto i : index) ++hits[i];
  }
  // Expected 1,000 each, standard deviation 27: five of them for a hundred looks.
  for (const int h : hits) EXPECT_NEAR(h, 1'000, 140);
  const auto all = draw(7, 100, Random(1));
  EXPECT_EQ(all, (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6}));
}

// Goal: a settled fit is a fixed point of the definition: every point is with its nearest center,
// every center is the mean of its members, and the inertia is the sum of squares about them.
TEST(Lloyd, SettlesOnAFixedPoint) {
  Serial serial;
  for (const std::uint64_t seed : given::seeds(10)) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    const auto standard = standardise(given::planted(10'000, 6, 0.15, seed), serial);
    Random random(seed);
    const double squares = sum_of_squares(standard.points, serial);
    const Fit fit = lloyd(standard.points, squares, seed_centers(standard.points, 6, random), 6, {},
                          pass_scalar, serial);
    EXPECT_EQ(fit.totals.changed, 0u);
    double sum = 0;
    for (std::size_t i = 0; i < standard.points.size(); ++i) {
      const auto x = standard.points.at(i);
      EXPECT_EQ(fit.label[i], nearest(x.data(), fit.centers, 6));
      for (std::size_t d = 0; d < kDims; ++d)
        sum += std::pow(
            static_cast<double>(x[d]) - static_cast<double>(fit.centers.at[fit.label[i]][d]), 2);
    }
    EXPECT_NEAR(fit.inertia, sum, 1e-6 * sum);
    EXPECT_NEAR(inertia(standard.points, fit.centers, fit.label.data(), serial), sum, 1e-9 * sum);
    for (unsigned j = 0; j < 6; ++j)
      for (std::size_t d = 0; d < kDims; ++d)
        EXPECT_NEAR(fit.totals.sum[j][d] / static_cast<double>(fit.totals.count[j]),
                    static_cast<double>(fit.centers.at[j][d]), 1e-6);
  }
}

// Goal: centers that lose everyone find work again, and the inertia never rises on the way.
TEST(Lloyd, EmptyCohortsAreRefilled) {
  Serial serial;
  const auto standard = standardise(given::planted(3'000, 5, 0.05, 1), serial);
  std::array<std::array<double, kDims>, kCenters> at{};
  // All but the first far from everyone.
  for (std::size_t j = 1; j < 5; ++j) at[j].fill(1e3 + static_cast<double>(j));
  const double squares = sum_of_squares(standard.points, serial);
  double before = squares * 2;
  for (unsigned passes = 1; passes < 12; ++passes) {
    const Fit fit = lloyd(standard.points, squares, make_centers(at, 5), 5, {.passes_max = passes},
                          pass_scalar, serial);
    EXPECT_LE(fit.inertia, before * (1 + 1e-9));
    before = fit.inertia;
  }
  const Fit fit = lloyd(standard.points, squares, make_centers(at, 5), 5, {}, pass_scalar, serial);
  for (unsigned j = 0; j < 5; ++j) EXPECT_GT(fit.totals.count[j], 300u);
}

// Goal: fewer kinds than centers ends, empty where there is nobody, without a number that isn't.
TEST(Lloyd, FewerKindsThanCenters) {
  Serial serial;
  learners::TraitColumns columns;
  for (int i = 0; i < 100; ++i) given::add(columns, given::kKinds[static_cast<std::size_t>(i % 2)]);
  const auto standard = standardise(columns, serial);
  Random random(1);
  const Fit fit = lloyd(standard.points, sum_of_squares(standard.points, serial),
                        seed_centers(standard.points, 4, random), 4, {}, pass_scalar, serial);
  EXPECT_LT(fit.passes, 10u);
  EXPECT_NEAR(fit.inertia, 0, 1e-4);
  std::multiset<std::uint64_t> count(fit.totals.count.begin(), fit.totals.count.begin() + 4);
  EXPECT_EQ(count, (std::multiset<std::uint64_t>{0, 0, 50, 50}));
}

// Goal: greedy seeding finds kinds that stand apart: one center in each, nearly always.
TEST(Seeding, FindsKindsThatStandApart) {
  Serial serial;
  std::vector<std::uint8_t> truth;
  const auto standard = standardise(given::planted(2'000, 6, 0.01, 5, &truth), serial);
  int all = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const Centers centers = seed_centers(standard.points, 6, random);
    std::set<std::uint8_t> found;
    for (std::size_t i = 0; i < standard.points.size(); ++i)
      for (unsigned j = 0; j < 6; ++j)
        if (std::memcmp(standard.points.at(i).data(), centers.at[j], sizeof centers.at[j]) == 0)
          found.insert(truth[i]);
    all += found.size() == 6;
  }
  EXPECT_GE(all, 190);
}

// Goal: starting on draws and going on with the best loses nothing against settling every start
// on everything.
TEST(BestFits, DrawsAreAsGoodAsEverything) {
  Serial serial;
  for (const std::uint64_t seed : given::seeds(3)) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    const auto standard = standardise(given::planted(8'000, 6, 0.25, seed), serial);
    const unsigned ks[] = {3, 5, 8};
    const auto quick = best_fits(standard.points, ks, {}, Random(seed), best_kernel(), serial);
    const auto thorough = best_fits(standard.points, ks, {.points = 8'000}, Random(seed + 100),
                                    best_kernel(), serial);
    for (std::size_t a = 0; a < 3; ++a)
      EXPECT_LE(quick[a].inertia, thorough[a].inertia * 1.0002) << "k " << ks[a];
  }
}

}  // namespace
}  // namespace covey::cohorts

#include "cohorts/silhouette.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "cohorts/sample_learners.h"
#include "cohorts/threads.h"

namespace covey::cohorts {
namespace {

Points points_of(const std::vector<std::array<double, kDims>>& rows) {
  Points points(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t d = 0; d < kDims; ++d) points.column(d)[i] = static_cast<float>(rows[i][d]);
  return points;
}

double distance(const Points& points, std::size_t a, std::size_t b) {
  double sum = 0;
  for (std::size_t d = 0; d < kDims; ++d)
    sum += std::pow(static_cast<double>(points.at(a)[d]) - static_cast<double>(points.at(b)[d]), 2);
  return std::sqrt(sum);
}

// Word for word from the definition.
double plain(const Points& points, const std::vector<std::uint8_t>& label, unsigned k) {
  double total = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    std::vector<double> sum(k), count(k);
    for (std::size_t j = 0; j < points.size(); ++j) {
      if (j == i) continue;
      sum[label[j]] += distance(points, i, j);
      ++count[label[j]];
    }
    if (count[label[i]] == 0) continue;
    const double a = sum[label[i]] / count[label[i]];
    double b = INFINITY;
    for (unsigned j = 0; j < k; ++j)
      if (j != label[i] && count[j] > 0) b = std::min(b, sum[j] / count[j]);
    if (std::isfinite(b) && std::max(a, b) > 0) total += (b - a) / std::max(a, b);
  }
  return total / static_cast<double>(points.size());
}

// Goal: on a line the answer can be worked out: points 0, 1 | 10, 11.
// s(0) = (10.5 - 1) / 10.5, s(1) = (9.5 - 1) / 9.5, and the same mirrored.
TEST(Silhouette, FourPointsOnALine) {
  const Points points = points_of({{0}, {1}, {10}, {11}});
  const std::vector<std::uint8_t> label = {0, 0, 1, 1};
  Serial serial;
  const Silhouette got = silhouette(points, label, 2, serial);
  const double expected = (9.5 / 10.5 + 8.5 / 9.5) / 2;
  EXPECT_NEAR(got.mean, expected, 1e-6);
  EXPECT_NEAR(got.of_cohort[0], expected, 1e-6);
  EXPECT_NEAR(got.of_cohort[1], expected, 1e-6);
}

// Goal: it is the definition, for random points and labels, with lonely and empty cohorts, at
// every thread count.
TEST(Silhouette, EqualsTheDefinition) {
  Serial serial;
  given::Threads three(3);
  for (const std::uint64_t seed : given::seeds(40)) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    Random random(seed);
    const std::size_t n = 1 + random.below(200);
    const unsigned k = 1 + static_cast<unsigned>(random.below(kCenters));
    std::vector<std::array<double, kDims>> rows(n);
    std::vector<std::uint8_t> label(n);
    for (std::size_t i = 0; i < n; ++i) {
      label[i] = static_cast<std::uint8_t>(random.below(k));
      for (double& x : rows[i]) x = random.normal() + label[i] * random.uniform();
    }
    const Points points = points_of(rows);
    const Silhouette got = silhouette(points, label, k, serial);
    EXPECT_NEAR(got.mean, plain(points, label, k), 1e-5);
    const Silhouette again = silhouette(points, label, k, three);
    EXPECT_EQ(got.mean, again.mean);
    EXPECT_EQ(got.of_cohort, again.of_cohort);
  }
}

// Goal: equal points never divide by zero.
TEST(Silhouette, EqualPointsAreNeitherHereNorThere) {
  const Points points = points_of({{1}, {1}, {1}, {1}});
  const std::vector<std::uint8_t> label = {0, 0, 1, 1};
  Serial serial;
  EXPECT_EQ(silhouette(points, label, 2, serial).mean, 0);
  EXPECT_EQ(silhouette(Points(0), {}, 2, serial).mean, 0);
}

}  // namespace
}  // namespace covey::cohorts

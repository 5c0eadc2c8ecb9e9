#include "cohorts/kernels.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "cohorts/sample_learners.h"

namespace covey::cohorts {
namespace {

struct Step {
  std::uint32_t changed = 0;
  std::vector<std::uint8_t> label;
  LaneSums sums{};
};

Step step(Kernel kernel, const std::array<std::vector<float>, kDims>& x, std::size_t offset,
          std::size_t n, const Centers& centers, unsigned k) {
  Step result;
  // Bytes beyond the labels must survive.
  result.label.assign(offset + n + 32, 0xee);
  for (std::size_t i = 0; i < n; ++i) result.label[offset + i] = static_cast<std::uint8_t>(i % 3);
  std::array<const float*, kDims> columns{};
  for (std::size_t d = 0; d < kDims; ++d) columns[d] = x[d].data() + offset;
  std::memset(&result.sums, 0x7f, sizeof result.sums);
  result.changed = kernel(columns.data(), n, centers, k, result.label.data() + offset, result.sums);
  return result;
}

Centers random_centers(Random& random, unsigned k) {
  Centers centers{};
  for (unsigned j = 0; j < k; ++j) {
    double norm = 0;
    for (std::size_t d = 0; d < kDims; ++d) {
      centers.at[j][d] = static_cast<float>(random.normal());
      norm += static_cast<double>(centers.at[j][d]) * static_cast<double>(centers.at[j][d]);
    }
    centers.half_norm[j] = static_cast<float>(norm / 2);
  }
  // Two alike: the tie must go to the lower one everywhere.
  if (k > 2) {
    std::memcpy(centers.at[k - 1], centers.at[1], sizeof centers.at[1]);
    centers.half_norm[k - 1] = centers.half_norm[1];
  }
  return centers;
}

class Width : public testing::TestWithParam<Isa> {};

// Goal: every instruction set gives the twin's labels and sums to the bit, whatever the length,
// the alignment and the number of centroids, and touches nothing beyond its end.
TEST_P(Width, EqualsItsScalarTwin) {
  const Kernel kernel = kernel_for(GetParam());
  if (kernel == nullptr) GTEST_SKIP() << "this machine lacks the instruction set";
  Random random(11);
  std::array<std::vector<float>, kDims> x;
  for (auto& column : x)
    for (int i = 0; i < 5'000; ++i) column.push_back(static_cast<float>(random.normal()));
  std::vector<std::size_t> lengths;
  for (std::size_t n = 0; n <= 129; ++n) lengths.push_back(n);
  for (const std::size_t n : {511u, 512u, 513u, 527u, 1024u, 4095u, 4096u}) lengths.push_back(n);
  for (unsigned k = 1; k <= kCenters; ++k) {
    const Centers centers = random_centers(random, k);
    for (std::size_t offset = 0; offset < kLanes; ++offset) {
      for (const std::size_t n : lengths) {
        const Step expected = step(pass_scalar, x, offset, n, centers, k);
        const Step got = step(kernel, x, offset, n, centers, k);
        ASSERT_EQ(got.changed, expected.changed) << "k " << k << " n " << n << " at " << offset;
        ASSERT_EQ(got.label, expected.label) << "k " << k << " n " << n << " at " << offset;
        ASSERT_EQ(std::memcmp(&got.sums, &expected.sums, sizeof got.sums), 0)
            << "k " << k << " n " << n << " at " << offset;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Width, testing::Values(Isa::kAvx2, Isa::kAvx512),
                         [](const auto& width) {
                           return width.param == Isa::kAvx2 ? std::string("avx2")
                                                            : std::string("avx512");
                         });

// Goal: the twin itself is right: the nearest centroid by distance in f64 (or as near as f32 can
// tell), its members summed, its counts and changes counted.
TEST(Kernels, ScalarTwinIsRight) {
  Random random(12);
  constexpr std::size_t kPoints = 3'000;
  std::array<std::vector<float>, kDims> x;
  for (auto& column : x)
    for (std::size_t i = 0; i < kPoints; ++i) column.push_back(static_cast<float>(random.normal()));
  for (unsigned k = 1; k <= kCenters; ++k) {
    const Centers centers = random_centers(random, k);
    const Step got = step(pass_scalar, x, 0, kPoints, centers, k);
    std::array<std::array<double, kDims>, kCenters> sum{};
    std::array<std::uint32_t, kCenters> count{};
    std::uint32_t changed = 0;
    for (std::size_t i = 0; i < kPoints; ++i) {
      std::array<double, kCenters> distance{};
      for (unsigned j = 0; j < k; ++j)
        for (std::size_t d = 0; d < kDims; ++d)
          distance[j] +=
              std::pow(static_cast<double>(x[d][i]) - static_cast<double>(centers.at[j][d]), 2);
      const std::uint8_t mine = got.label[i];
      ASSERT_LT(mine, k);
      for (unsigned j = 0; j < k; ++j) {
        ASSERT_LE(distance[mine], distance[j] + 1e-5);
        if (j < mine) {
          ASSERT_NE(distance[j], distance[mine]) << "a tie goes to the lower index";
        }
      }
      ++count[mine];
      changed += mine != i % 3;
      for (std::size_t d = 0; d < kDims; ++d) sum[mine][d] += static_cast<double>(x[d][i]);
    }
    EXPECT_EQ(got.changed, changed);
    for (unsigned j = 0; j < k; ++j) {
      EXPECT_EQ(got.sums.count[j], count[j]);
      for (std::size_t d = 0; d < kDims; ++d) {
        double lanes = 0;
        for (const float lane : got.sums.sum[j][d]) lanes += static_cast<double>(lane);
        EXPECT_NEAR(lanes, sum[j][d], 1e-3);
      }
    }
  }
}

}  // namespace
}  // namespace covey::cohorts

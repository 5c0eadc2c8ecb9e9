#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace covey {
namespace {

// Goal: the stream never changes, since stored seeds must replay for ever. Golden values of the
// first run; a change here is a change of format.
TEST(Random, StreamIsFrozen) {
  Random random(42);
  EXPECT_EQ(random.next(), 0xd0764d4f4476689fULL);
  EXPECT_EQ(random.next(), 0x519e4174576f3791ULL);
  Random fork = Random(42).fork("kmeans-init");
  EXPECT_EQ(fork.next(), Random(42).fork("kmeans-init").next());
}

TEST(Random, ForksAreApartAndDoNotMoveTheParent) {
  Random random(1);
  const std::uint64_t first = Random(1).next();
  Random a = random.fork("a"), b = random.fork("b"), a1 = random.fork("a", 1);
  EXPECT_NE(a.next(), b.next());
  EXPECT_NE(Random(1).fork("a").next(), a1.next());
  EXPECT_EQ(random.next(), first);
}

TEST(Random, BelowIsUniform) {
  Random random(3);
  std::vector<int> counts(7);
  constexpr int kDraws = 70'000;
  for (int i = 0; i < kDraws; ++i) ++counts[random.below(7)];
  double chi2 = 0;
  for (const int c : counts) chi2 += (c - kDraws / 7.0) * (c - kDraws / 7.0) / (kDraws / 7.0);
  EXPECT_LT(chi2, 22.46);  // 6 degrees of freedom, p = .001
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0u);
}

TEST(Random, DistributionsHaveTheirMoments) {
  Random random(5);
  constexpr int kDraws = 200'000;
  double u = 0, n = 0, nn = 0, e = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.uniform(), z = random.normal();
    ASSERT_GE(x, 0);
    ASSERT_LT(x, 1);
    u += x;
    n += z;
    nn += z * z;
    e += random.exponential();
  }
  // Five standard errors each.
  EXPECT_NEAR(u / kDraws, .5, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(n / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(nn / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(e / kDraws, 1, 5 / std::sqrt(kDraws));
}

}  // namespace
}  // namespace covey

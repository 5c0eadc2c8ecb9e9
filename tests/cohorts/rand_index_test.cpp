#include "cohorts/rand_index.h"

#include <gtest/gtest.h>

#include <vector>

#include "cohorts/sample_learners.h"

namespace covey::cohorts {
namespace {

Overlap overlap_of(const std::vector<int>& a, const std::vector<int>& b) {
  Overlap shared{};
  for (std::size_t i = 0; i < a.size(); ++i)
    ++shared[static_cast<std::size_t>(a[i])][static_cast<std::size_t>(b[i])];
  return shared;
}

struct Labellings {
  const char* what;
  std::vector<int> before, now;
  double expected;
};

// Goal: values worked out by hand from the formula (the last two are the examples that
// scikit-learn documents for adjusted_rand_score).
TEST(RandIndex, KnownValues) {
  const Labellings kCases[] = {
      {"the same", {0, 0, 1, 1, 2, 2}, {0, 0, 1, 1, 2, 2}, 1},
      {"the same by other names", {0, 0, 1, 1}, {7, 7, 3, 3}, 1},
      {"all in one, twice", {0, 0, 0}, {1, 1, 1}, 1},
      {"all alone, twice", {0, 1, 2}, {2, 0, 1}, 1},
      {"worse than chance", {0, 0, 1, 1}, {0, 1, 0, 1}, -0.5},
      {"one in, all alone", {0, 0, 0, 0}, {0, 1, 2, 3}, 0},
      {"one split", {0, 0, 1, 1}, {0, 0, 1, 2}, 4.0 / 7},
      {"one merged", {0, 0, 1, 2}, {0, 0, 1, 1}, 4.0 / 7},
  };
  for (const Labellings& c : kCases) {
    const auto got = adjusted_rand_index(overlap_of(c.before, c.now));
    ASSERT_TRUE(got) << c.what;
    EXPECT_NEAR(*got, c.expected, 1e-12) << c.what;
  }
  EXPECT_FALSE(adjusted_rand_index(Overlap{}));
  EXPECT_FALSE(adjusted_rand_index(overlap_of({0}, {0})));
}

// Goal: the contingency formula equals the definition: pairs counted one by one.
// Method: with a, b, c, d = pairs together in both, only before, only now, in neither,
// 2 (ad - bc) / ((a + b)(b + d) + (a + c)(c + d)) is the index as pairs see it.
TEST(RandIndex, EqualsPairCounting) {
  for (const std::uint64_t seed : given::seeds(200)) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    Random random(seed);
    std::vector<int> before, now;
    for (std::size_t i = 0, n = 4 + random.below(40); i < n; ++i) {
      before.push_back(static_cast<int>(random.below(8)));
      now.push_back(random.chance(0.5) ? before.back() : static_cast<int>(random.below(8)));
    }
    double a = 0, b = 0, c = 0, d = 0;
    for (std::size_t i = 0; i < before.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        const bool was = before[i] == before[j], is = now[i] == now[j];
        ++(was ? (is ? a : b) : (is ? c : d));
      }
    const double below = (a + b) * (b + d) + (a + c) * (c + d);
    if (below == 0) continue;
    EXPECT_NEAR(*adjusted_rand_index(overlap_of(before, now)), 2 * (a * d - b * c) / below, 1e-12);
  }
}

}  // namespace
}  // namespace covey::cohorts

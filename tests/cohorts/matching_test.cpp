#include "cohorts/matching.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "cohorts/sample_learners.h"

namespace covey::cohorts {
namespace {

double sum_of(const std::vector<double>& score, std::size_t columns,
              const std::vector<std::size_t>& match) {
  double sum = 0;
  for (std::size_t r = 0; r < match.size(); ++r) sum += score[r * columns + match[r]];
  return sum;
}

struct Table {
  const char* what;
  std::size_t rows, columns;
  std::vector<double> score;
  std::vector<std::size_t> expected;
};

// Goal: matchings whose answer can be seen.
TEST(Matching, KnownTables) {
  const Table kCases[] = {
      {"each its own", 3, 3, {9, 0, 0, 0, 9, 0, 0, 0, 9}, {0, 1, 2}},
      {"nothing to match", 0, 0, {}, {}},
      {"one", 1, 1, {-5}, {0}},
      {"greed loses: 8 + 7 beats 9 + 1", 2, 2, {9, 8, 7, 1}, {1, 0}},
      {"a free column is better", 2, 3, {5, 1, 2, 5, 1, 4}, {0, 2}},
      {"all negative", 2, 2, {-1, -2, -3, -9}, {1, 0}},
  };
  for (const Table& c : kCases)
    EXPECT_EQ(best_matching(c.score, c.rows, c.columns), c.expected) << c.what;
}

// Goal: no permutation does better, on random tables with many ties.
TEST(Matching, NoPermutationDoesBetter) {
  for (const std::uint64_t seed : given::seeds(300)) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    Random random(seed);
    const std::size_t rows = 1 + random.below(5), columns = rows + random.below(3);
    std::vector<double> score(rows * columns);
    for (double& s : score) s = static_cast<double>(random.below(10)) - 4;
    const auto match = best_matching(score, rows, columns);
    EXPECT_EQ(std::set<std::size_t>(match.begin(), match.end()).size(), rows);
    std::vector<std::size_t> order(columns);
    std::iota(order.begin(), order.end(), 0);
    double best = -1e9;
    do {
      best = std::max(best,
                      sum_of(score, columns,
                             {order.begin(), order.begin() + static_cast<std::ptrdiff_t>(rows)}));
    } while (std::next_permutation(order.begin(), order.end()));
    EXPECT_EQ(sum_of(score, columns, match), best);
  }
}

}  // namespace
}  // namespace covey::cohorts

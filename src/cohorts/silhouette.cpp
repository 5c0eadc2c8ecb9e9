#include "cohorts/silhouette.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/result.h"

namespace covey::cohorts {
namespace {

constexpr std::size_t kRowsPerTask = 64;

// Sum of distances from `x` to the points [begin, end) of `sorted`.
double distances(const Points& sorted, std::size_t begin, std::size_t end,
                 const std::array<float, kDims>& x) {
  const auto column = sorted.columns();
  const float *c0 = column[0], *c1 = column[1], *c2 = column[2], *c3 = column[3], *c4 = column[4];
  float lane[kLanes] = {};
  std::size_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      const float d0 = c0[i + l] - x[0], d1 = c1[i + l] - x[1], d2 = c2[i + l] - x[2],
                  d3 = c3[i + l] - x[3], d4 = c4[i + l] - x[4];
      lane[l] += std::sqrt(d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4);
    }
  }
  double sum = 0;
  for (const float l : lane) sum += static_cast<double>(l);
  for (; i < end; ++i) {
    const float d0 = c0[i] - x[0], d1 = c1[i] - x[1], d2 = c2[i] - x[2], d3 = c3[i] - x[3],
                d4 = c4[i] - x[4];
    sum += static_cast<double>(std::sqrt(d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4));
  }
  return sum;
}

}  // namespace

Silhouette silhouette(const Points& points, std::span<const std::uint8_t> label, unsigned k,
                      Parallel& parallel) {
  const std::size_t n = points.size();
  COVEY_CHECK(label.size() == n);
  COVEY_CHECK(k >= 1 && k <= kCenters);
  // By cohort, so that the inner loop runs over neighbours of one kind.
  std::array<std::size_t, kCenters + 1> first{};
  for (const std::uint8_t l : label) ++first[l + 1u];
  for (std::size_t j = 0; j < kCenters; ++j) first[j + 1] += first[j];
  std::vector<std::uint32_t> order(n);
  auto next = first;
  for (std::size_t i = 0; i < n; ++i) order[next[label[i]]++] = static_cast<std::uint32_t>(i);
  const Points sorted = gather(points, order);

  std::vector<double> width(n);
  parallel.run(tasks_for(n, kRowsPerTask), [&](std::size_t task) {
    const std::size_t end = std::min(n, (task + 1) * kRowsPerTask);
    for (std::size_t i = task * kRowsPerTask; i < end; ++i) {
      const auto x = sorted.at(i);
      const std::uint8_t mine = label[order[i]];
      const std::size_t peers = first[mine + 1u] - first[mine];
      if (peers < 2) continue;
      double own = 0, other = -1;
      for (unsigned j = 0; j < k; ++j) {
        const std::size_t members = first[j + 1] - first[j];
        if (members == 0) continue;
        const double sum = distances(sorted, first[j], first[j + 1], x);
        if (j == mine) {
          own = sum / static_cast<double>(peers - 1);
        } else if (const double mean = sum / static_cast<double>(members);
                   other < 0 || mean < other) {
          other = mean;
        }
      }
      const double larger = std::max(own, other);
      width[i] = other >= 0 && larger > 0 ? (other - own) / larger : 0;
    }
  });

  Silhouette result;
  double all = 0;
  for (unsigned j = 0; j < k; ++j) {
    double sum = 0;
    for (std::size_t i = first[j]; i < first[j + 1]; ++i) sum += width[i];
    if (first[j + 1] > first[j])
      result.of_cohort[j] = sum / static_cast<double>(first[j + 1] - first[j]);
    all += sum;
  }
  if (n > 0) result.mean = all / static_cast<double>(n);
  return result;
}

}  // namespace covey::cohorts

#include "cohorts/stability.h"

#include <algorithm>
#include <vector>

#include "base/result.h"

namespace covey::cohorts {
namespace {

constexpr std::size_t kResample = 4'096;

}  // namespace

std::array<double, kCenters> stability(const Points& points, std::span<const std::uint8_t> label,
                                       unsigned k, unsigned bootstraps, unsigned starts,
                                       const Random& random, Kernel kernel, Parallel& parallel) {
  const std::size_t n = points.size();
  COVEY_CHECK(label.size() == n);
  struct Best {
    std::array<double, kCenters> jaccard{};
    std::array<bool, kCenters> drawn{};
  };
  std::vector<Best> found(bootstraps);
  parallel.run(bootstraps, [&](std::size_t b) {
    Serial serial;
    Random mine = random.fork("resample", b);
    std::vector<std::uint32_t> index(std::min(n, kResample));
    for (auto& i : index) i = static_cast<std::uint32_t>(mine.below(n));
    std::ranges::sort(index);
    index.erase(std::unique(index.begin(), index.end()), index.end());
    const Points some = gather(points, index);
    const unsigned ks[] = {k};
    const Fit fit = best_fits(some, ks, {.restarts = starts, .points = kResample},
                              mine.fork("starts"), kernel, serial)
                        .front();

    double both[kCenters][kCenters] = {}, before[kCenters] = {}, now[kCenters] = {};
    for (std::size_t i = 0; i < index.size(); ++i) {
      const std::uint8_t was = label[index[i]], is = fit.label[i];
      ++both[was][is];
      ++before[was];
      ++now[is];
    }
    for (unsigned j = 0; j < k; ++j) {
      found[b].drawn[j] = before[j] > 0;
      for (unsigned other = 0; other < k; ++other)
        if (both[j][other] > 0)
          found[b].jaccard[j] = std::max(
              found[b].jaccard[j], both[j][other] / (before[j] + now[other] - both[j][other]));
    }
  });

  std::array<double, kCenters> mean{};
  for (unsigned j = 0; j < k; ++j) {
    double drawn = 0;
    for (const Best& best : found) {
      mean[j] += best.jaccard[j];
      drawn += best.drawn[j];
    }
    if (drawn > 0) mean[j] /= drawn;
  }
  return mean;
}

}  // namespace covey::cohorts

#include "cohorts/kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/result.h"

namespace covey::cohorts {
namespace {

// A task of eight chunks is some 50 us: long beside a thread's wake-up, short beside a pass.
constexpr std::size_t kChunksPerTask = 8;
// Squared distance, beside 1 + |x|^2, that scores in f32 can surely tell from none. A center moved
// less far than that could be told to move again for ever.
constexpr double kTellable = 1e-6;

double about_means(double squares, const Totals& totals, unsigned k) {
  double between = 0;
  for (unsigned j = 0; j < k; ++j) {
    if (totals.count[j] == 0) continue;
    double norm = 0;
    for (std::size_t d = 0; d < kDims; ++d) norm += totals.sum[j][d] * totals.sum[j][d];
    between += norm / static_cast<double>(totals.count[j]);
  }
  return std::max(0.0, squares - between);
}

double squared_distance(const std::array<float, kDims>& a, const float* b) {
  double sum = 0;
  for (std::size_t d = 0; d < kDims; ++d) {
    const double delta = static_cast<double>(a[d]) - static_cast<double>(b[d]);
    sum += delta * delta;
  }
  return sum;
}

// Moves every empty center to the point farthest from where it would be served, the first such
// point on a tie. False where all remaining points sit on a center, as far as f32 can tell.
bool refill(const Points& points, const Totals& totals, const Centers& before, unsigned k,
            const std::uint8_t* label, std::array<std::array<double, kDims>, kCenters>& at) {
  const std::size_t n = points.size();
  std::vector<double> distance(n);
  for (std::size_t i = 0; i < n; ++i)
    distance[i] = squared_distance(points.at(i), before.at[label[i]]);
  for (unsigned j = 0; j < k; ++j) {
    if (totals.count[j] != 0) continue;
    const auto farthest = static_cast<std::size_t>(
        std::max_element(distance.begin(), distance.end()) - distance.begin());
    const auto here = points.at(farthest);
    constexpr float kOrigin[kDims] = {};
    if (!(distance[farthest] > kTellable * (1 + squared_distance(here, kOrigin)))) return false;
    for (std::size_t d = 0; d < kDims; ++d) at[j][d] = static_cast<double>(here[d]);
    for (std::size_t i = 0; i < n; ++i)
      distance[i] = std::min(distance[i], squared_distance(points.at(i), here.data()));
  }
  return true;
}

// Squared distances of all points to one of them, capped by `nearest`; block sums of sixteen.
double potential(const Points& points, std::size_t candidate, const float* nearest, float* result,
                 double* block_sum) {
  const auto c = points.at(candidate);
  const auto x = points.columns();
  const std::size_t n = points.size();
  double total = 0;
  for (std::size_t begin = 0; begin < n; begin += kLanes) {
    const std::size_t end = std::min(n, begin + kLanes);
    const auto cap = [&](std::size_t i) {
      float sum = 0;
      for (std::size_t d = 0; d < kDims; ++d) {
        const float delta = x[d][i] - c[d];
        sum += delta * delta;
      }
      result[i] = sum < nearest[i] ? sum : nearest[i];
    };
    if (end - begin == kLanes) {  // a number of turns the compiler knows
      for (std::size_t lane = 0; lane < kLanes; ++lane) cap(begin + lane);
    } else {
      for (std::size_t i = begin; i < end; ++i) cap(i);
    }
    double sum[4] = {};
    by_lane(begin, end,
            [&](std::size_t lane, std::size_t i) { sum[lane] += static_cast<double>(result[i]); });
    const double block = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    block_sum[begin / kLanes] = block;
    total += block;
  }
  return total;
}

struct Start {
  Centers centers{};
  double inertia = std::numeric_limits<double>::infinity();
};

}  // namespace

Centers make_centers(const std::array<std::array<double, kDims>, kCenters>& at, unsigned k) {
  Centers result{};
  for (unsigned j = 0; j < k; ++j) {
    double norm = 0;
    for (std::size_t d = 0; d < kDims; ++d) {
      const auto c = static_cast<float>(at[j][d]);
      result.at[j][d] = c;
      norm += static_cast<double>(c) * static_cast<double>(c);
    }
    result.half_norm[j] = static_cast<float>(norm / 2);
  }
  return result;
}

Totals pass(const Points& points, const Centers& centers, unsigned k, std::uint8_t* label,
            Kernel kernel, Parallel& parallel) {
  COVEY_CHECK(k >= 1 && k <= kCenters);
  const std::size_t n = points.size();
  const std::size_t chunks = tasks_for(n, kChunk);
  std::vector<Totals> part(chunks);
  parallel.run(tasks_for(chunks, kChunksPerTask), [&](std::size_t task) {
    LaneSums lanes;
    const std::size_t last = std::min(chunks, (task + 1) * kChunksPerTask);
    for (std::size_t c = task * kChunksPerTask; c < last; ++c) {
      const std::size_t begin = c * kChunk;
      const auto columns = points.columns(begin);
      part[c].changed =
          kernel(columns.data(), std::min(kChunk, n - begin), centers, k, label + begin, lanes);
      for (unsigned j = 0; j < k; ++j) {
        part[c].count[j] = lanes.count[j];
        for (std::size_t d = 0; d < kDims; ++d)
          for (std::size_t lane = 0; lane < kLanes; ++lane)
            part[c].sum[j][d] += static_cast<double>(lanes.sum[j][d][lane]);
      }
    }
  });
  Totals result;
  for (const Totals& p : part) {
    result.changed += p.changed;
    for (unsigned j = 0; j < k; ++j) {
      result.count[j] += p.count[j];
      for (std::size_t d = 0; d < kDims; ++d) result.sum[j][d] += p.sum[j][d];
    }
  }
  return result;
}

double inertia(const Points& points, const Centers& centers, const std::uint8_t* label,
               Parallel& parallel) {
  const std::size_t chunks = tasks_for(points.size(), kChunk);
  std::vector<double> part(chunks);
  parallel.run(chunks, [&](std::size_t c) {
    const std::size_t begin = c * kChunk, end = std::min(points.size(), begin + kChunk);
    double sum[4] = {};
    by_lane(begin, end, [&](std::size_t lane, std::size_t i) {
      sum[lane] += squared_distance(points.at(i), centers.at[label[i]]);
    });
    part[c] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  });
  double sum = 0;
  for (const double p : part) sum += p;
  return sum;
}

Fit lloyd(const Points& points, double squares, const Centers& start, unsigned k,
          const Limits& limits, Kernel kernel, Parallel& parallel) {
  Fit fit;
  fit.k = k;
  fit.centers = start;
  fit.label.assign(points.size(), std::uint8_t{0xff});
  double before = std::numeric_limits<double>::infinity();
  for (;;) {
    fit.totals = pass(points, fit.centers, k, fit.label.data(), kernel, parallel);
    fit.inertia = about_means(squares, fit.totals, k);
    ++fit.passes;
    if (fit.passes >= limits.passes_max) break;

    std::array<std::array<double, kDims>, kCenters> at{};
    bool full = true;
    for (unsigned j = 0; j < k; ++j) {
      full = full && fit.totals.count[j] != 0;
      const auto members = static_cast<double>(fit.totals.count[j]);
      for (std::size_t d = 0; d < kDims; ++d)
        at[j][d] = fit.totals.count[j] != 0 ? fit.totals.sum[j][d] / members
                                            : static_cast<double>(fit.centers.at[j][d]);
    }
    if (full) {
      if (fit.totals.changed == 0) break;
      if (limits.tolerance > 0 && before - fit.inertia <= limits.tolerance * fit.inertia) break;
    } else if (!refill(points, fit.totals, fit.centers, k, fit.label.data(), at)) {
      if (fit.totals.changed == 0) break;
    }
    before = full ? fit.inertia : std::numeric_limits<double>::infinity();
    fit.centers = make_centers(at, k);
  }
  return fit;
}

Centers seed_centers(const Points& points, unsigned k, Random& random) {
  const std::size_t n = points.size();
  COVEY_CHECK(n > 0);
  const auto trials = 2 + static_cast<unsigned>(std::log(static_cast<double>(k)));
  const std::size_t blocks = tasks_for(n, kLanes);
  std::vector<float> nearest(n, std::numeric_limits<float>::max()), tried(n), best(n);
  std::vector<double> block_sum(blocks), tried_sum(blocks), best_sum(blocks);
  std::array<std::array<double, kDims>, kCenters> at{};

  const auto draw_one = [&](double total) -> std::size_t {
    if (!(total > 0)) return random.below(n);
    double rest = random.uniform() * total;
    std::size_t block = 0;
    while (block + 1 < blocks && rest >= block_sum[block]) rest -= block_sum[block++];
    std::size_t i = block * kLanes;
    const std::size_t end = std::min(n, i + kLanes);
    while (i + 1 < end && rest >= static_cast<double>(nearest[i]))
      rest -= static_cast<double>(nearest[i++]);
    return i;
  };

  double total = 0;
  for (unsigned j = 0; j < k; ++j) {
    std::size_t chosen = 0;
    double chosen_potential = std::numeric_limits<double>::infinity();
    for (unsigned t = 0; t < (j == 0 ? 1 : trials); ++t) {
      const std::size_t candidate = draw_one(total);
      const double p = potential(points, candidate, nearest.data(), tried.data(), tried_sum.data());
      if (p < chosen_potential) {
        chosen = candidate;
        chosen_potential = p;
        best.swap(tried);
        best_sum.swap(tried_sum);
      }
    }
    nearest.swap(best);
    block_sum.swap(best_sum);
    total = chosen_potential;
    const auto here = points.at(chosen);
    for (std::size_t d = 0; d < kDims; ++d) at[j][d] = static_cast<double>(here[d]);
  }
  return make_centers(at, k);
}

std::vector<Fit> best_fits(const Points& points, std::span<const unsigned> ks,
                           const StartPlan& plan, const Random& random, Kernel kernel,
                           Parallel& parallel) {
  const std::size_t n = points.size();
  const bool small = n <= plan.points;
  const double squares = sum_of_squares(points, parallel);

  std::vector<Start> starts(ks.size() * plan.restarts);
  parallel.run(starts.size(), [&](std::size_t task) {
    const unsigned k = ks[task / plan.restarts];
    const std::size_t r = task % plan.restarts;
    Serial serial;
    Random mine = random.fork("start", k * 1'000'000 + r);
    Start& start = starts[task];
    if (small) {
      const Fit fit = lloyd(points, squares, seed_centers(points, k, mine), k, {}, kernel, serial);
      start = {fit.centers, fit.inertia};
      return;
    }
    const Points some = gather(points, draw(n, plan.points, mine.fork("draw")));
    const Fit rough = lloyd(some, sum_of_squares(some, serial), seed_centers(some, k, mine), k,
                            {.passes_max = 40, .tolerance = 1e-4}, kernel, serial);
    const Fit all = lloyd(points, squares, rough.centers, k, {.passes_max = 1}, kernel, serial);
    start = {rough.centers, all.inertia};
  });

  const std::size_t finalists = small ? 1 : std::min<std::size_t>(plan.finalists, plan.restarts);
  std::vector<Fit> finals(ks.size() * finalists);
  std::vector<std::vector<std::size_t>> order(ks.size());
  for (std::size_t a = 0; a < ks.size(); ++a) {
    order[a].resize(plan.restarts);
    for (std::size_t r = 0; r < plan.restarts; ++r) order[a][r] = a * plan.restarts + r;
    std::ranges::stable_sort(order[a], {}, [&](std::size_t s) { return starts[s].inertia; });
  }
  parallel.run(finals.size(), [&](std::size_t task) {
    Serial serial;
    const std::size_t a = task / finalists;
    finals[task] = lloyd(points, squares, starts[order[a][task % finalists]].centers, ks[a],
                         {.passes_max = 300, .tolerance = small ? 0.0 : 1e-7}, kernel, serial);
  });

  std::vector<Fit> result(ks.size());
  for (std::size_t a = 0; a < ks.size(); ++a) {
    std::size_t best = a * finalists;
    for (std::size_t f = 1; f < finalists; ++f)
      if (finals[a * finalists + f].inertia < finals[best].inertia) best = a * finalists + f;
    result[a] = std::move(finals[best]);
  }
  return result;
}

}  // namespace covey::cohorts

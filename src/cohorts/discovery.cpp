#include "cohorts/discovery.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "cohorts/archetypes.h"
#include "cohorts/discover_with.h"
#include "cohorts/kmeans.h"
#include "cohorts/points.h"
#include "cohorts/previous.h"
#include "cohorts/rand_index.h"
#include "cohorts/silhouette.h"
#include "cohorts/stability.h"

namespace covey::cohorts {
namespace {

constexpr std::size_t kLearnersMin = 30;
constexpr std::size_t kLearnersPerCohort = 10;
constexpr double kShareMin = 0.01;
// Silhouettes closer than this are a tie, which goes to the smaller k.
constexpr double kSilhouetteTie = 1e-9;
// Between the sample and all learners, a level of this many times the sample's size saves most of
// the passes over everyone.
constexpr std::size_t kLevel = 16;
// On huge data assignments trickle on for hundreds of passes after the cohorts stand still.
constexpr Limits kHugeLimits{.passes_max = 100, .tolerance = 1e-7};
constexpr unsigned kBootstrapStarts = 8;

class Stopwatch {
 public:
  explicit Stopwatch(const Clock& clock) : clock_(clock), start_(clock.now()) {}
  double lap_ms() {
    const auto now = clock_.now();
    const std::chrono::duration<double, std::milli> lap = now - start_;
    start_ = now;
    return lap.count();
  }

 private:
  const Clock& clock_;
  std::chrono::nanoseconds start_;
};

// What the starts found on the sample, and which k to try first.
struct Choice {
  std::vector<Fit> fits;
  std::vector<double> silhouette;
  std::vector<bool> large_enough;  // by the sample's shares
};

bool large_enough(const Totals& totals, unsigned k, std::size_t counted, std::size_t learners) {
  const double least =
      std::max(static_cast<double>(kLearnersPerCohort), kShareMin * static_cast<double>(learners));
  const double each = static_cast<double>(learners) / static_cast<double>(counted);
  for (unsigned j = 0; j < k; ++j)
    if (static_cast<double>(totals.count[j]) * each < least) return false;
  return true;
}

bool none_empty(const Totals& totals, unsigned k) {
  return std::all_of(totals.count.begin(), totals.count.begin() + k,
                     [](std::uint64_t c) { return c > 0; });
}

// Positions in `choice` in the order to be tried: by silhouette where all cohorts are large
// enough, then, for want of those, from the smallest k.
std::vector<std::size_t> preference(const Choice& choice) {
  std::vector<std::size_t> order;
  std::vector<bool> used(choice.fits.size());
  for (;;) {
    std::optional<std::size_t> best;
    for (std::size_t a = 0; a < choice.fits.size(); ++a) {
      if (used[a] || !choice.large_enough[a]) continue;
      if (!best || choice.silhouette[a] > choice.silhouette[*best] + kSilhouetteTie) best = a;
    }
    if (!best) break;
    used[*best] = true;
    order.push_back(*best);
  }
  return order;
}

std::vector<std::uint8_t> labels_at(const std::vector<std::uint8_t>& label,
                                    const std::vector<std::uint32_t>& index) {
  std::vector<std::uint8_t> result(index.size());
  for (std::size_t i = 0; i < index.size(); ++i) result[i] = label[index[i]];
  return result;
}

// Every learner's cohort, from centroids that already fit the sample.
Fit fit_everyone(const Points& points, double squares, const Points& sample, const Fit& start,
                 const Random& random, Kernel kernel, Parallel& parallel) {
  const std::size_t n = points.size(), m = sample.size();
  if (n == m) return lloyd(points, squares, start.centers, start.k, {}, kernel, parallel);
  Centers centers = start.centers;
  if (n > kLevel * m) {
    const Points level = gather(points, draw(n, kLevel * m, random.fork("level")));
    centers = lloyd(level, sum_of_squares(level, parallel), centers, start.k, kHugeLimits, kernel,
                    parallel)
                  .centers;
  }
  return lloyd(points, squares, centers, start.k, kHugeLimits, kernel, parallel);
}

/// `before` counts those ahead of each chunk, and all at its end.
std::vector<learners::LearnerRef> members_of(const learners::TraitColumns& columns,
                                             std::span<const std::size_t> before,
                                             Parallel& parallel) {
  if (before.back() == columns.size()) return columns.learner;
  std::vector<learners::LearnerRef> result(before.back());
  parallel.run(before.size() - 1, [&](std::size_t c) {
    std::size_t i = c * kChunk;
    for (std::size_t at = before[c]; at < before[c + 1]; ++i) {
      result[at] = columns.learner[i];
      at += columns.clusterable[i];
    }
  });
  return result;
}

}  // namespace

std::vector<std::string> Options::validate() const {
  std::vector<std::string> faults;
  const auto within = [&](std::string_view what, std::uint64_t value, std::uint64_t low,
                          std::uint64_t high) {
    if (value < low || value > high)
      faults.push_back(fmt::format("{} is {}; it must be {} to {}", what, value, low, high));
  };
  if (k) within("k", *k, kCohortsMin, kCohortsMax);
  within("restarts", restarts, 1, 1'000);
  within("sample", sample, 100, 1'000'000);
  within("silhouette_sample", silhouette_sample, 50, 50'000);
  within("bootstraps", bootstraps, 1, 1'000);
  return faults;
}

std::uint32_t Model::assign(const learners::Traits& traits) const {
  COVEY_CHECK(!centroid.empty() && centroid.size() <= kCenters);
  std::array<std::array<double, kDims>, kCenters> at{};
  for (std::size_t j = 0; j < centroid.size(); ++j)
    for (std::size_t d = 0; d < kDims; ++d) at[j][d] = static_cast<double>(centroid[j][d]);
  const auto k = static_cast<unsigned>(centroid.size());
  const Centers centers = make_centers(at, k);
  const auto factor = coordinate_factor(scale);
  float point[kDims];
  for (std::size_t d = 0; d < kDims; ++d) {
    // Columns hold traits as f32; rounding here too makes a member's answer the label it got.
    const auto trait = static_cast<float>(traits.*learners::kTraitFields[d]);
    point[d] = static_cast<float>((static_cast<double>(trait) - mean[d]) * factor[d]);
  }
  return nearest(point, centers, k);
}

Result<Discovery> discover(const learners::TraitColumns& columns, const Options& options,
                           const Previous* previous,
                           const std::function<std::uint64_t(std::size_t)>& key_of,
                           Parallel& parallel, const Clock& clock) {
  return discover_with(best_kernel(), columns, options, previous, key_of, parallel, clock);
}

Result<Discovery> discover_with(Kernel kernel, const learners::TraitColumns& columns,
                                const Options& options, const Previous* previous,
                                const std::function<std::uint64_t(std::size_t)>& key_of,
                                Parallel& parallel, const Clock& clock) {
  if (const auto faults = options.validate(); !faults.empty())
    return fail(Errc::kRejected, fmt::format("discovery options: {}", fmt::join(faults, "; ")));
  COVEY_CHECK(columns.clusterable.size() == columns.size());
  for (const auto& trait : columns.trait) COVEY_CHECK(trait.size() == columns.size());

  Stopwatch total(clock), watch(clock);
  const Random random(options.seed);
  Discovery result;
  result.as_of = columns.as_of;
  result.seed = options.seed;
  result.next_id = previous ? previous->next_id : 1;

  // Where learners stand.
  const Standardised standard = standardise(columns, parallel);
  const Points& points = standard.points;
  const std::size_t n = points.size();
  result.learners = n;
  result.model.mean = standard.mean;
  result.model.scale = standard.scale;
  const auto without_cohorts = [&] {
    result.timing.total_ms = total.lap_ms();
    return std::move(result);
  };
  std::vector<unsigned> ks;
  for (unsigned k = options.k.value_or(kCohortsMin); k <= options.k.value_or(kCohortsMax); ++k)
    if (n >= kLearnersPerCohort * k) ks.push_back(k);
  if (n < kLearnersMin || ks.empty()) return without_cohorts();
  result.timing.cluster_ms = watch.lap_ms();

  // How many cohorts, on a sample.
  const auto sample_index = draw(n, options.sample, random.fork("sample"));
  const std::size_t m = sample_index.size();
  Points gathered;
  if (m < n) gathered = gather(points, sample_index);
  const Points& sample = m < n ? gathered : points;
  const auto silhouette_index = draw(m, options.silhouette_sample, random.fork("silhouette"));
  const Points silhouette_points = gather(sample, silhouette_index);

  Choice choice;
  // Few learners leave k-means in poor minima more often (357 real ones: 1.002 of the best at 50
  // starts), and cost little: they get up to eight times the starts.
  const auto starts = static_cast<unsigned>(
      options.restarts *
      std::clamp<std::size_t>(options.sample / std::max<std::size_t>(sample.size(), 1), 1, 8));
  choice.fits =
      best_fits(sample, ks, {.restarts = starts}, random.fork("kmeans"), kernel, parallel);
  std::vector<std::size_t> order = {0};
  if (!options.k) {
    for (const Fit& fit : choice.fits) {
      choice.large_enough.push_back(large_enough(fit.totals, fit.k, m, n));
      choice.silhouette.push_back(choice.large_enough.back()
                                      ? silhouette(silhouette_points,
                                                   labels_at(fit.label, silhouette_index), fit.k,
                                                   parallel)
                                            .mean
                                      : -1);
    }
    order = preference(choice);
  }
  result.timing.choose_k_ms = watch.lap_ms();

  // Everyone.
  const double squares = sum_of_squares(points, parallel);
  const auto fit_all = [&](std::size_t a) {
    return fit_everyone(points, squares, sample, choice.fits[a], random, kernel, parallel);
  };
  Fit fit;
  bool found = false;
  for (std::size_t a = 0; a < order.size() && !found; ++a) {
    fit = fit_all(order[a]);
    // An explicit k is taken as asked for, as long as every cohort has someone.
    found = options.k ? none_empty(fit.totals, fit.k) : large_enough(fit.totals, fit.k, n, n);
  }
  for (std::size_t a = 0; a < choice.fits.size() && !found && !options.k; ++a) {
    fit = fit_all(a);
    found = none_empty(fit.totals, fit.k);
  }
  // Fewer kinds of learners than cohorts: whatever was split would be split at random.
  if (!found) return without_cohorts();
  const unsigned k = fit.k;
  result.k = k;
  result.inertia = inertia(points, fit.centers, fit.label.data(), parallel);
  result.timing.cluster_ms += watch.lap_ms();

  // Which cohort is which: ids from the run before, then new ones by size.
  std::vector<std::size_t> by_size(k);
  std::iota(by_size.begin(), by_size.end(), 0);
  std::ranges::stable_sort(by_size, std::greater<>{},
                           [&](std::size_t j) { return fit.totals.count[j]; });
  std::vector<std::uint32_t> id(k);
  if (previous) {
    const Overlap shared =
        overlap(*previous, columns.clusterable, standard.before, fit.label, key_of, parallel);
    id = inherit_ids(shared, previous->id, k);
    result.adjusted_rand_index = adjusted_rand_index(shared);
  }
  for (const std::size_t j : by_size)
    if (id[j] == 0) id[j] = result.next_id++;
  std::ranges::sort(by_size, [&](std::size_t a, std::size_t b) {
    if (fit.totals.count[a] != fit.totals.count[b])
      return fit.totals.count[a] > fit.totals.count[b];
    return id[a] < id[b];
  });
  std::array<std::uint8_t, 256> rank{};
  for (std::size_t j = 0; j < k; ++j) rank[by_size[j]] = static_cast<std::uint8_t>(j);
  parallel.run(tasks_for(n, kChunk), [&](std::size_t c) {
    const std::size_t end = std::min(n, (c + 1) * kChunk);
    for (std::size_t i = c * kChunk; i < end; ++i) fit.label[i] = rank[fit.label[i]];
  });
  result.learner = members_of(columns, standard.before, parallel);
  result.label = std::move(fit.label);

  // How good they are, and what to call them.
  const Silhouette width =
      silhouette(silhouette_points,
                 labels_at(labels_at(result.label, sample_index), silhouette_index), k, parallel);
  result.silhouette = width.mean;
  const auto stable = stability(sample, labels_at(result.label, sample_index), k,
                                options.bootstraps, std::min(options.restarts, kBootstrapStarts),
                                random.fork("stability"), kernel, parallel);
  const auto factor = coordinate_factor(standard.scale);
  std::vector<Standing> standing(k);
  std::vector<learners::Traits> mean(k);
  for (std::size_t j = 0; j < k; ++j) {
    const std::size_t old = by_size[j];
    auto& centroid = result.model.centroid.emplace_back();
    for (std::size_t d = 0; d < kDims; ++d) {
      centroid[d] = fit.centers.at[old][d];
      const double coordinate = fit.totals.sum[old][d] / static_cast<double>(fit.totals.count[old]);
      standing[j][d] = coordinate / std::sqrt(kWeights[d]);
      mean[j].*learners::kTraitFields[d] =
          std::clamp(standard.mean[d] + coordinate / factor[d], 0.0, 1.0);
    }
  }
  const auto archetypes = name_cohorts(standing);
  const auto sentences = describe_all(mean, standing);
  for (std::size_t j = 0; j < k; ++j) {
    const std::uint64_t size = fit.totals.count[by_size[j]];
    result.cohorts.push_back({.id = id[by_size[j]],
                              .archetype = archetypes[j],
                              .size = size,
                              .share = static_cast<double>(size) / static_cast<double>(n),
                              .centroid = mean[j],
                              .silhouette = width.of_cohort[j],
                              .stability = stable[j],
                              .sentence = sentences[j]});
  }
  result.timing.quality_ms = watch.lap_ms();
  result.timing.total_ms = total.lap_ms();
  return result;
}

}  // namespace covey::cohorts

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/parallel.h"
#include "base/result.h"
#include "learners/engine.h"

namespace covey::cohorts {

enum class Archetype : std::uint8_t {
  kFastLearner,
  kSpecialist,
  kPowerUser,
  kLongTermRetainer,
  kGeneralist,
};
inline constexpr std::size_t kArchetypes = 5;
std::string_view name(Archetype archetype);  ///< "Fast Learner", ...

/// Weights of the traits in the distance; docs/cohorts.md.
inline constexpr std::array<double, learners::kTraits> kWeights = {0.30, 0.25, 0.15, 0.15, 0.15};

inline constexpr std::uint32_t kCohortsMin = 3;
inline constexpr std::uint32_t kCohortsMax = 8;

struct Options {
  std::optional<std::uint32_t> k;  ///< none: found by silhouette among 3..8
  std::uint64_t seed = 1;
  std::uint32_t restarts = 50;    ///< k-means++ starts per k, on the sample
  std::uint32_t sample = 20'000;  ///< learners the starts run on; all if fewer
  std::uint32_t silhouette_sample = 2'000;
  std::uint32_t bootstraps = 20;              ///< resamplings behind `stability`
  std::vector<std::string> validate() const;  ///< every fault, in words
};

/// The yardstick of a run: a learner's cohort is the nearest centroid in weighted, standardised
/// space. Small enough to assign one learner on the request path.
struct Model {
  std::array<double, learners::kTraits> mean{};
  std::array<double, learners::kTraits> scale{};  ///< population standard deviation; 1 where 0
  /// k x kTraits, row-major: centroids of (trait - mean) / scale * sqrt(weight).
  std::vector<std::array<float, learners::kTraits>> centroid;
  /// Index of the nearest centroid; ties go to the lower index. COVEY_CHECKs k > 0.
  std::uint32_t assign(const learners::Traits& traits) const;
};

struct Cohort {
  std::uint32_t id = 0;  ///< stable across runs: matched to the run before by shared members
  Archetype archetype = Archetype::kGeneralist;
  std::uint64_t size = 0;
  double share = 0;           ///< of the clustered learners
  learners::Traits centroid;  ///< mean traits of the members, each in [0,1]
  double silhouette = 0;      ///< mean over the sampled members
  double stability = 0;       ///< mean best Jaccard similarity over bootstraps (Hennig 2007)
  std::string sentence;       ///< what its learners do, for a product manager
};

struct Timing {
  double traits_ms = 0, choose_k_ms = 0, cluster_ms = 0, quality_ms = 0, total_ms = 0;
};

/// One run's result, immutable once published.
struct Discovery {
  Time as_of{};
  std::uint64_t learners = 0;  ///< clustered: state active
  std::uint32_t k = 0;         ///< 0: too few learners for cohorts; `cohorts` is empty
  std::uint64_t seed = 0;
  double inertia = 0;  ///< sum of squared distances in the model's space
  double silhouette = 0;
  std::optional<double> adjusted_rand_index;  ///< against the run before, over shared members
  std::uint32_t next_id = 1;                  ///< the id the next new cohort will get
  Model model;
  std::vector<Cohort> cohorts;                ///< by size, largest first; index = label
  std::vector<learners::LearnerRef> learner;  ///< every clustered learner
  std::vector<std::uint8_t> label;            ///< its cohort: index into `cohorts`
  Timing timing;
};

/// The run before, as far as the next one needs it: label per learner, by a key that outlives the
/// engine (hash64 of the learner id).
struct Previous {
  std::vector<std::uint64_t> learner;  ///< sorted
  std::vector<std::uint8_t> label;     ///< index into `id`
  std::vector<std::uint32_t> id;       ///< cohort id by label
  std::uint32_t next_id = 1;
};

/// Finds the cohorts. `key_of(i)` is hash64 of the id of learner i of `columns`; called only when
/// there is a `previous`. The same columns, options and previous give the same result bit by bit
/// for any width of `parallel` and on any instruction set. Fewer than 30 clusterable learners (or
/// fewer than 10 k) give k = 0. Errors: kRejected, options.
Result<Discovery> discover(const learners::TraitColumns& columns, const Options& options,
                           const Previous* previous,
                           const std::function<std::uint64_t(std::size_t)>& key_of,
                           Parallel& parallel, const Clock& clock);

/// What the next run needs of this one. `key_of` as above but by LearnerRef.
Previous remember(const Discovery& run,
                  const std::function<std::uint64_t(learners::LearnerRef)>& key_of);

/// Bytes for the store; decode trusts none of them (kCorrupt).
std::string encode(const Previous& previous);
Result<Previous> decode_previous(std::string_view bytes);

}  // namespace covey::cohorts

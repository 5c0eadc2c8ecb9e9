#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "base/time.h"
#include "cohorts/discovery.h"

namespace covey::analyzer {

/// Learners who were in one cohort of the run before and are in one of this. No cohort at all: they
/// were, or are, new, dormant or unheard of.
struct Flow {
  std::optional<std::uint32_t> from, to;  ///< ids of cohorts
  std::uint64_t learners = 0;
  friend bool operator==(const Flow&, const Flow&) = default;
};

/// What stays of a saved run of discovery, so that runs can be compared.
struct PastRun {
  std::uint64_t number = 0;  ///< 1 is the store's first saved run
  Time made{};               ///< the clock's time at its end
  /// A run with the same outcome as the one before it to the last bit, as with a pinned T, is that
  /// one again: counted, with the time of the latest.
  std::uint64_t times = 1;
  Time made_last{};
  Time as_of{};
  std::uint64_t learners = 0;
  std::uint32_t k = 0;
  std::uint64_t seed = 0;
  double inertia = 0;
  double silhouette = 0;
  std::optional<double> adjusted_rand_index;  ///< against the run before
  std::vector<cohorts::Cohort> cohorts;
  std::vector<Flow> flows;  ///< from the run before, by (from, to); empty where there was none
};

inline constexpr std::size_t kRunsKept = 20;
inline constexpr std::string_view kRunsKey = "discovery/runs";

/// Who stayed, moved, came and went between two runs, by (from, to), none last. Both lists are
/// sorted by learner. O(learners).
std::vector<Flow> flows(const cohorts::Previous& before, const cohorts::Previous& after);

/// Puts `run` at the end of the runs kept, or counts it where it is the last one again, and drops
/// the oldest beyond kRunsKept.
void keep_run(std::vector<PastRun>& runs, const cohorts::Discovery& run, std::vector<Flow> from,
              Time made);

/// GET /v1/discoveries: {"runs": [...], "kept": 20}, oldest first.
nlohmann::ordered_json to_json(const std::vector<PastRun>& runs);

/// The value of the note kRunsKey; decode trusts none of its bytes (kCorrupt).
std::string encode(const std::vector<PastRun>& runs);
Result<std::vector<PastRun>> decode_runs(std::string_view bytes);

}  // namespace covey::analyzer

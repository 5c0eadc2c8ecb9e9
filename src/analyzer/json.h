#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cohorts/discovery.h"

namespace covey::analyzer {

/// One cohort as every interface shows it: id, archetype, size, share, centroid (five traits by
/// name), silhouette, stability, sentence, in this order.
nlohmann::ordered_json to_json(const cohorts::Cohort& cohort);

/// A run as `covey discover --json` and GET /v1/cohorts show it: as_of, learners, k, inertia,
/// silhouette, adjusted_rand_index (null where there was no run before), cohorts, timing_ms, in
/// this order. Only timing_ms differs between two runs on the same data.
nlohmann::ordered_json to_json(const cohorts::Discovery& run);

/// JSON text, two spaces deep where `pretty`. Bytes that are not UTF-8 become U+FFFD: foreign names
/// must not make an answer fail.
std::string dump(const nlohmann::ordered_json& json, bool pretty);

}  // namespace covey::analyzer

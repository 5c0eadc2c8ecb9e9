#include "analyzer/json.h"

#include <string>

#include "learners/traits.h"

namespace covey::analyzer {

using nlohmann::ordered_json;

ordered_json to_json(const cohorts::Cohort& cohort) {
  ordered_json centroid = ordered_json::object();
  for (std::size_t i = 0; i < learners::kTraits; ++i) {
    centroid[std::string(learners::kTraitNames[i])] = cohort.centroid.*learners::kTraitFields[i];
  }
  return {{"id", cohort.id},
          {"archetype", cohorts::name(cohort.archetype)},
          {"size", cohort.size},
          {"share", cohort.share},
          {"centroid", std::move(centroid)},
          {"silhouette", cohort.silhouette},
          {"stability", cohort.stability},
          {"sentence", cohort.sentence}};
}

ordered_json to_json(const cohorts::Discovery& run) {
  ordered_json found = ordered_json::array();
  for (const cohorts::Cohort& cohort : run.cohorts) found.push_back(to_json(cohort));
  ordered_json rand_index = nullptr;
  if (run.adjusted_rand_index) rand_index = *run.adjusted_rand_index;
  return {{"as_of", format_time(run.as_of)},
          {"learners", run.learners},
          {"k", run.k},
          {"inertia", run.inertia},
          {"silhouette", run.silhouette},
          {"adjusted_rand_index", std::move(rand_index)},
          {"cohorts", std::move(found)},
          {"timing_ms",
           {{"traits", run.timing.traits_ms},
            {"choose_k", run.timing.choose_k_ms},
            {"cluster", run.timing.cluster_ms},
            {"quality", run.timing.quality_ms},
            {"total", run.timing.total_ms}}}};
}

std::string dump(const ordered_json& json, bool pretty) {
  return json.dump(pretty ? 2 : -1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace covey::analyzer

#pragma once

#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace covey::app {

/// A function of stats/ by its name, as `covey stats` offers it.
struct StatsFunction {
  std::string_view name;
  std::string_view inputs;  ///< for people: the keys of its input
  /// kRejected: an input is missing, of the wrong type, or impossible.
  Result<nlohmann::ordered_json> (*call)(const nlohmann::json& input);
};

const std::vector<StatsFunction>& stats_functions();

/// Answers one line: {"function": NAME, "input": {...}} -> {"status": ..., ...}. Whatever is wrong
/// with it is an answer too: {"status": "bad_input", "message": ...}.
nlohmann::ordered_json answer_stats(std::string_view line);

}  // namespace covey::app

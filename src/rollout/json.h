#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "rollout/driver.h"

namespace covey::rollout {

nlohmann::ordered_json to_json(const Evidence& evidence);
nlohmann::ordered_json to_json(const Decision& decision);
nlohmann::ordered_json to_json(const Effect& effect);

/// An input as the journal keeps it: one line of JSON that input_from_json() reads back equal.
std::string input_to_json(const Input& input);
/// kCorrupt: not what input_to_json() writes. Numbers keep every bit.
Result<Input> input_from_json(std::string_view text);

}  // namespace covey::rollout

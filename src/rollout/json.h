#pragma once

#include <nlohmann/json_fwd.hpp>

#include "rollout/effect.h"

namespace covey::rollout {

nlohmann::ordered_json to_json(const Evidence& evidence);
nlohmann::ordered_json to_json(const Decision& decision);

}  // namespace covey::rollout

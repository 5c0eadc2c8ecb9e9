#pragma once

#include <nlohmann/json.hpp>

#include "plan/plan.h"

namespace covey::control {

using Json = nlohmann::ordered_json;

/// GET /v1/rollout/plan: what the plan says and no input changes, for a page to draw beside the
/// status. Limits are numbers in the unit of their measure (fractions, seconds, counts).
Json calendar(const plan::Plan& plan);

}  // namespace covey::control

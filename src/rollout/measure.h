#pragma once

#include <vector>

#include "rollout/state.h"
#include "telemetry/history.h"

namespace covey::rollout {

/// What is counted for a plan: its segments, and every latency a rule of it names.
telemetry::Shape telemetry_shape(const plan::Plan& plan);

/// Reads off `history` what the core wants to know at `now` of the phase it watches. Slots must
/// have been added up to `now`, as far as they came. Incidents and impacts the core knows itself.
Telemetry measure(const plan::Plan& plan, const State& state, const telemetry::History& history,
                  Time now);

}  // namespace covey::rollout

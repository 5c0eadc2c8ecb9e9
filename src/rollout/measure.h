#pragma once

#include <map>
#include <vector>

#include "rollout/state.h"
#include "telemetry/history.h"

namespace covey::rollout {

/// What is counted for a plan: its segments, and every latency a rule of it names.
telemetry::Shape telemetry_shape(const plan::Plan& plan);

/// An impact on learners as an experiment says it.
struct Impact {
  double estimate = 0;
  stats::Interval interval;  ///< valid at any time
};
using Impacts = std::map<plan::Measure, Impact>;

/// Reads off `history` what the core wants to know at `now` of the phase it watches. Slots must
/// have been added up to `now`, as far as they came.
Telemetry measure(const plan::Plan& plan, const State& state, const telemetry::History& history,
                  const Impacts& impacts, Time now);

}  // namespace covey::rollout

#pragma once

#include <string>
#include <vector>

#include "plan/sample.h"
#include "rehearsal/rehearsal.h"

namespace covey::rehearsal {

/// The whole calendar with slots of a minute in place of five seconds, so that thousands of runs
/// fit into a test. Everything else stays.
inline plan::Plan coarse_plan() {
  plan::Plan plan = plan::platform_plan();
  plan.slot = std::chrono::minutes(1);
  plan.window = std::chrono::minutes(1);
  return plan;
}

/// A decision without what differs between runs that decide alike: a restart says so.
inline std::vector<std::string> decisions_of(const Rehearsed& done) {
  std::vector<std::string> out;
  for (const auto& decision : done.decisions) {
    if (decision.what == "read_back") continue;
    out.push_back(format_time(decision.at) + " " + decision.phase + " " + decision.what + " " +
                  plan::share_text(decision.share) + " " + decision.cause);
  }
  return out;
}

inline const PhaseOutcome& outcome_of(const Rehearsed& done, std::string_view phase) {
  for (const PhaseOutcome& one : done.phases) {
    if (one.name == phase) return one;
  }
  COVEY_CHECK(false && "no such phase");
}

inline const rollout::Decision* decision_of(const Rehearsed& done, std::string_view what) {
  for (const auto& decision : done.decisions) {
    if (decision.what == what) return &decision;
  }
  return nullptr;
}

}  // namespace covey::rehearsal

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "plan/plan.h"
#include "stats/proportion.h"

namespace covey::rollout {

using plan::BasisPoints;
using plan::Duration;
using plan::Severity;

/// What was measured for one rule over one window. Which members count depends on the rule's kind.
struct Measured {
  stats::Count candidate, baseline;         ///< kEvidence: bad requests of all
  std::vector<stats::Count> segments;       ///< segment_spread: the candidate's
  std::optional<double> value;              ///< kGauge: mean level; kImpact: the estimate
  std::optional<stats::Interval> interval;  ///< kImpact, valid at any time
};

/// A criterion over its whole window, and over the sliding one.
struct Reading {
  Measured window, recent;
};

/// What telemetry says at one tick, of the phase whose rules are watched (watched_phase()).
struct Telemetry {
  Duration silence{};                    ///< since the last complete slot ended
  Duration missing{};                    ///< within the phase's window
  std::uint64_t candidate_requests = 0;  ///< begun on the candidate within the last slot
  std::vector<Reading> criteria;         ///< in the order of the plan
  std::vector<Measured> warnings, reactions;
};

// Inputs. Everything the core knows comes through one of these.

struct Tick {
  Telemetry telemetry;
};
struct Approve {
  std::string stage, role, person;
};
struct Override {  ///< stands in for the approvals that are missing
  std::string stage, role, person, reason;
};
struct Command {
  enum class Kind : std::uint8_t { kHold, kResume, kReduce, kAbort, kStart, kReschedule };
  Kind kind = Kind::kHold;
  std::string role, person, reason;
  BasisPoints share = 0;      ///< kReduce
  std::string stage;          ///< kStart, kReschedule
  std::optional<Time> start;  ///< kReschedule; kStart: now if absent
};
struct ReportIncident {
  Severity severity = Severity::kHigh;
  std::string key, title, source;  ///< the same key again is the same incident
};
struct Acknowledge {
  std::uint64_t incident = 0;
  std::string person;
};
struct Resolve {
  std::uint64_t incident = 0;
  std::string person;
};
struct CheckResult {
  std::string stage;
  plan::Check check = plan::Check::kBaselineHealthy;
  bool ok = false;
  std::string detail;
};
struct WorkDone {
  std::string name, person;  ///< a task, or a work phase without tasks
};
/// How an effect went.
struct Outcome {
  std::uint64_t effect = 0;
  bool ok = false;
  std::string detail;
};
/// The balancer's real share, if it answers: at every start of the controller, and when it is found
/// to differ from what was believed.
struct ReadBack {
  std::optional<BasisPoints> share;
};

using What = std::variant<Tick, Approve, Override, Command, ReportIncident, Acknowledge, Resolve,
                          CheckResult, WorkDone, Outcome, ReadBack>;
struct Input {
  Time at{};
  What what;
};

}  // namespace covey::rollout

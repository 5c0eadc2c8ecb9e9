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

/// How many readings of a level came. A slot of known time should bring one.
struct Readings {
  std::uint64_t expected = 0;
  std::uint64_t machine = 0;  ///< in which the machine answered at all
  std::uint64_t level = 0;    ///< and told this level
};

/// What was measured for one rule over one window. Which members count depends on the rule's kind.
struct Measured {
  stats::Count candidate, baseline;         ///< kEvidence: bad requests of all
  std::vector<stats::Count> segments;       ///< segment_spread: the candidate's
  std::optional<double> value;              ///< kGauge: mean level; kImpact: the estimate
  std::optional<stats::Interval> interval;  ///< kImpact, valid at any time
  std::string note;                         ///< why it is not measured, or who told it
  Readings readings;                        ///< kGauge
};

/// A criterion over its whole window, and over the sliding one.
struct Reading {
  Measured window, recent;
};

/// What one arm did in the sliding window, for people: nothing is decided on it.
struct Figures {
  std::uint64_t sent = 0, unanswered = 0, wrong = 0;
  std::optional<Duration> p99;  ///< of what was answered, where latencies are kept
};

/// What telemetry says at one tick, of the phase whose rules are watched (watched_phase()).
struct Telemetry {
  Duration silence{};                    ///< since the last complete slot ended
  Duration missing{};                    ///< within the phase's window
  std::uint64_t candidate_requests = 0;  ///< begun on the candidate within the last slot
  std::vector<Reading> criteria;         ///< in the order of the plan
  std::vector<Measured> warnings, reactions;
  Figures candidate, baseline;
};

// Inputs. Everything the core knows comes through one of these.

struct Tick {
  Telemetry telemetry;
};
/// An approval, its like and its contrary are of one attempt: State::attempt when they were given.
/// 0: not said, which is the first.
struct Approve {
  std::string stage, role, person;  ///< or a gate of people
  std::uint64_t attempt = 0;
  std::string report;  ///< of a gate: what it is decided on
};
struct Override {  ///< stands in for the approvals that are missing
  std::string stage, role, person, reason;
  std::uint64_t attempt = 0;
};
/// A NO-GO: takes back what the role has approved, or who decides has overridden, and keeps the
/// stage from beginning until the role approves it.
struct Withdraw {
  std::string stage, role, person, reason;
  std::uint64_t attempt = 0;
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
/// What an experiment says of revenue, churn or engagement.
struct SetImpact {
  plan::Measure measure = plan::Measure::kRevenue;
  double estimate = 0;       ///< a lift; of kChurn a difference of shares
  stats::Interval interval;  ///< valid at any time
  std::string source;        ///< which analysis: never empty
  Time as_of{};              ///< events count up to then
  Duration valid_for{};      ///< after as_of; 0, or longer than the plan allows: as long as that
  /// Who tells it. No role: the controller read it where the plan says.
  std::string role, person;
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
                          CheckResult, WorkDone, Outcome, ReadBack, SetImpact, Withdraw>;
struct Input {
  Time at{};
  What what;
};

}  // namespace covey::rollout

#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "rollout/effect.h"
#include "rollout/input.h"

namespace covey::rollout {

enum class Status : std::uint8_t {
  kWaiting,  ///< for its time, its approvals, its checks or the phase before it
  kRunning,
  kPassed,
  kFailed,  ///< NO-GO at the last gate: the candidate keeps a small share for investigation
  kRolledBack,
};
std::string_view name(Status status);

/// How long something has been so.
struct Since {
  std::optional<Time> at;
  bool told = false;
};

/// One stage or monitoring phase under way.
struct Progress {
  Status status = Status::kWaiting;
  Time start{};               ///< planned; moved by a reschedule
  std::optional<Time> began;  ///< of the window: when the balancer confirmed the share
  /// While the gate is undecided: when it is judged again, since when the extension counts, and
  /// whether it ran out, so that somebody must resume.
  std::optional<Time> next_gate, extended_from;
  bool extension_told = false, gate_held = false;
  std::map<std::string, std::string> approvals;  ///< role -> person
  std::string overridden_by;                     ///< person, or empty
  bool checks_asked = false;
  std::optional<Time> checks_again;  ///< after one failed
  std::array<std::optional<bool>, plan::kChecks> checks;
  std::size_t checkpoint = 0;  ///< the next one
  Duration missing{};          ///< telemetry lost within the window: the window ends later by it
  std::vector<Since> breached, beyond, warned, reacted;  ///< by criterion, warning, reaction
  std::vector<Evidence> evidence;                        ///< as last judged
  std::string waits_for;  ///< what was told of a phase that can't begin
  std::optional<Time> decided;
};

struct Incident {
  std::uint64_t id = 0;
  Severity severity = Severity::kHigh;
  std::string key, title, source, phase;
  Time opened{}, called{};    ///< when somebody was last called
  std::size_t called_to = 0;  ///< how many of the roster have been
  std::uint64_t times = 1;    ///< reported, with the first
  std::string acknowledged_by, resolved_by;
  std::optional<Time> acknowledged, resolved;
  bool answered = false;  ///< by the reaction that opened it: it does not count as critical again
  std::vector<Evidence> evidence;

  bool open() const { return !resolved; }
};

struct RollBack {
  Time since{};
  std::string cause;
  std::optional<Time> quiet_since;  ///< the candidate receives nothing
  std::optional<Time> verified;
  Time last_try{};
};

struct Limits {
  std::size_t incidents_max = 1'000;  ///< the oldest resolved ones go first
  std::size_t decisions_kept = 200;   ///< for the status page; the journal has all
};

/// Everything the core remembers. Plain values: equal inputs give equal states.
struct State {
  Time now{};
  std::vector<Progress> phases;  ///< the plan's stages, then its monitoring phases
  std::size_t at = 0;            ///< the one that runs or waits; phases.size() after the last
  std::optional<RollBack> rolled_back;  ///< until somebody starts again
  std::string held_by;                  ///< person or reason; empty: not held
  std::optional<BasisPoints> cap;       ///< what a reduction leaves
  std::optional<Time> silent_since;     ///< telemetry
  BasisPoints caused_share = 0;         ///< the last decision's
  std::string share_cause = "the plan begins";
  std::optional<BasisPoints> seen;  ///< share the balancer confirmed; nothing: not known
  std::optional<Time> unreachable_since;
  std::map<std::uint64_t, Effect> pending;  ///< asked for, outcome not known
  std::uint64_t next_effect = 1, next_incident = 1;
  std::deque<Incident> incidents;
  std::deque<Decision> decisions;
  std::optional<Time> next_snapshot, next_briefing;
  std::string shift;                             ///< on duty
  std::map<std::string, std::string> work_done;  ///< task or phase -> person
  std::size_t reports_written = 0;               ///< of the plan's dated ones, in order of date
  std::map<std::string, Time> work_passed;
  bool finished = false;
};

struct Step {
  State state;
  std::vector<Effect> effects;
  std::vector<Decision> decisions;
};

State initial(const plan::Plan& plan);

/// The controller, as a function. Takes the state by value: move it in. Never fails; an input that
/// may not be (a command of someone without the role, an approval of nothing) is answered by a
/// decision "refused" with the reason.
Step step(const plan::Plan& plan, State state, const Input& input);

/// The share the state wants on the candidate.
BasisPoints wanted_share(const plan::Plan& plan, const State& state);
/// The most that the current stage allows: invariant 1's bound, derived apart from wanted_share().
BasisPoints allowed_share(const plan::Plan& plan, const State& state);
/// The phase whose rules are watched: the one running, or the last one while the next one waits.
std::optional<std::size_t> watched_phase(const State& state);
/// The last phase has passed: the candidate is what serves, and ordinary alarms watch it.
bool guard_is_over(const plan::Plan& plan, const State& state);

// One view of stages and monitoring phases.
struct PhaseView {
  const plan::Stage* stage;            ///< or
  const plan::Monitoring* monitoring;  ///< one of them
  const std::string& name() const;
  const std::vector<plan::Rule>& criteria() const;
  Duration length() const;
  Duration patience(const plan::Rule& criterion) const;
  Duration breached_for() const;
};
PhaseView phase_view(const plan::Plan& plan, std::size_t index);
std::size_t phase_count(const plan::Plan& plan);
/// The one `on_pass` leads to; phase_count() if none.
std::size_t next_phase(const plan::Plan& plan, std::size_t index);
/// Share during the phase.
BasisPoints phase_share(const plan::Plan& plan, std::size_t index);

}  // namespace covey::rollout

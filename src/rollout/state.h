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
  /// The share was reduced and is to go up again: the window begins anew once it has. Until then
  /// rules are watched, and nothing passes.
  bool begins_anew = false;
  /// While the gate is undecided: when it is judged again, since when the extension counts, and
  /// whether it ran out, so that somebody must resume.
  std::optional<Time> next_gate, extended_from;
  bool extension_told = false, gate_held = false;
  std::map<std::string, std::string> approvals;  ///< role -> person
  std::map<std::string, std::string> no_go;      ///< role -> person and reason
  std::string overridden_by;                     ///< person, or empty
  bool checks_asked = false;
  std::optional<Time> checks_again;  ///< after one failed
  std::array<std::optional<bool>, plan::kChecks> checks;
  std::size_t checkpoint = 0;  ///< the next one
  Duration missing{};          ///< telemetry lost within the window: the window ends later by it
  std::vector<Since> breached, beyond, absent;  ///< by criterion
  std::vector<Since> warned, reacted;           ///< by warning, reaction
  std::vector<Evidence> evidence;               ///< as last judged
  std::string waits_for;                        ///< what was told of a phase that can't begin
  std::optional<Time> decided;
};

/// Somebody was called about an incident, or nobody was on duty.
struct Call {
  Time at{};
  std::string person;  ///< empty: nobody was on duty
  friend bool operator==(const Call&, const Call&) = default;
};

struct Incident {
  std::uint64_t id = 0;
  Severity severity = Severity::kHigh;
  std::string key, title, source, phase;
  Time opened{}, called{};    ///< when somebody was last called
  std::size_t called_to = 0;  ///< how many of the roster have been
  std::deque<Call> calls;     ///< the first, and the last of Limits::calls_kept
  std::uint64_t times = 1;    ///< reported, with the first
  std::string acknowledged_by, resolved_by;
  std::optional<Time> acknowledged, resolved;
  std::optional<Time> critical;  ///< since when
  bool answered = false;  ///< by the reaction that opened it: it does not count as critical again
  std::vector<Evidence> evidence;

  bool open() const { return !resolved; }
};

/// How a gate of people stands.
struct Signed {
  std::string person, report;
};
struct GateState {
  std::map<std::string, Signed> approvals;   ///< by role
  std::map<std::string, std::string> no_go;  ///< role -> person and reason
  std::string overridden_by;                 ///< person, or empty
  std::optional<Time> passed;
};

/// An impact as it was told, of this attempt.
struct KnownImpact {
  SetImpact told;
  Time at{};  ///< when
};

struct RollBack {
  Time since{};
  std::string cause;
  std::optional<Time> quiet_since;  ///< the candidate receives nothing
  std::optional<Time> quiet;        ///< for long enough
  std::optional<Time> verified;     ///< and the baseline's figures have returned
  Time last_try{};
};

struct Limits {
  std::size_t incidents_max = 1'000;  ///< the oldest resolved ones go first
  std::size_t decisions_kept = 200;   ///< for the status page; the journal has all
  std::size_t calls_kept = 12;        ///< of an incident, likewise
};

/// Everything the core remembers. Plain values: equal inputs give equal states.
struct State {
  Time now{};
  std::vector<Progress> phases;  ///< the plan's stages, then its monitoring phases
  std::size_t at = 0;            ///< the one that runs or waits; phases.size() after the last
  std::uint64_t attempt = 1;     ///< one more with each `start`
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
  std::map<plan::Measure, KnownImpact> impacts;  ///< the newest of each
  std::deque<Incident> incidents;
  std::deque<Decision> decisions;
  std::optional<Time> next_snapshot, next_briefing;
  std::string shift;                             ///< on duty
  std::map<std::string, std::string> work_done;  ///< task or phase -> person
  std::size_t reports_written = 0;               ///< of the plan's dated ones, in order of date
  std::map<std::string, Time> work_passed;
  std::map<std::string, GateState> gates;  ///< by name, those of which anything is known
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
/// Until when an impact that was told counts.
Time valid_until(const plan::Plan& plan, const SetImpact& impact);
/// Why the impact known of `measure`, if there is one, says nothing of phase `index` now; empty: it
/// counts. What is older than its validity, or than the phase itself, is missing, never good.
std::string impact_fault(const plan::Plan& plan, const State& state, std::size_t index,
                         plan::Measure measure);
/// The phase whose rules are watched: the one running, or the last one while the next one waits.
std::optional<std::size_t> watched_phase(const State& state);
/// The last phase has passed: the candidate is what serves, and ordinary alarms watch it.
bool guard_is_over(const plan::Plan& plan, const State& state);

/// A gate of people in its phase; the stages' own gates are evidence and are not among them.
struct GateView {
  const plan::Gate* gate;
  std::optional<std::size_t> monitoring;  ///< index of the phase; nothing: of work
  Duration moved;                         ///< by a reschedule
  Time at() const { return gate->at + moved; }
};
std::vector<GateView> people_gates(const plan::Plan& plan, const State& state);
/// Whom the gate waits for, in words; empty: nobody.
std::string gate_waits_for(const plan::Gate& gate, const State& state);

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

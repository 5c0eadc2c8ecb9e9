#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rollout/state.h"

namespace covey::rollout {

/// One step under way: the state it changes and what it asks for. Inside of rollout/ only.
class Stepper {
 public:
  Stepper(const plan::Plan& plan, State state) : plan_(plan), s_(std::move(state)) {}

  void take(const Input& input);
  Step done() && { return {std::move(s_), std::move(effects_), std::move(decisions_)}; }

 private:
  // step.cpp: inputs, the share, roll backs
  void on(const Tick& tick);
  void on(const Approve& approve);
  void on(const Override& instead);
  void on(const Withdraw& withdraw);
  void on(const Command& command);
  void on(const ReportIncident& report);
  void on(const Acknowledge& acknowledge);
  void on(const Resolve& resolve);
  void on(const CheckResult& result);
  void on(const WorkDone& done);
  void on(const Outcome& outcome);
  void on(const ReadBack& read);
  void on(const SetImpact& impact);
  void start_again(const Command& command);
  void reschedule(const Command& command);
  void reset_phase(std::size_t index, Time start);
  void raise_again(const std::string& person);
  void restart_window(Progress& progress);
  void watch(const Telemetry& telemetry);
  void watch_silence(const Telemetry& telemetry, const PhaseView& phase);
  /// Answers whether it was rolled back.
  bool watch_level(const plan::Rule& rule, const Measured& recent, Since& since,
                   const PhaseView& phase);
  /// What telemetry lacks at this moment, in words; empty: nothing.
  std::string lacking() const;
  void watch_rules(const Telemetry& telemetry, const plan::Stage& stage, Progress& progress);
  void roll_back(std::string cause, std::vector<Evidence> evidence);
  void verify(const Telemetry& telemetry);
  void verify_baseline(const Telemetry& telemetry, RollBack& back);
  /// The baseline's error rate and availability of the sliding window, read against the limits that
  /// the phase holds the candidate to; kUndecided where there are no requests.
  std::vector<Evidence> baseline_figures(const Telemetry& telemetry) const;
  void settle_share();
  /// The window of a running phase begins once the balancer is known to hold its share.
  void begin_if_confirmed();

  // phases.cpp's counterpart, progress.cpp: what happens at its time
  void run_schedule();
  void run_preflight(std::size_t index);
  void try_begin(std::size_t index);
  std::string waits_for(std::size_t index) const;
  void look(const Telemetry& telemetry);
  void decide_gate(const Telemetry& telemetry, const PhaseView& phase, Progress& progress);
  void pass(std::vector<Evidence> evidence);
  void no_go(std::vector<Evidence> evidence);
  std::vector<Evidence> judge_all(const Telemetry& telemetry, const PhaseView& phase) const;
  /// With what the core knows by itself: incidents, and what experiments say.
  enum class Asks : std::uint8_t { kCriterion, kRule };
  Measured with_own(const plan::Rule& rule, const Measured& measured, Asks asks) const;
  void run_cadence(const Telemetry& telemetry);
  /// Where a phase stands, for a message: share, time, both arms' figures, each criterion.
  std::string news(const Telemetry& telemetry, std::size_t index) const;
  void run_work();
  bool task_done(const std::string& name) const;

  // gates.cpp: what people decide on reports
  std::optional<GateView> people_gate(const std::string& wanted) const;
  /// Whether it may not be, which is told then.
  bool gate_refused(const GateView& view, const std::string& role, const std::string& person,
                    std::uint64_t attempt);
  void approve_gate(const GateView& view, const Approve& approve);
  void override_gate(const GateView& view, const Override& instead);
  void refuse_gate(const GateView& view, const Withdraw& withdraw);
  void settle_gate(const GateView& view);
  void run_gates();

  // incidents.cpp
  Incident& open_incident(Severity severity, std::string key, std::string title, std::string source,
                          std::vector<Evidence> evidence, bool answered);
  void resolve_incident(std::string_view key, const std::string& by);
  void call(Incident& incident);
  void escalate();
  /// Open ones that nothing has answered yet: what a reaction asks.
  std::size_t critical_incidents() const;
  /// Open ones, and those opened since `from`, answered or not: what a criterion asks.
  std::size_t critical_incidents_since(Time from) const;

  // What a step asks for.
  void act(Act act, std::string cause);
  void decide(std::string what, std::string cause, std::vector<Evidence> evidence = {});
  void tell(std::optional<Severity> severity, std::string title, std::string text,
            std::string cause);
  void refuse(std::string why);
  std::string phase_name() const;
  GateLevels levels(const PhaseView& phase) const;
  bool may(const std::string& role, const std::string& person) const;
  /// What is said of another attempt than this one; empty: it is of this one.
  std::string stale(std::uint64_t attempt) const;

  const plan::Plan& plan_;
  State s_;
  std::vector<Effect> effects_;
  std::vector<Decision> decisions_;
};

}  // namespace covey::rollout

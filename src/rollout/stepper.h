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
  void on(const Command& command);
  void on(const ReportIncident& report);
  void on(const Acknowledge& acknowledge);
  void on(const Resolve& resolve);
  void on(const CheckResult& result);
  void on(const WorkDone& done);
  void on(const Outcome& outcome);
  void on(const ReadBack& read);
  void start_again(const Command& command);
  void reschedule(const Command& command);
  void reset_phase(std::size_t index, Time start);
  void watch(const Telemetry& telemetry);
  void watch_silence(const Telemetry& telemetry, const PhaseView& phase);
  void watch_rules(const Telemetry& telemetry, const plan::Stage& stage, Progress& progress);
  void roll_back(std::string cause, std::vector<Evidence> evidence);
  void verify(const Telemetry& telemetry);
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
  Measured with_incidents(const plan::Rule& rule, const Measured& measured) const;
  void run_cadence();
  void run_work();
  bool task_done(const std::string& name) const;

  // incidents.cpp
  Incident& open_incident(Severity severity, std::string key, std::string title, std::string source,
                          std::vector<Evidence> evidence, bool answered);
  void resolve_incident(std::string_view key, const std::string& by);
  void call(Incident& incident);
  void escalate();
  std::size_t critical_incidents() const;

  // What a step asks for.
  void act(Act act, std::string cause);
  void decide(std::string what, std::string cause, std::vector<Evidence> evidence = {});
  void tell(std::optional<Severity> severity, std::string title, std::string text,
            std::string cause);
  void refuse(std::string why);
  std::string phase_name() const;
  GateLevels levels(const PhaseView& phase) const;
  bool may(const std::string& role, const std::string& person) const;

  const plan::Plan& plan_;
  State s_;
  std::vector<Effect> effects_;
  std::vector<Decision> decisions_;
};

}  // namespace covey::rollout

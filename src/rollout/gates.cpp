#include <algorithm>

#include <fmt/format.h>

#include "rollout/stepper.h"

namespace covey::rollout {

std::optional<GateView> Stepper::people_gate(const std::string& wanted) const {
  for (const GateView& view : people_gates(plan_, s_)) {
    if (view.gate->name == wanted) return view;
  }
  return std::nullopt;
}

bool Stepper::gate_refused(const GateView& view, const std::string& role, const std::string& person,
                           std::uint64_t attempt) {
  const plan::Gate& gate = *view.gate;
  const plan::Role* held = plan_.role(role);
  const bool asked = std::ranges::find(gate.approvals, role) != gate.approvals.end();
  if (!may(role, person)) {
    refuse(fmt::format("{} does not hold the role {}", person, role));
  } else if (!asked && !held->decides) {
    refuse(fmt::format("{} does not decide {}", role, gate.name));
  } else if (const std::string old = stale(attempt); !old.empty()) {
    refuse(fmt::format("{}: {}", gate.name, old));
  } else if (s_.gates.contains(gate.name) && s_.gates.at(gate.name).passed) {
    refuse(fmt::format("{} is passed already", gate.name));
  } else if (s_.now < view.at()) {
    // What it is decided on is not there yet.
    refuse(fmt::format("{} is decided on {}, not before", gate.name, format_time(view.at())));
  } else {
    return false;
  }
  return true;
}

void Stepper::approve_gate(const GateView& view, const Approve& approve) {
  const plan::Gate& gate = *view.gate;
  if (gate_refused(view, approve.role, approve.person, approve.attempt)) return;
  if (std::ranges::find(gate.approvals, approve.role) == gate.approvals.end()) {
    refuse(fmt::format("{} is not among those who decide {}", approve.role, gate.name));
    return;
  }
  if (approve.report.empty()) {
    refuse(
        fmt::format("{} is decided on a report: nothing here measures it. Say which", gate.name));
    return;
  }
  GateState& at = s_.gates[gate.name];
  if (!at.approvals.emplace(approve.role, Signed{approve.person, approve.report}).second) {
    refuse(fmt::format("{} has approved {} already", approve.role, gate.name));
    return;
  }
  at.no_go.erase(approve.role);
  decide("approve", fmt::format("{} ({}) approves {} on the report {}", approve.person,
                                approve.role, gate.name, approve.report));
  settle_gate(view);
}

void Stepper::override_gate(const GateView& view, const Override& instead) {
  if (gate_refused(view, instead.role, instead.person, instead.attempt)) return;
  const plan::Role* role = plan_.role(instead.role);
  if (!role->decides) {
    refuse(fmt::format("{} does not decide: no override", role->title));
    return;
  }
  s_.gates[view.gate->name].overridden_by = instead.person;
  decide("override", fmt::format("{} ({}) stands in for the approvals of {}: {}", instead.person,
                                 role->title, view.gate->name, instead.reason));
  settle_gate(view);
}

void Stepper::refuse_gate(const GateView& view, const Withdraw& withdraw) {
  if (gate_refused(view, withdraw.role, withdraw.person, withdraw.attempt)) return;
  GateState& at = s_.gates[view.gate->name];
  at.approvals.erase(withdraw.role);
  if (plan_.role(withdraw.role)->decides) at.overridden_by.clear();
  const std::string why = withdraw.reason.empty() ? "" : ": " + withdraw.reason;
  at.no_go[withdraw.role] = withdraw.person + why;
  decide("no_go", fmt::format("{} ({}) says NO-GO to {}{}", withdraw.person, withdraw.role,
                              view.gate->name, why));
}

void Stepper::settle_gate(const GateView& view) {
  const plan::Gate& gate = *view.gate;
  if (!gate_waits_for(gate, s_).empty()) return;
  GateState& at = s_.gates[gate.name];
  at.passed = s_.now;
  std::vector<Evidence> evidence;
  std::string on;
  for (const auto& [role, by] : at.approvals) {
    on += fmt::format("{}{} ({}) on {}", on.empty() ? "" : ", ", by.person, role, by.report);
  }
  if (!at.overridden_by.empty()) on = "overridden by " + at.overridden_by;
  for (const std::string& text : gate.criteria) {
    Evidence e;
    e.criterion = text;
    e.text = "measured by nothing here; GO by " + on;
    evidence.push_back(std::move(e));
  }
  decide("gate", fmt::format("GO at {}: {}", gate.name, on), std::move(evidence));
  resolve_incident("gate/" + gate.name, "those who decided it");
}

void Stepper::run_gates() {
  for (const GateView& view : people_gates(plan_, s_)) {
    if (s_.now < view.at()) continue;
    // Of a phase that has not been reached, or was stopped, nothing is due.
    if (view.monitoring && s_.phases[*view.monitoring].status != Status::kRunning) continue;
    const std::string missing = gate_waits_for(*view.gate, s_);
    if (missing.empty()) continue;
    const std::string key = "gate/" + view.gate->name;
    const bool told = std::ranges::any_of(
        s_.incidents, [&](const Incident& i) { return i.key == key && i.open(); });
    if (told) continue;
    open_incident(
        Severity::kMedium, key,
        fmt::format("{} is due: it waits for {}, each on a report", view.gate->name, missing),
        "calendar", {}, true);
  }
}

}  // namespace covey::rollout

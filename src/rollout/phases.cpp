#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/time.h"
#include "rollout/state.h"

namespace covey::rollout {

std::string_view name(Status status) {
  constexpr std::array<std::string_view, 5> kNames = {"waiting", "running", "passed", "failed",
                                                      "rolled_back"};
  return kNames[static_cast<std::size_t>(status)];
}

std::string_view name(ReportKind kind) {
  constexpr std::array<std::string_view, 7> kNames = {"checkpoint", "stage", "incident", "briefing",
                                                      "hand-over",  "work",  "executive"};
  return kNames[static_cast<std::size_t>(kind)];
}

const std::string& PhaseView::name() const {
  return stage != nullptr ? stage->name : monitoring->name;
}
const std::vector<plan::Rule>& PhaseView::criteria() const {
  return stage != nullptr ? stage->criteria : monitoring->criteria;
}
Duration PhaseView::length() const {
  return stage != nullptr ? stage->length : monitoring->length;
}
Duration PhaseView::breached_for() const {
  return stage != nullptr ? stage->breached_for : monitoring->breached_for;
}
Duration PhaseView::patience(const plan::Rule& criterion) const {
  return criterion.watch.count() > 0 ? criterion.watch : breached_for();
}

PhaseView phase_view(const plan::Plan& plan, std::size_t index) {
  COVEY_CHECK(index < phase_count(plan));
  if (index < plan.stages.size()) return {&plan.stages[index], nullptr};
  return {nullptr, &plan.monitoring[index - plan.stages.size()]};
}

std::size_t phase_count(const plan::Plan& plan) {
  return plan.stages.size() + plan.monitoring.size();
}

std::size_t next_phase(const plan::Plan& plan, std::size_t index) {
  const PhaseView phase = phase_view(plan, index);
  const std::string& next =
      phase.stage != nullptr ? phase.stage->on_pass : phase.monitoring->on_pass;
  if (next.empty()) return phase_count(plan);
  for (std::size_t i = 0; i < phase_count(plan); ++i) {
    if (phase_view(plan, i).name() == next) return i;
  }
  return phase_count(plan);
}

BasisPoints phase_share(const plan::Plan& plan, std::size_t index) {
  return index < plan.stages.size() ? plan.stages[index].share : plan.stages.back().share;
}

State initial(const plan::Plan& plan) {
  State state;
  for (std::size_t i = 0; i < phase_count(plan); ++i) {
    const PhaseView phase = phase_view(plan, i);
    Progress progress;
    progress.start = phase.stage != nullptr ? phase.stage->start : phase.monitoring->start;
    progress.breached.resize(phase.criteria().size());
    progress.beyond.resize(phase.criteria().size());
    progress.absent.resize(phase.criteria().size());
    if (phase.stage != nullptr) {
      progress.warned.resize(phase.stage->warnings.size());
      progress.reacted.resize(phase.stage->reactions.size());
    }
    state.phases.push_back(std::move(progress));
  }
  return state;
}

std::vector<GateView> people_gates(const plan::Plan& plan, const State& state) {
  std::vector<GateView> out;
  for (std::size_t m = 0; m < plan.monitoring.size(); ++m) {
    const std::size_t index = plan.stages.size() + m;
    const Duration moved = state.phases[index].start - plan.monitoring[m].start;
    for (const plan::Gate& gate : plan.monitoring[m].gates) out.push_back({&gate, index, moved});
  }
  for (const plan::Work& work : plan.work) {
    for (const plan::Gate& gate : work.gates) out.push_back({&gate, std::nullopt, {}});
  }
  return out;
}

std::string gate_waits_for(const plan::Gate& gate, const State& state) {
  const auto known = state.gates.find(gate.name);
  std::string out;
  for (const std::string& role : gate.approvals) {
    std::string one = role;
    if (known != state.gates.end()) {
      const GateState& at = known->second;
      if (at.approvals.contains(role) || !at.overridden_by.empty()) continue;
      const auto no = at.no_go.find(role);
      if (no != at.no_go.end()) one = fmt::format("{} (NO-GO by {})", role, no->second);
    }
    out += (out.empty() ? "" : ", ") + one;
  }
  return out;
}

Time valid_until(const plan::Plan& plan, const SetImpact& impact) {
  const bool own = impact.valid_for.count() > 0 && impact.valid_for < plan.impacts.valid_for;
  return impact.as_of + (own ? impact.valid_for : plan.impacts.valid_for);
}

std::string impact_fault(const plan::Plan& plan, const State& state, std::size_t index,
                         plan::Measure measure) {
  const auto known = state.impacts.find(measure);
  if (known == state.impacts.end()) return "no experiment has told it yet";
  const SetImpact& told = known->second.told;
  if (state.now > valid_until(plan, told)) {
    return fmt::format("what {} said as of {} is no longer valid", told.source,
                       format_time(told.as_of));
  }
  // It may be about the very learners, yet it saw none of the time that is to be judged.
  if (index < state.phases.size() && state.phases[index].began &&
      told.as_of <= *state.phases[index].began) {
    return fmt::format("what {} said as of {} is older than the phase", told.source,
                       format_time(told.as_of));
  }
  return "";
}

std::optional<std::size_t> watched_phase(const State& state) {
  std::optional<std::size_t> out;
  for (std::size_t i = 0; i < state.phases.size(); ++i) {
    if (state.phases[i].status != Status::kWaiting) out = i;
  }
  return out;
}

bool guard_is_over(const plan::Plan& plan, const State& state) {
  return state.at < state.phases.size() && state.phases[state.at].status == Status::kPassed &&
         next_phase(plan, state.at) >= state.phases.size();
}

BasisPoints wanted_share(const plan::Plan& plan, const State& state) {
  if (state.rolled_back) return 0;
  const auto phase = watched_phase(state);
  if (!phase) return 0;
  BasisPoints share = phase_share(plan, *phase);
  if (state.phases[*phase].status == Status::kFailed) {
    share = phase_view(plan, *phase).stage != nullptr ? plan.stages[*phase].fail_share : 0;
  }
  return std::min(share, state.cap.value_or(plan::kEveryone));
}

BasisPoints allowed_share(const plan::Plan& plan, const State& state) {
  if (state.rolled_back) return 0;
  BasisPoints most = 0;
  for (std::size_t i = 0; i < state.phases.size(); ++i) {
    switch (state.phases[i].status) {
      case Status::kRunning:
      case Status::kPassed:
        most = std::max(most, phase_share(plan, i));
        break;
      case Status::kFailed:
        return i < plan.stages.size() ? plan.stages[i].fail_share : 0;
      case Status::kRolledBack:
        return 0;
      case Status::kWaiting:
        break;
    }
  }
  return most;
}

}  // namespace covey::rollout

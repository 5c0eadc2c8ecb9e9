#include <algorithm>
#include <array>

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
    if (phase.stage != nullptr) {
      progress.warned.resize(phase.stage->warnings.size());
      progress.reacted.resize(phase.stage->reactions.size());
    }
    state.phases.push_back(std::move(progress));
  }
  return state;
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

#include "plan/plan.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace covey::plan {

std::string share_text(BasisPoints share) {
  return fmt::format("{:g} %", share / 100.0);
}

std::string_view name(Severity severity) {
  constexpr std::array<std::string_view, 4> kNames = {"critical", "high", "medium", "low"};
  return kNames[static_cast<std::size_t>(severity)];
}

std::string_view name(Check check) {
  constexpr std::array<std::string_view, kChecks> kNames = {"baseline_healthy", "candidate_healthy",
                                                            "split_reads_back", "telemetry_flows",
                                                            "channels_answer",  "same_answers"};
  return kNames[static_cast<std::size_t>(check)];
}

const Shift* Roster::on_duty(Time at) const {
  const Duration of_day = at - std::chrono::floor<std::chrono::days>(at);
  for (const Shift& shift : shifts) {
    const bool over_midnight = shift.to <= shift.from;
    const bool on = over_midnight ? of_day >= shift.from || of_day < shift.to
                                  : of_day >= shift.from && of_day < shift.to;
    if (on) return &shift;
  }
  return nullptr;
}

std::vector<Time> Monitoring::looks() const {
  std::vector<Time> out;
  const Time end = start + length;
  for (auto day = std::chrono::floor<std::chrono::days>(start); Time(day) < end;
       day += std::chrono::days(1)) {
    for (const Duration at : daily) out.push_back(Time(day) + at);
    const bool review = review_weekday && std::chrono::weekday(day).iso_encoding() ==
                                              static_cast<unsigned>(*review_weekday) + 1;
    if (review) out.push_back(Time(day) + review_at);
  }
  std::erase_if(out, [&](Time at) { return at <= start || at >= end; });
  out.push_back(end);
  std::ranges::sort(out);
  const auto repeated = std::ranges::unique(out);
  out.erase(repeated.begin(), repeated.end());
  return out;
}

const Role* Plan::role(std::string_view wanted) const {
  const auto at = std::ranges::find(roles, wanted, &Role::name);
  return at == roles.end() ? nullptr : &*at;
}

Time Plan::begin() const {
  Time out = stages.front().preflight.value_or(stages.front().start);
  for (const Work& w : work) out = std::min(out, w.start);
  return out;
}

Time Plan::end() const {
  Time out = stages.back().start + stages.back().length;
  for (const Monitoring& m : monitoring) out = std::max(out, m.start + m.length);
  for (const Work& w : work) out = std::max(out, w.start + w.length);
  return out;
}

Plan shifted(Plan plan, Duration later) {
  const auto shift_gates = [&](std::vector<Gate>& gates) {
    for (Gate& gate : gates) gate.at += later;
  };
  for (Stage& stage : plan.stages) {
    stage.start += later;
    if (stage.preflight) *stage.preflight += later;
  }
  for (Monitoring& phase : plan.monitoring) {
    phase.start += later;
    shift_gates(phase.gates);
  }
  for (Work& work : plan.work) {
    work.start += later;
    shift_gates(work.gates);
    for (Time& report : work.reports) report += later;
    for (Task& task : work.tasks) task.start += later;
  }
  return plan;
}

}  // namespace covey::plan

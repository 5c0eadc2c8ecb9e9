#include "control/calendar.h"

#include "base/time.h"
#include "telemetry/history.h"

namespace covey::control {
namespace {

using telemetry::seconds;

constexpr const char* kUnits[] = {"fraction", "seconds", "count", "points"};

double fraction(plan::BasisPoints share) {
  return static_cast<double>(share) / plan::kEveryone;
}

Json rule_json(const plan::Rule& rule) {
  Json out = {{"text", rule.text},
              {"measure", plan::name(rule.measure)},
              {"below", rule.below},
              {"limit", rule.limit},
              {"unit", kUnits[static_cast<int>(plan::unit_of(rule.measure))]}};
  if (rule.lasting.count() > 0) out["for_s"] = seconds(rule.lasting);
  if (rule.watch.count() > 0) out["watch_s"] = seconds(rule.watch);
  if (rule.from.count() > 0) out["after_s"] = seconds(rule.from);
  return out;
}

Json rules_json(const std::vector<plan::Rule>& rules) {
  Json out = Json::array();
  for (const plan::Rule& rule : rules) out.push_back(rule_json(rule));
  return out;
}

Json gates_json(const std::vector<plan::Gate>& gates) {
  Json out = Json::array();
  for (const plan::Gate& gate : gates) {
    out.push_back({{"name", gate.name},
                   {"at", format_time(gate.at)},
                   {"by", gate.approvals},
                   {"criteria", gate.criteria}});
  }
  return out;
}

Json stage_json(const plan::Stage& stage) {
  Json reactions = Json::array(), checkpoints = Json::array();
  for (const plan::Reaction& reaction : stage.reactions) {
    reactions.push_back({{"when", rule_json(reaction.when)},
                         {"share", fraction(reaction.share)},
                         {"severity", plan::name(reaction.severity)}});
  }
  for (const plan::Duration at : stage.checkpoints) checkpoints.push_back(seconds(at));
  return {{"name", stage.name},
          {"kind", "stage"},
          {"share", fraction(stage.share)},
          {"length_s", seconds(stage.length)},
          {"max_extend_s", seconds(stage.max_extend)},
          {"checkpoints_s", std::move(checkpoints)},
          {"criteria", rules_json(stage.criteria)},
          {"warnings", rules_json(stage.warnings)},
          {"reactions", std::move(reactions)},
          {"breached_for_s", seconds(stage.breached_for)},
          {"approvals", stage.approvals},
          {"fail_share", fraction(stage.fail_share)},
          {"on_pass", stage.on_pass}};
}

}  // namespace

Json calendar(const plan::Plan& plan) {
  Json phases = Json::array(), roles = Json::array(), work = Json::array(), shifts = Json::array();
  for (const plan::Stage& stage : plan.stages) phases.push_back(stage_json(stage));
  for (const plan::Monitoring& phase : plan.monitoring) {
    phases.push_back({{"name", phase.name},
                      {"kind", "monitoring"},
                      {"length_s", seconds(phase.length)},
                      {"criteria", rules_json(phase.criteria)},
                      {"gates", gates_json(phase.gates)},
                      {"breached_for_s", seconds(phase.breached_for)},
                      {"on_pass", phase.on_pass}});
  }
  for (const plan::Role& role : plan.roles) {
    roles.push_back({{"name", role.name},
                     {"title", role.title},
                     {"people", role.people},
                     {"decides", role.decides}});
  }
  for (const plan::Shift& shift : plan.roster.shifts) {
    shifts.push_back({{"name", shift.name},
                      {"from_s", seconds(shift.from)},
                      {"to_s", seconds(shift.to)},
                      {"people", shift.people}});
  }
  for (const plan::Work& one : plan.work) {
    Json tasks = Json::array(), reports = Json::array();
    for (const plan::Task& task : one.tasks) tasks.push_back(task.name);
    for (const Time at : one.reports) reports.push_back(format_time(at));
    work.push_back({{"name", one.name},
                    {"title", one.title},
                    {"start", format_time(one.start)},
                    {"length_s", seconds(one.length)},
                    {"tasks", std::move(tasks)},
                    {"learners", one.learners},
                    {"regions", one.regions > 0 ? Json(one.regions) : Json(nullptr)},
                    {"gates", gates_json(one.gates)},
                    {"reports", std::move(reports)}});
  }
  return {{"plan", plan.name},
          {"title", plan.title},
          {"baseline", plan.baseline.title},
          {"candidate", plan.candidate.title},
          {"balancer", plan.listen},
          {"currency", plan.currency},
          {"slot_s", seconds(plan.slot)},
          {"window_s", seconds(plan.window)},
          {"alpha", plan.alpha},
          {"segments", plan.segments},
          {"acknowledge_within_s", seconds(plan.roster.acknowledge_within)},
          {"begin", format_time(plan.begin())},
          {"end", format_time(plan.end())},
          {"phases", std::move(phases)},
          {"work", std::move(work)},
          {"roles", std::move(roles)},
          {"shifts", std::move(shifts)}};
}

}  // namespace covey::control

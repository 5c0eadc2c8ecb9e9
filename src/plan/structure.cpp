#include "plan/structure.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/near.h"
#include "config/units.h"

namespace covey::plan {
namespace {

/// A phase or task with what it waits for.
struct Node {
  std::string_view name;
  Time start, end;
  const std::vector<std::string>* needs;
};

std::vector<Node> nodes_of(const Plan& plan) {
  std::vector<Node> out;
  static const std::vector<std::string> none;
  for (const auto& s : plan.stages) out.push_back({s.name, s.start, s.start + s.length, &none});
  for (const auto& m : plan.monitoring) out.push_back({m.name, m.start, m.start + m.length, &none});
  for (const auto& w : plan.work) {
    out.push_back({w.name, w.start, w.start + w.length, &w.needs});
    for (const auto& t : w.tasks) out.push_back({t.name, t.start, t.start + t.length, &t.needs});
  }
  return out;
}

const Node* find(const std::vector<Node>& nodes, std::string_view name) {
  const auto at = std::ranges::find(nodes, name, &Node::name);
  return at == nodes.end() ? nullptr : &*at;
}

}  // namespace

void Structure::name(const config::Value& place, const std::string& name) {
  if (name.empty()) return;  // a fault already
  if (!names_.emplace(name, place).second) {
    place.fault(fmt::format("'{}' is the name of something else already", name));
  }
}

void Structure::refer(const config::Value& place, std::string name, Refers to) {
  if (!name.empty()) references_.push_back({place, std::move(name), to});
}

void Structure::check_roster(const config::Value& place, const Roster& roster) const {
  if (roster.shifts.empty()) return;
  // Shifts begin and end on minutes, so a minute is the finest gap.
  for (int minute = 0; minute < 24 * 60; ++minute) {
    if (roster.on_duty(Time(std::chrono::minutes(minute))) == nullptr) {
      place.fault(fmt::format("nobody is on call at {:02}:{:02}", minute / 60, minute % 60));
      return;
    }
  }
}

void Structure::check(const Plan& plan) const {
  check_references(plan);
  check_order(plan);
  check_reach(plan);
  check_needs(plan);
}

void Structure::check_references(const Plan& plan) const {
  std::vector<std::string_view> roles, next, all;
  for (const auto& role : plan.roles) roles.push_back(role.name);
  for (const auto& stage : plan.stages) next.push_back(stage.name);
  for (const auto& phase : plan.monitoring) next.push_back(phase.name);
  for (const auto& [name, place] : names_) all.push_back(name);
  for (const Reference& reference : references_) {
    const auto& known = reference.to == Refers::kRole   ? roles
                        : reference.to == Refers::kNext ? next
                                                        : all;
    if (std::ranges::find(known, reference.name) != known.end()) continue;
    reference.place.fault(fmt::format("there is no {} called '{}'{}",
                                      reference.to == Refers::kRole   ? "role"
                                      : reference.to == Refers::kNext ? "stage or monitoring phase"
                                                                      : "phase or task",
                                      reference.name, did_you_mean(reference.name, known)));
  }
}

void Structure::check_order(const Plan& plan) const {
  // A stage whose own reading failed has no start; its fault is told already.
  const auto overlaps = [](const auto& a, const auto& b) {
    return a.start != Time{} && b.start != Time{} && b.start < a.start + a.length;
  };
  for (std::size_t i = 1; i < plan.stages.size(); ++i) {
    const Stage &a = plan.stages[i - 1], &b = plan.stages[i];
    if (overlaps(a, b)) {
      stages_[i].fault(fmt::format("'{}' begins before '{}' ends, at {}", b.name, a.name,
                                   format_time(a.start + a.length)));
    }
    if (b.share > 0 && b.share < a.share) {
      stages_[i].fault(fmt::format("'{}' has a smaller share than '{}' before it", b.name, a.name));
    }
  }
  for (std::size_t i = 0; i < plan.monitoring.size(); ++i) {
    const Monitoring& b = plan.monitoring[i];
    const bool after_stage = i == 0 && !plan.stages.empty() && overlaps(plan.stages.back(), b);
    if (after_stage || (i > 0 && overlaps(plan.monitoring[i - 1], b))) {
      monitoring_[i].fault(
          fmt::format("'{}' begins before '{}' ends", b.name,
                      i == 0 ? plan.stages.back().name : plan.monitoring[i - 1].name));
    }
  }
}

void Structure::check_reach(const Plan& plan) const {
  if (plan.stages.empty()) return;
  std::set<std::string> reached;
  std::string at = plan.stages.front().name;
  while (!at.empty() && reached.insert(at).second) {
    const auto stage = std::ranges::find(plan.stages, at, &Stage::name);
    const auto phase = std::ranges::find(plan.monitoring, at, &Monitoring::name);
    // A name nobody bears is told already; what lies behind it may well be reached.
    if (stage == plan.stages.end() && phase == plan.monitoring.end()) return;
    at = stage != plan.stages.end() ? stage->on_pass : phase->on_pass;
  }
  const auto tell = [&](const config::Value& place, const std::string& name) {
    if (name.empty() || reached.contains(name)) return;
    place.fault(fmt::format("'{}' is never reached: no `on_pass` leads to it", name));
  };
  for (std::size_t i = 0; i < stages_.size(); ++i) tell(stages_[i], plan.stages[i].name);
  for (std::size_t i = 0; i < monitoring_.size(); ++i) {
    tell(monitoring_[i], plan.monitoring[i].name);
  }
  // A chain that leads backwards would never end.
  const auto position = [&](const std::string& name) -> std::size_t {
    const auto stage = std::ranges::find(plan.stages, name, &Stage::name);
    if (stage != plan.stages.end()) return static_cast<std::size_t>(stage - plan.stages.begin());
    const auto phase = std::ranges::find(plan.monitoring, name, &Monitoring::name);
    return plan.stages.size() + static_cast<std::size_t>(phase - plan.monitoring.begin());
  };
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    const std::string& next = plan.stages[i].on_pass;
    if (!next.empty() && position(next) <= i) {
      stages_[i].fault(
          fmt::format("`on_pass` of '{}' leads back to '{}'", plan.stages[i].name, next));
    }
  }
  for (std::size_t i = 0; i < monitoring_.size(); ++i) {
    const std::string& next = plan.monitoring[i].on_pass;
    if (!next.empty() && position(next) <= plan.stages.size() + i) {
      monitoring_[i].fault(
          fmt::format("`on_pass` of '{}' leads back to '{}'", plan.monitoring[i].name, next));
    }
  }
}

void Structure::check_needs(const Plan& plan) const {
  const auto nodes = nodes_of(plan);
  std::map<std::string_view, std::set<std::string_view>> needed;  // directly or not
  for (const Node& node : nodes) {
    auto& mine = needed[node.name];
    std::vector<const Node*> open = {&node};
    while (!open.empty()) {
      const Node* at = open.back();
      open.pop_back();
      for (const std::string& need : *at->needs) {
        const Node* before = find(nodes, need);
        if (before != nullptr && mine.insert(before->name).second) open.push_back(before);
      }
    }
  }
  for (const Node& node : nodes) {
    const auto place = names_.find(std::string(node.name));
    if (place == names_.end()) continue;
    if (needed[node.name].contains(node.name)) {
      // A circle is told once, of its first member.
      const auto first = std::ranges::find_if(nodes, [&](const Node& other) {
        return needed[node.name].contains(other.name) && needed[other.name].contains(node.name);
      });
      if (first->name == node.name) {
        place->second.fault(fmt::format("'{}' waits for itself, by way of {}", node.name,
                                        fmt::join(*node.needs, ", ")));
      }
      continue;
    }
    for (const std::string& need : *node.needs) {
      const Node* before = find(nodes, need);
      if (before != nullptr && before->end > node.start) {
        place->second.fault(
            fmt::format("'{}' begins before '{}', which it needs, ends", node.name, need));
      }
    }
  }
}

}  // namespace covey::plan

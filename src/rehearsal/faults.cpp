#include "rehearsal/faults.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/near.h"
#include "config/document.h"

namespace covey::rehearsal {
namespace {

constexpr std::array<std::string_view, kFaultKinds> kNames = {
    "error_spike",          "latency_drift",     "bad_segment",   "telemetry_gap",
    "balancer_unreachable", "controller_crash",  "revenue_drop",  "nobody_approves",
    "region_down",          "critical_incident", "levels_missing"};

Time start_of(const plan::Plan& plan, std::string_view phase) {
  for (const auto& stage : plan.stages) {
    if (stage.name == phase) return stage.start;
  }
  for (const auto& monitoring : plan.monitoring) {
    if (monitoring.name == phase) return monitoring.start;
  }
  return plan.begin();
}

std::string read_segment(const config::Value& value, const plan::Plan& plan) {
  const std::string segment = value.text();
  if (std::ranges::find(plan.segments, segment) == plan.segments.end()) {
    const std::vector<std::string_view> known(plan.segments.begin(), plan.segments.end());
    value.fault(
        fmt::format("the plan has no segment '{}'{}", segment, did_you_mean(segment, known)));
  }
  return segment;
}

Fault read_fault(const config::Value& value, const plan::Plan& plan) {
  Fault out;
  config::Table table = value.table();
  if (const auto kind = table.require("kind", "of the fault")) {
    out.kind = static_cast<FaultKind>(kind->choice(kNames));
  }
  if (const auto in = table.require("in", "the stage or monitoring phase it falls into")) {
    out.in = in->text();
    std::vector<std::string_view> known;
    for (const auto& stage : plan.stages) known.push_back(stage.name);
    for (const auto& phase : plan.monitoring) known.push_back(phase.name);
    if (std::ranges::find(known, out.in) == known.end()) {
      in->fault(fmt::format("the plan has no stage or monitoring phase '{}'{}", out.in,
                            did_you_mean(out.in, known)));
    }
  }
  if (const auto after = table.get("after")) out.after = after->duration();
  if (const auto lasting = table.get("for")) out.lasting = lasting->duration();
  switch (out.kind) {
    case FaultKind::kErrorSpike:
    case FaultKind::kBadSegment:
      if (const auto rate = table.require("rate", "of wrong answers")) {
        out.size = rate->percent(0, 1);
      }
      if (const auto over = table.get("over")) out.over = over->duration();
      break;
    case FaultKind::kLatencyDrift:
      if (const auto times = table.require("times", "slower than before")) {
        out.size = times->number();
        if (out.size < 1) times->fault("must be at least 1");
      }
      if (const auto over = table.get("over")) out.over = over->duration();
      break;
    case FaultKind::kRevenueDrop:
      if (const auto lift = table.require("lift", "of revenue per learner")) {
        out.size = lift->percent(-1, 10);
      }
      break;
    default:
      break;
  }
  if (out.kind == FaultKind::kBadSegment || out.kind == FaultKind::kRegionDown) {
    if (const auto segment = table.require("segment", "one of the plan's")) {
      out.segment = read_segment(*segment, plan);
    }
  }
  table.done();
  return out;
}

}  // namespace

std::string_view name(FaultKind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}

Time Fault::begins(const plan::Plan& plan) const {
  return start_of(plan, in) + after;
}

bool Fault::active(const plan::Plan& plan, Time at) const {
  const Time from = begins(plan);
  return at >= from && (lasting.count() == 0 || at < from + lasting);
}

double Fault::strength(const plan::Plan& plan, Time at) const {
  if (!active(plan, at)) return 0;
  if (over.count() <= 0) return 1;
  return std::min(
      1.0, static_cast<double>((at - begins(plan)).count()) / static_cast<double>(over.count()));
}

Result<std::vector<Fault>> parse_faults(std::string file, std::string_view yaml,
                                        const plan::Plan& plan) {
  const auto document = COVEY_TRY(config::Document::parse(std::move(file), yaml));
  config::Table top = document.top();
  std::vector<Fault> out;
  if (const auto faults = top.require("faults", "what goes wrong")) {
    for (const config::Value& value : faults->list()) out.push_back(read_fault(value, plan));
  }
  top.done();
  COVEY_TRY_VOID(document.verdict());
  return out;
}

}  // namespace covey::rehearsal

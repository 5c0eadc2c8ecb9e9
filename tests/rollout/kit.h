#pragma once

#include <string>
#include <vector>

#include "plan/plan.h"
#include "rollout/state.h"

namespace covey::rollout {

/// Two stages and a roster, small enough to step through by hand.
inline constexpr std::string_view kSmallPlan = R"(plan: small
services:
  baseline: {address: "127.0.0.1:1"}
  candidate: {address: "127.0.0.1:2"}
balancer: {listen: "127.0.0.1:3"}
traffic: {requests_per_second: 1000, learners: 10000}
segments: [north, south]
roles:
  vp: {title: VP, people: [Vera], decides: yes}
  product: {title: Product lead, people: [Paul]}
roster:
  acknowledge_within: 5m
  shifts:
    - {name: day, from: "06:00", to: "18:00", people: [Olga, Emil]}
    - {name: night, from: "18:00", to: "06:00", people: [Nils]}
stages:
  - name: canary
    start: 2025-10-31T12:00:00Z
    share: 1%
    length: 10m
    max_extend: 10m
    checkpoints: [5m, 10m]
    criteria: [error_rate < 1%, p99 < 200ms]
    breached_for: 3m
    reactions: [{when: critical_incidents > 0, share: 0%}]
    approvals: [vp, product]
    on_pass: ramp
  - name: ramp
    start: 2025-10-31T13:00:00Z
    share: 10%
    length: 10m
    max_extend: 10m
    checkpoints: [5m, 10m]
    criteria: [error_rate < 0.5%]
    warnings: [error_rate > 0.75% for 2m]
    reactions: [{when: error_rate > 2% for 30s, share: 5%, severity: critical}]
    breached_for: 3m
    on_fail: {share: 5%}
    approvals: [vp]
)";

/// Steps a state by hand and keeps what came out.
class Hand {
 public:
  explicit Hand(std::string_view yaml = kSmallPlan)
      : plan(plan::parse_plan("small.yaml", yaml).value()), state(initial(plan)) {}

  void at(std::string_view time) { now = parse_time(time).value(); }
  void give(What what) {
    Step done = step(plan, std::move(state), {now, std::move(what)});
    state = std::move(done.state);
    effects.insert(effects.end(), done.effects.begin(), done.effects.end());
    decisions.insert(decisions.end(), done.decisions.begin(), done.decisions.end());
    if (!obliging) return;
    // The balancer does at once what it is told.
    for (const Effect& effect : done.effects) {
      if (state.pending.contains(effect.id)) give(Outcome{effect.id, true, ""});
    }
  }
  /// One slot later, with so many bad of so many requests in the window and the sliding one.
  void tick(std::int64_t bad = 0, std::int64_t all = 100'000) {
    now += plan.slot;
    give(Tick{telemetry(bad, all)});
  }
  void run(plan::Duration length, std::int64_t bad = 0, std::int64_t all = 100'000) {
    for (const Time end = now + length; now < end;) tick(bad, all);
  }
  Telemetry telemetry(std::int64_t bad, std::int64_t all) const {
    Telemetry out;
    out.silence = silence;
    out.candidate_requests = wanted_share(plan, state) > 0 ? 10 : 0;
    out.candidate = {1'000, 1, 2, std::chrono::milliseconds(9)};
    out.baseline = {99'000, 0, 0, {}};
    const auto index = watched_phase(state);
    if (!index || !state.phases[*index].began) return out;
    const PhaseView phase = phase_view(plan, *index);
    Measured measured;
    measured.candidate = {bad, all};
    // It is compared with nobody, but seen alone after a roll back.
    measured.baseline = {state.rolled_back ? baseline_bad : 0, state.rolled_back ? all : 0};
    for (std::size_t i = 0; i < phase.criteria().size(); ++i) {
      // The first criterion is what goes wrong.
      Measured m = measured;
      if (i > 0) m.candidate.successes = 0;
      if (plan::kind_of(phase.criteria()[i].measure) == plan::Kind::kGauge) {
        m = {};
        const auto slots = static_cast<std::uint64_t>(plan.window / plan.slot);
        m.readings = {slots, level ? slots : 0, level ? slots : 0};
        m.value = level;
      }
      out.criteria.push_back({m, m});
    }
    if (phase.stage != nullptr) {
      out.warnings.assign(phase.stage->warnings.size(), measured);
      out.reactions.assign(phase.stage->reactions.size(), measured);
    }
    return out;
  }
  std::vector<std::string> decided() const {
    std::vector<std::string> out;
    for (const Decision& decision : decisions) out.push_back(decision.what);
    return out;
  }
  bool has(std::string_view what) const {
    for (const Decision& decision : decisions) {
      if (decision.what == what) return true;
    }
    return false;
  }
  const Decision& last(std::string_view what) const {
    for (auto at = decisions.rbegin(); at != decisions.rend(); ++at) {
      if (at->what == what) return *at;
    }
    COVEY_CHECK(false && "no such decision");
  }
  void approve(const std::string& stage) {
    give(Approve{stage, "vp", "Vera"});
    if (stage == "canary") give(Approve{stage, "product", "Paul"});
  }
  /// Up to the canary's first checkpoint.
  void begin_canary() {
    at("2025-10-31T11:59:55Z");
    approve("canary");
    tick();
    tick();
  }

  plan::Plan plan;
  State state;
  Time now{};
  plan::Duration silence{};
  std::int64_t baseline_bad = 0;      ///< after a roll back
  std::optional<double> level = 0.5;  ///< of whatever the plan names
  bool obliging = true;
  std::vector<Effect> effects;
  std::vector<Decision> decisions;
};

}  // namespace covey::rollout

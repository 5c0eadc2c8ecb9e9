#include "rehearsal/rehearsal.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "rehearsal/invariants.h"

namespace covey::rehearsal {
namespace {

using rollout::Input;
using rollout::State;
using rollout::Status;

constexpr plan::Duration kApprovesAfter = std::chrono::minutes(15);
constexpr plan::Duration kTakesAfter = std::chrono::minutes(3);
/// A roll back whose verification is still looked for, slot by slot.
constexpr plan::Duration kVerifies = std::chrono::hours(6);
constexpr plan::Duration kCalmFor = std::chrono::minutes(30);

class Run {
 public:
  Run(const plan::Plan& plan, const Options& options)
      : plan_(plan),
        options_(options),
        invariants_(plan),
        journal_(plan, fate_),
        world_(plan, options.truth, options.faults, options.seed, fate_, invariants_) {
    fate_.fatal = options.fatal_point;
    invariants_.observe(journal_);
  }

  Rehearsed run();

 private:
  const State& state() const { return driver_->state(); }
  void open();
  /// Hands an input over; after a crash the controller is started again, and what it had not
  /// acknowledged is sent again.
  void take(const Input& input);
  void tick();
  void people();
  void approve();
  void decide_gates();
  void do_deeds();
  bool deeds_ahead() const { return deeds_done_ < options_.deeds.size(); }
  bool over() const;
  plan::Duration next_tick() const;
  bool calm_ahead() const;  ///< no fault begins or ends near
  Rehearsed outcome() const;
  void add_gates(const std::vector<plan::Gate>& gates, PhaseOutcome& to) const;

  const plan::Plan& plan_;
  const Options& options_;
  Fate fate_;
  Invariants invariants_;
  MemoryJournal journal_;
  World world_;
  std::unique_ptr<rollout::Driver> driver_;
  Time now_{};
  std::set<std::string> approved_;  // stage/role/start
  std::size_t deeds_done_ = 0;
  std::set<std::uint64_t> taken_;
  std::set<std::string> reported_, crashed_;
  std::optional<Time> calm_since_;
  std::uint64_t ticks_ = 0, crashes_ = 0;
};

void Run::open() {
  for (;;) {
    try {
      invariants_.began();
      // The journal of a rehearsal can't fail.
      driver_ = std::move(*rollout::Driver::open(plan_, journal_, world_, now_));
      return;
    } catch (const Died&) {
      ++crashes_;
    }
  }
}

void Run::take(const Input& input) {
  const std::size_t kind = input.what.index();
  const std::uint64_t before = journal_.inputs_of(kind);
  while (journal_.inputs_of(kind) == before) {
    try {
      const auto taken = driver_->take(input);
      COVEY_CHECK(taken);
    } catch (const Died&) {
      ++crashes_;
      driver_.reset();
      open();
    }
  }
}

plan::Duration Run::next_tick() const {
  const State& now = state();
  // Where nobody is on the candidate, or nothing has changed for long, there is little to see.
  // An experiment speaks every hour, and changes nothing until the gate.
  const auto word = std::ranges::find_if(
      now.decisions.rbegin(), now.decisions.rend(),
      [](const rollout::Decision& decision) { return decision.what != "impact"; });
  const Time last_word = word == now.decisions.rend() ? now_ : word->at;
  const bool quiet = now_ - last_word > std::chrono::hours(26) && calm_ahead();
  const bool called = std::ranges::any_of(now.incidents, [](const rollout::Incident& i) {
    return i.open() && !i.acknowledged && i.called_to > 0;
  });
  if (rollout::guard_is_over(plan_, now)) return std::chrono::hours(1);
  if (now.rolled_back) {
    const bool verifying = !now.rolled_back->verified && now_ - now.rolled_back->since < kVerifies;
    return verifying ? plan_.slot
           : called  ? plan::Duration(std::chrono::minutes(1))
                     : plan::Duration(std::chrono::minutes(30));
  }
  const bool watched = rollout::wanted_share(plan_, now) > 0 || world_.share_now() > 0;
  const bool calm = options_.calm_tick.count() > 0 && calm_ahead() &&
                    now_ - last_word > std::chrono::hours(1) && now.pending.empty();
  if (calm) return options_.calm_tick - now_.time_since_epoch() % options_.calm_tick;
  if (watched) return quiet ? plan::Duration(std::chrono::minutes(10)) : plan_.slot;
  const plan::Stage& first = plan_.stages.front();
  return now_ < first.preflight.value_or(first.start) - std::chrono::hours(2)
             ? plan::Duration(std::chrono::minutes(10))
             : std::max(plan_.slot, plan::Duration(std::chrono::seconds(30)));
}

bool Run::calm_ahead() const {
  return std::ranges::none_of(options_.faults,
                              [&](const Fault& fault) {
                                return fault.begins(plan_) + fault.lasting >
                                           now_ - std::chrono::hours(1) &&
                                       fault.begins(plan_) < now_ + std::chrono::hours(1);
                              }) &&
         (!deeds_ahead() || options_.deeds[deeds_done_].at > now_ + std::chrono::hours(1));
}

bool Run::over() const {
  if (state().finished) return true;
  if (options_.rollout_only) {
    if (rollout::guard_is_over(plan_, state())) return true;
    // Where the baseline is ill too, it may never be verified.
    const auto& back = state().rolled_back;
    if (deeds_ahead()) return false;
    if (back && (back->verified || now_ > back->since + kVerifies)) return true;
    const bool failed =
        state().at < state().phases.size() && state().phases[state().at].status == Status::kFailed;
    if (failed && now_ > *state().phases[state().at].decided + std::chrono::hours(1)) return true;
    // Later than anything the plan foresees.
    const auto& last =
        plan_.monitoring.empty() ? plan_.stages.back().start : plan_.monitoring.back().start;
    if (now_ > last + std::chrono::days(14)) return true;
  }
  return now_ >= plan_.end() + std::chrono::days(1);
}

void Run::approve() {
  for (const plan::Stage& stage : plan_.stages) {
    const auto index = static_cast<std::size_t>(&stage - plan_.stages.data());
    const rollout::Progress& progress = state().phases[index];
    if (progress.status != Status::kWaiting || state().at > index) continue;
    const Time asked = stage.preflight.value_or(stage.start - std::chrono::hours(1)) +
                       (progress.start - stage.start);
    if (now_ < asked + kApprovesAfter) continue;
    const bool nobody = std::ranges::any_of(world_.faults(), [&](const Fault& fault) {
      return fault.kind == FaultKind::kNobodyApproves && fault.in == stage.name;
    });
    // A stage that does not come up is not approved ahead of its time.
    if (nobody || state().rolled_back) continue;
    for (const std::string& role : stage.approvals) {
      const std::string key = fmt::format("{}/{}/{}", stage.name, role, state().attempt);
      if (!approved_.insert(key).second) continue;
      invariants_.approved(stage.name, role);
      take({now_, rollout::Approve{stage.name, role, plan_.role(role)->people.front(),
                                   state().attempt, ""}});
    }
  }
}

void Run::decide_gates() {
  for (const rollout::GateView& view : rollout::people_gates(plan_, state())) {
    if (now_ < view.at() || rollout::gate_waits_for(*view.gate, state()).empty()) continue;
    if (view.monitoring && state().phases[*view.monitoring].status != Status::kRunning) continue;
    const bool nobody = std::ranges::any_of(world_.faults(), [&](const Fault& fault) {
      return fault.kind == FaultKind::kNobodyApproves && view.monitoring &&
             fault.in == rollout::phase_view(plan_, *view.monitoring).name();
    });
    if (nobody) continue;
    for (const std::string& role : view.gate->approvals) {
      const auto known = state().gates.find(view.gate->name);
      if (known != state().gates.end() && known->second.approvals.contains(role)) continue;
      invariants_.approved(view.gate->name, role);
      take({now_, rollout::Approve{view.gate->name, role, plan_.role(role)->people.front(),
                                   state().attempt, "rehearsed: no report was made"}});
    }
  }
}

void Run::do_deeds() {
  const auto decides = std::ranges::find_if(plan_.roles, &plan::Role::decides);
  const std::string& role = decides->name;
  const std::string& person = decides->people.front();
  while (deeds_done_ < options_.deeds.size() && options_.deeds[deeds_done_].at <= now_) {
    const Deed& deed = options_.deeds[deeds_done_++];
    rollout::Command command;
    command.role = role;
    command.person = person;
    command.reason = "rehearsed";
    using Kind = rollout::Command::Kind;
    switch (deed.kind) {
      case Deed::Kind::kOverride:
        invariants_.overridden(deed.stage);
        take({now_, rollout::Override{deed.stage, role, person, "rehearsed", state().attempt}});
        continue;
      case Deed::Kind::kNoGo:
        take({now_, rollout::Withdraw{deed.stage, role, person, "rehearsed", state().attempt}});
        invariants_.withdrawn(deed.stage, role);
        continue;
      case Deed::Kind::kStart: {
        // Whatever stopped it is over by then, as far as people know.
        for (std::size_t i = 0; i < state().incidents.size(); ++i) {
          const rollout::Incident& incident = state().incidents[i];
          if (incident.open() && incident.severity == plan::Severity::kCritical) {
            take({now_, rollout::Resolve{incident.id, person}});
          }
        }
        const std::size_t at = std::min(state().at, plan_.stages.size() - 1);
        const std::uint64_t attempt = state().attempt;
        command.kind = Kind::kStart;
        command.stage = plan_.stages[at].name;
        command.start = now_ + std::chrono::minutes(30);
        take({now_, command});
        const auto& approvals = plan_.stages[at].approvals;
        if (state().attempt != attempt && std::ranges::find(approvals, role) != approvals.end()) {
          invariants_.approved(command.stage, role);
        }
        continue;
      }
      case Deed::Kind::kHold:
        command.kind = Kind::kHold;
        break;
      case Deed::Kind::kResume:
        command.kind = Kind::kResume;
        break;
      case Deed::Kind::kReduce:
        command.kind = Kind::kReduce;
        command.share = deed.share;
        break;
      case Deed::Kind::kAbort:
        command.kind = Kind::kAbort;
        break;
    }
    take({now_, command});
  }
}

void Run::people() {
  approve();
  do_deeds();
  for (const auto& [incident, person] : world_.called()) {
    const auto at = std::ranges::find(state().incidents, incident, &rollout::Incident::id);
    if (at == state().incidents.end() || !at->open() || at->acknowledged) continue;
    if (now_ - at->called < kTakesAfter || !taken_.insert(incident).second) continue;
    take({now_, rollout::Acknowledge{incident, person}});
    break;  // the list has changed
  }
  decide_gates();
  const auto done = [&](const std::string& name, Time end) {
    if (now_ < end - std::chrono::hours(1) || !reported_.insert(name).second) return;
    take({now_, rollout::WorkDone{name, plan_.roles.front().people.front()}});
  };
  for (const plan::Work& work : plan_.work) {
    for (const plan::Task& task : work.tasks) done(task.name, task.start + task.length);
    if (work.tasks.empty()) done(work.name, work.start + work.length);
  }
  for (const Fault& fault : options_.faults) {
    if (!fault.active(plan_, now_)) continue;
    const std::string key =
        fmt::format("{}/{}", name(fault.kind), format_time(fault.begins(plan_)));
    if (fault.kind == FaultKind::kCriticalIncident && reported_.insert(key).second) {
      take({now_, rollout::ReportIncident{plan::Severity::kCritical, key,
                                          "learners report that they can't sign in", "support"}});
    }
    if (fault.kind == FaultKind::kControllerCrash && crashed_.insert(key).second) {
      ++crashes_;
      driver_.reset();
      open();
    }
  }
  // A reduced share goes up again once nothing has been breached for a while.
  const bool reduced = state().cap && !state().rolled_back;
  const bool breached = state().at < state().phases.size() &&
                        std::ranges::any_of(
                            state().phases[state().at].breached,
                            [](const rollout::Since& since) { return since.at.has_value(); });
  if (!reduced || breached) {
    calm_since_.reset();
  } else if (!calm_since_) {
    calm_since_ = now_;
  } else if (now_ - *calm_since_ >= kCalmFor) {
    calm_since_.reset();
    const auto decides = std::ranges::find_if(plan_.roles, &plan::Role::decides);
    rollout::Command command;
    command.kind = rollout::Command::Kind::kResume;
    command.role = decides->name;
    command.person = decides->people.front();
    command.reason = "nothing breached for half an hour";
    take({now_, command});
  }
}

void Run::tick() {
  ++ticks_;
  world_.advance(now_, state());
  rollout::Tick tick{rollout::measure(plan_, state(), world_.history(), now_)};
  for (const auto& impact : world_.impacts()) {
    invariants_.told(impact);
    take({now_, impact});
  }
  take({now_, std::move(tick)});
  for (const auto& result : world_.check_results()) take({now_, result});
  people();
  journal_.offer(state());
  invariants_.ticked(now_, world_.share_now(), world_.silent(), world_.reachable());
}

Rehearsed Run::run() {
  // Telemetry begins a while before the first pre-flight asks for it.
  now_ = plan_.begin() - std::chrono::minutes(10);
  const Time begin = now_, end = plan_.end();
  open();
  while (!over()) {
    now_ += next_tick();
    tick();
    if (options_.progress && ticks_ % 4'096 == 0) {
      options_.progress(std::min(1.0, static_cast<double>((now_ - begin).count()) /
                                          static_cast<double>((end - begin).count())));
    }
  }
  Rehearsed out = outcome();
  out.virtual_hours = static_cast<double>((now_ - begin).count()) / 3'600e6;
  return out;
}

/// What people decided, said as what it is: no measurement.
void Run::add_gates(const std::vector<plan::Gate>& gates, PhaseOutcome& to) const {
  for (const plan::Gate& gate : gates) {
    const std::string missing = rollout::gate_waits_for(gate, state());
    for (const std::string& text : gate.criteria) {
      rollout::Evidence e;
      e.criterion = text;
      e.text = missing.empty()
                   ? fmt::format("measured by nothing: in the rehearsal {} said GO at {}",
                                 fmt::join(gate.approvals, ", "), gate.name)
                   : fmt::format("measured by nothing: {} waits for {}", gate.name, missing);
      to.evidence.push_back(std::move(e));
    }
  }
}

Rehearsed Run::outcome() const {
  Rehearsed out;
  for (std::size_t i = 0; i < state().phases.size(); ++i) {
    const rollout::Progress& progress = state().phases[i];
    PhaseOutcome one;
    one.name = rollout::phase_view(plan_, i).name();
    one.decided_at = progress.decided;
    one.evidence = progress.evidence;
    switch (progress.status) {
      case Status::kPassed:
        one.outcome = "passed";
        one.share_final = rollout::phase_share(plan_, i);
        break;
      case Status::kFailed:
        one.outcome = "failed";
        one.share_final = world_.share_now();
        break;
      case Status::kRolledBack:
        one.outcome = "rolled_back";
        one.share_final = world_.share_now();
        break;
      case Status::kRunning:
        one.outcome = "held";
        one.share_final = world_.share_now();
        break;
      case Status::kWaiting:
        one.outcome = progress.waits_for.empty() ? "skipped" : "held";
        break;
    }
    if (i >= plan_.stages.size()) add_gates(plan_.monitoring[i - plan_.stages.size()].gates, one);
    out.phases.push_back(std::move(one));
  }
  for (const plan::Work& work : plan_.work) {
    PhaseOutcome one;
    one.name = work.name;
    const auto passed = state().work_passed.find(work.name);
    if (passed != state().work_passed.end()) {
      one.outcome = "passed";
      one.decided_at = passed->second;
    } else {
      one.outcome = now_ >= work.start + work.length ? "held" : "skipped";
    }
    one.share_final = world_.share_now();
    add_gates(work.gates, one);
    out.phases.push_back(std::move(one));
  }
  out.decisions = journal_.decisions;
  out.invariants_checked = invariants_.checked();
  out.broken = invariants_.broken();
  out.ticks = ticks_;
  out.crashes = crashes_;
  out.effect_points = fate_.of_effects;
  out.notified = world_.notified();
  out.reports = world_.reports();
  out.share_final = world_.share_now();
  out.passed = std::ranges::all_of(state().phases, [](const rollout::Progress& progress) {
    return progress.status == Status::kPassed;
  });
  return out;
}

}  // namespace

Rehearsed rehearse(const plan::Plan& plan, const Options& options) {
  return Run(plan, options).run();
}

}  // namespace covey::rehearsal

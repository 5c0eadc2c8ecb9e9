#include <algorithm>

#include <fmt/format.h>

#include "config/units.h"
#include "rollout/stepper.h"

namespace covey::rollout {
namespace {

/// Silence shorter than this is jitter of the stream.
constexpr int kSilentSlots = 2;
/// How long the candidate must be seen to receive nothing before a roll back counts as verified.
constexpr int kQuietSlots = 2;
/// A roll back not verified by then is a critical incident of its own, and the share is set again.
constexpr Duration kVerifyWithin = std::chrono::seconds(30);
/// Sliding windows in which the baseline's figures must return; then somebody is called.
constexpr int kReturnWindows = 5;
constexpr Duration kUnreachableTold = std::chrono::seconds(15);

/// The evidence of a warning or reaction that came true: read, it speaks against the candidate.
Evidence against(const plan::Rule& rule, const Measured& measured, const GateLevels& levels) {
  Evidence out = judge(rule, measured, levels);
  if (plan::kind_of(rule.measure) != plan::Kind::kEvidence) out.verdict = stats::Verdict::kFail;
  return out;
}

}  // namespace

Step step(const plan::Plan& plan, State state, const Input& input) {
  Stepper stepper(plan, std::move(state));
  stepper.take(input);
  return std::move(stepper).done();
}

void Stepper::take(const Input& input) {
  s_.now = std::max(s_.now, input.at);
  std::visit([this](const auto& what) { on(what); }, input.what);
}

void Stepper::act(Act act, std::string cause) {
  COVEY_CHECK(!cause.empty());
  Effect effect{s_.next_effect++, std::move(cause), std::move(act)};
  s_.pending.emplace(effect.id, effect);
  effects_.push_back(std::move(effect));
}

void Stepper::decide(std::string what, std::string cause, std::vector<Evidence> evidence) {
  const BasisPoints share = wanted_share(plan_, s_);
  if (share != s_.caused_share) {
    s_.caused_share = share;
    s_.share_cause = fmt::format("{}: {}", what, cause);
  }
  Decision decision{s_.now, phase_name(),     std::move(what),
                    share,  std::move(cause), std::move(evidence)};
  s_.decisions.push_back(decision);
  if (s_.decisions.size() > Limits{}.decisions_kept) s_.decisions.pop_front();
  decisions_.push_back(std::move(decision));
}

void Stepper::tell(std::optional<Severity> severity, std::string title, std::string text,
                   std::string cause) {
  Notify notify;
  notify.severity = severity;
  notify.title = std::move(title);
  notify.text = std::move(text);
  act(std::move(notify), std::move(cause));
}

void Stepper::refuse(std::string why) {
  decide("refused", std::move(why));
}

std::string Stepper::phase_name() const {
  if (s_.at < phase_count(plan_)) return phase_view(plan_, s_.at).name();
  return "";
}

GateLevels Stepper::levels(const PhaseView& phase) const {
  return {plan_.alpha, plan_.margin, std::max<std::size_t>(1, phase.criteria().size())};
}

bool Stepper::may(const std::string& role, const std::string& person) const {
  const plan::Role* held = plan_.role(role);
  return held != nullptr && std::ranges::find(held->people, person) != held->people.end();
}

// ---- Inputs

void Stepper::on(const Tick& tick) {
  if (s_.finished) return;
  run_schedule();
  watch(tick.telemetry);
  look(tick.telemetry);
  verify(tick.telemetry);
  escalate();
  run_cadence(tick.telemetry);
  run_gates();
  run_work();
  settle_share();
}

std::string Stepper::stale(std::uint64_t attempt) const {
  // Requests without a number are as old as the first attempt: one that is sent again later does
  // not count for what has been started since.
  const std::uint64_t of = attempt == 0 ? 1 : attempt;
  if (of == s_.attempt) return "";
  return attempt == 0 ? fmt::format(
                            "this is attempt {}: say so, for one of the first would count "
                            "no more",
                            s_.attempt)
                      : fmt::format("it is of attempt {}, and this is attempt {}", of, s_.attempt);
}

void Stepper::on(const Approve& approve) {
  for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
    const plan::Stage& stage = plan_.stages[i];
    if (stage.name != approve.stage) continue;
    Progress& progress = s_.phases[i];
    if (!may(approve.role, approve.person)) {
      refuse(
          fmt::format("{} does not hold the role {}: no approval", approve.person, approve.role));
    } else if (std::ranges::find(stage.approvals, approve.role) == stage.approvals.end()) {
      refuse(fmt::format("{} is not among the approvals of {}", approve.role, stage.name));
    } else if (const std::string old = stale(approve.attempt); !old.empty()) {
      refuse("no approval: " + old);
    } else if (progress.status != Status::kWaiting) {
      refuse(fmt::format("{} is {}: nothing to approve", stage.name, name(progress.status)));
    } else if (!progress.approvals.emplace(approve.role, approve.person).second) {
      refuse(fmt::format("{} has approved {} already", approve.role, stage.name));
    } else {
      progress.no_go.erase(approve.role);
      decide("approve",
             fmt::format("{} ({}) approves {}{}", approve.person, approve.role, stage.name,
                         i > s_.at ? ", in advance: it stands until it is "
                                     "withdrawn or a stage is started again"
                                   : ""));
    }
    return;
  }
  if (const auto gate = people_gate(approve.stage)) {
    approve_gate(*gate, approve);
    return;
  }
  refuse(fmt::format("there is no stage '{}' to approve, nor a gate", approve.stage));
}

void Stepper::on(const Override& instead) {
  const plan::Role* role = plan_.role(instead.role);
  for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
    if (plan_.stages[i].name != instead.stage) continue;
    if (!may(instead.role, instead.person)) {
      refuse(
          fmt::format("{} does not hold the role {}: no override", instead.person, instead.role));
    } else if (!role->decides) {
      refuse(fmt::format("{} does not decide: no override", role->title));
    } else if (const std::string old = stale(instead.attempt); !old.empty()) {
      refuse("no override: " + old);
    } else if (s_.phases[i].status != Status::kWaiting) {
      refuse(
          fmt::format("{} is {}: nothing to override", instead.stage, name(s_.phases[i].status)));
    } else {
      s_.phases[i].overridden_by = instead.person;
      decide("override", fmt::format("{} ({}) stands in for the approvals of {}: {}",
                                     instead.person, role->title, instead.stage, instead.reason));
    }
    return;
  }
  if (const auto gate = people_gate(instead.stage)) {
    override_gate(*gate, instead);
    return;
  }
  refuse(fmt::format("there is no stage '{}' to override, nor a gate", instead.stage));
}

void Stepper::on(const Withdraw& withdraw) {
  const plan::Role* role = plan_.role(withdraw.role);
  for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
    const plan::Stage& stage = plan_.stages[i];
    if (stage.name != withdraw.stage) continue;
    Progress& progress = s_.phases[i];
    const bool asked = std::ranges::find(stage.approvals, withdraw.role) != stage.approvals.end();
    if (!may(withdraw.role, withdraw.person)) {
      refuse(fmt::format("{} does not hold the role {}: no withdrawal", withdraw.person,
                         withdraw.role));
    } else if (!asked && !role->decides) {
      refuse(fmt::format("{} is not among the approvals of {}", withdraw.role, stage.name));
    } else if (const std::string old = stale(withdraw.attempt); !old.empty()) {
      refuse("no withdrawal: " + old);
    } else if (progress.status != Status::kWaiting) {
      refuse(
          fmt::format("{} is {}: `hold` or `abort` it instead", stage.name, name(progress.status)));
    } else {
      const bool had = progress.approvals.erase(withdraw.role) > 0;
      if (role->decides) progress.overridden_by.clear();
      const std::string who = fmt::format("{}{}", withdraw.person,
                                          withdraw.reason.empty() ? "" : ": " + withdraw.reason);
      if (asked) progress.no_go[withdraw.role] = who;
      decide("no_go", fmt::format("{} ({}) {} {}{}", withdraw.person, role->title,
                                  had ? "withdraws the approval of" : "says NO-GO to", stage.name,
                                  withdraw.reason.empty() ? "" : ": " + withdraw.reason));
    }
    return;
  }
  if (const auto gate = people_gate(withdraw.stage)) {
    refuse_gate(*gate, withdraw);
    return;
  }
  refuse(fmt::format("there is no stage '{}' to withdraw from, nor a gate", withdraw.stage));
}

void Stepper::on(const Command& command) {
  const plan::Role* role = plan_.role(command.role);
  if (!may(command.role, command.person)) {
    refuse(fmt::format("{} does not hold the role {}", command.person, command.role));
    return;
  }
  const std::string who = fmt::format("{} ({}){}", command.person, role->title,
                                      command.reason.empty() ? "" : ": " + command.reason);
  // Whoever holds a role may make things safer; only who decides may go on after a roll back.
  switch (command.kind) {
    case Command::Kind::kHold:
      s_.held_by = command.person;
      decide("hold", who);
      return;
    case Command::Kind::kResume:
      if (s_.rolled_back) {
        refuse("rolled back: `start` a stage again instead");
        return;
      }
      if (s_.cap && !role->decides) {
        refuse(fmt::format("the share was reduced: only who decides may raise it again, not {}",
                           role->title));
        return;
      }
      s_.held_by.clear();
      if (s_.cap) raise_again(command.person);
      for (Progress& progress : s_.phases) {
        for (Since& since : progress.reacted) since = {};
      }
      if (s_.at < s_.phases.size() && s_.phases[s_.at].gate_held) {
        Progress& progress = s_.phases[s_.at];
        progress.gate_held = progress.extension_told = false;
        progress.next_gate.reset();
        progress.extended_from = s_.now;
      }
      decide("resume", who);
      settle_share();
      begin_if_confirmed();  // a reduction that never reached the balancer
      return;
    case Command::Kind::kReduce:
      if (command.share >= wanted_share(plan_, s_)) {
        refuse(fmt::format("a reduction to {} reduces nothing", plan::share_text(command.share)));
        return;
      }
      s_.cap = command.share;
      decide("reduce", who);
      settle_share();
      return;
    case Command::Kind::kAbort:
      if (s_.rolled_back) {
        refuse("rolled back already");
        return;
      }
      roll_back("aborted by " + who, {});
      settle_share();
      return;
    case Command::Kind::kStart:
      start_again(command);
      return;
    case Command::Kind::kReschedule:
      reschedule(command);
      return;
  }
}

void Stepper::raise_again(const std::string& person) {
  const BasisPoints reduced = *std::exchange(s_.cap, std::nullopt);
  // Whoever lets the share up has decided on what reduced it.
  for (const plan::Stage& stage : plan_.stages) {
    for (const plan::Reaction& reaction : stage.reactions) {
      resolve_incident("rule/" + reaction.when.text, person);
    }
  }
  if (s_.at >= s_.phases.size()) return;
  Progress& progress = s_.phases[s_.at];
  // Time at a smaller share is no time at this one.
  if (progress.status == Status::kRunning && progress.began &&
      reduced < phase_share(plan_, s_.at)) {
    progress.begins_anew = true;
  }
}

void Stepper::reset_phase(std::size_t index, Time start) {
  Progress fresh = initial(plan_).phases[index];
  fresh.start = start;
  s_.phases[index] = std::move(fresh);
}

void Stepper::start_again(const Command& command) {
  const plan::Role* role = plan_.role(command.role);
  if (!role->decides) {
    refuse(fmt::format("{} does not decide: only who does may start again", role->title));
    return;
  }
  const auto at = std::ranges::find(plan_.stages, command.stage, &plan::Stage::name);
  if (at == plan_.stages.end()) {
    refuse(fmt::format("there is no stage '{}' to start", command.stage));
    return;
  }
  const auto index = static_cast<std::size_t>(at - plan_.stages.begin());
  const bool stopped =
      s_.rolled_back || (s_.at < s_.phases.size() && s_.phases[s_.at].status == Status::kFailed);
  if (!stopped || index > s_.at) {
    refuse(stopped ? fmt::format("{} lies beyond {}", command.stage, phase_name())
                   : "nothing was stopped: `resume` lifts a hold");
    return;
  }
  if (critical_incidents() > 0) {
    refuse("a critical incident is open, which would roll it back at once: resolve it first");
    return;
  }
  const Time start = std::max(command.start.value_or(s_.now), s_.now);
  const Duration later = start - s_.phases[index].start;
  for (std::size_t i = index; i < s_.phases.size(); ++i) {
    reset_phase(i, i == index ? start : s_.phases[i].start + later);
  }
  s_.at = index;
  ++s_.attempt;
  s_.rolled_back.reset();
  s_.cap.reset();
  s_.held_by.clear();
  s_.silent_since.reset();
  // What was said of the attempt before says nothing of this one.
  s_.impacts.clear();
  for (const GateView& view : people_gates(plan_, s_)) {
    if (view.monitoring) s_.gates.erase(view.gate->name);
  }
  for (const char* key : {"rollback", "rollback/unverified", "rollback/baseline"}) {
    resolve_incident(key, command.person);
  }
  for (const plan::Stage& stage : plan_.stages) {
    resolve_incident("no-go/" + stage.name, command.person);
  }
  // Whoever starts it thereby approves it; the others are asked anew.
  if (std::ranges::find(at->approvals, command.role) != at->approvals.end()) {
    s_.phases[index].approvals.emplace(command.role, command.person);
  }
  decide("start", fmt::format("{} ({}) starts {} again at {}, attempt {}{}", command.person,
                              role->title, command.stage, format_time(start), s_.attempt,
                              command.reason.empty() ? "" : ": " + command.reason));
  // What was kept for investigation may be more than the stage before allows: that goes at once.
  // More comes with the next tick, which looks at telemetry first.
  if (s_.seen && *s_.seen > wanted_share(plan_, s_)) settle_share();
}

void Stepper::reschedule(const Command& command) {
  const plan::Role* role = plan_.role(command.role);
  if (!role->decides) {
    refuse(fmt::format("{} does not decide: no rescheduling", role->title));
    return;
  }
  for (std::size_t i = 0; i < s_.phases.size(); ++i) {
    if (phase_view(plan_, i).name() != command.stage) continue;
    if (s_.phases[i].status != Status::kWaiting || !command.start || *command.start < s_.now) {
      refuse(fmt::format("{} can't be moved to {}", command.stage,
                         command.start ? format_time(*command.start) : "no time"));
      return;
    }
    const Duration later = *command.start - s_.phases[i].start;
    for (std::size_t j = i; j < s_.phases.size(); ++j) s_.phases[j].start += later;
    // What was checked then says little about the new time.
    s_.phases[i].checks_asked = false;
    s_.phases[i].checks = {};
    decide("reschedule",
           fmt::format("{} ({}) moves {} to {}, and what follows with it", command.person,
                       role->title, command.stage, format_time(*command.start)));
    return;
  }
  refuse(fmt::format("there is no phase '{}' to move", command.stage));
}

void Stepper::on(const ReportIncident& report) {
  open_incident(report.severity, report.key, report.title, report.source, {}, false);
}

void Stepper::on(const CheckResult& result) {
  for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
    if (plan_.stages[i].name != result.stage) continue;
    Progress& progress = s_.phases[i];
    std::erase_if(s_.pending, [&](const auto& pending) {
      const auto* asked = std::get_if<RunCheck>(&pending.second.act);
      return asked != nullptr && asked->stage == result.stage && asked->check == result.check;
    });
    auto& known = progress.checks[static_cast<std::size_t>(result.check)];
    if (known == result.ok) return;  // told before a crash
    known = result.ok;
    decide(result.ok ? "check" : "check_failed",
           fmt::format("{}: {}", plan::name(result.check), result.detail));
    if (!result.ok) {
      open_incident(Severity::kHigh,
                    fmt::format("preflight/{}/{}", result.stage, plan::name(result.check)),
                    fmt::format("pre-flight of {}: {} failed: {}", result.stage,
                                plan::name(result.check), result.detail),
                    "pre-flight", {}, true);
      progress.checks_again = s_.now + 2 * plan_.window;
    } else {
      resolve_incident(fmt::format("preflight/{}/{}", result.stage, plan::name(result.check)),
                       "the check, made again");
    }
    return;
  }
}

void Stepper::on(const WorkDone& done) {
  // What it is, and what must be there before it.
  bool known = false;
  std::vector<std::string> needs;
  for (const plan::Work& work : plan_.work) {
    const bool whole = work.name == done.name && work.tasks.empty();
    const auto task = std::ranges::find(work.tasks, done.name, &plan::Task::name);
    if (!whole && task == work.tasks.end()) continue;
    known = true;
    needs = work.needs;
    if (!whole) needs.insert(needs.end(), task->needs.begin(), task->needs.end());
  }
  std::erase_if(needs, [this](const std::string& need) { return task_done(need); });
  if (!known) {
    refuse(fmt::format("there is no task '{}' to be done", done.name));
  } else if (!needs.empty()) {
    refuse(fmt::format("{} can't be done before {}, which it needs", done.name,
                       fmt::join(needs, ", ")));
  } else if (!s_.work_done.emplace(done.name, done.person).second) {
    refuse(fmt::format("{} is done already", done.name));
  } else {
    decide("work_done", fmt::format("{} says that {} is done", done.person, done.name));
  }
}

void Stepper::on(const SetImpact& impact) {
  const std::string_view measure = plan::name(impact.measure);
  const auto no = [&](std::string why) { refuse(fmt::format("{}: {}", measure, why)); };
  const bool fetched = impact.role.empty();
  if (plan::kind_of(impact.measure) != plan::Kind::kImpact) {
    no("no experiment tells it; an impact is of revenue, churn or engagement");
    return;
  }
  if (fetched && !plan_.impacts.fetched()) {
    no("the plan names no experiment to read it from");
    return;
  }
  if (!fetched && !may(impact.role, impact.person)) {
    no(fmt::format("{} does not hold the role {}", impact.person, impact.role));
    return;
  }
  if (!fetched && std::ranges::find(plan_.impacts.by, impact.role) == plan_.impacts.by.end()) {
    no(fmt::format("it is told by {}, not by {}", fmt::join(plan_.impacts.by, ", "), impact.role));
    return;
  }
  if (impact.source.empty()) {
    no("it must name its source: the experiment and its analysis");
    return;
  }
  if (!(impact.interval.low <= impact.estimate && impact.estimate <= impact.interval.high)) {
    no("an interval encloses its estimate");
    return;
  }
  if (impact.as_of > s_.now) {
    no(fmt::format("its events are said to count up to {}, which is yet to come",
                   format_time(impact.as_of)));
    return;
  }
  if (s_.now > valid_until(plan_, impact)) {
    no(fmt::format("as of {} it was valid until {}", format_time(impact.as_of),
                   format_time(valid_until(plan_, impact))));
    return;
  }
  const auto known = s_.impacts.find(impact.measure);
  if (known != s_.impacts.end() && impact.as_of < known->second.told.as_of) {
    no(fmt::format("one as of {} is known, which is newer", format_time(known->second.told.as_of)));
    return;
  }
  s_.impacts.insert_or_assign(impact.measure, KnownImpact{impact, s_.now});
  const auto text = [&](double value) { return plan::value_text(impact.measure, value); };
  decide("impact", fmt::format("{} {} ({} to {}) as of {}, from {}; {}", measure,
                               text(impact.estimate), text(impact.interval.low),
                               text(impact.interval.high), format_time(impact.as_of), impact.source,
                               fetched ? "read by the controller"
                                       : fmt::format("told by {} ({})", impact.person,
                                                     plan_.role(impact.role)->title)));
}

void Stepper::on(const Outcome& outcome) {
  const auto at = s_.pending.find(outcome.effect);
  if (at == s_.pending.end()) return;  // told before
  const Effect effect = std::move(at->second);
  s_.pending.erase(at);
  if (const auto* set = std::get_if<SetShare>(&effect.act)) {
    if (!outcome.ok) {
      s_.seen.reset();
      if (!s_.unreachable_since) s_.unreachable_since = s_.now;
      return;  // the next tick tries again
    }
    s_.seen = set->share;
    s_.unreachable_since.reset();
    resolve_incident("balancer", "the balancer, which answers again");
    begin_if_confirmed();
    return;
  }
  if (!outcome.ok) {
    // The channel or the disk failed, for longer than the shell tries by itself.
    open_incident(Severity::kMedium, "effects", fmt::format("not done: {}", outcome.detail),
                  "controller", {}, true);
  }
}

void Stepper::begin_if_confirmed() {
  if (s_.at >= s_.phases.size()) return;
  Progress& progress = s_.phases[s_.at];
  const bool anew = progress.begins_anew && !s_.cap;
  if (progress.status != Status::kRunning || (progress.began && !anew)) return;
  if (!s_.seen || *s_.seen != phase_share(plan_, s_.at)) return;
  if (anew) restart_window(progress);
  progress.began = s_.now;
  decide("begin",
         fmt::format("the balancer sends {} to the candidate{}", plan::share_text(*s_.seen),
                     anew ? " again: its window begins anew" : ""));
  if (s_.at >= plan_.stages.size()) return;
  if (plan_.snapshot_every.count() > 0) s_.next_snapshot = s_.now + plan_.snapshot_every;
  if (plan_.briefing_every.count() > 0) s_.next_briefing = s_.now + plan_.briefing_every;
}

void Stepper::restart_window(Progress& progress) {
  const Progress fresh = initial(plan_).phases[s_.at];
  progress.begins_anew = false;
  progress.next_gate.reset();
  progress.extended_from.reset();
  progress.extension_told = progress.gate_held = false;
  progress.missing = {};
  progress.breached = fresh.breached;
  progress.beyond = fresh.beyond;
  progress.absent = fresh.absent;
  progress.warned = fresh.warned;
  progress.reacted = fresh.reacted;
  progress.evidence.clear();
  // Checkpoints count from the window's begin; the looks of monitoring are dates.
  if (s_.at < plan_.stages.size()) progress.checkpoint = 0;
}

void Stepper::on(const ReadBack& read) {
  const bool expected = read.share && s_.seen == read.share;
  s_.seen = read.share;
  if (read.share) {
    s_.unreachable_since.reset();
    resolve_incident("balancer", "the balancer, which answers again");
  } else if (!s_.unreachable_since) {
    s_.unreachable_since = s_.now;
  }
  if (read.share && !expected && read.share != wanted_share(plan_, s_)) {
    decide("read_back",
           fmt::format("the balancer holds {}, {} is wanted", plan::share_text(*read.share),
                       plan::share_text(wanted_share(plan_, s_))));
  }
  // A command whose answer was lost may have been obeyed.
  begin_if_confirmed();
  settle_share();
}

// ---- Watching

void Stepper::watch(const Telemetry& telemetry) {
  const auto index = watched_phase(s_);
  if (!index || guard_is_over(plan_, s_)) return;
  const PhaseView phase = phase_view(plan_, *index);
  Progress& progress = s_.phases[*index];
  watch_silence(telemetry, phase);
  if (s_.rolled_back) return;
  // Before the balancer confirmed the share there is nothing to judge.
  if (!progress.began || telemetry.criteria.size() != phase.criteria().size()) return;
  progress.missing = telemetry.missing;

  for (std::size_t i = 0; i < phase.criteria().size(); ++i) {
    const plan::Rule& rule = phase.criteria()[i];
    if (s_.now < *progress.began + rule.from) continue;
    const Measured& recent = telemetry.criteria[i].recent;
    if (watch_level(rule, recent, progress.absent[i], phase)) return;
    Since& since = progress.breached[i];
    // Monitoring has no reactions that would answer an incident.
    const bool incident = phase.stage == nullptr &&
                          rule.measure == plan::Measure::kCriticalIncidents &&
                          !plan::satisfies(rule, static_cast<double>(critical_incidents()));
    if (incident || breached(rule, recent, levels(phase))) {
      if (!since.at) since.at = s_.now;
      if (s_.now - *since.at >= phase.patience(rule)) {
        roll_back(fmt::format("{} breached for {}", rule.text,
                              config::format_duration(phase.patience(rule))),
                  {judge(rule, with_own(rule, recent, Asks::kRule), levels(phase))});
        return;
      }
      if (!since.told) {
        since.told = true;
        open_incident(Severity::kHigh, fmt::format("breach/{}", rule.text),
                      fmt::format("{} is breached; rolled back in {} if it stays so", rule.text,
                                  config::format_duration(phase.patience(rule))),
                      "telemetry",
                      {judge(rule, with_own(rule, recent, Asks::kRule), levels(phase))}, true);
      }
      continue;
    }
    if (since.told) resolve_incident(fmt::format("breach/{}", rule.text), "telemetry");
    since = {};
    // Beyond the limit, yet not shown to be: worth a look, not a verdict.
    const auto value = seen_value(rule, recent);
    Since& beyond_since = progress.beyond[i];
    const bool raw = plan::kind_of(rule.measure) == plan::Kind::kEvidence &&
                     rule.measure != plan::Measure::kSegmentSpread && value &&
                     beyond(rule, recent, levels(phase), false);
    if (!raw) {
      beyond_since = {};
    } else if (!beyond_since.at) {
      beyond_since.at = s_.now;
    } else if (!beyond_since.told && s_.now - *beyond_since.at >= plan_.window) {
      beyond_since.told = true;
      const Evidence evidence = judge(rule, recent, levels(phase));
      decide("warn",
             fmt::format("{}: {} in the last {}, too little to tell", rule.text, evidence.text,
                         config::format_duration(plan_.window)),
             {evidence});
      tell(Severity::kLow, fmt::format("{}: beyond its limit", rule.text), evidence.text,
           "a value beyond the limit that is still undecided");
    }
  }
  if (phase.stage != nullptr) watch_rules(telemetry, *phase.stage, progress);
}

void Stepper::watch_silence(const Telemetry& telemetry, const PhaseView& phase) {
  if (telemetry.silence < kSilentSlots * plan_.slot) {
    if (s_.silent_since) {
      s_.silent_since.reset();
      decide("telemetry_back", "slots are complete again");
      resolve_incident("silence", "telemetry");
    }
    return;
  }
  if (wanted_share(plan_, s_) == 0) return;  // nobody is on the candidate
  if (!s_.silent_since) {
    s_.silent_since = s_.now - telemetry.silence;
    decide("hold", fmt::format("no complete slot for {}: no telemetry is never good telemetry",
                               config::format_duration(telemetry.silence)));
    open_incident(Severity::kHigh, "silence",
                  fmt::format("no telemetry; rolled back after {}",
                              config::format_duration(phase.breached_for())),
                  "telemetry", {}, true);
  }
  if (s_.now - *s_.silent_since >= phase.breached_for()) {
    roll_back(fmt::format("no telemetry for {}", config::format_duration(phase.breached_for())),
              {});
  }
}

bool Stepper::watch_level(const plan::Rule& rule, const Measured& recent, Since& since,
                          const PhaseView& phase) {
  const auto slots = static_cast<std::uint64_t>(plan_.window / plan_.slot);
  if (!absent(rule, recent, slots)) {
    if (since.at) {
      since = {};
      decide("telemetry_back", fmt::format("{} is read again", plan::name(rule.measure)));
      resolve_incident("level/" + rule.text, "telemetry");
    }
    return false;
  }
  if (!since.at) {
    since.at = s_.now;
    decide("hold", fmt::format("{}: no reading for {}: what is not measured is never good",
                               rule.text, config::format_duration(plan_.window)));
    open_incident(Severity::kHigh, "level/" + rule.text,
                  fmt::format("{} is not read; rolled back in {} if it stays so", rule.text,
                              config::format_duration(phase.breached_for())),
                  "telemetry", {}, true);
  }
  if (s_.now - *since.at < phase.breached_for()) return false;
  roll_back(fmt::format("{}: no reading for {}", rule.text,
                        config::format_duration(plan_.window + phase.breached_for())),
            {});
  return true;
}

std::string Stepper::lacking() const {
  if (s_.silent_since) return "telemetry is missing";
  if (s_.at >= s_.phases.size()) return "";
  const Progress& progress = s_.phases[s_.at];
  for (std::size_t i = 0; i < progress.absent.size(); ++i) {
    if (progress.absent[i].at) {
      return fmt::format("{} is not read", phase_view(plan_, s_.at).criteria()[i].text);
    }
  }
  return "";
}

void Stepper::watch_rules(const Telemetry& telemetry, const plan::Stage& stage,
                          Progress& progress) {
  const GateLevels level = levels(phase_view(plan_, *watched_phase(s_)));
  const auto lasting = [&](Since& since, bool on, const plan::Rule& rule) {
    if (!on || s_.now < *progress.began + rule.from) {
      const bool ended = since.told;
      since = {};
      if (ended) resolve_incident("rule/" + rule.text, "telemetry");
      return false;
    }
    if (!since.at) since.at = s_.now;
    return !since.told && s_.now - *since.at >= rule.lasting;
  };
  for (std::size_t i = 0; i < stage.warnings.size() && i < telemetry.warnings.size(); ++i) {
    const plan::Rule& rule = stage.warnings[i];
    const Measured measured = with_own(rule, telemetry.warnings[i], Asks::kRule);
    if (!lasting(progress.warned[i], beyond(rule, measured, level, false), rule)) continue;
    progress.warned[i].told = true;
    const Evidence evidence = against(rule, measured, level);
    decide("warn", fmt::format("{}: {}", rule.text, evidence.text), {evidence});
    open_incident(Severity::kMedium, "rule/" + rule.text, rule.text + ": " + evidence.text,
                  "warning", {evidence}, true);
  }
  for (std::size_t i = 0; i < stage.reactions.size() && i < telemetry.reactions.size(); ++i) {
    const plan::Reaction& reaction = stage.reactions[i];
    const Measured measured = with_own(reaction.when, telemetry.reactions[i], Asks::kRule);
    Since& since = progress.reacted[i];
    const bool fired = since.told;  // stays so until somebody resumes
    if (fired) continue;
    if (!lasting(since, beyond(reaction.when, measured, level, true), reaction.when)) continue;
    since.told = true;
    const Evidence evidence = against(reaction.when, measured, level);
    if (reaction.share == 0) {
      roll_back(fmt::format("{}: {}", reaction.when.text, evidence.text), {evidence});
      return;
    }
    s_.cap = std::min(s_.cap.value_or(plan::kEveryone), reaction.share);
    decide("reduce",
           fmt::format("{}: {}; somebody decides how to go on", reaction.when.text, evidence.text),
           {evidence});
    open_incident(reaction.severity, "rule/" + reaction.when.text,
                  fmt::format("{}: {}; reduced to {}", reaction.when.text, evidence.text,
                              plan::share_text(reaction.share)),
                  "reaction", {evidence}, true);
  }
}

void Stepper::roll_back(std::string cause, std::vector<Evidence> evidence) {
  const std::size_t index = watched_phase(s_).value_or(s_.at);
  if (index < s_.phases.size()) {
    s_.at = index;
    s_.phases[index].status = Status::kRolledBack;
    s_.phases[index].decided = s_.now;
    if (!evidence.empty()) s_.phases[index].evidence = evidence;
  }
  RollBack back;
  back.since = s_.now;
  back.last_try = s_.now;
  back.cause = cause;
  s_.rolled_back = std::move(back);
  decide("roll_back", cause, evidence);
  const Incident& incident = open_incident(Severity::kCritical, "rollback",
                                           fmt::format("{} rolled back: {}", phase_name(), cause),
                                           "rollout", std::move(evidence), true);
  act(WriteReport{ReportKind::kIncident, std::to_string(incident.id)}, cause);
}

void Stepper::verify(const Telemetry& telemetry) {
  if (!s_.rolled_back || s_.rolled_back->verified) return;
  RollBack& back = *s_.rolled_back;
  const bool seen = telemetry.silence < kSilentSlots * plan_.slot;
  const bool quiet = s_.seen == BasisPoints{0} && telemetry.candidate_requests == 0 && seen;
  if (!quiet) {
    back.quiet_since.reset();
    back.quiet.reset();
  } else if (!back.quiet_since) {
    back.quiet_since = s_.now;
  } else if (!back.quiet && s_.now - *back.quiet_since >= kQuietSlots * plan_.slot) {
    back.quiet = s_.now;
    decide("quiet", fmt::format("the candidate received nothing for {}, seen in the balancer's "
                                "own stream",
                                config::format_duration(s_.now - *back.quiet_since)));
    resolve_incident("rollback/unverified", "the balancer's stream");
  }
  if (!quiet && s_.now - back.last_try >= kVerifyWithin) {
    back.last_try = s_.now;
    s_.seen.reset();  // what we believe is wrong somewhere: set it again
    open_incident(Severity::kCritical, "rollback/unverified",
                  "the roll back is not verified: the candidate may still receive requests",
                  "rollout", {}, true);
  }
  if (back.quiet) verify_baseline(telemetry, back);
}

void Stepper::verify_baseline(const Telemetry& telemetry, RollBack& back) {
  // The figures of a whole sliding window in which learners were on the baseline alone.
  const bool whole = s_.now - *back.quiet_since >= plan_.window;
  std::vector<Evidence> figures = baseline_figures(telemetry);
  const auto judged = [](const Evidence& e) { return e.verdict == stats::Verdict::kPass; };
  if (whole && std::ranges::all_of(figures, judged)) {
    back.verified = s_.now;
    std::string text;
    for (const Evidence& e : figures) text += fmt::format("; {}: {}", e.criterion, e.text);
    decide("verified",
           fmt::format("the candidate receives nothing, and the baseline is within its limits for "
                       "{}{}",
                       config::format_duration(plan_.window), text),
           std::move(figures));
    resolve_incident("rollback/baseline", "the balancer's stream");
    for (const Incident& incident : s_.incidents) {
      if (incident.key == "rollback" && incident.open()) {
        act(WriteReport{ReportKind::kIncident, std::to_string(incident.id)},
            "the roll back is verified");
        break;
      }
    }
    return;
  }
  if (s_.now - back.since < kVerifyWithin + kReturnWindows * plan_.window) return;
  std::string text;
  for (const Evidence& e : figures) {
    if (!judged(e)) text += fmt::format("; {}: {}", e.criterion, e.text);
  }
  const auto told = std::ranges::any_of(
      s_.incidents, [](const Incident& i) { return i.key == "rollback/baseline" && i.open(); });
  if (told) return;
  open_incident(Severity::kCritical, "rollback/baseline",
                fmt::format("rolled back, and the baseline's figures did not return within {}{}",
                            config::format_duration(s_.now - back.since), text),
                "rollout", std::move(figures), true);
}

std::vector<Evidence> Stepper::baseline_figures(const Telemetry& telemetry) const {
  std::vector<Evidence> out;
  const auto index = watched_phase(s_);
  if (!index) return out;
  const PhaseView phase = phase_view(plan_, *index);
  for (std::size_t i = 0; i < phase.criteria().size(); ++i) {
    const plan::Rule& rule = phase.criteria()[i];
    // Latency is the candidate's promise; what learners had before is right answers.
    if (rule.measure != plan::Measure::kErrorRate && rule.measure != plan::Measure::kAvailability) {
      continue;
    }
    Measured measured;
    if (i < telemetry.criteria.size()) measured.candidate = telemetry.criteria[i].recent.baseline;
    Evidence evidence = judge(rule, measured, levels(phase));
    evidence.criterion = "baseline " + rule.text;
    // Read, not proven: a minute of an availability of 99.99 % proves nothing either way.
    const auto value = seen_value(rule, measured);
    evidence.verdict = !value                          ? stats::Verdict::kUndecided
                       : plan::satisfies(rule, *value) ? stats::Verdict::kPass
                                                       : stats::Verdict::kFail;
    out.push_back(std::move(evidence));
  }
  return out;
}

void Stepper::settle_share() {
  const BasisPoints wanted = wanted_share(plan_, s_);
  if (s_.unreachable_since && s_.now - *s_.unreachable_since >= kUnreachableTold) {
    open_incident(s_.rolled_back ? Severity::kCritical : Severity::kHigh, "balancer",
                  "the balancer does not answer; the share is not what is wanted", "balancer", {},
                  true);
  }
  if (s_.seen == wanted) return;
  for (auto at = s_.pending.begin(); at != s_.pending.end();) {
    const auto* set = std::get_if<SetShare>(&at->second.act);
    if (set != nullptr && set->share == wanted) return;  // under way
    // One that is no longer wanted must not be done after a crash.
    at = set != nullptr ? s_.pending.erase(at) : std::next(at);
  }
  act(SetShare{wanted}, s_.share_cause);
}

}  // namespace covey::rollout

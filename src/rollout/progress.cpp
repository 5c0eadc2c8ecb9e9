#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "base/text.h"
#include "config/units.h"
#include "rollout/stepper.h"

namespace covey::rollout {
namespace {

using stats::Verdict;

bool any(const std::vector<Evidence>& evidence, Verdict verdict) {
  return std::ranges::any_of(evidence, [&](const Evidence& e) { return e.verdict == verdict; });
}

/// "error_rate < 1%: 2% of 500 requests; ..." of those with the verdict.
std::string listed(const std::vector<Evidence>& evidence, Verdict verdict) {
  std::string out;
  for (const Evidence& e : evidence) {
    if (e.verdict != verdict) continue;
    out += fmt::format("{}{}: {}", out.empty() ? "" : "; ", e.criterion, e.text);
  }
  return out;
}

/// The plan's dated reports of work phases, in order of date.
std::vector<std::pair<Time, const plan::Work*>> dated_reports(const plan::Plan& plan) {
  std::vector<std::pair<Time, const plan::Work*>> out;
  for (const plan::Work& work : plan.work) {
    for (const Time at : work.reports) out.emplace_back(at, &work);
  }
  std::ranges::stable_sort(out, {}, [](const auto& report) { return report.first; });
  return out;
}

}  // namespace

// ---- What begins at its time

void Stepper::run_schedule() {
  if (s_.rolled_back || s_.at >= s_.phases.size()) return;
  if (s_.phases[s_.at].status == Status::kPassed) {
    const std::size_t next = next_phase(plan_, s_.at);
    if (next >= s_.phases.size()) return;
    s_.at = next;
  }
  if (s_.phases[s_.at].status != Status::kWaiting) return;
  run_preflight(s_.at);
  try_begin(s_.at);
}

void Stepper::run_preflight(std::size_t index) {
  const plan::Stage* stage = phase_view(plan_, index).stage;
  if (stage == nullptr || !stage->preflight) return;
  Progress& progress = s_.phases[index];
  // Rescheduled with its stage.
  const Time at = *stage->preflight + (progress.start - stage->start);
  const bool again = progress.checks_again && s_.now >= *progress.checks_again;
  if (s_.now < at || (progress.checks_asked && !again)) return;
  progress.checks_asked = true;
  progress.checks_again.reset();
  for (const plan::Check check : stage->checks) {
    if (again && progress.checks[static_cast<std::size_t>(check)] == true) continue;
    progress.checks[static_cast<std::size_t>(check)].reset();
    act(RunCheck{stage->name, check},
        again ? "a check failed: made again" : fmt::format("pre-flight of {}", stage->name));
  }
  if (!again) {
    decide("preflight", fmt::format("{} checks before {} begins at {}", stage->checks.size(),
                                    stage->name, format_time(progress.start)));
  }
}

std::string Stepper::waits_for(std::size_t index) const {
  const plan::Stage* stage = phase_view(plan_, index).stage;
  const Progress& progress = s_.phases[index];
  if (!s_.held_by.empty()) return fmt::format("{} to resume", s_.held_by);
  // Whoever waits is watched by the phase before; a phase that has opened and can't begin is not.
  if (s_.unreachable_since) return "the balancer to answer";
  if (stage == nullptr) return "";
  std::vector<std::string> missing;
  if (progress.overridden_by.empty()) {
    for (const std::string& role : stage->approvals) {
      if (progress.approvals.contains(role)) continue;
      const auto no = progress.no_go.find(role);
      missing.push_back(
          no == progress.no_go.end() ? role : fmt::format("{} (NO-GO by {})", role, no->second));
    }
  }
  if (!missing.empty()) return fmt::format("the approval of {}", fmt::join(missing, ", "));
  for (const plan::Check check : stage->checks) {
    const auto& result = progress.checks[static_cast<std::size_t>(check)];
    if (!result) return fmt::format("the check {}", plan::name(check));
    if (!*result) return fmt::format("the check {}, which failed", plan::name(check));
  }
  return "";
}

void Stepper::try_begin(std::size_t index) {
  Progress& progress = s_.phases[index];
  if (s_.now < progress.start) return;
  const PhaseView phase = phase_view(plan_, index);
  const std::string missing = waits_for(index);
  if (!missing.empty()) {
    if (missing != progress.waits_for) {
      progress.waits_for = missing;
      decide("hold", fmt::format("{} can't begin: it waits for {}", phase.name(), missing));
      open_incident(Severity::kMedium, "waiting/" + phase.name(),
                    fmt::format("{} waits for {}", phase.name(), missing), "rollout", {}, true);
    }
    return;
  }
  if (!progress.waits_for.empty()) resolve_incident("waiting/" + phase.name(), "its start");
  progress.waits_for.clear();
  progress.status = Status::kRunning;
  decide("open", fmt::format("{}: {} may go to the candidate{}", phase.name(),
                             plan::share_text(phase_share(plan_, index)),
                             progress.overridden_by.empty()
                                 ? ""
                                 : ", approvals overridden by " + progress.overridden_by));
  begin_if_confirmed();  // a share that stays
}

// ---- Checkpoints, looks and gates

Measured Stepper::with_own(const plan::Rule& rule, const Measured& measured, Asks asks) const {
  Measured out = measured;
  if (rule.measure == plan::Measure::kCriticalIncidents) {
    const auto index = watched_phase(s_);
    const Time from = index ? s_.phases[*index].began.value_or(s_.now) : s_.now;
    out.value = static_cast<double>(asks == Asks::kCriterion ? critical_incidents_since(from)
                                                             : critical_incidents());
  }
  if (plan::kind_of(rule.measure) == plan::Kind::kImpact) {
    out = {};
    out.note = impact_fault(plan_, s_, watched_phase(s_).value_or(s_.at), rule.measure);
    const auto known = s_.impacts.find(rule.measure);
    if (out.note.empty() && known != s_.impacts.end()) {
      const SetImpact& told = known->second.told;
      out.value = told.estimate;
      out.interval = told.interval;
      out.note = fmt::format("as of {}, from {}", format_time(told.as_of), told.source);
    }
  }
  return out;
}

std::vector<Evidence> Stepper::judge_all(const Telemetry& telemetry, const PhaseView& phase) const {
  std::vector<Evidence> out;
  for (std::size_t i = 0; i < phase.criteria().size(); ++i) {
    const plan::Rule& rule = phase.criteria()[i];
    out.push_back(
        judge(rule, with_own(rule, telemetry.criteria[i].window, Asks::kCriterion), levels(phase)));
  }
  return out;
}

void Stepper::look(const Telemetry& telemetry) {
  if (s_.rolled_back || s_.at >= s_.phases.size()) return;
  Progress& progress = s_.phases[s_.at];
  const PhaseView phase = phase_view(plan_, s_.at);
  const bool judged = telemetry.criteria.size() == phase.criteria().size();
  if (progress.status != Status::kRunning || !progress.began || !judged) return;
  if (progress.begins_anew) return;

  // The window is the phase's length of telemetry: what was lost is made up for at its end.
  const Time end = *progress.began + phase.length() + progress.missing;
  if (s_.now >= end) {
    decide_gate(telemetry, phase, progress);
    return;
  }
  Time due;
  if (phase.stage != nullptr) {
    if (progress.checkpoint + 1 >= phase.stage->checkpoints.size()) return;  // the gate is next
    due = *progress.began + phase.stage->checkpoints[progress.checkpoint];
  } else {
    const auto looks = phase.monitoring->looks();
    if (progress.checkpoint + 1 >= looks.size()) return;
    due = looks[progress.checkpoint] + (progress.start - phase.monitoring->start);
  }
  if (s_.now < due) return;
  ++progress.checkpoint;
  progress.evidence = judge_all(telemetry, phase);

  // Evidence of requests against the candidate ends it; a level or an impact that is not there yet
  // may still come, so it holds. What is undecided goes on.
  std::vector<Evidence> against;
  std::string holds;
  for (std::size_t i = 0; i < progress.evidence.size(); ++i) {
    const Evidence& e = progress.evidence[i];
    if (e.verdict != Verdict::kFail) continue;
    const plan::Rule& rule = phase.criteria()[i];
    if (s_.now < *progress.began + rule.from) continue;
    // A patient criterion is watched as long as it says.
    const bool watched = rule.watch.count() > 0;
    if (plan::kind_of(rule.measure) == plan::Kind::kEvidence && !watched) {
      against.push_back(e);
    } else {
      holds += fmt::format("{}{}: {}", holds.empty() ? "" : "; ", e.criterion, e.text);
    }
  }
  const std::string which =
      phase.stage != nullptr
          ? fmt::format("checkpoint {}",
                        config::format_duration(phase.stage->checkpoints[progress.checkpoint - 1]))
          : fmt::format("look {}", progress.checkpoint);
  if (!against.empty()) {
    decide("abort", fmt::format("{}: {}", which, listed(against, Verdict::kFail)), against);
    act(WriteReport{ReportKind::kCheckpoint, fmt::format("{} {}", phase.name(), which)}, which);
    roll_back(fmt::format("{}: {}", which, listed(against, Verdict::kFail)), against);
    return;
  }
  if (const std::string lacks = lacking(); !lacks.empty() || !holds.empty()) {
    const std::string why = lacks.empty() ? holds : lacks;
    decide("hold", fmt::format("{}: {}", which, why), progress.evidence);
    tell(Severity::kLow, fmt::format("{} holds at {}: {}", phase.name(), which, why),
         news(telemetry, s_.at), "a checkpoint that holds");
  } else {
    decide("continue", which, progress.evidence);
  }
  act(WriteReport{ReportKind::kCheckpoint, fmt::format("{} {}", phase.name(), which)}, which);
}

void Stepper::decide_gate(const Telemetry& telemetry, const PhaseView& phase, Progress& progress) {
  if (progress.gate_held || (progress.next_gate && s_.now < *progress.next_gate)) return;
  progress.next_gate = s_.now + std::chrono::minutes(1);
  progress.evidence = judge_all(telemetry, phase);
  if (any(progress.evidence, Verdict::kFail)) {
    if (phase.stage != nullptr) {
      no_go(progress.evidence);
    } else {
      // Everyone is on the candidate: there is no smaller share to investigate it at.
      roll_back(
          fmt::format("{} failed: {}", phase.name(), listed(progress.evidence, Verdict::kFail)),
          progress.evidence);
    }
    return;
  }
  const bool passes = std::ranges::all_of(
      progress.evidence, [](const Evidence& e) { return e.verdict == Verdict::kPass; });
  std::string lacks = lacking();
  if (phase.monitoring != nullptr && lacks.empty()) {
    for (const plan::Gate& gate : phase.monitoring->gates) {
      const std::string missing = gate_waits_for(gate, s_);
      if (!missing.empty()) lacks = fmt::format("{} waits for {}", gate.name, missing);
    }
  }
  if (passes && lacks.empty() && s_.held_by.empty() && !s_.cap) {
    pass(progress.evidence);
    return;
  }
  const std::string why = !passes               ? listed(progress.evidence, Verdict::kUndecided)
                          : !lacks.empty()      ? lacks
                          : !s_.held_by.empty() ? "held by " + s_.held_by
                                                : "the share is reduced";
  const Time end = *progress.began + phase.length() + progress.missing;
  const Duration most = phase.stage != nullptr ? phase.stage->max_extend : phase.length();
  const Duration extended = s_.now - std::max(end, progress.extended_from.value_or(end));
  if (extended < most) {
    if (!progress.extension_told) {
      progress.extension_told = true;
      decide(
          "extend",
          fmt::format("by up to {}, for it is undecided: {}", config::format_duration(most), why),
          progress.evidence);
    }
    return;
  }
  progress.gate_held = true;
  decide("hold", "undecided at the end: " + why, progress.evidence);
  open_incident(Severity::kMedium, "undecided/" + phase.name(),
                fmt::format("{} is undecided: {}; `resume` extends it", phase.name(), why), "gate",
                progress.evidence, true);
}

void Stepper::pass(std::vector<Evidence> evidence) {
  Progress& progress = s_.phases[s_.at];
  progress.status = Status::kPassed;
  progress.decided = s_.now;
  const std::string phase = phase_name();
  resolve_incident("undecided/" + phase, "its evidence");
  decide("pass", fmt::format("every criterion of {} held for its whole window", phase),
         std::move(evidence));
  act(WriteReport{ReportKind::kStage, phase}, phase + " passed");
  tell(std::nullopt, phase + " passed", listed(progress.evidence, Verdict::kPass),
       phase + " passed");
  if (next_phase(plan_, s_.at) >= s_.phases.size()) {
    act(WriteReport{ReportKind::kExecutive, plan_.name}, "the last phase passed");
  }
}

void Stepper::no_go(std::vector<Evidence> evidence) {
  Progress& progress = s_.phases[s_.at];
  const plan::Stage& stage = *phase_view(plan_, s_.at).stage;
  progress.status = Status::kFailed;
  progress.decided = s_.now;
  const std::string phase = phase_name();
  const std::string failed = listed(evidence, Verdict::kFail);
  decide("fail",
         fmt::format("{} keeps {} for investigation: {}", phase, plan::share_text(stage.fail_share),
                     failed),
         evidence);
  const Incident& incident = open_incident(stage.fail_severity, "no-go/" + phase,
                                           fmt::format("{} failed its gate: {}", phase, failed),
                                           "gate", std::move(evidence), true);
  act(WriteReport{ReportKind::kIncident, std::to_string(incident.id)}, phase + " failed");
  act(WriteReport{ReportKind::kStage, phase}, phase + " failed");
}

// ---- Snapshots, briefings, hand-overs, work

namespace {

std::string figures_text(std::string_view arm, const Figures& f) {
  std::string out = fmt::format("{}: {} requests", arm, grouped(f.sent));
  const std::uint64_t answered = f.sent - f.unanswered;
  const auto part = [](std::uint64_t of, std::uint64_t all) {
    return static_cast<double>(of) / static_cast<double>(all);
  };
  if (answered > 0) {
    out += fmt::format(", {} errors",
                       plan::value_text(plan::Measure::kErrorRate, part(f.wrong, answered)));
  }
  if (f.sent > 0) {
    out += fmt::format(", {} available",
                       plan::value_text(plan::Measure::kAvailability, part(answered, f.sent)));
  }
  if (f.p99) {
    out += fmt::format(", P99 {}", plan::value_text(plan::Measure::kP99,
                                                    static_cast<double>(f.p99->count()) / 1e6));
  }
  return out;
}

}  // namespace

std::string Stepper::news(const Telemetry& telemetry, std::size_t index) const {
  const PhaseView phase = phase_view(plan_, index);
  const Progress& progress = s_.phases[index];
  std::string out = fmt::format("{} wanted on the candidate, the balancer holds {}; ",
                                plan::share_text(wanted_share(plan_, s_)),
                                s_.seen ? plan::share_text(*s_.seen) : "what is not known");
  out += progress.began
             ? fmt::format("{} of {} since {}",
                           config::format_duration(
                               std::chrono::floor<std::chrono::seconds>(s_.now - *progress.began)),
                           config::format_duration(phase.length()), format_time(*progress.began))
             : std::string("not begun");
  if (const std::string lacks = lacking(); !lacks.empty()) out += "; " + lacks;
  out += fmt::format("\nlast {}, {}; {}", config::format_duration(plan_.window),
                     figures_text("candidate", telemetry.candidate),
                     figures_text("baseline", telemetry.baseline));
  if (telemetry.criteria.size() != phase.criteria().size()) return out;
  for (const Evidence& e : judge_all(telemetry, phase)) {
    out += fmt::format("\n{}: {}, {}", e.criterion, stats::name(e.verdict), e.text);
  }
  return out;
}

void Stepper::run_cadence(const Telemetry& telemetry) {
  const auto index = watched_phase(s_);
  if (!index || s_.finished) return;
  const plan::Shift* shift = plan_.roster.on_duty(s_.now);
  if (shift != nullptr && shift->name != s_.shift) {
    if (!s_.shift.empty()) {
      act(WriteReport{ReportKind::kHandOver, fmt::format("{} to {}", s_.shift, shift->name)},
          "the shift changes");
      std::string text = fmt::format("on call: {}\n{}: {}, {}", fmt::join(shift->people, ", "),
                                     phase_view(plan_, *index).name(),
                                     name(s_.phases[*index].status), news(telemetry, *index));
      for (const Incident& incident : s_.incidents) {
        if (!incident.open()) continue;
        text += fmt::format("\nopen: #{} {}: {}{}", incident.id, plan::name(incident.severity),
                            incident.title,
                            incident.acknowledged ? ", taken by " + incident.acknowledged_by : "");
      }
      tell(std::nullopt, fmt::format("Hand-over from {} to {}", s_.shift, shift->name),
           std::move(text), "the shift changes");
    }
    s_.shift = shift->name;
  }
  if (s_.phases[*index].status != Status::kRunning || *index >= plan_.stages.size()) return;
  const auto due = [&](std::optional<Time>& next, Duration every) {
    if (!next || s_.now < *next) return false;
    // What fell into a pause is not made up for.
    while (*next <= s_.now) *next += every;
    return true;
  };
  if (due(s_.next_snapshot, plan_.snapshot_every)) {
    tell(std::nullopt,
         fmt::format("{} at {}", phase_name(), plan::share_text(wanted_share(plan_, s_))),
         news(telemetry, *index), "snapshot");
  }
  if (due(s_.next_briefing, plan_.briefing_every)) {
    act(WriteReport{ReportKind::kBriefing, phase_name()}, "briefing");
    tell(std::nullopt, fmt::format("Briefing: {}", phase_name()), news(telemetry, *index),
         "briefing");
  }
}

bool Stepper::task_done(const std::string& wanted) const {
  if (s_.work_done.contains(wanted) || s_.work_passed.contains(wanted)) return true;
  for (std::size_t i = 0; i < s_.phases.size(); ++i) {
    if (phase_view(plan_, i).name() == wanted) return s_.phases[i].status == Status::kPassed;
  }
  return false;
}

void Stepper::run_work() {
  const auto reports = dated_reports(plan_);
  while (s_.reports_written < reports.size() && s_.now >= reports[s_.reports_written].first) {
    const plan::Work& work = *reports[s_.reports_written].second;
    act(WriteReport{ReportKind::kWork, work.name},
        fmt::format("{}'s report of {}", work.title,
                    format_time(reports[s_.reports_written].first)));
    ++s_.reports_written;
  }
  for (const plan::Work& work : plan_.work) {
    const Time end = work.start + work.length;
    if (s_.work_passed.contains(work.name) || s_.now < end) continue;
    std::vector<std::string> missing;
    for (const std::string& need : work.needs) {
      if (!task_done(need)) missing.push_back(need);
    }
    for (const plan::Task& task : work.tasks) {
      if (!s_.work_done.contains(task.name)) missing.push_back(task.name);
    }
    if (work.tasks.empty() && !s_.work_done.contains(work.name)) missing.push_back(work.name);
    for (const plan::Gate& gate : work.gates) {
      if (!gate_waits_for(gate, s_).empty()) missing.push_back("the GO at " + gate.name);
    }
    if (missing.empty()) {
      s_.work_passed.emplace(work.name, s_.now);
      resolve_incident("work/" + work.name, "those who did it");
      decide("work_passed", fmt::format("{}: all of it is done", work.title));
      continue;
    }
    open_incident(Severity::kMedium, "work/" + work.name,
                  fmt::format("{} is over and not done: {}", work.title, fmt::join(missing, ", ")),
                  "calendar", {}, true);
  }
  const bool phases_done =
      std::ranges::all_of(s_.phases, [](const Progress& p) { return p.status == Status::kPassed; });
  if (phases_done && s_.work_passed.size() == plan_.work.size()) {
    s_.finished = true;
    decide("finished", "every phase of the plan has passed");
  }
}

}  // namespace covey::rollout

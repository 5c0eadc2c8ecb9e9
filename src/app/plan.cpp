#include <cstdio>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/plan_file.h"
#include "app/progress.h"
#include "app/real_clock.h"
#include "plan/check.h"
#include "plan/show.h"
#include "rehearsal/rehearsal.h"
#include "rollout/json.h"

namespace covey::app {
namespace {

using plan::Decidability;
using plan::Plan;
using Json = nlohmann::ordered_json;

struct PlanOptions {
  std::string file, svg, faults;
  std::uint64_t seed = 1;
  bool json = false, all = false;
};

std::string_view word(Decidability::Verdict verdict) {
  switch (verdict) {
    case Decidability::Verdict::kDecides:
      return "decides";
    case Decidability::Verdict::kTight:
      return "tight";
    case Decidability::Verdict::kCannot:
      return "cannot decide";
    case Decidability::Verdict::kNotCounted:
      return "not counted";
  }
  return "";
}

/// 12,345,678 as people say it: "12.3 M".
std::string about(double count) {
  if (count >= 1e9) return fmt::format("{:.3g} G", count / 1e9);
  if (count >= 1e6) return fmt::format("{:.3g} M", count / 1e6);
  if (count >= 1e4) return fmt::format("{:.3g} k", count / 1e3);
  return fmt::format("{:.0f}", count);
}

Json to_json(const Plan& plan, const plan::Checked& checked) {
  Json gates = Json::array();
  for (const Decidability& gate : checked.gates) {
    Json one = {
        {"stage", gate.stage}, {"criterion", gate.criterion.text}, {"verdict", word(gate.verdict)}};
    if (gate.verdict != Decidability::Verdict::kNotCounted) {
      one["requests_expected"] = gate.expected;
      one["requests_expected_if_extended"] = gate.expected_extended;
      one["requests_needed"] = gate.needed ? Json(*gate.needed) : Json(nullptr);
    }
    if (!gate.note.empty()) one["note"] = gate.note;
    gates.push_back(std::move(one));
  }
  return {{"plan", plan.name},
          {"decidable", checked.decidable()},
          {"gates", std::move(gates)},
          {"warnings", checked.warnings}};
}

void print_gates(const plan::Checked& checked) {
  fmt::print("  {:<20} {:<30} {:>10} {:>10}   {}\n", "phase", "criterion", "needs", "expects",
             "can it be decided?");
  for (const Decidability& gate : checked.gates) {
    const bool counted = gate.verdict != Decidability::Verdict::kNotCounted;
    std::string answer(counted ? word(gate.verdict) : "");
    if (gate.verdict == Decidability::Verdict::kTight) {
      answer += gate.needed && *gate.needed > gate.expected ? ": only if extended"
                                                            : ": less than twice what it needs";
    }
    if (gate.verdict == Decidability::Verdict::kCannot) {
      answer += gate.needed ? fmt::format(": {:.3g} times too few, even if extended",
                                          *gate.needed / std::max(1.0, gate.expected_extended))
                            : ", however long it runs";
    }
    if (!gate.note.empty()) answer += (answer.empty() ? "" : "; ") + gate.note;
    if (!counted && gate.criterion.text.size() > 30) {  // people's own words
      fmt::print("  {:<20} {}\n  {:<20} {}\n", gate.stage, gate.criterion.text, "", answer);
      continue;
    }
    fmt::print("  {:<20} {:<30} {:>10} {:>10}   {}\n", gate.stage, gate.criterion.text,
               gate.needed ? about(*gate.needed) : "", counted ? about(gate.expected) : "", answer);
  }
}

Result<Exit> check(const PlanOptions& options) {
  const Plan plan = COVEY_TRY(read_plan(options.file));
  const plan::Checked checked = plan::check(plan);
  if (options.json) {
    fmt::print("{}\n", to_json(plan, checked).dump(2));
    return checked.decidable() ? Exit::kDone : Exit::kRefused;
  }
  fmt::print("{}: {} stages, {} monitoring phases, {} work phases, {} to {}\n\n", plan.name,
             plan.stages.size(), plan.monitoring.size(), plan.work.size(),
             format_time(plan.begin()), format_time(plan.end()));
  fmt::print(
      "Requests to the candidate that a pass needs, if its rate is half the limit's, and "
      "those\nthat {:g} requests/s will bring:\n\n",
      plan.traffic.requests_per_second);
  print_gates(checked);
  if (!checked.warnings.empty()) fmt::print("\n");
  for (const std::string& warning : checked.warnings) fmt::print("warning: {}\n", warning);
  if (!checked.decidable()) {
    fmt::print(
        "\nNot every gate can be decided: its stage would be held. Give it a larger share, a "
        "longer window\nor a wider limit.\n");
    return Exit::kRefused;
  }
  fmt::print("\nEvery gate can be decided.\n");
  return Exit::kDone;
}

Result<Exit> show(const PlanOptions& options) {
  const Plan plan = COVEY_TRY(read_plan(options.file));
  if (!options.svg.empty()) {
    std::ofstream out(options.svg, std::ios::binary);
    out << plan::timeline_svg(plan);
    out.close();
    if (!out) {
      return fail(Errc::kFailed,
                  fmt::format("can't write {}: is there room, and may we?", options.svg));
    }
  }
  if (options.json) {
    Json rows = Json::array();
    for (const plan::Row& row : plan::timeline(plan)) {
      constexpr const char* kKinds[] = {"stage", "monitoring", "work", "task"};
      Json marks = Json::array();
      for (const Time mark : row.marks) marks.push_back(format_time(mark));
      rows.push_back({{"kind", kKinds[static_cast<int>(row.kind)]},
                      {"name", row.name},
                      {"start", format_time(row.start)},
                      {"end", format_time(row.end)},
                      {"share", row.share / 10'000.0},
                      {"looks", std::move(marks)}});
    }
    fmt::print("{}\n", Json{{"plan", plan.name}, {"phases", std::move(rows)}}.dump(2));
  } else {
    fmt::print("{}", plan::timeline_table(plan));
  }
  if (!options.svg.empty()) fmt::print(stderr, "drawn: {}\n", options.svg);
  return Exit::kDone;
}

// ---- Rehearsal

Json to_json(const rehearsal::Rehearsed& done, double seconds) {
  Json phases = Json::array(), decisions = Json::array();
  for (const auto& phase : done.phases) {
    Json evidence = Json::array();
    for (const auto& e : phase.evidence) evidence.push_back(rollout::to_json(e));
    phases.push_back(
        {{"name", phase.name},
         {"outcome", phase.outcome},
         {"share_final", phase.share_final / 10'000.0},
         {"decided_at", phase.decided_at ? Json(format_time(*phase.decided_at)) : Json(nullptr)},
         {"evidence", std::move(evidence)}});
  }
  for (const auto& decision : done.decisions) decisions.push_back(rollout::to_json(decision));
  Json invariants = {{"checked", done.invariants_checked}, {"broken", done.broken.size()}};
  if (!done.broken.empty()) invariants["what"] = done.broken;
  return {{"phases", std::move(phases)},
          {"decisions", std::move(decisions)},
          {"invariants", std::move(invariants)},
          {"share_final", done.share_final / 10'000.0},
          {"ticks", done.ticks},
          {"restarts", done.crashes},
          {"notifications", done.notified},
          {"reports", done.reports},
          {"virtual_hours", done.virtual_hours},
          {"seconds", seconds}};
}

/// What a reader of the story wants: not each checkpoint that just went on.
bool tells_the_story(const rollout::Decision& decision) {
  constexpr std::string_view kRoutine[] = {"approve", "check", "acknowledge", "work_done",
                                           "resolve"};
  return std::ranges::find(kRoutine, decision.what) == std::end(kRoutine);
}

void print_story(const rehearsal::Rehearsed& done, bool all) {
  for (const auto& decision : done.decisions) {
    if (!all && !tells_the_story(decision)) continue;
    std::string at = format_time(decision.at);
    at[10] = ' ';
    fmt::print("{}  {:<20} {:<12} {:>6}  {}\n", at.substr(0, 19), decision.phase, decision.what,
               plan::share_text(decision.share), decision.cause);
    if (!all && decision.what == "continue") continue;
    for (const auto& e : decision.evidence) {
      fmt::print("{:69}{:<10} {}: {}\n", "", stats::name(e.verdict), e.criterion, e.text);
    }
  }
  fmt::print("\n{:<24} {:<12} {:>6}  {}\n", "phase", "outcome", "share", "decided (UTC)");
  for (const auto& phase : done.phases) {
    std::string at = phase.decided_at ? format_time(*phase.decided_at) : "";
    if (!at.empty()) at[10] = ' ';
    fmt::print("{:<24} {:<12} {:>6}  {}\n", phase.name, phase.outcome,
               plan::share_text(phase.share_final), at.substr(0, 19));
  }
}

Result<Exit> rehearse(const PlanOptions& options) {
  const Plan plan = COVEY_TRY(read_plan(options.file));
  rehearsal::Options how;
  how.seed = options.seed;
  if (!options.faults.empty()) {
    how.faults = COVEY_TRY(
        rehearsal::parse_faults(options.faults, COVEY_TRY(read_file(options.faults)), plan));
  }
  const RealClock clock;
  Progress bar(clock, "rehearsing");
  how.progress = [&](double part) {
    bar.update(static_cast<std::uint64_t>(part * 1000), 1000, "of the calendar");
  };
  const auto begun = clock.now();
  const rehearsal::Rehearsed done = rehearsal::rehearse(plan, how);
  const double seconds = std::chrono::duration<double>(clock.now() - begun).count();
  if (options.json) {
    fmt::print("{}\n", to_json(done, seconds).dump(2));
  } else {
    print_story(done, options.all);
    fmt::print(
        "\n{:.0f} simulated hours in {:.1f} s; {} ticks, {} notifications, {} reports; "
        "{} checks of the invariants, {} broken\n",
        done.virtual_hours, seconds, done.ticks, done.notified, done.reports,
        done.invariants_checked, done.broken.size());
    fmt::print("Simulated: no figure above was measured on live traffic.\n");
    for (const std::string& what : done.broken) fmt::print(stderr, "broken: {}\n", what);
  }
  if (!done.broken.empty()) {
    return fail(Errc::kFailed,
                "an invariant is broken: this is a fault of covey, please report it");
  }
  return done.passed ? Exit::kDone : Exit::kRefused;
}

}  // namespace

void add_plan(CLI::App& app, Run& run) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* command = app.add_subcommand("plan", "Check, draw and rehearse a rollout's calendar");
  command->require_subcommand(1);

  CLI::App* one = command->add_subcommand(
      "check", "Find what is wrong in a plan, and whether its gates can be decided");
  one->add_option("FILE", options->file, "The plan, YAML (docs/plans.md)")->required();
  one->add_flag("--json", options->json, "For machines");
  one->callback([&run, options] { run = [options] { return check(*options); }; });

  one = command->add_subcommand("show", "Print the timeline; --svg draws it");
  one->add_option("FILE", options->file, "The plan, YAML (docs/plans.md)")->required();
  one->add_option("--svg", options->svg, "Write a Gantt chart to this file")
      ->option_text("OUT.svg");
  one->add_flag("--json", options->json, "For machines");
  one->callback([&run, options] { run = [options] { return show(*options); }; });

  one = command->add_subcommand(
      "rehearse", "Run the whole calendar in a simulated world and tell what would happen");
  one->footer("Exit code 3: not every stage passed. examples/faults/ has faults to try.");
  one->add_option("FILE", options->file, "The plan, YAML (docs/plans.md)")->required();
  one->add_option("--faults", options->faults, "What goes wrong, YAML")->option_text("FAULTS.yaml");
  one->add_option("--seed", options->seed, "Of the simulated world")->capture_default_str();
  one->add_flag("--all", options->all, "Print every decision, with its evidence");
  one->add_flag("--json", options->json, "For machines");
  one->callback([&run, options] { run = [options] { return rehearse(*options); }; });
}

}  // namespace covey::app

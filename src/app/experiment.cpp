#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/csv_cell.h"
#include "app/experiment_analysis.h"
#include "app/experiment_file.h"
#include "app/progress.h"
#include "app/record_reader.h"
#include "app/store.h"
#include "config/units.h"
#include "experiment/report.h"
#include "experiment/wording.h"

namespace covey::app {
namespace {

using experiment::Analysis;
using experiment::Arm;
using experiment::Experiment;
using experiment::MetricResult;

struct CheckOptions {
  std::vector<std::string> files;
  bool json = false;
};

std::string share_of(std::uint32_t buckets) {
  return fmt::format("{:g} %", buckets / 100.0);
}

void describe(const Experiment& e) {
  fmt::print("{}: {}\n", e.name, e.question.empty() ? (e.is_aa ? "A/A" : "A/B") : e.question);
  fmt::print("  {:<10} {} {}, {} {}{}\n", "arms", e.arms[0], share_of(e.assignment.control),
             e.arms[1], share_of(e.assignment.treatment),
             e.assignment.holdout > 0 ? ", holdout " + share_of(e.assignment.holdout) : "");
  fmt::print("  {:<10} {} to {}{}\n", "period", format_time(e.start),
             e.end ? format_time(*e.end) : "further notice",
             e.window ? ", " + config::format_duration(*e.window) + " per learner" : "");
  fmt::print("  {:<10} {} at {:g} %{}\n", "decides",
             e.sequential ? "sequentially, at any look," : "once, at the end,", 100 * e.alpha,
             e.pre_period.count() > 0
                 ? ", adjusted by the " + config::format_duration(e.pre_period) + " before"
                 : ", without a period before: `pre_period` would narrow the intervals");
  for (const auto& metric : e.metrics) {
    fmt::print("  {:<10} {} ({}, {} is good{})\n", name(metric.role), metric.title,
               name(metric.kind), metric.higher_is_better ? "up" : "down",
               metric.role == experiment::Role::kGuardrail
                   ? fmt::format(", margin {:g} %", 100 * metric.margin)
                   : "");
  }
  if (!e.segments.empty()) fmt::print("  {:<10} {}\n", "segments", fmt::join(e.segments, ", "));
}

/// Whether two experiments may share learners without sharing a layer's rules.
bool overlap(const Experiment& a, const Experiment& b) {
  if (a.assignment.seed != b.assignment.seed) return false;  // independent of one another
  if (a.end && *a.end <= b.start) return false;
  if (b.end && *b.end <= a.start) return false;
  return a.assignment.begin < b.assignment.end && b.assignment.begin < a.assignment.end;
}

Result<Exit> check(const CheckOptions& options) {
  std::vector<Experiment> all;
  std::string faults;
  for (const std::string& file : options.files) {
    auto read = read_experiment(file);
    if (!read) {
      faults += (faults.empty() ? "" : "\n") + read.error().message;
    } else {
      all.push_back(std::move(*read));
    }
  }
  if (!faults.empty()) return fail(Errc::kRejected, faults);
  std::vector<std::string> clashes;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = i + 1; j < all.size(); ++j) {
      if (overlap(all[i], all[j])) {
        clashes.push_back(fmt::format(
            "{} and {} split the same buckets at the same time: give each a `range` of the layer, "
            "or another salt",
            all[i].name, all[j].name));
      }
    }
  }
  if (options.json) {
    nlohmann::ordered_json out = {{"ok", clashes.empty()}, {"clashes", clashes}};
    out["experiments"] = nlohmann::json::array();
    for (const Experiment& e : all) {
      out["experiments"].push_back({{"experiment", e.name},
                                    {"type", e.is_aa ? "aa" : "ab"},
                                    {"seed", e.assignment.seed},
                                    {"control_buckets", e.assignment.control},
                                    {"treatment_buckets", e.assignment.treatment},
                                    {"metrics", e.metrics.size()}});
    }
    fmt::print("{}\n", out.dump(2));
  } else {
    for (const Experiment& e : all) describe(e);
    for (const std::string& clash : clashes) fmt::print("clash: {}\n", clash);
    if (clashes.empty()) fmt::print("ok\n");
  }
  return clashes.empty() ? Exit::kDone : Exit::kRefused;
}

struct AnalyzeOptions {
  StoreOptions store;
  std::string file, report;
  bool json = false;
};

void print_table(const Analysis& a) {
  fmt::print("{}\n\n", a.verdict);
  fmt::print("{:<28}{:>14}{:>14}{:>10}  {:<22}{:<22}{}\n", "metric",
             a.experiment.arms[0].substr(0, 13), a.experiment.arms[1].substr(0, 13), "lift",
             "at every look", "at one look", "state");
  for (const MetricResult& r : a.metrics) {
    const auto& metric = a.experiment.metrics[r.metric];
    const auto& e = deciding(a.experiment, r);
    const auto interval = [](const std::optional<stats::Interval>& i) {
      return i ? experiment::percent(*i) : std::string("-");
    };
    std::string state(name(metric.role));
    if (r.guardrail) state += fmt::format(": {}", stats::name(r.guardrail->verdict));
    fmt::print("{:<28}{:>14}{:>14}{:>10}  {:<22}{:<22}{}\n", metric.title.substr(0, 27),
               mean_of(metric, r.control.mean), mean_of(metric, r.treatment.mean),
               e.lift ? experiment::percent(*e.lift) : "-", interval(r.sequential.lift_interval),
               interval(r.fixed.lift_interval), state);
  }
  fmt::print("\n{} learners in {}, {} in {}: {}\n",
             grouped(static_cast<std::uint64_t>(a.ratio.learners[0])), a.experiment.arms[0],
             grouped(static_cast<std::uint64_t>(a.ratio.learners[1])), a.experiment.arms[1],
             a.ratio.alarm ? "NOT the planned ratio" : "as planned");
  for (const std::string& line : a.next) fmt::print("- {}\n", line);
}

Result<Exit> analyze(const AnalyzeOptions& options) {
  const Experiment e = COVEY_TRY(read_experiment(options.file));
  const auto as_of = COVEY_TRY(parse_as_of(options.store.as_of));
  auto store = COVEY_TRY(Store::open_log(options.store, log::Access::kReadOnly));
  const std::optional<Time> until =
      options.store.as_of == "now" ? std::optional(store->clock.wall()) : as_of;
  std::optional<Progress> bar;
  const char* shown = nullptr;
  const auto tell = [&](const char* what, std::uint64_t done, std::uint64_t total) {
    if (what != shown) {
      bar.reset();
      bar.emplace(store->clock, what);
      shown = what;
    }
    bar->update(done, total, grouped(done) + " records");
  };
  const Analysis analysis = COVEY_TRY(analyze_log(e, until, *store->log, *store->pool, tell));
  bar.reset();
  if (!options.report.empty()) {
    std::ofstream out(options.report, std::ios::binary);
    out << to_html(analysis);
    out.close();
    if (!out) return fail(Errc::kFailed, "cannot write " + options.report);
    fmt::print(stderr, "The report is in {}.\n", options.report);
  }
  if (options.json) {
    fmt::print("{}\n", to_json(analysis));
  } else if (options.report.empty()) {
    print_table(analysis);
    fmt::print("\nAdd --report OUT.html for the page with plots, --json for every figure.\n");
  } else {
    fmt::print("{}\n", analysis.verdict);
  }
  return Exit::kDone;
}

/// Arms of learners whose ids come on standard input, a line each.
Result<Exit> assign(const std::string& file) {
  const Experiment e = COVEY_TRY(read_experiment(file));
  std::ios::sync_with_stdio(false);
  std::string out = "learner,bucket,arm\n";
  const auto flush = [&] {
    const bool whole = std::fwrite(out.data(), 1, out.size(), stdout) == out.size();
    out.clear();
    return whole;
  };
  for (std::string line; std::getline(std::cin, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    const Arm arm = e.assignment.arm(line);
    fmt::format_to(std::back_inserter(out), "{},{},{}\n", csv_cell(line),
                   experiment::bucket(line, e.assignment.seed),
                   arm == Arm::kControl     ? "control"
                   : arm == Arm::kTreatment ? "treatment"
                                            : "none");
    if (out.size() > (std::size_t{1} << 20) && !flush()) break;
  }
  if (!flush() || std::fflush(stdout) != 0) {
    return fail(Errc::kFailed, "cannot write to standard output");
  }
  return Exit::kDone;
}

}  // namespace

Result<experiment::Analysis> analyze_log(
    const experiment::Experiment& experiment, std::optional<Time> until, const log::Log& log,
    Parallel& parallel,
    const std::function<void(const char*, std::uint64_t, std::uint64_t)>& progress) {
  experiment::Collection collection(experiment, until);
  for (const bool first : {true, false}) {
    const char* what = first ? "finding who took part" : "adding up what they did";
    COVEY_TRY_VOID(read_batches(
        log, parallel,
        [&](std::span<const events::Batch* const> batches) {
          first ? collection.find_exposures(batches, parallel)
                : collection.add_values(batches, parallel);
        },
        [&](std::uint64_t done, std::uint64_t total) { progress(what, done, total); }));
  }
  collection.finish(parallel);
  return experiment::analyze(experiment, collection, parallel);
}

Result<Experiment> read_experiment(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return fail(Errc::kRejected, fmt::format("cannot read {}: is the name right?", path));
  return experiment::parse_experiment(path, text.str());
}

void add_experiment(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "experiment", "A/B and A/A experiments: check their files, analyse what learners did");
  command->require_subcommand(1);

  auto checking = std::make_shared<CheckOptions>();
  CLI::App* check_command = command->add_subcommand(
      "check", "Read experiment files strictly; of several, also whether they share learners");
  check_command->add_option("file", checking->files, "YAML files (docs/experiments.md)")
      ->required()
      ->type_name("FILE");
  check_command->add_flag("--json", checking->json, "Answer as JSON");
  check_command->callback([checking, &run] { run = [checking] { return check(*checking); }; });

  auto assigned = std::make_shared<std::string>();
  CLI::App* assign_command = command->add_subcommand(
      "assign", "Which arm each learner is in: ids on standard input, CSV on standard output");
  assign_command->add_option("file", *assigned, "The experiment's YAML file")
      ->required()
      ->type_name("FILE");
  assign_command->callback([assigned, &run] { run = [assigned] { return assign(*assigned); }; });

  auto analyzing = std::make_shared<AnalyzeOptions>();
  analyzing->store.as_of = "latest";
  CLI::App* analyze_command =
      command->add_subcommand("analyze", "Verdict, lifts and intervals from the events of a store");
  analyze_command->add_option("file", analyzing->file, "The experiment's YAML file")
      ->required()
      ->type_name("FILE");
  analyzing->store.add_data(*analyze_command);
  analyzing->store.add_as_of(*analyze_command);
  analyzing->store.add_threads(*analyze_command);
  analyze_command->add_flag("--json", analyzing->json, "Every figure as JSON");
  analyze_command->add_option("--report", analyzing->report, "Write a page to decide on")
      ->type_name("OUT.html");
  analyze_command->callback(
      [analyzing, &run] { run = [analyzing] { return analyze(*analyzing); }; });
}

}  // namespace covey::app

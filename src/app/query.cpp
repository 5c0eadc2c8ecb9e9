#include <algorithm>
#include <cstdio>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analyzer/json.h"
#include "app/commands.h"
#include "app/csv_cell.h"
#include "app/files.h"
#include "app/progress.h"
#include "app/store.h"
#include "app/truth_file.h"
#include "cohorts/rand_index.h"

namespace covey::app {
namespace {

using learners::LearnerFacts;
using learners::LearnerState;

struct TraitsOptions {
  StoreOptions store;
  bool csv = false;
};

/// Says why there is nothing to see, when the store has learners but none is active.
void explain_nothing(const Store& store) {
  const analyzer::Analyzer& analyzer = *store.analyzer;
  const std::size_t learners = analyzer.engine().learners();
  if (learners == 0) {
    fmt::print(stderr, "The store is empty. Fill it with `covey import`.\n");
    return;
  }
  const Time newest{std::chrono::microseconds(analyzer.counters().newest_event_us.load())};
  fmt::print(stderr,
             "None of the {} learners has practised in the 26 weeks before {}; the newest event "
             "is of {}. Try --as-of latest.\n",
             grouped(learners), format_time(analyzer.as_of()), format_time(newest));
}

Result<Exit> traits(const TraitsOptions& options) {
  auto store = COVEY_TRY(Store::open(options.store, log::Access::kReadOnly));
  std::vector<std::pair<std::string, learners::Traits>> rows;
  std::array<std::size_t, 3> states{};
  const Time as_of = store->analyzer->as_of();
  store->analyzer->engine().visit(as_of, [&](const LearnerFacts& facts) {
    ++states[static_cast<std::size_t>(facts.state)];
    if (facts.state != LearnerState::kDormant) rows.emplace_back(facts.learner, facts.traits);
  });
  if (rows.empty()) explain_nothing(*store);
  std::ranges::sort(rows, {}, &std::pair<std::string, learners::Traits>::first);
  if (options.csv) {
    std::string out = fmt::format("learner,{}\n", fmt::join(learners::kTraitNames, ","));
    for (const auto& [learner, t] : rows) {
      out += csv_cell(learner);
      for (const auto field : learners::kTraitFields) {
        fmt::format_to(std::back_inserter(out), ",{:.9f}", t.*field);
      }
      out += '\n';
      if (out.size() > (std::size_t{1} << 20)) {
        if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size()) {
          return fail(Errc::kFailed, "cannot write to standard output");
        }
        out.clear();
      }
    }
    if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size() || std::fflush(stdout) != 0) {
      return fail(Errc::kFailed, "cannot write to standard output");
    }
    return Exit::kDone;
  }
  fmt::print("Traits as of {}: {} with some ({} active, {} new), {} dormant.\n\n",
             format_time(as_of), counted(rows.size(), "learner"), grouped(states[2]),
             grouped(states[1]), grouped(states[0]));
  if (rows.empty()) return Exit::kDone;
  fmt::print("{:<26}{:>8}{:>8}{:>8}{:>8}{:>8}\n", "trait", "p5", "p25", "median", "p75", "p95");
  for (std::size_t t = 0; t < learners::kTraits; ++t) {
    std::vector<double> values;
    values.reserve(rows.size());
    for (const auto& row : rows) values.push_back(row.second.*learners::kTraitFields[t]);
    std::ranges::sort(values);
    fmt::print("{:<26}", learners::kTraitNames[t]);
    for (const double q : {.05, .25, .5, .75, .95}) {
      const auto at = static_cast<std::size_t>(q * static_cast<double>(values.size() - 1) + .5);
      fmt::print("{:>8.3f}", values[at]);
    }
    fmt::print("\n");
  }
  fmt::print("\nAdd --csv for a row per learner.\n");
  return Exit::kDone;
}

struct DiscoverOptions {
  StoreOptions store;
  std::string k = "auto", truth, members;
  std::uint64_t seed = 1;
  bool json = false, save = false;
};

std::string bar(double share, int width) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::clamp(share, 0.0, 1.0) * width * 8 + 0.5);
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  out += kEighths[eighths % 8];
  const int drawn = eighths / 8 + (eighths % 8 > 0 ? 1 : 0);
  out.append(static_cast<std::size_t>(std::max(0, width - drawn)), ' ');
  return out;
}

/// Breaks `text` at spaces into lines of at most `width` characters.
std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    std::size_t end = text.size();
    if (end > width) {
      end = text.rfind(' ', width);
      if (end == std::string_view::npos || end == 0) end = width;
    }
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return lines;
}

void print_table(const cohorts::Discovery& run) {
  fmt::print("{} in {} cohorts as of {}  (silhouette {:.3f}, inertia {:.2f}{})\n\n",
             counted(run.learners, "learner"), run.k, format_time(run.as_of), run.silhouette,
             run.inertia,
             run.adjusted_rand_index
                 ? fmt::format(", agreement with the run before {:.3f}", *run.adjusted_rand_index)
                 : "");
  fmt::print("{:>3}  {:<19}{:>9}  {:<19}{:>10}{:>10}{:>11}{:>10}{:>11}{:>8}\n", "id", "archetype",
             "learners", "share", "velocity", "affinity", "frequency", "feedback", "retention",
             "stable");
  for (const auto& c : run.cohorts) {
    fmt::print("{:>3}  {:<19}{:>9}  {} {:>4.1f} %", c.id, name(c.archetype), grouped(c.size),
               bar(c.share, 12), c.share * 100);
    fmt::print("{:>10.2f}{:>10.2f}{:>11.2f}{:>10.2f}{:>11.2f}{:>8.2f}\n",
               c.centroid.learning_velocity, c.centroid.domain_affinity,
               c.centroid.interaction_frequency, c.centroid.feedback_responsiveness,
               c.centroid.retention_strength, c.stability);
  }
  fmt::print("\n");
  for (const auto& c : run.cohorts) {
    std::string label = fmt::format("{:>3}  {:<19}", c.id, name(c.archetype));
    for (const auto& line : wrapped(c.sentence, 76)) {
      fmt::print("{}{}\n", label, line);
      label.assign(label.size(), ' ');
    }
  }
}

/// How well the cohorts are the archetypes that simulated learners were given.
struct Agreement {
  std::uint64_t learners = 0;  ///< clustered, and in the file
  std::optional<double> adjusted_rand_index;
};

Agreement agreement(const cohorts::Discovery& run, const learners::Engine& engine,
                    const TruthFile& truth) {
  Agreement out;
  cohorts::Overlap shared{};
  for (std::size_t i = 0; i < run.learner.size(); ++i) {
    const auto at = truth.archetype.find(engine.learner(run.learner[i]));
    if (at == truth.archetype.end()) continue;
    ++shared[at->second][run.label[i]];
    ++out.learners;
  }
  out.adjusted_rand_index = cohorts::adjusted_rand_index(shared);
  return out;
}

Result<Exit> discover(const DiscoverOptions& options) {
  std::optional<TruthFile> truth;
  if (!options.truth.empty()) truth = COVEY_TRY(read_truth(options.truth));
  cohorts::Options wanted;
  wanted.seed = options.seed;
  if (options.k != "auto") wanted.k = static_cast<std::uint32_t>(std::stoul(options.k));
  auto store = COVEY_TRY(
      Store::open(options.store, options.save ? log::Access::kReadWrite : log::Access::kReadOnly));
  analyzer::Analyzer& analyzer = *store->analyzer;
  const auto run = COVEY_TRY(analyzer.discover(wanted, *store->pool, options.save));
  if (options.save) {
    analyzer.stop();
    COVEY_TRY_VOID(analyzer.run_ingest());  // writes what discover() queued
  }
  if (!options.members.empty()) {
    std::string text = "learner,cohort\n";
    for (std::size_t i = 0; i < run->learner.size(); ++i) {
      fmt::format_to(std::back_inserter(text), "{},{}\n",
                     csv_cell(analyzer.engine().learner(run->learner[i])),
                     run->cohorts[run->label[i]].id);
    }
    COVEY_TRY_VOID(write_file(options.members, text));
  }
  Agreement found;
  if (truth && run->k > 0) {
    found = agreement(*run, analyzer.engine(), *truth);
    if (!found.adjusted_rand_index) {
      return fail(Errc::kRejected, fmt::format("{} knows none of the learners clustered; is it of "
                                               "another run?",
                                               options.truth));
    }
  }
  if (options.json) {
    auto out = analyzer::to_json(*run);
    if (found.adjusted_rand_index) {
      out["truth"] = {{"learners", found.learners},
                      {"archetypes", truth->archetypes},
                      {"adjusted_rand_index", *found.adjusted_rand_index}};
    }
    const learners::MemoryUse use = analyzer.engine().memory();
    out["engine"] = analyzer.engine().name();
    out["memory"] = {{"bytes", use.bytes},
                     {"learners", use.learners},
                     {"bytes_per_learner", use.learners == 0 ? 0 : use.bytes / use.learners}};
    fmt::print("{}\n", out.dump());
  }
  if (run->k == 0) {
    if (run->learners == 0) {
      explain_nothing(*store);
    } else {
      fmt::print(stderr,
                 "{} active learners are too few for cohorts: automatic k needs 30, --k N needs 10 "
                 "a cohort.\n",
                 run->learners);
    }
    return Exit::kFailed;
  }
  if (options.json) return Exit::kDone;
  print_table(*run);
  if (found.adjusted_rand_index) {
    fmt::print(
        "\nAgreement with the {} archetypes of {}: adjusted Rand index {:.4f} over {} "
        "learners\n",
        truth->archetypes, options.truth, *found.adjusted_rand_index, grouped(found.learners));
  }
  return Exit::kDone;
}

}  // namespace

void add_traits(CLI::App& app, Run& run) {
  auto options = std::make_shared<TraitsOptions>();
  CLI::App* command = app.add_subcommand("traits", "The five traits of every learner");
  options->store.add_data(*command);
  options->store.add_engine(*command);
  options->store.add_as_of(*command);
  options->store.add_threads(*command);
  command->add_flag("--csv", options->csv, "One row per learner, sorted by learner");
  command->callback([options, &run] { run = [options] { return traits(*options); }; });
}

void add_discover(CLI::App& app, Run& run) {
  auto options = std::make_shared<DiscoverOptions>();
  CLI::App* command = app.add_subcommand("discover", "Find the cohorts and describe them");
  options->store.add_data(*command);
  options->store.add_engine(*command);
  options->store.add_as_of(*command);
  options->store.add_threads(*command);
  command->add_option("--k", options->k, "Number of cohorts: auto (by silhouette) or 3 to 8")
      ->check([](const std::string& text) {
        return text == "auto" ? std::string() : CLI::Range(3, 8)(const_cast<std::string&>(text));
      })
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Seed of every random choice")
      ->capture_default_str();
  command->add_flag("--save", options->save,
                    "Keep this run in the store, so that the next one's cohort ids match it");
  command
      ->add_option("--truth", options->truth,
                   "What `covey simulate --truth` wrote: says how well the cohorts agree with "
                   "the hidden archetypes (adjusted Rand index)")
      ->type_name("FILE");
  command
      ->add_option("--members", options->members,
                   "CSV file to write: each clustered learner and the id of its cohort")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "Print the discovery as JSON");
  command->callback([options, &run] { run = [options] { return discover(*options); }; });
}

}  // namespace covey::app

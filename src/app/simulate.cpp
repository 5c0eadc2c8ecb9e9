#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/comparison.h"
#include "app/event_sender.h"
#include "app/experiment_file.h"
#include "app/files.h"
#include "app/observe.h"
#include "app/progress.h"
#include "app/real_clock.h"
#include "app/store.h"
#include "app/thread_pool.h"
#include "population/fit.h"
#include "population/population.h"
#include "population/trial.h"

namespace covey::app {
namespace {

struct SimulateOptions {
  population::Spec spec;
  std::string out, truth, end, to, preset, plots;
  std::vector<std::string> fit, compare;
  std::uint32_t batch = 5'000;
  unsigned threads = 0;
  bool json = false;
  std::string experiment;  ///< file: simulate it instead of a population
  bool no_effect = false;
  const CLI::Option* learners_given = nullptr;
  const CLI::Option* events_given = nullptr;
  const CLI::Option* days_given = nullptr;
};

/// Enough for the planted lift of revenue to be found.
constexpr std::uint32_t kTrialLearners = 40'000;

/// A file that is written whole or reported.
class OutFile {
 public:
  static Result<OutFile> open(const std::string& path) {
    std::FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "wb");
    if (file == nullptr) {
      return fail(Errc::kRejected, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
    }
    return OutFile(file, path);
  }
  Result<void> write(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size()) return failed();
    return {};
  }
  Result<void> close() {
    if (file_.get() == stdout) return std::fflush(stdout) == 0 ? Result<void>() : failed();
    return std::fclose(file_.release()) == 0 ? Result<void>() : failed();
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const {
      if (file != stdout) std::fclose(file);
    }
  };
  OutFile(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  std::unexpected<Error> failed() const {
    return fail(Errc::kFailed, fmt::format("writing {}: {}", path_, std::strerror(errno)));
  }
  std::unique_ptr<std::FILE, Close> file_;
  std::string path_;
};

/// Learners of an experiment with an effect that is known: the truth an analysis must find.
Result<Exit> simulate_experiment(const SimulateOptions& options) {
  const auto experiment = COVEY_TRY(read_experiment(options.experiment));
  population::Trial::Spec spec;
  spec.learners = options.learners_given->count() > 0 ? options.spec.learners : kTrialLearners;
  spec.seed = options.spec.seed;
  spec.start = experiment.start;
  const auto days = [](auto duration) {
    return static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::days>(duration).count());
  };
  if (experiment.end) spec.days = days(*experiment.end - experiment.start);
  if (experiment.window) spec.window_days = days(*experiment.window);
  spec.pre_days = days(experiment.pre_period);
  for (const auto& metric : experiment.metrics) {
    if (!metric.what.currency.empty()) spec.currency = metric.what.currency;
  }
  if (options.events_given->count() > 0) {
    spec.activity = population::Trial::activity_for(options.spec.events_per_learner, spec);
  }
  if (options.no_effect || experiment.is_aa) spec.effect = {0, 0, 0};
  spec.treated = [&](std::string_view learner) {
    return experiment.assignment.arm(learner) == experiment::Arm::kTreatment;
  };
  if (const auto faults = spec.validate(); !faults.empty()) {
    return fail(Errc::kRejected, fmt::format("{}", fmt::join(faults, "; ")));
  }
  const RealClock clock;
  const population::Trial trial(spec);
  OutFile out = COVEY_TRY(OutFile::open(options.out));
  Progress bar(clock, "simulating");
  std::uint64_t events = 0;
  std::string text;
  for (std::uint32_t learner = 0; learner < spec.learners; ++learner) {
    events += trial.append_ndjson(learner, text);
    if (text.size() < (std::size_t{1} << 20) && learner + 1 < spec.learners) continue;
    COVEY_TRY_VOID(out.write(text));
    text.clear();
    bar.update(learner, spec.learners, grouped(events) + " events");
  }
  COVEY_TRY_VOID(out.close());
  bar.finish();
  if (!options.truth.empty()) {
    OutFile truth = COVEY_TRY(OutFile::open(options.truth));
    const nlohmann::ordered_json planted = {
        {"experiment", experiment.name},
        {"learners", spec.learners},
        {"seed", spec.seed},
        {"revenue_lift", spec.effect.revenue},
        {"churn_difference", spec.effect.churn},
        {"completion_difference", spec.effect.completion},
        {"churn_of_control", population::Trial::kChurn},
        {"completion_of_control", population::Trial::kCompletion}};
    COVEY_TRY_VOID(truth.write(planted.dump(2) + "\n"));
    COVEY_TRY_VOID(truth.close());
  }
  fmt::print(stderr, "{} of {} written to {}{}\n", counted(events, "event"),
             counted(spec.learners, "learner"),
             options.out == "-" ? "standard output" : options.out,
             options.truth.empty() ? "" : ", the planted effect to " + options.truth);
  return Exit::kDone;
}

Result<population::Preset> read_preset(const std::string& name) {
  if (name == "oulad") return population::oulad_preset();
  std::error_code ignored;
  if (!std::filesystem::exists(name, ignored)) {
    return fail(Errc::kNotFound,
                fmt::format("--preset {0}: no file of that name, and the only preset built in is "
                            "oulad; `covey simulate --fit FILES --out {0}` makes one",
                            name));
  }
  return population::Preset::parse(name, COVEY_TRY(read_file(name)));
}

/// The population that the options describe. kRejected: every fault.
Result<population::Population> population_of(SimulateOptions& options) {
  population::Spec& spec = options.spec;
  if (!options.end.empty()) spec.end = COVEY_TRY(parse_time(options.end));
  if (!options.preset.empty()) {
    spec.preset = COVEY_TRY(read_preset(options.preset));
    // As much time to join as to stay.
    if (options.days_given->count() == 0) spec.days = 2 * spec.preset->stay_max() + 2;
  }
  if (const auto faults = spec.validate(); !faults.empty()) {
    return fail(Errc::kRejected, fmt::format("{}", fmt::join(faults, "; ")));
  }
  return population::Population(spec);
}

Result<Exit> fit_preset(const SimulateOptions& options) {
  population::Observer observer;
  COVEY_TRY_VOID(observe(options.fit, observer));
  const std::string name = fmt::format("{}", fmt::join(options.fit, " "));
  const auto preset = COVEY_TRY(population::fit(observer.records(), name));
  OutFile out = COVEY_TRY(OutFile::open(options.out.empty() ? "-" : options.out));
  COVEY_TRY_VOID(out.write(preset.text()));
  COVEY_TRY_VOID(out.close());
  return Exit::kDone;
}

Result<Exit> compare(SimulateOptions& options) {
  const auto population = COVEY_TRY(population_of(options));
  population::Observer seen, made;
  COVEY_TRY_VOID(observe(options.compare, seen));
  population::Population::Scratch scratch;
  std::vector<population::Drawn> drawn;
  for (std::uint32_t learner = 0; learner < options.spec.learners; ++learner) {
    population.learner(learner, drawn);
    for (const auto& d : drawn) made.add(population.event(d, scratch));
  }
  const auto real = population::Marginals::of(seen.records());
  const auto simulated = population::Marginals::of(made.records());
  const auto apart = COVEY_TRY(population::distances(simulated, real));
  if (options.json) {
    nlohmann::ordered_json out = {{"learners", options.spec.learners}, {"seed", options.spec.seed}};
    for (std::size_t m = 0; m < population::kMarginals; ++m) {
      out["distance"][population::name(static_cast<population::Marginal>(m))] = apart.ks[m];
    }
    out["distance"]["active by week"] = apart.active;
    fmt::print("{}\n", out.dump());
  } else {
    fmt::print("{}", comparison_table(apart, simulated, real));
  }
  if (!options.plots.empty()) {
    COVEY_TRY_VOID(write_comparison_plots(options.plots, apart, simulated, real));
    fmt::print(stderr, "Plots are in {}\n", options.plots);
  }
  return Exit::kDone;
}

Result<void> write_truth(const SimulateOptions& options, const population::Population& population,
                         Parallel& parallel) {
  constexpr std::uint32_t kPiece = 1'024;
  OutFile truth = COVEY_TRY(OutFile::open(options.truth));
  COVEY_TRY_VOID(truth.write("learner,archetype,region,time_zone,course,joined,left\n"));
  const std::uint32_t learners = options.spec.learners;
  std::vector<std::string> pieces(std::size_t{16} * parallel.width());
  for (std::uint32_t from = 0; from < learners;) {
    const std::uint32_t begin = from;
    const auto piece_of = [&](std::size_t piece) {
      return std::min(learners, begin + static_cast<std::uint32_t>(piece) * kPiece);
    };
    parallel.run(pieces.size(), [&](std::size_t piece) {
      pieces[piece].clear();
      for (std::uint32_t l = piece_of(piece); l < piece_of(piece + 1); ++l) {
        const population::Facts facts = population.facts(l);
        fmt::format_to(std::back_inserter(pieces[piece]), "{},{},{},{},{},{},{}\n",
                       population.learner_name(l), population::name(facts.kind), facts.region,
                       facts.time_zone, facts.course, format_time(facts.joined),
                       facts.left ? format_time(*facts.left) : "");
      }
    });
    for (const std::string& text : pieces) COVEY_TRY_VOID(truth.write(text));
    from = piece_of(pieces.size());
  }
  return truth.close();
}

/// Says so where about `bytes` will not fit where `file` lies.
void warn_of_little_room(const std::string& file, double bytes) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return;
  const auto space = std::filesystem::space(file, error);
  if (error || bytes <= static_cast<double>(space.available)) return;
  fmt::print(stderr, "note: about {:.0f} MB will be written, and there is room for {:.0f} MB\n",
             bytes / 1e6, static_cast<double>(space.available) / 1e6);
}

Result<Exit> simulate(SimulateOptions& options) {
  if (!options.fit.empty()) return fit_preset(options);
  if (!options.compare.empty()) return compare(options);
  if (options.out.empty() && options.to.empty()) {
    return fail(Errc::kRejected,
                "where to? --out FILE writes the events, --to URL sends them to a service");
  }
  if (!options.experiment.empty()) return simulate_experiment(options);
  const RealClock clock;
  const auto population = COVEY_TRY(population_of(options));
  ThreadPool pool(thread_count(options.threads));
  std::optional<OutFile> out;
  std::optional<EventSender> sender;
  if (options.to.empty()) {
    out = COVEY_TRY(OutFile::open(options.out));
  } else {
    sender = COVEY_TRY(EventSender::open(options.to, {.batch = options.batch}, clock));
  }
  const auto started = clock.now();
  Progress bar(clock, sender ? "sending" : "simulating");
  std::uint64_t events = 0, bytes = 0;
  const double about = population.events_expected();
  COVEY_TRY_VOID(population.generate_ndjson(
      pool, [&](std::string_view text, std::uint64_t count) -> Result<void> {
        COVEY_TRY_VOID(sender ? sender->send(text) : out->write(text));
        events += count;
        bytes += text.size();
        const double all = about * static_cast<double>(bytes) / static_cast<double>(events);
        if (events == count && out) warn_of_little_room(options.out, all);
        bar.update(events, static_cast<std::uint64_t>(about),
                   fmt::format("{}, {:.0f} of about {:.0f} MB", counted(events, "event"),
                               static_cast<double>(bytes) / 1e6, all / 1e6));
        return {};
      }));
  if (sender) COVEY_TRY_VOID(sender->finish());
  if (out) COVEY_TRY_VOID(out->close());
  bar.finish();
  const double seconds = std::chrono::duration<double>(clock.now() - started).count();
  if (!options.truth.empty()) COVEY_TRY_VOID(write_truth(options, population, pool));
  const std::string truth = options.truth.empty() ? "" : ", what is really so to " + options.truth;
  if (sender) {
    fmt::print(stderr,
               "{} of {} sent to {} in {:.1f} s: {} new, {} known already; {} "
               "times a batch had to be sent again{}\n",
               counted(events, "event"), counted(options.spec.learners, "learner"), options.to,
               seconds, grouped(sender->accepted()), grouped(sender->duplicates()), sender->waits(),
               truth);
  } else {
    fmt::print(stderr, "{} of {} written to {} in {:.1f} s{}\n", counted(events, "event"),
               counted(options.spec.learners, "learner"),
               options.out == "-" ? "standard output" : options.out, seconds, truth);
  }
  return Exit::kDone;
}

}  // namespace

void add_simulate(CLI::App& app, Run& run) {
  auto options = std::make_shared<SimulateOptions>();
  CLI::App* command = app.add_subcommand(
      "simulate",
      "Write the events of simulated learners, for trials and tests; like real ones with "
      "--preset oulad");
  auto& spec = options->spec;
  options->learners_given =
      command->add_option("--learners", spec.learners, "How many; 40,000 with --experiment")
          ->capture_default_str();
  options->events_given = command
                              ->add_option("--events-per-learner", spec.events_per_learner,
                                           "Mean; some have far more. About 19 with --experiment")
                              ->capture_default_str();
  command->add_option("--seed", spec.seed, "The same seed gives the same events")
      ->capture_default_str();
  options->days_given =
      command
          ->add_option("--days", spec.days,
                       "Days they span; with --preset twice its longest stay and 2")
          ->capture_default_str();
  command->add_option("--end", options->end, "Where they end (default 2024-07-01T00:00:00Z)")
      ->type_name("T");
  command->add_option("--domains", spec.domains, "Domains")->capture_default_str();
  command->add_option("--capabilities", spec.capabilities, "Capabilities over all domains")
      ->capture_default_str();
  auto* out = command->add_option(
      "--out", options->out,
      "NDJSON file to write; - is standard output. With --fit the preset's file");
  command
      ->add_option("--to", options->to,
                   "Send them to the service at this URL instead, http://HOST:PORT, in order, "
                   "waiting where it says 429 or 503")
      ->type_name("URL")
      ->excludes(out);
  command->add_option("--batch", options->batch, "Events in a request of --to")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_option("--truth", options->truth,
                      "File for what is really so: CSV of each learner's archetype, region, time "
                      "zone, course, when it joined and left; with --experiment, JSON of the "
                      "planted effect");
  auto* preset =
      command
          ->add_option("--preset", options->preset,
                       "Learners who behave like real ones, in courses and time zones, who join, "
                       "leave and pay: oulad, or a file made by --fit. It decides on events per "
                       "learner")
          ->type_name("NAME|FILE")
          ->excludes(const_cast<CLI::Option*>(options->events_given));
  command->add_option("--courses", spec.courses, "With --preset: courses there are")
      ->needs(preset)
      ->capture_default_str();
  command
      ->add_option("--intake", spec.intake_days,
                   "With --preset: learners join in the first so many days. Default: all that "
                   "leave everybody room for the longest stay; with more, who joins late is cut "
                   "off at the end, as in the log of a live platform")
      ->needs(preset)
      ->check(positive())
      ->type_name("DAYS");
  command
      ->add_option("--growth", spec.growth,
                   "With --preset: of the learners who join, in a year; .5 is half as many again, "
                   "below 0 they dwindle")
      ->needs(preset)
      ->capture_default_str();
  command
      ->add_option("--fit", options->fit,
                   "Simulate nothing: read real events (NDJSON, .csv, or the folder of an OULAD "
                   "package) and print the preset whose learners behave like these")
      ->type_name("FILES");
  command
      ->add_option("--compare", options->compare,
                   "Write no events: hold the simulated learners against the real ones in these "
                   "files and print the distance of each marginal")
      ->type_name("FILES");
  command->add_option("--plots", options->plots, "With --compare: folder for its plots, as SVG")
      ->type_name("FOLDER");
  command->add_flag("--json", options->json, "With --compare: print the distances as JSON");
  command->add_option("--threads", options->threads, "Default: as many as cores");
  command
      ->add_option("--experiment", options->experiment,
                   "Learners of this experiment instead, whose treatment raises revenue by 5.8 %, "
                   "completion by 7 points and lowers churn by 3. Only --learners, "
                   "--events-per-learner, --seed, --out and --truth apply")
      ->type_name("FILE");
  command->add_flag("--no-effect", options->no_effect,
                    "With --experiment: the treatment does nothing");
  command->callback([options, &run] { run = [options] { return simulate(*options); }; });
}

}  // namespace covey::app

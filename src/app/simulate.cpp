#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/experiment_file.h"
#include "app/progress.h"
#include "app/real_clock.h"
#include "population/population.h"
#include "population/trial.h"

namespace covey::app {
namespace {

struct Options {
  population::Spec spec;
  std::string out, truth, end;
  std::string experiment;  ///< file: simulate it instead of a population
  bool no_effect = false;
  const CLI::Option* learners_given = nullptr;
  const CLI::Option* events_given = nullptr;
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
Result<Exit> simulate_experiment(const Options& options) {
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
  fmt::print(stderr, "{} events of {} learners written to {}{}\n", grouped(events),
             grouped(spec.learners), options.out == "-" ? "standard output" : options.out,
             options.truth.empty() ? "" : ", the planted effect to " + options.truth);
  return Exit::kDone;
}

Result<Exit> simulate(Options& options) {
  if (!options.experiment.empty()) return simulate_experiment(options);
  if (!options.end.empty()) options.spec.end = COVEY_TRY(parse_time(options.end));
  if (const auto faults = options.spec.validate(); !faults.empty()) {
    return fail(Errc::kRejected, fmt::format("{}", fmt::join(faults, "; ")));
  }
  const RealClock clock;
  const population::Population population(options.spec);
  OutFile out = COVEY_TRY(OutFile::open(options.out));
  Progress bar(clock, "simulating");
  std::uint64_t events = 0;
  std::string text;
  const auto about =
      static_cast<std::uint64_t>(options.spec.learners * options.spec.events_per_learner);
  COVEY_TRY_VOID(population.generate([&](std::span<const population::Drawn> part) -> Result<void> {
    for (const auto& drawn : part) {
      population.append_ndjson(drawn, text);
      if (text.size() < (std::size_t{1} << 20)) continue;
      COVEY_TRY_VOID(out.write(text));
      text.clear();
    }
    events += part.size();
    bar.update(events, about, grouped(events) + " events");
    return {};
  }));
  COVEY_TRY_VOID(out.write(text));
  COVEY_TRY_VOID(out.close());
  bar.finish();
  if (!options.truth.empty()) {
    OutFile truth = COVEY_TRY(OutFile::open(options.truth));
    text = "learner,archetype\n";
    for (std::uint32_t l = 0; l < options.spec.learners; ++l) {
      fmt::format_to(std::back_inserter(text), "{},{}\n", population.learner_name(l),
                     population::name(population.kind(l)));
    }
    COVEY_TRY_VOID(truth.write(text));
    COVEY_TRY_VOID(truth.close());
  }
  fmt::print(stderr, "{} events of {} learners written to {}{}\n", grouped(events),
             grouped(options.spec.learners), options.out == "-" ? "standard output" : options.out,
             options.truth.empty() ? "" : ", their kinds to " + options.truth);
  return Exit::kDone;
}

}  // namespace

void add_simulate(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "simulate", "Write the events of simulated learners, for trials and tests");
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
  command->add_option("--days", spec.days, "Days they span")->capture_default_str();
  command->add_option("--end", options->end, "Where they end (default 2024-07-01T00:00:00Z)")
      ->type_name("T");
  command->add_option("--domains", spec.domains, "Domains")->capture_default_str();
  command->add_option("--capabilities", spec.capabilities, "Capabilities over all domains")
      ->capture_default_str();
  command->add_option("--out", options->out, "NDJSON file to write; - is standard output")
      ->required();
  command->add_option("--truth", options->truth,
                      "File for what is really so: CSV of learner,archetype; with --experiment, "
                      "JSON of the planted effect");
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

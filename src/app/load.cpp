#include <atomic>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/files.h"
#include "app/interruption.h"
#include "app/progress.h"
#include "app/real_clock.h"
#include "app/start_thread.h"
#include "app/thread_pool.h"
#include "config/units.h"
#include "load/report.h"

namespace covey::app {
namespace {

struct LoadOptions {
  std::string url, against, learners, end, id_prefix, limits, page;
  std::string rate, ingest, cohorts, discover;
  std::string duration = "10s", patience = "10s", block = "5s", profile = "constant";
  std::size_t connections = 64, ingest_connections = 8, pipeline = 1;
  std::uint32_t batch = 1'000;
  std::uint64_t events = 0;
  unsigned threads = 1;
  load::Settings settings;
  bool json = false;
};

Result<std::vector<std::string>> read_lines(const std::string& file) {
  const std::string text = COVEY_TRY(read_file(file));
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

/// A number a second, or "max": one after another, as fast as answers come.
Result<void> set_rate(load::Lane& lane, const std::string& option, const std::string& text,
                      double of_each = 1) {
  if (text == "max") {
    lane.one_after_another = true;
    return {};
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0) ||
      !std::isfinite(value)) {
    return fail(Errc::kRejected,
                fmt::format("{} {}: write a number a second, or max", option, text));
  }
  lane.per_second = value / of_each;
  return {};
}

Result<void> fill(LoadOptions& o, const Clock& clock) {
  using load::Kind;
  load::Settings& s = o.settings;
  s.target = COVEY_TRY(http::parse_url(o.url));
  s.duration = COVEY_TRY(config::parse_duration(o.duration));
  s.patience = std::chrono::duration_cast<std::chrono::milliseconds>(
      COVEY_TRY(config::parse_duration(o.patience)));
  if (o.profile.starts_with("daily:")) {
    const std::string day = COVEY_TRY(read_file(o.profile.substr(6)));
    s.profile = COVEY_TRY(load::Profile::daily(day, s.duration));
  } else {
    s.profile = COVEY_TRY(load::Profile::parse(o.profile, s.duration));
  }
  const bool others = !o.ingest.empty() || !o.cohorts.empty() || !o.discover.empty();
  if (!o.rate.empty() || !others) {
    COVEY_TRY_VOID(set_rate(s.lane(Kind::kLookUp), "--rate", o.rate.empty() ? "1000" : o.rate));
  }
  if (!o.ingest.empty()) {
    COVEY_TRY_VOID(set_rate(s.lane(Kind::kIngest), "--ingest", o.ingest, o.batch));
  }
  if (!o.cohorts.empty()) {
    COVEY_TRY_VOID(set_rate(s.lane(Kind::kCohorts), "--cohorts", o.cohorts));
  }
  if (!o.discover.empty()) {
    COVEY_TRY_VOID(set_rate(s.lane(Kind::kDiscover), "--discover", o.discover));
  }
  s.lane(Kind::kLookUp).connections = o.connections;
  s.lane(Kind::kLookUp).pipeline = o.pipeline;
  s.lane(Kind::kIngest).connections = o.ingest_connections;
  s.lane(Kind::kIngest).requests_max = (o.events + o.batch - 1) / o.batch;
  s.lane(Kind::kCohorts).connections = 2;
  s.lane(Kind::kDiscover).connections = 1;
  if (!o.learners.empty()) s.learners.names = COVEY_TRY(read_lines(o.learners));
  s.batches.events = o.batch;
  if (s.learners.simulated > 0) s.batches.population.learners = s.learners.simulated;
  // Events of the days before today: the service holds back what is ahead of its clock.
  s.batches.population.end = o.end.empty()
                                 ? Time(std::chrono::floor<std::chrono::days>(clock.wall()))
                                 : COVEY_TRY(parse_time(o.end));
  s.batches.id_prefix =
      o.id_prefix.empty() ? fmt::format("load-{:08x}-", std::random_device()()) : o.id_prefix;
  return {};
}

/// Runs one load with its progress.
Result<load::Totals> run_one(const load::Settings& settings, const Clock& clock, Parallel& threads,
                             Progress& bar, std::uint64_t before, std::uint64_t total_s) {
  auto generator = COVEY_TRY(load::Generator::make(settings, clock, thread_cpu));
  const Stoppable stoppable(generator);
  std::atomic<bool> done{false};
  const auto begun = clock.now();
  std::jthread watcher = start_thread([&] {
    while (!done) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      const auto s = std::chrono::duration_cast<std::chrono::seconds>(clock.now() - begun).count();
      bar.update(before + static_cast<std::uint64_t>(s), total_s,
                 fmt::format("{} sent, {} failed", grouped(generator.sent()),
                             grouped(generator.failed())));
    }
  });
  load::Totals totals = generator.run(threads);
  done = true;
  watcher.join();
  return totals;
}

/// Blocks of both targets in turn, the same arrivals for both of a pair.
Result<void> alternate(load::Report& report, const load::Settings& settings, const Clock& clock,
                       Parallel& threads, Progress& bar) {
  load::Report::Against& against = *report.against;
  const http::Url second = COVEY_TRY(http::parse_url(against.url));
  const auto pairs =
      static_cast<std::size_t>(std::max<std::int64_t>(1, settings.duration / (2 * against.block)));
  const auto total = std::chrono::duration_cast<std::chrono::seconds>(settings.duration);
  const auto begun = clock.now();
  for (std::size_t i = 0; i < 2 * pairs && !interrupted; ++i) {
    load::Settings block = settings;
    const bool to_second = load::second_at(i);
    if (to_second) block.target = second;
    block.duration = against.block;
    block.seed = Random(settings.seed).fork("pair", i / 2).next();
    block.batches.id_prefix += fmt::format("{}-", i);
    const auto at = std::chrono::duration_cast<std::chrono::seconds>(clock.now() - begun);
    load::Totals totals =
        COVEY_TRY(run_one(block, clock, threads, bar, static_cast<std::uint64_t>(at.count()),
                          static_cast<std::uint64_t>(total.count())));
    // Half a pair is no comparison.
    if (interrupted) break;
    (to_second ? against.totals : report.totals).append(totals, at);
    if (i % 2 == 0) against.pairs.emplace_back();
    (to_second ? against.pairs.back().b : against.pairs.back().a) = std::move(totals);
  }
  if (!against.pairs.empty() &&
      (against.pairs.back().a.took.count() == 0 || against.pairs.back().b.took.count() == 0)) {
    against.pairs.pop_back();
  }
  return {};
}

Result<Exit> load(LoadOptions options) {
  const RealClock clock;
  COVEY_TRY_VOID(fill(options, clock));
  const load::Settings& settings = options.settings;
  std::vector<load::Limit> limits;
  if (!options.limits.empty()) limits = COVEY_TRY(load::parse_limits(options.limits));
  for (const load::Limit& limit : limits) {
    if (limit.kind && !settings.lane(*limit.kind).used()) {
      return fail(Errc::kRejected,
                  fmt::format("--limit {}: no such requests are sent", limit.text));
    }
  }
  load::Report report;
  report.settings = settings;
  report.url = options.url;
  report.made = format_time(std::chrono::floor<std::chrono::seconds>(clock.wall()));
  if (!options.against.empty()) {
    report.against = load::Report::Against{};
    report.against->url = options.against;
    report.against->block = COVEY_TRY(config::parse_duration(options.block));
    if (!settings.profile.constant() || settings.duration.count() == 0 ||
        report.against->block < std::chrono::milliseconds(100)) {
      return fail(Errc::kRejected,
                  "--against wants a constant profile, a length and blocks of 100ms at least");
    }
  }
  // Before a signal is caught: what is wrong with the settings is told at once.
  COVEY_TRY_VOID(load::Generator::make(settings, clock, thread_cpu));
  stop_on_signals();
  {
    ThreadPool threads(options.threads);
    Progress bar(clock, "load");
    if (report.against) {
      COVEY_TRY_VOID(alternate(report, settings, clock, threads, bar));
    } else {
      const auto total = std::chrono::duration_cast<std::chrono::seconds>(settings.duration);
      report.totals = COVEY_TRY(
          run_one(settings, clock, threads, bar, 0, static_cast<std::uint64_t>(total.count())));
    }
  }
  report.verdicts = load::judge(limits, settings, report.totals);
  if (report.against) {
    for (load::Verdict& v : load::judge(limits, settings, report.against->totals)) {
      v.limit += " of the second target";
      report.verdicts.push_back(std::move(v));
    }
  }
  if (!options.page.empty()) COVEY_TRY_VOID(write_file(options.page, to_html(report)));
  if (options.json) {
    fmt::print("{}\n", to_json(report).dump(2));
  } else {
    fmt::print("{}", to_text(report));
  }
  for (const load::Verdict& v : report.verdicts) {
    if (!v.held.value_or(false)) return Exit::kRefused;
  }
  const load::Tally all = report.totals.all();
  const std::uint64_t silent = all.count(load::Outcome::kRefused) + all.count(load::Outcome::kCut) +
                               all.count(load::Outcome::kTimedOut);
  if (all.finished() > 0 && all.finished() == silent) {
    return fail(Errc::kFailed,
                fmt::format("{} answered none of {} requests: does a service listen there?",
                            options.url, grouped(all.finished())));
  }
  return Exit::kDone;
}

}  // namespace

void add_load(CLI::App& app, Run& run) {
  auto options = std::make_shared<LoadOptions>();
  CLI::App* command = app.add_subcommand(
      "load", "Ask a service at a given rate, and measure what its learners would feel");
  load::Settings& settings = options->settings;
  command->add_option("URL", options->url, "http://HOST:PORT")->required();
  command->add_option("--rate", options->rate,
                      "Look-ups a second, 1000 unless something else is asked for; max: one after "
                      "another on each connection");
  command->add_option("--for", options->duration, "How long, such as 30s; 0s: until Ctrl-C")
      ->capture_default_str();
  command
      ->add_option("--profile", options->profile,
                   "How the rates go: constant, step:0.5,1,2, ramp:0.1..2, or daily:FILE, a "
                   "count of requests for each of 24 hours")
      ->capture_default_str();
  command->add_option("--connections", options->connections, "Kept open for look-ups")
      ->check(CLI::Range(1u, 10'000u))
      ->capture_default_str();
  command->add_option("--pipeline", options->pipeline, "Look-ups written ahead on a connection")
      ->check(CLI::Range(1u, 1'024u))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Of the generator")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  command->add_flag("--kinds-apart", settings.kinds_apart,
                    "Each thread sends one kind of requests, so that none waits while a batch of "
                    "events is written");
  command->add_option("--learners", options->learners, "File with an id a line");
  command->add_option("--population", settings.learners.simulated,
                      "Simulated learners of the service, as of `covey simulate`: look-ups and "
                      "events are theirs");
  command
      ->add_option("--segments", settings.learners.segments,
                   "Sent as X-Segment, by a hash of the learner")
      ->delimiter(',');
  command->add_option("--path", settings.path, "What look-ups ask for")->capture_default_str();
  command->add_option("--expect", settings.expect,
                      "Text that an answer to a look-up must have, {learner} for its id");
  command->add_option("--ingest", options->ingest, "Events a second, or max");
  command->add_option("--batch", options->batch, "Events in a request")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  command->add_option("--events", options->events, "Stop the ingest after so many");
  command->add_option("--ingest-connections", options->ingest_connections, "Kept open for events")
      ->check(CLI::Range(1u, 10'000u))
      ->capture_default_str();
  command
      ->add_option("--events-per-learner", settings.batches.population.events_per_learner,
                   "Of the learners whose events are sent")
      ->capture_default_str();
  command->add_option("--days", settings.batches.population.days, "That the events lie within")
      ->capture_default_str();
  command->add_option("--end", options->end,
                      "Where the events end; unless given, today's midnight");
  command->add_option("--id-prefix", options->id_prefix,
                      "Of event ids; unless given, one that no run has had");
  command->add_option("--cohorts", options->cohorts, "GET /v1/cohorts a second, or max");
  command->add_option("--discover", options->discover, "POST /v1/discover a second, or max");
  command
      ->add_option("--patience", options->patience,
                   "For an answer, from when its request was due; then it has timed out")
      ->capture_default_str();
  command->add_option("--against", options->against,
                      "A second target, asked in turn with the first: A B B A");
  command->add_option("--block", options->block, "Length of a turn")->capture_default_str();
  command->add_option("--limit", options->limits,
                      "Exit with 3 unless held, such as p99=50ms,errors=0.1%,ingest.p99=1s");
  command->add_option("--seed", settings.seed, "Of arrivals, learners and events")
      ->capture_default_str();
  command->add_option("--report", options->page, "Write a page with plots")->type_name("FILE.html");
  command->add_flag("--json", options->json, "For machines");
  command->callback([options, &run] { run = [options] { return load(*options); }; });
}

}  // namespace covey::app

#include <csignal>
#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/files.h"
#include "app/progress.h"
#include "app/real_clock.h"
#include "config/units.h"
#include "load/generator.h"

namespace covey::app {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string url, learners, duration = "10s";
  std::vector<std::string> segments;
  load::Settings settings;
  bool json = false;
};

load::Generator* running = nullptr;

double ms(const telemetry::Histogram& h, double q) {
  const auto at = h.quantile(q);
  return at ? std::chrono::duration<double, std::milli>(*at).count() : 0;
}

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

Result<Exit> load(Options options) {
  load::Settings& settings = options.settings;
  settings.target = COVEY_TRY(http::parse_url(options.url));
  settings.duration = COVEY_TRY(config::parse_duration(options.duration));
  settings.segments = options.segments;
  if (!options.learners.empty()) settings.learners = COVEY_TRY(read_lines(options.learners));
  const RealClock clock;
  auto generator = COVEY_TRY(load::Generator::make(settings, clock));
  running = &generator;
  std::signal(SIGINT, [](int) { running->stop(); });
  std::signal(SIGTERM, [](int) { running->stop(); });
  load::Totals totals;
  {
    std::atomic<bool> done{false};
    std::jthread watcher([&] {
      Progress bar(clock, "load");
      while (!done) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        bar.update(generator.sent(), 0, fmt::format("{} failed", grouped(generator.failed())));
      }
    });
    totals = generator.run();
    done = true;
  }
  const double rate = static_cast<double>(totals.sent) / totals.took.count();
  const std::uint64_t unanswered = totals.refused + totals.cut + totals.timed_out;
  // Arrivals that the generator itself sent late would make every latency its own.
  const bool late = ms(totals.lag, 0.99) > 5;
  if (options.json) {
    const Json out = {{"requests", totals.sent},
                      {"seconds", totals.took.count()},
                      {"requests_per_second", rate},
                      {"ok", totals.ok},
                      {"client_errors", totals.client_errors},
                      {"server_errors", totals.server_errors},
                      {"refused", totals.refused},
                      {"cut", totals.cut},
                      {"timed_out", totals.timed_out},
                      {"latency_ms",
                       {{"p50", ms(totals.latency, 0.5)},
                        {"p95", ms(totals.latency, 0.95)},
                        {"p99", ms(totals.latency, 0.99)},
                        {"p999", ms(totals.latency, 0.999)},
                        {"max", ms(totals.latency, 1)}}},
                      {"generator_lag_p99_ms", ms(totals.lag, 0.99)},
                      {"generator_was_the_limit", late}};
    fmt::print("{}\n", out.dump(2));
  } else {
    fmt::print("{} requests in {:.1f} s: {:.1f} a second\n", grouped(totals.sent),
               totals.took.count(), rate);
    fmt::print(
        "answered well {}, 4xx {}, 5xx {}, no answer {} (refused {}, cut {}, timed out {})\n",
        grouped(totals.ok), grouped(totals.client_errors), grouped(totals.server_errors),
        grouped(unanswered), grouped(totals.refused), grouped(totals.cut),
        grouped(totals.timed_out));
    fmt::print(
        "latency from when a request was due, ms: P50 {:.3g}, P95 {:.3g}, P99 {:.3g}, P99.9 "
        "{:.3g}, longest {:.3g}\n",
        ms(totals.latency, 0.5), ms(totals.latency, 0.95), ms(totals.latency, 0.99),
        ms(totals.latency, 0.999), ms(totals.latency, 1));
    if (late) {
      fmt::print(
          "The generator itself was late (P99 {:.3g} ms): it was the limit, not the server.\n",
          ms(totals.lag, 0.99));
    }
  }
  return Exit::kDone;
}

}  // namespace

void add_load(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "load", "Ask a service for learners at a given rate, and measure what they would feel");
  command->add_option("URL", options->url, "http://HOST:PORT")->required();
  command->add_option("--rate", options->settings.requests_per_second, "Arrivals a second")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--for", options->duration, "How long, such as 30s; 0s: until Ctrl-C")
      ->capture_default_str();
  command->add_option("--connections", options->settings.connections, "Kept open")
      ->check(CLI::Range(1u, 10'000u))
      ->capture_default_str();
  command->add_option("--learners", options->learners, "File with an id a line");
  command
      ->add_option("--segments", options->segments, "Sent as X-Segment, by a hash of the learner")
      ->delimiter(',');
  command->add_option("--path", options->settings.path, "What is asked")->capture_default_str();
  command->add_option("--seed", options->settings.seed, "Of arrivals and learners")
      ->capture_default_str();
  command->add_flag("--json", options->json, "For machines");
  command->callback([options, &run] { run = [options] { return load(*options); }; });
}

}  // namespace covey::app

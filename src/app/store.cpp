#include "app/store.h"

#include <fmt/format.h>

#include "app/progress.h"

namespace covey::app {

void StoreOptions::add_data(CLI::App& command) {
  command.add_option("--data", data, "Folder of the store")->required()->type_name("DIR");
}

void StoreOptions::add_engine(CLI::App& command) {
  command
      .add_option("--engine", engine,
                  "fast: incremental columns. baseline: the plain oracle, slow and the same")
      ->check(CLI::IsMember({"fast", "baseline"}))
      ->capture_default_str();
}

void StoreOptions::add_as_of(CLI::App& command) {
  command
      .add_option("--as-of", as_of,
                  "Answer as of this instant: now, latest (the newest event), or a time such as "
                  "2014-02-01T12:00:00Z")
      ->type_name("T")
      ->capture_default_str();
}

void StoreOptions::add_threads(CLI::App& command) {
  command
      .add_option("--threads", threads,
                  "Threads to work with; 0: one a core. Never changes an answer")
      ->check(CLI::Range(0u, 256u))
      ->capture_default_str();
}

unsigned thread_count(unsigned wanted) {
  return wanted > 0 ? wanted : std::max(1u, std::thread::hardware_concurrency());
}

Result<std::optional<Time>> parse_as_of(const std::string& text) {
  if (text == "now" || text == "latest") return std::nullopt;
  auto parsed = parse_time(text);
  if (!parsed) {
    return fail(Errc::kRejected, "--as-of: " + parsed.error().message + ", or now, or latest");
  }
  return std::optional<Time>(*parsed);
}

Result<std::unique_ptr<Store>> Store::open_log(const StoreOptions& options, log::Access access) {
  auto store = std::make_unique<Store>();
  store->pool = std::make_unique<ThreadPool>(thread_count(options.threads));
  store->log =
      COVEY_TRY(log::open_rocks_log(options.data, access, log::RocksLimits{}, store->clock));
  return store;
}

Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options, log::Access access) {
  analyzer::Analyzer::Config config;
  config.engine = options.engine;
  config.as_of = COVEY_TRY(parse_as_of(options.as_of));
  config.limits.memory_bytes_max = options.memory_mib << 20;
  auto store = COVEY_TRY(open_log(options, access));
  Progress bar(store->clock, "reading the store");
  store->analyzer = COVEY_TRY(analyzer::Analyzer::open(
      config, *store->log, store->clock, *store->pool, [&](const analyzer::Progress& p) {
        bar.update(p.done, p.total, p.what == "log" ? grouped(p.done) + " records" : p.what);
      }));
  bar.finish();
  if (options.as_of == "latest" && store->analyzer->engine().learners() > 0) {
    store->analyzer->pin(
        Time(std::chrono::microseconds(store->analyzer->counters().newest_event_us.load())));
  }
  return store;
}

}  // namespace covey::app

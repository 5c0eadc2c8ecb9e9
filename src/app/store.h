#pragma once

#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "analyzer/analyzer.h"
#include "app/real_clock.h"
#include "app/thread_pool.h"
#include "log/rocks_log.h"

namespace covey::app {

/// The options every command that works on a store has.
struct StoreOptions {
  std::string data;
  std::string engine = "fast";
  std::string as_of = "now";  ///< "now", "latest" or RFC 3339
  unsigned threads = 0;       ///< 0: as many as cores
  std::uint64_t memory_mib = 0;

  void add_data(CLI::App& command);
  void add_engine(CLI::App& command);
  void add_as_of(CLI::App& command);
  void add_threads(CLI::App& command);
};

/// A store that is open and recovered, and the clock and threads it runs on.
struct Store {
  RealClock clock;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<log::Log> log;
  std::unique_ptr<analyzer::Analyzer> analyzer;

  /// Opens and recovers, with progress on stderr.
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options, log::Access access);
  /// The log alone, for commands that need no learners.
  static Result<std::unique_ptr<Store>> open_log(const StoreOptions& options, log::Access access);
};

/// "latest" leaves nothing: the newest event decides once the store is read.
Result<std::optional<Time>> parse_as_of(const std::string& text);

unsigned thread_count(unsigned wanted);

}  // namespace covey::app

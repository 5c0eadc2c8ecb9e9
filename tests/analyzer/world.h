#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "analyzer/analyzer.h"
#include "sim/memory_log.h"

namespace covey::analyzer {

inline Time at(std::string_view text) {
  return parse_time(text).value();
}

/// A practice event with an id of its own.
inline events::Event practice(std::string_view id, std::string_view learner, Time time,
                              std::string_view capability = "c") {
  events::Event event;
  event.id = id;
  event.learner = learner;
  event.time = time;
  event.type = events::EventType::kPractice;
  event.capability = capability;
  event.domain = "d";
  return event;
}

/// An analyzer over a simulated disk, with its ingest run on demand, so that a test decides what
/// is stored together.
struct World {
  explicit World(sim::MemoryLog::Disk& disk, Time now = at("2024-03-01T12:00:00Z"))
      : clock(now), log(disk) {}

  Result<void> open(Analyzer::Config config = {}) {
    auto opened = Analyzer::open(config, log, clock, serial, [](const Progress&) {});
    if (!opened) return std::unexpected(opened.error());
    analyzer = std::move(*opened);
    return {};
  }

  /// Starts the ingest thread for the life of the world.
  void start() {
    ingest = std::jthread([this] { EXPECT_TRUE(analyzer->run_ingest()); });
  }
  ~World() {
    if (analyzer) analyzer->stop();
  }

  /// Submits and waits for the answer.
  Result<Receipt> ingest_now(events::Parsed parsed) {
    std::mutex mutex;
    std::condition_variable wake;
    std::optional<Result<Receipt>> answer;
    const auto taken = analyzer->submit(std::move(parsed), [&](Result<Receipt> receipt) {
      const std::lock_guard lock(mutex);
      answer = std::move(receipt);
      wake.notify_one();
    });
    if (!taken) return std::unexpected(taken.error());
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return answer.has_value(); });
    return *answer;
  }

  std::uint32_t practised(std::string_view learner) const {
    const auto answer = analyzer->find(learner);
    return answer ? answer->facts.practice_events : 0;
  }

  ManualClock clock;
  Serial serial;
  sim::MemoryLog log;
  std::unique_ptr<Analyzer> analyzer;
  std::jthread ingest;
};

inline events::Parsed one(const events::Event& event) {
  events::Parsed parsed;
  parsed.batch.add(event);
  return parsed;
}

}  // namespace covey::analyzer

// Goal: no fault of the disk, wherever it falls, loses what was acknowledged or stores it twice.
// Method: a faultless run counts every append and snapshot commit; then one run for each of them
// and each kind of fault, followed by a restart and a second sending of everything.

#include <gtest/gtest.h>

#include "sanitized.h"
#include "world.h"

namespace covey::analyzer {
namespace {

constexpr int kRows = 40;

Analyzer::Config config() {
  Analyzer::Config config;
  config.limits.snapshot_events = 7;  // several snapshots in forty events
  return config;
}

std::string learner(int i) {
  return fmt::format("l{}", i % 5);
}

events::Parsed row(int i) {
  events::Parsed parsed = one(practice(fmt::format("e{}", i), learner(i),
                                       at("2024-02-01T00:00:00Z") + std::chrono::hours(i)));
  if (i % 9 == 0) {
    parsed.rejected.push_back({"f", static_cast<std::uint64_t>(i), "bad", "row", "ndjson", ""});
  }
  return parsed;
}

struct Outcome {
  std::uint64_t effects = 0;
  std::vector<bool> acknowledged = std::vector<bool>(kRows);
};

Outcome run(sim::MemoryLog::Disk& disk, std::uint64_t fatal, sim::Fate fate) {
  Outcome outcome;
  World world(disk);
  world.log.plan(fatal, fate);
  if (!world.open(config())) {
    ADD_FAILURE() << "did not open";
    return outcome;
  }
  world.start();
  for (int i = 0; i < kRows && !world.log.dead(); ++i) {
    const auto receipt = world.ingest_now(row(i));
    outcome.acknowledged[static_cast<std::size_t>(i)] = receipt.has_value();
  }
  outcome.effects = world.log.effects();
  return outcome;
}

TEST(AnalyzerSimulation, SurvivesEveryFaultAtEveryEffect) {
  sim::MemoryLog::Disk calm_disk;
  const Outcome calm = run(calm_disk, UINT64_MAX, sim::Fate::kFine);
  ASSERT_GT(calm.effects, static_cast<std::uint64_t>(kRows));  // appends and snapshots
  ASSERT_TRUE(calm_disk.snapshot_cursor);

  for (std::uint64_t fatal = 0; fatal < calm.effects; fatal += kThreadsWatched ? 5 : 1) {
    for (const sim::Fate fate :
         {sim::Fate::kRefused, sim::Fate::kLostPower, sim::Fate::kLostPowerLate}) {
      SCOPED_TRACE(::testing::Message() << "fatal=" << fatal << " fate=" << static_cast<int>(fate));
      sim::MemoryLog::Disk disk;
      const Outcome outcome = run(disk, fatal, fate);

      World world(disk);
      ASSERT_TRUE(world.open(config()));
      world.start();
      std::map<std::string, std::uint32_t> least, most;
      for (int i = 0; i < kRows; ++i) {
        least[learner(i)] += outcome.acknowledged[static_cast<std::size_t>(i)] ? 1 : 0;
        most[learner(i)] += 1;
      }
      for (const auto& [who, count] : least) {
        ASSERT_GE(world.practised(who), count) << who;
        ASSERT_LE(world.practised(who), most[who]) << who;
      }
      for (int i = 0; i < kRows; ++i) {
        const auto receipt = world.ingest_now(row(i));
        ASSERT_TRUE(receipt);
        if (outcome.acknowledged[static_cast<std::size_t>(i)]) {
          ASSERT_EQ(receipt->duplicates, 1u) << i;
        }
      }
      for (const auto& [who, count] : most) ASSERT_EQ(world.practised(who), count) << who;
      // And what a restart reads is the same again.
      world.analyzer->stop();
      world.ingest.join();
      World after(disk);
      ASSERT_TRUE(after.open(config()));
      for (const auto& [who, count] : most) ASSERT_EQ(after.practised(who), count) << who;
    }
  }
}

}  // namespace
}  // namespace covey::analyzer

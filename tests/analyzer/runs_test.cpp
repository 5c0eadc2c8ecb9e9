#include "analyzer/runs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>

#include "base/random.h"
#include "world.h"

namespace covey::analyzer {
namespace {

cohorts::Discovery run_of(std::uint64_t learners, double inertia) {
  cohorts::Discovery run;
  run.as_of = at("2024-03-01T12:00:00Z");
  run.learners = learners;
  run.k = 3;
  run.inertia = inertia;
  run.silhouette = std::nan("");
  for (std::uint32_t i = 0; i < 3; ++i) {
    cohorts::Cohort cohort;
    cohort.id = i + 7;
    cohort.size = learners / 3;
    cohort.archetype = static_cast<cohorts::Archetype>(i);
    cohort.sentence = "\"They\" practise.";
    cohort.centroid.domain_affinity = 0.1 + i;
    run.cohorts.push_back(cohort);
  }
  return run;
}

// Goal: a bounded list in which the same outcome again is counted, not repeated.
TEST(Runs, KeepTheLastTwentyThatDiffer) {
  std::vector<PastRun> runs;
  for (int i = 0; i < 50; ++i) {
    keep_run(runs, run_of(300, i / 2), {}, at("2024-03-01T12:00:00Z") + std::chrono::minutes(i));
  }
  ASSERT_EQ(runs.size(), kRunsKept);
  EXPECT_EQ(runs.front().number, 6u);
  EXPECT_EQ(runs.back().number, 25u);
  for (const PastRun& run : runs) {
    EXPECT_EQ(run.times, 2u);
    EXPECT_EQ(run.made_last - run.made, std::chrono::minutes(1));
  }
}

// Goal: what is written is read back; foreign bytes and damage are refused.
TEST(Runs, SurviveTheStore) {
  std::vector<PastRun> runs;
  keep_run(runs, run_of(300, 1.5), {}, at("2024-03-01T12:00:00Z"));
  keep_run(runs, run_of(301, 2), {{7, 8, 5}, {std::nullopt, 9, 1}, {7, std::nullopt, 2}},
           at("2024-03-01T12:05:00.5Z"));
  runs.back().adjusted_rand_index = 0.75;
  const std::string bytes = encode(runs);
  const auto back = decode_runs(bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(encode(*back), bytes);
  EXPECT_EQ(back->back().flows, runs.back().flows);
  EXPECT_TRUE(std::isnan(back->back().silhouette));
  EXPECT_EQ(back->back().cohorts[2].sentence, "\"They\" practise.");
  EXPECT_EQ(back->back().adjusted_rand_index, 0.75);
  EXPECT_FALSE(back->front().adjusted_rand_index);

  for (const char* bad : {"", "[]", "{}", R"({"runs":{}})", R"({"runs":[1]})"}) {
    EXPECT_FALSE(decode_runs(bad)) << bad;
  }
  Random random(5);
  for (int i = 0; i < 2'000; ++i) {  // whatever comes: a value or kCorrupt
    std::string mangled = bytes;
    mangled[random.below(mangled.size())] = static_cast<char>(random.below(256));
    if (const auto read = decode_runs(mangled); !read) {
      EXPECT_EQ(read.error().code, Errc::kCorrupt);
    }
  }
}

// Goal: learners are counted once, by where they were and are.
TEST(Runs, FlowsAddUp) {
  const cohorts::Previous before{{1, 2, 3, 4, 9}, {0, 0, 1, 1, 1}, {5, 6}, 7};
  const cohorts::Previous after{{2, 3, 4, 7, 8, 9}, {1, 0, 0, 0, 1, 1}, {6, 7}, 8};
  const std::vector<Flow> expected = {{5, 7, 1}, {5, std::nullopt, 1}, {6, 6, 2},
                                      {6, 7, 1}, {std::nullopt, 6, 1}, {std::nullopt, 7, 1}};
  EXPECT_EQ(flows(before, after), expected);
  EXPECT_TRUE(flows({}, {}).empty());
}

void add_learners(World& world, int learners, int from) {
  events::Parsed parsed;
  for (int l = from; l < from + learners; ++l) {
    for (int e = 0; e < 6 + 12 * (l % 3); ++e) {
      const Time time = at("2024-02-28T10:00:00Z") - std::chrono::hours(24 * (e % (4 + l % 3 * 9)));
      parsed.batch.add(practice(fmt::format("{}-{}", l, e), fmt::format("l{}", l), time,
                                fmt::format("c{}", l % 3 == 1 ? e % 2 : e)));
    }
  }
  ASSERT_TRUE(world.ingest_now(std::move(parsed)));
}

cohorts::Options options() {
  cohorts::Options out;
  out.k = 3;
  out.restarts = 4;
  out.bootstraps = 2;
  return out;
}

// Goal: saved runs outlive the process, one of `remember = false` is none.
TEST(Runs, AreKeptAcrossRestarts) {
  sim::MemoryLog::Disk disk;
  for (int life = 0; life < 3; ++life) {
    World world(disk);
    ASSERT_TRUE(world.open());
    ASSERT_EQ(world.analyzer->runs()->size(), static_cast<std::size_t>(life));
    world.start();
    add_learners(world, 60, 60 * life);
    ASSERT_TRUE(world.analyzer->discover(options(), world.serial, false));
    ASSERT_TRUE(world.analyzer->discover(options(), world.serial, true));
    world.analyzer->stop();
    world.ingest.join();
    const auto runs = world.analyzer->runs();
    ASSERT_EQ(runs->size(), static_cast<std::size_t>(life) + 1);
    EXPECT_EQ(runs->back().learners, 60u * (static_cast<unsigned>(life) + 1));
    std::uint64_t before = 0, came = 0;
    for (const Flow& flow : runs->back().flows) (flow.from ? before : came) += flow.learners;
    EXPECT_EQ(before, 60u * static_cast<unsigned>(life));
    EXPECT_EQ(came, life == 0 ? 0u : 60u);
  }
}

// Goal: a run and the labels the next one's ids come from are stored together, or neither is.
// Method: the power fails before, or just after, the write.
TEST(Runs, GoWithTheirLabelsInOneStep) {
  for (const sim::Fate fate : {sim::Fate::kLostPower, sim::Fate::kLostPowerLate}) {
    sim::MemoryLog::Disk disk;
    {
      World world(disk);
      ASSERT_TRUE(world.open());
      world.start();
      add_learners(world, 60, 0);
      world.log.plan(world.log.effects(), fate);
      ASSERT_TRUE(world.analyzer->discover(options(), world.serial, true));
      world.analyzer->stop();
      world.ingest.join();
      EXPECT_TRUE(world.log.dead());
      EXPECT_TRUE(world.analyzer->runs()->empty()) << "not known to be durable";
    }
    const std::size_t stored = fate == sim::Fate::kLostPower ? 0 : 1;
    EXPECT_EQ(disk.notes.contains(kRunsKey), stored == 1);
    EXPECT_EQ(disk.notes.contains("discovery/previous/00000000"), stored == 1);
    World world(disk);
    ASSERT_TRUE(world.open());
    EXPECT_EQ(world.analyzer->runs()->size(), stored);
  }
}

// Goal: runs on their way to the log turn no event away, however many learners they label; what
// comes to the log is the newest, which holds those before it.
TEST(Runs, OnTheirWayTurnNothingAway) {
  sim::MemoryLog::Disk disk;
  {
    World world(disk);
    ASSERT_TRUE(world.open());
    world.start();
    add_learners(world, 60, 0);
    world.analyzer->stop();
    world.ingest.join();
  }
  std::uint32_t room = 0;  // events until the queue is full
  for (const bool discover : {false, true}) {
    sim::MemoryLog::Disk copy = disk;
    World world(discover ? disk : copy);
    Analyzer::Config config;
    config.limits.queue_bytes_max = 1 << 20;
    ASSERT_TRUE(world.open(config));
    for (int i = 0; discover && i < 2; ++i) {
      ASSERT_TRUE(world.analyzer->discover(options(), world.serial, true));
      world.clock.advance(std::chrono::hours(2));
    }
    std::uint32_t taken = 0;
    while (world.analyzer->submit(
        one(practice(fmt::format("e{:05}", taken), "ada", at("2024-02-28T10:00:00Z"))),
        [](const Result<Receipt>&) {})) {
      ++taken;
    }
    if (!discover) room = taken;
    EXPECT_EQ(taken, room);
    world.start();
    world.analyzer->stop();
    world.ingest.join();
    EXPECT_EQ(world.analyzer->runs()->size(), discover ? 2u : 0u);
    EXPECT_EQ(world.practised("ada"), room);
  }
  World world(disk);
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.analyzer->runs()->size(), 2u);
  EXPECT_EQ(world.practised("ada"), room);
}

// Goal: labels that a longer run left do not stay behind a shorter one's, also where the longer one
// was not stored yet when the shorter one was made; the store opens again.
// Method: most learners fall asleep between two runs, and the second is made as the first one is on
// its way into the log.
TEST(Runs, AShorterOneLeavesNothingOfALongerOne) {
  const std::string second_chunk = "discovery/previous/00000001";
  sim::MemoryLog::Disk disk;
  {
    World world(disk);
    ASSERT_TRUE(world.open());
    world.start();
    events::Parsed parsed;
    constexpr int kLearners = 66'000, kAwake = 600;
    for (int l = 0; l < kLearners; ++l) {
      for (int e = 0; e < 5; ++e) {
        const auto ago = std::chrono::hours(24 * (l < kAwake ? e : 7 * 25));
        parsed.batch.add(practice(fmt::format("{}-{}", l, e), fmt::format("l{}", l),
                                  at("2024-02-29T10:00:00Z") - ago,
                                  fmt::format("c{}", e % (l % 5 + 1))));
      }
    }
    ASSERT_TRUE(world.ingest_now(std::move(parsed)));
    world.analyzer->stop();
    world.ingest.join();
  }
  {
    World world(disk);
    ASSERT_TRUE(world.open());
    ASSERT_TRUE(world.analyzer->discover(options(), world.serial, true));
    bool on_its_way = false;
    world.log.before_append([&](std::span<const log::Record>) {
      if (std::exchange(on_its_way, true)) return;
      world.clock.advance(std::chrono::hours(24 * 21));
      ASSERT_TRUE(world.analyzer->discover(options(), world.serial, true));
      EXPECT_FALSE(disk.notes.contains(second_chunk)) << "the first is not stored yet";
    });
    world.start();
    world.analyzer->stop();
    world.ingest.join();
    ASSERT_TRUE(on_its_way);
    ASSERT_EQ(world.analyzer->runs()->size(), 2u);
    EXPECT_GT(world.analyzer->runs()->front().learners, 60'000u);
    EXPECT_LT(world.analyzer->runs()->back().learners, 1'000u);
  }
  EXPECT_FALSE(disk.notes.contains(second_chunk));
  World world(disk);
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.analyzer->runs()->size(), 2u);
}

// Goal: a run whose predecessor's labels can't be read is not stored, and the events that are
// stored beside it are; the next run, which can be, holds it.
TEST(Runs, OneThatCannotBeStoredTakesNoEventsWithIt) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  ASSERT_TRUE(world.open());
  world.start();
  add_learners(world, 60, 0);
  world.log.unreadable(true);
  ASSERT_TRUE(world.analyzer->discover(options(), world.serial, true));
  add_learners(world, 60, 60);
  EXPECT_FALSE(world.log.get(kRunsKey).value());
  EXPECT_TRUE(world.analyzer->runs()->empty());
  EXPECT_GT(world.practised("l119"), 0u);
  world.log.unreadable(false);
  ASSERT_TRUE(world.analyzer->discover(options(), world.serial, true));
  world.analyzer->stop();
  world.ingest.join();
  EXPECT_EQ(world.analyzer->runs()->size(), 2u);
}

}  // namespace
}  // namespace covey::analyzer

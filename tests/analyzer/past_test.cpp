#include "analyzer/past.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <span>

#include "base/random.h"
#include "world.h"

namespace covey::analyzer {
namespace {

const Time kNow = at("2024-03-01T12:00:00Z");

/// A clock whose every look costs a millisecond.
class Slow final : public Clock {
 public:
  std::chrono::nanoseconds now() const override { return std::chrono::milliseconds(++looks_); }
  Time wall() const override { return kNow; }

 private:
  mutable std::int64_t looks_ = 0;
};

/// A log of `records` batches, in which learner l0 has one event each and l1, l10, l100 others.
void fill(World& world, int records) {
  world.start();
  for (int r = 0; r < records; ++r) {
    events::Parsed parsed;
    for (const char* learner : {"l0", "l1", "l10", "l100"}) {
      const std::string id = fmt::format("{}-{}", learner, r);
      // Every seventh comes a month late.
      const Time time = kNow - std::chrono::hours(r % 7 == 0 ? 720 + r : records - r);
      parsed.batch.add(practice(id, learner, time, fmt::format("c{}", r % 11)));
    }
    ASSERT_TRUE(world.ingest_now(std::move(parsed)));
  }
}

// Goal: every event of the learner, of nobody whose name merely begins alike, newest first; more
// records than one window of reading.
TEST(Past, FindsEveryEventOnce) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  ASSERT_TRUE(world.open());
  constexpr int kRecords = 600;
  fill(world, kRecords);
  for (const std::string learner : {"l0", "l1", "l10"}) {
    SCOPED_TRACE(learner);
    const auto past = read_past(world.log, learner, kNow, {}, world.clock);
    ASSERT_TRUE(past) << past.error().message;
    EXPECT_TRUE(past->scan.complete());
    EXPECT_EQ(past->scan.records, static_cast<std::uint64_t>(kRecords));
    ASSERT_EQ(past->newest.size(), static_cast<std::size_t>(kRecords));
    EXPECT_TRUE(std::ranges::is_sorted(past->newest, std::greater()));
    std::set<std::string> ids;
    std::vector<events::Attribute> attributes;
    for (std::size_t i = 0; i < past->newest.size(); ++i) {
      const events::Event event = past->events.event(past->row[i], attributes);
      EXPECT_EQ(event.learner, learner);
      EXPECT_EQ(event.time.time_since_epoch().count(), past->newest[i].time_us);
      ids.insert(std::string(event.id));
    }
    EXPECT_EQ(ids.size(), static_cast<std::size_t>(kRecords));
  }
  const auto nobody = read_past(world.log, "l", kNow, {}, world.clock);
  ASSERT_TRUE(nobody);
  EXPECT_TRUE(nobody->newest.empty());
  const auto before = read_past(world.log, "l0", kNow - std::chrono::hours(700), {}, world.clock);
  ASSERT_TRUE(before);
  EXPECT_EQ(before->newest.size(), 86u) << "the late ones alone";
}

// Goal: what is left out at a limit is the oldest, and it is said.
TEST(Past, LimitsKeepTheNewest) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  ASSERT_TRUE(world.open());
  fill(world, 600);

  const auto few = read_past(world.log, "l0", kNow, {.events_max = 10}, world.clock);
  ASSERT_TRUE(few);
  EXPECT_EQ(few->scan.scanned, 600u);
  EXPECT_FALSE(few->scan.complete());
  ASSERT_EQ(few->newest.size(), 10u);
  const auto all = read_past(world.log, "l0", kNow, {}, world.clock);
  ASSERT_TRUE(all);
  EXPECT_TRUE(std::ranges::equal(few->newest, std::span(all->newest).first(10)));

  const auto small = read_past(world.log, "l0", kNow, {.bytes_max = 4'000}, world.clock);
  ASSERT_TRUE(small);
  EXPECT_FALSE(small->scan.complete());
  EXPECT_LT(small->newest.size(), 600u);
  EXPECT_GT(small->newest.size(), 1u);

  // 100 looks at the clock: the newest window was being read.
  const auto hasty =
      read_past(world.log, "l0", kNow, {.time_max = std::chrono::milliseconds(100)}, Slow());
  ASSERT_TRUE(hasty);
  EXPECT_FALSE(hasty->scan.complete());
  EXPECT_EQ(hasty->scan.records, 600u);
  EXPECT_EQ(hasty->scan.scanned, 100u);
  for (const EventPlace& place : hasty->newest) EXPECT_GE(place.position.sequence, 344u);
}

// Goal: damage in the log is never passed over.
TEST(Past, DamageIsAnError) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  ASSERT_TRUE(world.open());
  fill(world, 3);
  disk.records[1][20] ^= 1;
  const auto past = read_past(world.log, "l0", kNow, {}, world.clock);
  ASSERT_FALSE(past);
  EXPECT_EQ(past.error().code, Errc::kCorrupt);
  EXPECT_NE(past.error().message.find("record 1"), std::string::npos) << past.error().message;
}

// Goal: each week of the past is what an analyzer pinned there would have said of this learner.
// Method: random events, late ones among them; both engines, pinned at each of the instants.
TEST(Past, TraitsOverTimeAreThoseOfAPinnedAnalyzer) {
  sim::MemoryLog::Disk disk;
  {
    World world(disk);
    ASSERT_TRUE(world.open());
    world.start();
    Random random(3);
    for (int r = 0; r < 40; ++r) {
      events::Parsed parsed;
      for (int e = 0; e < 10; ++e) {
        const Time time = kNow - std::chrono::minutes(random.below(100'000));
        const std::string id = fmt::format("{}-{}", r, e);
        events::Event event =
            practice(id, e % 2 == 0 ? "ada" : "bob", time, e % 3 == 0 ? "often" : "seldom");
        if (e % 5 == 4) {
          event.type = events::EventType::kFeedback;
          event.capability = event.domain = {};
          event.acted_on = e % 2 == 0;
        }
        parsed.batch.add(event);
      }
      ASSERT_TRUE(world.ingest_now(std::move(parsed)));
    }
    world.analyzer->stop();
    world.ingest.join();
  }
  World reader(disk);
  const auto past = read_past(reader.log, "ada", kNow, {}, reader.clock);
  ASSERT_TRUE(past);
  const auto weeks = facts_over_time(*past, "ada", kNow, 14);
  ASSERT_EQ(weeks.size(), 14u);
  EXPECT_EQ(weeks.back().as_of, kNow);
  EXPECT_FALSE(weeks.front().known) << "70 days ago nothing had happened";
  for (const PastFacts& week : weeks) {
    for (const char* engine : {"baseline", "fast"}) {
      SCOPED_TRACE(fmt::format("{} as of {}", engine, format_time(week.as_of)));
      World pinned(disk);
      Analyzer::Config config;
      config.engine = engine;
      config.as_of = week.as_of;
      ASSERT_TRUE(pinned.open(config));
      const auto answer = pinned.analyzer->find("ada");
      ASSERT_EQ(answer.has_value(), week.known);
      if (!week.known) continue;
      EXPECT_EQ(answer->facts.state, week.facts.state);
      EXPECT_EQ(answer->facts.practice_events, week.facts.practice_events);
      for (const auto field : learners::kTraitFields) {
        EXPECT_NEAR(answer->facts.traits.*field, week.facts.traits.*field, 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace covey::analyzer

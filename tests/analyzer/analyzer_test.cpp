#include "analyzer/analyzer.h"

#include <gtest/gtest.h>

#include "analyzer/quarantine.h"
#include "base/random.h"
#include "world.h"

namespace covey::analyzer {
namespace {

// Goal: an acknowledged event is visible at once, durable, and counted once however often sent.
TEST(Analyzer, AnswersWithWhatItAcknowledged) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  ASSERT_TRUE(world.open());
  world.start();
  const auto event = practice("e1", "ada", at("2024-02-28T10:00:00Z"));
  const auto first = world.ingest_now(one(event));
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->accepted, 1u);
  EXPECT_EQ(world.practised("ada"), 1u);
  EXPECT_EQ(disk.records.size(), 1u);
  const auto second = world.ingest_now(one(event));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->accepted, 0u);
  EXPECT_EQ(second->duplicates, 1u);
  EXPECT_EQ(world.practised("ada"), 1u);
  EXPECT_EQ(disk.records.size(), 1u);
  EXPECT_FALSE(world.analyzer->find("nobody"));
}

// Goal: further events of a row share its fate, and what the importer adds beside rows is not
// counted as a row.
TEST(Analyzer, CountsRowsNotEvents) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  ASSERT_TRUE(world.open());
  world.start();
  const auto parsed = [] {
    events::Parsed out;
    auto row = practice("f:1", "ada", at("2024-02-28T10:00:00Z"));
    out.batch.add(row);
    row.type = events::EventType::kFeedback;
    row.acted_on = true;
    row.part = events::RowPart::kContinuation;
    out.batch.add(row);
    auto beside = practice("side:9", "bob", at("2024-02-28T10:00:00Z"));
    beside.part = events::RowPart::kBeside;
    out.batch.add(beside);
    return out;
  };
  const auto first = world.ingest_now(parsed());
  ASSERT_TRUE(first);
  EXPECT_EQ(first->accepted, 1u);
  EXPECT_EQ(world.analyzer->find("ada")->facts.feedback_received, 1u);
  EXPECT_EQ(world.practised("bob"), 1u);
  const auto again = world.ingest_now(parsed());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->accepted, 0u);
  EXPECT_EQ(again->duplicates, 1u);
  EXPECT_EQ(world.analyzer->find("ada")->facts.feedback_received, 1u);
  EXPECT_EQ(world.practised("bob"), 1u);
}

// Goal: an event up to five minutes ahead of the clock is stored now and counts when its time has
// come, also across a restart.
TEST(Analyzer, EventsAheadOfTheClockCountWhenTheirTimeComes) {
  sim::MemoryLog::Disk disk;
  for (const bool with_snapshot : {false, true}) {
    SCOPED_TRACE(with_snapshot);
    disk = {};
    {
      World world(disk);
      ASSERT_TRUE(world.open());
      world.start();
      ASSERT_TRUE(world.ingest_now(one(practice("a", "ada", at("2024-03-01T11:00:00Z")))));
      ASSERT_TRUE(world.ingest_now(one(practice("b", "ada", at("2024-03-01T12:03:00Z")))));
      EXPECT_EQ(world.practised("ada"), 1u);
      world.analyzer->stop();
      world.ingest.join();
      if (with_snapshot) {
        ASSERT_TRUE(world.analyzer->snapshot());
      }
    }
    World world(disk);
    ASSERT_TRUE(world.open());
    EXPECT_EQ(world.practised("ada"), 1u);
    world.clock.advance(std::chrono::minutes(4));
    world.start();
    ASSERT_TRUE(world.ingest_now(one(practice("c", "bob", at("2024-03-01T12:00:00Z")))));
    world.analyzer->stop();
    world.ingest.join();
    EXPECT_EQ(world.practised("ada"), 2u);
  }
}

// Goal: as of a past T, answers are those of that time, though the log goes on.
TEST(Analyzer, APinnedTimeSeesNothingLater) {
  sim::MemoryLog::Disk disk;
  {
    World world(disk);
    ASSERT_TRUE(world.open());
    world.start();
    for (int day = 1; day <= 9; ++day) {
      const std::string id = fmt::format("e{}", day);
      ASSERT_TRUE(world.ingest_now(
          one(practice(id, "ada", at(fmt::format("2024-02-0{}T10:00:00Z", day))))));
    }
    world.analyzer->stop();
    world.ingest.join();
    ASSERT_TRUE(world.analyzer->snapshot());
  }
  for (int day = 1; day <= 9; ++day) {
    World world(disk);
    Analyzer::Config config;
    config.as_of = at(fmt::format("2024-02-0{}T10:00:00Z", day));
    ASSERT_TRUE(world.open(config));
    EXPECT_EQ(world.practised("ada"), static_cast<std::uint32_t>(day));
    EXPECT_EQ(world.analyzer->as_of(), *config.as_of);
  }
}

// Goal: the lag is the age of the oldest batch that waits for its acknowledgement, so that a disk
// that hangs shows while it hangs.
TEST(Analyzer, TheLagGrowsWhileNothingIsAcknowledged) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.analyzer->ingest_lag().count(), 0);
  std::chrono::nanoseconds while_storing{};
  const auto submit = [&](const char* id, std::function<void(Result<Receipt>)> done) {
    ASSERT_TRUE(world.analyzer->submit(one(practice(id, "ada", at("2024-02-28T10:00:00Z"))), done));
  };
  submit("a", [&](const Result<Receipt>&) {
    // On the ingest thread, where b of the same group still waits for its answer.
    world.clock.advance(std::chrono::seconds(60));
    while_storing = world.analyzer->ingest_lag();
  });
  world.clock.advance(std::chrono::seconds(2));
  submit("b", [](const Result<Receipt>&) {});
  world.clock.advance(std::chrono::seconds(5));
  EXPECT_EQ(world.analyzer->ingest_lag(), std::chrono::seconds(7)) << "nothing is stored yet";
  world.start();
  world.analyzer->stop();
  world.ingest.join();
  EXPECT_EQ(while_storing, std::chrono::seconds(67));
  EXPECT_EQ(world.analyzer->ingest_lag().count(), 0);
}

// Goal: above the ceiling of memory nothing is taken, and all is again once memory comes free,
// though nobody could send anything that would have it looked at.
TEST(Analyzer, RefusesWhileMemoryIsAtItsCeiling) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  Analyzer::Config config;
  config.limits.memory_bytes_max = 64 << 20;
  ASSERT_TRUE(world.open(config));
  world.start();
  const auto ingest = [&](int number) {
    return world.ingest_now(
        one(practice(std::to_string(number), "ada", at("2024-02-28T10:00:00Z"))));
  };
  ASSERT_TRUE(ingest(0));
  world.log.memory = config.limits.memory_bytes_max;
  Result<Receipt> refused = ingest(1);  // it is looked at behind each
  for (int tries = 0; refused && tries < 1'000; ++tries) refused = ingest(2 + tries);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kFull);
  EXPECT_NE(refused.error().message.find("64 MiB"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(world.analyzer->place(1));
  EXPECT_TRUE(world.analyzer->find("ada"));
  world.log.memory = 0;
  for (int tries = 0; !refused && tries < 1'000; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    refused = ingest(10'000);
  }
  EXPECT_TRUE(refused);
}

// Goal: rows that are still to be parsed are in the queue, as old as they are, until they come or
// are given up.
TEST(Analyzer, KeepsAPlaceForWhatIsStillToBeParsed) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  Analyzer::Config config;
  config.limits.queue_bytes_max = 1 << 20;
  ASSERT_TRUE(world.open(config));
  const auto queued = [&] { return world.analyzer->counters().queued_bytes.load(); };
  {
    const auto large = world.analyzer->place(2 << 20);
    ASSERT_TRUE(large) << "more than the queue holds may enter an empty one";
    EXPECT_FALSE(world.analyzer->place(1));
  }
  EXPECT_EQ(queued(), 0u);
  auto first = world.analyzer->place(600'000);
  ASSERT_TRUE(first);
  EXPECT_FALSE(world.analyzer->place(600'000));
  EXPECT_EQ(queued(), 600'000u) << "what was refused counts for nobody";
  world.clock.advance(std::chrono::seconds(7));
  auto second = world.analyzer->place(400'000);
  ASSERT_TRUE(second);
  EXPECT_EQ(world.analyzer->ingest_lag(), std::chrono::seconds(7));
  int answered = 0;
  ASSERT_TRUE(world.analyzer->submit(*std::move(first),
                                     one(practice("1", "ada", at("2024-02-28T10:00:00Z"))),
                                     [&](const Result<Receipt>& r) { answered += r ? 1 : 0; }));
  EXPECT_LT(queued(), 600'000u) << "parsed, it takes what it takes";
  EXPECT_EQ(world.analyzer->ingest_lag(), std::chrono::seconds(7)) << "and waits no less for it";
  second = world.analyzer->place(1);
  ASSERT_TRUE(second);
  world.analyzer->stop();
  EXPECT_TRUE(world.analyzer->run_ingest());
  EXPECT_EQ(answered, 1);
  EXPECT_EQ(queued(), 1u);
}

// Goal: the queue is bounded, and what was refused was not taken.
TEST(Analyzer, RefusesWhenTheQueueIsFull) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  Analyzer::Config config;
  config.limits.queue_bytes_max = 1 << 20;
  ASSERT_TRUE(world.open(config));
  int taken = 0, refused = 0, answered = 0;
  for (int i = 0; i < 400; ++i) {
    events::Parsed parsed;
    for (int e = 0; e < 100; ++e) {
      parsed.batch.add(practice(fmt::format("{}-{}", i, e), "ada", at("2024-02-28T10:00:00Z")));
    }
    const auto result =
        world.analyzer->submit(std::move(parsed), [&](Result<Receipt>) { ++answered; });
    if (result) {
      ++taken;
    } else {
      EXPECT_EQ(result.error().code, Errc::kRetryLater);
      ++refused;
    }
  }
  EXPECT_GT(taken, 0);
  EXPECT_GT(refused, 0);
  EXPECT_LE(world.analyzer->counters().queued_bytes.load(), config.limits.queue_bytes_max);
  world.analyzer->stop();
  EXPECT_TRUE(world.analyzer->run_ingest());
  EXPECT_EQ(answered, taken);
  EXPECT_EQ(world.practised("ada"), static_cast<std::uint32_t>(taken) * 100);
  EXPECT_EQ(world.analyzer->counters().queued_bytes.load(), 0u);
}

// Goal: all that waits is stored with one fsync.
TEST(Analyzer, OneFsyncForAllThatWaits) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  ASSERT_TRUE(world.open());
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(world.analyzer->submit(
        one(practice(fmt::format("e{}", i), "ada", at("2024-02-28T10:00:00Z"))), {}));
  }
  world.analyzer->stop();
  EXPECT_TRUE(world.analyzer->run_ingest());
  EXPECT_EQ(disk.fsyncs, 1u);
  EXPECT_EQ(world.practised("ada"), 50u);
}

TEST(Analyzer, RejectedRowsAreKeptWithTheBatch) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  Analyzer::Config config;
  config.limits.quarantine_max = 3;
  ASSERT_TRUE(world.open(config));
  world.start();
  const auto bad = [](std::uint64_t line) {
    events::Parsed parsed =
        one(practice(fmt::format("f:{}", line + 100), "ada", at("2024-02-28T10:00:00Z")));
    parsed.rejected.push_back({"f", line, "no good", "row", "ndjson", ""});
    return parsed;
  };
  for (std::uint64_t line = 1; line <= 3; ++line) {
    const auto receipt = world.ingest_now(bad(line));
    ASSERT_TRUE(receipt);
    EXPECT_EQ(receipt->rejected, 1u);
  }
  std::vector<std::uint64_t> lines;
  ASSERT_TRUE(scan_quarantine(world.log, [&](std::string_view, const Quarantined& entry) {
    lines.push_back(entry.rejection.line);
    EXPECT_EQ(entry.rejection.reason, "no good");
    return true;
  }));
  EXPECT_EQ(lines, (std::vector<std::uint64_t>{1, 2, 3}));
  // Full: nothing of the next submission is taken, so nothing is lost silently.
  const auto refused = world.ingest_now(bad(4));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kFull);
  EXPECT_EQ(world.practised("ada"), 3u);
  // Replaying one makes room.
  events::Parsed mended = one(practice("f:1", "ada", at("2024-02-28T10:00:00Z")));
  std::optional<bool> done;
  std::mutex mutex;
  std::condition_variable wake;
  ASSERT_TRUE(world.analyzer->submit(std::move(mended),
                                     [&](Result<Receipt> receipt) {
                                       const std::lock_guard lock(mutex);
                                       done = receipt.has_value();
                                       wake.notify_one();
                                     },
                                     {quarantine_key({"f", 1, "", "", "", ""})}));
  std::unique_lock lock(mutex);
  wake.wait(lock, [&] { return done.has_value(); });
  EXPECT_TRUE(*done);
  lock.unlock();
  EXPECT_TRUE(world.ingest_now(bad(4)));
}

TEST(Analyzer, UnknownEngineIsRefused) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  Analyzer::Config config;
  config.engine = "turbo";
  const auto opened = world.open(config);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kRejected);
}

// Goal: a damaged record is named, never skipped; a damaged snapshot costs time, not data.
TEST(Analyzer, DamageIsSeen) {
  sim::MemoryLog::Disk disk;
  {
    World world(disk);
    ASSERT_TRUE(world.open());
    world.start();
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(world.ingest_now(
          one(practice(fmt::format("e{}", i), "ada", at("2024-02-28T10:00:00Z")))));
    }
    world.analyzer->stop();
    world.ingest.join();
    ASSERT_TRUE(world.analyzer->snapshot());
  }
  Random random(11);
  for (int trial = 0; trial < 200; ++trial) {
    sim::MemoryLog::Disk damaged = disk;
    auto& chunk = damaged.snapshot[random.below(damaged.snapshot.size())];
    if (chunk.empty()) continue;
    if (trial % 3 == 0) {
      chunk.resize(random.below(chunk.size()));
    } else if (trial % 3 == 1) {
      damaged.snapshot.pop_back();
    } else {
      chunk.clear();
    }
    World world(damaged);
    const auto opened = world.open();
    ASSERT_TRUE(opened) << opened.error().message;
    ASSERT_EQ(world.practised("ada"), 20u);
  }
  disk.snapshot_cursor.reset();
  disk.records[7][40] = static_cast<char>(disk.records[7][40] ^ 1);
  World world(disk);
  const auto opened = world.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kCorrupt);
  EXPECT_NE(opened.error().message.find("record 7"), std::string::npos) << opened.error().message;
}

// Goal: a look-up beside ingest and discovery always sees a whole learner. Run under TSan too.
TEST(Analyzer, LookUpsBesideIngestAndDiscovery) {
  sim::MemoryLog::Disk disk;
  World world(disk);
  ASSERT_TRUE(world.open());
  world.start();
  std::atomic<bool> over{false};
  std::jthread reader([&] {
    std::uint32_t before = 0;
    while (!over) {
      const auto answer = world.analyzer->find("l7");
      if (!answer) continue;
      EXPECT_GE(answer->facts.practice_events, before);
      before = answer->facts.practice_events;
      for (const auto field : learners::kTraitFields) {
        EXPECT_GE(answer->facts.traits.*field, 0);
        EXPECT_LE(answer->facts.traits.*field, 1);
      }
    }
  });
  std::jthread discoverer([&] {
    Serial serial;
    cohorts::Options options;
    options.restarts = 3;
    options.bootstraps = 2;
    while (!over) {
      const auto run = world.analyzer->discover(options, serial, true);
      EXPECT_TRUE(run) << run.error().message;
    }
  });
  Random random(5);
  for (int i = 0; i < 60; ++i) {
    events::Parsed parsed;
    for (int e = 0; e < 50; ++e) {
      const auto learner = fmt::format("l{}", random.below(60));
      parsed.batch.add(practice(fmt::format("{}-{}", i, e), learner,
                                at("2024-02-28T10:00:00Z") - std::chrono::hours(random.below(900)),
                                fmt::format("c{}", random.below(30))));
    }
    ASSERT_TRUE(world.ingest_now(std::move(parsed)));
  }
  over = true;
}

}  // namespace
}  // namespace covey::analyzer

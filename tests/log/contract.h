#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "log/support.h"

namespace covey::log {

/// What every implementation of Log promises. `Factory` stands for one store: default
/// constructible; `open()` and `open_read_only()` answer Result<std::unique_ptr<Log>> and may be
/// called again once the log before is destroyed.
template <typename Factory>
class LogContract : public testing::Test {
 protected:
  void SetUp() override { reopen(); }
  void reopen() {
    log_.reset();
    auto opened = factory_.open();
    ASSERT_TRUE(ok(opened));
    log_ = std::move(*opened);
  }
  Log& log() { return *log_; }

  Result<void> snapshot(const std::vector<std::string>& chunks, const Cursor& cursor) {
    auto writer = COVEY_TRY(log_->begin_snapshot());
    for (const std::string& chunk : chunks) COVEY_TRY_VOID(writer->write(chunk));
    return writer->commit(cursor);
  }
  Result<std::vector<std::string>> snapshot_chunks() {
    const auto snapshot = COVEY_TRY(log_->open_snapshot());
    std::vector<std::string> chunks;
    while (auto chunk = COVEY_TRY(snapshot.next())) chunks.push_back(std::move(*chunk));
    return chunks;
  }

  Factory factory_;
  std::unique_ptr<Log> log_;
};

TYPED_TEST_SUITE_P(LogContract);

// Goal: an empty store answers every question, and says so rather than failing.
TYPED_TEST_P(LogContract, AnEmptyLogIsEmpty) {
  Log& log = this->log();
  EXPECT_EQ(*stored(log), std::vector<std::uint64_t>());
  EXPECT_EQ(*log.read({}, [](auto, auto) -> Result<void> { return {}; }), log.end());
  EXPECT_FALSE(log.get("k")->has_value());
  EXPECT_TRUE(fails(log.open_snapshot(), Errc::kNotFound));
  EXPECT_EQ(log.sizes().records, 0u);
  EXPECT_GE(log.partitions(), 1u);
  EXPECT_TRUE(ok(log.append({})));
}

// Goal: records come back whole, in the order acknowledged, now and after a restart.
TYPED_TEST_P(LogContract, RecordsComeBackInOrder) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t g = 0; g < 20; ++g) {
    std::vector<Batch> group;
    for (std::uint64_t r = 0; r <= g % 4; ++r) {
      group.emplace_back(std::vector<std::uint64_t>{g * 10 + r}, g * 1000);
      all.push_back(g * 10 + r);
    }
    const auto appended = append(this->log(), group);
    ASSERT_TRUE(ok(appended));
    for (std::size_t r = 1; r < appended->size(); ++r) {
      EXPECT_LT(*(*appended)[r - 1].position, *(*appended)[r].position);
    }
  }
  EXPECT_EQ(*stored(this->log()), all);
  const Cursor end = this->log().end();
  this->reopen();
  EXPECT_EQ(*stored(this->log()), all);
  EXPECT_EQ(this->log().end(), end);
  EXPECT_EQ(this->log().sizes().records, all.size());
}

// Goal: a reader starts where its cursor stands, sees what was durable when it began, and stops at
// its own error.
TYPED_TEST_P(LogContract, ReadingFromACursor) {
  Log& log = this->log();
  ASSERT_TRUE(ok(append_one(log, {1})));
  const Cursor middle = log.end();
  ASSERT_TRUE(ok(append_one(log, {2})));
  ASSERT_TRUE(ok(append_one(log, {3})));
  EXPECT_EQ(*stored(log, middle), (std::vector<std::uint64_t>{2, 3}));
  EXPECT_TRUE(stored(log, log.end())->empty());

  const Cursor before = log.end();
  std::size_t seen = 0;
  const auto end = log.read({}, [&](Position, std::string_view) -> Result<void> {
    ++seen;
    return append_one(log, {100 + seen}) ? Result<void>() : fail(Errc::kFailed, "no append");
  });
  ASSERT_TRUE(ok(end));
  EXPECT_EQ(seen, 3u);
  EXPECT_EQ(*end, before);

  seen = 0;
  EXPECT_TRUE(fails(log.read({},
                             [&](auto, auto) -> Result<void> {
                               return ++seen == 2 ? Result<void>(fail(Errc::kNotFound, "enough"))
                                                  : Result<void>();
                             }),
                    Errc::kNotFound, "enough"));
  EXPECT_EQ(seen, 2u);

  Cursor beyond = log.end();
  beyond.next[0] += 1;
  EXPECT_TRUE(
      fails(log.read(beyond, [](auto, auto) -> Result<void> { return {}; }), Errc::kRejected));
}

// Goal: every way for an id to come twice is noticed, and only those.
TYPED_TEST_P(LogContract, DuplicatesAreDroppedWhereverTheyAppear) {
  using Numbers = std::vector<std::uint64_t>;
  struct Case {
    const char* name;
    std::vector<Numbers> before;  // one group each
    std::vector<Numbers> group;
    std::vector<std::uint64_t> duplicates;
    std::vector<bool> stored;
    Numbers kept;  // by the group
  };
  const Case cases[] = {
      {"all new", {{1, 2}}, {{3, 4}, {5}}, {0, 0}, {true, true}, {3, 4, 5}},
      {"within a record", {}, {{1, 2, 1, 1}}, {2}, {true}, {1, 2}},
      {"within a group", {}, {{1, 2}, {2, 3}}, {0, 1}, {true, true}, {1, 2, 3}},
      {"of an earlier group", {{1, 2}, {3}}, {{4, 3, 1}}, {2}, {true}, {4}},
      {"a whole record", {{1, 2}}, {{2, 1}, {3}}, {2, 0}, {false, true}, {3}},
      {"a whole record in the group", {}, {{7}, {7}, {8}}, {0, 1, 0}, {true, false, true}, {7, 8}},
      {"no ids at all", {{1}}, {{}}, {0}, {false}, {}},
  };
  std::uint64_t shift = 0;
  for (const bool reopened : {false, true}) {
    for (const Case& c : cases) {
      SCOPED_TRACE(testing::Message() << c.name << (reopened ? ", reopened" : ""));
      shift += 1000;
      const auto shifted = [&](Numbers numbers) {
        for (auto& n : numbers) n += shift;
        return numbers;
      };
      for (const Numbers& numbers : c.before) {
        ASSERT_TRUE(ok(append_one(this->log(), shifted(numbers))));
      }
      if (reopened) this->reopen();
      const Cursor from = this->log().end();
      std::vector<Batch> group;
      for (const Numbers& numbers : c.group) group.emplace_back(shifted(numbers));
      const auto appended = append(this->log(), group);
      ASSERT_TRUE(ok(appended));
      for (std::size_t i = 0; i < c.group.size(); ++i) {
        EXPECT_EQ((*appended)[i].duplicates, c.duplicates[i]) << "record " << i;
        EXPECT_EQ((*appended)[i].position.has_value(), c.stored[i]) << "record " << i;
      }
      EXPECT_EQ(*stored(this->log(), from), shifted(c.kept));
    }
  }
}

// Goal: only what was stored is remembered: a record that encodes to nothing leaves no trace.
TYPED_TEST_P(LogContract, WhatIsNotStoredIsNotRemembered) {
  Log& log = this->log();
  const auto ids = ids_of({1, 2});
  std::vector<Record> group(2);
  group[0].ids = ids;
  group[0].encode = [](auto) { return std::string(); };
  std::vector<std::uint8_t> seen;
  group[1].ids = ids;
  group[1].encode = [&](std::span<const std::uint8_t> duplicate) {
    seen.assign(duplicate.begin(), duplicate.end());
    return std::string();
  };
  const auto appended = log.append(group);
  ASSERT_TRUE(ok(appended));
  EXPECT_FALSE((*appended)[0].position);
  EXPECT_EQ(seen, (std::vector<std::uint8_t>{0, 0}));
  EXPECT_EQ(append_one(log, {1, 2})->duplicates, 0u);
}

// Goal: a group is all or nothing: one bad member and not a trace of the others stays.
TYPED_TEST_P(LogContract, ARefusedGroupLeavesNothing) {
  Log& log = this->log();
  ASSERT_TRUE(ok(append_one(log, {1})));
  const Cursor before = log.end();
  const Batch good({2, 3});
  const std::pair<const char*, std::function<void(Record&)>> faults[] = {
      {"a key too long", [](Record& r) { r.puts.emplace_back(std::string(70'000, 'k'), "v"); }},
      {"an empty key", [](Record& r) { r.erases.emplace_back(""); }},
      {"a value too long", [](Record& r) { r.puts.emplace_back("k", std::string(9 << 20, 'v')); }},
      {"a record too long",
       [](Record& r) { r.encode = [](auto) { return std::string(300 << 20, 'r'); }; }},
  };
  for (const auto& [name, spoil] : faults) {
    SCOPED_TRACE(name);
    std::vector<Record> group{good.record(), Record()};
    group[0].puts.emplace_back("note", "value");
    spoil(group[1]);
    EXPECT_TRUE(fails(log.append(group), Errc::kRejected));
    EXPECT_EQ(log.end(), before);
    EXPECT_FALSE(log.get("note")->has_value());
  }
  EXPECT_EQ(append_one(log, {2, 3})->duplicates, 0u);
  this->reopen();
  EXPECT_EQ(*stored(this->log()), (std::vector<std::uint64_t>{1, 2, 3}));
}

// Goal: for any history, the log agrees with a set: what is stored is exactly the first
// appearance of every id, in order, with restarts and snapshots in between.
TYPED_TEST_P(LogContract, AgreesWithASetForAnyHistory) {
  std::uint64_t base = 0;
  for (const std::uint64_t seed : seeds(6)) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    Random random(seed);
    base += 1'000'000;
    std::set<std::uint64_t> twin;
    std::vector<std::uint64_t> expected;
    const Cursor from = this->log().end();
    const std::uint64_t range = 200 + random.below(5000);
    for (int step = 0; step < 60; ++step) {
      if (random.chance(0.1)) this->reopen();
      if (random.chance(0.1)) {
        ASSERT_TRUE(ok(this->snapshot({"a", std::to_string(step)}, this->log().end())));
      }
      std::vector<Batch> group;
      std::vector<std::uint64_t> duplicates;
      for (std::uint64_t r = random.below(5) + 1; r > 0; --r) {
        std::vector<std::uint64_t> numbers;
        duplicates.push_back(0);
        for (std::uint64_t i = random.below(120); i > 0; --i) {
          const std::uint64_t n = base + random.below(range);
          numbers.push_back(n);
          if (twin.insert(n).second) {
            expected.push_back(n);
          } else {
            ++duplicates.back();
          }
        }
        group.emplace_back(std::move(numbers), random.below(300));
      }
      const auto appended = append(this->log(), group);
      ASSERT_TRUE(ok(appended));
      for (std::size_t i = 0; i < group.size(); ++i) {
        ASSERT_EQ((*appended)[i].duplicates, duplicates[i]);
      }
    }
    ASSERT_EQ(*stored(this->log(), from), expected);
  }
}

// Goal: notes change in the same step as records, survive, and are listed in byte order.
TYPED_TEST_P(LogContract, NotesArePutErasedAndScanned) {
  std::vector<Record> group(2);
  for (const char* key : {"q/b", "q/a", "q/c", "r/a", "q", "q/b/x"}) {
    group[0].puts.emplace_back(key, std::string("of ") + key);
  }
  group[1].erases.emplace_back("q/c");
  group[1].puts.emplace_back("q/a", "later");
  const auto appended = this->log().append(group);
  ASSERT_TRUE(ok(appended));
  EXPECT_FALSE((*appended)[0].position);
  this->reopen();
  Log& log = this->log();
  EXPECT_EQ(*log.get("q/a"), "later");
  EXPECT_FALSE(log.get("q/c")->has_value());
  const auto listed = [&](std::string_view prefix, std::string_view after, std::size_t most) {
    std::vector<std::string> keys;
    EXPECT_TRUE(ok(log.scan(prefix, after, [&](std::string_view key, std::string_view) {
      keys.emplace_back(key);
      return keys.size() < most;
    })));
    return keys;
  };
  using Keys = std::vector<std::string>;
  EXPECT_EQ(listed("q/", "", 9), (Keys{"q/a", "q/b", "q/b/x"}));
  EXPECT_EQ(listed("q/", "q/a", 9), (Keys{"q/b", "q/b/x"}));
  EXPECT_EQ(listed("q/", "q/aa", 1), (Keys{"q/b"}));
  EXPECT_EQ(listed("r/", "q/b", 9), (Keys{"r/a"}));
  EXPECT_EQ(listed("q/", "z", 9), Keys());
  EXPECT_EQ(listed("", "", 9).size(), 5u);
}

// Goal: an acknowledged group costs one fsync, however many records and notes it has.
TYPED_TEST_P(LogContract, AGroupIsOneFsync) {
  Log& log = this->log();
  ASSERT_TRUE(ok(append_one(log, {1})));
  const std::uint64_t before = log.sizes().fsyncs;
  for (std::uint64_t g = 0; g < 10; ++g) {
    std::vector<Batch> group;
    for (std::uint64_t r = 0; r < 8; ++r) group.emplace_back(std::vector{100 + g * 8 + r}, 5000);
    ASSERT_TRUE(ok(append(log, group)));
  }
  EXPECT_EQ(log.sizes().fsyncs - before, 10u);
}

// Goal: a snapshot takes the place of the one before it at commit and not earlier.
TYPED_TEST_P(LogContract, ASnapshotIsReplacedInOneStep) {
  ASSERT_TRUE(ok(append_one(this->log(), {1})));
  const Cursor first = this->log().end();
  ASSERT_TRUE(ok(this->snapshot({"one", "", std::string(4 << 20, 'z')}, first)));
  ASSERT_TRUE(ok(append_one(this->log(), {2})));
  {
    auto writer = this->log().begin_snapshot();
    ASSERT_TRUE(ok(writer));
    ASSERT_TRUE(ok((*writer)->write("half")));
    EXPECT_TRUE(fails(this->log().begin_snapshot(), Errc::kRetryLater));
    EXPECT_TRUE(fails((*writer)->write(std::string((4 << 20) + 1, 'z')), Errc::kRejected));
    Cursor beyond = this->log().end();
    beyond.next[0] += 1;
    EXPECT_TRUE(fails((*writer)->commit(beyond), Errc::kRejected));
  }
  for (const bool reopened : {false, true}) {
    if (reopened) this->reopen();
    const auto current = this->log().open_snapshot();
    ASSERT_TRUE(ok(current));
    EXPECT_EQ(current->cursor, first);
    EXPECT_EQ(current->bytes, 3u + (4 << 20));
    const auto chunks = this->snapshot_chunks();
    ASSERT_TRUE(ok(chunks));
    ASSERT_EQ(chunks->size(), 3u);
    EXPECT_EQ((*chunks)[0], "one");
    EXPECT_EQ((*chunks)[1], "");
  }
  {
    // A reader that has begun keeps what it began with.
    const auto reading = this->log().open_snapshot();
    ASSERT_TRUE(ok(reading));
    EXPECT_EQ(**reading->next(), "one");
    ASSERT_TRUE(ok(this->snapshot({"two"}, this->log().end())));
    EXPECT_EQ(**reading->next(), "");
    EXPECT_EQ((*reading->next())->size(), std::size_t{4} << 20);
    EXPECT_FALSE(reading->next()->has_value());
  }

  EXPECT_EQ(*this->snapshot_chunks(), std::vector<std::string>{"two"});
  ASSERT_TRUE(ok(this->snapshot({}, this->log().end())));
  this->reopen();
  EXPECT_TRUE(this->snapshot_chunks()->empty());
}

// Goal: a second process may look while the first one writes, and may not write.
TYPED_TEST_P(LogContract, AReadOnlyLogSeesWhatWasDurableAndRefusesToWrite) {
  ASSERT_TRUE(ok(append_one(this->log(), {1, 2}, 100'000)));
  const auto looked = this->factory_.open_read_only();
  ASSERT_TRUE(ok(looked));
  ASSERT_TRUE(ok(append_one(this->log(), {3})));
  EXPECT_EQ(*stored(**looked), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_TRUE(fails(append_one(**looked, {4}), Errc::kFailed));
  EXPECT_TRUE(fails((*looked)->begin_snapshot(), Errc::kFailed));
  EXPECT_EQ(*stored(this->log()), (std::vector<std::uint64_t>{1, 2, 3}));
}

// Goal: readers, scans, snapshots and sizes run beside the appending thread and never see half a
// group. Each group is two records with a note; run under TSan for the rest.
TYPED_TEST_P(LogContract, ReadersRunBesideTheWriter) {
  Log& log = this->log();
  std::atomic<bool> done{false};
  std::atomic<int> faults{0};
  std::vector<std::jthread> others;
  others.emplace_back([&] {
    while (!done) {
      const auto all = stored(log);
      if (!all || !std::ranges::is_sorted(*all) || all->size() % 2 != 0) ++faults;
    }
  });
  others.emplace_back([&] {
    while (!done) {
      std::size_t notes = 0;
      const auto at_least = log.end();
      const auto scanned = log.scan("n/", "", [&](auto, auto) { return ++notes > 0; });
      if (!scanned || 2 * notes < at_least.next[0]) ++faults;
      if (log.sizes().memory_bytes == 0) ++faults;
    }
  });
  others.emplace_back([&] {
    for (int round = 0; !done; ++round) {
      const std::vector<std::string> chunks(3, std::to_string(round) + std::string(200'000, 's'));
      if (!this->snapshot(chunks, log.end())) ++faults;
      const auto back = this->snapshot_chunks();
      if (!back || *back != chunks) ++faults;
    }
  });
  for (std::uint64_t g = 0; g < 150; ++g) {
    std::vector<Batch> group;
    group.emplace_back(std::vector{2 * g}, 3000);
    group.emplace_back(std::vector{2 * g + 1}, 3000);
    std::vector<Record> records{group[0].record(), group[1].record()};
    records[1].puts.emplace_back("n/" + std::to_string(g), "note");
    ASSERT_TRUE(ok(log.append(records)));
  }
  done = true;
  others.clear();
  EXPECT_EQ(faults, 0);
  EXPECT_EQ(stored(log)->size(), 300u);
}

REGISTER_TYPED_TEST_SUITE_P(LogContract, AnEmptyLogIsEmpty, RecordsComeBackInOrder,
                            ReadingFromACursor, DuplicatesAreDroppedWhereverTheyAppear,
                            WhatIsNotStoredIsNotRemembered, ARefusedGroupLeavesNothing,
                            AgreesWithASetForAnyHistory, NotesArePutErasedAndScanned,
                            AGroupIsOneFsync, ASnapshotIsReplacedInOneStep,
                            AReadOnlyLogSeesWhatWasDurableAndRefusesToWrite,
                            ReadersRunBesideTheWriter);

}  // namespace covey::log

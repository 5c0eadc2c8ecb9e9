// Goal: the fast engine equals the plain one to 1e-6 on every input, in whatever order events
// arrive, at every T from the newest event on, and to the bit for every number of threads.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/random.h"
#include "learners/engine.h"
#include "sanitized.h"

namespace covey::learners {
namespace {

using events::Attribute;
using events::Batch;
using events::Event;
using events::EventType;

/// Threads for the test; app/ has the real one.
class Threads final : public Parallel {
 public:
  explicit Threads(unsigned width) : width_(width) {}
  unsigned width() const override { return width_; }
  void run(std::size_t count, const std::function<void(std::size_t)>& task) override {
    std::atomic<std::size_t> next{0};
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < width_; ++t) {
      threads.emplace_back([&] {
        for (std::size_t i = next++; i < count; i = next++) task(i);
      });
    }
  }

 private:
  unsigned width_;
};

/// A random history: skewed, late by years, bursts, ties, long gaps, many domains.
struct World {
  std::deque<std::string> strings;
  std::deque<std::vector<Attribute>> lists;
  std::vector<Event> events;
  Time newest{};

  explicit World(Random random) {
    const std::uint64_t learners = 1 + random.below(12);
    const std::uint64_t capabilities = 1 + random.below(random.chance(.2) ? 900 : 40);
    const std::uint64_t domains = 1 + random.below(random.chance(.2) ? 200 : 6);
    const std::uint64_t count = 1 + random.below(900);
    const Time start = parse_time("2021-01-01").value() - std::chrono::days(random.below(20'000));
    const std::uint64_t span_days = 1 + random.below(random.chance(.3) ? 6'000 : 300);
    for (std::uint64_t i = 0; i < count; ++i) {
      Event e;
      e.id = keep(fmt::format("e{}", i));
      const std::uint64_t who = random.below(1 + random.below(learners));
      e.learner = keep(who % 5 == 4 ? fmt::format("{}-{}", std::string(100, 'x'), who)
                                    : fmt::format("l{}", who));
      std::int64_t us = static_cast<std::int64_t>(random.below(span_days) * 86'400'000'000ULL);
      if (random.chance(.7)) us += static_cast<std::int64_t>(random.below(86'400'000'000ULL));
      if (random.chance(.2) && !events.empty()) {
        e.time = events[random.below(events.size())].time;  // a tie
      } else {
        e.time = start + std::chrono::microseconds(us);
      }
      newest = std::max(newest, e.time);
      const double what = random.uniform();
      if (what < .75) {
        e.type = EventType::kPractice;
        e.capability = keep(fmt::format("c{}", random.below(capabilities)));
        e.domain = keep(fmt::format("d{}", random.below(1 + random.below(domains))));
      } else if (what < .85) {
        e.type = EventType::kFeedback;
        e.acted_on = random.chance(.6);
      } else if (what < .92) {
        e.type = EventType::kProfile;
        auto& list = lists.emplace_back();
        for (std::uint64_t a = 0; a <= random.below(6); ++a) {
          list.emplace_back(keep(fmt::format("k{}", a * 3)),
                            keep(fmt::format("v{}", random.below(9))));
        }
        e.attributes = list;
      } else {
        e.type = random.chance(.5) ? EventType::kSession : EventType::kWithdraw;
      }
      events.push_back(e);
    }
  }

  std::string_view keep(std::string text) { return strings.emplace_back(std::move(text)); }

  /// The events in a random order, cut into random batches.
  std::vector<Batch> batches(Random random) const {
    std::vector<Event> order = events;
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    std::vector<Batch> out(1);
    for (const Event& e : order) {
      if (!out.back().empty() && random.chance(.01)) out.emplace_back();
      out.back().add(e);
    }
    return out;
  }
};

void apply(Engine& engine, const std::vector<Batch>& batches, Parallel& parallel) {
  std::vector<const Batch*> all;
  for (const Batch& b : batches) all.push_back(&b);
  engine.apply(all, parallel);
}

std::map<std::string, LearnerFacts> all_facts(const Engine& engine, Time as_of) {
  std::map<std::string, LearnerFacts> all;
  engine.visit(as_of, [&](const LearnerFacts& facts) { all[facts.learner] = facts; });
  return all;
}

void expect_agree(const std::map<std::string, LearnerFacts>& plain,
                  const std::map<std::string, LearnerFacts>& fast) {
  ASSERT_EQ(plain.size(), fast.size());
  for (const auto& [learner, a] : plain) {
    SCOPED_TRACE(learner);
    ASSERT_TRUE(fast.contains(learner));
    const LearnerFacts& b = fast.at(learner);
    ASSERT_EQ(a.state, b.state);
    for (std::size_t t = 0; t < kTraits; ++t) {
      ASSERT_NEAR(a.traits.*kTraitFields[t], b.traits.*kTraitFields[t], 1e-6) << kTraitNames[t];
      ASSERT_GE(b.traits.*kTraitFields[t], 0);
      ASSERT_LE(b.traits.*kTraitFields[t], 1);
    }
    ASSERT_NEAR(a.domain_entropy_bits, b.domain_entropy_bits, 1e-6);
    if (std::abs(a.domain_entropy_bits - kSpecialistEntropyBits) > 1e-6) {
      ASSERT_EQ(a.specialist, b.specialist) << a.domain_entropy_bits;
    }
    ASSERT_EQ(a.practice_events, b.practice_events);
    ASSERT_EQ(a.feedback_received, b.feedback_received);
    ASSERT_EQ(a.feedback_acted_on, b.feedback_acted_on);
    ASSERT_EQ(a.first_active_day, b.first_active_day);
    ASSERT_EQ(a.last_active_day, b.last_active_day);
    ASSERT_EQ(a.attributes, b.attributes);
  }
}

std::uint64_t first_seed() {
  const char* wanted = std::getenv("COVEY_SEED");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 1;
}
int seeds() {
  return std::getenv("COVEY_SEED") != nullptr ? 1 : 250;
}

TEST(EnginesAgree, OnShuffledLateAndTiedEventsAtEveryT) {
  for (int i = 0; i < seeds(); ++i) {
    const std::uint64_t seed = first_seed() + static_cast<std::uint64_t>(i);
    SCOPED_TRACE(::testing::Message() << "COVEY_SEED=" << seed);
    const Random random(seed);
    const World world(random.fork("world"));
    const auto plain = make_baseline(), fast = make_fast();
    Serial serial;
    apply(*plain, world.batches(random.fork("plain")), serial);
    apply(*fast, world.batches(random.fork("fast")), serial);
    for (const auto later : {std::chrono::hours(0), std::chrono::hours(30), std::chrono::hours(200),
                             std::chrono::hours(24 * 90), std::chrono::hours(24 * 181),
                             std::chrono::hours(24 * 4'000)}) {
      const Time as_of = world.newest + later;
      expect_agree(all_facts(*plain, as_of), all_facts(*fast, as_of));
      if (HasFatalFailure()) return;
      // The columns say the same as the facts.
      const TraitColumns columns = fast->traits(as_of, serial);
      for (std::size_t c = 0; c < columns.size(); ++c) {
        const auto facts = fast->find(fast->learner(columns.learner[c]), as_of);
        ASSERT_TRUE(facts);
        ASSERT_EQ(columns.clusterable[c] == 1, facts->state == LearnerState::kActive);
        for (std::size_t t = 0; t < kTraits; ++t) {
          ASSERT_EQ(columns.trait[t][c], static_cast<float>(facts->traits.*kTraitFields[t]));
        }
      }
    }
  }
}

// A week in which one learner takes up more capabilities than a small counter can hold, then late
// events that move most of them away: the way back must be exact too.
TEST(EnginesAgree, WhenWeeklyCountsOverflowAndComeBack) {
  const Time monday = parse_time("2024-03-04T08:00:00Z").value();
  for (const int many : {258, 400}) {  // one of them just beyond what eight bits count
    SCOPED_TRACE(many);
    const auto plain = make_baseline(), fast = make_fast();
    Serial serial;
    std::deque<std::string> strings;
    int id = 0;
    const auto use = [&](Batch& batch, int capability, Time time) {
      Event e;
      e.id = strings.emplace_back(fmt::format("e{}", id++));
      e.learner = "ada";
      e.time = time;
      e.type = EventType::kPractice;
      e.capability = strings.emplace_back(fmt::format("c{}", capability));
      e.domain = "d";
      batch.add(e);
    };
    std::vector<Batch> batches(2);
    for (int c = 0; c < many; ++c) use(batches[0], c, monday);
    for (int c = 0; c < many - 10; ++c) use(batches[1], c, monday - std::chrono::weeks(3));
    for (const Batch& batch : batches) {
      const Batch* one = &batch;
      plain->apply(std::span(&one, 1), serial);
      fast->apply(std::span(&one, 1), serial);
      const Time as_of = monday + std::chrono::weeks(2);
      expect_agree(all_facts(*plain, as_of), all_facts(*fast, as_of));
    }
  }
}

// Goal: the number of threads changes no bit, neither of traits nor of their order.
TEST(EnginesAgree, WithThemselvesForEveryNumberOfThreads) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    const Random random(seed);
    const World world(random.fork("world"));
    const auto batches = world.batches(random.fork("order"));
    const Time as_of = world.newest + std::chrono::hours(50);
    std::vector<TraitColumns> columns;
    for (const unsigned width : {1u, 2u, 5u}) {
      const auto engine = make_fast();
      Threads threads(width);
      apply(*engine, batches, threads);
      columns.push_back(engine->traits(as_of, threads));
    }
    for (std::size_t i = 1; i < columns.size(); ++i) {
      ASSERT_EQ(columns[0].learner, columns[i].learner);
      ASSERT_EQ(columns[0].trait, columns[i].trait);
      ASSERT_EQ(columns[0].clusterable, columns[i].clusterable);
    }
  }
}

// Goal: many learners fold as the plain engine says, whether there are enough events to bring them
// in order of rows or they go as they lie; and new rows stand in the order their learners came.
TEST(EnginesAgree, OnThousandsOfLearnersInLargeAndSmallGroups) {
  constexpr std::uint64_t kLearners = 5'000;
  const Time start = parse_time("2024-03-04T08:00:00Z").value();
  Random random(11);
  std::deque<std::string> strings;
  std::vector<std::string> came;
  std::set<std::string> known;
  const auto group = [&](std::size_t batches, std::uint64_t events, std::uint64_t of) {
    std::vector<Batch> made(batches);
    for (std::uint64_t i = 0; i < events; ++i) {
      Event e;
      e.id = strings.emplace_back(fmt::format("e{}", strings.size()));
      e.learner = strings.emplace_back(fmt::format("learner-{}", random.below(of)));
      e.time = start + std::chrono::minutes(random.below(90 * 24 * 60));
      std::vector<Attribute> attributes;
      if (random.chance(.05)) {
        e.type = EventType::kProfile;
        attributes = {{"region", random.chance(.5) ? "eu" : "us"}};
        if (random.chance(.5)) attributes.emplace_back("plan", "pro");
        e.attributes = attributes;
      } else {
        e.type = random.chance(.1) ? EventType::kSession : EventType::kPractice;
      }
      if (e.type == EventType::kPractice) {
        e.capability = strings.emplace_back(fmt::format("c{}", random.below(200)));
        e.domain = strings.emplace_back(fmt::format("d{}", random.below(20)));
      }
      made[i * batches / events].add(e);
      if (known.insert(std::string(e.learner)).second) came.emplace_back(e.learner);
    }
    return made;
  };
  const auto plain = make_baseline(), fast = make_fast();
  Serial serial;
  const Time as_of = start + std::chrono::days(91);
  for (const auto& batches :
       {group(3, 8 * kLearners, kLearners), group(2, kLearners, 2 * kLearners),
        group(1, 300, 3 * kLearners), group(5, 10 * kLearners, 2 * kLearners)}) {
    apply(*plain, batches, serial);
    apply(*fast, batches, serial);
    expect_agree(all_facts(*plain, as_of), all_facts(*fast, as_of));
    if (HasFatalFailure()) return;
  }
  std::vector<std::string> rows;
  fast->visit(as_of, [&](const LearnerFacts& facts) { rows.push_back(facts.learner); });
  std::ranges::stable_sort(came, {}, [](const std::string& id) { return hash64(id) >> 58; });
  EXPECT_EQ(rows, came);  // by shard: 64, by the highest bits of the hash
}

// Goal: a learner's events folded together come to the same bits as one after the other.
TEST(EnginesAgree, WithThemselvesHoweverTheEventsAreCut) {
  for (int i = 0; i < std::min(seeds(), 60); ++i) {
    const std::uint64_t seed = first_seed() + static_cast<std::uint64_t>(i);
    SCOPED_TRACE(::testing::Message() << "COVEY_SEED=" << seed);
    const Random random(seed);
    const World world(random.fork("world"));
    const auto batches = world.batches(random.fork("order"));
    Serial serial;
    const auto at_once = make_fast(), one_by_one = make_fast();
    apply(*at_once, batches, serial);
    std::vector<Attribute> attributes;
    for (const Batch& batch : batches) {
      for (std::uint32_t row = 0; row < batch.size(); ++row) {
        Batch single;
        single.add(batch.event(row, attributes));
        const Batch* one = &single;
        one_by_one->apply(std::span(&one, 1), serial);
      }
    }
    for (const int later : {50, 200, 24 * 60, 24 * 181}) {
      const auto facts = [&](const Engine& engine) {
        return all_facts(engine, world.newest + std::chrono::hours(later));
      };
      expect_agree(facts(*at_once), facts(*one_by_one));
      const auto a = facts(*at_once), b = facts(*one_by_one);
      for (const auto& [learner, of_a] : a) {
        const LearnerFacts& of_b = b.at(learner);
        for (std::size_t t = 0; t < kTraits; ++t) {
          ASSERT_EQ(of_a.traits.*kTraitFields[t], of_b.traits.*kTraitFields[t])
              << learner << " " << kTraitNames[t];
        }
        ASSERT_EQ(of_a.domain_entropy_bits, of_b.domain_entropy_bits) << learner;
        ASSERT_EQ(of_a.specialist, of_b.specialist) << learner;
      }
    }
  }
}

// Goal: the same where numbers of capabilities and domains grow from two bytes to four, which only
// happens with some 65,000 of them, and at every length that is cut differently.
TEST(EnginesAgree, WhereKeysBecomeWide) {
  std::deque<std::string> strings;
  const Time start = parse_time("2024-01-01").value();
  const auto use = [&](Batch& batch, std::string_view learner, int capability, int minute) {
    Event e;
    e.id = strings.emplace_back(fmt::format("{}-{}", learner, minute));
    e.learner = learner;
    e.time = start + std::chrono::minutes(minute * 97);
    e.type = EventType::kPractice;
    e.capability = strings.emplace_back(fmt::format("c{}", capability));
    e.domain = strings.emplace_back(fmt::format("d{}", capability));
    batch.add(e);
  };
  constexpr int kBefore = 65'500, kOwn = 300;
  Batch primer;
  for (int i = 0; i < kBefore; ++i) use(primer, "primer", i, i % 1000);
  std::vector<std::unique_ptr<Engine>> engines;
  std::vector<LearnerFacts> facts;
  for (const int length : {1, 3, 4, 63, 64, 65, 130, kOwn}) {
    auto& engine = engines.emplace_back(make_fast());
    Serial serial;
    const Batch* one = &primer;
    engine->apply(std::span(&one, 1), serial);
    for (int done = 0; done < kOwn; done += length) {
      Batch part;
      for (int i = done; i < std::min(done + length, kOwn); ++i) {
        // Every third is one of few old numbers, the others are new and soon beyond two bytes.
        use(part, "ada", i % 3 == 0 ? i % 5 : kBefore + i / 2, i);
      }
      one = &part;
      engine->apply(std::span(&one, 1), serial);
    }
    facts.push_back(engine->find("ada", start + std::chrono::days(40)).value());
  }
  const auto plain = make_baseline();
  Serial serial;
  Batch all;
  for (int i = 0; i < kOwn; ++i) use(all, "ada", i % 3 == 0 ? i % 5 : kBefore + i / 2, i);
  const Batch* one = &all;
  plain->apply(std::span(&one, 1), serial);
  const LearnerFacts truth = plain->find("ada", start + std::chrono::days(40)).value();
  for (const LearnerFacts& f : facts) {
    for (std::size_t t = 0; t < kTraits; ++t) {
      EXPECT_EQ(f.traits.*kTraitFields[t], facts[0].traits.*kTraitFields[t]) << kTraitNames[t];
      EXPECT_NEAR(f.traits.*kTraitFields[t], truth.traits.*kTraitFields[t], 1e-6) << kTraitNames[t];
    }
  }
}

// Goal: a snapshot that ends early, or is not ours, is an error whoever reads it; it is read by one
// thread at a time, and no further once it is known to be bad.
TEST(Fast, ADamagedSnapshotIsToldByAnyNumberOfThreads) {
  const Random random(3);
  const World world(random.fork("world"));
  Serial serial;
  const auto engine = make_fast();
  apply(*engine, world.batches(random.fork("order")), serial);
  std::vector<std::string> chunks;
  Result<void> status;
  ASSERT_TRUE(engine->save(
      [&](std::string_view chunk) -> Result<void> {
        chunks.emplace_back(chunk);
        return {};
      },
      status));
  ASSERT_TRUE(status);
  for (const unsigned width : {1u, 3u}) {
    Threads threads(width);
    for (std::size_t bad = 0; bad < chunks.size(); bad += kSanitized ? 5 : 1) {
      for (const int how : {0, 1, 2}) {  // the end, an error, a shorter chunk
        SCOPED_TRACE(::testing::Message() << width << " threads, chunk " << bad << ", " << how);
        std::atomic<int> inside{0};
        std::size_t at = 0;
        bool told = false;
        const auto fresh = make_fast();
        const auto loaded = fresh->load(
            [&]() -> Result<std::optional<std::string>> {
              EXPECT_EQ(inside++, 0);
              EXPECT_FALSE(told) << "read on after the end";
              std::this_thread::yield();
              Result<std::optional<std::string>> next = std::optional<std::string>();
              if (at < chunks.size()) next = chunks[at];  // a shorter one makes it read beyond them
              if (at == bad && how == 0) next = std::optional<std::string>();
              if (at == bad && how == 1) next = fail(Errc::kFailed, "disk");
              if (at == bad && how == 2) (*next)->pop_back();
              told = at == bad && how != 2;
              ++at;
              --inside;
              return next;
            },
            threads);
        EXPECT_FALSE(loaded);
        EXPECT_EQ(loaded ? Errc::kFailed : loaded.error().code,
                  how == 1 ? Errc::kFailed : Errc::kCorrupt);
      }
    }
  }
}

// Goal: a snapshot in the middle changes nothing of what follows.
TEST(EnginesAgree, AcrossASnapshot) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    const Random random(seed);
    const World world(random.fork("world"));
    const auto batches = world.batches(random.fork("order"));
    Serial serial;
    Threads threads(seed % 2 == 0 ? 1 : 3);
    const auto whole = make_fast(), before = make_fast(), after = make_fast();
    const std::size_t half = batches.size() / 2;
    apply(*whole, batches, serial);
    apply(*before, {batches.begin(), batches.begin() + static_cast<std::ptrdiff_t>(half)}, serial);
    std::vector<std::string> chunks;
    Result<void> status;
    ASSERT_TRUE(before->save(
        [&](std::string_view chunk) -> Result<void> {
          chunks.emplace_back(chunk);
          return {};
        },
        status));
    ASSERT_TRUE(status);
    std::size_t at = 0;
    ASSERT_TRUE(after->load(
        [&]() -> Result<std::optional<std::string>> {
          if (at == chunks.size()) return std::optional<std::string>();
          return std::optional<std::string>(chunks[at++]);
        },
        threads));
    apply(*after, {batches.begin() + static_cast<std::ptrdiff_t>(half), batches.end()}, serial);
    const Time as_of = world.newest + std::chrono::hours(24 * 10);
    const TraitColumns a = whole->traits(as_of, serial), b = after->traits(as_of, serial);
    ASSERT_EQ(a.learner, b.learner);
    ASSERT_EQ(a.trait, b.trait);
    expect_agree(all_facts(*whole, as_of), all_facts(*after, as_of));
  }
}

// Goal: a look-up beside a fold sees a learner before or after an event, never half of it.
TEST(EnginesAgree, LookUpsBesideTheFoldSeeWholeLearners) {
  const auto engine = make_fast();
  const Time start = parse_time("2024-01-01").value();
  std::atomic<bool> over{false};
  std::vector<std::jthread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&, r] {
      std::uint32_t before = 0;
      while (!over) {
        const auto facts = engine->find(fmt::format("l{}", r), start + std::chrono::days(400));
        if (!facts) continue;
        EXPECT_GE(facts->practice_events, before);
        before = facts->practice_events;
        // Each event is one use and one feedback of the same learner's pair below.
        EXPECT_LE(facts->feedback_acted_on, facts->feedback_received);
        for (std::size_t t = 0; t < kTraits; ++t) {
          EXPECT_GE(facts->traits.*kTraitFields[t], 0);
          EXPECT_LE(facts->traits.*kTraitFields[t], 1);
        }
        for (const auto& [key, value] : facts->attributes) {
          EXPECT_TRUE(key.starts_with("k") && value.starts_with("v")) << key << "=" << value;
        }
      }
    });
  }
  Threads threads(2);
  Random random(3);
  for (int round = 0; round < 60; ++round) {
    Batch batch;
    for (int i = 0; i < 100; ++i) {
      Event e;
      const std::string id = fmt::format("{}-{}", round, i);
      // New learners all the time, so that the index grows under the readers' feet.
      const std::string learner =
          fmt::format("l{}", random.chance(.3) ? random.below(2) : round * 100 + i);
      const std::string capability = fmt::format("c{}", random.below(200));
      const std::string value = fmt::format("v{}", random.below(1'000));
      const std::string key = fmt::format("k{}", random.below(20));
      e.id = id;
      e.learner = learner;
      e.time = start + std::chrono::minutes(round * 100 + i);
      const Attribute attributes[] = {{key, value}};
      if (i % 3 == 0) {
        e.type = EventType::kProfile;
        e.attributes = attributes;
      } else if (i % 3 == 1) {
        e.type = EventType::kFeedback;
        e.acted_on = true;
      } else {
        e.type = EventType::kPractice;
        e.capability = capability;
        e.domain = capability;
      }
      batch.add(e);
    }
    const Batch* one = &batch;
    engine->apply(std::span(&one, 1), threads);
  }
  over = true;
}

// Goal: an id is found and told as it came, whatever its length and last byte: short ones lie in
// the row's name, whose last byte says how.
TEST(Fast, KeepsEveryFormOfAnId) {
  std::set<std::string> ids;
  for (std::size_t length = 1; length <= 40; ++length) {
    for (int last = 1; last < 256; last += length == 16 ? 1 : 50) {
      ids.insert(std::string(length - 1, 'x') + static_cast<char>(last));
    }
  }
  Batch batch;
  for (const std::string& id : ids) {
    Event e;
    e.id = e.learner = id;
    e.time = parse_time("2024-01-01").value();
    e.type = EventType::kSession;
    batch.add(e);
  }
  const auto engine = make_fast();
  Serial serial;
  const Batch* one = &batch;
  for (int twice = 0; twice < 2; ++twice) engine->apply(std::span(&one, 1), serial);
  EXPECT_EQ(engine->learners(), ids.size());
  const auto facts = all_facts(*engine, parse_time("2024-01-02").value());
  for (const std::string& id : ids) {
    EXPECT_TRUE(facts.contains(id)) << id.size() << " bytes, the last " << int{id.back()};
    EXPECT_TRUE(engine->find(id, parse_time("2024-01-02").value()));
  }
}

TEST(Fast, SaysWhatItUses) {
  const auto engine = make_fast();
  const Random random(1);
  const World world(random);
  Serial serial;
  apply(*engine, world.batches(random), serial);
  const MemoryUse use = engine->memory();
  EXPECT_EQ(use.learners, engine->learners());
  EXPECT_GT(use.bytes, use.learners * 128);
}

}  // namespace
}  // namespace covey::learners

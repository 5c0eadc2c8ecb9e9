#include "cohorts/previous.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "cohorts/sample_learners.h"
#include "cohorts/threads.h"
#include "sanitized.h"

namespace covey::cohorts {
namespace {

// A population whose learners keep their keys from run to run, wherever their rows are.
struct Population {
  learners::TraitColumns columns;
  std::vector<std::uint64_t> key;
  std::vector<std::size_t> kind;
  Random random{77};

  void join(std::size_t kind_of, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      given::add(columns, given::near_kind(kind_of, 0.04, random));
      key.push_back(random.next());
      kind.push_back(kind_of);
    }
  }
  void leave(std::size_t kind_of, double share) {
    for (std::size_t i = 0; i < key.size(); ++i)
      if (kind[i] == kind_of && random.chance(share)) columns.clusterable[i] = 0;
  }
  void shuffle() {
    for (std::size_t i = key.size(); i-- > 1;) {
      const std::size_t j = random.below(i + 1);
      for (auto& trait : columns.trait) std::swap(trait[i], trait[j]);
      std::swap(columns.clusterable[i], columns.clusterable[j]);
      std::swap(key[i], key[j]);
      std::swap(kind[i], kind[j]);
    }
  }
  Discovery discover(const Options& options, const Previous* previous) {
    Serial serial;
    const ManualClock clock{Time{}};
    return *cohorts::discover(
        columns, options, previous, [this](std::size_t i) { return key[i]; }, serial, clock);
  }
  Previous remember(const Discovery& run) {
    return cohorts::remember(
        run, [this](learners::LearnerRef ref) { return key[static_cast<std::size_t>(ref)]; });
  }
  /// The id of the cohort most learners of a kind are in, and none of another kind are.
  std::uint32_t id_of(const Discovery& run, std::size_t kind_of) {
    std::map<std::uint32_t, int> votes;
    for (std::size_t i = 0; i < run.label.size(); ++i)
      if (kind[static_cast<std::size_t>(run.learner[i])] == kind_of)
        ++votes[run.cohorts[run.label[i]].id];
    return std::ranges::max_element(votes, {}, [](const auto& v) { return v.second; })->first;
  }
};

Population four_kinds() {
  Population people;
  for (std::size_t kind = 0; kind < 4; ++kind) people.join(kind, 200 + 100 * kind);
  return people;
}

// Goal: the first run numbers its cohorts by size; the largest comes first.
TEST(Ids, FirstRunCountsBySize) {
  Population people = four_kinds();
  const Discovery run = people.discover({}, nullptr);
  ASSERT_EQ(run.k, 4u);
  for (std::uint32_t j = 0; j < 4; ++j) EXPECT_EQ(run.cohorts[j].id, j + 1);
  EXPECT_EQ(run.next_id, 5u);
  EXPECT_FALSE(run.adjusted_rand_index);
  EXPECT_EQ(people.id_of(run, 3), 1u);
  EXPECT_EQ(people.id_of(run, 0), 4u);
}

struct Change {
  const char* what;
  std::function<void(Population&)> happens;
  std::uint32_t k;
  std::vector<std::uint32_t> ids;  // of kinds 0, 1, ... afterwards; 4, 3, 2, 1 before
  double agreement_min;
};

// Goal: a cohort keeps its id through all that may happen to a population, and no new one ever
// takes an old one's.
TEST(Ids, StayWithTheirMembers) {
  const Change kChanges[] = {
      {"nothing happens", [](Population&) {}, 4, {4, 3, 2, 1}, 1},
      {"rows in another order", [](Population& p) { p.shuffle(); }, 4, {4, 3, 2, 1}, 0.99},
      {"the smallest becomes the largest",
       [](Population& p) { p.join(0, 900); },
       4,
       {4, 3, 2, 1},
       0.99},
      {"most of the largest leave", [](Population& p) { p.leave(3, 0.8); }, 4, {4, 3, 2, 1}, 0.99},
      {"one vanishes", [](Population& p) { p.leave(2, 1); }, 3, {4, 3, 0, 1}, 0.99},
      {"a kind appears", [](Population& p) { p.join(4, 400); }, 5, {4, 3, 2, 1, 5}, 0.99},
      {"one vanishes as another appears",
       [](Population& p) {
         p.leave(2, 1);
         p.join(4, 400);
         p.shuffle();
       },
       4,
       {4, 3, 0, 1, 5},
       0.99},
  };
  for (const Change& change : kChanges) {
    if (kSanitized && &change >= kChanges + 3) break;
    SCOPED_TRACE(change.what);
    Population people = four_kinds();
    const Previous before = people.remember(people.discover({}, nullptr));
    change.happens(people);
    const Discovery run = people.discover({.k = {}, .seed = 5}, &before);
    ASSERT_EQ(run.k, change.k);
    for (std::size_t kind = 0; kind < change.ids.size(); ++kind) {
      if (change.ids[kind] != 0) {
        EXPECT_EQ(people.id_of(run, kind), change.ids[kind]) << "kind " << kind;
      }
    }
    ASSERT_TRUE(run.adjusted_rand_index);
    EXPECT_GE(*run.adjusted_rand_index, change.agreement_min);
  }
}

// Goal: where a cohort splits, the larger part keeps the id and the other gets a new one; where
// two merge, the one that brings more keeps its own.
TEST(Ids, SplitAndMerge) {
  Population people = four_kinds();
  const Discovery four = people.discover({.k = 4}, nullptr);
  const Previous before = people.remember(four);
  const Discovery five = people.discover({.k = 5}, &before);
  std::set<std::uint32_t> ids;
  for (const Cohort& cohort : five.cohorts) ids.insert(cohort.id);
  EXPECT_EQ(ids, (std::set<std::uint32_t>{1, 2, 3, 4, 5}));

  const Discovery three = people.discover({.k = 3}, &before);
  ids.clear();
  for (const Cohort& cohort : three.cohorts) ids.insert(cohort.id);
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_LE(*ids.rbegin(), 4u);
  EXPECT_EQ(three.next_id, 5u);
}

// Goal: ids are never used again, over a chain of runs with a pause when there was no cohort.
TEST(Ids, AreNeverUsedAgain) {
  Population people = four_kinds();
  const Previous before = people.remember(people.discover({}, nullptr));
  Population strangers;
  strangers.join(1, 20);
  const Discovery pause = strangers.discover({}, &before);
  EXPECT_EQ(pause.k, 0u);
  const Previous paused = strangers.remember(pause);
  Population others = four_kinds();
  for (auto& key : others.key) key = ~key;
  const Discovery run = others.discover({}, &paused);
  for (const Cohort& cohort : run.cohorts) EXPECT_GE(cohort.id, 5u);
  EXPECT_FALSE(run.adjusted_rand_index);
}

struct Inheritance {
  const char* what;
  std::vector<std::vector<std::uint64_t>> shared;  // rows before, columns now
  std::vector<std::uint32_t> expected;
};

// Goal: who inherits from whom, from the shared members alone. Ids before: 11, 12, 13.
TEST(Ids, InheritanceTable) {
  const Inheritance kCases[] = {
      {"each its own", {{9, 0, 0}, {0, 9, 0}, {0, 0, 9}}, {11, 12, 13}},
      {"crossed", {{0, 9, 0}, {0, 0, 9}, {9, 0, 0}}, {13, 11, 12}},
      {"nobody shared", {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}, {0, 0, 0}},
      {"the most in sum, not the first best", {{50, 40, 0}, {45, 0, 0}, {0, 0, 9}}, {12, 11, 13}},
      {"one in a hundred is chance", {{99, 0, 0}, {0, 99, 1}, {0, 0, 0}}, {11, 12, 0}},
      {"a small part is not the whole", {{1000, 50, 0}, {1000, 0, 0}, {0, 0, 9}}, {11, 0, 13}},
  };
  const std::vector<std::uint32_t> ids = {11, 12, 13};
  for (const Inheritance& c : kCases) {
    Overlap shared{};
    for (std::size_t a = 0; a < 3; ++a)
      for (std::size_t b = 0; b < 3; ++b) shared[a][b] = c.shared[a][b];
    EXPECT_EQ(inherit_ids(shared, ids, 3), c.expected) << c.what;
  }
}

// Goal: the look-up finds exactly the keys that are there, evenly spread or not.
TEST(Overlaps, CountSharedMembers) {
  given::Threads three(3);
  for (const std::uint64_t seed : given::seeds(60)) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    Random random(seed);
    const std::size_t n = random.below(3 * kChunk);
    // Some seeds crowd all keys into one corner.
    const std::uint64_t mask = seed % 3 == 0 ? 0xffff : ~std::uint64_t{0};
    std::map<std::uint64_t, std::uint8_t> known;
    std::vector<std::uint64_t> key(n);
    std::vector<std::uint8_t> clusterable(n), label;
    std::vector<std::size_t> before = {0};
    Overlap expected{};
    for (std::size_t i = 0; i < n; ++i) {
      key[i] = random.next() & mask;
      if (random.chance(0.5)) known.try_emplace(key[i], static_cast<std::uint8_t>(random.below(8)));
    }
    for (std::size_t i = 0; i < n; ++i) {
      clusterable[i] = random.chance(0.8);
      if (clusterable[i]) {
        label.push_back(static_cast<std::uint8_t>(random.below(8)));
        if (const auto was = known.find(key[i]); was != known.end())
          ++expected[was->second][label.back()];
      }
      if ((i + 1) % kChunk == 0 || i + 1 == n) before.push_back(label.size());
    }
    Previous previous;
    for (const auto& [k, l] : known) {
      previous.learner.push_back(k);
      previous.label.push_back(l);
    }
    EXPECT_EQ(
        overlap(
            previous, clusterable, before, label, [&](std::size_t i) { return key[i]; }, three),
        expected);
  }
}

Previous some_previous(std::size_t n) {
  Previous previous;
  previous.id = {3, 1, 7};
  previous.next_id = 9;
  for (std::size_t i = 0; i < n; ++i) {
    previous.learner.push_back(i * 1'000'003);
    previous.label.push_back(static_cast<std::uint8_t>(i % 3));
  }
  return previous;
}

// Goal: what is remembered is sorted, complete, and survives the store.
TEST(Remember, RoundTrip) {
  for (const std::size_t n : {0u, 1u, 2u, 100u, 50'000u}) {
    SCOPED_TRACE(n);
    Discovery run;
    run.next_id = 42;
    run.cohorts.resize(2);
    run.cohorts[0].id = 41;
    run.cohorts[1].id = 5;
    std::map<std::uint64_t, std::uint8_t> expected;
    for (std::size_t i = 0; i < n; ++i) {
      run.learner.push_back(static_cast<learners::LearnerRef>(i));
      run.label.push_back(static_cast<std::uint8_t>(i % 2));
      expected[given::key_of(i)] = run.label.back();
    }
    const Previous previous = remember(run, given::key_of_ref);
    ASSERT_EQ(previous.learner.size(), n);
    std::size_t at = 0;
    for (const auto& [key, label] : expected) {
      ASSERT_EQ(previous.learner[at], key);
      ASSERT_EQ(previous.label[at++], label);
    }
    const auto back = decode_previous(encode(previous));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->learner, previous.learner);
    EXPECT_EQ(back->label, previous.label);
    EXPECT_EQ(back->id, (std::vector<std::uint32_t>{41, 5}));
    EXPECT_EQ(back->next_id, 42u);
  }
}

// Goal: any damaged byte and any cut is noticed.
TEST(Decode, NoticesAnyDamage) {
  const std::string whole = encode(some_previous(40));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 1);
    const auto flipped = decode_previous(bytes);
    ASSERT_FALSE(flipped) << "byte " << i;
    EXPECT_EQ(flipped.error().code, Errc::kCorrupt);
    EXPECT_FALSE(decode_previous(whole.substr(0, i))) << "cut at " << i;
  }
  EXPECT_FALSE(decode_previous(whole + "x"));
}

struct Lie {
  const char* what;
  std::function<void(Previous&)> tell;
  bool accepted;
};

// Goal: bytes with a good checksum and a wrong content are refused, too.
TEST(Decode, TrustsNoContent) {
  const Lie kLies[] = {
      {"the truth", [](Previous&) {}, true},
      {"nothing yet", [](Previous& p) { p = {}; }, true},
      {"a label too far", [](Previous& p) { p.label[3] = 3; }, false},
      {"out of order", [](Previous& p) { std::swap(p.learner[1], p.learner[2]); }, false},
      {"id 0", [](Previous& p) { p.id[0] = 0; }, false},
      {"an id twice", [](Previous& p) { p.id[0] = p.id[1]; }, false},
      {"an id from the future", [](Previous& p) { p.id[0] = 9; }, false},
      {"next id 0",
       [](Previous& p) {
         p = {};
         p.next_id = 0;
       },
       false},
      {"nine cohorts",
       [](Previous& p) {
         p.id = {1, 2, 3, 4, 5, 6, 7, 8, 9};
         p.next_id = 10;
       },
       false},
      {"members without cohorts", [](Previous& p) { p.id = {}; }, false},
  };
  for (const Lie& lie : kLies) {
    Previous previous = some_previous(10);
    lie.tell(previous);
    EXPECT_EQ(decode_previous(encode(previous)).has_value(), lie.accepted) << lie.what;
  }
  // A count that wraps around when multiplied by nine: the body's size would seem right.
  std::string bytes = encode(Previous{});
  const std::uint64_t wraps = 0x1c71c71c71c71c72;  // * 9 = 2 mod 2^64
  std::string body = bytes.substr(0, bytes.size() - 8) + "xx";
  body.replace(8, 8, reinterpret_cast<const char*>(&wraps), 8);
  const std::uint64_t checksum = hash64(body);
  body.append(reinterpret_cast<const char*>(&checksum), 8);
  EXPECT_FALSE(decode_previous(body));
}

}  // namespace
}  // namespace covey::cohorts

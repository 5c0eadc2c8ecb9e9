#include "log/id_index.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "log/support.h"
#include "sanitized.h"

namespace covey::log {
namespace {

constexpr std::size_t kPlenty = std::size_t{1} << 30;

/// What the store would hold: the ids of every record.
struct Twin {
  std::map<std::uint64_t, std::set<Hash128>> records;
  IdIndex::Holds holds() {
    return [this](std::uint64_t sequence, const Hash128& id) -> Result<bool> {
      return records[sequence].contains(id);
    };
  }
};

std::vector<std::uint8_t> add(IdIndex& index, Twin& twin, const std::vector<Hash128>& ids,
                              std::uint64_t sequence) {
  std::vector<std::uint8_t> duplicate(ids.size());
  EXPECT_TRUE(ok(index.add(ids, sequence, duplicate, twin.holds())));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (duplicate[i] == 0) twin.records[sequence].insert(ids[i]);
  }
  return duplicate;
}

// Goal: through growth, removal and forgetting, an id is known exactly when a live record holds it.
TEST(IdIndex, AgreesWithASetThroughGrowthRemovalAndForgetting) {
  for (const std::uint64_t seed : seeds(2)) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    Random random(seed);
    IdIndex index(kPlenty);
    Twin twin;
    std::map<Hash128, std::uint64_t> known;  // id -> the record that holds it
    std::uint64_t first_live = 0;
    std::uint64_t fresh = 0;
    const std::size_t before = index.bytes();
    for (std::uint64_t sequence = 0; sequence < 150; ++sequence) {
      std::vector<Hash128> ids;
      for (int i = 0; i < 3000; ++i) {
        ids.push_back(id_of(random.chance(0.25) ? random.below(fresh + 1) : ++fresh));
      }
      std::vector<std::uint8_t> expected;
      std::map<Hash128, std::uint64_t> entered;
      for (const Hash128& id : ids) {
        const auto at = known.find(id);
        const bool old = (at != known.end() && at->second >= first_live) || entered.contains(id);
        expected.push_back(old ? 1 : 0);
        if (!old) entered[id] = sequence;
      }
      ASSERT_EQ(add(index, twin, ids, sequence), expected) << "record " << sequence;
      if (random.chance(0.1)) {
        index.remove(ids, sequence, expected);
        twin.records.erase(sequence);
      } else {
        for (const auto& [id, s] : entered) known[id] = s;
      }
      if (random.chance(0.02)) {
        first_live = std::max(first_live,
                              sequence - random.below(std::min<std::uint64_t>(sequence + 1, 100)));
        index.forget_before(first_live);
      }
    }
    EXPECT_GT(index.bytes(), before);
  }
}

// Goal: two ids alike in every bit of the hash that the table keeps are still told apart.
// Method: the table mixes low + high * K, so such ids can be made.
TEST(IdIndex, AChanceLikenessIsNoDuplicate) {
  IdIndex index(kPlenty);
  Twin twin;
  std::vector<Hash128> alike;
  for (std::uint64_t i = 0; i < 30; ++i) alike.push_back({42 - i * 0x9e3779b97f4a7c15ULL, i});
  for (std::uint64_t i = 0; i < alike.size(); ++i) {
    EXPECT_EQ(add(index, twin, {alike[i], alike[i]}, i), (std::vector<std::uint8_t>{0, 1}));
  }
  EXPECT_EQ(add(index, twin, alike, 99), std::vector<std::uint8_t>(alike.size(), 1));
  IdIndex fresh(kPlenty);
  Twin empty;
  EXPECT_EQ(add(fresh, empty, alike, 0), std::vector<std::uint8_t>(alike.size(), 0));
}

// Goal: what was loaded is known, record by record, whatever the order of arrival.
TEST(IdIndex, WhatWasLoadedIsKnown) {
  IdIndex index(kPlenty);
  index.reserve(100'000);
  Twin twin;
  std::vector<Hash128> all;
  for (std::uint64_t sequence = 0; sequence < 900; ++sequence) {
    std::vector<Hash128> ids;
    for (std::uint64_t i = 0; i < sequence; ++i) ids.push_back(id_of(sequence * 1000 + i));
    ASSERT_TRUE(ok(index.load(ids, sequence)));
    twin.records[sequence].insert(ids.begin(), ids.end());
    all.insert(all.end(), ids.begin(), ids.end());
  }
  ASSERT_TRUE(ok(index.finish_load()));
  EXPECT_EQ(index.entries(), all.size());
  EXPECT_EQ(add(index, twin, all, 1000), std::vector<std::uint8_t>(all.size(), 1));
  EXPECT_EQ(add(index, twin, ids_of({999'999'999}), 1001), std::vector<std::uint8_t>{0});
}

// Goal: eight bytes an entry, and not much slack on the way.
TEST(IdIndex, MemoryStaysNearEightBytesAnEntry) {
  constexpr std::uint64_t kBatches = kSanitized ? 1200 : 3000;
  IdIndex index(kPlenty);
  std::vector<Hash128> ids(1000);
  for (std::uint64_t sequence = 0; sequence < kBatches; ++sequence) {
    for (std::uint64_t i = 0; i < ids.size(); ++i) ids[i] = id_of(sequence * 1000 + i);
    ASSERT_TRUE(ok(index.load(ids, sequence)));
    if (sequence < 1000) continue;
    ASSERT_TRUE(ok(index.finish_load()));
    ASSERT_LT(static_cast<double>(index.bytes()), 14.0 * static_cast<double>(index.entries()));
  }
  EXPECT_EQ(index.entries(), kBatches * 1000);
}

// Goal: at its limit the index refuses, says which limit, keeps what it has and takes back what the
// refused call had entered; forgetting old records makes room again.
TEST(IdIndex, RefusesAtItsLimitAndRecoversWhenOldIdsAreForgotten) {
  constexpr std::size_t kLimit = std::size_t{4} << 20;
  IdIndex index(kLimit);
  Twin twin;
  std::uint64_t sequence = 0;
  std::vector<Hash128> ids(1000);
  std::vector<std::uint8_t> duplicate(ids.size());
  Result<void> last;
  for (; last; ++sequence) {
    for (std::uint64_t i = 0; i < ids.size(); ++i) ids[i] = id_of(sequence * 1000 + i);
    last = index.add(ids, sequence, duplicate, twin.holds());
    if (last) twin.records[sequence].insert(ids.begin(), ids.end());
    ASSERT_LT(sequence, 1000u);
  }
  EXPECT_TRUE(fails(last, Errc::kFull, "id_index_bytes_max"));
  EXPECT_LE(index.bytes(), kLimit);
  EXPECT_GT(index.entries(), 250'000u);
  EXPECT_EQ(index.entries(), (sequence - 1) * 1000);
  std::vector<Hash128> known;
  for (std::uint64_t i = 0; i < 1000; ++i) known.push_back(id_of(i * 200));
  EXPECT_EQ(add(index, twin, known, sequence), std::vector<std::uint8_t>(1000, 1));

  index.forget_before(sequence / 2);
  for (std::uint64_t more = 0; more < sequence / 4; ++more) {
    for (std::uint64_t i = 0; i < ids.size(); ++i) ids[i] = id_of((1000 + more) * 1000 + i);
    ASSERT_TRUE(ok(index.add(ids, sequence + more, duplicate, twin.holds())));
  }
  EXPECT_LE(index.bytes(), kLimit);
}

// Goal: when the store cannot be read the call fails and nothing it entered stays.
TEST(IdIndex, AFailingStoreUndoesTheCall) {
  IdIndex index(kPlenty);
  Twin twin;
  add(index, twin, ids_of({1}), 0);
  std::vector<Hash128> ids = ids_of({5, 6, 1, 7});
  std::vector<std::uint8_t> duplicate(ids.size());
  EXPECT_TRUE(fails(
      index.add(ids, 1, duplicate,
                [](auto, auto&) -> Result<bool> { return fail(Errc::kCorrupt, "unreadable"); }),
      Errc::kCorrupt));
  EXPECT_EQ(index.entries(), 1u);
  EXPECT_EQ(add(index, twin, ids, 1), (std::vector<std::uint8_t>{0, 0, 1, 0}));
}

}  // namespace
}  // namespace covey::log

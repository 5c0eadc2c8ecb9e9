#include "control/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sodium.h>

#include "control/kit.h"
#include "rollout/json.h"

namespace covey::control {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

rollout::Entry entry(int n) {
  rollout::Entry out;
  out.input = {kBegin + std::chrono::seconds(n),
               rollout::Resolve{static_cast<std::uint64_t>(n), "Vera"}};
  return out;
}

struct JournalTest : ::testing::Test {
  testing::TempDir dir;
  ManualClock clock{kBegin};
  plan::Plan plan = small_plan();
  std::unique_ptr<log::Log> log;
  Result<std::unique_ptr<Journal>> open(std::string_view plan_text = "plan: a") {
    log.reset();
    log = log::open_rocks_log(dir / "log", log::Access::kReadWrite, {}, clock).value();
    return Journal::open(*log, plan_text, rollout::telemetry_shape(plan), clock);
  }
};

TEST_F(JournalTest, GivesBackWhatItTook) {
  std::string head;
  {
    auto journal = open().value();
    for (int i = 1; i <= 20; ++i) ASSERT_TRUE(journal->append(entry(i)));
    head = journal->head();
  }
  auto journal = open().value();
  EXPECT_EQ(journal->count(), 20u);
  EXPECT_EQ(journal->head(), head);
  std::vector<std::string> inputs;
  ASSERT_TRUE(journal->replay(
      [&](const rollout::Input& input) { inputs.push_back(rollout::input_to_json(input)); }));
  ASSERT_EQ(inputs.size(), 20u);
  EXPECT_EQ(inputs[6], rollout::input_to_json(entry(7).input));
}

// Goal: each record's chain is the SHA-256 of the chain before it and its text, so anybody can
// check a copy with a few lines of their own.
TEST_F(JournalTest, TheChainIsSha256OfWhatStandsThere) {
  auto journal = open().value();
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(journal->append(entry(i)));
  std::string chain(32, '\0');
  std::uint64_t seen = 0;
  ASSERT_TRUE(journal->records(0, [&](const Record& record) {
    const std::string bytes = chain + record.text;
    crypto_hash_sha256(reinterpret_cast<unsigned char*>(chain.data()),
                       reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    std::string hex;
    for (const char c : chain) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    EXPECT_EQ(record.chain, hex);
    EXPECT_EQ(record.number, ++seen);
    return true;
  }));
  EXPECT_EQ(seen, 3u);
}

// Goal: a record put in by somebody else, or one that was changed, does not open.
TEST_F(JournalTest, AForgedRecordBreaksTheChain) {
  {
    auto journal = open().value();
    for (int i = 1; i <= 3; ++i) ASSERT_TRUE(journal->append(entry(i)));
    log::Record forged;
    const std::string text = record_text(entry(4), kBegin);
    forged.encode = [&](std::span<const std::uint8_t>) {
      return "E" + std::string(32, 'x') + text;
    };
    ASSERT_TRUE(log->append({&forged, 1}));
  }
  const auto journal = open();
  ASSERT_FALSE(journal.has_value());
  EXPECT_EQ(journal.error().code, Errc::kCorrupt);
  EXPECT_THAT(journal.error().message, HasSubstr("record 4"));
}

TEST_F(JournalTest, BelongsToOnePlan) {
  ASSERT_TRUE(open("plan: a").has_value());
  const auto other = open("plan: b");
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, Errc::kRejected);
  EXPECT_THAT(other.error().message, HasSubstr("another plan"));
}

// Goal: reading begins and ends where it is told, and visits nothing else, in a journal of any
// length and after it was opened again.
TEST_F(JournalTest, ReadsFromAnyRecordAndSkipsSilentTicks) {
  constexpr int kRecords = 1'000;
  const auto loud = [](int i) { return i % 97 == 0; };
  auto journal = open().value();
  for (int i = 1; i <= kRecords; ++i) {
    rollout::Entry tick{{kBegin + i * 1s, rollout::Tick{}}, {}, {}};
    if (loud(i)) tick = entry(i);
    ASSERT_TRUE(journal->append(tick));
  }
  for (const bool again : {false, true}) {
    SCOPED_TRACE(again);
    if (again) {
      journal.reset();
      journal = open().value();
    }
    for (const std::uint64_t after : {0u, 1u, 255u, 256u, 257u, 700u, 999u, 1000u, 5000u}) {
      std::vector<std::uint64_t> all, some;
      ASSERT_TRUE(journal->records(after, [&](const Record& r) {
        all.push_back(r.number);
        return all.size() < 5;
      }));
      ASSERT_EQ(all.size(),
                std::min<std::uint64_t>(5, kRecords - std::min<std::uint64_t>(kRecords, after)));
      for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], after + 1 + i);
      ASSERT_TRUE(journal->loud_records(after, [&](const Record& r) {
        some.push_back(r.number);
        return true;
      }));
      std::vector<std::uint64_t> expected;
      for (int i = 1; i <= kRecords; ++i) {
        if (loud(i) && static_cast<std::uint64_t>(i) > after) expected.push_back(i);
      }
      EXPECT_EQ(some, expected);
    }
  }
}

TEST_F(JournalTest, SlotsComeWithTheNextRecord) {
  Desk desk;
  auto& journal = *desk.journal;
  journal.keep(desk.slot(kBegin, 5, 0));
  int slots = 0;
  const auto count = [&] {
    slots = 0;
    EXPECT_TRUE(journal.slots([&](const telemetry::ClosedSlot&) { ++slots; }));
    return slots;
  };
  EXPECT_EQ(count(), 0);
  ASSERT_TRUE(journal.append(entry(1)));
  EXPECT_EQ(count(), 1);
}

}  // namespace
}  // namespace covey::control

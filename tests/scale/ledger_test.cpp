#include "scale/ledger.h"

#include <gtest/gtest.h>

#include "scale/process_figures.h"

namespace covey::scale {
namespace {

// Goal: nothing but "every event is there exactly once" holds.
TEST(Ledger, HoldsOnlyWhatIsThere) {
  const auto after = [](auto... batches) {
    Ledger ledger;
    (ledger.acknowledged(batches.first, batches.second), ...);
    return ledger;
  };
  using Batch = std::pair<std::uint64_t, std::optional<Receipt>>;
  const Batch there{100, Receipt{0, 100, 0}};
  EXPECT_TRUE(after(there).holds());
  EXPECT_TRUE(after(there, there).holds());
  EXPECT_EQ(after(there, there).known, 200u);
  const Ledger gone = after(there, Batch{100, Receipt{100, 0, 0}});
  EXPECT_FALSE(gone.holds());
  EXPECT_EQ(gone.lost, 100u);
  const Ledger one = after(there, Batch{100, Receipt{1, 99, 0}});
  EXPECT_FALSE(one.holds());
  EXPECT_EQ(one.lost, 1u);
  const Ledger rejected = after(Batch{100, Receipt{0, 99, 1}});
  EXPECT_EQ(rejected.lost, 1u);
  const Ledger silent = after(there, Batch{100, std::nullopt});
  EXPECT_FALSE(silent.holds());
  EXPECT_EQ(silent.unasked, 100u);
  EXPECT_EQ(silent.lost, 0u);
}

TEST(Ledger, ABatchInDoubtIsWholeOrAbsent) {
  Ledger ledger;
  ledger.acknowledged(100, Receipt{0, 100, 0});
  ledger.doubtful(100, Receipt{100, 0, 0});
  ledger.doubtful(100, Receipt{0, 100, 0});
  ledger.doubtful(100, std::nullopt);
  EXPECT_TRUE(ledger.holds());
  EXPECT_EQ(ledger.in_doubt, 3u);
  ledger.doubtful(100, Receipt{60, 40, 0});
  EXPECT_FALSE(ledger.holds()) << "a batch is one record";
}

TEST(Ledger, ReadsReceipts) {
  const auto read = read_receipt(R"({"accepted":7,"duplicates":2,"rejected":1,"errors":[]})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->accepted, 7u);
  EXPECT_EQ(read->duplicates, 2u);
  EXPECT_EQ(read->rejected, 1u);
  for (const char* text : {"", "[]", "{}", R"({"accepted":1,"duplicates":2})",
                           R"({"accepted":-1,"duplicates":2,"rejected":0})"}) {
    EXPECT_FALSE(read_receipt(text)) << text;
  }
}

TEST(Practice, IsCountedOfThoseAskedForOnly) {
  const std::string lines =
      R"({"id":"a-1","learner":"sim-1","time":"t","type":"practice","capability":"c"})"
      "\n"
      R"({"id":"a-2","learner":"sim-1","time":"t","type":"session"})"
      "\n"
      R"({"id":"a-3","learner":"sim-2","time":"t","type":"practice","capability":"c"})"
      "\n"
      R"({"id":"a-4","learner":"sim-11","time":"t","type":"practice","capability":"c"})"
      "\n";
  PracticeCounts counts = {{"sim-1", 5}, {"sim-3", 0}};
  add_practice(lines, counts);
  EXPECT_EQ(counts, (PracticeCounts{{"sim-1", 6}, {"sim-3", 0}}));
  EXPECT_EQ(first_learner(lines), "sim-1");
  EXPECT_EQ(first_learner("{}\n"), "");
}

TEST(ProcessFigures, AreReadAsTheKernelWritesThem) {
  EXPECT_EQ(cpu_ticks("42 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 250 31 0 0 20 0 9 0 1 2"), 281u);
  EXPECT_EQ(cpu_ticks(""), std::nullopt);
  EXPECT_EQ(cpu_ticks("42 (covey) S 1 42"), std::nullopt);
  const char* status = "Name:\tcovey\nVmHWM:\t  2048 kB\nVmRSS:\t    12 kB\nThreads:\t3\n";
  EXPECT_EQ(kilobytes_field(status, "VmRSS"), 12u * 1024);
  EXPECT_EQ(kilobytes_field(status, "VmHWM"), 2048u * 1024);
  EXPECT_EQ(kilobytes_field(status, "Vm"), std::nullopt);
  EXPECT_EQ(kilobytes_field(status, "Threads"), std::nullopt);
}

}  // namespace
}  // namespace covey::scale

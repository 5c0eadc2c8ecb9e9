#include "analyzer/quarantine.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace covey::analyzer {
namespace {

events::Rejection rejection(std::string source, std::uint64_t line) {
  return {std::move(source), line, "reason", std::string("row\0with\xff bytes", 15), "csv", "a,b"};
}

TEST(Quarantine, EntriesComeBackToTheByte) {
  const Quarantined entry{rejection("file.csv", 77), parse_time("2024-01-01T00:00:00Z").value()};
  const auto back = decode_quarantined(encode(entry));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->rejection.source, "file.csv");
  EXPECT_EQ(back->rejection.line, 77u);
  EXPECT_EQ(back->rejection.row, entry.rejection.row);
  EXPECT_EQ(back->rejection.context, "a,b");
  EXPECT_EQ(back->at, entry.at);
}

// Goal: whatever the bytes, an entry or an error; every cut is an error.
TEST(Quarantine, DamageIsAnError) {
  const std::string bytes = encode(Quarantined{rejection("s", 1), Time()});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_quarantined(std::string_view(bytes).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_quarantined(bytes + "x"));
  Random random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string other = bytes;
    for (std::uint64_t n = random.below(4) + 1; n > 0; --n) {
      other[random.below(other.size())] = static_cast<char>(random.below(256));
    }
    if (const auto decoded = decode_quarantined(other); !decoded) {
      EXPECT_EQ(decoded.error().code, Errc::kCorrupt);
    }
  }
}

TEST(Quarantine, KeysAreOnePerRowAndInOrderOfLines) {
  EXPECT_EQ(quarantine_key(rejection("s", 5)), quarantine_key(rejection("s", 5)));
  EXPECT_NE(quarantine_key(rejection("s", 5)), quarantine_key(rejection("t", 5)));
  EXPECT_LT(quarantine_key(rejection("s", 9)), quarantine_key(rejection("s", 10)));
  EXPECT_LT(quarantine_key(rejection("s", 255)), quarantine_key(rejection("s", 256)));
  const std::string long_a(5000, 'a'), long_b = std::string(4999, 'a') + "b";
  EXPECT_LE(quarantine_key(rejection(long_a, 1)).size(), 1024u);
  EXPECT_NE(quarantine_key(rejection(long_a, 1)), quarantine_key(rejection(long_b, 1)));
}

}  // namespace
}  // namespace covey::analyzer

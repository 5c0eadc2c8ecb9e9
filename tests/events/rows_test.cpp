#include "events/rows.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <utility>

#include "base/random.h"

namespace covey::events {
namespace {

TEST(Rows, WholeLinesEndAtTheLastLineEnd) {
  EXPECT_EQ(whole_lines(""), 0u);
  EXPECT_EQ(whole_lines("abc"), 0u);
  EXPECT_EQ(whole_lines("a\nbc"), 2u);
  EXPECT_EQ(whole_lines("a\nbc\n"), 5u);
}

// Goal: the count of sixteen bytes at a time is that of one at a time, wherever the text begins and
// ends, and where more line ends follow one another than a byte can count.
TEST(Rows, LineEndsAreCountedAsOneByOne) {
  std::string text;
  Random random(7);
  for (int i = 0; i < 20'000; ++i) text += random.below(3) == 0 ? '\n' : '\x8a';
  text += std::string(20'000, '\n');
  for (const std::size_t begin : {0u, 1u, 15u, 16u, 4'001u, 19'999u}) {
    for (const std::size_t size : {0u, 1u, 15u, 16u, 17u, 255u, 4'080u, 4'096u, 20'000u}) {
      const std::string_view part = std::string_view(text).substr(begin, size);
      EXPECT_EQ(line_ends(part), std::count(part.begin(), part.end(), '\n'))
          << begin << " " << size;
    }
  }
}

TEST(Rows, WholeRecordsKnowQuotes) {
  EXPECT_EQ(whole_records("a,\"b\nc\",d\nx"), 10u);
  EXPECT_EQ(whole_records("a,\"b\nc"), 0u);
  EXPECT_EQ(whole_records("a,\"say \"\"hi\"\"\"\nb"), 15u);
}

struct Record {
  std::string_view text;
  std::vector<std::string> cells;
  bool sound;
};
const Record kRecords[] = {
    {"a,b", {"a", "b"}, true},
    {"a,b\n", {"a", "b"}, true},
    {"a,b\r\n", {"a", "b"}, true},
    {"a,\n", {"a", ""}, true},
    {",", {"", ""}, true},
    {"\"a,b\",c", {"a,b", "c"}, true},
    {"\"a\"\"b\",c", {"a\"b", "c"}, true},
    {"\"a\nb\"\r\n", {"a\nb"}, true},
    {"\"\",x", {"", "x"}, true},
    {"\"a,\n\"\"\n\"\"\",b\n", {"a,\n\"\n\"", "b"}, true},
    {"\"open,b", {"\"open,b"}, false},
    {"\"a\"x,b", {"\"a\"x,b"}, false},
    {"a\"b,c", {"a\"b,c"}, false},
};

TEST(Rows, RecordsAreReadAsRfc4180Says) {
  for (const Record& r : kRecords) {
    SCOPED_TRACE(r.text);
    std::vector<std::string> cells;
    bool sound = false;
    EXPECT_EQ(next_record(r.text, cells, sound), r.text.size());
    if (r.sound) {
      EXPECT_EQ(cells, r.cells);  // of an unsound record only the extent is said
    }
    EXPECT_EQ(sound, r.sound);
  }
}

// Goal: one stray quote costs its own line and no other.
TEST(Rows, ABrokenRecordIsItsFirstLineOnly) {
  std::vector<std::string> cells;
  bool sound = true;
  for (const std::string_view line : {"a,\"b\n", "\"a\nb\"c,d\n", "a\",b\n"}) {
    const std::string text = std::string(line) + std::string(2 * kQuotedCellBytesMax, 'x') + "\n";
    SCOPED_TRACE(line);
    EXPECT_EQ(next_record(text, cells, sound), line.find('\n') + 1);
    EXPECT_FALSE(sound);
    EXPECT_EQ(whole_records(text), text.size());
  }
  const std::string longest = '"' + std::string(kQuotedCellBytesMax - 2, '\n') + "\"\n";
  EXPECT_EQ(next_record(longest, cells, sound), longest.size());
  EXPECT_TRUE(sound);
}

// Goal: a file may be cut wherever whole_records() says and reads the same.
TEST(Rows, CutsNeverChangeARecord) {
  const char* wanted = std::getenv("COVEY_SEED");
  const std::uint64_t first = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 0;
  for (std::uint64_t seed = first; seed < (wanted != nullptr ? first + 1 : 300); ++seed) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    Random random(seed);
    constexpr std::string_view kPieces[] = {"a", ",", "\"", "\"", "\n", "\n", "\r\n", "\r", "\"\""};
    std::string text;
    for (std::uint64_t n = random.below(400); n > 0; --n) {
      text += kPieces[random.below(std::size(kPieces))];
      if (random.chance(.003)) text += std::string(kQuotedCellBytesMax, 'y');
    }
    const auto records = [](std::string_view part) {
      std::vector<std::pair<bool, std::vector<std::string>>> out;
      std::vector<std::string> cells;
      bool sound = true;
      while (const std::size_t size = next_record(part, cells, sound)) {
        out.emplace_back(sound, cells);
        part.remove_prefix(size);
      }
      return out;
    };
    auto cut = std::vector<std::pair<bool, std::vector<std::string>>>();
    std::size_t begin = 0;
    for (std::size_t end = 0; end < text.size();) {
      end = std::min<std::size_t>(text.size(), end + 1 + random.below(40));
      const std::string_view part = std::string_view(text).substr(begin, end - begin);
      const std::size_t whole = end == text.size() ? part.size() : whole_records(part);
      for (auto& record : records(part.substr(0, whole))) cut.push_back(std::move(record));
      begin += whole;
    }
    ASSERT_EQ(cut, records(text)) << text;
  }
}

// Goal: a reason may quote anything and is still text for people and for JSON.
TEST(Rows, ReasonsAreCleanText) {
  Parsed out;
  reject(out, {"f", 1, {}}, 3, "bad '\xff\xc3\x28 \x1b[2J zoë\xe2\x82'", "row", "csv");
  EXPECT_EQ(out.rejected[0].reason, "bad '?\?( ?[2J zoë?'");
  EXPECT_EQ(shown(std::string(63, 'x') + "ëz"), std::string(63, 'x') + "...");
}

}  // namespace
}  // namespace covey::events

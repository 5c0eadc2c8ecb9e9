#include "events/rows.h"

#include <gtest/gtest.h>

namespace covey::events {
namespace {

TEST(Rows, WholeLinesEndAtTheLastLineEnd) {
  EXPECT_EQ(whole_lines(""), 0u);
  EXPECT_EQ(whole_lines("abc"), 0u);
  EXPECT_EQ(whole_lines("a\nbc"), 2u);
  EXPECT_EQ(whole_lines("a\nbc\n"), 5u);
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
    {"\"open,b", {"open,b"}, false},
    {"\"a\"x,b", {"ax", "b"}, false},
    {"a\"b,c", {"a\"b", "c"}, false},
};

TEST(Rows, RecordsAreReadAsRfc4180Says) {
  for (const Record& r : kRecords) {
    SCOPED_TRACE(r.text);
    std::vector<std::string> cells;
    bool sound = false;
    EXPECT_EQ(next_record(r.text, cells, sound), r.text.size());
    EXPECT_EQ(cells, r.cells);
    EXPECT_EQ(sound, r.sound);
  }
}

TEST(Rows, NearMatchesAreNearOnly) {
  constexpr std::string_view kKnown[] = {"learner", "time", "type", "capability"};
  EXPECT_EQ(near_match("lerner", kKnown), "learner");
  EXPECT_EQ(near_match("laerner", kKnown), "learner");
  EXPECT_EQ(near_match("tiem", kKnown), "time");
  EXPECT_EQ(near_match("capabilty", kKnown), "capability");
  EXPECT_EQ(near_match("zebra", kKnown), "");
  EXPECT_EQ(near_match("x", kKnown), "");
  EXPECT_EQ(near_match(std::string(500, 'x'), kKnown), "");
}

}  // namespace
}  // namespace covey::events

#include "events/csv.h"

#include <gtest/gtest.h>

#include "events/ndjson.h"

namespace covey::events {
namespace {

Source source() { return {"f.csv", 2, parse_time("2024-06-01T00:05:00Z").value()}; }

struct Header {
  std::string_view line, says;  // says: empty when it is good
};
const Header kHeaders[] = {
    {"learner,time,type", ""},
    {"\xef\xbb\xbflearner,time,type\r\n", ""},
    {"type,time,learner,attributes.region,score", ""},
    {"learner,tiem,type", "did you mean 'time'"},
    {"learner,time,type,attributes.", "unknown column"},
    {"learner,time,type,learner", "twice"},
    {"learner,time", "no column 'type'"},
    {"", "unknown column ''"},
    {"\"learner,time,type", "not closed"},
};

TEST(Csv, HeadersAreStrict) {
  for (const Header& header : kHeaders) {
    SCOPED_TRACE(header.line);
    const auto csv = Csv::from_header(header.line);
    if (header.says.empty()) {
      EXPECT_TRUE(csv) << csv.error().message;
    } else {
      ASSERT_FALSE(csv);
      EXPECT_EQ(csv.error().code, Errc::kRejected);
      EXPECT_NE(csv.error().message.find(header.says), std::string::npos) << csv.error().message;
    }
  }
}

TEST(Csv, RowsStandAloneAndKeepTheirLine) {
  auto csv = Csv::from_header("learner,time,type,capability,domain,score,attributes.note").value();
  Parsed out;
  csv.parse(
      "a,2024-01-01,practice,c,d,0.5,\"two\nlines\"\n"  // lines 2 and 3: not a printable value
      "a,2024-01-01,practice,c,d,,\n"                   // 4
      "a,2024-01-01,practice,c,d\n"                     // 5: too few
      "a,,session,,,,\n"                                // 6
      "a,2024-01-01,,,,,\n"                             // 7
      "a,2024-01-01,practice,\"c,1\",d,half,\n"         // 8
      "a,2024-01-01,practice,\"c,1\",d,1,\"x \"\"y\"\"\"\n"  // 9
      "a,2024-01-01,practice,\"c\"1,d,1,\n",            // 10
      source(), out);
  EXPECT_EQ(out.batch.rows(), 2u);
  EXPECT_EQ(out.batch.id(0), "f.csv:4");
  EXPECT_EQ(out.batch.id(1), "f.csv:9");
  std::vector<Attribute> room;
  const Event e = out.batch.event(1, room);
  EXPECT_EQ(e.capability, "c,1");
  ASSERT_EQ(e.attributes.size(), 1u);
  EXPECT_EQ(e.attributes[0], Attribute("note", "x \"y\""));
  std::vector<std::uint64_t> lines;
  for (const auto& r : out.rejected) {
    lines.push_back(r.line);
    EXPECT_EQ(r.context, csv.header());  // enough to read the row again
  }
  EXPECT_EQ(lines, (std::vector<std::uint64_t>{2, 5, 6, 7, 8, 10}));
}

// Goal: a quarantined row reads again by its own line and the header kept beside it.
TEST(Csv, ARejectedRowReadsAgain) {
  auto csv = Csv::from_header("learner,time,type,acted_on").value();
  Parsed out;
  csv.parse("a,2024-01-01,feedback,maybe\n", source(), out);
  ASSERT_EQ(out.rejected.size(), 1u);
  auto again = Csv::from_header(out.rejected[0].context).value();
  Parsed second;
  again.parse("a,2024-01-01,feedback,true", source(), second);
  EXPECT_EQ(second.batch.rows(), 1u);
}

}  // namespace
}  // namespace covey::events

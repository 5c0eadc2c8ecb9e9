#include "events/ndjson.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/random.h"

namespace covey::events {
namespace {

Source source() {
  return {"f.ndjson", 1, parse_time("2024-06-01T00:05:00Z").value()};
}

// Each row alone: what it is taken for, or why it is refused. Control first.
struct Row {
  std::string_view line;
  std::string_view says;  // empty: taken
};
const Row kRows[] = {
    {R"({"learner":"a","time":"2024-01-01T00:00:00Z","type":"session"})", ""},
    {R"( {"id":"7","type":"session","time":"2024-01-01","learner":"a"} )", ""},
    {R"({"learner":12,"time":"2024-01-01T00:00:00Z","type":"session"})", ""},
    {R"({"learner":"a","time":"2024-01-01T00:00:00Z","type":"session","score":null})", ""},
    {R"({"learner":"a","time":"2024-06-01T00:05:00Z","type":"session"})", ""},
    {R"({"learner":"a","time":"2024-06-01T00:05:01Z","type":"session"})", "ahead of the clock"},
    {R"({"l\u0065arner":"a","time":"2024-01-01T00:00:00Z","type":"session"})", ""},
    {"{\"learner\" :\t\"a\" , \"time\": \"2024-01-01\" ,\"type\":\"session\" }\r", ""},
    {R"({"learner":-12,"id":18446744073709551616,"time":"2024-01-01","type":"session"})", ""},
    {R"({"learner":null,"time":"2024-01-01","type":"session"})", "learner is missing"},
    {R"({"learner":null,"learner":"a","time":"2024-01-01","type":"session"})", "twice"},
    {R"({"learner":nul,"time":"2024-01-01","type":"session"})", "JSON"},
    {R"({"learner":nullx,"time":"2024-01-01","type":"session"})", "JSON"},
    {R"({"learner":"a"x,"time":"2024-01-01","type":"session"})", "JSON"},
    {R"({"learner":007,"time":"2024-01-01","type":"session"})", "learner must be"},
    {R"({"learner":true,"time":"2024-01-01","type":"session"})", "learner must be"},
    {R"({"id":"","learner":"a","time":"2024-01-01","type":"session"})", "id is empty"},
    {R"({"learner":"\q","time":"2024-01-01","type":"session"})", "learner must be"},
    {R"({"learner":"\ud800","time":"2024-01-01","type":"session"})", "learner"},
    {R"({"learner":"a","time":"2024-01-01","type":"session","score":1e999})", "score must be"},
    {R"({"learner":"a","time":"2024-01-01","type":"session","score":NaN})", "score must be"},
    {R"({"learner":"a","time":"2024-01-01","type":"session","amount":1})", "needs a currency"},
    {R"({"learner":1.5,"time":"2024-01-01T00:00:00Z","type":"session"})", "learner must be"},
    {R"({"learner":"a","time":1704067200,"type":"session"})", "time must be a string"},
    {R"({"learner":"a","time":"2024-01-01 noon","type":"session"})", "RFC 3339"},
    {R"({"learner":"a","time":"2024-01-01T00:00:00Z","type":"practise"})",
     "did you mean 'practice'"},
    {R"({"learner":"a","time":"2024-01-01T00:00:00Z","type":"practice"})", "needs a capability"},
    {R"({"lerner":"a","time":"2024-01-01T00:00:00Z","type":"session"})", "did you mean 'learner'"},
    {R"({"learner":"a","timestamp":"2024-01-01T00:00:00Z","type":"session"})",
     "unknown field 'timestamp'; did you mean 'time'?"},
    {R"({"userId":"a","time":"2024-01-01T00:00:00Z","type":"session"})", "did you mean 'learner'"},
    {R"({"LEARNER":"a","time":"2024-01-01T00:00:00Z","type":"session"})", "did you mean 'learner'"},
    {R"({"time":"2024-01-01T00:00:00Z","type":"session"})", "learner is missing"},
    {R"({"learner":"a","type":"session"})", "time is missing"},
    {R"({"learner":"a","time":"2024-01-01T00:00:00Z"})", "type is missing"},
    {R"({"learner":"a","learner":"b","time":"2024-01-01T00:00:00Z","type":"session"})", "twice"},
    {R"({"learner":"a","time":"2024-01-01T00:00:00Z","type":"session"} {})", "JSON"},
    {R"({"learner":"a","time":"2024-01-01T00:00:00Z","type":"session")", "cut off"},
    {R"( {"learner":"a","time":"2024-01-01T00:00:0)", "never closed"},
    {R"({"learner":"a","time":"2024-01-01T00:00:00Z","type":"session",})", "JSON"},
    {R"({"learner":"a" "time":"2024-01-01T00:00:00Z","type":"session"})", "JSON"},
    {R"( [1,2])", "an array, not a JSON object"},
    {R"("text")", "JSON object"},
    {R"({)", "JSON"},
    {R"(nonsense)", "JSON"},
    {"{\"learner\":\"a\xff\",\"time\":\"2024-01-01\",\"type\":\"session\"}", "UTF-8"},
    {R"({"learner":"a\u0000b","time":"2024-01-01","type":"session"})", "control characters"},
    {R"({"learner":"a","time":"2024-01-01","type":"feedback","acted_on":"yes"})", "true or false"},
    {R"({"learner":"a","time":"2024-01-01","type":"feedback"})", "needs acted_on"},
    {R"({"learner":"a","time":"2024-01-01","type":"session","count":-1})", "count must be"},
    {R"({"learner":"a","time":"2024-01-01","type":"session","score":2})", "outside 0 to 1"},
    {R"({"learner":"a","time":"2024-01-01","type":"profile","attributes":{"a":[1]}})",
     "attribute 'a'"},
    {R"({"learner":"a","time":"2024-01-01","type":"profile","attributes":{"a":1,"a":2}})",
     "stands twice"},
    {R"({"learner":"a","time":"2024-01-01","type":"profile","attributes":{}})", "needs attributes"},
};

TEST(Ndjson, TakesARowOrSaysWhyNot) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.line);
    Ndjson codec;
    Parsed out;
    codec.parse(row.line, source(), out);
    ASSERT_EQ(out.batch.rows() + out.rejected.size(), 1u);
    if (row.says.empty()) {
      EXPECT_EQ(out.batch.rows(), 1u) << (out.rejected.empty() ? "" : out.rejected[0].reason);
    } else {
      ASSERT_EQ(out.rejected.size(), 1u);
      EXPECT_NE(out.rejected[0].reason.find(row.says), std::string::npos) << out.rejected[0].reason;
      EXPECT_EQ(out.rejected[0].row, row.line);
      EXPECT_EQ(out.rejected[0].source, "f.ndjson");
      EXPECT_EQ(out.rejected[0].line, 1u);
    }
  }
}

TEST(Ndjson, ReadsEveryField) {
  Ndjson codec;
  Parsed out;
  codec.parse(
      R"({"id":"e1","learner":"Zo\u00eb","time":"2024-01-02T03:04:05.5+01:00","type":"practice",)"
      R"("capability":"c\"1","domain":7,"score":0.25,"duration_s":12.5,"count":3,)"
      R"("attributes":{"s":"x","n":1.50,"b":true,"gone":null}})"
      "\n",
      source(), out);
  ASSERT_EQ(out.batch.size(), 1u) << out.rejected[0].reason;
  std::vector<Attribute> room;
  const Event e = out.batch.event(0, room);
  EXPECT_EQ(e.id, "e1");
  EXPECT_EQ(e.learner, "Zoë");
  EXPECT_EQ(format_time(e.time), "2024-01-02T02:04:05.5Z");
  EXPECT_EQ(e.capability, "c\"1");
  EXPECT_EQ(e.domain, "7");
  EXPECT_EQ(e.score, .25);
  EXPECT_EQ(e.duration_s, 12.5);
  EXPECT_EQ(e.count, 3u);
  ASSERT_EQ(e.attributes.size(), 3u);
  EXPECT_EQ(e.attributes[1], Attribute("n", "1.50"));
  EXPECT_EQ(e.attributes[2], Attribute("b", "true"));
}

// Goal: a bad line harms no other, lines are counted as an editor counts them, and rows without
// an id are named by source and line.
TEST(Ndjson, LinesStandAlone) {
  const std::string good = R"({"learner":"a","time":"2024-01-01","type":"session"})";
  Ndjson codec;
  Parsed out;
  codec.parse(good + "\r\n\n{broken\n  \n" + good + "\n" + good, source(), out);
  ASSERT_EQ(out.batch.rows(), 3u);
  ASSERT_EQ(out.rejected.size(), 1u);
  EXPECT_EQ(out.rejected[0].line, 3u);
  EXPECT_EQ(out.batch.id(0), "f.ndjson:1");
  EXPECT_EQ(out.batch.id(1), "f.ndjson:5");
  EXPECT_EQ(out.batch.id(2), "f.ndjson:6");
}

// Goal: the last lines, which are read from a copy, say the same as if more text came behind; and
// nothing is read past the end (the text stands right at the end of its block, for ASan to see).
TEST(Ndjson, TheEndOfTheTextIsNothingSpecial) {
  const std::string line =
      R"({"learner":"a","time":"2024-01-01","type":"profile","attributes":{"k":"v\n"}})"
      "\n{\"bad\n"
      R"({"learner":"b","time":"2024-01-01","type":"session"})"
      "\n";
  for (std::size_t size = 0; size <= line.size(); ++size) {
    const std::vector<char> exact(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(size));
    Ndjson codec;
    Parsed at_end, amid;
    codec.parse({exact.data(), exact.size()}, source(), at_end);
    codec.parse(line.substr(0, size) + "\n" + std::string(200, ' '), source(), amid);
    EXPECT_TRUE(at_end.batch.encode() == amid.batch.encode()) << size;
    ASSERT_EQ(at_end.rejected.size(), amid.rejected.size()) << size;
    for (std::size_t i = 0; i < amid.rejected.size(); ++i) {
      EXPECT_EQ(at_end.rejected[i].reason, amid.rejected[i].reason);
      EXPECT_EQ(at_end.rejected[i].row, amid.rejected[i].row);
    }
  }
}

TEST(Ndjson, PassesOverAByteOrderMark) {
  Ndjson codec;
  Parsed out;
  codec.parse("\xef\xbb\xbf{\"learner\":\"a\",\"time\":\"2024-01-01\",\"type\":\"session\"}",
              source(), out);
  EXPECT_EQ(out.batch.rows(), 1u);
}

// Goal: whatever the bytes and wherever they are cut, every non-blank line is one row.
TEST(Ndjson, NothingIsLostWhateverTheBytes) {
  Random random(9);
  const std::string good = R"({"learner":"a","time":"2024-01-01","type":"session"})";
  Ndjson codec;
  for (int trial = 0; trial < 3'000; ++trial) {
    std::string text;
    std::uint64_t rows = 0;
    for (std::uint64_t n = random.below(6); n > 0; --n) {
      std::string line = good;
      for (std::uint64_t flips = random.below(4); flips > 0; --flips) {
        line[random.below(line.size())] = static_cast<char>(33 + random.below(223));
      }
      text += line + "\n";
      ++rows;
    }
    Parsed out;
    codec.parse(text, source(), out);
    ASSERT_EQ(out.batch.rows() + out.rejected.size(), rows) << text;
  }
}

}  // namespace
}  // namespace covey::events

#include "events/csv.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "events/ndjson.h"

namespace covey::events {
namespace {

Source source() {
  return {"f.csv", 2, parse_time("2024-06-01T00:05:00Z").value()};
}

struct Header {
  std::string_view line, says;  // says: empty when it is good
};
const Header kHeaders[] = {
    {"learner,time,type", ""},
    {"\xef\xbb\xbflearner,time,type\r\n", ""},
    {"type,time,learner,attributes.region,score", ""},
    {"learner,tiem,type", "did you mean 'time'"},
    {"student_id,time,type", "did you mean 'learner'"},
    // What has no column here is not offered.
    {"learner,time,type,properties", "unknown column 'properties'. Columns are"},
    {"learner,time,type,attributes.", "unknown column"},
    {"learner,time,type,learner", "twice"},
    {"learner,time", "no column 'type'"},
    {"", "no column 'learner'"},
    {"learner,,time,type", "unknown column ''"},
    {"\"learner,time,type", "not closed"},
    {"learner;time;type", "separated by semicolons"},
    {"learner\ttime\ttype", "separated by tabs"},
    {"learner;time,type", "unknown column 'learner;time'"},
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
      "a,2024-01-01,practice,c,d,0.5,\"two\nlines\"\n"       // lines 2 and 3: not a printable value
      "a,2024-01-01,practice,c,d,,\n"                        // 4
      "a,2024-01-01,practice,c,d\n"                          // 5: too few
      "a,,session,,,,\n"                                     // 6
      "a,2024-01-01,,,,,\n"                                  // 7
      "a,2024-01-01,practice,\"c,1\",d,half,\n"              // 8
      "a,2024-01-01,practice,\"c,1\",d,1,\"x \"\"y\"\"\"\n"  // 9
      "a,2024-01-01,practice,\"c\"1,d,1,\n",                 // 10
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

struct Row {
  std::string_view line, says;  // says: the whole reason; empty when it is taken
};
const Row kRows[] = {
    {"1,a,2024-01-01T00:00:00Z,session,,,,,,,,,", ""},
    {"1,a,2024-01-01,practice,c,d,,0.5,1e2,,,3,x", ""},
    {",a,2024-01-01,purchase,,,,,,9.90,EUR,,", ""},
    {"1,,2024-01-01,session,,,,,,,,,", "learner is missing"},
    {"1,a,2024-01-01,sesion,,,,,,,,,", "unknown type 'sesion'; did you mean 'session'?"},
    {"1,a,2024-01-01,feedback,,,yes,,,,,,", "acted_on 'yes' must be true or false"},
    {"1,a,2024-01-01,feedback,,,,,,,,,", "feedback needs acted_on, true or false"},
    {"1,a,2024-01-01,session,,,,0x1,,,,,", "score '0x1' must be a number"},
    {"1,a,2024-01-01,session,,,,nan,,,,,", "score nan is outside 0 to 1"},
    {"1,a,2024-01-01,session,,,,,inf,,,,", "duration_s inf is not a number of seconds from 0 up"},
    {"1,a,2024-01-01,session,,,,,,inf,EUR,,", "amount is not a finite number"},
    {"1,a,2024-01-01,session,,,,,,,,-1,", "count '-1' must be a whole number from 0 to 4294967295"},
    {"1,a,2024-01-01,session,,,,,,,,,,", "14 cells where the header has 13"},
    {"1,a,\"2024-01-01,session,,,,,,,,,",
     "a quote is not closed, or stands inside a cell that does not begin with one"},
    {"1,\xff,2024-01-01,session,,,,,,,,,", "learner is not valid UTF-8 or has control characters"},
};

// Goal: each row is taken or refused for the exact reason, at its line, whatever stands around it.
TEST(Csv, TakesARowOrSaysWhyNot) {
  std::string text;
  std::vector<std::pair<std::uint64_t, std::string_view>> wanted;
  std::uint64_t line = 2;
  for (const Row& row : kRows) {
    text += fmt::format("{}{}\n", row.line, line % 2 == 0 ? "\r" : "");
    if (!row.says.empty()) wanted.emplace_back(line, row.says);
    ++line;
    if (line % 5 == 0) {
      text += "\n";  // blank lines are no rows, but lines
      ++line;
    }
  }
  auto csv = Csv::from_header(
                 "id,learner,time,type,capability,domain,acted_on,score,duration_s,amount,"
                 "currency,count,attributes.k")
                 .value();
  Parsed out;
  csv.parse(text, source(), out);
  EXPECT_EQ(out.batch.rows() + out.rejected.size(), std::size(kRows));
  ASSERT_EQ(out.rejected.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(out.rejected[i].line, wanted[i].first);
    EXPECT_EQ(out.rejected[i].reason, wanted[i].second);
  }
}

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

// Goal: the same events, written as NDJSON or as CSV, are the same batch to the byte.
TEST(Csv, SaysTheSameAsNdjson) {
  const char* wanted = std::getenv("COVEY_SEED");
  const std::uint64_t first = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 0;
  for (std::uint64_t seed = first; seed < (wanted != nullptr ? first + 1 : 40); ++seed) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    Random random(seed);
    constexpr std::string_view kTexts[] = {"a",
                                           "zoë",
                                           "x,y",
                                           "say \"hi\"",
                                           "back\\slash",
                                           "1 2",
                                           "a rather long name of some thirty bytes"};
    const auto text = [&] { return kTexts[random.below(std::size(kTexts))]; };
    std::string ndjson;
    std::string csv =
        "attributes.k,count,currency,amount,duration_s,score,acted_on,domain,"
        "capability,type,time,learner,id\n";
    const std::size_t header = csv.size();
    for (std::uint64_t n = random.below(40); n > 0; --n) {
      const auto type = static_cast<EventType>(random.below(kEventTypes));
      const bool practice = type == EventType::kPractice, bought = type == EventType::kPurchase;
      const auto cell = [&](std::string_view name, bool given, std::string value, bool quoted) {
        if (given) {
          ndjson += fmt::format(",\"{}\":{}", name, quoted ? json_text(value) : value);
        } else if (random.chance(.1)) {
          ndjson += fmt::format(",\"{}\":null", name);
        }
        return given ? csv_cell(value) : std::string();
      };
      const std::string value(text());
      const bool attribute = type == EventType::kProfile || random.chance(.2);
      ndjson += attribute ? fmt::format("{{\"attributes\":{{\"k\":{}}}", json_text(value))
                          : "{\"attributes\":null";
      csv += attribute ? csv_cell(value) : "";
      const Time time = parse_time("2024-01-01").value() +
                        std::chrono::microseconds(random.below(std::uint64_t{86'400'000'000}));
      const std::string cells[] = {
          cell("count", random.chance(.3), fmt::to_string(random.below(1u << 31)), false),
          cell("currency", bought, "GBP", true),
          cell("amount", bought, fmt::to_string(random.normal()), false),
          cell("duration_s", random.chance(.3), fmt::to_string(random.uniform() * 100), false),
          cell("score", random.chance(.3), fmt::to_string(random.uniform()), false),
          cell("acted_on", type == EventType::kFeedback, random.chance(.5) ? "true" : "false",
               false),
          cell("domain", practice || random.chance(.2), std::string(text()), true),
          cell("capability", practice || random.chance(.2), std::string(text()), true),
          cell("type", true, std::string(name(type)), true),
          cell("time", true, format_time(time), true),
          cell("learner", true, std::string(text()), true),
          cell("id", true, fmt::format("{}-{}", text(), n), true)};
      for (const std::string& c : cells) csv += ',' + c;
      csv += '\n';
      ndjson += "}\n";
    }
    Parsed by_ndjson, by_csv;
    Ndjson().parse(ndjson, source(), by_ndjson);
    auto codec = Csv::from_header(std::string_view(csv).substr(0, header)).value();
    codec.parse(std::string_view(csv).substr(header), source(), by_csv);
    ASSERT_EQ(by_ndjson.rejected.size(), 0u) << by_ndjson.rejected[0].reason << ndjson;
    ASSERT_EQ(by_csv.rejected.size(), 0u) << by_csv.rejected[0].reason << csv;
    EXPECT_TRUE(by_ndjson.batch.encode() == by_csv.batch.encode()) << ndjson << csv;
  }
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

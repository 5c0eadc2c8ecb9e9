#include "events/oulad.h"

#include <array>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>
#include <nlohmann/json.hpp>

#include "base/time.h"

namespace covey::events {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr std::string_view kHeader = "ts,day,course,learner,type,object,activity,value";
constexpr std::string_view kLearners =
    "course,learner,gender,region,imd_band\n"
    "C1,7,F,\"Wales, North\",\n"
    "C1,8,M,Scotland,20-30%\n"
    "C2,9,,,\n";
constexpr std::string_view kAssessments =
    "course,assessment,type,due_day,weight\n"
    "C1,11,TMA,19.0,10.0\n"
    "C1,12,Exam,,100.0\n"
    "C2,11,TMA,40.0,10.0\n";
constexpr std::string_view kCourses =
    "course,start,length_days\n"
    "C1,2013-10-01,268\n"
    "C2,2014-10-01,269\n";

Source at_line(std::uint64_t line) {
  return {"events_C1.csv", line, latest_time()};
}

Oulad small() {
  auto codec = Oulad::from_tables(kLearners, kAssessments, kCourses);
  EXPECT_TRUE(codec.has_value()) << codec.error().message;
  EXPECT_TRUE(codec->begin_file("events_C1.csv", kHeader).has_value());
  return std::move(*codec);
}

/// An event in one line, so that a table can say what is wanted and a failure can be read.
std::string told(const Batch& batch, std::uint32_t row) {
  std::vector<Attribute> attributes;
  const Event e = batch.event(row, attributes);
  std::ostringstream out;
  out << e.id << ' ' << e.learner << ' ' << format_time(e.time) << ' ' << name(e.type);
  if (e.part == RowPart::kContinuation) out << " continued";
  if (e.part == RowPart::kBeside) out << " beside";
  if (!e.capability.empty()) out << " capability=" << e.capability;
  if (!e.domain.empty()) out << " domain=" << e.domain;
  if (e.acted_on) out << " acted_on=" << *e.acted_on;
  if (e.score) out << " score=" << *e.score;
  if (e.count) out << " count=" << *e.count;
  for (const auto& [key, value] : e.attributes) out << ' ' << key << "='" << value << '\'';
  return out.str();
}

std::vector<std::string> told(const Batch& batch) {
  std::vector<std::string> out;
  for (std::uint32_t i = 0; i < batch.size(); ++i) out.push_back(told(batch, i));
  return out;
}

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string read_zst(const std::string& path) {
  const std::string packed = read(path);
  std::string out;
  const auto stream =
      std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)>(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::vector<char> room(1 << 20);
  while (in.pos < in.size) {
    ZSTD_outBuffer to{room.data(), room.size(), 0};
    const std::size_t left = ZSTD_decompressStream(stream.get(), &to, &in);
    EXPECT_FALSE(ZSTD_isError(left)) << path;
    if (ZSTD_isError(left)) break;
    out.append(room.data(), to.pos);
  }
  return out;
}

const std::string kPackage = std::string(COVEY_SOURCE_DIR) + "/data/oulad/";
const std::array<std::string, 3> kRuns = {"AAA-2013J", "AAA-2014J", "BBB-2013B"};

Oulad real_tables() {
  auto codec =
      Oulad::from_tables(read(kPackage + "learners.csv"), read(kPackage + "assessments.csv"),
                         read(kPackage + "courses.csv"));
  EXPECT_TRUE(codec.has_value()) << codec.error().message;
  return std::move(*codec);
}

// Goal: what each type of row becomes. First row: the control, a plain click.
TEST(Oulad, TurnsEachTypeOfRowIntoItsEvents) {
  struct Case {
    std::string row;
    std::vector<std::string> events;
  };
  const Case cases[] = {
      {"2013-10-02T00:00:00Z,1,C1,7,click,546614,homepage,3",
       {"events_C1.csv:2 C1/7 2013-10-02T00:00:00Z practice capability=546614 domain=homepage "
        "count=3"}},
      {"2013-03-17T00:00:00Z,-198,C1,7,register,,,",
       {"events_C1.csv:2 C1/7 2013-03-17T00:00:00Z enrol domain=C1",
        "events_C1.csv:2 C1/7 2013-03-17T00:00:00Z profile continued gender='F' "
        "region='Wales, North'"}},
      {"2013-03-17T00:00:00Z,-198,C1,8,register,,,",
       {"events_C1.csv:2 C1/8 2013-03-17T00:00:00Z enrol domain=C1",
        "events_C1.csv:2 C1/8 2013-03-17T00:00:00Z profile continued gender='M' region='Scotland' "
        "imd_band='20-30%'"}},
      // Not in learners.csv, and in it without one filled cell: no profile, and no fault.
      {"2013-03-17T00:00:00Z,-198,C1,99,register,,,",
       {"events_C1.csv:2 C1/99 2013-03-17T00:00:00Z enrol domain=C1"}},
      {"2014-03-17T00:00:00Z,-198,C2,9,register,,,",
       {"events_C1.csv:2 C2/9 2014-03-17T00:00:00Z enrol domain=C2"}},
      {"2013-10-20T00:00:00Z,19,C1,7,submit,11,TMA,78",
       {"events_C1.csv:2 C1/7 2013-10-20T00:00:00Z practice capability=assessment-11 "
        "domain=assessment score=0.78",
        "events_C1.csv:2 C1/7 2013-10-20T00:00:00Z feedback continued acted_on=1"}},
      {"2013-10-21T00:00:00Z,20,C1,7,submit,11,TMA,",  // a day late, and no score
       {"events_C1.csv:2 C1/7 2013-10-21T00:00:00Z practice capability=assessment-11 "
        "domain=assessment",
        "events_C1.csv:2 C1/7 2013-10-21T00:00:00Z feedback continued acted_on=0"}},
      {"2014-10-21T00:00:00Z,20,C2,9,banked,11,TMA,0",  // the other course's due day
       {"events_C1.csv:2 C2/9 2014-10-21T00:00:00Z practice capability=assessment-11 "
        "domain=assessment score=0",
        "events_C1.csv:2 C2/9 2014-10-21T00:00:00Z feedback continued acted_on=1"}},
      {"2014-06-01T00:00:00Z,243,C1,7,submit,12,Exam,100",  // no due day
       {"events_C1.csv:2 C1/7 2014-06-01T00:00:00Z practice capability=assessment-12 "
        "domain=assessment score=1",
        "events_C1.csv:2 C1/7 2014-06-01T00:00:00Z feedback continued acted_on=1"}},
      {"2014-06-01T00:00:00Z,243,C1,7,submit,77,TMA,50",  // not in assessments.csv
       {"events_C1.csv:2 C1/7 2014-06-01T00:00:00Z practice capability=assessment-77 "
        "domain=assessment score=0.5",
        "events_C1.csv:2 C1/7 2014-06-01T00:00:00Z feedback continued acted_on=1"}},
      {"2013-11-02T00:00:00Z,32,C1,7,withdraw,,,",
       {"events_C1.csv:2 C1/7 2013-11-02T00:00:00Z withdraw domain=C1"}},
      {"2013-10-02T00:00:00Z,1,C1,7,click,546614,\"home \"\"page\"\", new\",3\r",
       {"events_C1.csv:2 C1/7 2013-10-02T00:00:00Z practice capability=546614 "
        "domain=home \"page\", new count=3"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.row);
    Oulad codec = small();
    Parsed out;
    codec.parse(c.row + "\n", at_line(2), out);
    EXPECT_EQ(told(out.batch), c.events);
    EXPECT_TRUE(out.rejected.empty()) << out.rejected[0].reason;
    EXPECT_EQ(out.batch.rows(), 1u);
  }
}

// Goal: a bad row costs itself alone, and its reason says what to mend. First row: the control.
TEST(Oulad, RejectsBadRowsWithAReason) {
  const std::pair<std::string, std::string> cases[] = {
      {"2013-10-02T00:00:00Z,1,C1,7,click,546614,homepage,3", ""},
      {"2013-10-02T00:00:00Z,1,C1,7,clik,546614,homepage,3", "did you mean 'click'?"},
      {"2013-10-02T00:00:00Z,1,C1,7,,546614,homepage,3", "type is missing"},
      {"2013-10-02T00:00:00Z,one,C1,7,click,546614,homepage,3", "day 'one' is not a whole number"},
      {"2013-10-02T00:00:00Z,,C1,7,submit,11,TMA,3", "day '' is not a whole number"},
      {"yesterday,1,C1,7,click,546614,homepage,3", "ts: 'yesterday' is not an RFC 3339 time"},
      {",1,C1,7,click,546614,homepage,3", "ts: '' is not an RFC 3339 time"},
      {"2013-10-02T00:00:00Z,1,,7,click,546614,homepage,3", "course is missing"},
      {"2013-10-02T00:00:00Z,1,C1,,click,546614,homepage,3", "learner is missing"},
      {"2013-10-02T00:00:00Z,1,C1,7,click,,homepage,3", "click needs a site in object"},
      {"2013-10-02T00:00:00Z,1,C1,7,click,546614,,3", "click needs an activity"},
      {"2013-10-02T00:00:00Z,1,C1,7,click,546614,homepage,", "value '' is not a number of clicks"},
      {"2013-10-02T00:00:00Z,1,C1,7,click,546614,homepage,0",
       "value '0' is not a number of clicks"},
      {"2013-10-02T00:00:00Z,1,C1,7,click,546614,homepage,1.5", "value '1.5' is not a number"},
      {"2013-10-02T00:00:00Z,1,C1,7,submit,,TMA,78", "submit needs an assessment in object"},
      {"2013-10-02T00:00:00Z,1,C1,7,banked,,TMA,78", "banked needs an assessment in object"},
      {"2013-10-02T00:00:00Z,1,C1,7,submit,11,TMA,101", "value '101' is not a score from 0 to 100"},
      {"2013-10-02T00:00:00Z,1,C1,7,submit,11,TMA,-1", "value '-1' is not a score"},
      {"2013-10-02T00:00:00Z,1,C1,7,submit,11,TMA,nan", "value 'nan' is not a score"},
      {"2013-10-02T00:00:00Z,1,C1,7,submit,11,TMA,A+", "value 'A+' is not a score"},
      {"2013-10-02T00:00:00Z,1,C1,7,click,546614,homepage", "7 cells where the header has 8"},
      {"2013-10-02T00:00:00Z,1,C1,7,click,5,homepage,3,4", "9 cells where the header has 8"},
      {"2013-10-02T00:00:00Z,1,C1,7,click,\"546614,homepage,3", "a quote is not closed"},
      {"2013-10-02T00:00:00Z,1,C1," + std::string(200, '7') + ",click,5,homepage,3",
       "learner has 203 bytes; at most 128 are allowed"},
      {"2013-10-02T00:00:00Z,1,C1,\xff\xfe,click,5,homepage,3", "learner is not valid UTF-8"},
      {"2199-10-02T00:00:00Z,1,C1,7,click,5,homepage,3", "5 minutes ahead of the clock"},
  };
  const std::string good = "2013-10-03T00:00:00Z,2,C1,8,click,9,forumng,1\n";
  for (const auto& [row, reason] : cases) {
    SCOPED_TRACE(row);
    Oulad codec = small();
    Parsed out;
    Source source = at_line(41);
    source.latest = *parse_time("2030-01-01");
    codec.parse(good + row + "\n\n" + good, source, out);
    EXPECT_EQ(out.batch.rows(), reason.empty() ? 3u : 2u);
    ASSERT_EQ(out.rejected.size(), reason.empty() ? 0u : 1u);
    EXPECT_THAT(told(out.batch, out.batch.size() - 1), HasSubstr("events_C1.csv:44 C1/8"));
    if (reason.empty()) continue;
    const Rejection& r = out.rejected[0];
    EXPECT_THAT(r.reason, HasSubstr(reason));
    EXPECT_EQ(r.source, "events_C1.csv");
    EXPECT_EQ(r.line, 42u);
    EXPECT_EQ(r.row, row);
    EXPECT_EQ(r.format, "oulad");
    EXPECT_EQ(r.context, kHeader);
  }
}

// Goal: tables that cannot be read name the place and the way out. First row: the control.
TEST(Oulad, NamesTheFaultOfATable) {
  struct Case {
    std::string learners, assessments, courses, message;
  };
  const std::string learners(kLearners), assessments(kAssessments), courses(kCourses);
  const Case cases[] = {
      {learners, assessments, courses, ""},
      {"\xef\xbb\xbf" + learners, "\xef\xbb\xbf" + assessments, "\xef\xbb\xbf" + courses, ""},
      {"course,learner\nC1,1\n", assessments, courses, ""},
      {"", assessments, courses, "learners.csv, line 1: the table is empty"},
      {learners, "", courses, "assessments.csv, line 1: the table is empty"},
      {learners, assessments, "", "courses.csv, line 1: the table is empty"},
      {"course,lerner\n", assessments, courses,
       "learners.csv, line 1: no column 'learner'; rename 'lerner'"},
      {"course,learner,learner\n", assessments, courses, "column 'learner' is there twice"},
      {learners + "C1,10\n", assessments, courses,
       "learners.csv, line 5: 2 cells where the header has 5"},
      {learners + "C1,7,F,,\n", assessments, courses,
       "learners.csv, line 5: learner 'C1/7' stands in line 2 already"},
      {learners + "C1,,F,,\n", assessments, courses, "learners.csv, line 5: learner is empty"},
      {learners + "AAA-2013K,5,F,,\n", assessments, courses + "AAA-2013J,2013-10-01,1\n",
       "course 'AAA-2013K' has no row in courses.csv; did you mean 'AAA-2013J'?"},
      {learners + "C1,5,\"F,,\n", assessments, courses, "a quote is not closed"},
      {learners + "C1,5," + std::string(2000, 'x') + ",,\n", assessments, courses,
       "learners.csv, line 5: attribute 'gender' has 2000 bytes"},
      {"course,learner,\nC1,1,x\n", assessments, courses, "an attribute has an empty name"},
      {learners, assessments + "C1,11,TMA,3,4\n", courses,
       "assessments.csv, line 5: assessment '11' of course 'C1' is there already"},
      {learners, assessments + "C1,15,TMA,soon,4\n", courses, "due_day 'soon' is not a number"},
      {learners, "course,assessment,dueday\n", courses, "no column 'due_day'; rename 'dueday'"},
      {learners, assessments, courses + "C3,never,4\n",
       "courses.csv, line 4: start: 'never' is not an RFC 3339 time"},
      {learners, assessments, courses + "C2,2013-01-01,4\n", "course 'C2' is there already"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.message);
    const auto codec = Oulad::from_tables(c.learners, c.assessments, c.courses);
    ASSERT_EQ(codec.has_value(), c.message.empty());
    if (codec) continue;
    EXPECT_EQ(codec.error().code, Errc::kRejected);
    EXPECT_THAT(codec.error().message, HasSubstr(c.message));
  }
}

TEST(Oulad, ReadsColumnsByName) {
  struct Case {
    std::string header, message;
  };
  const Case cases[] = {
      {std::string(kHeader), ""},
      {"\xef\xbb\xbf" + std::string(kHeader) + "\r\n", ""},
      {"ts,day,course,learner,type,object,activty,value",
       "e.csv, line 1: no column 'activity'; rename 'activty' if that is the one"},
      {"ts,day,course,learner,type,object,value", "no column 'activity'; the header has ts,day,"},
      {"ts,ts,day,course,learner,type,object,activity,value", "column 'ts' is there twice"},
      {"", "no column 'ts'"},
      {"\"ts", "a quote is not closed"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.header);
    Oulad codec = small();
    const auto begun = codec.begin_file("e.csv", c.header);
    ASSERT_EQ(begun.has_value(), c.message.empty());
    if (begun) continue;
    EXPECT_THAT(begun.error().message, HasSubstr(c.message));
  }

  Oulad codec = small();
  ASSERT_TRUE(codec.begin_file("e.csv", "value,note,type,ts,learner,activity,object,course,day"));
  Parsed out;
  codec.parse("4,x,click,2013-10-02T00:00:00Z,7,url,33,C1,1", at_line(2), out);
  EXPECT_THAT(told(out.batch), ElementsAre("events_C1.csv:2 C1/7 2013-10-02T00:00:00Z practice "
                                           "capability=33 domain=url count=4"));
}

// Goal: profiles of those who never registered, at their course's start, and of nobody else.
TEST(Oulad, FinishTellsOfLearnersWithoutARegisterRow) {
  auto codec = Oulad::from_tables(kLearners, kAssessments, kCourses, "spring/");
  ASSERT_TRUE(codec.has_value());
  ASSERT_TRUE(codec->begin_file("events_C1.csv", kHeader));
  Parsed out;
  codec->parse(
      "2013-03-17T00:00:00Z,-198,C1,7,register,,,\n"
      "2013-13-17T00:00:00Z,-198,C1,8,register,,,\n",  // rejected, so 8 has not registered
      at_line(2), out);
  ASSERT_EQ(out.rejected.size(), 1u);
  Parsed rest;
  codec->finish(rest);
  EXPECT_THAT(told(rest.batch),
              ElementsAre("spring/learners.csv:3:C1/8 C1/8 2013-10-01T00:00:00Z profile beside "
                          "gender='M' region='Scotland' imd_band='20-30%'"));
  EXPECT_EQ(rest.batch.rows(), 0u);
}

// Goal: the real package, whole: every row counted, none refused, the known quantities met.
TEST(Oulad, ReadsTheRealPackageWhole) {
  Oulad codec = real_tables();
  const auto counts = nlohmann::json::parse(read(kPackage + "counts.json"));
  std::set<std::string, std::less<>> learners;
  std::uint64_t rows = 0, late = 0;
  for (const auto& run : kRuns) {
    SCOPED_TRACE(run);
    const std::string file = "events_" + run + ".csv.zst";
    const std::string text = read_zst(kPackage + file);
    const std::size_t header = text.find('\n');
    ASSERT_TRUE(codec.begin_file(file, std::string_view(text).substr(0, header)));
    Parsed out;
    codec.parse(std::string_view(text).substr(header + 1), {file, 2, latest_time()}, out);
    ASSERT_TRUE(out.rejected.empty()) << out.rejected[0].line << ": " << out.rejected[0].reason;

    std::map<std::string, std::uint64_t> seen;
    std::uint64_t clicks = 0;
    std::set<std::string, std::less<>> clickers;
    std::vector<Attribute> room;
    for (std::uint32_t i = 0; i < out.batch.size(); ++i) {
      room.clear();
      const Event e = out.batch.event(i, room);
      ASSERT_EQ(e.part == RowPart::kContinuation,
                e.type == EventType::kFeedback || e.type == EventType::kProfile);
      if (e.part == RowPart::kContinuation) {
        ASSERT_EQ(e.id, out.batch.id(i - 1));
      }
      ++seen[std::string(name(e.type)) + (e.count ? " clicks" : "")];
      if (e.count) {
        clicks += *e.count;
        clickers.emplace(e.learner);
      }
      if (e.type == EventType::kFeedback && !*e.acted_on) ++late;
    }
    for (std::uint32_t i = 0; i < out.batch.learners().size(); ++i) {
      learners.emplace(out.batch.learners()[i]);
    }
    const auto& want = counts[run];
    const auto& events = want["events"];
    const std::uint64_t handed_in =
        events["submit"].get<std::uint64_t>() + events.value("banked", std::uint64_t{0});
    EXPECT_EQ(out.batch.rows(), want["rows"].get<std::uint64_t>());
    EXPECT_EQ(seen["practice clicks"], events["click"].get<std::uint64_t>());
    EXPECT_EQ(seen["practice"], handed_in);
    EXPECT_EQ(seen["feedback"], handed_in);
    EXPECT_EQ(seen["enrol"], events["register"].get<std::uint64_t>());
    EXPECT_EQ(seen["profile"], events["register"].get<std::uint64_t>());
    EXPECT_EQ(seen["withdraw"], events["withdraw"].get<std::uint64_t>());
    EXPECT_EQ(clicks, want["clicks"].get<std::uint64_t>());
    EXPECT_EQ(clickers.size(), want["learners_with_clicks"].get<std::uint64_t>());
    rows += out.batch.rows();
    if (run == "AAA-2013J") {
      EXPECT_EQ(told(out.batch, 0),
                "events_AAA-2013J.csv.zst:2 AAA-2013J/248270 2013-03-17T00:00:00Z enrol "
                "domain=AAA-2013J");
      EXPECT_THAT(told(out.batch, 1),
                  HasSubstr("events_AAA-2013J.csv.zst:2 AAA-2013J/248270 2013-03-17T00:00:00Z "
                            "profile continued gender='"));
    }
    if (run == "BBB-2013B") {
      EXPECT_EQ(told(out.batch, out.batch.size() - 1),
                "events_BBB-2013B.csv.zst:416794 BBB-2013B/1659662 2013-09-29T00:00:00Z practice "
                "capability=542864 domain=homepage count=1");
    }
  }
  Parsed rest;
  codec.finish(rest);
  ASSERT_EQ(rest.batch.size(), 1u);
  EXPECT_THAT(told(rest.batch, 0), HasSubstr("2013-02-01T00:00:00Z profile beside gender='"));
  learners.emplace(rest.batch.learners()[0]);

  EXPECT_EQ(rows, 771'114u);
  EXPECT_EQ(learners.size(), 2515u);
  // Counted apart from this code, by joining events_*.csv with assessments.csv on assessment.
  EXPECT_EQ(late, 7'165u);
}

// Goal: where the caller cuts a file makes no difference, nor does the last line end.
TEST(Oulad, PartsGiveTheSameEventsAsTheWhole) {
  const std::string all = read_zst(kPackage + "events_AAA-2014J.csv.zst");
  const std::string text = all.substr(all.find('\n') + 1, 400'000);
  const std::size_t whole_end = text.rfind('\n');
  const std::string_view whole = std::string_view(text).substr(0, whole_end);
  const auto parse = [&](std::size_t part) {
    Oulad codec = real_tables();
    EXPECT_TRUE(codec.begin_file("e", kHeader));
    Parsed out;
    std::uint64_t line = 2;
    for (std::size_t at = 0; at < whole.size();) {
      std::size_t end = whole.find('\n', std::min(at + part, whole.size() - 1));
      end = end == std::string_view::npos ? whole.size() : end + 1;
      const std::string_view chunk = whole.substr(at, end - at);
      codec.parse(chunk, {"e", line, latest_time()}, out);
      line += static_cast<std::uint64_t>(std::ranges::count(chunk, '\n'));
      at = end;
    }
    EXPECT_TRUE(out.rejected.empty());
    return out.batch.encode();
  };
  const std::string once = parse(whole.size());
  for (const std::size_t part : {1u, 4096u, 100'000u}) EXPECT_EQ(parse(part), once) << part;
}

}  // namespace
}  // namespace covey::events

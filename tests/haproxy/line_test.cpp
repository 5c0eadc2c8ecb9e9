#include "haproxy/line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace covey::haproxy {
namespace {

using telemetry::Arm;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kGood =
    "covey1 17 4711 1761912000123 4 200 -- candidate 0 c 5000 718 3492 us-east ada%201";

TEST(Line, IsReadFieldByField) {
  const auto line = parse_line(kGood);
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(line->number, 17u);
  EXPECT_EQ(line->process, 4711u);
  EXPECT_EQ(format_time(line->at), "2025-10-31T12:00:00.127Z");
  EXPECT_EQ(line->status, 200);
  EXPECT_EQ(line->termination, "--");
  EXPECT_EQ(line->server, "candidate");
  EXPECT_EQ(line->retries, 0);
  EXPECT_EQ(line->arm, Arm::kCandidate);
  EXPECT_EQ(line->threshold, 5'000u);
  EXPECT_EQ(line->bucket, 718u);
  EXPECT_EQ(line->us, 3'492);
  EXPECT_EQ(line->segment, "us-east");
  EXPECT_EQ(line->learner, "ada%201");
}

TEST(Line, SaysWhichFieldIsWrong) {
  struct Row {
    std::string line, says;
  };
  const auto with = [](const std::string& from, const std::string& to) {
    std::string out(kGood);
    return out.replace(out.find(from), from.size(), to);
  };
  const Row kRows[] = {
      {"", "not a line of ours"},
      {"GET / HTTP/1.1", "not a line of ours"},
      {with("covey1", "covey2"), "not a line of ours"},
      {with(" 17 ", " x "), "the number"},
      {with(" 17 ", " -1 "), "the number"},
      {with("4711", "47.11"), "the process"},
      {with("1761912000123", "99999999999999"), "the time"},
      {with(" 200 ", " 2000 "), "the status"},
      {with(" -- ", " --- "), "the termination"},
      {with(" candidate 0 ", " candidate x "), "retries"},
      {with(" c ", " d "), "the arm"},
      {with(" 5000 ", " 10001 "), "the threshold"},
      {with(" 718 ", " 10000 "), "the bucket"},
      {with(" 3492 ", " 3.5 "), "the latency"},
      {std::string(kGood) + " more", "15 fields"},
      {with(" us-east ada%201", " us-east"), "15 fields"},
      {with(" us-east ", "  "), "the segment"},
  };
  for (const Row& row : kRows) {
    const auto line = parse_line(row.line);
    ASSERT_FALSE(line) << row.line;
    EXPECT_THAT(line.error().message, HasSubstr(row.says)) << row.line;
  }
}

TEST(Line, ARequestCountsForTheArmThatWasToAnswer) {
  const auto shape = telemetry::Shape::of({"us-east"}, {});
  struct Row {
    std::string what, status, termination, server, retries, arm, us;
    bool counts, answered, right;
    std::string fault;
  };
  const Row kRows[] = {
      {"well", "200", "--", "candidate", "0", "c", "100", true, true, true, "none"},
      {"not found is an answer", "404", "--", "candidate", "0", "c", "100", true, true, true,
       "client_error"},
      {"wrong", "500", "--", "candidate", "0", "c", "100", true, true, false, "500"},
      {"refused", "503", "SC", "candidate", "0", "c", "-1", true, false, false, "connection"},
      {"retried on the baseline", "200", "--", "baseline", "+1", "c", "100", true, false, true,
       "retried"},
      {"the candidate is down", "200", "--", "baseline", "0", "c", "100", true, false, true,
       "retried"},
      {"retried on itself", "200", "--", "candidate", "1", "c", "100", true, false, true,
       "retried"},
      {"the server's own 503", "503", "--", "candidate", "0", "c", "100", true, false, false,
       "503"},
      {"a proxy behind", "502", "--", "candidate", "0", "c", "100", true, true, false, "502"},
      {"its own 504", "504", "--", "candidate", "0", "c", "100", true, false, false, "504"},
      {"not there", "501", "--", "candidate", "0", "c", "9", true, true, false, "other_5xx"},
      {"cut", "502", "SH", "candidate", "0", "c", "-1", true, false, false, "connection"},
      {"timed out", "504", "sH", "candidate", "0", "c", "-1", true, false, false, "time_out"},
      {"the learner left", "-1", "CD", "candidate", "0", "c", "-1", false, false, true,
       "connection"},
      {"baseline", "200", "--", "baseline", "0", "b", "100", true, true, true, "none"},
  };
  for (const Row& row : kRows) {
    const std::string text = "covey1 1 1 1761912000123 0 " + row.status + " " + row.termination +
                             " " + row.server + " " + row.retries + " " + row.arm + " 5000 1 " +
                             row.us + " us-east ada";
    const auto line = parse_line(text);
    ASSERT_TRUE(line) << text << line.error().message;
    const auto request = to_request(*line, shape);
    EXPECT_EQ(request.counts, row.counts) << row.what;
    EXPECT_EQ(request.answered, row.answered) << row.what;
    EXPECT_EQ(request.answered && request.right, row.answered && row.right) << row.what;
    EXPECT_EQ(request.segment, 0u);
    EXPECT_EQ(telemetry::name(request.fault), row.fault) << row.what;
  }
}

TEST(Line, UnknownSegmentsAreOther) {
  const auto shape = telemetry::Shape::of({"north", "south"}, {});
  EXPECT_EQ(to_request(parse_line(kGood).value(), shape).segment, 2u);
}

std::vector<std::string> framed(std::string_view bytes, std::size_t piece,
                                bool* refused = nullptr) {
  std::vector<std::string> out;
  Frames frames([&](std::string_view line) { out.emplace_back(line); });
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    if (!frames.take(bytes.substr(at, piece))) {
      if (refused != nullptr) *refused = true;
      break;
    }
  }
  return out;
}

TEST(Frames, ComeInAnyPieces) {
  const std::string bytes = "5 hello3 abc1 x12 hello, world";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    EXPECT_THAT(framed(bytes, piece), ElementsAre("hello", "abc", "x", "hello, world")) << piece;
  }
}

TEST(Frames, NonsenseIsRefused) {
  for (const std::string bytes : {"x", "12x", "-3 abc", "0 ", "99999 a", "1234567890", " 5 abc"}) {
    bool refused = false;
    framed(bytes, 3, &refused);
    EXPECT_TRUE(refused) << bytes;
  }
  bool refused = false;
  EXPECT_THAT(framed("5 hello", 7, &refused), ElementsAre("hello"));
  EXPECT_FALSE(refused);
}

// Goal: what is written is read, whatever the sizes and the pieces.
TEST(Frames, RoundTrip) {
  Random random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> lines;
    std::string bytes;
    for (int i = 0; i < 30; ++i) {
      lines.emplace_back(1 + random.below(round % 2 == 0 ? 60 : 8'192),
                         static_cast<char>('a' + i % 26));
      bytes += std::to_string(lines.back().size()) + " " + lines.back();
    }
    EXPECT_EQ(framed(bytes, 1 + random.below(10'000)), lines);
  }
}

}  // namespace
}  // namespace covey::haproxy

#include "rollout/json.h"

#include <gtest/gtest.h>

#include "rollout/kit.h"

namespace covey::rollout {
namespace {

using namespace std::chrono_literals;

TEST(Json, EveryInputIsReadBackEqual) {
  Telemetry telemetry;
  telemetry.silence = 7s;
  telemetry.missing = 15s;
  telemetry.candidate_requests = 12;
  Measured all;
  all.candidate = {3, 1'000};
  all.baseline = {30, 9'007'199'254'740'993};  // beyond what a double holds
  all.segments = {{1, 10}, {0, 0}};
  all.value = 0.1 + 0.2;
  all.readings = {48, 40, 7};
  all.interval = stats::Interval{-1.0 / 3, 2.0 / 3};
  telemetry.criteria = {{all, Measured{}}, {Measured{}, all}};
  telemetry.warnings = {all};
  telemetry.reactions = {Measured{}, all};
  telemetry.candidate = {1'000, 10, 3, 12ms};
  telemetry.baseline = {9, 0, 9, {}};
  Command command;
  command.kind = Command::Kind::kReschedule;
  command.role = "vp";
  command.person = "Vera \"V\" \\ \n <b>";
  command.stage = "ramp";
  command.start = parse_time("2025-11-03T12:00:00.000001Z").value();
  const What kAll[] = {Tick{telemetry},
                       Tick{},
                       Approve{"canary", "vp", "Vera"},
                       Override{"canary", "vp", "Vera", "why"},
                       command,
                       ReportIncident{Severity::kLow, "k", "t", "s"},
                       Acknowledge{7, "Olga"},
                       Resolve{8, "Emil"},
                       CheckResult{"ramp", plan::Check::kSameAnswers, true, "d"},
                       WorkDone{"x", "y"},
                       Outcome{9, false, "no"},
                       ReadBack{},
                       ReadBack{4'200},
                       Approve{"canary", "vp", "Vera", 7, "load test 3"},
                       Override{"canary", "vp", "Vera", "why", 8},
                       Withdraw{"canary", "vp", "Vera", "why", 9},
                       SetImpact{plan::Measure::kChurn,
                                 -0.1 / 3,
                                 {-0.05, 1.0 / 3},
                                 "ab \"x\"",
                                 parse_time("2025-11-03T12:00:00.000001Z").value(),
                                 Duration(7),
                                 "vp",
                                 "Vera"}};
  for (const What& what : kAll) {
    const Input input{parse_time("2025-10-31T12:00:00Z").value(), what};
    const std::string text = input_to_json(input);
    const auto back = input_from_json(text);
    ASSERT_TRUE(back) << text << back.error().message;
    EXPECT_EQ(back->at, input.at);
    EXPECT_EQ(back->what.index(), what.index()) << text;
    EXPECT_EQ(input_to_json(*back), text);
  }
  const auto tick = input_from_json(input_to_json({Time{}, Tick{telemetry}}));
  const auto& m = std::get<Tick>(tick->what).telemetry.criteria[0].window;
  EXPECT_EQ(m.baseline.trials, 9'007'199'254'740'993);
  EXPECT_EQ(*m.value, 0.1 + 0.2);
  EXPECT_EQ(m.readings.level, 7u);
}

TEST(Json, DamageIsNamed) {
  for (
      const std::string text :
      {"", "{", "[]", "{}", R"({"at":1,"kind":"tick"})", R"({"at":1,"kind":"nap","input":{}})",
       R"({"at":1,"kind":"command","input":{"kind":9,"role":"","person":"","reason":"","share":0,"stage":""}})",
       R"({"at":"x","kind":"read_back","input":{}})",
       // Whole numbers that are none, or too great for what they count.
       R"({"at":1e300,"kind":"read_back","input":{}})",
       R"({"at":1.5,"kind":"read_back","input":{}})",
       R"({"at":18446744073709551615,"kind":"read_back","input":{}})",
       R"({"at":1,"kind":"read_back","input":{"share":4294967296}})",
       R"({"at":1,"kind":"resolve","input":{"incident":-1,"person":""}})"}) {
    const auto read = input_from_json(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Errc::kCorrupt);
  }
}

// A replay from text decides as the inputs did.
TEST(Json, AReplayFromTextIsTheSame) {
  std::vector<std::string> journal;
  Hand live;
  live.begin_canary();
  const State before = live.state;
  for (int i = 0; i < 50; ++i) {
    live.now += live.plan.slot;
    journal.push_back(input_to_json({live.now, Tick{live.telemetry(5'000, 100'000)}}));
    live.give(Tick{live.telemetry(5'000, 100'000)});
  }
  State replayed = before;
  for (const std::string& line : journal) {
    replayed = step(live.plan, std::move(replayed), input_from_json(line).value()).state;
  }
  EXPECT_EQ(replayed.rolled_back.has_value(), live.state.rolled_back.has_value());
  EXPECT_TRUE(replayed.rolled_back);
  EXPECT_EQ(replayed.rolled_back->since, live.state.rolled_back->since);
}

}  // namespace
}  // namespace covey::rollout

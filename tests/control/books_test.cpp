#include "control/books.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/kit.h"
#include "control/report.h"

namespace covey::control {
namespace {

using namespace std::chrono_literals;

// Goal: the summary for those who have to answer for it says who decided what, and on which report.
TEST(Reports, TheSummaryHasPeoplesGates) {
  plan::Plan plan = small_plan();
  plan::Monitoring watching;
  watching.name = "first_days";
  watching.start = kBegin + 1h;
  watching.length = 24h;
  watching.gates = {{.name = "confirmed",
                     .at = kBegin + 2h,
                     .approvals = {"vp", "lead"},
                     .criteria = {"as before"}}};
  plan.monitoring = {watching};
  rollout::State state = rollout::initial(plan);
  rollout::GateState& gate = state.gates["confirmed"];
  gate.approvals["vp"].person = "Vera";
  gate.approvals["vp"].report = "day-1.html";
  gate.no_go["lead"] = "Nils: complaints";
  const telemetry::Shape shape = rollout::telemetry_shape(plan);
  const telemetry::History history(shape, plan.slot);
  const telemetry::Latencies latencies;
  const std::deque<Json> none;
  const Books books{plan, state, history, latencies, none, 0, "", kBegin + 3h};
  const std::string told = to_markdown(make_report(books, {rollout::ReportKind::kExecutive, ""}));
  EXPECT_THAT(told, HasSubstr("| vp | GO, Vera | day-1.html | no |"));
  EXPECT_THAT(told, HasSubstr("| lead | NO-GO: Nils: complaints |"));
}

// Goal: whatever span is drawn, every request is counted once and a steady rate looks steady.
// Method: 40 hours at 10 requests a slot of 5 s, drawn as the page does for each of its spans.
TEST(Series, CountsEveryRequestOnceAtAnySpan) {
  plan::Plan plan = small_plan();
  plan.slot = 5s;
  const telemetry::Shape shape = rollout::telemetry_shape(plan);
  const rollout::State state = rollout::initial(plan);
  const std::deque<Json> none;
  struct Row {
    telemetry::Duration span;
    std::size_t steps;
  };
  for (const Row row : {Row{15min, 180}, Row{1h, 240}, Row{6h, 288}, Row{36h, 298}}) {
    SCOPED_TRACE(::testing::Message() << row.span.count() / 60'000'000 << " min");
    telemetry::History history(shape, plan.slot);
    telemetry::Latencies latencies;
    // Neither the begin nor the end lies on a minute.
    const Time begin = kBegin + 5s, end = begin + 40h + 35s;
    for (Time at = begin + plan.slot; at <= end; at += plan.slot) {
      telemetry::Sums slot(shape);
      for (int i = 0; i < 10; ++i) {
        slot.add(telemetry::Arm::kBaseline, 0, true, true, 1ms, shape.slower_than);
      }
      history.add(at, slot, true);
    }
    const Books books{plan, state, history, latencies, none, 0, "", end};
    const Json steps = series(books, end - row.span, end, row.steps);
    ASSERT_FALSE(steps.empty());
    std::uint64_t requests = 0;
    for (const Json& step : steps) {
      requests += step["baseline"]["requests"].get<std::uint64_t>();
      EXPECT_NEAR(step["baseline"]["per_second"].get<double>(), 2, 1e-9) << step.dump();
      EXPECT_EQ(step["missing_s"], 0);
    }
    // The first step may begin earlier than asked, on an edge of what is kept.
    const auto asked = static_cast<std::uint64_t>(row.span / plan.slot) * 10;
    EXPECT_GE(requests, asked);
    EXPECT_LE(requests, asked + asked / row.steps * 2);
    EXPECT_EQ(steps.back()["to"], format_time(end));
    for (std::size_t i = 1; i < steps.size(); ++i) EXPECT_EQ(steps[i]["from"], steps[i - 1]["to"]);
  }
}

// Goal: the quantiles beside a window's counts are of that window, however long ago it began.
// Method: nine days, the second slow; close-monitoring's five days, with it and without.
TEST(Figures, QuantilesAreOfTheWholeWindow) {
  plan::Plan plan = small_plan();
  plan.slot = 5s;
  const telemetry::Shape shape = rollout::telemetry_shape(plan);
  const rollout::State state = rollout::initial(plan);
  const std::deque<Json> none;
  telemetry::History history(shape, plan.slot);
  telemetry::Latencies latencies;
  const Time begin = parse_time("2025-10-31T00:00:00Z").value(), end = begin + 9 * 24h;
  for (Time at = begin + 1min; at <= end; at += 1min) {
    const bool slow = at > begin + 24h && at <= begin + 48h;
    telemetry::Sums slot(shape);
    telemetry::ArmHistograms answered;
    for (int i = 0; i < 10; ++i) {
      slot.add(telemetry::Arm::kCandidate, 0, true, true, 1ms, shape.slower_than,
               i == 0 ? telemetry::Fault::kClientError : telemetry::Fault::kNone);
      answered[1].add(slow ? telemetry::Duration(700ms) : telemetry::Duration(30ms));
    }
    slot.add(telemetry::Arm::kCandidate, telemetry::Levels{.slots_up = 11, .slots_down = 1});
    history.add(at, slot, true, 12);
    latencies.add(at, answered);
  }
  const Books books{plan, state, history, latencies, none, 0, "", end};
  const auto p99 = [&](Time from, Time to) {
    return figures(books, from, to)->candidate.latency[2].value_or(-1);
  };
  EXPECT_NEAR(p99(begin, begin + 5 * 24h), 0.7, 0.007);
  EXPECT_NEAR(p99(begin + 2 * 24h, begin + 7 * 24h), 0.03, 0.0003);
  EXPECT_NEAR(p99(end - 5 * 24h, end), 0.03, 0.0003);
  const Json json = to_json(*figures(books, begin, end), shape);
  EXPECT_EQ(json["candidate"]["requests"], 9 * 1'440 * 10);
  EXPECT_EQ(json["candidate"]["faults"], Json({{"client_error", 9 * 1'440}}));
  EXPECT_EQ(json["candidate"]["slots_down"], 9 * 1'440);
  EXPECT_NEAR(json["candidate"]["uptime"].get<double>(), 11.0 / 12, 1e-9);
  EXPECT_TRUE(json["baseline"]["uptime"].is_null());
  EXPECT_TRUE(json["candidate"]["revenue_per_minute"].is_null()) << "nobody told";
}

TEST(History, GivesWhatFallsIntoIt) {
  const plan::Plan plan = small_plan();
  rollout::State state = rollout::initial(plan);
  const telemetry::History none(rollout::telemetry_shape(plan), plan.slot);
  const telemetry::Latencies latencies;
  std::deque<Json> decisions;
  for (int i = 0; i < 300; ++i) {
    decisions.push_back({{"at", format_time(kBegin + i * 1s)}, {"decision", "hold"}});
  }
  for (int i = 0; i < 3; ++i) {
    rollout::Incident incident;
    incident.id = static_cast<std::uint64_t>(i + 1);
    incident.opened = kBegin + i * 100s;
    if (i == 0) incident.resolved = kBegin + 50s;
    state.incidents.push_back(incident);
  }
  const Books books{plan, state, none, latencies, decisions, 0, "", kBegin + 300s};
  const Json all = history(books, kBegin - 1s, kBegin + 300s, 1000);
  EXPECT_EQ(all["decisions"].size(), 300u);
  EXPECT_EQ(all["incidents"].size(), 3u);
  EXPECT_EQ(all["more"], false);
  const Json some = history(books, kBegin + 100s, kBegin + 150s, 20);
  EXPECT_EQ(some["decisions"].size(), 20u);
  EXPECT_EQ(some["decisions"][0]["at"], format_time(kBegin + 150s));
  EXPECT_EQ(some["more"], true);
  ASSERT_EQ(some["incidents"].size(), 1u) << "the first was over, the third not yet open";
  EXPECT_EQ(some["incidents"][0]["id"], 2);
}

}  // namespace
}  // namespace covey::control

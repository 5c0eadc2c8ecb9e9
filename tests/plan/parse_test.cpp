#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/sample.h"

namespace covey::plan {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

std::string faults(const std::string& yaml) {
  const auto plan = parse_plan("p.yaml", yaml);
  return plan ? "" : plan.error().message;
}

// The calendar of requirements.md, section 3, number by number.
TEST(Plan, HoldsTheWholeCalendar) {
  const Plan plan = platform_plan();
  struct Row {
    std::string name, start;
    BasisPoints share;
    Duration length;
    std::size_t checkpoints, criteria;
  };
  const Row kStages[] = {{"canary", "2025-10-31T12:00:00Z", 100, 2h, 5, 3},
                         {"ramp", "2025-11-01T14:00:00Z", 1'000, 4h, 6, 9},
                         {"rollout", "2025-11-02T16:00:00Z", 10'000, 36h, 8, 10}};
  ASSERT_EQ(plan.stages.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    const Stage& stage = plan.stages[i];
    SCOPED_TRACE(stage.name);
    EXPECT_EQ(stage.name, kStages[i].name);
    EXPECT_EQ(format_time(stage.start), kStages[i].start);
    EXPECT_EQ(stage.share, kStages[i].share);
    EXPECT_EQ(stage.length, kStages[i].length);
    EXPECT_EQ(stage.checkpoints.size(), kStages[i].checkpoints);
    EXPECT_EQ(stage.criteria.size(), kStages[i].criteria);
    EXPECT_EQ(stage.breached_for, Duration(3min));
  }
  EXPECT_EQ(plan.stages[1].fail_share, 500u);
  ASSERT_EQ(plan.monitoring.size(), 2u);
  EXPECT_EQ(plan.monitoring[0].length, Duration(5 * 24h));
  EXPECT_EQ(plan.monitoring[1].length, Duration(7 * 24h));
  // Daily at 9, and on the one Friday at 10 too; the end is a look of its own.
  EXPECT_EQ(plan.monitoring[1].looks().size(), 9u);
  ASSERT_EQ(plan.work.size(), 6u);
  EXPECT_EQ(format_time(plan.end()), "2026-03-01T00:00:00Z");
}

// Goal: a dozen planted mistakes are all told, each once, with its line, in one reading.
TEST(Plan, TellsTwelveMistakesAtOnce) {
  std::string yaml = platform_yaml();
  const std::pair<std::string, std::string> kMistakes[] = {
      {"alpha: 1%", "alpha: 1"},
      {"requests_per_second: 5000", "request_per_second: 5000"},
      {"acknowledge_within: 5m", "acknowledge_within: 5"},
      {"night, from: \"22:00\"", "night, from: \"25:00\""},
      {"share: 1%", "share: 1.005%"},
      {"max_extend: 2h", "max_extnd: 2h"},
      {"approvals: [vp_engineering]", "approvals: [vp_enginering]"},
      {"checkpoints: [15m, 30m, 1h, 2h, 3h, 4h]", "checkpoints: [15m, 1h, 30m, 2h, 3h, 4h]"},
      {"- cpu < 80%", "- cpus < 80%"},
      {"on_pass: rollout", "on_pass: rolout"},
      {"day: friday", "day: frieday"},
      {"needs: [us-west]", "needs: [us-est]"},
  };
  for (const auto& [right, wrong] : kMistakes) yaml = replaced(yaml, right, wrong);
  const std::string told = faults(yaml);
  for (const std::string part :
       {"'1'", "request_per_second", "'5'", "25:00", "0.01%", "did you mean 'max_extend'",
        "did you mean 'vp_engineering'", "checkpoints ascend", "did you mean 'cpu'",
        "did you mean 'rollout'", "did you mean 'friday'", "did you mean 'us-west'"}) {
    EXPECT_THAT(told, HasSubstr(part));
  }
  // Each line begins with its place.
  std::size_t lines = 0;
  for (std::size_t at = 0; at < told.size();) {
    const std::size_t end = std::min(told.find('\n', at), told.size());
    EXPECT_THAT(told.substr(at, end - at), testing::MatchesRegex("p\\.yaml:[0-9]+:[0-9]+: .*"));
    ++lines;
    at = end + 1;
  }
  EXPECT_EQ(lines, 12u) << told;  // and nothing that only follows from them
}

struct Broken {
  std::string why, from, to, says;
};

TEST(Plan, RefusesWhatDoesNotHoldTogether) {
  const Broken kBroken[] = {
      {"overlap", "start: 2025-11-01T14:00:00Z", "start: 2025-10-31T13:30:00Z",
       "'ramp' begins before 'canary' ends"},
      {"smaller share", "share: 10%", "share: 0.5%", "smaller share"},
      {"unreachable", "on_pass: ramp", "on_pass: rollout", "'ramp' is never reached"},
      {"backwards", "on_pass: close-monitoring", "on_pass: canary", "leads back"},
      {"cycle", "{name: us-west, start: 2025-11-16T00:00:00Z, length: 5d}",
       "{name: us-west, start: 2025-11-16T00:00:00Z, length: 5d, needs: [europe]}",
       "waits for itself"},
      {"need later", "needs: [optimization, features, scale-out]",
       "needs: [standard-monitoring, scale-1]", "waits for itself"},
      {"begins too early", "start: 2026-01-02T00:00:00Z", "start: 2025-12-28T00:00:00Z",
       "begins before 'scale-planning', which it needs, ends"},
      {"role of nobody", "people: [Olga]", "people: []", "nobody holds this role"},
      {"nobody decides", "decides: yes", "decides: no", "one role must decide"},
      {"gap in the roster", "to: \"22:00\"", "to: \"21:00\"", "nobody is on call at 21:00"},
      {"same name twice", "name: europe", "name: us-west", "something else already"},
      {"unknown role",
       "approvals: [vp_engineering, product_lead, operations_lead, engineering_lead]",
       "approvals: [vp_engineering, product_leads]", "did you mean 'product_lead'"},
      {"late preflight", "at: 2025-11-01T13:00:00Z", "at: 2025-11-01T15:00:00Z",
       "not be later than the stage's start"},
      {"gate too early", "checkpoints: [15m, 30m, 1h, 90m, 2h]", "checkpoints: [15m, 30m, 1h]",
       "the end of the stage"},
      {"report outside", "reports: [2025-11-08T18:00:00Z]", "reports: [2025-12-08T18:00:00Z]",
       "outside the phase"},
      {"reaction that raises", "{when: critical_incidents > 0, share: 0%}",
       "{when: critical_incidents > 0, share: 50%}", "must lower the share"},
      {"gate of people outside", "at: 2025-12-27T10:00:00Z", "at: 2026-12-27T10:00:00Z",
       "lies outside its phase"},
      {"gate of nobody", "by: [engineering_lead, operations_lead]", "by: []",
       "somebody must decide it"},
      {"gate of a stranger", "by: [operations_lead, engineering_lead]", "by: [operation_lead]",
       "did you mean 'operations_lead'"},
      {"gate of nothing",
       "criteria: [\"cache hits > 85%\", \"all segments within 5%\", \"query time "
       "20% lower than on 2025-11-02\"]",
       "criteria: []", "at least one"},
      {"impact of a stranger", "by: [finance_lead, vp_engineering]", "by: [finance_led]",
       "did you mean 'finance_lead'"},
      {"impact of no metric",
       "    revenue: revenue\n    churn: churn\n    engagement: completion\n", "", "name a metric"},
      {"impact for no time", "valid_for: 24h", "valid_for: 0s", "longer than nothing"},
      {"fails upwards", "on_fail: {share: 5%", "on_fail: {share: 50%", "must not exceed"},
  };
  EXPECT_EQ(faults(platform_yaml()), "");  // the control
  for (const Broken& row : kBroken) {
    SCOPED_TRACE(row.why);
    EXPECT_THAT(faults(replaced(platform_yaml(), row.from, row.to)), HasSubstr(row.says));
  }
}

TEST(Plan, RosterKnowsWhoIsOnDuty) {
  const Plan plan = platform_plan();
  const auto at = [&](std::string_view time) {
    return plan.roster.on_duty(parse_time(time).value())->name;
  };
  EXPECT_EQ(at("2025-11-01T06:00:00Z"), "day");
  EXPECT_EQ(at("2025-11-01T13:59:59Z"), "day");
  EXPECT_EQ(at("2025-11-01T14:00:00Z"), "evening");
  EXPECT_EQ(at("2025-11-01T23:00:00Z"), "night");
  EXPECT_EQ(at("2025-11-02T05:59:59Z"), "night");
}

}  // namespace
}  // namespace covey::plan

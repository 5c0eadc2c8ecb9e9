#include "plan/rule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace covey::plan {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

struct Good {
  std::string text;
  RuleList list;
  Measure measure;
  double limit;
  std::chrono::microseconds lasting{}, watch{}, from{};
};

TEST(Rule, Reads) {
  using enum RuleList;
  const Good kGood[] = {
      {"error_rate < 0.5%", kCriteria, Measure::kErrorRate, 0.005},
      {"p99 < 200ms", kCriteria, Measure::kP99, 0.2},
      {"availability > 99.99%", kCriteria, Measure::kAvailability, 0.9999},
      {"churn < -3.0pp", kCriteria, Measure::kChurn, -0.03},
      {"revenue > +5.8%", kCriteria, Measure::kRevenue, 0.058},
      {"critical_incidents < 1", kCriteria, Measure::kCriticalIncidents, 1},
      {"cache_hits > 70% after 2h", kCriteria, Measure::kCacheHits, 0.7, {}, {}, 2h},
      {"error_rate < 0.1% watch 2h", kCriteria, Measure::kErrorRate, 0.001, {}, 2h, {}},
      {"p99 > 250ms for 2m", kWarnings, Measure::kP99, 0.25, 2min, {}, {}},
      {"  error_rate   >  1%  after 1h  for 30s ",
       kWarnings,
       Measure::kErrorRate,
       0.01,
       30s,
       {},
       1h},
  };
  for (const Good& row : kGood) {
    SCOPED_TRACE(row.text);
    const auto rule = parse_rule(row.text, row.list);
    ASSERT_TRUE(rule) << rule.error().message;
    EXPECT_EQ(rule->measure, row.measure);
    EXPECT_DOUBLE_EQ(rule->limit, row.limit);
    EXPECT_EQ(rule->lasting, row.lasting);
    EXPECT_EQ(rule->watch, row.watch);
    EXPECT_EQ(rule->from, row.from);
    EXPECT_EQ(rule->text, row.text);
  }
}

struct Bad {
  std::string text;
  RuleList list;
  std::string says;
};

TEST(Rule, SaysWhatIsWrong) {
  using enum RuleList;
  const Bad kBad[] = {
      {"", kCriteria, "a criterion reads"},
      {"error_rate <", kCriteria, "a criterion reads"},
      {"eror_rate < 1%", kCriteria, "did you mean 'error_rate'"},
      {"error_rate = 1%", kCriteria, "compare by < or >"},
      {"error_rate > 1%", kCriteria, "so write <"},
      {"availability > 99%", kWarnings, "so write <"},
      {"error_rate < 1", kCriteria, "%"},
      {"error_rate < 100%", kCriteria, "between 0% and 100%"},
      {"p99 < 200", kCriteria, "200"},
      {"p99 < 0s", kCriteria, "longer than nothing"},
      {"churn < -3%", kCriteria, "percentage points"},
      {"error_rate < 1% for 2m", kCriteria, "`watch` or `after`"},
      {"error_rate > 1% watch 2m", kWarnings, "`for` or `after`"},
      {"error_rate < 1% after soon", kCriteria, "soon"},
      {"critical_incidents < many", kCriteria, "many"},
  };
  for (const Bad& row : kBad) {
    SCOPED_TRACE(row.text);
    const auto rule = parse_rule(row.text, row.list);
    ASSERT_FALSE(rule);
    EXPECT_EQ(rule.error().code, Errc::kRejected);
    EXPECT_THAT(rule.error().message, HasSubstr(row.says));
  }
}

TEST(Rule, TellsTheRateOfItsLimit) {
  const auto rate = [](std::string_view text) {
    return limit_rate(parse_rule(text, RuleList::kCriteria).value());
  };
  EXPECT_DOUBLE_EQ(rate("error_rate < 0.5%"), 0.005);
  EXPECT_DOUBLE_EQ(rate("p99 < 50ms"), 0.01);
  EXPECT_DOUBLE_EQ(rate("p95 < 50ms"), 0.05);
  EXPECT_NEAR(rate("availability > 99.99%"), 0.0001, 1e-12);
}

TEST(Rule, LimitsAreWrittenAsRead) {
  for (const std::string text : {"error_rate < 0.5%", "p99 < 200ms", "churn < -3pp",
                                 "revenue > +5.8%", "critical_incidents < 1"}) {
    const auto rule = parse_rule(text, RuleList::kCriteria).value();
    EXPECT_EQ(limit_text(rule), text.substr(text.rfind(' ') + 1));
  }
}

}  // namespace
}  // namespace covey::plan

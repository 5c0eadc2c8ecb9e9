#include "rollout/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace covey::rollout {
namespace {

using plan::RuleList;
using stats::Verdict;
using testing::HasSubstr;

plan::Rule criterion(std::string_view text) {
  return plan::parse_rule(text, RuleList::kCriteria).value();
}

Measured counts(std::int64_t bad, std::int64_t all, std::int64_t base_bad = 0,
                std::int64_t base_all = 0) {
  Measured out;
  out.candidate = {bad, all};
  out.baseline = {base_bad, base_all};
  return out;
}

struct Row {
  std::string what, rule;
  Measured measured;
  Verdict verdict;
};

Measured value(double v) {
  Measured out;
  out.value = v;
  return out;
}
/// A mean of so many readings of those that should have come, of a machine that answered in all.
Measured levels(std::optional<double> mean, std::uint64_t came, std::uint64_t expected = 100) {
  Measured out;
  out.value = mean;
  out.readings = {expected, came, came};
  return out;
}
Measured impact(double v, double low, double high) {
  Measured out = value(v);
  out.interval = stats::Interval{low, high};
  return out;
}

TEST(Gate, Table) {
  const Row kRows[] = {
      {"nothing seen", "error_rate < 1%", counts(0, 0), Verdict::kUndecided},
      {"clean and plenty", "error_rate < 1%", counts(20, 10'000), Verdict::kPass},
      {"clean and little", "error_rate < 1%", counts(0, 100), Verdict::kUndecided},
      {"clearly bad", "error_rate < 1%", counts(300, 10'000), Verdict::kFail},
      {"at the limit", "error_rate < 1%", counts(100, 10'000), Verdict::kUndecided},
      {"within the limit, worse than baseline", "error_rate < 1%", counts(60, 10'000, 100, 100'000),
       Verdict::kFail},
      {"within the limit, like the baseline", "error_rate < 1%", counts(20, 10'000, 200, 100'000),
       Verdict::kPass},
      {"slow", "p99 < 50ms", counts(300, 10'000), Verdict::kFail},
      {"available", "availability > 99.9%", counts(1, 100'000), Verdict::kPass},
      {"not available", "availability > 99.9%", counts(400, 100'000), Verdict::kFail},
      {"level", "cpu < 80%", levels(0.5, 100), Verdict::kPass},
      {"level beyond", "cpu < 80%", levels(0.9, 100), Verdict::kFail},
      {"level, most readings", "cpu < 80%", levels(0.5, 80), Verdict::kPass},
      {"level, too few readings", "cpu < 80%", levels(0.5, 79), Verdict::kUndecided},
      {"level beyond, too few readings", "cpu < 80%", levels(0.9, 1), Verdict::kUndecided},
      {"level of no known time", "cpu < 80%", levels(0.5, 1, 0), Verdict::kUndecided},
      {"no level", "cpu < 80%", levels({}, 0), Verdict::kUndecided},
      {"nothing of a level", "cpu < 80%", Measured{}, Verdict::kUndecided},
      {"incidents", "critical_incidents < 1", value(0), Verdict::kPass},
      {"gain", "revenue > +5.8%", impact(0.09, 0.06, 0.12), Verdict::kPass},
      {"gain, not sure", "revenue > +5.8%", impact(0.09, 0.05, 0.13), Verdict::kUndecided},
      {"no gain", "revenue > +5.8%", impact(0.01, -0.02, 0.04), Verdict::kFail},
      {"churn down", "churn < -3pp", impact(-0.045, -0.05, -0.04), Verdict::kPass},
      {"churn", "churn < -3pp", impact(-0.02, -0.03, -0.01), Verdict::kFail},
      {"impact unknown", "churn < -3pp", Measured{}, Verdict::kUndecided},
  };
  for (const Row& row : kRows) {
    const Evidence evidence = judge(criterion(row.rule), row.measured, {});
    EXPECT_EQ(evidence.verdict, row.verdict) << row.what << ": " << evidence.text;
    EXPECT_FALSE(evidence.text.empty()) << row.what;
  }
}

TEST(Gate, SpreadLooksAtTheWidestPair) {
  Measured measured;
  measured.segments = {{20, 10'000}, {30, 10'000}, {1'500, 10'000}};
  const auto rule = criterion("segment_spread < 5%");
  EXPECT_EQ(judge(rule, measured, {}).verdict, Verdict::kFail);
  EXPECT_TRUE(breached(rule, measured, {}));
  measured.segments[2] = {40, 10'000};
  EXPECT_EQ(judge(rule, measured, {}).verdict, Verdict::kPass);
  EXPECT_FALSE(breached(rule, measured, {}));
}

TEST(Gate, ALinkOfUnknownSpeedSaysWhyAndWhatToDo) {
  Measured machine;
  machine.readings = {100, 100, 0};
  const Evidence evidence = judge(criterion("network < 80%"), machine, {});
  EXPECT_EQ(evidence.verdict, Verdict::kUndecided);
  EXPECT_THAT(evidence.text, HasSubstr("does not know its link's speed"));
  EXPECT_THAT(evidence.text, HasSubstr("take the criterion out of the plan"));
  EXPECT_FALSE(absent(criterion("network < 80%"), machine, 12));
}

TEST(Gate, ALevelIsAbsentWhenNoReadingCameInKnownTime) {
  const plan::Rule cpu = criterion("cpu < 80%");
  EXPECT_TRUE(absent(cpu, levels({}, 0, 12), 12));
  EXPECT_FALSE(absent(cpu, levels(0.5, 1, 12), 12));
  EXPECT_FALSE(absent(cpu, levels({}, 0, 5), 12)) << "most of the time is not known: silence";
  EXPECT_FALSE(absent(cpu, levels({}, 0, 0), 0)) << "nothing is known";
  EXPECT_FALSE(absent(criterion("error_rate < 1%"), counts(0, 0), 12));
}

// A raw value beyond the limit that is still undecided is a warning, not a breach.
TEST(Gate, ABreachIsEvidenceNotAValue) {
  const auto rule = criterion("error_rate < 1%");
  EXPECT_TRUE(beyond(rule, counts(3, 200), {}, false));
  EXPECT_FALSE(beyond(rule, counts(3, 200), {}, true));
  EXPECT_FALSE(breached(rule, counts(3, 200), {}));
  EXPECT_TRUE(breached(rule, counts(30, 200), {}));
}

// The more criteria may fail a stage, the more evidence each of them needs for it.
TEST(Gate, FailingIsCorrectedForTheNumberOfCriteria) {
  const auto rule = criterion("error_rate < 1%");
  std::int64_t bad = 10;
  while (!breached(rule, counts(bad, 1'000), {.criteria = 1})) ++bad;
  EXPECT_FALSE(breached(rule, counts(bad, 1'000), {.criteria = 50}));
}

TEST(Gate, ImpactIsNeverBreachedByAMinute) {
  EXPECT_FALSE(breached(criterion("revenue > +5.8%"), impact(-0.5, -0.6, -0.4), {}));
}

}  // namespace
}  // namespace covey::rollout

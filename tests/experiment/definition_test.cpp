#include "experiment/definition.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace covey::experiment {
namespace {

using testing::HasSubstr;

constexpr std::string_view kGood = R"(experiment: e
start: 2025-11-02T16:00:00Z
metrics:
  revenue: {kind: mean, event: purchase, of: amount, currency: EUR, role: primary}
)";

std::string faults(const std::string& yaml) {
  const auto read = parse_experiment("e.yaml", yaml);
  return read ? "" : read.error().message;
}

TEST(Definition, ExamplesAreRead) {
  for (const char* file : {"ab-revenue.yaml", "aa.yaml"}) {
    std::ifstream in(std::string(COVEY_SOURCE_DIR) + "/examples/" + file);
    std::ostringstream text;
    text << in.rdbuf();
    EXPECT_EQ(faults(text.str()), "") << file;
  }
}

TEST(Definition, DefaultsAreSane) {
  const auto e = parse_experiment("e.yaml", kGood).value();
  EXPECT_FALSE(e.is_aa);
  EXPECT_TRUE(e.sequential);
  EXPECT_EQ(e.alpha, 0.05);
  EXPECT_EQ(e.assignment.control, 5'000u);
  EXPECT_EQ(e.assignment.treatment, 5'000u);
  EXPECT_EQ(e.assignment.seed, seed_of("e"));
  EXPECT_EQ(e.metrics.at(0).winsorize, 0.99);
  EXPECT_EQ(e.metrics.at(0).role, Role::kPrimary);
}

TEST(Definition, FaultsAreNamedWithTheirPlace) {
  const std::string good(kGood);
  const std::pair<std::string, const char*> kRows[] = {
      {good, ""},
      {good + "polcy: x\n", "e.yaml:5:1: polcy: unknown key"},
      {good + "segmets: [region]\n", "did you mean 'segments'?"},
      {good + "alpha: 0.05\n", "alpha: '0.05' is no percentage: write it as 0.5%"},
      {good + "alpha: 50%\n", "at most at 20%"},
      {good + "end: 2025-11-01T00:00:00Z\n", "end: must be later than `start`"},
      {good + "decide: fixed\n", "`end` is missing"},
      {good + "decide: sequentail\n", "did you mean 'sequential'?"},
      {good + "window: 14\n", "'14' is no duration"},
      {good + "arms: {control: {share: 60%}, treatment: {share: 50%}}\n",
       "the shares add up to 110%"},
      {good + "arms: {control: {share: 60%}}\n", "`treatment` is missing"},
      {good + "arms: {control: {share: 50.005%}, treatment: {share: 1%}}\n", "steps of 0.01%"},
      {good + "layer: l\nsalt: s\n", "a layer has its own salt"},
      {good + "range: {from: 0%, to: 10%}\n", "give `layer` too"},
      {good + "impact: {metric: reveneu}\n", "no metric has this name"},
      {good + "segments: [region, region]\n", "named twice"},
      {"experiment: e\nstart: 2025-11-02\nmetrics: {}\n", "at least one is needed"},
      {"experiment: e e\nstart: 2025-11-02\n", "letters, digits"},
      {"start: 2025-11-02\n", "`experiment` is missing"},
  };
  for (const auto& [yaml, message] : kRows) {
    if (*message == 0) {
      EXPECT_EQ(faults(yaml), "");
    } else {
      EXPECT_THAT(faults(yaml), HasSubstr(message)) << yaml;
    }
  }
}

TEST(Definition, MetricsAreHeldToTheirKind) {
  const std::pair<const char*, const char*> kRows[] = {
      {"{kind: mean, event: purchase, of: amount, role: primary}", "`currency` is missing"},
      {"{kind: mean, event: session, of: amount, currency: EUR, role: primary}",
       "only purchases have an amount"},
      {"{kind: mean, event: session, currency: EUR, role: primary}", "only `of: amount`"},
      {"{kind: mean, event: purchase, of: amount, currency: eur, role: primary}",
       "three capital letters"},
      {"{kind: proportion, event: complete, of: score, role: primary}", "leave out `of`"},
      {"{kind: proportion, event: complete, winsorize: 99%, role: primary}", "only means"},
      {"{kind: retention, role: primary}", "retention needs `from` and `to`"},
      {"{kind: retention, from: 7d, to: 7d, role: primary}", "later than `from`"},
      {"{kind: mean, event: session, from: 7d, role: primary}", "only retention"},
      {"{kind: mean, event: session, role: guardrail}", "`margin` is missing"},
      {"{kind: mean, event: session, role: primary, margin: 1%}", "only guardrails"},
      {"{kind: ratio, numerator: {event: session}, role: primary}", "`denominator` is missing"},
      {"{kind: mean, event: session}", "one needs `role: primary`"},
      {"{kind: mean, event: sesion, role: primary}", "did you mean 'session'?"},
      {"{kind: mean, role: primary}", "`event` is missing"},
  };
  for (const auto& [metric, message] : kRows) {
    EXPECT_THAT(
        faults("experiment: e\nstart: 2025-11-02\nmetrics:\n  m: " + std::string(metric) + "\n"),
        HasSubstr(message))
        << metric;
  }
}

}  // namespace
}  // namespace covey::experiment

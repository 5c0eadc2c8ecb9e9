// Goal: what `covey stats` answers is what independent implementations answer.
// Method: tests/fixtures/statistics.json (scipy, statsmodels, gbstats, confseq, 50-digit
// arithmetic) through the same door, compared as the file says: |got - expected| <= abs + rel
// |expected|, null and words and whole numbers exactly, only the keys it names.
#include "app/stats_functions.h"

#include <cmath>
#include <fstream>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace covey::app {
namespace {

using nlohmann::json;

json fixtures() {
  std::ifstream file(COVEY_SOURCE_DIR "/tests/fixtures/statistics.json");
  return json::parse(file);
}

json answer(const json& question) {
  return json::parse(answer_stats(question.dump()).dump());
}

/// What differs, or nothing.
std::string difference(const json& got, const json& expected, double rel, double abs) {
  if (expected.is_number_float() || (expected.is_number() && got.is_number_float())) {
    if (!got.is_number()) return "got " + got.dump() + ", expected " + expected.dump();
    const double e = expected.get<double>();
    const double g = got.get<double>();
    if (std::abs(g - e) <= abs + rel * std::abs(e)) return "";
    return "got " + got.dump() + ", expected " + expected.dump();
  }
  if (expected.is_array()) {
    if (!got.is_array() || got.size() != expected.size()) return "another length";
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::string part = difference(got[i], expected[i], rel, abs);
      if (!part.empty()) return "[" + std::to_string(i) + "] " + part;
    }
    return "";
  }
  return got == expected ? "" : "got " + got.dump() + ", expected " + expected.dump();
}

TEST(StatsFunctions, AgreeWithIndependentImplementations) {
  const json file = fixtures();
  std::size_t compared = 0;
  for (const json& c : file.at("cases")) {
    SCOPED_TRACE(c.at("name").get<std::string>());
    const json got = answer({{"function", c.at("function")}, {"input", c.at("input")}});
    for (const auto& [key, expected] : c.at("expected").items()) {
      ASSERT_TRUE(got.contains(key)) << key << " is missing from " << got;
      EXPECT_EQ(difference(got.at(key), expected, c.at("tolerance").at("rel").get<double>(),
                           c.at("tolerance").at("abs").get<double>()),
                "")
          << key;
      ++compared;
    }
  }
  EXPECT_GT(compared, 150u);
}

TEST(StatsFunctions, AllThirtyThreeAreOffered) {
  std::set<std::string_view> offered;
  for (const auto& function : stats_functions()) offered.insert(function.name);
  for (const char* name : {"srm_chi2",
                           "srm_sequential",
                           "welch_diff",
                           "relative_lift_delta",
                           "relative_lift_fieller",
                           "cuped",
                           "ratio_metric",
                           "asympcs_two_sided",
                           "asympcs_one_sided",
                           "normal_mixture",
                           "msprt_normal",
                           "bernoulli_cs_howard",
                           "bernoulli_cs_beta",
                           "bernoulli_one_sided_e",
                           "proportion_ci",
                           "proportion_diff",
                           "quantile_order_stat_ci",
                           "quantile_histogram_ci",
                           "mann_whitney",
                           "ks_two_sample",
                           "ks_uniform",
                           "multiple_testing",
                           "power_two_sample",
                           "sample_size_mean",
                           "sample_size_proportion",
                           "mde",
                           "winsorize",
                           "classifier_metrics",
                           "moments",
                           "group_sequential_bounds",
                           "mid_experiment_power",
                           "annual_impact",
                           "intervention_uplift"}) {
    EXPECT_TRUE(offered.contains(name)) << name;
  }
}

TEST(StatsFunctions, EdgesAreStatusesAndNonsenseIsNamed) {
  struct Row {
    const char* line;
    const char* status;
    const char* message = "";  ///< part of it
  };
  const Row kRows[] = {
      {R"({"function":"moments","input":{"values":[1,2]}})", "ok"},
      {R"({"function":"moments","input":{"values":[]}})", "no_data"},
      {R"({"function":"moments","input":{"values":[1,"2"]}})", "bad_input", "values[1]"},
      {R"({"function":"moments","input":{}})", "bad_input", "input.values is missing"},
      {R"({"function":"moments"})", "bad_input", "input must be an object"},
      {R"({"function":"momets","input":{}})", "bad_input", "did you mean 'moments'"},
      {R"({"input":{}})", "bad_input", "function"},
      {R"([1,2])", "bad_input", "expected"},
      {R"({"function":)", "bad_input", "not a line of JSON"},
      {R"({"function":"welch_diff","input":{"control":{"n":1,"mean":1,"var":0},
          "treatment":{"n":9,"mean":1,"var":1}}})",
       "too_few_units"},
      {R"({"function":"welch_diff","input":{"control":{"n":9,"mean":1,"var":-1},
          "treatment":{"n":9,"mean":1,"var":1}}})",
       "bad_input", "control.var must not be below 0"},
      {R"({"function":"welch_diff","input":{"control":{"n":9,"mean":1},
          "treatment":{"n":9,"mean":1,"var":1}}})",
       "bad_input", "input.control.var is missing"},
      {R"({"function":"welch_diff","input":{"alpha":1,"control":{"n":9,"mean":1,"var":1},
          "treatment":{"n":9,"mean":1,"var":1}}})",
       "bad_input", "alpha must lie between 0 and 1"},
      {R"({"function":"relative_lift_fieller","input":{"control":{"n":9,"mean":0,"var":1},
          "treatment":{"n":9,"mean":1,"var":1}}})",
       "unbounded"},
      {R"({"function":"relative_lift_fieller","input":{"control":{"n":9,"mean":0,"var":0},
          "treatment":{"n":9,"mean":1,"var":1}}})",
       "zero_baseline"},
      {R"({"function":"srm_chi2","input":{"observed":[5,5,1],"weights":[0.5,0.5,0]}})",
       "unexpected_arm"},
      {R"({"function":"srm_chi2","input":{"observed":[5.5,5],"weights":[0.5,0.5]}})", "bad_input",
       "observed must be a whole number"},
      {R"({"function":"proportion_ci","input":{"successes":0,"trials":0}})", "no_data"},
      {R"({"function":"proportion_ci","input":{"successes":3,"trials":2}})", "bad_input"},
      {R"({"function":"proportion_diff","input":{"x_control":0,"n_control":9,"x_treatment":0,
          "n_treatment":9}})",
       "zero_variance"},
      {R"({"function":"ratio_metric","input":{
          "control":{"n":2,"sum_m":1,"sum_mm":1,"sum_d":0,"sum_dd":0,"sum_md":0},
          "treatment":{"n":2,"sum_m":1,"sum_mm":1,"sum_d":2,"sum_dd":2,"sum_md":1}}})",
       "zero_denominator"},
      {R"({"function":"mann_whitney","input":{"x":[1,1],"y":[1]}})", "all_tied"},
      {R"({"function":"mann_whitney","input":{"x":[],"y":[1]}})", "no_data"},
      {R"({"function":"sample_size_mean","input":{"baseline_mean":0,"sd":1,"relative_mde":0.1}})",
       "zero_baseline"},
      {R"({"function":"sample_size_mean","input":{"baseline_mean":1,"sd":1,"relative_mde":0}})",
       "bad_input", "no sample finds no effect"},
      {R"({"function":"group_sequential_bounds","input":{"information":[0.5,0.4]}})", "bad_input",
       "ascend"},
      {R"({"function":"bernoulli_one_sided_e","input":{"successes":1,"trials":2,"p0":0.1,
          "direction":"up"}})",
       "bad_input", "above or below"},
      {R"({"function":"classifier_metrics","input":{"labels":[1,2],"scores":[0.1,0.2]}})",
       "bad_input", "labels must be 0 or 1"},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.line);
    const auto got = answer_stats(row.line);
    EXPECT_EQ(got.at("status"), row.status) << got;
    if (*row.message != 0) {
      EXPECT_NE(got.value("message", "").find(row.message), std::string::npos) << got;
    }
  }
}

}  // namespace
}  // namespace covey::app

#include "probes/answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

namespace covey::probes {
namespace {

using ::testing::HasSubstr;

TEST(Difference, Table) {
  struct Case {
    const char *baseline, *candidate;
    const char* says;  // null: alike
  };
  const Case kCases[] = {
      {R"({"a":1})", R"({"a":1})", nullptr},
      {R"({"a":1,"b":2})", R"({"b":2,"a":1})", nullptr},
      {R"({"a":0.5})", R"({"a":0.5000005})", nullptr},
      {R"({"a":0.5})", R"({"a":0.50001})", "a is 0.5"},
      {R"({"a":1})", R"({"a":1.0})", nullptr},
      {R"({"engine":"baseline","a":1})", R"({"engine":"fast","a":1})", nullptr},
      {R"({"a":null})", R"({"a":1})", "a is null on the baseline and 1"},
      {R"({"a":1})", R"({})", "a is missing on the candidate"},
      {R"({})", R"({"a":1})", "a is missing on the baseline"},
      {R"({"t":[1,2]})", R"({"t":[1,3]})", "t[1] is 2"},
      {R"({"t":[1,2]})", R"({"t":[1]})", "t is [1,2]"},
      {R"({"a":{"b":"x"}})", R"({"a":{"b":"y"}})", "a.b is \"x\""},
      {"no json", "no json", nullptr},
      {"no json", "other", "no JSON"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.candidate);
    const auto found = difference(c.baseline, c.candidate);
    ASSERT_EQ(found.has_value(), c.says != nullptr) << found.value_or("");
    EXPECT_THAT(found.value_or(""), HasSubstr(c.says == nullptr ? "" : c.says));
  }
}

constexpr std::string_view kMetrics = R"(# HELP x y
covey_machine_cpu_seconds_total 100
covey_machine_cpus 4
covey_machine_memory_bytes 1000
covey_machine_memory_used_bytes 250
cohort_cache_hits_total 90
cohort_cache_misses_total 10
covey_http_requests_total{route="/"} 5
covey_machine_cpus nonsense
)";

TEST(Levels, AreWhatGrewBetweenTwoReadings) {
  Gauges before = read_gauges(kMetrics, telemetry::Arm::kBaseline), after = before;
  EXPECT_EQ(before.cpus, 4);
  after.cpu_seconds = 110;
  after.cache_hits = 150;
  after.cache_misses = 30;
  const auto levels = levels_between(before, after, 5);
  EXPECT_EQ(levels.samples, 1u);
  EXPECT_EQ(levels.cpu, 500'000u);  // 10 s of 5 s on 4 processors
  EXPECT_EQ(levels.memory, 250'000u);
  EXPECT_EQ(levels.cache_hits, 60u);
  EXPECT_EQ(levels.lookups, 80u);
  EXPECT_EQ(levels.network_samples, 0u) << "a link of unknown speed is not measured";
}

TEST(Levels, AProcessThatBeganAnewCountsFromItsStart) {
  Gauges before = read_gauges(kMetrics, telemetry::Arm::kBaseline), after = before;
  after.cache_hits = 3;
  after.cache_misses = 1;
  const auto levels = levels_between(before, after, 5);
  EXPECT_EQ(levels.cache_hits, 3u);
  EXPECT_EQ(levels.lookups, 4u);
}

// Goal: revenue is of one currency, counted from nothing before the first purchase and from the
// start of a process that began anew.
TEST(Levels, RevenueIsOfOneCurrency) {
  constexpr std::string_view kQuiet = "covey_split_practice_events_total{side=\"below\"} 10\n";
  constexpr std::string_view kPaid =
      "covey_split_practice_events_total{side=\"below\"} 16\n"
      "covey_split_revenue_total{side=\"below\",currency=\"EUR\"} 12.5\n"
      "covey_split_revenue_total{side=\"below\",currency=\"USD\"} 99\n";
  const auto read = [](std::string_view text, std::string_view currency) {
    return read_gauges(text, telemetry::Arm::kCandidate, currency);
  };
  const auto paid = levels_between(read(kQuiet, "EUR"), read(kPaid, "EUR"), 5);
  EXPECT_EQ(paid.revenue, 12'500'000u);
  EXPECT_EQ(paid.practice, 6u);
  EXPECT_EQ(paid.activity_samples, 1u);
  const auto other = levels_between(read(kQuiet, "JPY"), read(kPaid, "JPY"), 5);
  EXPECT_EQ(other.revenue, 0u);
  const auto anew = levels_between(read(kPaid, "EUR"), read(kQuiet, "EUR"), 5);
  EXPECT_EQ(anew.revenue, 0u);
  EXPECT_EQ(anew.practice, 10u);
}

// Goal: what an arm's learners did is the same whether both services were told of everybody's
// events or each of its own learners' alone; and what is not told apart is not measured.
TEST(Levels, LearnersAreToldApartInEitherTopology) {
  struct Did {
    int below, above;
  };
  const auto text = [](Did practice, Did paid) {
    return fmt::format(
        "covey_practice_events_total {}\ncovey_revenue_total{{currency=\"USD\"}} {}\n"
        "covey_split_practice_events_total{{side=\"below\"}} {}\n"
        "covey_split_practice_events_total{{side=\"above\"}} {}\n"
        "covey_split_revenue_total{{side=\"below\",currency=\"USD\"}} {}\n"
        "covey_split_revenue_total{{side=\"above\",currency=\"USD\"}} {}\n",
        practice.below + practice.above, paid.below + paid.above, practice.below, practice.above,
        paid.below, paid.above);
  };
  struct Row {
    const char* topology;
    Did practice_b, paid_b, practice_c, paid_c;  ///< as the baseline and the candidate stored it
  };
  // Those below the split practised 40 times and paid 6; the others 300 times and 50.
  const Row kRows[] = {
      {"mirrored", {40, 300}, {6, 50}, {40, 300}, {6, 50}},
      {"routed", {0, 300}, {0, 50}, {40, 0}, {6, 0}},
      {"all to the baseline, mirrored for the candidate's", {40, 300}, {6, 50}, {40, 0}, {6, 0}},
  };
  const std::string nothing = text({0, 0}, {0, 0});
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.topology);
    const auto arm = [&](telemetry::Arm which, Did practice, Did paid) {
      return levels_between(read_gauges(nothing, which), read_gauges(text(practice, paid), which),
                            5);
    };
    const auto b = arm(telemetry::Arm::kBaseline, row.practice_b, row.paid_b);
    const auto c = arm(telemetry::Arm::kCandidate, row.practice_c, row.paid_c);
    EXPECT_EQ(b.practice, 300u);
    EXPECT_EQ(b.revenue, 50'000'000u);
    EXPECT_EQ(c.practice, 40u);
    EXPECT_EQ(c.revenue, 6'000'000u);
  }
  const std::string whole =
      "covey_practice_events_total 9\ncovey_revenue_total{currency=\"USD\"} 4\n";
  const auto gauges = read_gauges(whole, telemetry::Arm::kCandidate);
  EXPECT_EQ(levels_between(gauges, gauges, 5).activity_samples, 0u);
}

TEST(Levels, WhatIsNotToldIsNotMeasured) {
  const auto levels = levels_between(read_gauges("", telemetry::Arm::kBaseline),
                                     read_gauges("", telemetry::Arm::kBaseline), 5);
  EXPECT_EQ(levels.samples, 0u);
  EXPECT_EQ(levels.lookups, 0u);
}

}  // namespace
}  // namespace covey::probes

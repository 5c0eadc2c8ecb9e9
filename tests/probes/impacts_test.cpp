#include "probes/impacts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "http/harness.h"
#include "rollout/kit.h"

namespace covey::probes {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr std::string_view kRevenue =
    R"({"name":"revenue","sequential":{"status":"ok","diff":0.7,"diff_interval":[0.6,0.8],)"
    R"("lift":0.07,"lift_interval":[0.06,0.08]},)"
    R"("fixed_horizon":{"lift":0.9,"lift_interval":[0.8,1.0]}})";
constexpr std::string_view kChurn =
    R"({"name":"left","sequential":{"diff":-0.04,"diff_interval":[-0.05,-0.03],)"
    R"("lift":-0.4,"lift_interval":[-0.5,-0.3]}})";

std::string analysis(std::string_view metrics, std::string_view verdict = "undecided",
                     std::string_view as_of = "2025-11-02T18:00:00Z") {
  return fmt::format(
      R"({{"experiment":"ab","type":"ab","as_of":"{}","verdict":"{}","metrics":[{}]}})", as_of,
      verdict, metrics);
}

plan::ImpactSource source() {
  plan::ImpactSource out;
  out.experiment = "ab";
  out.address = "127.0.0.1:1";
  out.revenue = "revenue";
  out.churn = "left";
  return out;
}

// Goal: only what holds at every look is taken, revenue as a lift and churn as a difference.
TEST(ReadImpacts, TakesWhatHoldsAtEveryLook) {
  const auto read = read_impacts(source(), analysis(fmt::format("{},{}", kRevenue, kChurn)));
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0].measure, plan::Measure::kRevenue);
  EXPECT_DOUBLE_EQ((*read)[0].estimate, 0.07);
  EXPECT_DOUBLE_EQ((*read)[0].interval.low, 0.06);
  EXPECT_EQ((*read)[0].as_of, parse_time("2025-11-02T18:00:00Z").value());
  EXPECT_THAT((*read)[0].source, HasSubstr("experiment ab, metric revenue"));
  EXPECT_TRUE((*read)[0].role.empty());
  EXPECT_EQ((*read)[1].measure, plan::Measure::kChurn);
  EXPECT_DOUBLE_EQ((*read)[1].interval.high, -0.03);
}

TEST(ReadImpacts, Table) {
  struct Row {
    std::string body;
    const char* says;  // null: read, and nothing is in it
  };
  const std::string early = R"({"name":"revenue","sequential":{"lift":null,"lift_interval":null}})"
                            R"(,{"name":"left"})";
  const Row kRows[] = {
      {analysis(early), nullptr},
      {analysis(R"({"name":"revenue","sequential":{"lift":0.2,"lift_interval":[0.3,0.4]}},)"
                R"({"name":"left","sequential":7})"),
       nullptr},
      {"", "no JSON object"},
      {"[]", "no JSON object"},
      {"{}", "not of the experiment"},
      {R"({"experiment":7})", "not of the experiment"},
      {R"({"experiment":"ab","type":"aa"})", "A/A"},
      {analysis(kRevenue, "invalid"), "not as planned"},
      {analysis(kRevenue, "win", "yesterday"), "as of when"},
      {R"({"experiment":"ab","type":"ab","as_of":"2025-11-02T18:00:00Z"})", "no metrics"},
      {analysis(kRevenue), "no metric 'left'"},
      {analysis("7,null,\"x\""), "no metric 'revenue'"},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.body);
    const auto read = read_impacts(source(), row.body);
    ASSERT_EQ(read.has_value(), row.says == nullptr);
    if (read) {
      EXPECT_TRUE(read->empty());
    } else {
      EXPECT_THAT(read.error().message, HasSubstr(row.says));
    }
  }
}

struct Experimenter final : http::Handler {
  std::string body;
  bool up = true;
  std::vector<std::string> asked;
  std::optional<std::size_t> admit(const http::Request&, http::Response&) override { return 0; }
  http::Task<void> handle(http::Request& q, http::Response& r) override {
    asked.emplace_back(q.target());
    if (up) {
      r.body = body;
    } else {
      r.problem(503, "not-analysed", "its first analysis is under way", q.target());
    }
    co_return;
  }
  void finished(const http::Request&, const http::Response&,
                std::chrono::nanoseconds) noexcept override {}
};

// Goal: what is new is handed over once; an analyzer that stays away is told, once, and its end.
TEST(Impacts, HandsOverWhatIsNewAndTellsOfTrouble) {
  http::test::TickingClock clock;
  Experimenter analyzer;
  http::test::Running running{analyzer, http::ServerLimits{}, clock};
  plan::Plan plan = plan::parse_plan("small.yaml", rollout::kSmallPlan).value();
  plan.impacts = source();
  plan.impacts.address = fmt::format("127.0.0.1:{}", running.port());
  std::vector<rollout::What> told;
  std::vector<std::string> over;
  const auto impacts = Impacts::make(
                           plan, clock, [&](rollout::What what) { told.push_back(what); },
                           [&](std::string key) { over.push_back(std::move(key)); })
                           .value();
  analyzer.body = analysis(fmt::format("{},{}", kRevenue, kChurn));
  impacts->ask();
  impacts->ask();
  EXPECT_EQ(impacts->trouble(), "");
  EXPECT_EQ(analyzer.asked.front(), "/v1/experiments/ab");
  ASSERT_EQ(told.size(), 2u);
  analyzer.body = analysis(fmt::format("{},{}", kRevenue, kChurn), "win", "2025-11-02T19:00:00Z");
  impacts->ask();
  EXPECT_EQ(told.size(), 4u);
  analyzer.up = false;
  for (int i = 0; i < 2 * Impacts::kTroublesTold; ++i) impacts->ask();
  EXPECT_THAT(impacts->trouble(), HasSubstr("503"));
  ASSERT_EQ(told.size(), 5u);
  EXPECT_THAT(std::get<rollout::ReportIncident>(told.back()).title, HasSubstr("can't be read"));
  EXPECT_TRUE(over.empty());
  analyzer.up = true;
  impacts->ask();
  impacts->ask();
  EXPECT_EQ(over, std::vector<std::string>{"experiment"});
}

}  // namespace
}  // namespace covey::probes

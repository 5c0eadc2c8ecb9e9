#include "probes/prometheus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include <fmt/format.h>

#include "http/harness.h"
#include "http/target.h"
#include "rollout/kit.h"

namespace covey::probes {
namespace {

using namespace std::chrono_literals;
using telemetry::Arm;
using ::testing::HasSubstr;

std::string series(std::string_view arm, std::string_view segment, double value) {
  return fmt::format(R"({{"metric":{{"arm":"{}","segment":"{}"}},"value":[1,"{}"]}})", arm, segment,
                     value);
}
std::string vector_of(const std::string& all) {
  return R"({"status":"success","data":{"resultType":"vector","result":[)" + all + "]}}";
}

TEST(PrometheusAnswer, Table) {
  struct Case {
    std::string body;
    const char* says;  // null: read
  };
  const Case kCases[] = {
      {vector_of(series("candidate", "north", 5)), nullptr},
      {vector_of(""), nullptr},
      {"", "no JSON"},
      {"[]", "no JSON object"},
      {R"({"status":"error","error":"parse error"})", "parse error"},
      {R"({"status":"success","data":{"resultType":"matrix","result":[]}})", "no instant vector"},
      {R"({"status":"success","data":7})", "no instant vector"},
      {vector_of(R"({"metric":{},"value":[1,"5"]})"), "label arm"},
      {vector_of(R"({"metric":{"arm":7},"value":[1,"5"]})"), "label arm"},
      {vector_of(R"({"metric":{"arm":"baseline"},"value":[1,5]})"), "without metric or value"},
      {vector_of(R"({"metric":{"arm":"baseline"},"value":[1,"NaN"]})"), "no number"},
      {vector_of(R"({"metric":{"arm":"baseline"},"value":[1,"-1"]})"), "no number"},
      {vector_of("5"), "without metric or value"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.body);
    const auto read = read_vector(c.body);
    ASSERT_EQ(read.has_value(), c.says == nullptr);
    if (!read) {
      EXPECT_THAT(read.error().message, HasSubstr(c.says));
    }
  }
}

/// Answers as Prometheus would whose counters stand as they are set.
class Server final : public http::Handler {
 public:
  double sent = 0, unanswered = 0, wrong = 0, slow = 0;
  bool up = true;
  std::vector<std::string> asked;
  std::optional<std::size_t> admit(const http::Request&, http::Response&) override { return 0; }
  http::Task<void> handle(http::Request& q, http::Response& r) override {
    const auto target = http::split_target(q.target());
    const std::string query = http::query_value(target.query, "query").value().value_or("");
    asked.push_back(query);
    const double value = query == "sent"         ? sent
                         : query == "unanswered" ? unanswered
                         : query == "wrong"      ? wrong
                                                 : slow;
    r.body = up ? vector_of(series("candidate", "north", value) + "," +
                            series("baseline", "nowhere", 10 * value))
                : R"({"status":"error","error":"out of memory"})";
    co_return;
  }
  void finished(const http::Request&, const http::Response&,
                std::chrono::nanoseconds) noexcept override {}
};

struct PrometheusTest : ::testing::Test {
  http::test::TickingClock clock;
  Server server;
  http::test::Running running{server, http::ServerLimits{}, clock};
  plan::Plan plan = plan::parse_plan("small.yaml", rollout::kSmallPlan).value();
  telemetry::Shape shape = telemetry::Shape::of({"north"}, {200ms});
  std::unique_ptr<Prometheus> source;
  Time at = parse_time("2025-11-01T14:00:00Z").value();

  void SetUp() override {
    plan.prometheus = plan::PrometheusSource{fmt::format("http://127.0.0.1:{}/", running.port()),
                                             "sent", "unanswered", "wrong", "slow > $limit"};
    source = Prometheus::make(plan, shape, clock, [](auto) {}).value();
  }
  void set(double sent, double unanswered, double wrong, double slow) {
    server.sent = sent;
    server.unanswered = unanswered;
    server.wrong = wrong;
    server.slow = slow;
  }
  telemetry::ClosedSlot next() { return source->slot(at += 5s).value(); }
};

TEST_F(PrometheusTest, WhatGrewIsTheSlot) {
  set(1'000, 10, 5, 3);
  EXPECT_FALSE(source->slot(at).has_value()) << "counting begins with it";
  EXPECT_THAT(server.asked, ::testing::ElementsAre("sent", "unanswered", "wrong", "slow > 0.2"));
  set(1'100, 12, 6, 7);
  const auto slot = next();
  EXPECT_TRUE(slot.complete) << source->trouble();
  const auto counts = slot.sums.counts(Arm::kCandidate, 0);
  EXPECT_EQ(counts.sent, 100u);
  EXPECT_EQ(counts.unanswered, 2u);
  EXPECT_EQ(counts.wrong, 1u);
  EXPECT_EQ(counts.slow[0], 4u);
  EXPECT_EQ(counts.bad[0], 7u);
  EXPECT_EQ(slot.sums.counts(Arm::kBaseline, 1).sent, 1'000u) << "an unknown segment is other";
}

TEST_F(PrometheusTest, NothingThatCannotBeTrustedIsComplete) {
  set(1'000, 0, 0, 0);
  (void)source->slot(at);
  EXPECT_FALSE(next().complete) << "nothing grew";
  server.up = false;
  set(1'200, 0, 0, 0);
  EXPECT_FALSE(next().complete);
  EXPECT_THAT(source->trouble(), HasSubstr("out of memory"));
  server.up = true;
  const auto after = next();  // counts what came meanwhile
  EXPECT_TRUE(after.complete);
  EXPECT_EQ(after.sums.counts(Arm::kCandidate).sent, 200u);
  set(50, 0, 0, 0);
  const auto anew = next();
  EXPECT_FALSE(anew.complete) << "a counter fell";
  EXPECT_EQ(anew.sums.counts(Arm::kCandidate).sent, 0u);
}

}  // namespace
}  // namespace covey::probes

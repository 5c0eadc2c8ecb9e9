#include "load/generator.h"

#include <gtest/gtest.h>

#include <boost/asio/steady_timer.hpp>
#include <thread>

#include "http/harness.h"

namespace covey::load {
namespace {

using namespace std::chrono_literals;

class Target final : public http::Handler {
 public:
  std::atomic<std::uint64_t> asked = 0, named = 0;
  std::atomic<unsigned> status = 200;
  std::optional<std::size_t> admit(const http::Request&, http::Response&) override { return 0; }
  http::Task<void> handle(http::Request& q, http::Response& r) override {
    ++asked;
    named += !q.field("X-Learner-Id").empty() && !q.field("X-Segment").empty();
    r.status = status;
    // Holds its thread: nobody is answered meanwhile, as in a stop-the-world pause.
    if (q.target() == "/stall" && asked == 100) std::this_thread::sleep_for(1s);
    co_return;
  }
  void finished(const http::Request&, const http::Response&,
                std::chrono::nanoseconds) noexcept override {}
};

struct LoadTest : ::testing::Test {
  http::test::TickingClock clock;
  Target target;
  http::test::Running server{target, http::ServerLimits{}, clock};
  Settings settings;
  void SetUp() override {
    settings.target = {"127.0.0.1", server.port(), "/"};
    settings.learners = {"a/b", "c"};
    settings.segments = {"north"};
    settings.requests_per_second = 500;
    settings.duration = 1s;
    settings.connections = 8;
  }
};

TEST_F(LoadTest, AsksAtTheRateItWasTold) {
  auto generator = Generator::make(settings, clock).value();
  const Totals totals = generator.run();
  // Poisson with mean 500: beyond five standard deviations once in a million runs.
  EXPECT_NEAR(static_cast<double>(totals.sent), 500, 5 * 22.4);
  EXPECT_EQ(totals.ok, totals.sent);
  EXPECT_EQ(target.named.load(), totals.sent);
  EXPECT_EQ(totals.latency.count(), totals.sent);
}

// Goal: a server that stalls for a second is charged for everybody who would have come meanwhile.
// A closed-loop tool would have sent nothing in that second and seen a few slow answers.
TEST_F(LoadTest, AStallIsChargedToTheServer) {
  settings.path = "/stall";
  settings.duration = 2s;
  settings.connections = 1;
  auto generator = Generator::make(settings, clock).value();
  const Totals totals = generator.run();
  std::uint64_t late = 0;
  for (std::size_t i = 0; i < totals.latency.buckets().size(); ++i) {
    if (telemetry::Histogram::middle(i) > 100ms) late += totals.latency.buckets()[i];
  }
  EXPECT_GT(late, totals.sent / 20) << "of " << totals.sent;
}

TEST_F(LoadTest, TellsErrorsApart) {
  target.status = 503;
  settings.duration = 100ms;
  {
    auto generator = Generator::make(settings, clock).value();
    const Totals totals = generator.run();
    EXPECT_EQ(totals.server_errors, totals.sent);
    EXPECT_EQ(generator.failed(), totals.sent);
  }
  settings.target.port = 1;
  auto generator = Generator::make(settings, clock).value();
  const Totals totals = generator.run();
  EXPECT_GT(totals.sent, 0u);
  EXPECT_EQ(totals.refused, totals.sent);
}

TEST(Load, RefusesWhatCannotBe) {
  http::test::TickingClock clock;
  Settings bad;
  bad.requests_per_second = 0;
  bad.connections = 0;
  const auto made = Generator::make(bad, clock);
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().message.find("rate"), std::string::npos);
  EXPECT_NE(made.error().message.find("learners"), std::string::npos);
}

}  // namespace
}  // namespace covey::load

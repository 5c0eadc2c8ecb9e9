#include "control/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/kit.h"

namespace covey::control {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

std::string metrics_of(Desk& desk, Time since) {
  std::string out;
  EXPECT_TRUE(
      desk.controller->with_books([&](const Books& books) { out = metrics(books, since); }));
  desk.settle();
  return out;
}

void add_slot(Desk& desk, bool complete) {
  std::vector<telemetry::ClosedSlot> one;
  one.push_back(desk.slot(desk.clock.wall(), 10, 0));
  one.back().complete = complete;
  desk.controller->add_slots(std::move(one));
  desk.settle();
}

// Goal: the age of telemetry is there and grows whatever happens: before any came, while slots
// come that lack lines, and when none comes at all.
TEST(Metrics, TheAgeOfTelemetryGrowsUntilSomeComes) {
  Desk desk;
  const std::string age = "\ncovey_rollout_telemetry_age_seconds ";
  EXPECT_THAT(metrics_of(desk, kBegin), HasSubstr(age + "0\n"));
  desk.clock.advance(30s);
  EXPECT_THAT(metrics_of(desk, kBegin), HasSubstr(age + "30\n")) << "none ever came";
  add_slot(desk, false);
  desk.clock.advance(1s);
  EXPECT_THAT(metrics_of(desk, kBegin), HasSubstr(age + "31\n")) << "none that was complete";
  add_slot(desk, true);
  EXPECT_THAT(metrics_of(desk, kBegin), HasSubstr(age + "0\n"));
  desk.clock.advance(7s);
  EXPECT_THAT(metrics_of(desk, kBegin), HasSubstr(age + "7\n")) << "none comes any more";
}

TEST(Metrics, CountAnswersByRouteMethodAndStatus) {
  RequestCounts counts;
  counts.add("/a", http::Method::kGet, 200);
  counts.add("/a", http::Method::kGet, 200);
  counts.add("/a", http::Method::kPost, 409);
  http::Exposition out;
  counts.write(out);
  const std::string text = out.text();
  EXPECT_THAT(text, HasSubstr(R"(total{route="/a",method="GET",code="200"} 2)"));
  EXPECT_THAT(text, HasSubstr(R"(total{route="/a",method="POST",code="409"} 1)"));
  EXPECT_THAT(text, Not(HasSubstr("code=\"500\"")));
}

}  // namespace
}  // namespace covey::control

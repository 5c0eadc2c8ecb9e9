#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include <nlohmann/json.hpp>

#include "eventually.h"
#include "http/harness.h"
#include "notify/queue.h"

namespace covey::notify {
namespace {

using covey::testing::eventually;

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;
using Kind = plan::Channel::Kind;

Message sample(std::string id = "run-7") {
  Message out;
  out.id = std::move(id);
  out.at = parse_time("2025-11-01T14:00:00Z").value();
  out.plan = "small";
  out.link = "http://c/";
  out.what.severity = plan::Severity::kCritical;
  out.what.title = "ramp rolled back: error_rate < 0.5% & more";
  out.what.text = "2 % of <all>";
  out.what.people = {"Olga", "Vera"};
  out.what.incident = 4;
  return out;
}

TEST(Message, AlertmanagerTakesAnAlertThatEnds) {
  const plan::Channel channel{"alerts", "http://h:9093/prefix/", Kind::kAlertmanager};
  EXPECT_EQ(target(channel, "/prefix/"), "/prefix/api/v2/alerts");
  const Json fired = Json::parse(body(Kind::kAlertmanager, sample()));
  ASSERT_EQ(fired.size(), 1u);
  EXPECT_EQ(fired[0]["labels"]["severity"], "critical");
  EXPECT_EQ(fired[0]["labels"]["incident"], "4");
  EXPECT_EQ(fired[0]["annotations"]["people"], "Olga, Vera");
  EXPECT_GT(fired[0]["endsAt"].get<std::string>(), "2025-11-01T14:00:00Z");
  Message over = sample();
  over.what.resolved = true;
  const Json resolved = Json::parse(body(Kind::kAlertmanager, over));
  EXPECT_EQ(resolved[0]["labels"], fired[0]["labels"]) << "or it would not be the same alert";
  EXPECT_EQ(resolved[0]["endsAt"], "2025-11-01T14:00:00Z");
  Message news = sample();
  news.what.severity.reset();
  EXPECT_TRUE(body(Kind::kAlertmanager, news).empty());
}

TEST(Message, SlackMarkupIsText) {
  const std::string text = Json::parse(body(Kind::kSlack, sample()))["text"];
  EXPECT_THAT(text, HasSubstr("error_rate &lt; 0.5% &amp; more"));
  EXPECT_THAT(text, HasSubstr("2 % of &lt;all&gt;"));
  EXPECT_THAT(text, HasSubstr("Olga, Vera"));
}

TEST(Message, CloudEventHasWhatTheSpecificationAsksFor) {
  const Json event = Json::parse(body(Kind::kCloudEvents, sample()));
  EXPECT_EQ(content_type(Kind::kCloudEvents), "application/cloudevents+json");
  EXPECT_EQ(event["specversion"], "1.0");
  EXPECT_EQ(event["id"], "run-7");
  EXPECT_EQ(event["source"], "/covey/rollout/small");
  EXPECT_EQ(event["time"], "2025-11-01T14:00:00Z");
  EXPECT_EQ(event["data"]["incident"], 4);
}

/// A receiver that answers as told, and keeps what it took.
class Receiver final : public http::Handler {
 public:
  std::vector<unsigned> answers;  ///< one each, then 200
  std::vector<std::string> ids;
  std::mutex mutex;

  std::optional<std::size_t> admit(const http::Request&, http::Response&) override {
    return 1 << 20;
  }
  http::Task<void> handle(http::Request& q, http::Response& r) override {
    const std::lock_guard lock(mutex);
    ids.emplace_back(q.field("Idempotency-Key"));
    if (!answers.empty()) {
      r.status = answers.front();
      answers.erase(answers.begin());
    }
    co_return;
  }
  void finished(const http::Request&, const http::Response&,
                std::chrono::nanoseconds) noexcept override {}
  std::vector<std::string> seen() {
    const std::lock_guard lock(mutex);
    return ids;
  }
};

struct QueueTest : ::testing::Test {
  Receiver receiver;
  http::test::TickingClock clock;
  http::test::Running server{receiver, http::ServerLimits{}, clock};
  std::mutex mutex;
  std::vector<std::string> told, gone;
  std::unique_ptr<Queue> queue;
  std::thread thread;

  void start(std::uint16_t port, Limits limits) {
    const plan::Channel channel{"c", "http://127.0.0.1:" + std::to_string(port) + "/x",
                                Kind::kWebhook};
    queue = Queue::make(
                channel, limits, clock,
                [this](const plan::Channel& c, bool dead, auto) {
                  const std::lock_guard lock(mutex);
                  told.push_back(c.name + (dead ? " dead" : " lives"));
                },
                [this](const plan::Channel&, const Message& message) {
                  const std::lock_guard lock(mutex);
                  gone.push_back(message.id);
                })
                .value();
    thread = std::thread([this] { queue->run(); });
  }
  void TearDown() override {
    queue->stop();
    thread.join();
  }
};

constexpr Limits kQuick{
    .waiting_max = 3, .patience = 1s, .backoff_first = 5ms, .backoff_max = 20ms, .dead_after = 3};

TEST_F(QueueTest, SendsInOrderAndOnce) {
  start(server.port(), kQuick);
  queue->post(sample("a"));
  ASSERT_TRUE(eventually([&] { return queue->counters().sent == 1; }));
  queue->post(sample("a"));  // the same effect, done again after a crash
  queue->post(sample("b"));
  ASSERT_TRUE(eventually([&] { return queue->counters().sent == 2; }));
  EXPECT_THAT(receiver.seen(), ElementsAre("a", "b"));
}

TEST_F(QueueTest, TriesAgainUntilItIsTaken) {
  receiver.answers = {500, 503, 429, 408, 500};
  start(server.port(), kQuick);
  queue->post(sample("a"));
  queue->post(sample("b"));
  ASSERT_TRUE(eventually([&] { return queue->counters().sent == 2; }));
  EXPECT_THAT(receiver.seen(), ElementsAre("a", "a", "a", "a", "a", "a", "b"));
  const std::lock_guard lock(mutex);
  EXPECT_THAT(told, ElementsAre("c dead", "c lives"));
}

TEST_F(QueueTest, WhatIsRefusedForGoodIsDropped) {
  receiver.answers = {400};
  start(server.port(), kQuick);
  queue->post(sample("a"));
  queue->post(sample("b"));
  ASSERT_TRUE(eventually([&] { return queue->counters().sent == 1; }));
  EXPECT_THAT(receiver.seen(), ElementsAre("a", "b"));
  EXPECT_EQ(queue->counters().dropped, 1u);
}

TEST_F(QueueTest, NeverBlocksAndKeepsTheNewest) {
  start(1, kQuick);  // nobody listens there
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 1'000; ++i) queue->post(sample(std::to_string(i)));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  ASSERT_TRUE(eventually([&] { return queue->counters().dead; }));
  const auto counters = queue->counters();
  EXPECT_EQ(counters.waiting, 3u);
  EXPECT_GE(counters.dropped, 996u);
  EXPECT_THAT(counters.trouble, HasSubstr("refused"));
}

// Goal: whoever keeps messages hears of each exactly when it need not be kept any longer: taken,
// refused for good, driven out, or known as taken; not while it is tried again.
TEST_F(QueueTest, TellsWhatNeedNotBeKept) {
  receiver.answers = {500, 200, 400};
  start(server.port(), kQuick);
  for (const char* id : {"a", "b", "c"}) queue->post(sample(id));
  const auto seen = [&] {
    const std::lock_guard lock(mutex);
    return gone;
  };
  ASSERT_TRUE(eventually([&] { return seen().size() == 3; }));
  EXPECT_THAT(seen(), ElementsAre("a", "b", "c"));
  queue->post(sample("a"));  // after a restart that came before it was forgotten
  EXPECT_THAT(seen(), ElementsAre("a", "b", "c", "a"));
  EXPECT_THAT(receiver.seen(), ElementsAre("a", "a", "b", "c"));
}

TEST_F(QueueTest, WhatWaitsAtTheStopIsNotGone) {
  start(1, kQuick);  // nobody listens there
  for (int i = 0; i < 5; ++i) queue->post(sample(std::to_string(i)));
  ASSERT_TRUE(eventually([&] { return queue->counters().dead; }));
  queue->stop();
  const std::lock_guard lock(mutex);
  EXPECT_THAT(gone, ElementsAre("0", "1")) << "they had to make room";
}

// Goal: what is told again and again fills no queue of a dead channel.
TEST_F(QueueTest, OneRenewalOfAnIncidentWaits) {
  start(1, kQuick);
  queue->post(sample("first"));
  Message renewal = sample();
  renewal.renewal = true;
  for (int hour = 0; hour < 50; ++hour) {
    renewal.id = std::to_string(hour);
    queue->post(renewal);
  }
  EXPECT_EQ(queue->counters().waiting, 2u);
  renewal.what.incident = 5;
  queue->post(renewal);
  EXPECT_EQ(queue->counters().waiting, 3u);
}

TEST(Queue, RefusesAnAddressThatIsNone) {
  http::test::TickingClock clock;
  const auto bad = Queue::make({"c", "https://h/", Kind::kSlack}, {}, clock, {}, {});
  ASSERT_FALSE(bad.has_value());
  EXPECT_THAT(bad.error().message, HasSubstr("channel c"));
}

}  // namespace
}  // namespace covey::notify

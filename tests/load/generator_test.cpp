#include "load/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <boost/asio/steady_timer.hpp>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "http/harness.h"
#include "load/limits.h"
#include "load/report.h"

namespace covey::load {
namespace {

using namespace std::chrono_literals;

class Target final : public http::Handler {
 public:
  std::atomic<std::uint64_t> asked = 0, named = 0, events = 0, known = 0;
  std::atomic<unsigned> status = 200;
  std::string body = R"({"learner":"c"})";
  std::optional<std::size_t> admit(const http::Request&, http::Response&) override {
    return std::size_t{64} << 20;
  }
  http::Task<void> handle(http::Request& q, http::Response& r) override {
    const std::uint64_t number = ++asked;
    named += !q.field("X-Learner-Id").empty() && !q.field("X-Segment").empty();
    r.status = status;
    r.body = body;
    if (q.target() == "/stall" && number == 100) {
      // Holds its thread: nobody is answered meanwhile, as in a stop-the-world pause.
      std::this_thread::sleep_for(1s);
    } else if (q.target() == "/v1/events") {
      r.body = take(q.body());
    } else if (q.target() == "/v1/discover") {
      // Every second one finds another under way.
      if (number % 2 == 0) r.status = 409;
      r.body = R"({"cohorts":[]})";
    } else if (q.target() == "/v1/cohorts") {
      r.body = R"({"cohorts":[]})";
    }
    co_return;
  }
  void finished(const http::Request&, const http::Response&,
                std::chrono::nanoseconds) noexcept override {}

 private:
  std::string take(std::string_view lines) {
    std::uint64_t accepted = 0, duplicates = 0;
    const std::lock_guard lock(mutex_);
    while (!lines.empty()) {
      const std::size_t end = std::min(lines.find('\n'), lines.size());
      const auto event = nlohmann::json::parse(lines.substr(0, end), nullptr, false);
      lines.remove_prefix(std::min(end + 1, lines.size()));
      if (!event.is_object() || !event.contains("learner")) continue;
      ++(ids_.insert(event.value("id", "")).second ? accepted : duplicates);
    }
    events += accepted;
    known += duplicates;
    return fmt::format(R"({{"accepted":{},"duplicates":{},"rejected":0}})", accepted, duplicates);
  }
  std::mutex mutex_;
  std::set<std::string> ids_;
};

/// As many threads as asked for, each with one task.
class Threads final : public Parallel {
 public:
  explicit Threads(unsigned width) : width_(width) {}
  unsigned width() const override { return width_; }
  void run(std::size_t count, const std::function<void(std::size_t)>& task) override {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([&task, i] { task(i); });
  }

 private:
  unsigned width_;
};

struct LoadTest : ::testing::Test {
  http::test::TickingClock clock;
  Target target;
  http::test::Running server{target, http::ServerLimits{}, clock};
  Settings settings;
  void SetUp() override {
    settings.target = {"127.0.0.1", server.port(), "/"};
    settings.learners.names = {"a/b", "c"};
    settings.learners.segments = {"north"};
    settings.lane(Kind::kLookUp) = {.per_second = 500, .connections = 8};
    settings.duration = 1s;
    settings.batches.population.learners = 2'000;
    settings.batches.population.events_per_learner = 20;
    settings.batches.events = 100;
    settings.batches.id_prefix = "t-";
  }
  Totals run() {
    auto generator = Generator::make(settings, clock).value();
    return generator.run();
  }
};

TEST_F(LoadTest, AsksAtTheRateItWasTold) {
  const Totals totals = run();
  const Tally& t = totals.of(Kind::kLookUp);
  // Poisson with mean 500: beyond five standard deviations once in a million runs.
  EXPECT_NEAR(static_cast<double>(t.sent), 500, 5 * 22.4);
  EXPECT_EQ(t.ok(), t.sent);
  EXPECT_EQ(t.due, t.sent);
  EXPECT_EQ(target.named.load(), t.sent);
  EXPECT_EQ(t.latency.count(), t.sent);
  EXPECT_EQ(t.service.count(), t.sent);
  std::uint64_t sent = 0, answered = 0;
  for (const Series::Step& step : t.series.steps()) {
    sent += step.sent;
    answered += step.ok;
  }
  EXPECT_EQ(sent, t.sent);
  EXPECT_EQ(answered, t.ok());
}

std::uint64_t beyond(const telemetry::Histogram& h, telemetry::Duration limit) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < h.buckets().size(); ++i) {
    if (telemetry::Histogram::middle(i) > limit) out += h.buckets()[i];
  }
  return out;
}

// Goal: a server that stalls for a second is charged for everybody who would have come meanwhile.
// Method: the same stall under an open-loop load and under a closed loop of as many requests, which
// sends nothing in that second and so sees one slow answer.
TEST_F(LoadTest, AStallIsChargedToTheServer) {
  settings.path = "/stall";
  settings.duration = 2s;
  settings.lane(Kind::kLookUp).connections = 1;
  const Totals open = run();
  const Tally& t = open.of(Kind::kLookUp);
  EXPECT_GT(beyond(t.latency, 100ms), t.sent / 20) << "of " << t.sent;
  EXPECT_GE(t.latency.quantile(0.9).value(), 100ms);
  // From the sending, the stall is one answer of many: what a closed loop would have told.
  EXPECT_EQ(beyond(t.service, 500ms), 1u);
  EXPECT_LT(t.service.quantile(0.99).value(), 100ms);
  for (const OwnLimit& own : own_limits(settings, open)) {
    EXPECT_NE(own.cause, "connections") << "the stall is the server's: " << own.detail;
  }

  target.asked = 0;
  settings.lane(Kind::kLookUp) = {
      .one_after_another = true, .connections = 1, .requests_max = t.sent};
  settings.duration = 0s;
  const Totals closed = run();
  const Tally& c = closed.of(Kind::kLookUp);
  EXPECT_EQ(c.sent, t.sent);
  EXPECT_EQ(beyond(c.latency, 500ms), 1u);
  EXPECT_LT(c.latency.quantile(0.99).value(), 100ms) << "a closed loop misses it";
}

TEST_F(LoadTest, TellsErrorsApart) {
  settings.duration = 100ms;
  const std::pair<unsigned, Outcome> kRows[] = {
      {200, Outcome::kOk},          {404, Outcome::kClientError}, {429, Outcome::kTooMany},
      {500, Outcome::kServerError}, {502, Outcome::kServerError}, {503, Outcome::kUnavailable},
  };
  for (const auto& [status, outcome] : kRows) {
    SCOPED_TRACE(status);
    target.status = status;
    auto generator = Generator::make(settings, clock).value();
    const Totals totals = generator.run();
    const Tally& t = totals.of(Kind::kLookUp);
    EXPECT_GT(t.sent, 0u);
    EXPECT_EQ(t.count(outcome), t.sent);
    EXPECT_EQ(t.finished(), t.sent);
    EXPECT_EQ(generator.failed(), outcome == Outcome::kOk ? 0 : t.sent);
    EXPECT_EQ(generator.sent(), t.sent);
    EXPECT_EQ(t.turned_away.count(), status == 429 || status == 503 ? t.sent : 0);
  }
  target.status = 200;
  settings.expect = R"("learner":"{learner}")";
  settings.learners.names = {"somebody else"};
  EXPECT_EQ(run().of(Kind::kLookUp).ok(), 0u);
  settings.learners.names = {"c"};
  EXPECT_EQ(run().of(Kind::kLookUp).count(Outcome::kWrong), 0u);

  settings.target.port = 1;
  const Totals refused = run();
  EXPECT_GT(refused.of(Kind::kLookUp).sent, 0u);
  EXPECT_EQ(refused.of(Kind::kLookUp).count(Outcome::kRefused), refused.of(Kind::kLookUp).sent);
}

/// Accepts, reads, and does as it is told.
class Rude {
 public:
  enum class How { kCuts, kSaysNothing, kTalksNonsense };
  explicit Rude(How how) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
        ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(at.sin_port);
    thread_ = std::jthread([this, how] {
      for (int one; (one = ::accept(listener_, nullptr, nullptr)) >= 0;) {
        char room[4096];
        if (how == How::kSaysNothing || ::recv(one, room, sizeof room, 0) <= 0) {
          open_.push_back(one);
          continue;
        }
        if (how == How::kTalksNonsense) ::send(one, "220 mail\r\n\r\n", 12, MSG_NOSIGNAL);
        ::close(one);
      }
    });
  }
  ~Rude() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    for (const int one : open_) ::close(one);
    ::close(listener_);
  }
  std::uint16_t port() const { return port_; }

 private:
  int listener_;
  std::uint16_t port_ = 0;
  std::vector<int> open_;
  std::jthread thread_;
};

TEST_F(LoadTest, SilenceCutsAndNonsenseAreTold) {
  settings.duration = 200ms;
  settings.patience = 150ms;
  settings.lane(Kind::kLookUp) = {.per_second = 100, .connections = 2};
  const std::pair<Rude::How, Outcome> kRows[] = {{Rude::How::kCuts, Outcome::kCut},
                                                 {Rude::How::kSaysNothing, Outcome::kTimedOut},
                                                 {Rude::How::kTalksNonsense, Outcome::kWrong}};
  for (const auto& [how, outcome] : kRows) {
    SCOPED_TRACE(name(outcome));
    const Rude rude(how);
    settings.target.port = rude.port();
    const Totals totals = run();
    const Tally& t = totals.of(Kind::kLookUp);
    EXPECT_GT(t.count(outcome), 0u);
    EXPECT_EQ(t.ok(), 0u);
    // Everyone who came is accounted for, though some were never sent.
    EXPECT_EQ(t.finished(), t.due);
    if (outcome == Outcome::kTimedOut) {
      EXPECT_EQ(t.count(outcome), t.due);
      EXPECT_GE(t.latency.quantile(0.01).value(), 149ms) << "who gave up waited so long at least";
    }
  }
}

TEST_F(LoadTest, PipelinedAnswersAreMatchedInOrder) {
  settings.lane(Kind::kLookUp) = {.per_second = 5'000, .connections = 2, .pipeline = 16};
  settings.duration = 500ms;
  const Totals totals = run();
  EXPECT_EQ(totals.of(Kind::kLookUp).ok(), totals.of(Kind::kLookUp).due);
  EXPECT_EQ(target.asked.load(), totals.of(Kind::kLookUp).sent);
  EXPECT_EQ(totals.connects, 2u);
}

// Goal: an event counts as acknowledged only where the service has it, and none is sent twice.
TEST_F(LoadTest, EveryBatchIsNewAndCountedOnce) {
  settings.lane(Kind::kLookUp) = {};
  settings.lane(Kind::kIngest) = {.one_after_another = true, .connections = 3, .requests_max = 60};
  settings.batches.bytes_max = 1 << 20;  // some 65 batches of both threads together
  settings.duration = 0s;
  Threads two(2);
  auto generator = Generator::make(settings, clock).value();
  const Totals totals = generator.run(two);
  const Tally& t = totals.of(Kind::kIngest);
  EXPECT_EQ(t.ok(), 60u);
  EXPECT_EQ(t.events, 6'000u);
  EXPECT_EQ(target.events.load(), 6'000u);
  EXPECT_EQ(target.known.load(), 0u);
  EXPECT_EQ(totals.threads.size(), 2u);

  // The same ids again: the service says so, and nothing counts.
  const Totals again = run();
  EXPECT_GT(again.of(Kind::kIngest).count(Outcome::kWrong), 0u);
  EXPECT_GT(target.known.load(), 0u);
  EXPECT_LE(again.of(Kind::kIngest).events, target.events.load() - 6'000u);
}

TEST_F(LoadTest, BatchesThatAreSpentComeAgainUnderNewIds) {
  settings.lane(Kind::kLookUp) = {};
  settings.lane(Kind::kIngest) = {.one_after_another = true, .connections = 1, .requests_max = 10};
  settings.batches.bytes_max = 1;  // one batch
  settings.duration = 0s;
  const Totals totals = run();
  EXPECT_EQ(totals.of(Kind::kIngest).events, 1'000u);
  EXPECT_EQ(totals.of(Kind::kIngest).events_again, 900u);
  EXPECT_EQ(target.events.load(), 1'000u);
}

// Goal: whoever must show that nothing acknowledged was lost can ask for each batch again.
TEST_F(LoadTest, TellsWhatBecameOfEachBatch) {
  settings.lane(Kind::kLookUp) = {};
  settings.lane(Kind::kIngest) = {.one_after_another = true, .connections = 2, .requests_max = 30};
  settings.batches.bytes_max = 10 * 160 * 100;  // ten batches, each sent in three rounds
  settings.duration = 0s;
  auto generator = Generator::make(settings, clock).value();
  Serial here;
  generator.prepare(here);
  std::uint64_t planned = 0;
  generator.planned(
      [&](std::string_view, std::uint32_t events, Batches::Fate) { planned += events; });
  EXPECT_EQ(planned, 1'000u);
  EXPECT_EQ(target.asked.load(), 0u);
  const Totals totals = generator.run(here);
  EXPECT_EQ(totals.of(Kind::kIngest).events, 3'000u);

  http::test::Client client(server.port());
  std::uint64_t batches = 0;
  generator.given([&](std::string_view lines, std::uint32_t events, Batches::Fate fate) {
    ++batches;
    EXPECT_EQ(fate, Batches::Fate::kAcknowledged);
    EXPECT_EQ(std::ranges::count(lines, '\n'), events);
    client.ask(http::test::post("/v1/events", lines));
  });
  EXPECT_EQ(batches, 30u);
  EXPECT_EQ(target.known.load(), 3'000u) << "word for word what was sent";
  EXPECT_EQ(target.events.load(), 3'000u);

  target.status = 503;
  auto refused = Generator::make(settings, clock).value();
  const Totals none = refused.run();
  EXPECT_GE(none.of(Kind::kIngest).count(Outcome::kUnavailable), 30u);
  refused.given([&](std::string_view, std::uint32_t, Batches::Fate fate) {
    EXPECT_EQ(fate, Batches::Fate::kTurnedAway);
  });
}

TEST_F(LoadTest, KindsHaveTheirOwnFigures) {
  settings.lane(Kind::kIngest) = {.per_second = 20, .connections = 2};
  settings.lane(Kind::kCohorts) = {.per_second = 20, .connections = 1};
  settings.lane(Kind::kDiscover) = {.per_second = 20, .connections = 1};
  const Totals totals = run();
  for (std::size_t k = 0; k < kKinds; ++k) {
    SCOPED_TRACE(name(static_cast<Kind>(k)));
    const Tally& t = totals.kinds[k];
    EXPECT_GT(t.ok(), 0u);
    EXPECT_EQ(t.failed(), 0u);
    EXPECT_EQ(t.finished(), t.due);
  }
  // Another discovery under way is no error.
  EXPECT_GT(totals.of(Kind::kDiscover).count(Outcome::kBusy), 0u);
  const auto json = to_json(Report{settings, "http://x", totals, {}, {}, ""});
  EXPECT_EQ(json["kinds"].size(), kKinds);
  EXPECT_EQ(json["kinds"]["ingest"]["events_acknowledged"], totals.of(Kind::kIngest).events);
  EXPECT_EQ(json["requests"], totals.all().sent);
  const std::string page = to_html(Report{settings, "http://x/<b>", totals, {}, {}, ""});
  EXPECT_EQ(page.find("/<b>"), page.npos);
  EXPECT_EQ(page.find("http-equiv"), page.npos);
  EXPECT_EQ(page.find("src="), page.npos) << "nothing is loaded from elsewhere";
  EXPECT_NE(page.find("prefers-color-scheme"), page.npos);
}

// Goal: by however many threads, each kind is sent whole, and each part of it by one of them. Kept
// apart, none of them sends two kinds unless there are too few, and none is idle.
TEST(Parts, AreTheWholeOnce) {
  for (const bool apart : {false, true}) {
    for (unsigned used = 1; used < 1U << kKinds; ++used) {
      Settings settings;
      settings.kinds_apart = apart;
      for (std::size_t k = 0; k < kKinds; ++k) {
        if ((used >> k & 1U) != 0) settings.lanes[k].per_second = 1;
      }
      const auto kinds = static_cast<unsigned>(std::popcount(used));
      for (unsigned threads = 1; threads < 10; ++threads) {
        SCOPED_TRACE(fmt::format("apart {}, kinds {:b}, {} threads", apart, used, threads));
        std::vector<unsigned> sent_by(threads);
        for (std::size_t k = 0; k < kKinds; ++k) {
          if ((used >> k & 1U) == 0) continue;
          std::set<unsigned> numbers;
          unsigned of = 0;
          for (unsigned t = 0; t < threads; ++t) {
            const Part part = part_of(settings, k, t, threads);
            if (part.of == 0) continue;
            ++sent_by[t];
            EXPECT_LT(part.number, part.of);
            EXPECT_TRUE(numbers.insert(part.number).second);
            EXPECT_TRUE(of == 0 || of == part.of);
            of = part.of;
          }
          EXPECT_EQ(numbers.size(), of);
          EXPECT_GT(of, 0u);
        }
        const auto [least, most] = std::ranges::minmax(sent_by);
        EXPECT_EQ(least, apart ? std::max(1U, kinds / threads) : kinds);
        EXPECT_EQ(most, apart ? (kinds + threads - 1) / threads : kinds);
      }
    }
  }
}

// Goal: kinds that are kept apart are all sent, over all their connections.
TEST_F(LoadTest, KindsAreSentApart) {
  settings.duration = 300ms;
  settings.lane(Kind::kIngest) = {.per_second = 40, .connections = 4};
  settings.lane(Kind::kCohorts) = {.per_second = 40, .connections = 2};
  settings.kinds_apart = true;
  Threads threads(2);
  const Totals totals = Generator::make(settings, clock).value().run(threads);
  EXPECT_EQ(totals.connects, 14u);
  EXPECT_EQ(totals.threads.size(), 2u);
  for (const Kind kind : {Kind::kLookUp, Kind::kIngest, Kind::kCohorts}) {
    EXPECT_GT(totals.of(kind).ok(), 0u) << name(kind);
    EXPECT_EQ(totals.of(kind).failed(), 0u) << name(kind);
  }
}

// Goal: where all connections were taken though each answer was quick, the generator says so.
TEST_F(LoadTest, TooFewConnectionsAreOwned) {
  settings.lane(Kind::kLookUp) = {.per_second = 200'000, .connections = 1};
  settings.duration = 500ms;
  settings.patience = 300ms;
  const Totals totals = run();
  const auto own = own_limits(settings, totals);
  EXPECT_TRUE(std::ranges::any_of(own, [](const OwnLimit& o) { return o.cause == "connections"; }));
  const auto limits = parse_limits("p99=200ms,p50=10s,errors=100%").value();
  const auto told = judge(limits, settings, totals);
  EXPECT_FALSE(told[0].held.has_value()) << "no verdict on the server: " << told[0].measured;
  EXPECT_EQ(told[1].held, true);
  EXPECT_EQ(told[2].held, true);
}

TEST(OwnLimits, ABusyThreadIsOwned) {
  Settings settings;
  Totals totals;
  totals.threads = {{0.3, 0.5}, {0.7, 0.97}};
  const auto own = own_limits(settings, totals);
  ASSERT_EQ(own.size(), 1u);
  EXPECT_EQ(own[0].cause, "processor");
  EXPECT_NE(own[0].detail.find("thread 2 of 2"), std::string::npos) << own[0].detail;
}

TEST(OwnLimits, LatenessIsOwned) {
  Settings settings;
  settings.lane(Kind::kLookUp) = {.per_second = 10, .connections = 1};
  Totals totals;
  Tally& t = totals.kinds[0];
  t.sent = 1'000;
  t.latency.add(20ms, 1'000);
  t.service.add(100us, 1'000);
  t.lag.add(100us, 1'000);
  EXPECT_TRUE(own_limits(settings, totals).empty());
  t.lag.add(6ms, 100);
  ASSERT_EQ(own_limits(settings, totals).size(), 1u);
  EXPECT_EQ(own_limits(settings, totals)[0].cause, "late");
}

TEST(Limits, AreReadAndJudged) {
  Settings settings;
  settings.lane(Kind::kLookUp) = {.per_second = 10, .connections = 1};
  Totals totals;
  Tally& t = totals.kinds[0];
  t.sent = t.due = 10'000;
  t.outcomes[static_cast<std::size_t>(Outcome::kOk)] = 9'990;
  t.outcomes[static_cast<std::size_t>(Outcome::kServerError)] = 10;
  t.latency.add(10ms, 9'900);
  t.latency.add(80ms, 90);
  const auto judged = [&](std::string_view text) {
    return judge(parse_limits(text).value(), settings, totals).at(0).held;
  };
  EXPECT_EQ(judged("p50=11ms"), true);
  EXPECT_EQ(judged("p999=50ms"), false);
  EXPECT_EQ(judged("lookups.max=100ms"), true);
  EXPECT_EQ(judged("errors=0.1%"), true);
  EXPECT_EQ(judged("errors=0.09%"), false);
  EXPECT_EQ(judged("ingest.p99=1s"), std::nullopt) << "nothing was measured: no pass";
  // Too few connections excuse a server only where its answers were quick from the sending.
  settings.lane(Kind::kLookUp).per_second = 10'000;
  t.waited.add(100ms, 10'000);
  t.service.add(5ms, 9'990);
  ASSERT_EQ(own_limits(settings, totals).front().cause, "connections");
  EXPECT_EQ(judged("p999=50ms"), std::nullopt);
  EXPECT_EQ(judged("p50=4ms"), false);
  // A hundred answers without an error don't show that one in a thousand fails.
  t.outcomes = {100};
  EXPECT_EQ(judged("errors=0.1%"), std::nullopt);
  EXPECT_EQ(judged("errors=1%"), true);
  for (const char* text :
       {"", "p99", "p98=1ms", "p99=1", "errors=1", "errors=120%", "x.p99=1s", "p99=1ms,,p50=1ms"}) {
    EXPECT_FALSE(parse_limits(text)) << text;
  }
}

TEST(SeriesTest, StepsGrowSoThatMemoryEnds) {
  Series series;
  const std::uint64_t seconds = 5 * Series::kStepsMax;
  for (std::uint64_t s = 0; s < seconds; ++s) {
    series.sent(std::chrono::seconds(s));
    series.answered(std::chrono::seconds(s), s % 10 == 0 ? Outcome::kCut : Outcome::kOk, 1ms);
  }
  EXPECT_EQ(series.step(), 8s);
  EXPECT_LE(series.steps().size(), Series::kStepsMax);
  Series later;
  later.add(series, 16s);
  std::uint64_t sent = 0, failed = 0, ok = 0;
  for (const Series::Step& step : later.steps()) {
    sent += step.sent;
    failed += step.failed;
    ok += step.latency.count();
  }
  EXPECT_EQ(sent, seconds);
  EXPECT_EQ(failed, seconds / 10);
  EXPECT_EQ(ok, seconds - seconds / 10);
}

TEST(Load, RefusesWhatCannotBe) {
  http::test::TickingClock clock;
  Settings bad;
  const auto none = Generator::make(bad, clock);
  ASSERT_FALSE(none.has_value());
  EXPECT_NE(none.error().message.find("rate"), std::string::npos);
  bad.lane(Kind::kLookUp) = {.per_second = 1, .pipeline = 0};
  bad.lane(Kind::kIngest) = {.per_second = -1, .connections = 1};
  bad.profile = Profile::parse("ramp:1..2", 1s).value();
  const auto made = Generator::make(bad, clock);
  ASSERT_FALSE(made.has_value());
  for (const char* what : {"learners", "lookups: at least one connection", "pipeline",
                           "ingest: the rate", "needs a length"}) {
    EXPECT_NE(made.error().message.find(what), std::string::npos)
        << what << " in " << made.error().message;
  }
}

}  // namespace
}  // namespace covey::load

#include "probes/prober.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "eventually.h"
#include "http/harness.h"
#include "rollout/kit.h"

namespace covey::probes {
namespace {

using covey::testing::eventually;

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// An analyzer of which only the answers matter.
class Analyzer final : public http::Handler {
 public:
  std::atomic<int> trait = 1, hits = 0;
  std::atomic<bool> wrong_in_the_south = false;
  std::atomic<bool> ready = true;
  std::mutex mutex;
  std::vector<std::string> splits;  ///< it was scraped by
  /// Many more below one split than below another.
  static std::string practice(std::string_view target) {
    const bool half = target.ends_with("=5000");
    return std::string("covey_split_practice_events_total{side=\"below\"} ") +
           (half ? "900000" : "7") + "\ncovey_split_practice_events_total{side=\"above\"} 5\n";
  }
  std::optional<std::size_t> admit(const http::Request&, http::Response&) override { return 0; }
  http::Task<void> handle(http::Request& q, http::Response& r) override {
    ++hits;
    if (q.target().starts_with("/v1/learners/")) {
      const bool wrong = wrong_in_the_south && q.field("X-Segment") == "the south";
      r.body = "{\"velocity\":" + std::to_string(wrong ? 9 : trait.load()) + "}";
    } else if (q.target().starts_with("/metrics?split=")) {
      const std::lock_guard lock(mutex);
      splits.emplace_back(q.target().substr(15));
      r.body =
          "covey_machine_cpu_seconds_total 1\ncovey_machine_cpus 2\n"
          "covey_machine_memory_bytes 10\ncovey_machine_memory_used_bytes 5\n" +
          practice(q.target());
    } else if (!ready) {
      r.status = 503;
    }
    co_return;
  }
  void finished(const http::Request&, const http::Response&,
                std::chrono::nanoseconds) noexcept override {}
};

struct ProberTest : ::testing::Test {
  http::test::TickingClock clock;
  Analyzer baseline, candidate;
  http::test::Running b{baseline, http::ServerLimits{}, clock};
  http::test::Running c{candidate, http::ServerLimits{}, clock};
  plan::Plan plan = plan::parse_plan("small.yaml", rollout::kSmallPlan).value();
  std::mutex mutex;
  std::vector<rollout::What> inputs;
  std::optional<std::string> gap;
  int levels = 0;
  std::uint64_t practised = 0;
  std::atomic<plan::BasisPoints> share = 100;
  std::unique_ptr<Prober> prober;
  std::thread thread, probe;

  void SetUp() override {
    plan.window = 1s;
    start(100);
  }
  void start(double compares_per_second) {
    plan.slot = 200ms;
    plan.segments = {"north", "the south"};
    plan.listen = plan.baseline.address = "127.0.0.1:" + std::to_string(b.port());
    plan.candidate.address = "127.0.0.1:" + std::to_string(c.port());
    Prober::Ports ports;
    ports.levels = [this](auto, const auto& l) {
      const std::lock_guard lock(mutex);
      levels += static_cast<int>(l.samples);
      practised += l.practice;
    };
    ports.input = [this](rollout::What what) {
      const std::lock_guard lock(mutex);
      inputs.push_back(std::move(what));
    };
    ports.shares = [] { return std::pair<plan::BasisPoints, plan::BasisPoints>{100, 100}; };
    ports.share = [this] { return share.load(); };
    ports.telemetry_gap = [this] { return gap; };
    ports.dead_channels = [] { return std::vector<std::string>{"alerts"}; };
    Settings settings;
    settings.compares_per_second = compares_per_second;
    prober = Prober::make(plan, settings, std::move(ports), clock).value();
    thread = std::thread([this] { prober->run(); });
    probe = std::thread([this] { prober->run_probe(); });
  }
  void stop() {
    prober->stop();
    thread.join();
    probe.join();
  }
  void TearDown() override { stop(); }
  rollout::CheckResult check(plan::Check what) {
    {
      const std::lock_guard lock(mutex);
      inputs.clear();
    }
    prober->check("canary", what);
    rollout::CheckResult out;
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard lock(mutex);
      for (const auto& input : inputs) {
        if (const auto* result = std::get_if<rollout::CheckResult>(&input)) {
          out = *result;
          return true;
        }
      }
      return false;
    }));
    return out;
  }
};

TEST_F(ProberTest, ProbesAndScrapesEverySlot) {
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return levels >= 4 && prober->counters().probes >= 4;
  }));
  EXPECT_EQ(prober->counters().probes_failed, 0u);
}

// Goal: what learners did is asked by the share that holds, and a change of it is no burst of
// activity: other learners are counted from then on.
TEST_F(ProberTest, AChangeOfShareIsNoActivity) {
  const auto scraped_by = [&](const char* split) {
    return eventually([&] {
      const std::lock_guard lock(candidate.mutex);
      return std::ranges::count(candidate.splits, split) >= 3;
    });
  };
  EXPECT_TRUE(scraped_by("100"));
  share = 5'000;
  EXPECT_TRUE(scraped_by("5000"));
  share = 100;
  const std::lock_guard lock(mutex);
  EXPECT_EQ(practised, 0u);
}

TEST_F(ProberTest, ChecksSayWhatTheySaw) {
  EXPECT_TRUE(check(plan::Check::kBaselineHealthy).ok);
  candidate.ready = false;
  const auto sick = check(plan::Check::kCandidateHealthy);
  EXPECT_FALSE(sick.ok);
  EXPECT_THAT(sick.detail, HasSubstr("503"));
  EXPECT_TRUE(check(plan::Check::kSplitReadsBack).ok);
  EXPECT_TRUE(check(plan::Check::kTelemetryFlows).ok);
  EXPECT_THAT(check(plan::Check::kChannelsAnswer).detail, HasSubstr("alerts"));
  // Nobody was served: nothing was compared, which is no pass.
  EXPECT_FALSE(check(plan::Check::kSameAnswers).ok);
}

// Goal: a candidate that answers otherwise is a critical incident, once, and one that does not is
// none.
TEST_F(ProberTest, DifferentAnswersAreAnIncident) {
  std::atomic<bool> over = false;
  std::thread learners([&] {
    while (!over) {
      prober->sample("ada", "north");
      std::this_thread::sleep_for(5ms);
    }
  });
  EXPECT_TRUE(eventually([&] { return prober->counters().compared >= 10; }));
  {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(inputs.empty());
  }
  candidate.trait = 2;
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return !inputs.empty();
  }));
  over = true;
  learners.join();
  const std::lock_guard lock(mutex);
  const auto& incident = std::get<rollout::ReportIncident>(inputs.front());
  EXPECT_EQ(incident.severity, plan::Severity::kCritical);
  EXPECT_THAT(incident.title, HasSubstr("velocity is 1 on the baseline and 2 on the candidate"));
}

// Goal: a candidate that is wrong in one small segment is found, as that segment, with the rate and
// what is known of it. Method: one of 40 learners is in it, so that among the last 50 of all there
// are hardly ever three.
TEST_F(ProberTest, AWrongSegmentIsFoundAmongMany) {
  candidate.wrong_in_the_south = true;
  std::atomic<bool> over = false;
  std::thread learners([&] {
    for (int n = 0; !over; ++n) {
      prober->sample("ada", n % 40 == 0 ? "the%20south" : "north");
      std::this_thread::sleep_for(15ms);  // as fast as they are compared
    }
  });
  const auto reported = [&]() -> std::optional<rollout::ReportIncident> {
    const std::lock_guard lock(mutex);
    for (const auto& input : inputs) {
      const auto* incident = std::get_if<rollout::ReportIncident>(&input);
      if (incident != nullptr && incident->key == "answers-differ/the south") return *incident;
    }
    return std::nullopt;
  };
  EXPECT_TRUE(eventually([&] { return reported().has_value(); }, 120s));
  over = true;
  learners.join();
  ASSERT_TRUE(reported().has_value());
  EXPECT_EQ(reported()->severity, plan::Severity::kCritical);
  // Three of three: the interval's lower end is (0.05 / 2)^(1/3).
  EXPECT_THAT(reported()->title, HasSubstr("3 of the last 3 learners of the south are answered "
                                           "differently (95 % interval 29.2 to 100.0 %)"));
  const auto counters = prober->counters();
  EXPECT_EQ(counters.segments.at("the south").differed, counters.differed);
  EXPECT_EQ(counters.segments.at("north").differed, 0u);
  EXPECT_GT(counters.segments.at("north").compared, 0u);
}

// Goal: a plan's check compares though nothing is compared all the time.
TEST_F(ProberTest, SameAnswersIsCheckedThoughNothingIsSampled) {
  stop();
  start(0);
  for (int n = 0; n < 1'000; ++n) prober->sample("gone" + std::to_string(n), "north");
  const auto same = check(plan::Check::kSameAnswers);
  EXPECT_TRUE(same.ok) << same.detail;
  EXPECT_EQ(same.detail, "20 learners are answered alike");
  EXPECT_EQ(prober->counters().compared, 0u);
  candidate.trait = 2;
  const auto other = check(plan::Check::kSameAnswers);
  EXPECT_FALSE(other.ok);
  EXPECT_THAT(other.detail, HasSubstr("gone"));
}

// Goal: a check that is asked for before anybody was served waits for those who come, though they
// are compared all the time.
TEST_F(ProberTest, SameAnswersWaitsForLearners) {
  stop();
  plan.window = 60s;
  start(100);
  std::thread learners([&] {
    std::this_thread::sleep_for(300ms);
    for (int n = 0; n < 20; ++n) {
      prober->sample("late" + std::to_string(n), "north");
      std::this_thread::sleep_for(5ms);
    }
  });
  const auto same = check(plan::Check::kSameAnswers);
  learners.join();
  EXPECT_TRUE(same.ok) << same.detail;
  EXPECT_EQ(same.detail, "20 learners are answered alike");
}

}  // namespace
}  // namespace covey::probes

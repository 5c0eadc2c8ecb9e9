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
  std::atomic<bool> ready = true;
  std::optional<std::size_t> admit(const http::Request&, http::Response&) override { return 0; }
  http::Task<void> handle(http::Request& q, http::Response& r) override {
    ++hits;
    if (q.target().starts_with("/v1/learners/")) {
      r.body = "{\"velocity\":" + std::to_string(trait) + "}";
    } else if (q.target() == "/metrics") {
      r.body =
          "covey_machine_cpu_seconds_total 1\ncovey_machine_cpus 2\n"
          "covey_machine_memory_bytes 10\ncovey_machine_memory_used_bytes 5\n";
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
  std::unique_ptr<Prober> prober;
  std::thread thread, probe;

  void SetUp() override {
    plan.slot = 200ms;
    plan.listen = plan.baseline.address = "127.0.0.1:" + std::to_string(b.port());
    plan.candidate.address = "127.0.0.1:" + std::to_string(c.port());
    Prober::Ports ports;
    ports.levels = [this](auto, const auto& l) {
      const std::lock_guard lock(mutex);
      levels += static_cast<int>(l.samples);
    };
    ports.input = [this](rollout::What what) {
      const std::lock_guard lock(mutex);
      inputs.push_back(std::move(what));
    };
    ports.shares = [] { return std::pair<plan::BasisPoints, plan::BasisPoints>{100, 100}; };
    ports.telemetry_gap = [this] { return gap; };
    ports.dead_channels = [] { return std::vector<std::string>{"alerts"}; };
    Settings settings;
    settings.compares_per_second = 100;
    prober = Prober::make(plan, settings, std::move(ports), clock).value();
    thread = std::thread([this] { prober->run(); });
    probe = std::thread([this] { prober->run_probe(); });
  }
  void TearDown() override {
    prober->stop();
    thread.join();
    probe.join();
  }
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
      prober->sample("ada");
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

}  // namespace
}  // namespace covey::probes

#pragma once

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "control/controller.h"
#include "log/rocks_log.h"
#include "process.h"
#include "rollout/kit.h"

namespace covey::control {

/// The small plan with slots of a second; it begins when the clock stands at kBegin.
inline const Time kBegin = parse_time("2025-10-31T11:59:50Z").value();

inline plan::Plan small_plan() {
  plan::Plan out = plan::parse_plan("small.yaml", rollout::kSmallPlan).value();
  out.slot = std::chrono::seconds(1);
  out.window = std::chrono::seconds(10);
  return out;
}

struct FakeBalancer final : Balancer {
  plan::BasisPoints held = 0;
  bool away = false;
  std::vector<plan::BasisPoints> told;
  Result<plan::BasisPoints> share() override {
    if (away) return fail(Errc::kRetryLater, "the balancer is away");
    return held;
  }
  Result<void> set_share(plan::BasisPoints share) override {
    if (away) return fail(Errc::kRetryLater, "the balancer is away");
    told.push_back(share);
    held = share;
    return {};
  }
};
struct FakeChannels final : Channels {
  std::vector<Note> notes;
  std::vector<rollout::Notify> renewed;
  std::vector<std::string> names() const override { return {"hook", "pager"}; }
  void post(const Note& note) override { notes.push_back(note); }
  void renew(const rollout::Notify& notify, Time) override { renewed.push_back(notify); }
};
struct NoChecks final : Checks {
  void run(const std::string&, plan::Check) override {}
};

/// A controller between fakes, with a journal on a real disk; stepped by hand on the test's thread.
struct Desk {
  testing::TempDir dir;
  ManualClock clock{kBegin};
  plan::Plan plan = small_plan();
  std::string plan_text{rollout::kSmallPlan};
  std::unique_ptr<log::Log> log;
  std::unique_ptr<Journal> journal;
  FakeBalancer balancer;
  FakeChannels channels;
  NoChecks checks;
  std::unique_ptr<Controller> controller;

  Desk() { open(); }
  /// As after a crash: everything in memory is gone.
  void open() {
    controller.reset();
    journal.reset();
    log.reset();
    log = log::open_rocks_log(dir / "log", log::Access::kReadWrite, {}, clock).value();
    journal = Journal::open(*log, plan_text, rollout::telemetry_shape(plan), clock).value();
    controller = std::make_unique<Controller>(plan, Controller::Config{.reports = dir.path()},
                                              *journal, balancer, channels, checks, clock);
    const auto recovered = controller->recover();
    EXPECT_TRUE(recovered.has_value()) << (recovered ? "" : recovered.error().message);
  }
  void settle() { EXPECT_TRUE(controller->settle().has_value()); }
  telemetry::ClosedSlot slot(Time end, std::uint64_t good, std::uint64_t wrong) const {
    const telemetry::Shape shape = rollout::telemetry_shape(plan);
    telemetry::ClosedSlot out{end, telemetry::Sums(shape), true, {}};
    for (const auto arm : {telemetry::Arm::kBaseline, telemetry::Arm::kCandidate}) {
      if (arm == telemetry::Arm::kCandidate && balancer.held == 0) continue;
      for (std::uint64_t i = 0; i < good + wrong; ++i) {
        const bool right = arm == telemetry::Arm::kBaseline || i < good;
        out.sums.add(arm, i % 2, true, right, std::chrono::milliseconds(1), shape.slower_than);
        out.latencies[static_cast<std::size_t>(arm)].add(std::chrono::milliseconds(1));
      }
    }
    return out;
  }
};

}  // namespace covey::control

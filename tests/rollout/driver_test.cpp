#include "rollout/driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rollout/kit.h"

namespace covey::rollout {
namespace {

using namespace std::chrono_literals;

struct Paper final : Journal {
  std::vector<Entry> entries;
  bool full = false;
  Result<void> append(const Entry& entry) override {
    if (full) return fail(Errc::kFull, "no space left");
    entries.push_back(entry);
    return {};
  }
  Result<void> replay(const std::function<void(const Input&)>& visit) const override {
    for (const Entry& entry : entries) visit(entry.input);
    return {};
  }
};

struct Balancer final : Outside {
  std::optional<BasisPoints> held = 0;
  std::vector<std::string> log;
  Result<BasisPoints> share() override {
    if (!held) return fail(Errc::kRetryLater, "away");
    log.push_back("read");
    return *held;
  }
  Result<void> set_share(BasisPoints share, const Effect&) override {
    if (!held) return fail(Errc::kRetryLater, "away");
    log.push_back("set " + std::to_string(share));
    held = share;
    return {};
  }
  void run_check(const RunCheck&, const Effect&) override { log.push_back("check"); }
  Result<void> notify(const Notify&, const Effect&) override {
    log.push_back("notify");
    return {};
  }
  Result<void> write_report(const WriteReport&, const Effect&) override {
    log.push_back("report");
    return {};
  }
};

struct Rig {
  Hand hand;  // for its plan
  Paper journal;
  Balancer balancer;
  std::unique_ptr<Driver> driver;
  Time now = parse_time("2025-10-31T11:59:50Z").value();

  void open() { driver = Driver::open(hand.plan, journal, balancer, now).value(); }
  void tick() {
    now += hand.plan.slot;
    hand.state = driver->state();
    ASSERT_TRUE(driver->take({now, Tick{hand.telemetry(0, 100'000)}}));
  }
  void begin() {
    open();
    ASSERT_TRUE(driver->take({now, Approve{"canary", "vp", "Vera"}}));
    ASSERT_TRUE(driver->take({now, Approve{"canary", "product", "Paul"}}));
    tick();
    tick();
    ASSERT_EQ(balancer.held, BasisPoints{100});
  }
};

TEST(Driver, NothingIsDoneThatTheJournalDoesNotHold) {
  Rig rig;
  rig.open();
  ASSERT_TRUE(rig.driver->take({rig.now, Approve{"canary", "vp", "Vera"}}));
  ASSERT_TRUE(rig.driver->take({rig.now, Approve{"canary", "product", "Paul"}}));
  rig.tick();
  rig.journal.full = true;
  rig.balancer.log.clear();
  rig.now += rig.hand.plan.slot;
  const auto taken = rig.driver->take({rig.now, Tick{}});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Errc::kFull);
  EXPECT_EQ(rig.balancer.held, BasisPoints{0});
  for (const auto& did : rig.balancer.log) EXPECT_EQ(did, "read");
}

TEST(Driver, AReplayGivesTheSameState) {
  Rig rig;
  rig.begin();
  for (int i = 0; i < 130; ++i) rig.tick();
  const auto before = rig.driver->state();
  ASSERT_EQ(before.phases[0].status, Status::kPassed);
  rig.open();
  const auto& after = rig.driver->state();
  EXPECT_EQ(after.phases[0].status, before.phases[0].status);
  EXPECT_EQ(after.phases[0].began, before.phases[0].began);
  EXPECT_EQ(after.phases[0].approvals, before.phases[0].approvals);
  EXPECT_EQ(after.seen, before.seen);
  EXPECT_EQ(after.next_effect, before.next_effect);
  EXPECT_EQ(after.pending.size(), before.pending.size());
}

TEST(Driver, TheBalancersShareIsReadBackNotRemembered) {
  Rig rig;
  rig.begin();
  // While the controller is away somebody sends everyone to the candidate.
  rig.balancer.held = plan::kEveryone;
  rig.balancer.log.clear();
  rig.open();
  ASSERT_GE(rig.balancer.log.size(), 2u);
  EXPECT_EQ(rig.balancer.log[0], "read");
  EXPECT_EQ(rig.balancer.held, BasisPoints{100});
}

TEST(Driver, AShareChangedByOthersIsSetBackAtTheNextTick) {
  Rig rig;
  rig.begin();
  rig.balancer.held = 5'000;
  rig.tick();
  EXPECT_EQ(rig.balancer.held, BasisPoints{100});
}

TEST(Driver, ARollBackSurvivesACrashAndAnAbsentBalancer) {
  Rig rig;
  rig.begin();
  rig.balancer.held.reset();  // unreachable
  Command abort;
  abort.kind = Command::Kind::kAbort;
  abort.role = "vp";
  abort.person = "Vera";
  ASSERT_TRUE(rig.driver->take({rig.now, abort}));
  rig.open();
  rig.tick();
  rig.balancer.held = 100;  // it was away, not down: learners are still on the candidate
  rig.tick();
  EXPECT_EQ(rig.balancer.held, BasisPoints{0});
  EXPECT_TRUE(rig.driver->state().rolled_back);
}

}  // namespace
}  // namespace covey::rollout

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rehearsal/kit.h"
#include "sanitized.h"

namespace covey::rehearsal {
namespace {

using testing::IsEmpty;

// Goal: no crash, wherever it falls, changes a decision, skips a window, breaks an invariant.
// Method: a calm run counts every point before and after an effect or a journal record that is not
// a mere tick; then one run dies at each of them in turn.
void dies_everywhere(const plan::Plan& plan, Options options, std::uint64_t stride) {
  options.rollout_only = true;
  options.calm_tick = std::chrono::minutes(30);
  const Rehearsed calm = rehearse(plan, options);
  ASSERT_THAT(calm.broken, IsEmpty());
  const auto decided = decisions_of(calm);
  std::uint64_t died = 0;
  for (const std::uint64_t fatal : calm.effect_points) {
    if (fatal % stride != 0) continue;
    options.fatal_point = fatal;
    const Rehearsed crashed = rehearse(plan, options);
    ASSERT_EQ(crashed.crashes, 1u) << "fatal=" << fatal;
    ASSERT_THAT(crashed.broken, IsEmpty()) << "fatal=" << fatal;
    ASSERT_EQ(decisions_of(crashed), decided) << "fatal=" << fatal;
    ASSERT_EQ(crashed.share_final, calm.share_final) << "fatal=" << fatal;
    // What was asked for is done, if need be twice.
    ASSERT_GE(crashed.notified, calm.notified) << "fatal=" << fatal;
    ASSERT_GE(crashed.reports, calm.reports) << "fatal=" << fatal;
    ++died;
  }
  EXPECT_GT(died, 10u);
}

TEST(Crash, AtEveryEffectOfTheCalendarChangesNothing) {
  dies_everywhere(coarse_plan(), {}, kSanitized ? 29 : 1);
}

TEST(Crash, AtEveryEffectOfARollBackChangesNothing) {
  Options options;
  Fault spike;
  spike.kind = FaultKind::kErrorSpike;
  spike.in = "ramp";
  spike.after = std::chrono::hours(1);
  spike.size = 0.05;
  options.faults = {spike};
  dies_everywhere(coarse_plan(), options, kSanitized ? 7 : 1);
}

TEST(Crash, AtEveryEffectOfANoGoChangesNothing) {
  Options options;
  Fault drop;
  drop.kind = FaultKind::kRevenueDrop;
  drop.in = "rollout";
  drop.size = 0.01;
  options.faults = {drop};
  dies_everywhere(coarse_plan(), options, kSanitized ? 29 : 1);
}

}  // namespace
}  // namespace covey::rehearsal

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rehearsal/kit.h"
#include "rehearsal/quarters.h"
#include "sanitized.h"

namespace covey::rehearsal {
namespace {

using testing::IsEmpty;

constexpr std::uint64_t kSeeds = kSanitized ? 20 : 1'000;

class Promises : public Quarters {};
INSTANTIATE_TEST_SUITE_P(Quarter, Promises, all_quarters());

/// Only the ramp, at the plan's real settings: slots of five seconds, a sliding window of a minute,
/// three minutes' patience.
plan::Plan the_ramp() {
  plan::Plan plan = plan::platform_plan();
  plan.stages = {plan.stages[1]};
  plan.stages[0].on_pass.clear();
  plan.monitoring.clear();
  plan.work.clear();
  return plan;
}

// A candidate with ten times the limit's errors at 10 % share is stopped within the 3-minute rule:
// the patience, and the slot in which it is first seen.
TEST_P(Promises, TenTimesTheErrorsAreStoppedInThreeMinutes) {
  const plan::Plan plan = the_ramp();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    if (!mine(seed)) continue;
    Options options;
    options.seed = seed;
    options.rollout_only = true;
    Fault spike;
    spike.kind = FaultKind::kErrorSpike;
    spike.in = "ramp";
    spike.after = std::chrono::minutes(61);
    spike.size = 0.05;
    options.faults = {spike};
    const Rehearsed done = rehearse(plan, options);
    EXPECT_THAT(done.broken, IsEmpty());
    const auto* stopped = decision_of(done, "roll_back");
    ASSERT_NE(stopped, nullptr) << "seed " << seed;
    EXPECT_LE(stopped->at - spike.begins(plan), std::chrono::minutes(3) + 2 * plan.slot)
        << "seed " << seed;
  }
}

// One 20 % worse than its limit is never passed.
TEST_P(Promises, TwentyPercentBeyondTheLimitNeverPasses) {
  plan::Plan plan = the_ramp();
  plan.traffic.requests_per_second = 500;  // so that it is a close thing
  int passed = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    if (!mine(seed)) continue;
    Options options;
    options.seed = seed;
    options.rollout_only = true;
    options.truth.candidate.wrong = 1.2 * 0.005;
    options.truth.baseline.wrong = 1.2 * 0.005;            // else the comparison would stop it
    options.truth.by_hour = options.truth.by_segment = 0;  // exactly so much, at any hour
    const Rehearsed done = rehearse(plan, options);
    EXPECT_THAT(done.broken, IsEmpty());
    passed += outcome_of(done, "ramp").outcome == "passed";
  }
  EXPECT_EQ(passed, 0);
}

// One equal to the baseline and good by every limit is stopped in less than 1 % of the seeds.
TEST_P(Promises, AnEqualAndGoodCandidateIsLeftAlone) {
  const plan::Plan plan = the_ramp();
  int stopped = 0, passed = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    if (!mine(seed)) continue;
    Options options;
    options.seed = seed;
    options.rollout_only = true;
    options.truth.candidate = options.truth.baseline;
    options.truth.candidate.wrong = options.truth.baseline.wrong = 0.002;
    const Rehearsed done = rehearse(plan, options);
    EXPECT_THAT(done.broken, IsEmpty());
    stopped += decision_of(done, "roll_back") != nullptr || decision_of(done, "fail") != nullptr;
    passed += outcome_of(done, "ramp").outcome == "passed";
  }
  constexpr int kOurs = kSeeds / kQuarters;
  std::printf("stopped %d, passed %d of %d\n", stopped, passed, kOurs);
  EXPECT_LE(stopped, kOurs / 100);
  EXPECT_GT(passed, kOurs * 98 / 100);
}

}  // namespace
}  // namespace covey::rehearsal

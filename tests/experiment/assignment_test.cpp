#include "experiment/assignment.h"

#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace covey::experiment {
namespace {

// HAProxy's `lower,xxh32(SEED),mod(10000)`.
TEST(Bucket, IsXxh32OfTheLowerCaseIdModuloTenThousand) {
  // The algorithm's published values of "" and "abc" with seed 0.
  EXPECT_EQ(bucket("", 0), 0x02cc5d05u % 10'000);
  EXPECT_EQ(bucket("abc", 0), 0x32d153ffu % 10'000);
  EXPECT_EQ(bucket("ABC", 0), bucket("abc", 0));
  EXPECT_NE(bucket("abc", kTrafficSeed), bucket("abc", 0));
  EXPECT_EQ(seed_of("traffic"), kTrafficSeed);
}

constexpr int kLearners = 100'000;
std::string learner(int i) {
  return fmt::format("L-{}", i);
}

std::array<int, 3> split(const Assignment& assignment) {
  std::array<int, 3> count{};
  for (int i = 0; i < kLearners; ++i) {
    ++count[static_cast<std::size_t>(assignment.arm(learner(i)))];
  }
  return count;
}

TEST(Assignment, SharesAreKept) {
  for (const auto& [control, treatment] :
       {std::pair(5'000u, 5'000u), {9'900u, 100u}, {9'999u, 1u}, {2'500u, 500u}}) {
    Assignment a;
    a.seed = seed_of("shares");
    a.control = control;
    a.treatment = treatment;
    const auto count = split(a);
    for (const auto& [arm, buckets] : {std::pair(0, control), {1, treatment}}) {
      const double share = buckets / 10'000.0;
      EXPECT_NEAR(count[static_cast<std::size_t>(arm)], share * kLearners,
                  5 * std::sqrt(kLearners * share * (1 - share)) + 1)
          << control << " " << treatment;
    }
  }
}

TEST(Assignment, GrowingAnArmMovesNobodyBetweenArms) {
  Assignment small;
  small.seed = kTrafficSeed;
  small.control = small.treatment = 100;
  Assignment large = small;
  large.control = 4'000;
  large.treatment = 6'000;
  for (int i = 0; i < kLearners; ++i) {
    const Arm before = small.arm(learner(i));
    if (before != Arm::kNone) {
      ASSERT_EQ(large.arm(learner(i)), before);
    }
  }
  // The balancer's candidate: buckets below the threshold.
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(large.arm(learner(i)) == Arm::kTreatment, bucket(learner(i), kTrafficSeed) < 6'000);
  }
}

TEST(Assignment, OneLayerIsSharedOutAndTwoFallIndependently) {
  Assignment first;
  first.seed = seed_of("layer-1");
  first.end = 4'000;
  first.control = first.treatment = 2'000;
  Assignment second = first;
  second.begin = 4'000;
  second.end = 10'000;
  second.control = second.treatment = 3'000;
  Assignment other = first;
  other.seed = seed_of("layer-2");
  other.end = kBuckets;
  other.control = other.treatment = 5'000;
  int both = 0;
  int first_treated = 0;
  for (int i = 0; i < kLearners; ++i) {
    const Arm a = first.arm(learner(i));
    EXPECT_NE(a == Arm::kNone, second.arm(learner(i)) == Arm::kNone);
    if (a != Arm::kTreatment) continue;
    ++first_treated;
    both += other.arm(learner(i)) == Arm::kTreatment;
  }
  EXPECT_NEAR(both, first_treated * 0.5, 5 * std::sqrt(first_treated * 0.25));
}

TEST(Assignment, HoldoutIsTheSameForAll) {
  Assignment a;
  a.seed = seed_of("a");
  a.holdout = 500;
  Assignment b = a;
  b.seed = seed_of("b");
  int held = 0;
  for (int i = 0; i < kLearners; ++i) {
    const bool out = a.arm(learner(i)) == Arm::kNone;
    EXPECT_EQ(out, b.arm(learner(i)) == Arm::kNone);
    held += out;
  }
  EXPECT_NEAR(held, 0.05 * kLearners, 5 * std::sqrt(kLearners * 0.05 * 0.95));
}

}  // namespace
}  // namespace covey::experiment

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "rehearsal/kit.h"
#include "rehearsal/quarters.h"
#include "sanitized.h"

namespace covey::rehearsal {
namespace {

using testing::IsEmpty;

// Goal: no crash, wherever it falls, changes a decision, skips a window, breaks an invariant.
// Method: a calm run counts every point before and after an effect or a journal record that is not
// a mere tick; then one run dies at each of them in turn.
struct Deaths {
  std::uint64_t tried = 0;
  std::vector<std::string> differences;  ///< from the calm run, each with its fatal point
};

class Crash : public Quarters {
 protected:
  /// At this quarter's among every `stride`th point.
  static Deaths die_everywhere(const plan::Plan& plan, Options options, std::uint64_t stride);
};
INSTANTIATE_TEST_SUITE_P(Quarter, Crash, all_quarters());

Deaths Crash::die_everywhere(const plan::Plan& plan, Options options, std::uint64_t stride) {
  options.rollout_only = true;
  options.calm_tick = std::chrono::minutes(30);
  const Rehearsed calm = rehearse(plan, options);
  const auto decided = decisions_of(calm);
  Deaths out;
  for (const auto& broken : calm.broken) out.differences.push_back("calm: " + broken);
  for (std::size_t i = 0; i < calm.effect_points.size(); ++i) {
    if (i % stride != 0 || !mine(i / stride)) continue;
    const std::uint64_t fatal = calm.effect_points[i];
    options.fatal_point = fatal;
    const Rehearsed crashed = rehearse(plan, options);
    const auto same = [&](bool holds, std::string_view what) {
      if (!holds) out.differences.push_back(fmt::format("fatal={}: {}", fatal, what));
    };
    same(crashed.crashes == 1, "it did not crash once");
    same(crashed.broken.empty(), "an invariant is broken");
    same(decisions_of(crashed) == decided, "decisions");
    same(crashed.share_final == calm.share_final, "final share");
    // What was asked for is done, if need be twice.
    same(crashed.notified >= calm.notified, "a message was lost");
    same(crashed.reports >= calm.reports, "a report was lost");
    ++out.tried;
  }
  return out;
}

TEST_P(Crash, AtEveryEffectOfTheCalendarChangesNothing) {
  const Deaths deaths = die_everywhere(coarse_plan(), {}, kSanitized ? 29 : 1);
  EXPECT_GT(deaths.tried, kSanitized ? 2u : 10u);
  EXPECT_THAT(deaths.differences, IsEmpty());
}

TEST_P(Crash, AtEveryEffectOfARollBackChangesNothing) {
  Options options;
  Fault spike;
  spike.kind = FaultKind::kErrorSpike;
  spike.in = "ramp";
  spike.after = std::chrono::hours(1);
  spike.size = 0.05;
  options.faults = {spike};
  const Deaths deaths = die_everywhere(coarse_plan(), options, kSanitized ? 7 : 1);
  EXPECT_GT(deaths.tried, kSanitized ? 2u : 10u);
  EXPECT_THAT(deaths.differences, IsEmpty());
}

TEST_P(Crash, AtEveryEffectOfANoGoChangesNothing) {
  Options options;
  Fault drop;
  drop.kind = FaultKind::kRevenueDrop;
  drop.in = "rollout";
  drop.size = 0.01;
  options.faults = {drop};
  const Deaths deaths = die_everywhere(coarse_plan(), options, kSanitized ? 29 : 1);
  EXPECT_GT(deaths.tried, kSanitized ? 2u : 10u);
  EXPECT_THAT(deaths.differences, IsEmpty());
}

}  // namespace
}  // namespace covey::rehearsal

#include "plan/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/sample.h"
#include "stats/gates.h"

namespace covey::plan {
namespace {

using testing::Contains;
using testing::HasSubstr;

const Decidability& gate(const Checked& checked, std::string_view stage, std::string_view rule) {
  for (const Decidability& one : checked.gates) {
    if (one.stage == stage && one.criterion.text == rule) return one;
  }
  ADD_FAILURE() << "no gate " << stage << " " << rule;
  return checked.gates.front();
}

TEST(PlanCheck, TheCalendarCanBeDecided) {
  const Checked checked = check(platform_plan());
  EXPECT_TRUE(checked.decidable());
  EXPECT_TRUE(checked.warnings.empty());
  const auto& error = gate(checked, "canary", "error_rate < 1%");
  EXPECT_EQ(error.verdict, Decidability::Verdict::kDecides);
  EXPECT_DOUBLE_EQ(error.expected, 5'000 * 0.01 * 7'200);
}

// Goal: what is said to suffice does pass the gate, and a tenth less does not.
TEST(PlanCheck, NeedsWhatTheGateNeeds) {
  const Plan plan = platform_plan();
  const Checked checked = check(plan);
  for (const std::string rule : {"error_rate < 1%", "availability > 99.9%"}) {
    const auto& one = gate(checked, "canary", rule);
    const double limit = limit_rate(one.criterion);
    const auto passes = [&](double n) {
      const stats::Count seen{static_cast<std::int64_t>(n * limit * kAssumedOfLimit),
                              static_cast<std::int64_t>(n)};
      return stats::rate_gate(seen, limit, plan.alpha)->verdict == stats::Verdict::kPass;
    };
    EXPECT_TRUE(passes(*one.needed * 1.01)) << rule;
    EXPECT_FALSE(passes(*one.needed * 0.9)) << rule;
  }
}

TEST(PlanCheck, ATwentySecondCanaryCannotProveThreeNines) {
  std::string yaml = replaced(platform_yaml(), "length: 2h", "length: 20s");
  yaml = replaced(yaml, "checkpoints: [15m, 30m, 1h, 90m, 2h]", "checkpoints: [20s]");
  yaml = replaced(yaml, "max_extend: 2h", "max_extend: 20s");
  const Checked checked = check(parse_plan("p.yaml", yaml).value());
  EXPECT_FALSE(checked.decidable());
  const auto& one = gate(checked, "canary", "availability > 99.9%");
  EXPECT_EQ(one.verdict, Decidability::Verdict::kCannot);
  EXPECT_DOUBLE_EQ(one.expected, 1'000);
  EXPECT_GT(*one.needed, 30'000);
}

TEST(PlanCheck, LooksAtMonitoringToo) {
  const Checked checked = check(platform_plan());
  const auto& watched = gate(checked, "standard-monitoring", "availability > 99.99%");
  EXPECT_EQ(watched.verdict, Decidability::Verdict::kDecides);
  EXPECT_DOUBLE_EQ(watched.expected, 5'000.0 * 7 * 86'400);
  const std::string yaml =
      replaced(replaced(platform_yaml(), "length: 7d\n    daily", "length: 20s\n    daily"),
               "at: 2025-11-15T10:00:00Z", "at: 2025-11-09T04:00:10Z");
  const Checked brief = check(parse_plan("p.yaml", yaml).value());
  EXPECT_FALSE(brief.decidable());
  EXPECT_EQ(gate(brief, "standard-monitoring", "availability > 99.99%").verdict,
            Decidability::Verdict::kCannot);
}

TEST(PlanCheck, SaysWhatNothingMeasures) {
  const Checked checked = check(platform_plan());
  const auto& load = gate(checked, "scale-planning", "500 K learners: errors < 0.1%, P99 < 50 ms");
  EXPECT_EQ(load.verdict, Decidability::Verdict::kNotCounted);
  EXPECT_THAT(load.note, HasSubstr("nothing here measures it"));
  EXPECT_THAT(load.note, HasSubstr("decide on a report, 2025-12-27"));
}

TEST(PlanCheck, WarnsOfWhatIsOdd) {
  std::string yaml = replaced(platform_yaml(), "    approvals: [vp_engineering]\n", "");
  yaml = replaced(yaml, "breached_for: 3m", "breached_for: 30s");
  yaml = replaced(yaml, "max_extend: 2h", "max_extend: 30h");
  const Checked checked = check(parse_plan("p.yaml", yaml).value());
  EXPECT_THAT(checked.warnings, Contains(HasSubstr("nobody approves")));
  EXPECT_THAT(checked.warnings, Contains(HasSubstr("shorter than the window")));
  EXPECT_THAT(checked.warnings, Contains(HasSubstr("runs into ramp")));
}

}  // namespace
}  // namespace covey::plan

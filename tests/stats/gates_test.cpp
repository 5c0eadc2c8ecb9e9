// Goal: a gate passes on proof, fails on proof, and says "undecided" otherwise. Each of the ways to
// get this wrong that the field knows has a test of its own here.
#include "stats/gates.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "stats/sequential.h"

namespace covey::stats {
namespace {

constexpr double kAlpha = 0.05;

TEST(RateGate, Table) {
  struct Row {
    const char* what;
    Count seen;
    double limit;
    Verdict verdict;
  };
  const Row kRows[] = {
      {"nothing seen", {0, 0}, 0.01, Verdict::kUndecided},
      {"spotless but few", {0, 100}, 0.01, Verdict::kUndecided},
      {"spotless and many", {0, 2'000}, 0.01, Verdict::kPass},
      {"at the limit, however many", {10'000, 1'000'000}, 0.01, Verdict::kUndecided},
      {"a third of it", {300, 100'000}, 0.01, Verdict::kPass},
      {"three times", {30, 1'000}, 0.01, Verdict::kFail},
      {"above, but few", {2, 60}, 0.01, Verdict::kUndecided},
      {"all bad", {20, 20}, 0.01, Verdict::kFail},
      {"36 h of spotless 5-second slots cannot prove 99.99 %",
       {0, 25'920},
       0.0001,
       Verdict::kUndecided},
      {"requests can", {0, 200'000}, 0.0001, Verdict::kPass},
  };
  for (const Row& row : kRows) {
    const auto gate = rate_gate(row.seen, row.limit, kAlpha).value();
    EXPECT_EQ(gate.verdict, row.verdict)
        << row.what << ": " << gate.log_e_pass << " " << gate.log_e_fail;
    if (gate.interval) {
      EXPECT_LE(gate.interval->low, *gate.observed) << row.what;
      EXPECT_GE(gate.interval->high, *gate.observed) << row.what;
    }
  }
}

// Mutant: "not significant" read as "pass".
TEST(Gates, NoEvidenceIsNeverAPass) {
  EXPECT_EQ(rate_gate({0, 0}, 0.01, kAlpha).value().verdict, Verdict::kUndecided);
  EXPECT_EQ(rate_gate({5, 1'000}, 0.01, kAlpha).value().verdict, Verdict::kUndecided);
  EXPECT_EQ(comparison_gate({}, 0.1, kAlpha).value().verdict, Verdict::kUndecided);
  const ComparisonStage few{1, 9, 0.1};
  EXPECT_EQ(comparison_gate({&few, 1}, 0.1, kAlpha).value().verdict, Verdict::kUndecided);
  EXPECT_EQ(non_inferiority_gate({}, 1, kAlpha, 1'000).value().verdict, Verdict::kUndecided);
  const MeanStage equal{{1'000, 10, 400}, {1'000, 10, 400}, 500, 500};
  EXPECT_EQ(non_inferiority_gate({&equal, 1}, 0.5, kAlpha, 2'000).value().verdict,
            Verdict::kUndecided);
  const Count segments[] = {{1, 100}, {2, 100}, {1, 100}};
  EXPECT_EQ(spread_gate(segments, 0.05, kAlpha).value().verdict, Verdict::kUndecided);
}

// A gate's forecast of what it needs is what it then needs.
TEST(RateGate, SaysHowManyMoreItNeeds) {
  for (const auto& [seen, limit] : {std::pair{Count{0, 100}, 0.01},
                                    {Count{4, 1'000}, 0.01},
                                    {Count{2, 40}, 0.01},
                                    {Count{0, 25'920}, 0.0001}}) {
    const auto gate = rate_gate(seen, limit, kAlpha).value();
    ASSERT_TRUE(gate.more_needed);
    const double rate = (static_cast<double>(seen.successes) + 0.5) /
                        (static_cast<double>(seen.trials) + 1 / limit);
    const auto after = [&](double more) {
      return Count{seen.successes + static_cast<std::int64_t>(std::llround(rate * more)),
                   seen.trials + static_cast<std::int64_t>(more)};
    };
    EXPECT_NE(rate_gate(after(*gate.more_needed * 1.02 + 2), limit, kAlpha).value().verdict,
              Verdict::kUndecided);
    EXPECT_EQ(rate_gate(after(*gate.more_needed * 0.9), limit, kAlpha).value().verdict,
              Verdict::kUndecided);
  }
  EXPECT_FALSE(rate_gate({0, 100'000}, 0.01, kAlpha).value().more_needed);  // decided
  EXPECT_FALSE(requests_to_pass(0.01, 0.01, kAlpha).value());
  const auto needed = requests_to_pass(0.001, 0.01, kAlpha).value();
  ASSERT_TRUE(needed);
  EXPECT_GT(*needed, 300);
  EXPECT_LT(*needed, 1'000);
}

// Mutant: pooling stages. The candidate is as good as the baseline within each stage; only its
// share and the weather changed. Pooled, its rate looks ten times the baseline's.
TEST(ComparisonGate, DoesNotPoolStages) {
  const ComparisonStage stages[] = {
      {500, 500, 0.5},  // a bad afternoon, half the traffic each
      {10, 990, 0.01},  // a quiet week at 1 %: as many failures of far more requests
  };
  const auto gate = comparison_gate(stages, 0, kAlpha).value();
  EXPECT_EQ(gate.verdict, Verdict::kUndecided);
  EXPECT_LT(gate.log_e_fail, 0);
  // What pooling would see: 510 of 2,000 failures at an average share near 1 %.
  const ComparisonStage pooled{510, 1'490, 0.02};
  EXPECT_EQ(comparison_gate({&pooled, 1}, 0, kAlpha).value().verdict, Verdict::kFail);
}

TEST(ComparisonGate, EvidenceMultipliesOverStages) {
  const ComparisonStage first{14, 86, 0.1}, second{70, 230, 0.2};
  const auto a = comparison_gate({&first, 1}, 0, kAlpha).value();
  const auto b = comparison_gate({&second, 1}, 0, kAlpha).value();
  const ComparisonStage both[] = {first, second};
  const auto gate = comparison_gate(both, 0, kAlpha).value();
  EXPECT_NEAR(gate.log_e_fail, a.log_e_fail + b.log_e_fail, 1e-9);
  EXPECT_NEAR(gate.log_e_pass, a.log_e_pass + b.log_e_pass, 1e-9);
  EXPECT_GT(std::abs(a.log_e_pass), 0.1);
}

TEST(NonInferiorityGate, EvidenceMultipliesOverStages) {
  const MeanStage first{{4'000, 10, 100}, {400, 10.3, 100}, 4'000, 400};
  const MeanStage second{{4'000, 20, 100}, {4'000, 20.1, 100}, 4'000, 4'000};
  const auto a = non_inferiority_gate({&first, 1}, 0.5, kAlpha, 20'000).value();
  const auto b = non_inferiority_gate({&second, 1}, 0.5, kAlpha, 20'000).value();
  const MeanStage both[] = {first, second};
  const auto gate = non_inferiority_gate(both, 0.5, kAlpha, 20'000).value();
  EXPECT_NEAR(gate.log_e_pass, a.log_e_pass + b.log_e_pass, 1e-9);
  EXPECT_NEAR(gate.log_e_fail, a.log_e_fail + b.log_e_fail, 1e-9);
  EXPECT_GT(std::abs(a.log_e_pass), 0.1);
}

TEST(ComparisonGate, Table) {
  struct Row {
    const char* what;
    ComparisonStage stage;
    double margin;
    Verdict verdict;
  };
  const Row kRows[] = {
      {"no failures at all", {0, 0, 0.1}, 0.2, Verdict::kUndecided},
      {"equal, margin 0: cannot pass", {1'000, 9'000, 0.1}, 0, Verdict::kUndecided},
      {"equal, margin 20 %", {1'000, 9'000, 0.1}, 0.2, Verdict::kPass},
      {"twice", {200, 900, 0.1}, 0.2, Verdict::kFail},
      {"half", {50, 900, 0.1}, 0.2, Verdict::kPass},
      {"a little worse, within the margin", {1'050, 9'000, 0.1}, 0.2, Verdict::kPass},
      {"beyond the margin", {1'500, 9'000, 0.1}, 0.2, Verdict::kFail},
      {"all of them the candidate's", {12, 0, 0.01}, 0, Verdict::kFail},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(comparison_gate({&row.stage, 1}, row.margin, kAlpha).value().verdict, row.verdict)
        << row.what;
  }
}

// Mutant: the unpooled variance. A small arm that happens to have hardly varied must not turn that
// into certainty.
TEST(NonInferiorityGate, UsesThePooledVariance) {
  const MeanStage lucky{{9'500, 1, 100}, {500, 0.2, 1}, 4'000, 60};
  const auto gate = non_inferiority_gate({&lucky, 1}, 0, kAlpha, 10'000).value();
  EXPECT_EQ(gate.verdict, Verdict::kUndecided) << gate.log_e_fail;
  // By their own variances the arms are 7 standard errors apart.
  const double unpooled = std::sqrt(100.0 / 9'500 + 1.0 / 500);
  EXPECT_GT(asympcs_one_sided(0.8, unpooled, 10'000, kAlpha, 10'000).value().log_e_value,
            -std::log(kAlpha));
}

// Mutant: small arms. Below 50 events there is no evidence, whatever the means say.
TEST(NonInferiorityGate, AsksForFiftyEventsInTheSmallerArm) {
  MeanStage stage{{9'500, 1, 1}, {500, 0.2, 1}, 4'000, 49};
  EXPECT_EQ(non_inferiority_gate({&stage, 1}, 0, kAlpha, 10'000).value().log_e_fail, 0);
  stage.treatment_events = 50;
  EXPECT_EQ(non_inferiority_gate({&stage, 1}, 0, kAlpha, 10'000).value().verdict, Verdict::kFail);
}

// Mutant: means pooled over stages. Equal within each stage; shares and levels differ.
TEST(NonInferiorityGate, DoesNotPoolStages) {
  const MeanStage stages[] = {
      {{10'000, 30, 100}, {100, 30, 100}, 10'000, 100},      // busy season at 1 %
      {{10'000, 10, 100}, {10'000, 10, 100}, 9'000, 9'000},  // quiet season at 50 %
  };
  const auto gate = non_inferiority_gate(stages, 0.5, kAlpha, 20'000).value();
  EXPECT_NE(gate.verdict, Verdict::kFail);
  Moments control = Moments::of(stages[0].control), treatment = Moments::of(stages[0].treatment);
  control.merge(Moments::of(stages[1].control));
  treatment.merge(Moments::of(stages[1].treatment));
  const MeanStage pooled{control.sample(), treatment.sample(), 19'000, 9'100};
  EXPECT_EQ(non_inferiority_gate({&pooled, 1}, 0.5, kAlpha, 20'000).value().verdict,
            Verdict::kFail);
}

// Mutant: one-sided evidence swapped for two-sided. A candidate far better than the baseline must
// not fail, and its evidence against must not grow with how much better it is.
TEST(NonInferiorityGate, IsOneSided) {
  const MeanStage better{{5'000, 10, 25}, {5'000, 12, 25}, 5'000, 5'000};
  const auto gate = non_inferiority_gate({&better, 1}, 0, kAlpha, 10'000).value();
  EXPECT_EQ(gate.verdict, Verdict::kPass);
  EXPECT_LT(gate.log_e_fail, 0);
  // The one-sided limit is reached earlier than the two-sided one.
  const double se = 0.1;
  const double one = asympcs_one_sided(0, se, 10'000, kAlpha, 10'000).value().halfwidth;
  const double two = asympcs_two_sided(0, se, 10'000, kAlpha, 10'000).value().halfwidth;
  EXPECT_LT(one, two);
}

TEST(SpreadGate, Table) {
  struct Row {
    const char* what;
    std::vector<Count> bad;
    Verdict verdict;
  };
  const Row kRows[] = {
      {"no segments", {}, Verdict::kUndecided},
      {"one segment", {{10, 1'000}}, Verdict::kUndecided},
      {"alike and many", {{100, 10'000}, {120, 10'000}, {90, 10'000}}, Verdict::kPass},
      {"one far off", {{100, 10'000}, {1'200, 10'000}, {90, 10'000}}, Verdict::kFail},
      {"one far off, but hardly any data",
       {{100, 10'000}, {9, 100}, {90, 10'000}},
       Verdict::kUndecided},
      {"too few requests to judge at all", {{100, 10'000}, {50, 99}, {90, 10'000}}, Verdict::kPass},
      {"at the limit", {{500, 10'000}, {1'000, 10'000}}, Verdict::kUndecided},
  };
  for (const Row& row : kRows) {
    const auto gate = spread_gate(row.bad, 0.05, kAlpha).value();
    EXPECT_EQ(gate.verdict, row.verdict)
        << row.what << ": " << gate.log_e_pass << " " << gate.log_e_fail;
  }
}

// Mutant: no correction for many segments. 20 equal segments looked at 30 times each.
TEST(SpreadGate, ManyEqualSegmentsRaiseFewAlarms) {
  int alarms = 0;
  constexpr int kWorlds = 60;
  for (int world = 0; world < kWorlds; ++world) {
    Random random(static_cast<std::uint64_t>(world) + 1);
    std::vector<Count> bad(8);
    bool alarmed = false;
    for (int look = 0; look < 8 && !alarmed; ++look) {
      for (Count& segment : bad) {
        for (int i = 0; i < 40; ++i) segment.successes += random.chance(0.2);
        segment.trials += 40;
      }
      alarmed = spread_gate(bad, 0.02, kAlpha).value().verdict == Verdict::kFail;
    }
    alarms += alarmed;
  }
  EXPECT_LE(alarms, 6);
}

TEST(Gates, ImpossibleInputIsRefused) {
  EXPECT_FALSE(rate_gate({3, 2}, 0.01, kAlpha));
  EXPECT_FALSE(rate_gate({0, 2}, 0, kAlpha));
  EXPECT_FALSE(rate_gate({0, 2}, 0.1, 1));
  const ComparisonStage all{1, 1, 1};
  EXPECT_FALSE(comparison_gate({&all, 1}, 0, kAlpha));
  EXPECT_FALSE(non_inferiority_gate({}, -1, kAlpha, 10));
  const Count bad[] = {{1, 0}};
  EXPECT_FALSE(spread_gate(bad, 0.05, kAlpha));
}

}  // namespace
}  // namespace covey::stats

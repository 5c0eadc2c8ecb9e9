// Goal: intervals cover a truth that was planted, and find nothing where nothing was.
// Method: experiments of simulated learners, each analysed as a user would, seeds 1, 2, 3, ...
#include <cmath>

#include <gtest/gtest.h>

#include "events/ndjson.h"
#include "experiment/analysis.h"
#include "population/trial.h"

namespace covey::experiment {
namespace {

constexpr std::string_view kTrialFile = R"(experiment: truth
start: 2025-11-02T16:00:00Z
end: 2025-12-14T16:00:00Z
exposure: {event: session}
window: 14d
pre_period: 28d
tune: 1500
metrics:
  revenue: {kind: mean, event: purchase, of: amount, currency: EUR, role: primary, winsorize: 100%}
  churn: {kind: proportion, event: withdraw, good: down}
  completion: {kind: proportion, event: complete}
)";

Analysis trial(const Experiment& e, std::uint64_t seed, const population::Effect& effect) {
  population::Trial::Spec spec;
  spec.learners = 1'500;
  spec.seed = seed;
  spec.start = e.start;
  spec.effect = effect;
  spec.treated = [&](std::string_view learner) {
    return e.assignment.arm(learner) == Arm::kTreatment;
  };
  const population::Trial learners(spec);
  std::string text;
  for (std::uint32_t l = 0; l < spec.learners; ++l) learners.append_ndjson(l, text);
  events::Parsed parsed;
  events::Ndjson codec;
  codec.parse(text, {"trial", 1, latest_time()}, parsed);
  EXPECT_TRUE(parsed.rejected.empty());
  const events::Batch* batch = &parsed.batch;
  Serial serial;
  Collection collection(e, parse_time("2025-12-20T00:00:00Z").value());
  collection.find_exposures({&batch, 1}, serial);
  collection.add_values({&batch, 1}, serial);
  collection.finish(serial);
  return analyze(e, collection, serial).value();
}

bool covers(const std::optional<stats::Interval>& interval, double truth) {
  return interval && interval->low <= truth && truth <= interval->high;
}

TEST(Truth, IntervalsCoverThePlantedEffectAndAAStaysQuiet) {
  constexpr int kTrials = 120;
  int fixed = 0, sequential = 0, churn = 0, completion = 0, alarms = 0;
  for (int i = 0; i < kTrials; ++i) {
    // Another salt each time: another split.
    const Experiment e =
        parse_experiment("e.yaml", std::string(kTrialFile) + "salt: s" + std::to_string(i) + "\n")
            .value();
    const population::Effect effect;
    const Analysis a = trial(e, static_cast<std::uint64_t>(i) + 1, effect);
    fixed += covers(a.metrics[0].fixed.lift_interval, effect.revenue);
    sequential += covers(a.metrics[0].sequential.lift_interval, effect.revenue);
    churn += covers(a.metrics[1].fixed.diff_interval, effect.churn);
    completion += covers(a.metrics[2].fixed.diff_interval, effect.completion);
    const Analysis aa = trial(e, static_cast<std::uint64_t>(i) + 1, {0, 0, 0});
    alarms += aa.metrics[0].sequential.p_value.value_or(1) < e.alpha;
  }
  // Of 95 %, with four standard errors of the count.
  const double least = .95 * kTrials - 4 * std::sqrt(kTrials * .95 * .05);
  EXPECT_GE(fixed, least);
  EXPECT_GE(sequential, least);
  EXPECT_GE(churn, least);
  EXPECT_GE(completion, least);
  EXPECT_LE(alarms, kTrials - least);
  // And they are no wider than they need be: some must miss.
  EXPECT_LT(fixed + churn + completion, 3 * kTrials);
}

}  // namespace
}  // namespace covey::experiment

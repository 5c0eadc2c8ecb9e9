#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rehearsal/kit.h"
#include "sanitized.h"

namespace covey::rehearsal {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Rehearsal, TheWholeCalendarPasses) {
  Options options;
  const Rehearsed done = rehearse(kSanitized ? coarse_plan() : plan::platform_plan(), options);
  for (const PhaseOutcome& phase : done.phases) EXPECT_EQ(phase.outcome, "passed") << phase.name;
  EXPECT_THAT(done.broken, IsEmpty());
  EXPECT_GT(done.invariants_checked, 10'000u);
  EXPECT_EQ(done.share_final, plan::kEveryone);
  EXPECT_GT(done.virtual_hours, 2'880);
  // What nothing measures is not said to have been.
  const auto& scale = outcome_of(done, "scale-2").evidence;
  ASSERT_FALSE(scale.empty());
  for (const auto& e : scale) {
    EXPECT_EQ(e.verdict, stats::Verdict::kUndecided);
    EXPECT_THAT(e.text, HasSubstr("measured by nothing"));
  }
}

TEST(Rehearsal, TheSameSeedIsTheSameStory) {
  Options options;
  options.seed = 3;
  const plan::Plan plan = coarse_plan();
  EXPECT_EQ(decisions_of(rehearse(plan, options)), decisions_of(rehearse(plan, options)));
}

// Goal: each example of a fault ends as its comment says, at the plan's real settings.
TEST(Rehearsal, ExamplesOfFaultsEndAsTheySay) {
  struct Row {
    std::string file, phase, outcome, cause;
  };
  const Row kRows[] = {
      {"bad-segment", "ramp", "rolled_back", "segment_spread < 5% breached"},
      {"balancer-unreachable", "ramp", "rolled_back", "error_rate < 0.5% breached"},
      {"controller-crash", "rollout", "passed", ""},
      {"critical-incident", "ramp", "rolled_back", "critical_incidents > 0"},
      {"error-spike", "ramp", "rolled_back", "error_rate < 0.5% breached"},
      {"latency-drift", "ramp", "rolled_back", "p99 < 200ms breached"},
      {"levels-missing", "ramp", "rolled_back", "no reading for 4m"},
      {"nobody-approves", "ramp", "held", ""},
      {"region-down", "rollout", "rolled_back", "availability > 99.99% breached"},
      {"revenue-drop", "rollout", "failed", ""},
      {"silence", "rollout", "rolled_back", "no telemetry"},
      {"telemetry-gap", "ramp", "rolled_back", "no telemetry"},
  };
  const plan::Plan plan = kSanitized ? coarse_plan() : plan::platform_plan();
  std::size_t files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(COVEY_SOURCE_DIR "/examples/faults")) {
    files += entry.path().extension() == ".yaml";
  }
  EXPECT_EQ(files, std::size(kRows)) << "an example without a row here";
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.file);
    const std::filesystem::path path =
        std::filesystem::path(COVEY_SOURCE_DIR "/examples/faults") / (row.file + ".yaml");
    Options options;
    options.rollout_only = true;
    const auto faults = parse_faults(path.filename(), read(path), plan);
    ASSERT_TRUE(faults) << faults.error().message;
    options.faults = *faults;
    const Rehearsed done = rehearse(plan, options);
    EXPECT_THAT(done.broken, IsEmpty());
    EXPECT_EQ(outcome_of(done, row.phase).outcome, row.outcome);
    if (!row.cause.empty()) {
      const auto* decision = decision_of(done, "roll_back");
      ASSERT_NE(decision, nullptr);
      // In slots of a minute a checkpoint may see it first.
      if (!kSanitized) {
        EXPECT_THAT(decision->cause, HasSubstr(row.cause));
      }
      EXPECT_EQ(done.share_final, 0u);
    }
    if (row.file == "controller-crash") {
      EXPECT_EQ(done.crashes, 3u);
      Options calm;
      calm.rollout_only = true;
      EXPECT_EQ(decisions_of(done), decisions_of(rehearse(plan, calm)));
    }
  }
}

TEST(Faults, SayWhatIsWrong) {
  const plan::Plan plan = plan::platform_plan();
  const auto says = [&](const std::string& yaml) {
    const auto read = parse_faults("f.yaml", yaml, plan);
    return read ? "" : read.error().message;
  };
  EXPECT_EQ(says("faults: []\n"), "");
  EXPECT_THAT(says("faults: [{kind: error_spyke, in: ramp, rate: 1%}]\n"),
              HasSubstr("did you mean 'error_spike'"));
  EXPECT_THAT(says("faults: [{kind: error_spike, in: rmp, rate: 1%}]\n"),
              HasSubstr("did you mean 'ramp'"));
  EXPECT_THAT(says("faults: [{kind: error_spike, in: ramp}]\n"), HasSubstr("`rate` is missing"));
  EXPECT_THAT(says("faults: [{kind: region_down, in: ramp, segment: tokio}]\n"),
              HasSubstr("did you mean 'tokyo'"));
  EXPECT_THAT(says("faults: [{kind: telemetry_gap, in: ramp, rate: 1%}]\n"),
              HasSubstr("unknown key"));
}

}  // namespace
}  // namespace covey::rehearsal

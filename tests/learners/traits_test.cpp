// The definition of docs/traits.md on histories small enough to work out by hand, for both engines.

#include <gtest/gtest.h>

#include <cmath>

#include <fmt/format.h>

#include "learners/engine.h"

namespace covey::learners {
namespace {

using events::Batch;
using events::Event;
using events::EventType;

/// "2024-02-28" or with a time of day.
struct Use {
  std::string_view time, capability = "c1", domain = "d1";
};

// 2024-03-06 is a Wednesday; its week begins on Monday the 4th.
constexpr std::string_view kT = "2024-03-06T12:00:00Z";

class OnEngine : public ::testing::TestWithParam<std::string_view> {
 protected:
  void add(const Event& event) {
    Event named = event;
    const std::string id = fmt::format("e{}", next_++);
    named.id = id;
    batch_.add(named);
  }
  void use(const Use& u) {
    Event e;
    e.learner = "ada";
    e.time = parse_time(u.time).value();
    e.type = EventType::kPractice;
    e.capability = u.capability;
    e.domain = u.domain;
    add(e);
  }
  void other(EventType type, std::string_view time, std::optional<bool> acted_on = {}) {
    Event e;
    e.learner = "ada";
    e.time = parse_time(time).value();
    e.type = type;
    e.acted_on = acted_on;
    add(e);
  }
  LearnerFacts facts(std::string_view as_of = kT) {
    const auto engine = GetParam() == "fast" ? make_fast() : make_baseline();
    Serial serial;
    const Batch* one = &batch_;
    engine->apply(std::span(&one, 1), serial);
    const auto found = engine->find("ada", parse_time(as_of).value());
    EXPECT_TRUE(found);
    return found.value_or(LearnerFacts{});
  }

 private:
  Batch batch_;
  int next_ = 0;
};

const double kOne = 1 - std::exp(-1.0 / 5);  // r of one new capability in a week

TEST_P(OnEngine, OneUseInTsOwnWeekIsAllThereIs) {
  use({"2024-03-05T10:00:00Z"});
  const LearnerFacts f = facts();
  EXPECT_EQ(f.state, LearnerState::kNew);
  EXPECT_NEAR(f.traits.learning_velocity, kOne, 1e-12);  // T's week, for it is the first
  EXPECT_NEAR(f.traits.domain_affinity, 1, 1e-12);
  EXPECT_NEAR(f.traits.interaction_frequency, 1.0 / 2, 1e-12);  // 5th of {5th, 6th}
  EXPECT_NEAR(f.traits.feedback_responsiveness, .5, 1e-12);
  EXPECT_NEAR(f.traits.retention_strength, 0, 1e-12);
  EXPECT_TRUE(f.specialist);
}

TEST_P(OnEngine, VelocityEndsWithTheLastWholeWeekAndCountsIdleOnes) {
  use({"2024-02-13", "c1"});  // week of 12 Feb, age 3
  use({"2024-02-14", "c2"});
  use({"2024-02-27", "c3"});  // week of 26 Feb, age 1
  use({"2024-03-05", "c4"});  // T's own week: not counted
  const double two = 1 - std::exp(-2.0 / 5);
  double v = two;
  v = .3 * 0 + .7 * v;     // week of 19 Feb, idle
  v = .3 * kOne + .7 * v;  // week of 26 Feb
  EXPECT_NEAR(facts().traits.learning_velocity, v, 1e-12);
}

TEST_P(OnEngine, ALateFirstUseMovesTheAdoptionToItsWeek) {
  use({"2024-02-27", "c1"});  // age 1, until the late one below
  use({"2024-02-20", "c2"});  // age 2
  use({"2024-02-13", "c1"});  // age 3, arrives last
  double v = kOne;
  v = .3 * kOne + .7 * v;
  v = .3 * 0 + .7 * v;
  EXPECT_NEAR(facts().traits.learning_velocity, v, 1e-12);
}

TEST_P(OnEngine, OnlySundayAndMondayPartWeeks) {
  use({"2024-03-03T23:59:59.999999Z", "c1"});  // Sunday: age 1
  use({"2024-03-04T00:00:00Z", "c2"});         // Monday: T's own week
  EXPECT_NEAR(facts().traits.learning_velocity, kOne, 1e-12);
}

TEST_P(OnEngine, TheWindowIsTwentySixWeeks) {
  use({"2023-09-11", "c1"});  // Monday, age 25
  EXPECT_EQ(facts().state, LearnerState::kNew);
  // A week on it is of age 26 and the learner dormant.
  EXPECT_EQ(facts("2024-03-11T00:00:00Z").state, LearnerState::kDormant);
  EXPECT_EQ(facts("2024-03-10T23:59:59Z").state, LearnerState::kNew);
}

TEST_P(OnEngine, AnOlderStartBeginsTheAverageAtAgeTwentyFive) {
  use({"2020-01-01", "c1"});
  use({"2024-02-27", "c2"});
  double v = 0;  // age 25: nothing adopted
  for (int age = 24; age >= 2; --age) v = .7 * v;
  v = .3 * kOne + .7 * v;
  EXPECT_NEAR(facts().traits.learning_velocity, v, 1e-12);
}

TEST_P(OnEngine, AffinityWeighsDomainsByRecency) {
  use({"2024-03-01T12:00:00Z", "c1", "d1"});
  use({"2024-03-06T12:00:00Z", "c2", "d2"});  // five days later
  const double old = std::exp(-.05), total = 1 + old;
  const double p = 1 / total, q = old / total;
  const double h = -p * std::log2(p) - q * std::log2(q);
  const LearnerFacts f = facts();
  EXPECT_NEAR(f.traits.domain_affinity, p * (1 - .3 * h / 1), 1e-12);
  EXPECT_NEAR(f.domain_entropy_bits, h, 1e-12);
  EXPECT_FALSE(f.specialist);  // the top share is just over a half
}

TEST_P(OnEngine, RetentionIsWhatIsUsedAgain) {
  use({"2024-03-04T12:00:00Z", "c1"});
  use({"2024-03-05T12:00:00Z", "c1"});
  use({"2024-03-06T12:00:00Z", "c2"});
  const double w2 = std::exp(-.1), w1 = std::exp(-.05);
  EXPECT_NEAR(facts().traits.retention_strength, 1 - (w2 + 1) / (w2 + w1 + 1), 1e-12);
}

TEST_P(OnEngine, TwoUsesAtOneInstantAreOneFirstUse) {
  use({"2024-03-06T10:00:00Z", "c1"});
  use({"2024-03-06T10:00:00Z", "c1"});
  EXPECT_NEAR(facts().traits.retention_strength, .5, 1e-12);
}

TEST_P(OnEngine, FrequencyCountsDaysOfAnyEventButProfile) {
  use({"2024-01-01"});                                 // long ago: the window of 28 days is full
  other(EventType::kSession, "2024-02-08T23:00:00Z");  // the window's first day
  other(EventType::kSession, "2024-02-07T23:00:00Z");  // the day before it
  other(EventType::kEnrol, "2024-03-06T01:00:00Z");
  other(EventType::kSession, "2024-03-06T02:00:00Z");  // the same day again
  Event profile;
  profile.learner = "ada";
  profile.time = parse_time("2024-03-01").value();
  profile.type = EventType::kProfile;
  const events::Attribute attributes[] = {{"k", "v"}};
  profile.attributes = attributes;
  add(profile);
  EXPECT_NEAR(facts().traits.interaction_frequency, 2.0 / 28, 1e-12);
}

TEST_P(OnEngine, FeedbackIsSmoothed) {
  use({"2024-03-05"});
  other(EventType::kFeedback, "2024-03-05", true);
  other(EventType::kFeedback, "2024-03-05", true);
  other(EventType::kFeedback, "2024-03-05", false);
  const LearnerFacts f = facts();
  EXPECT_NEAR(f.traits.feedback_responsiveness, 3.0 / 5, 1e-12);
  EXPECT_EQ(f.feedback_received, 3u);
  EXPECT_EQ(f.feedback_acted_on, 2u);
}

TEST_P(OnEngine, FivePracticeEventsMakeALearnerActive) {
  for (int i = 0; i < 4; ++i) use({"2024-03-05"});
  other(EventType::kSession, "2024-03-05");
  EXPECT_EQ(facts().state, LearnerState::kNew);
  use({"2019-01-01"});  // however old
  EXPECT_EQ(facts().state, LearnerState::kActive);
}

TEST_P(OnEngine, WithoutPracticeALearnerIsDormant) {
  other(EventType::kSession, "2024-03-05");
  other(EventType::kFeedback, "2024-03-05", true);
  const LearnerFacts f = facts();
  EXPECT_EQ(f.state, LearnerState::kDormant);
  EXPECT_EQ(f.traits.feedback_responsiveness, 0);
  EXPECT_EQ(f.first_active_day, f.last_active_day);
}

TEST_P(OnEngine, AttributesKeepTheLastWriterByTime) {
  const auto profile = [&](std::string_view time, events::Attribute attribute) {
    Event e;
    e.learner = "ada";
    e.time = parse_time(time).value();
    e.type = EventType::kProfile;
    const events::Attribute attributes[] = {attribute};
    e.attributes = attributes;
    add(e);
  };
  profile("2024-01-02", {"region", "eu"});
  profile("2024-01-01", {"region", "us"});  // older: loses
  profile("2024-01-03", {"plan", "free"});
  profile("2024-01-03", {"plan", "paid"});  // the same instant: the larger text
  profile("2024-01-03", {"plan", "basic"});
  const LearnerFacts f = facts();
  const std::vector<std::pair<std::string, std::string>> expected = {{"plan", "paid"},
                                                                     {"region", "eu"}};
  EXPECT_EQ(f.attributes, expected);
  EXPECT_FALSE(f.first_active_day);
}

INSTANTIATE_TEST_SUITE_P(Engines, OnEngine, ::testing::Values("baseline", "fast"),
                         [](const auto& engine) { return std::string(engine.param); });

}  // namespace
}  // namespace covey::learners

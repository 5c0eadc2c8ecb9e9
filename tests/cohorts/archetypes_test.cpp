#include "cohorts/archetypes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "cohorts/sample_learners.h"

namespace covey::cohorts {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Naming {
  const char* what;
  std::vector<Standing> standing;  // velocity, affinity, frequency, responsiveness, retention
  std::vector<Archetype> expected;
};

// Goal: each archetype goes where its trait stands out, and yields where another fits better.
TEST(Archetypes, ByWhatStandsOut) {
  using enum Archetype;
  const Naming kCases[] = {
      {"one each",
       {{2, 0, 0, 0, 0}, {0, 2, 0, 0, 0}, {0, 0, 2, 1, 0}, {0, 0, 0, 0, 2}, {-1, -1, -1, -1, -1}},
       {kFastLearner, kSpecialist, kPowerUser, kLongTermRetainer, kGeneralist}},
      {"two fast: the faster is it, the other is also often there",
       {{1.5, 0, 1.2, 0, 0}, {2, -0.5, -1, 0, 0}, {-1, 1.5, -1, 0, 0}},
       {kPowerUser, kFastLearner, kSpecialist}},
      {"low everywhere stands for nothing in particular",
       {{-1, -1, -1, -1, -1}, {1, 0, 0, 0, 0}, {0, 1, 1, 0, 0.5}},
       {kGeneralist, kFastLearner, kSpecialist}},
      {"responsive alone is a third of a power user",
       {{0, 0, 0, 2, 0}, {0, 0.5, 0, 0, 0}, {0.5, 0, 0, 0, 0}},
       {kPowerUser, kSpecialist, kFastLearner}},
  };
  for (const Naming& c : kCases) EXPECT_EQ(name_cohorts(c.standing), c.expected) << c.what;
}

// Goal: up to five cohorts no archetype comes twice; beyond, all five are used and none thrice.
TEST(Archetypes, NoneTwiceWhileAnotherIsFree) {
  for (const std::uint64_t seed : given::seeds(300)) {
    SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
    Random random(seed);
    for (std::size_t k = 1; k <= kCenters; ++k) {
      std::vector<Standing> standing(k);
      for (auto& z : standing)
        for (double& value : z) value = 3 * random.normal();
      std::map<Archetype, int> uses;
      for (const Archetype a : name_cohorts(standing)) ++uses[a];
      EXPECT_EQ(uses.size(), std::min(k, kArchetypes));
      for (const auto& [archetype, count] : uses) EXPECT_LE(count, k <= kArchetypes ? 1 : 2);
    }
  }
}

// Goal: the words for every figure, at both ends and at the thresholds.
TEST(Sentences, SayWhatTheFiguresSay) {
  const Standing calm{};
  EXPECT_EQ(
      describe({.learning_velocity = 0.45,
                .domain_affinity = 0.3,
                .interaction_frequency = 0.4,
                .feedback_responsiveness = 0.8,
                .retention_strength = 0.9},
               calm, false),
      "Take up about 3 new capabilities a week; spread over several domains; come by on 4 of "
      "10 days; act on about 8 of 10 pieces of feedback; return to what they used before in 9 "
      "of 10 recent uses.");
  EXPECT_EQ(describe({.learning_velocity = 0.01,
                      .domain_affinity = 0.61,
                      .interaction_frequency = 0.02,
                      .feedback_responsiveness = 0.5,
                      .retention_strength = 0.97},
                     {-0.2, 1.2, -0.7, 0, 0.6}, false),
            "Keep mostly to one domain, far above average; come by on fewer than 1 of 20 days, "
            "below average; nearly always return to what they used before, above average; take up "
            "hardly anything new.");
  const std::string most = describe({.learning_velocity = 1,
                                     .domain_affinity = 0.5,
                                     .interaction_frequency = 1,
                                     .feedback_responsiveness = 0.1,
                                     .retention_strength = 0},
                                    calm, false);
  EXPECT_THAT(most, HasSubstr("more than 15 new capabilities a week"));
  EXPECT_THAT(most, HasSubstr("come by nearly every day"));
  EXPECT_THAT(most, HasSubstr("favour one domain among others"));
  EXPECT_THAT(most, HasSubstr("hardly ever return"));
  // Responsiveness starts at one half, so near to it nothing may be claimed.
  EXPECT_THAT(describe({.feedback_responsiveness = 0.54}, calm, false), Not(HasSubstr("feedback")));
  EXPECT_THAT(describe({.feedback_responsiveness = 0.56}, calm, false), HasSubstr("feedback"));
}

// Goal: cohorts whose rounded figures coincide still read differently.
TEST(Sentences, DifferWhereTheCohortsDo) {
  const std::vector<learners::Traits> mean = {{.interaction_frequency = 0.41},
                                              {.interaction_frequency = 0.43},
                                              {.interaction_frequency = 0.9}};
  const auto sentences = describe_all(mean, std::vector<Standing>(3));
  EXPECT_EQ(std::set<std::string>(sentences.begin(), sentences.end()).size(), 3u);
  EXPECT_THAT(sentences[0], HasSubstr("41 % of days"));
  EXPECT_THAT(sentences[2], HasSubstr("9 of 10 days"));
}

}  // namespace
}  // namespace covey::cohorts

#include "service/answers.h"

#include <gtest/gtest.h>

#include "analyzer/json.h"
#include "http/harness.h"

namespace covey::service::test {

using namespace http::test;  // the harness
namespace {

using learners::LearnerState;

analyzer::Answer active_learner() {
  analyzer::Answer answer;
  answer.as_of = parse_time("2026-03-01T12:00:00Z").value();
  answer.facts.learner = "AAA-2013J/11391";
  answer.facts.state = LearnerState::kActive;
  answer.facts.traits = {0.25, 0.5, 1, 0.75, 0.125};
  answer.facts.specialist = true;
  answer.facts.practice_events = 12;
  answer.facts.feedback_received = 4;
  answer.facts.feedback_acted_on = 3;
  answer.facts.first_active_day = day_of(parse_time("2025-12-31").value());
  answer.facts.last_active_day = day_of(parse_time("2026-02-28").value());
  answer.facts.attributes = {{"age", "0-35"}, {"quote\"", "<b>"}};
  cohorts::Cohort cohort;
  cohort.id = 7;
  cohort.archetype = cohorts::Archetype::kSpecialist;
  cohort.share = 0.2;
  answer.cohort = cohort;
  return answer;
}

// Goal: the bodies clients parse change only on purpose.
TEST(Golden, Learner) {
  std::string body;
  append_learner(body, active_learner(), "fast");
  expect_golden("learner_active.json", body);

  analyzer::Answer dormant;
  dormant.as_of = parse_time("2026-03-01T12:00:00.5Z").value();
  dormant.facts.learner = "ada";
  body.clear();
  append_learner(body, dormant, "baseline");
  expect_golden("learner_dormant.json", body);
}

TEST(Golden, Traits) {
  std::string body;
  append_traits(body, active_learner());
  expect_golden("traits_active.json", body);
  analyzer::Answer dormant = active_learner();
  dormant.facts.state = LearnerState::kDormant;
  body.clear();
  append_traits(body, dormant);
  expect_golden("traits_dormant.json", body);
}

TEST(Golden, Discovery) {
  cohorts::Discovery run;
  run.as_of = parse_time("2026-03-01T12:00:00Z").value();
  run.learners = 30;
  run.k = 1;
  run.inertia = 12.5;
  run.silhouette = 0.25;
  cohorts::Cohort cohort;
  cohort.id = 3;
  cohort.archetype = cohorts::Archetype::kPowerUser;
  cohort.size = 30;
  cohort.share = 1;
  cohort.centroid = {0.5, 0.25, 0.125, 0.5, 0.75};
  cohort.silhouette = 0.25;
  cohort.stability = 0.875;
  cohort.sentence = "They come often.";
  run.cohorts = {cohort};
  run.timing = {1, 2, 3, 4, 10};
  expect_golden("discovery_first.json", analyzer::dump(analyzer::to_json(run), false));
  run.adjusted_rand_index = 0.5;
  expect_golden("discovery_pretty.json", analyzer::dump(analyzer::to_json(run), true));
}

}  // namespace
}  // namespace covey::service::test

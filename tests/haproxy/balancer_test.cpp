#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiment/assignment.h"
#include "haproxy/rig.h"

namespace covey::haproxy {
namespace {

using covey::testing::HttpClient;

std::string ask(HttpClient& client, const std::string& learner,
                std::vector<std::pair<std::string, std::string>> fields = {}) {
  fields.emplace_back("x-learner-id", learner);
  const auto answer = client.request(boost::beast::http::verb::get, "/v1/x", {}, fields);
  return answer ? fmt::format("{} {}", answer->status, answer->body) : "cut";
}

// Goal: the balancer's split is experiment::Assignment's, grows by adding learners only, and every
// request is told by one line.
TEST(Balancer, SplitsByLearnerAsTheAssignmentSays) {
  Rig rig;
  HttpClient client(rig.port);
  std::set<int> before;
  std::size_t asked = 0;
  for (const plan::BasisPoints share : {0u, 100u, 1'000u, 5'000u, 10'000u}) {
    ASSERT_TRUE(rig.runtime->set_share(share));
    EXPECT_EQ(rig.runtime->share().value(), share);
    std::set<int> on_candidate;
    for (int i = 0; i < 1'000; ++i) {
      const std::string learner = fmt::format("Course/Learner{}", i);
      const bool candidate = experiment::bucket(learner, experiment::kTrafficSeed) < share;
      ASSERT_EQ(ask(client, learner), candidate ? "200 candidate" : "200 baseline") << learner;
      if (candidate) on_candidate.insert(i);
      ++asked;
    }
    EXPECT_TRUE(std::ranges::includes(on_candidate, before));
    before = on_candidate;
  }
  EXPECT_EQ(before.size(), 1'000u);
  const auto lines = rig.sink.wait_for(asked + 1);  // the rig asked once, to see that it is up
  EXPECT_FALSE(rig.sink.refused);
  std::set<std::uint64_t> numbers;
  std::size_t ours = 0;
  for (const std::string& text : lines) {
    const auto line = parse_line(text);
    ASSERT_TRUE(line) << text << ": " << line.error().message;
    numbers.insert(line->number);
    ours += line->learner.starts_with("Course%2FLearner");
    EXPECT_EQ(line->arm == telemetry::Arm::kCandidate, line->server == "candidate") << text;
    EXPECT_GE(line->us, 0) << text;
  }
  EXPECT_EQ(ours, asked);
  // Numbered without a hole.
  EXPECT_EQ(numbers.size(), lines.size());
  EXPECT_EQ(*numbers.rbegin() - *numbers.begin() + 1, numbers.size());
}

TEST(Balancer, FindsTheLearnerWhereverItIsNamed) {
  Rig rig;
  HttpClient client(rig.port);
  ASSERT_TRUE(rig.runtime->set_share(9'999));
  // Nobody in particular waits until everyone is on the candidate.
  EXPECT_EQ(client.get("/v1/cohorts")->body, "baseline");
  EXPECT_EQ(client.get("/v1/x?learner=ada")->body, "candidate");
  EXPECT_EQ(client.get("/v1/learners/course%2Fada/traits")->body, "candidate");
  ASSERT_TRUE(rig.runtime->set_share(10'000));
  EXPECT_EQ(client.get("/v1/cohorts")->body, "candidate");
}

// Goal: single requests may be put on an arm, by whom the settings trust, and by nobody else; and
// a roll back leaves nobody on the candidate.
TEST(Balancer, ForcesSingleRequestsOfThoseTrusted) {
  Rig rig({"10.9.8.0/24", "127.0.0.0/8"});
  HttpClient client(rig.port);
  ASSERT_TRUE(rig.runtime->set_share(1));
  EXPECT_EQ(ask(client, "bob"), "200 baseline");
  EXPECT_EQ(ask(client, "bob", {{"x-covey-arm", "c"}}), "200 candidate");
  EXPECT_EQ(ask(client, "bob", {{"x-covey-arm", "nonsense"}}), "200 baseline");
  EXPECT_EQ(rig.candidate->heads().find("x-covey-arm"), std::string::npos) << "passed on";
  ASSERT_TRUE(rig.runtime->set_share(0));
  EXPECT_EQ(ask(client, "bob", {{"x-covey-arm", "c"}}), "200 baseline") << "after a roll back";
  ASSERT_TRUE(rig.runtime->set_share(10'000));
  EXPECT_EQ(ask(client, "bob", {{"x-covey-arm", "b"}}), "200 baseline");
}

TEST(Balancer, ForcesNothingForStrangers) {
  for (const std::vector<std::string>& trusted :
       {std::vector<std::string>{}, std::vector<std::string>{"10.9.8.0/24"}}) {
    Rig rig(trusted);
    HttpClient client(rig.port);
    ASSERT_TRUE(rig.runtime->set_share(1));
    EXPECT_EQ(ask(client, "bob", {{"x-covey-arm", "c"}}), "200 baseline");
    ASSERT_TRUE(rig.runtime->set_share(10'000));
    EXPECT_EQ(ask(client, "bob", {{"x-covey-arm", "b"}}), "200 candidate");
    EXPECT_EQ(rig.candidate->heads().find("x-covey-arm"), std::string::npos) << "passed on";
  }
}

TEST(Balancer, ARestartBeginsWithTheShareItHad) {
  Rig rig;
  ASSERT_TRUE(rig.runtime->set_share(4'200));
  const int before = rig.runtime->process().value();
  rig.balancer->kill(SIGKILL);
  rig.balancer->wait();
  EXPECT_EQ(rig.runtime->share().error().code, Errc::kRetryLater);
  EXPECT_EQ(rig.runtime->set_share(0).error().code, Errc::kRetryLater);
  // It could not be told, but will begin with what is wanted.
  rig.start();
  EXPECT_EQ(rig.runtime->share().value(), 0u);
  EXPECT_NE(rig.runtime->process().value(), before);
}

// Goal: a candidate that dies costs no learner an answer, and its failures are told as its own.
TEST(Balancer, ADyingCandidateIsAnsweredForByTheBaseline) {
  Rig rig;
  ASSERT_TRUE(rig.runtime->set_share(10'000));
  HttpClient client(rig.port);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(client, fmt::format("l{}", i)), "200 candidate");
  rig.candidate->stop();
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(ask(client, fmt::format("l{}", i)), "200 baseline") << i;
  }
  const auto shape = telemetry::Shape::of({}, {});
  std::size_t failures = 0;
  for (const std::string& text : rig.sink.wait_for(221)) {
    const auto line = parse_line(text);
    ASSERT_TRUE(line) << text;
    failures += line->arm == telemetry::Arm::kCandidate && !to_request(*line, shape).answered;
  }
  EXPECT_GE(failures, 200u);
}

// Goal: what may have been acted upon is sent once. Method: a candidate that takes each request and
// cuts the connection; a GET is then asked again, a POST is not.
TEST(Balancer, APostReachesTheCandidateOnce) {
  Rig rig;
  ASSERT_TRUE(rig.runtime->set_share(10'000));
  rig.candidate->cuts = true;
  const auto send = [&](boost::beast::http::verb method) {
    rig.candidate->asked = rig.baseline->asked = 0;
    HttpClient client(rig.port);
    const auto answer = client.request(method, "/v1/x", {}, {{"x-learner-id", "ada"}});
    return answer ? answer->status : 0;
  };
  EXPECT_EQ(send(boost::beast::http::verb::post), 502u);
  EXPECT_EQ(rig.candidate->asked, 1);
  EXPECT_EQ(rig.baseline->asked, 0);
  EXPECT_EQ(send(boost::beast::http::verb::put), 502u);
  EXPECT_EQ(rig.candidate->asked + rig.baseline->asked, 1);
  send(boost::beast::http::verb::get);
  EXPECT_GT(rig.candidate->asked + rig.baseline->asked, 1) << "then the above says nothing";
  // Never made is never sent: that may go to the other, whatever the method.
  rig.candidate->stop();
  EXPECT_EQ(send(boost::beast::http::verb::post), 200u);
  EXPECT_EQ(rig.baseline->asked, 1);
}

TEST(Balancer, WrongAndSlowAnswersAreSeen) {
  Rig rig;
  ASSERT_TRUE(rig.runtime->set_share(10'000));
  HttpClient client(rig.port);
  rig.candidate->status = 500;
  EXPECT_EQ(ask(client, "wrong"), "500 candidate");
  rig.candidate->status = 200;
  rig.candidate->delay_ms = 60;
  EXPECT_EQ(ask(client, "slow"), "200 candidate");
  const auto shape = telemetry::Shape::of({}, {});
  int seen = 0;
  for (const std::string& text : rig.sink.wait_for(3)) {
    const auto line = parse_line(text).value();
    const auto request = to_request(line, shape);
    if (line.learner == "wrong") {
      ++seen;
      EXPECT_TRUE(request.answered);
      EXPECT_FALSE(request.right);
    }
    if (line.learner == "slow") {
      ++seen;
      EXPECT_TRUE(request.right);
      EXPECT_GE(request.latency, std::chrono::milliseconds(60));
      EXPECT_LT(request.latency, std::chrono::seconds(5));
    }
  }
  EXPECT_EQ(seen, 2);
}

}  // namespace
}  // namespace covey::haproxy

#include <algorithm>
#include <cmath>
#include <functional>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rollout/kit.h"

namespace covey::rollout {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

TEST(Step, BeginsWhenItsTimeItsApprovalsAndTheBalancerAreThere) {
  Hand hand;
  hand.at("2025-10-31T11:59:00Z");
  hand.approve("canary");
  hand.tick();
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 0u);
  hand.at("2025-10-31T11:59:55Z");
  hand.tick();
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 100u);
  EXPECT_THAT(hand.decided(), Contains("open"));
  EXPECT_THAT(hand.decided(), Contains("begin"));
  EXPECT_EQ(hand.state.seen, BasisPoints{100});
}

TEST(Step, NoWindowBeginsBeforeTheBalancerConfirms) {
  Hand hand;
  hand.obliging = false;
  hand.begin_canary();
  EXPECT_FALSE(hand.state.phases[0].began);
  hand.run(10min);
  EXPECT_FALSE(hand.state.phases[0].began);
  EXPECT_FALSE(hand.has("pass"));
  // It says no, then yes.
  const auto set = std::ranges::find_if(hand.effects, [](const Effect& effect) {
    return std::holds_alternative<SetShare>(effect.act) &&
           std::get<SetShare>(effect.act).share == 100;
  });
  ASSERT_NE(set, hand.effects.end());
  hand.give(Outcome{set->id, false, "no answer"});
  EXPECT_FALSE(hand.state.phases[0].began);
  hand.tick();
  hand.give(Outcome{hand.effects.back().id, true, ""});
  EXPECT_TRUE(hand.state.phases[0].began);
}

// The answer to a command may be lost though it was obeyed: reading back is as good.
TEST(Step, AShareThatIsReadBackBeginsTheWindowToo) {
  Hand hand;
  hand.obliging = false;
  hand.begin_canary();
  for (const Effect& effect : std::vector<Effect>(hand.effects)) {
    if (std::holds_alternative<SetShare>(effect.act)) {
      hand.give(Outcome{effect.id, false, "timed out"});
    }
  }
  ASSERT_FALSE(hand.state.phases[0].began);
  hand.give(ReadBack{100});
  EXPECT_TRUE(hand.state.phases[0].began);
}

TEST(Step, ABalancerThatAnswersAgainIsNoIncident) {
  Hand hand;
  hand.begin_canary();
  hand.obliging = false;
  hand.give(ReadBack{});
  hand.run(20s);
  ASSERT_FALSE(hand.state.incidents.empty());
  ASSERT_EQ(hand.state.incidents.back().key, "balancer");
  EXPECT_TRUE(hand.state.incidents.back().open());
  hand.give(ReadBack{100});
  EXPECT_FALSE(hand.state.incidents.back().open());
  const std::size_t before = hand.state.incidents.size();
  hand.run(1min);
  EXPECT_EQ(hand.state.incidents.size(), before);
}

// Else learners would be on the candidate with nobody's criteria watched.
TEST(Step, NoPhaseOpensWhileTheBalancerDoesNotAnswer) {
  Hand hand;
  hand.begin_canary();
  hand.run(10min + 5s);
  ASSERT_TRUE(hand.has("pass"));
  hand.at("2025-10-31T12:58:00Z");
  hand.approve("ramp");
  hand.obliging = false;
  hand.give(ReadBack{});
  hand.run(3min);
  EXPECT_EQ(hand.state.phases[1].status, Status::kWaiting);
  EXPECT_THAT(hand.last("hold").cause, HasSubstr("waits for the balancer to answer"));
  Hand broken = hand;
  broken.run(3min + 5s, 5'000);
  EXPECT_THAT(broken.last("roll_back").cause, HasSubstr("error_rate < 1% breached"));
  hand.obliging = true;
  hand.give(ReadBack{100});
  hand.run(10s);
  EXPECT_EQ(hand.state.phases[1].status, Status::kRunning);
}

TEST(Step, WaitsForApprovalsAndSaysWhose) {
  Hand hand;
  hand.at("2025-10-31T11:59:55Z");
  hand.give(Approve{"canary", "vp", "Vera"});
  hand.tick();
  hand.tick();
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 0u);
  EXPECT_THAT(hand.last("hold").cause, HasSubstr("the approval of product"));
  hand.give(Approve{"canary", "product", "Paul"});
  hand.tick();
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 100u);
}

struct Refused {
  std::string why;
  What what;
  std::string says;
};

TEST(Step, NobodyWithoutTheRoleDecides) {
  using Kind = Command::Kind;
  const auto command = [](Kind kind, std::string role, std::string person) {
    Command out;
    out.kind = kind;
    out.role = std::move(role);
    out.person = std::move(person);
    out.stage = "canary";
    return out;
  };
  const Refused kRefused[] = {
      {"not Vera", Approve{"canary", "vp", "Paul"}, "does not hold the role"},
      {"no such role", Approve{"canary", "boss", "Vera"}, "does not hold the role"},
      {"not asked", Approve{"ramp", "product", "Paul"}, "not among the approvals"},
      {"no such stage", Approve{"camary", "vp", "Vera"}, "there is no stage"},
      {"no stage to refuse", Withdraw{"camary", "vp", "Vera", ""}, "there is no stage"},
      {"refused by nobody", Withdraw{"canary", "vp", "Paul", ""}, "does not hold the role"},
      {"refused by who is not asked", Withdraw{"ramp", "product", "Paul", ""},
       "not among the approvals"},
      {"product overrides", Override{"canary", "product", "Paul", "now!"}, "does not decide"},
      {"Paul as vp", Override{"canary", "vp", "Paul", "now!"}, "does not hold the role"},
      {"hold by nobody", command(Kind::kHold, "vp", "Eve"), "does not hold the role"},
      {"start by product", command(Kind::kStart, "product", "Paul"), "does not decide"},
      {"reschedule by product", command(Kind::kReschedule, "product", "Paul"), "does not decide"},
      {"start of what runs", command(Kind::kStart, "vp", "Vera"), "nothing was stopped"},
      {"acknowledge nothing", Acknowledge{7, "Olga"}, "no incident #7"},
      {"resolve nothing", Resolve{7, "Olga"}, "no incident #7"},
      {"done with nothing", WorkDone{"x", "Olga"}, "no task 'x'"},
  };
  for (const Refused& row : kRefused) {
    SCOPED_TRACE(row.why);
    Hand hand;
    hand.at("2025-10-31T11:00:00Z");
    hand.give(row.what);
    ASSERT_EQ(hand.decided(), std::vector<std::string>{"refused"});
    EXPECT_THAT(hand.decisions[0].cause, HasSubstr(row.says));
    EXPECT_EQ(hand.state.phases[0].approvals.size(), 0u);
  }
}

TEST(Step, AnApprovalCountsOnce) {
  Hand hand;
  hand.at("2025-10-31T11:00:00Z");
  hand.give(Approve{"canary", "vp", "Vera"});
  hand.give(Approve{"canary", "vp", "Vera"});
  EXPECT_EQ(hand.decided(), (std::vector<std::string>{"approve", "refused"}));
}

// An approval that was sent before and comes again must not count for a new attempt.
TEST(Step, AnApprovalIsOfOneAttempt) {
  Hand hand;
  hand.begin_canary();
  hand.run(1min);
  hand.give(Command{Command::Kind::kAbort, "vp", "Vera"});
  hand.run(15s);
  Command start{Command::Kind::kStart, "vp", "Vera"};
  start.stage = "canary";
  hand.give(start);
  EXPECT_THAT(hand.last("start").cause, HasSubstr("attempt 2"));
  const What kStale[] = {
      Approve{"canary", "product", "Paul"}, Approve{"canary", "product", "Paul", 1},
      Approve{"canary", "product", "Paul", 3}, Override{"canary", "vp", "Vera", "now", 1},
      Withdraw{"canary", "product", "Paul", "no", 1}};
  for (const What& what : kStale) {
    hand.give(what);
    EXPECT_EQ(hand.decisions.back().what, "refused");
    EXPECT_THAT(hand.decisions.back().cause, HasSubstr("this is attempt 2"));
  }
  hand.run(1min);
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 0u);
  hand.give(Approve{"canary", "product", "Paul", 2});
  hand.run(10s);
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 100u);
}

// A later stage may be approved in advance; it stands, and says so, until it is withdrawn.
TEST(Step, AStandingApprovalCanBeWithdrawn) {
  Hand hand;
  hand.at("2025-10-31T11:00:00Z");
  hand.give(Approve{"ramp", "vp", "Vera"});
  EXPECT_THAT(hand.last("approve").cause, HasSubstr("in advance"));
  hand.give(Approve{"canary", "vp", "Vera"});
  EXPECT_THAT(hand.last("approve").cause, Not(HasSubstr("in advance")));
  hand.give(Approve{"canary", "product", "Paul"});
  hand.give(Withdraw{"ramp", "vp", "Vera", "the support team is ill"});
  EXPECT_THAT(hand.last("no_go").cause, HasSubstr("withdraws the approval of ramp"));
  hand.at("2025-10-31T11:59:50Z");
  hand.run(61min);
  EXPECT_EQ(hand.state.phases[0].status, Status::kPassed);
  EXPECT_EQ(hand.state.phases[1].status, Status::kWaiting);
  EXPECT_THAT(hand.last("hold").cause, HasSubstr("vp (NO-GO by Vera: the support team is ill)"));
  hand.give(Approve{"ramp", "vp", "Vera"});
  hand.run(5s);
  EXPECT_EQ(hand.state.phases[1].status, Status::kRunning);
  hand.give(Withdraw{"ramp", "vp", "Vera", "too late"});
  EXPECT_EQ(hand.decisions.back().what, "refused");
}

TEST(Step, ANoGoKeepsAStageWaitingUnlessWhoDecidesOverrides) {
  Hand hand;
  hand.at("2025-10-31T11:59:55Z");
  hand.give(Approve{"canary", "vp", "Vera"});
  hand.give(Withdraw{"canary", "product", "Paul", "not on a Friday"});
  EXPECT_THAT(hand.last("no_go").cause, HasSubstr("says NO-GO to canary"));
  hand.run(10s);
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 0u);
  hand.give(Override{"canary", "vp", "Vera", "Paul was asked"});
  hand.give(Withdraw{"canary", "vp", "Vera", "he was right"});  // takes back the override too
  hand.run(10s);
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 0u);
  hand.give(Override{"canary", "vp", "Vera", "Monday"});
  hand.run(10s);
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 100u);
}

TEST(Step, WhoDecidesStandsInForApprovalsButNotForEvidence) {
  Hand hand;
  hand.at("2025-10-31T11:59:55Z");
  hand.give(Override{"canary", "vp", "Vera", "Paul is on a plane"});
  hand.tick();
  hand.tick();
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 100u);
  hand.run(10min + 10s, 5, 600);  // undecided: 0.8 % of 600
  EXPECT_FALSE(hand.has("pass"));
  hand.give(Override{"canary", "vp", "Vera", "it will do"});
  EXPECT_EQ(hand.decisions.back().what, "refused");
  hand.tick(5, 600);
  EXPECT_FALSE(hand.has("pass"));
}

TEST(Step, PassesAtTheEndOfItsWindowAndGoesOnAtTheNextStart) {
  Hand hand;
  hand.begin_canary();
  hand.run(9min);
  EXPECT_TRUE(hand.has("continue"));
  EXPECT_FALSE(hand.has("pass"));
  hand.run(1min + 5s);
  EXPECT_TRUE(hand.has("pass"));
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 100u);  // the share stays until the ramp
  hand.at("2025-10-31T12:59:50Z");
  hand.give(Approve{"ramp", "vp", "Vera"});
  hand.tick();
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 100u);
  hand.tick();
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 1'000u);
}

TEST(Step, UndecidedExtendsThenHoldsAndNeverPasses) {
  Hand hand;
  hand.begin_canary();
  hand.run(10min + 5s, 5, 600);
  EXPECT_TRUE(hand.has("extend"));
  EXPECT_EQ(hand.state.phases[0].status, Status::kRunning);
  hand.run(12min, 5, 600);
  EXPECT_THAT(hand.last("hold").cause, HasSubstr("undecided at the end"));
  EXPECT_FALSE(hand.has("pass"));
  // Evidence that comes later counts only once somebody resumes.
  hand.run(5min);
  EXPECT_FALSE(hand.has("pass"));
  Command resume;
  resume.kind = Command::Kind::kResume;
  resume.role = "product";
  resume.person = "Paul";
  hand.give(resume);
  hand.run(1min + 5s);
  EXPECT_TRUE(hand.has("pass"));
}

TEST(Step, ABreachIsRolledBackAfterItsTimeAndVerified) {
  Hand hand;
  hand.begin_canary();
  hand.run(1min);
  const Time first = hand.now + hand.plan.slot;
  hand.run(2min + 55s, 5'000);
  EXPECT_FALSE(hand.has("roll_back"));
  hand.run(10s, 5'000);
  ASSERT_TRUE(hand.has("roll_back"));
  EXPECT_EQ(hand.last("roll_back").at - first, Duration(3min));
  EXPECT_EQ(hand.state.seen, BasisPoints{0});
  EXPECT_FALSE(hand.last("roll_back").evidence.empty());
  hand.run(15s);
  EXPECT_TRUE(hand.has("quiet"));
  EXPECT_FALSE(hand.has("verified")) << "a minute of the baseline alone has not been seen yet";
  hand.run(50s);
  EXPECT_TRUE(hand.has("verified"));
  EXPECT_THAT(hand.last("verified").cause, HasSubstr("baseline error_rate < 1%: 0%"));
  // Nothing starts again by itself.
  hand.run(3h);
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 0u);
}

TEST(Step, ABreachThatEndsIsForgiven) {
  Hand hand;
  hand.begin_canary();
  hand.run(2min + 50s, 5'000);
  hand.run(10s);
  hand.run(1min + 30s, 5'000);  // 4 min 20 s of 4 min 30 s, but never 3 min
  EXPECT_FALSE(hand.has("roll_back"));
}

TEST(Step, ARollBackIsNotVerifiedWhileRequestsArrive) {
  Hand hand;
  hand.begin_canary();
  hand.run(4min, 5'000);
  ASSERT_TRUE(hand.state.rolled_back);
  Hand other;
  other.begin_canary();
  Command abort;
  abort.kind = Command::Kind::kAbort;
  abort.role = "product";
  abort.person = "Paul";
  other.give(abort);
  for (int i = 0; i < 10; ++i) {
    other.now += other.plan.slot;
    Telemetry telemetry = other.telemetry(0, 1'000);
    telemetry.candidate_requests = 3;
    other.give(Tick{telemetry});
  }
  EXPECT_FALSE(other.has("verified"));
  EXPECT_THAT(other.state.incidents.back().title, HasSubstr("not verified"));
  // It is set again, for what we believe must be wrong.
  const auto zeros = std::ranges::count_if(other.effects, [](const Effect& effect) {
    return std::holds_alternative<SetShare>(effect.act) &&
           std::get<SetShare>(effect.act).share == 0;
  });
  EXPECT_GE(zeros, 2);
}

// The candidate is quiet, yet learners are not well: somebody is called, and the roll back is not
// verified until they are.
TEST(Step, ARollBackIsVerifiedOnlyOnceTheBaselinesFiguresReturn) {
  Hand hand;
  hand.begin_canary();
  hand.run(1min);
  hand.baseline_bad = 5'000;
  hand.give(Command{Command::Kind::kAbort, "product", "Paul"});
  hand.run(5min + 20s);
  EXPECT_TRUE(hand.has("quiet"));
  EXPECT_FALSE(hand.has("verified"));
  const auto told = [&] {
    return std::ranges::find(hand.state.incidents, "rollback/baseline", &Incident::key);
  };
  EXPECT_EQ(told(), hand.state.incidents.end());
  hand.run(20s);
  ASSERT_NE(told(), hand.state.incidents.end());
  EXPECT_EQ(told()->severity, Severity::kCritical);
  EXPECT_THAT(told()->title, HasSubstr("did not return"));
  EXPECT_FALSE(told()->evidence.empty());
  hand.run(10min);
  EXPECT_EQ(told()->times, 1u);
  hand.baseline_bad = 0;
  hand.run(5s);
  EXPECT_TRUE(hand.has("verified"));
  EXPECT_FALSE(told()->open());
}

TEST(Step, NoBaselineIsNoReturnOfItsFigures) {
  Hand hand;
  hand.begin_canary();
  hand.run(1min);
  hand.give(Command{Command::Kind::kAbort, "product", "Paul"});
  for (int i = 0; i < 60; ++i) {
    hand.now += hand.plan.slot;
    Telemetry telemetry = hand.telemetry(0, 100'000);
    for (Reading& reading : telemetry.criteria) reading.recent.baseline = {0, 0};
    hand.give(Tick{telemetry});
  }
  EXPECT_TRUE(hand.has("quiet"));
  EXPECT_FALSE(hand.has("verified"));
}

TEST(Step, SilenceHoldsThenRollsBack) {
  Hand hand;
  hand.begin_canary();
  hand.run(1min);
  for (int i = 1; i <= 40 && !hand.state.rolled_back; ++i) {
    hand.silence = i * hand.plan.slot;
    hand.tick();
    if (i == 2) {
      EXPECT_THAT(hand.last("hold").cause, HasSubstr("no complete slot"));
    }
  }
  ASSERT_TRUE(hand.has("roll_back"));
  EXPECT_THAT(hand.last("roll_back").cause, HasSubstr("no telemetry for 3m"));
}

TEST(Step, NoCheckpointGoesOnWithoutTelemetry) {
  Hand hand;
  hand.begin_canary();
  hand.run(4min + 45s);
  for (int i = 1; i <= 4; ++i) {
    hand.silence = i * hand.plan.slot;
    hand.tick();
  }
  EXPECT_FALSE(hand.has("continue"));
  EXPECT_THAT(hand.last("hold").cause, HasSubstr("telemetry is missing"));
}

/// The small plan, whose canary also watches the candidate's memory.
Hand with_level() {
  std::string yaml(kSmallPlan);
  yaml.replace(yaml.find("[error_rate < 1%, p99 < 200ms]"), 30, "[error_rate < 1%, memory < 80%]");
  return Hand(yaml);
}

TEST(Step, ALevelThatIsNotReadHoldsThenRollsBack) {
  Hand hand = with_level();
  hand.begin_canary();
  hand.run(1min);
  hand.level.reset();
  const Time from = hand.now + hand.plan.slot;
  hand.run(2min + 55s);
  EXPECT_THAT(hand.last("hold").cause, HasSubstr("memory < 80%: no reading"));
  EXPECT_EQ(hand.state.incidents.back().severity, Severity::kHigh);
  EXPECT_FALSE(hand.has("roll_back"));
  hand.run(10s);
  ASSERT_TRUE(hand.has("roll_back"));
  EXPECT_EQ(hand.last("roll_back").at - from, Duration(3min));
  EXPECT_THAT(hand.last("roll_back").cause, HasSubstr("memory < 80%: no reading"));
}

TEST(Step, ALevelThatIsReadAgainIsForgiven) {
  Hand hand = with_level();
  hand.begin_canary();
  hand.run(1min);
  hand.level.reset();
  hand.run(2min);
  hand.level = 0.5;
  hand.run(5s);
  EXPECT_TRUE(hand.has("telemetry_back"));
  EXPECT_FALSE(hand.state.incidents.back().open());
  hand.run(6min + 55s);
  EXPECT_TRUE(hand.has("pass"));
}

// Most of the window was read, but not its end.
TEST(Step, NothingPassesWhileALevelIsNotRead) {
  Hand hand = with_level();
  hand.begin_canary();
  hand.run(9min);
  for (int i = 0; i < 30; ++i) {
    hand.now += hand.plan.slot;
    Telemetry telemetry = hand.telemetry(0, 100'000);
    telemetry.criteria[1].recent.value.reset();
    telemetry.criteria[1].recent.readings = {12, 0, 0};
    hand.give(Tick{telemetry});
  }
  EXPECT_FALSE(hand.has("pass"));
  EXPECT_THAT(hand.last("extend").cause, HasSubstr("memory < 80% is not read"));
}

TEST(Step, LostTelemetryIsMadeUpForAtTheEnd) {
  Hand hand;
  hand.begin_canary();
  const Time end = hand.now + 10min + 40s;
  while (hand.now < end) {
    hand.now += hand.plan.slot;
    Telemetry telemetry = hand.telemetry(0, 100'000);
    telemetry.missing = 30s;
    hand.give(Tick{telemetry});
    if (hand.has("pass")) break;
  }
  ASSERT_TRUE(hand.has("pass"));
  EXPECT_GE(hand.last("pass").at - *hand.state.phases[0].began, Duration(10min + 30s));
}

TEST(Step, ACriticalIncidentRollsBack) {
  Hand hand;
  hand.begin_canary();
  hand.give(ReportIncident{Severity::kHigh, "a", "slow", "support"});
  hand.tick();
  EXPECT_FALSE(hand.has("roll_back"));
  hand.give(ReportIncident{Severity::kCritical, "b", "nobody can sign in", "support"});
  hand.tick();
  EXPECT_TRUE(hand.has("roll_back"));
}

// The ramp begins from the canary's share, but nobody is sent there unseen.
TEST(Step, AStartSendsNobodyBackWithoutTelemetry) {
  Hand hand;
  hand.begin_canary();
  hand.run(10min + 5s);
  hand.at("2025-10-31T12:59:50Z");
  hand.approve("ramp");
  hand.run(1min);
  ASSERT_EQ(hand.state.seen, BasisPoints{1'000});
  hand.give(Command{Command::Kind::kAbort, "vp", "Vera"});
  hand.run(2min);
  hand.silence = 5min;
  Command start{Command::Kind::kStart, "vp", "Vera"};
  start.stage = "ramp";
  start.start = hand.now + 1h;
  hand.give(start);
  ASSERT_EQ(hand.decisions.back().what, "start");
  hand.tick();
  EXPECT_EQ(hand.state.seen, BasisPoints{0});
  EXPECT_THAT(hand.last("roll_back").cause, HasSubstr("no telemetry"));
  for (const Effect& effect : hand.effects) {
    const auto* set = std::get_if<SetShare>(&effect.act);
    if (set != nullptr && effect.cause.starts_with("start")) ADD_FAILURE() << set->share;
  }
}

TEST(Step, NothingStartsAgainWhileACriticalIncidentIsOpen) {
  Hand hand;
  hand.begin_canary();
  hand.give(ReportIncident{Severity::kCritical, "b", "nobody can sign in", "support"});
  hand.tick();
  ASSERT_TRUE(hand.state.rolled_back);
  Command start;
  start.kind = Command::Kind::kStart;
  start.role = "vp";
  start.person = "Vera";
  start.stage = "canary";
  hand.give(start);
  EXPECT_EQ(hand.decisions.back().what, "refused");
  hand.give(Resolve{1, "Olga"});
  hand.give(start);
  EXPECT_EQ(hand.decisions.back().what, "start");
  EXPECT_FALSE(hand.state.rolled_back);
}

TEST(Step, AReactionReducesAndOnlyWhoDecidesRaisesAgain) {
  Hand hand;
  hand.begin_canary();
  hand.run(10min + 5s);
  hand.at("2025-10-31T12:59:50Z");
  hand.give(Approve{"ramp", "vp", "Vera"});
  hand.tick();
  hand.tick();
  hand.run(35s, 4'000);  // 4 %: beyond 2 %
  EXPECT_TRUE(hand.has("reduce"));
  EXPECT_EQ(hand.state.seen, BasisPoints{500});
  // The incident it opens is its own answer, not a reason to roll back.
  hand.run(30s);
  EXPECT_FALSE(hand.has("roll_back"));
  Command resume;
  resume.kind = Command::Kind::kResume;
  resume.role = "product";
  resume.person = "Paul";
  hand.give(resume);
  EXPECT_EQ(hand.decisions.back().what, "refused");
  resume.role = "vp";
  resume.person = "Vera";
  hand.give(resume);
  EXPECT_EQ(hand.state.seen, BasisPoints{1'000});
}

TEST(Step, ANoGoKeepsAShareForInvestigationAndMayBeStartedAgain) {
  Hand hand;
  hand.begin_canary();
  hand.run(10min + 5s);
  hand.at("2025-10-31T12:59:50Z");
  hand.give(Approve{"ramp", "vp", "Vera"});
  hand.tick();
  hand.tick();
  hand.run(9min + 50s);
  // At the gate the whole window fails, though the last minute was good.
  for (int i = 0; i < 3; ++i) {
    hand.now += hand.plan.slot;
    Telemetry telemetry = hand.telemetry(0, 10'000);
    telemetry.criteria[0].window.candidate = {3'000, 100'000};
    hand.give(Tick{telemetry});
  }
  EXPECT_TRUE(hand.has("fail"));
  EXPECT_EQ(hand.state.phases[1].status, Status::kFailed);
  EXPECT_EQ(hand.state.seen, BasisPoints{500});
  Command start;
  start.kind = Command::Kind::kStart;
  start.role = "vp";
  start.person = "Vera";
  start.stage = "ramp";
  start.start = hand.now + 1h;
  hand.give(start);
  EXPECT_EQ(hand.state.phases[1].status, Status::kWaiting);
  EXPECT_EQ(hand.state.seen, BasisPoints{100}) << "at once, not at the next tick";
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 100u);
  hand.run(1h + 5s);
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 1'000u);
}

/// The small plan, whose canary must see no critical incident, and which nothing rolls back for
/// one.
Hand with_incidents() {
  std::string yaml(kSmallPlan);
  yaml.replace(yaml.find("[error_rate < 1%, p99 < 200ms]"), 30,
               "[error_rate < 1%, critical_incidents < 1]");
  const std::string reaction = "    reactions: [{when: critical_incidents > 0, share: 0%}]\n";
  yaml.erase(yaml.find(reaction), reaction.size());
  return Hand(yaml);
}

TEST(Step, AnIncidentOfTheWindowCountsAfterItIsOver) {
  Hand hand = with_incidents();
  hand.begin_canary();
  hand.run(1min);
  hand.give(ReportIncident{Severity::kCritical, "b", "nobody can sign in", "support"});
  hand.give(Resolve{1, "Olga"});
  hand.run(9min + 10s);
  EXPECT_FALSE(hand.has("pass"));
  ASSERT_TRUE(hand.has("fail"));
  EXPECT_THAT(hand.last("fail").cause, HasSubstr("critical_incidents < 1: 1"));
}

TEST(Step, AnIncidentThatTurnsCriticalInTheWindowCounts) {
  Hand hand = with_incidents();
  hand.at("2025-10-31T11:30:00Z");
  hand.give(ReportIncident{Severity::kLow, "b", "odd", "support"});
  hand.begin_canary();
  hand.run(1min);
  hand.give(ReportIncident{Severity::kCritical, "b", "nobody can sign in", "support"});
  hand.give(Resolve{1, "Olga"});
  hand.run(9min + 10s);
  EXPECT_TRUE(hand.has("fail"));
}

TEST(Step, AnIncidentBeforeTheWindowThatIsOverDoesNotCount) {
  Hand hand = with_incidents();
  hand.at("2025-10-31T11:30:00Z");
  hand.give(ReportIncident{Severity::kCritical, "b", "nobody can sign in", "support"});
  hand.give(Resolve{1, "Olga"});
  hand.begin_canary();
  hand.run(10min + 10s);
  EXPECT_TRUE(hand.has("pass"));
}

// Time at a reduced share is no time at the stage's.
TEST(Step, AShareRaisedAgainBeginsTheWindowAnew) {
  Hand hand;
  hand.begin_canary();
  hand.run(6min);
  Command reduce{Command::Kind::kReduce, "product", "Paul"};
  reduce.share = 50;
  hand.give(reduce);
  hand.run(3min);
  Command resume{Command::Kind::kResume, "vp", "Vera"};
  hand.obliging = false;
  hand.give(resume);
  hand.run(2min);  // until the balancer holds it nothing begins, and nothing passes
  EXPECT_FALSE(hand.has("pass"));
  EXPECT_TRUE(hand.state.phases[0].begins_anew);
  hand.obliging = true;
  hand.give(ReadBack{100});
  EXPECT_THAT(hand.last("begin").cause, HasSubstr("anew"));
  EXPECT_EQ(*hand.state.phases[0].began, hand.now);
  hand.run(9min + 50s);
  EXPECT_FALSE(hand.has("pass"));
  EXPECT_EQ(std::ranges::count(hand.decided(), "continue"), 2) << "its checkpoints come again";
  hand.run(15s);
  EXPECT_TRUE(hand.has("pass"));
}

TEST(Step, WhoeverRaisesTheShareHasDecidedOnWhatReducedIt) {
  Hand hand;
  hand.begin_canary();
  hand.run(10min + 5s);
  hand.at("2025-10-31T12:59:50Z");
  hand.give(Approve{"ramp", "vp", "Vera"});
  hand.tick();
  hand.tick();
  hand.run(1min, 5'000);
  ASSERT_TRUE(hand.has("reduce"));
  const auto& incident = hand.state.incidents.back();
  ASSERT_EQ(incident.severity, Severity::kCritical);
  EXPECT_TRUE(incident.open());
  hand.give(Command{Command::Kind::kResume, "vp", "Vera"});
  EXPECT_FALSE(hand.state.incidents.back().open());
  EXPECT_EQ(hand.state.incidents.back().resolved_by, "Vera");
}

// Goal: who was called stays bounded and true, over a hand-over too: the first call, and the last.
TEST(Step, CallsOfAnIncidentAreRemembered) {
  Hand hand;
  hand.at("2025-10-31T17:00:00Z");
  hand.give(ReportIncident{Severity::kHigh, "k", "slow", "support"});
  hand.run(3h);
  const Incident& slow = hand.state.incidents[0];
  ASSERT_EQ(slow.calls.size(), Limits{}.calls_kept);
  EXPECT_GT(slow.called_to, Limits{}.calls_kept);
  EXPECT_EQ(slow.calls.front(), (Call{slow.opened, "Olga"}));
  EXPECT_EQ(slow.calls.back().at, slow.called);
  for (std::size_t i = 2; i < slow.calls.size(); ++i) {
    EXPECT_EQ(slow.calls[i].at - slow.calls[i - 1].at, hand.plan.roster.acknowledge_within);
  }
}

TEST(Step, IncidentsAreCalledEscalatedTakenAndResolved) {
  Hand hand;
  hand.at("2025-10-31T17:00:00Z");
  const auto called = [&] {
    std::vector<std::string> out;
    for (const Effect& effect : hand.effects) {
      const auto* notify = std::get_if<Notify>(&effect.act);
      if (notify != nullptr && !notify->people.empty()) out.push_back(notify->people[0]);
    }
    return out;
  };
  hand.give(ReportIncident{Severity::kHigh, "k", "slow", "support"});
  hand.give(ReportIncident{Severity::kHigh, "k", "slow", "support"});
  ASSERT_EQ(hand.state.incidents.size(), 1u);
  EXPECT_EQ(hand.state.incidents[0].times, 2u);
  EXPECT_EQ(called(), (std::vector<std::string>{"Olga"}));
  hand.run(5min);
  EXPECT_EQ(called(), (std::vector<std::string>{"Olga", "Emil"}));
  const Incident& slow = hand.state.incidents[0];
  ASSERT_EQ(slow.calls.size(), 2u);
  EXPECT_EQ(slow.calls[0], (Call{slow.opened, "Olga"}));
  EXPECT_EQ(slow.calls[1], (Call{slow.called, "Emil"}));
  hand.give(Acknowledge{1, "Emil"});
  hand.run(20min);
  EXPECT_EQ(called().size(), 2u);
  hand.give(Acknowledge{1, "Olga"});
  EXPECT_EQ(hand.decisions.back().what, "refused");
  hand.give(Resolve{1, "Emil"});
  EXPECT_FALSE(hand.state.incidents[0].open());
  // The same key again is a new incident now.
  hand.give(ReportIncident{Severity::kLow, "k", "slow", "support"});
  EXPECT_EQ(std::ranges::count(hand.state.incidents, "k", &Incident::key), 2);
  EXPECT_EQ(called().size(), 2u);  // low: the channel only
}

std::vector<Notify> told(const Hand& hand, std::string_view title) {
  std::vector<Notify> out;
  for (const Effect& effect : hand.effects) {
    const auto* notify = std::get_if<Notify>(&effect.act);
    if (notify != nullptr && notify->title.starts_with(title)) out.push_back(*notify);
  }
  return out;
}

// A message that only says "still running" helps nobody: each carries the figures.
TEST(Step, SnapshotsBriefingsAndHandOversCarryFigures) {
  Hand hand(std::string(kSmallPlan) + "snapshot_every: 2m\nbriefing_every: 4m\n");
  hand.begin_canary();
  hand.run(5min, 20);
  const auto snapshots = told(hand, "canary at 1 %"), briefings = told(hand, "Briefing: canary");
  ASSERT_EQ(snapshots.size(), 2u);
  ASSERT_EQ(briefings.size(), 1u);
  for (const Notify& notify : {snapshots[1], briefings[0]}) {
    EXPECT_FALSE(notify.severity);
    EXPECT_THAT(notify.text,
                HasSubstr("1 % wanted on the candidate, the balancer holds 1 %; 4m of 10m"));
    EXPECT_THAT(notify.text,
                HasSubstr("candidate: 1,000 requests, 0.2% errors, 99.9% available, P99 9ms"));
    EXPECT_THAT(notify.text, HasSubstr("baseline: 99,000 requests, 0% errors, 100% available"));
    EXPECT_THAT(notify.text, HasSubstr("error_rate < 1%: pass, 0.02% of 100,000 requests"));
    EXPECT_THAT(notify.text, HasSubstr("p99 < 200ms: pass"));
  }
  hand.give(ReportIncident{Severity::kLow, "k", "odd", "support"});
  hand.at("2025-10-31T17:59:55Z");
  hand.tick();
  hand.tick();
  const auto hand_over = told(hand, "Hand-over from day to night");
  ASSERT_EQ(hand_over.size(), 1u);
  EXPECT_THAT(hand_over[0].text, HasSubstr("on call: Nils"));
  EXPECT_THAT(hand_over[0].text, HasSubstr("canary: "));
  EXPECT_THAT(hand_over[0].text, HasSubstr("open: #1 low: odd"));
}

TEST(Step, ACheckpointThatHoldsIsTold) {
  Hand hand = with_incidents();
  hand.begin_canary();
  hand.give(ReportIncident{Severity::kCritical, "b", "nobody can sign in", "support"});
  hand.give(Resolve{1, "Olga"});
  hand.run(5min + 10s);
  const auto holds = told(hand, "canary holds at checkpoint 5m");
  ASSERT_EQ(holds.size(), 1u);
  EXPECT_EQ(holds[0].severity, Severity::kLow);
  EXPECT_THAT(holds[0].text, HasSubstr("error_rate < 1%: pass"));
}

TEST(Step, IncidentsStayBounded) {
  Hand hand;
  hand.obliging = true;
  hand.at("2025-10-31T17:00:00Z");
  for (int i = 0; i < 1'200; ++i) {
    hand.give(ReportIncident{Severity::kLow, "k" + std::to_string(i), "x", "support"});
    if (i < 600) hand.give(Resolve{static_cast<std::uint64_t>(i + 1), "Olga"});
  }
  EXPECT_LE(hand.state.incidents.size(), Limits{}.incidents_max);
  EXPECT_LE(hand.state.decisions.size(), Limits{}.decisions_kept);
}

/// The small plan with a task that needs another, in a work phase that people decide.
struct Gates : testing::Test {
  Hand hand{std::string(kSmallPlan) + R"(    on_pass: watching
monitoring:
  - name: watching
    start: 2025-10-31T14:00:00Z
    length: 1h
    daily: ["14:30"]
    criteria: [error_rate < 1%, critical_incidents < 1]
    breached_for: 3m
    gates:
      - {name: confirmed, at: 2025-10-31T14:40:00Z, by: [vp], criteria: [it is as before]}
work:
  - name: load-tests
    start: 2025-10-31T10:00:00Z
    length: 1h
    tasks:
      - {name: build, start: 2025-10-31T10:00:00Z, length: 20m}
      - {name: run, start: 2025-10-31T10:20:00Z, length: 20m, needs: [build]}
    gates:
      - {name: go, at: 2025-10-31T10:45:00Z, by: [vp, product], criteria: ["5 M learners: P99 < 100 ms"]}
  - name: growth
    start: 2025-10-31T11:00:00Z
    length: 30m
    needs: [load-tests]
)"};
};

TEST_F(Gates, AreDecidedByTheirRolesOnAReportAtTheirTime) {
  hand.at("2025-10-31T10:30:00Z");
  hand.give(Approve{"go", "vp", "Vera", 1, "report 7"});
  EXPECT_THAT(hand.decisions.back().cause, HasSubstr("not before"));
  hand.at("2025-10-31T10:45:00Z");
  const What kRefused[] = {Approve{"go", "vp", "Vera", 1, ""}, Approve{"go", "vp", "Paul", 1, "r"},
                           Approve{"go", "vp", "Vera", 2, "r"},
                           Override{"go", "product", "Paul", "now"}, Withdraw{"go", "vp", "Eve"}};
  for (const What& what : kRefused) {
    hand.give(what);
    EXPECT_EQ(hand.decisions.back().what, "refused");
  }
  hand.tick();
  EXPECT_EQ(hand.state.incidents.back().key, "gate/go");
  hand.give(Approve{"go", "vp", "Vera", 1, "report 7"});
  EXPECT_FALSE(hand.has("gate"));
  hand.give(Withdraw{"go", "product", "Paul", "P99 is 120 ms"});
  EXPECT_THAT(gate_waits_for(*people_gates(hand.plan, hand.state)[1].gate, hand.state),
              HasSubstr("product (NO-GO by Paul: P99 is 120 ms)"));
  hand.give(Approve{"go", "product", "Paul", 1, "report 8"});
  ASSERT_TRUE(hand.has("gate"));
  EXPECT_THAT(hand.last("gate").cause, HasSubstr("Vera (vp) on report 7"));
  // It is said to be what it is.
  ASSERT_EQ(hand.last("gate").evidence.size(), 1u);
  EXPECT_EQ(hand.last("gate").evidence[0].verdict, stats::Verdict::kUndecided);
  EXPECT_THAT(hand.last("gate").evidence[0].text, HasSubstr("measured by nothing here"));
  EXPECT_FALSE(hand.state.incidents.back().open());
}

TEST_F(Gates, NoWorkPassesWithoutThemNorBeforeWhatItNeeds) {
  hand.at("2025-10-31T10:30:00Z");
  hand.give(WorkDone{"run", "Emil"});
  EXPECT_THAT(hand.decisions.back().cause, HasSubstr("before build, which it needs"));
  hand.give(WorkDone{"build", "Emil"});
  hand.give(WorkDone{"run", "Emil"});
  EXPECT_EQ(hand.decisions.back().what, "work_done");
  hand.give(WorkDone{"growth", "Emil"});
  EXPECT_THAT(hand.decisions.back().cause, HasSubstr("before load-tests, which it needs"));
  hand.at("2025-10-31T11:00:00Z");
  hand.tick();
  EXPECT_FALSE(hand.has("work_passed"));
  hand.give(Override{"go", "vp", "Vera", "the machine is ordered"});
  hand.tick();
  EXPECT_TRUE(hand.has("work_passed"));
  hand.give(WorkDone{"growth", "Emil"});
  EXPECT_EQ(hand.decisions.back().what, "work_done");
}

TEST_F(Gates, MonitoringWaitsForThemAndRollsBackForAnIncident) {
  hand.begin_canary();
  hand.run(10min + 10s);
  hand.at("2025-10-31T12:59:55Z");
  hand.approve("ramp");
  hand.run(10min + 20s);
  ASSERT_EQ(hand.state.phases[1].status, Status::kPassed);
  hand.at("2025-10-31T13:59:55Z");
  hand.run(10min);
  Hand stopped = hand;
  hand.run(50min + 20s);
  EXPECT_EQ(hand.state.phases[2].status, Status::kRunning);
  EXPECT_THAT(hand.last("extend").cause, HasSubstr("confirmed waits for vp"));
  hand.give(Approve{"confirmed", "vp", "Vera", 1, "a week's report"});
  hand.run(1min + 5s);
  EXPECT_EQ(hand.state.phases[2].status, Status::kPassed);
  stopped.give(ReportIncident{Severity::kCritical, "b", "nobody can sign in", "support"});
  stopped.run(3min + 5s);
  ASSERT_TRUE(stopped.has("roll_back"));
  EXPECT_THAT(stopped.last("roll_back").cause, HasSubstr("critical_incidents < 1 breached"));
}

TEST(Step, RescheduleMovesWhatFollows) {
  Hand hand;
  hand.at("2025-10-31T11:00:00Z");
  Command move;
  move.kind = Command::Kind::kReschedule;
  move.role = "vp";
  move.person = "Vera";
  move.stage = "canary";
  move.start = parse_time("2025-11-03T12:00:00Z").value();
  hand.give(move);
  EXPECT_EQ(format_time(hand.state.phases[0].start), "2025-11-03T12:00:00Z");
  EXPECT_EQ(format_time(hand.state.phases[1].start), "2025-11-03T13:00:00Z");
  move.start = parse_time("2025-10-01T12:00:00Z").value();
  hand.give(move);
  EXPECT_EQ(hand.decisions.back().what, "refused");
}

// A plan whose only stage is judged by what an experiment says.
struct Impacts : testing::Test {
  static std::string yaml() {
    std::string out(kSmallPlan);
    out.replace(out.find("[error_rate < 1%, p99 < 200ms]"), 30,
                "[error_rate < 1%, revenue > +5.8%]");
    return out + "impacts: {by: [product], valid_for: 30m}\n";
  }
  Hand hand{yaml()};
  /// What it says of now.
  SetImpact told(double estimate = 0.08) const {
    SetImpact out{plan::Measure::kRevenue, estimate, {estimate - 0.01, estimate + 0.01}, "ab-7"};
    out.as_of = hand.now;
    out.role = "product";
    out.person = "Paul";
    return out;
  }
};

TEST_F(Impacts, AGateRestsOnWhatWasToldWithItsSource) {
  hand.begin_canary();
  hand.run(8min);
  hand.give(told());
  EXPECT_THAT(hand.last("impact").cause, HasSubstr("from ab-7; told by Paul (Product lead)"));
  hand.run(2min + 5s);
  ASSERT_TRUE(hand.has("pass"));
  EXPECT_THAT(hand.last("pass").evidence[1].text, HasSubstr("+8.0% (+7.0% to +9.0%), as of "));
}

TEST_F(Impacts, WhatIsTooOldIsMissingNeverGood) {
  // Told before the phase began: of none of its time.
  hand.at("2025-10-31T11:59:00Z");
  hand.give(told());
  ASSERT_TRUE(hand.has("impact"));
  hand.begin_canary();
  hand.run(8min);
  EXPECT_EQ(hand.last("continue").evidence[1].verdict, stats::Verdict::kUndecided);
  EXPECT_THAT(hand.last("continue").evidence[1].text, HasSubstr("older than the phase"));
  // Valid for three minutes, and then no more.
  SetImpact brief = told();
  brief.valid_for = 60s;
  hand.give(brief);
  hand.run(2min + 5s);
  EXPECT_FALSE(hand.has("pass"));
  EXPECT_THAT(hand.last("extend").evidence[1].text, HasSubstr("no longer valid"));
  // Somebody tells a newer one.
  hand.give(told());
  hand.run(1min + 5s);
  EXPECT_TRUE(hand.has("pass"));
}

// The plan says how long; whoever tells it may say less, not more.
TEST_F(Impacts, NobodyMakesItValidForLongerThanThePlan) {
  hand.begin_canary();
  hand.run(1min);
  SetImpact eternal = told();
  eternal.valid_for = 24h;
  hand.give(eternal);
  EXPECT_EQ(valid_until(hand.plan, hand.state.impacts.at(plan::Measure::kRevenue).told),
            hand.now + 30min);
}

TEST_F(Impacts, ANewAttemptForgetsWhatWasToldOfTheOneBefore) {
  hand.begin_canary();
  hand.run(1min);
  hand.give(told());
  Command abort{Command::Kind::kAbort, "vp", "Vera"};
  hand.give(abort);
  hand.run(15s);
  Command start{Command::Kind::kStart, "vp", "Vera"};
  start.stage = "canary";
  hand.give(start);
  EXPECT_TRUE(hand.state.impacts.empty());
  hand.give(Approve{"canary", "product", "Paul", 2});
  hand.run(10min + 20s);
  EXPECT_FALSE(hand.has("pass"));
  EXPECT_THAT(hand.last("extend").evidence[1].text, HasSubstr("no experiment has told it yet"));
}

TEST_F(Impacts, WhoMayTellTable) {
  struct Teller {
    std::string why, says;
    std::function<void(SetImpact&)> change;
  };
  const Teller kTellers[] = {
      {"another role", "not by vp",
       [](SetImpact& i) { std::tie(i.role, i.person) = std::pair("vp", "Vera"); }},
      {"another person", "does not hold the role", [](SetImpact& i) { i.person = "Eve"; }},
      {"read by the controller, which reads none", "names no experiment",
       [](SetImpact& i) { i.role.clear(); }},
      {"no source", "name its source", [](SetImpact& i) { i.source.clear(); }},
      {"no interval", "encloses", [](SetImpact& i) { i.interval = {0.1, 0.2}; }},
      {"not a number", "encloses", [](SetImpact& i) { i.estimate = std::nan(""); }},
      {"of tomorrow", "yet to come", [](SetImpact& i) { i.as_of += 24h; }},
      {"of yesterday", "valid until", [](SetImpact& i) { i.as_of -= 24h; }},
      {"of what is counted", "an impact is of",
       [](SetImpact& i) { i.measure = plan::Measure::kErrorRate; }},
  };
  hand.at("2025-10-31T11:59:00Z");
  for (const Teller& row : kTellers) {
    SCOPED_TRACE(row.why);
    SetImpact wrong = told();
    row.change(wrong);
    hand.give(wrong);
    EXPECT_EQ(hand.decisions.back().what, "refused");
    EXPECT_THAT(hand.decisions.back().cause, HasSubstr(row.says));
    EXPECT_TRUE(hand.state.impacts.empty());
  }
  hand.give(told());
  hand.now -= 1min;
  hand.give(told());
  EXPECT_THAT(hand.decisions.back().cause, HasSubstr("newer"));
}

// Time never runs backwards in the core, whatever the inputs say.
TEST(Step, TimeIsMonotonic) {
  Hand hand;
  hand.begin_canary();
  const Time before = hand.state.now;
  hand.at("2020-01-01T00:00:00Z");
  hand.give(ReportIncident{Severity::kLow, "k", "x", "support"});
  EXPECT_EQ(hand.state.now, before);
}

}  // namespace
}  // namespace covey::rollout

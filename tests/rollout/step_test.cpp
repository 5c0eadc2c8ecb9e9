#include <algorithm>

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
  EXPECT_TRUE(hand.has("verified"));
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
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 100u);
  hand.run(1h + 5s);
  EXPECT_EQ(wanted_share(hand.plan, hand.state), 1'000u);
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

#include "control/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/random.h"
#include "control/kit.h"
#include "control/report.h"
#include "sanitized.h"

namespace covey::control {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;

/// Approves everything, and sends a slot a second until `until`.
void pass_time(Desk& desk, Time until, std::uint64_t good, std::uint64_t wrong) {
  while (desk.clock.wall() < until) {
    desk.clock.advance(1s);
    std::vector<telemetry::ClosedSlot> one;
    one.push_back(
        desk.slot(std::chrono::floor<std::chrono::seconds>(desk.clock.wall()), good, wrong));
    desk.controller->add_slots(std::move(one));
    desk.settle();
  }
}

void approve(Desk& desk) {
  desk.controller->submit(rollout::Approve{"canary", "vp", "Vera"});
  desk.controller->submit(rollout::Approve{"canary", "product", "Paul"});
  desk.controller->submit(rollout::Approve{"ramp", "vp", "Vera"});
  desk.settle();
}

Json status_of(const Desk& desk) {
  return Json::parse(desk.controller->view()->status);
}

TEST(Controller, FollowsThePlanFromTheBalancersStream) {
  Desk desk;
  approve(desk);
  pass_time(desk, kBegin + 30s, 10, 0);
  desk.settle();
  EXPECT_EQ(desk.balancer.held, 100u);
  const Json status = status_of(desk);
  EXPECT_EQ(status["situation"], "running");
  EXPECT_EQ(status["phase"], "canary");
  EXPECT_DOUBLE_EQ(status["share"]["seen"].get<double>(), 0.01);
  EXPECT_GT(status["figures"]["candidate"]["requests"].get<int>(), 0);
  EXPECT_NEAR(status["figures"]["candidate"]["per_second"].get<double>(), 10, 0.01);
  EXPECT_NEAR(status["figures"]["candidate"]["p99_s"].get<double>(), 1e-3, 1e-5);
}

// Goal: what a candidate does wrong is rolled back after the plan's time, wherever in between the
// controller was killed; figures and decisions are the same as without.
TEST(Controller, ARestartChangesNothing) {
  Desk whole, killed;
  for (Desk* desk : {&whole, &killed}) {
    approve(*desk);
    for (int i = 1; i <= 30; ++i) {
      pass_time(*desk, kBegin + i * 10s, 20, i > 3 ? 5 : 0);
      if (desk == &killed && (!kThreadsWatched || i % 5 == 0)) desk->open();
    }
  }
  const auto decisions = [](const Desk& desk) {
    std::vector<std::string> out;
    EXPECT_TRUE(desk.journal->records(0, [&](const Record& record) {
      const Json json = Json::parse(record.text);
      for (const Json& d : json.value("decisions", Json::array())) out.push_back(d.dump());
      return true;
    }));
    return out;
  };
  EXPECT_EQ(decisions(whole), decisions(killed));
  EXPECT_EQ(killed.balancer.held, 0u);
  const Json status = status_of(killed);
  EXPECT_EQ(status["situation"], "rolled back");
  EXPECT_THAT(status["roll_back"]["cause"].get<std::string>(), HasSubstr("error_rate"));
  EXPECT_FALSE(status["roll_back"]["verified"].is_null());
  EXPECT_EQ(status["figures"]["candidate"], status_of(whole)["figures"]["candidate"]);
}

TEST(Controller, AnswersOnceItIsInTheJournal) {
  Desk desk;
  std::vector<std::string> said;
  const auto note = [&](const Result<Controller::Decisions>& decided) {
    ASSERT_TRUE(decided.has_value());
    for (const auto& d : *decided) said.push_back(d.what + ": " + d.cause);
  };
  desk.controller->submit(rollout::Approve{"canary", "product", "Vera"}, note);
  desk.controller->submit(rollout::Approve{"canary", "vp", "Vera"}, note);
  desk.controller->submit(rollout::Approve{"canary", "vp", "Vera"}, note);  // replayed
  const std::uint64_t before = desk.journal->count();
  desk.settle();
  ASSERT_EQ(said.size(), 3u);
  EXPECT_THAT(said[0], HasSubstr("refused: Vera does not hold the role product"));
  EXPECT_THAT(said[1], HasSubstr("approve"));
  EXPECT_THAT(said[2], HasSubstr("refused: vp has approved canary already"));
  EXPECT_GE(desk.journal->count(), before + 3) << "refusals are in the journal too";
}

TEST(Controller, AStrangersShareIsReadBackAndReplaced) {
  Desk desk;
  desk.balancer.held = 5'000;  // somebody was at the socket
  pass_time(desk, kBegin + 3s, 10, 0);
  desk.settle();
  EXPECT_EQ(desk.balancer.held, 0u);
}

TEST(Controller, SilenceIsHeldAndRolledBack) {
  Desk desk;
  approve(desk);
  pass_time(desk, kBegin + 60s, 20, 0);
  desk.settle();
  ASSERT_EQ(desk.balancer.held, 100u);
  // Slots go on, but nothing is in them.
  const telemetry::Shape shape = desk.controller->shape();
  for (int i = 0; i < 240; ++i) {
    desk.clock.advance(1s);
    std::vector<telemetry::ClosedSlot> one;
    one.push_back({std::chrono::floor<std::chrono::seconds>(desk.clock.wall()),
                   telemetry::Sums(shape),
                   false,
                   {}});
    desk.controller->add_slots(std::move(one));
    desk.settle();
  }
  EXPECT_EQ(desk.balancer.held, 0u);
}

// Goal: reports are there when they must be, say what was measured, and show markup as text.
TEST(Controller, WritesReports) {
  Desk desk;
  approve(desk);
  pass_time(desk, kBegin + 12min, 20, 0);
  desk.controller->submit(rollout::ReportIncident{plan::Severity::kLow, "k",
                                                  "<script>alert(1)</script> | *x*", "test"});
  desk.settle();
  std::string names;
  std::string stage;
  for (const auto& file : std::filesystem::directory_iterator(desk.dir.path())) {
    const std::string name = file.path().filename();
    names += name + "\n";
    if (name.ends_with("stage-canary.md")) {
      std::ifstream in(file.path());
      stage.assign(std::istreambuf_iterator<char>(in), {});
    }
  }
  EXPECT_THAT(names, HasSubstr("checkpoint-canary"));
  EXPECT_THAT(names, HasSubstr("stage-canary.html"));
  EXPECT_THAT(stage, HasSubstr("# Completion of canary"));
  EXPECT_THAT(stage, HasSubstr("| error\\_rate \\< 1% | pass | 0% of 12,"));
  EXPECT_THAT(stage, HasSubstr("GET /v1/rollout/telemetry?from="));

  bool seen = false;
  (void)desk.controller->with_books([&](const Books& books) {
    seen = true;
    const Report report = make_report(books, {rollout::ReportKind::kIncident, "1"});
    EXPECT_THAT(to_html(report), HasSubstr("&lt;script&gt;alert(1)"));
    EXPECT_EQ(to_html(report).find("<script"), std::string::npos);
    EXPECT_THAT(to_markdown(report), HasSubstr("\\<script"));
    for (const auto kind : {rollout::ReportKind::kBriefing, rollout::ReportKind::kExecutive,
                            rollout::ReportKind::kHandOver, rollout::ReportKind::kWork}) {
      EXPECT_FALSE(to_markdown(make_report(books, {kind, "canary"})).empty());
    }
    // The query that stands beside a figure answers with the same figure.
    const auto window = figures(books, kBegin + 10s, kBegin + 70s);
    ASSERT_TRUE(window.has_value());
    EXPECT_EQ(window->baseline.requests, 60 * 20u);
  });
  desk.settle();
  EXPECT_TRUE(seen);
}

/// A log that keeps nothing but notes: what grows beside it is the controller's own.
struct Nowhere final : log::Log {
  std::map<std::string, std::string, std::less<>> notes;
  std::uint64_t sequence = 0;
  std::uint32_t partitions() const override { return 1; }
  Result<std::vector<log::Appended>> append(std::span<log::Record> group) override {
    std::vector<log::Appended> out;
    for (log::Record& record : group) {
      out.push_back({log::Position{0, sequence++}, 0});
      for (auto& [key, value] : record.puts) notes[key] = value;
      for (const std::string& key : record.erases) notes.erase(key);
    }
    return out;
  }
  Result<log::Cursor> read(const log::Cursor&, const Visitor&) const override { return end(); }
  log::Cursor end() const override { return {{sequence}}; }
  Result<std::unique_ptr<SnapshotWriter>> begin_snapshot() override {
    return fail(Errc::kFailed, "none");
  }
  Result<Snapshot> open_snapshot() const override { return fail(Errc::kNotFound, "none"); }
  Result<std::optional<std::string>> get(std::string_view key) const override {
    const auto at = notes.find(key);
    if (at == notes.end()) return std::nullopt;
    return at->second;
  }
  Result<void> scan(
      std::string_view prefix, std::string_view,
      const std::function<bool(std::string_view, std::string_view)>& see) const override {
    for (auto at = notes.lower_bound(prefix); at != notes.end(); ++at) {
      if (!at->first.starts_with(prefix) || !see(at->first, at->second)) break;
    }
    return {};
  }
  log::Sizes sizes() const override { return {}; }
};

// Goal: 36 hours of slots of five seconds, as a rollout has them, grow the controller by what its
// coarsest grain explains and no more. Method: minutes are kept for two days, so what is measured
// begins when the first of them have become hours.
TEST(Controller, MemoryIsFlatOverThirtySixHours) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's allocator does not say what is in use";
  Nowhere log;
  ManualClock clock(kBegin);
  plan::Plan plan = small_plan();
  plan.slot = 5s;
  plan.window = 60s;
  const testing::TempDir dir;
  FakeBalancer balancer;
  FakeChannels channels;
  NoChecks checks;
  const auto journal =
      Journal::open(log, rollout::kSmallPlan, rollout::telemetry_shape(plan), clock).value();
  Controller controller(plan, {.reports = dir.path(), .decisions_max = 100}, *journal, balancer,
                        channels, checks, clock);
  ASSERT_TRUE(controller.recover());
  controller.submit(rollout::Approve{"canary", "vp", "Vera"});
  controller.submit(rollout::Approve{"canary", "product", "Paul"});
  Random random(36);
  const telemetry::Shape shape = controller.shape();
  // As many requests a minute whatever the step, so that a minute's histogram is as wide.
  const auto pass = [&](telemetry::Duration span, telemetry::Duration step) {
    const auto requests = static_cast<std::uint64_t>(20 * (step / 5s));
    for (const Time until = clock.wall() + span; clock.wall() < until;) {
      clock.advance(step);
      telemetry::ClosedSlot slot{clock.wall(), telemetry::Sums(shape), true, {}};
      for (const auto arm : {telemetry::Arm::kBaseline, telemetry::Arm::kCandidate}) {
        for (std::uint64_t i = 0; i < requests; ++i) {
          const telemetry::Duration took(1'000 + random.below(200'000));
          slot.sums.add(arm, i % 2, true, true, took, shape.slower_than);
          slot.latencies[static_cast<std::size_t>(arm)].add(took);
        }
      }
      std::vector<telemetry::ClosedSlot> one;
      one.push_back(std::move(slot));
      controller.add_slots(std::move(one));
      ASSERT_TRUE(controller.settle());
      // Every channel takes what it is given; what none takes is kept, which is not this test's.
      for (const Note& note : channels.notes) controller.gone(note.channel, note.effect);
      channels.notes.clear();
      ASSERT_TRUE(controller.settle());
    }
  };
  // Until minutes are kept for as long as they ever are, each of slots as they come later.
  pass(50h, 5s);
  const std::size_t before = ::mallinfo2().uordblks;
  pass(36h, 5s);
  const std::size_t after = ::mallinfo2().uordblks;
  std::printf("controller: %.2f MB, %+.2f MB after 36 h\n", static_cast<double>(before) * 1e-6,
              (static_cast<double>(after) - static_cast<double>(before)) * 1e-6);
  // 36 hours at two arms of at most 7 kB and one boundary, and as much again for what is between.
  EXPECT_LT(after, before + (std::size_t{1} << 20));
}

// Goal: what could not be written down is answered as such and done by nobody; whoever waits behind
// it is told too, and after a restart everything is as before.
TEST(Controller, AFullDiskEndsItWithAnswers) {
  Desk desk;
  desk.controller.reset();
  struct Full final : log::Log {
    explicit Full(log::Log& to) : inner(to) {}
    log::Log& inner;
    bool full = false;
    std::uint32_t partitions() const override { return inner.partitions(); }
    Result<std::vector<log::Appended>> append(std::span<log::Record> group) override {
      if (full) return fail(Errc::kFull, "no space left");
      return inner.append(group);
    }
    Result<log::Cursor> read(const log::Cursor& from, const Visitor& visit) const override {
      return inner.read(from, visit);
    }
    log::Cursor end() const override { return inner.end(); }
    Result<std::unique_ptr<SnapshotWriter>> begin_snapshot() override {
      return inner.begin_snapshot();
    }
    Result<Snapshot> open_snapshot() const override { return inner.open_snapshot(); }
    Result<std::optional<std::string>> get(std::string_view key) const override {
      return inner.get(key);
    }
    Result<void> scan(
        std::string_view prefix, std::string_view after,
        const std::function<bool(std::string_view, std::string_view)>& see) const override {
      return inner.scan(prefix, after, see);
    }
    log::Sizes sizes() const override { return inner.sizes(); }
  } disk(*desk.log);
  auto journal =
      Journal::open(disk, desk.plan_text, rollout::telemetry_shape(desk.plan), desk.clock).value();
  Controller controller(desk.plan, {.reports = desk.dir.path()}, *journal, desk.balancer,
                        desk.channels, desk.checks, desk.clock);
  ASSERT_TRUE(controller.recover());
  disk.full = true;
  int refused = 0;
  bool read = false;
  const auto answer = [&](const Result<Controller::Decisions>& done) { refused += !done; };
  controller.submit(
      rollout::Command{.kind = rollout::Command::Kind::kAbort, .role = "vp", .person = "Vera"},
      answer);
  controller.submit(rollout::Approve{"canary", "vp", "Vera"}, answer);
  EXPECT_TRUE(controller.with_books([&](const Books&) { read = true; }));
  const auto ended = controller.run();
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().code, Errc::kFull);
  EXPECT_EQ(refused, 2);
  EXPECT_TRUE(read);
  EXPECT_FALSE(controller.with_books([](const Books&) {}));
  controller.submit(rollout::Approve{"canary", "vp", "Vera"}, answer);
  EXPECT_EQ(refused, 3);
  EXPECT_TRUE(desk.balancer.told.empty()) << "done without being in the journal";
  disk.full = false;
  desk.journal.reset();
  desk.open();
  EXPECT_EQ(status_of(desk)["situation"], "waiting");
}

/// What waits in a queue, as channel, effect and title.
std::vector<std::string> posted(const Desk& desk) {
  std::vector<std::string> out;
  for (const Note& note : desk.channels.notes) {
    out.push_back(fmt::format("{} {} {} {}", note.channel, note.effect, format_time(note.at),
                              note.what.title));
  }
  return out;
}

// Goal: a message that no channel took yet is there again after a crash, the same to the letter;
// one that was taken is not.
TEST(Controller, AMessageOutlivesACrashUntilItIsTaken) {
  Desk desk;
  desk.controller->submit(
      rollout::ReportIncident{plan::Severity::kHigh, "k", "the cache burns", "Olga"});
  desk.settle();
  const auto before = posted(desk);
  const std::vector<Note> notes = desk.channels.notes;
  ASSERT_EQ(notes.size(), 2u);  // one for each channel
  EXPECT_THAT(before, Contains(HasSubstr("the cache burns")));

  desk.channels.notes.clear();
  desk.clock.advance(5min);
  desk.open();
  EXPECT_EQ(posted(desk), before);
  EXPECT_EQ(desk.channels.notes[0].what.severity, plan::Severity::kHigh);
  EXPECT_EQ(desk.channels.notes[0].what.people, notes[0].what.people);
  EXPECT_EQ(desk.channels.notes[0].what.text, notes[0].what.text);
  EXPECT_EQ(desk.channels.notes[0].what.incident, 1u);

  desk.controller->gone("hook", notes[0].effect);
  desk.settle();
  desk.channels.notes.clear();
  desk.open();
  EXPECT_EQ(posted(desk), std::vector{before[1]}) << "the pager's still waits, the hook's does not";
  desk.controller->gone("pager", notes[0].effect);
  desk.settle();
  desk.channels.notes.clear();
  desk.open();
  EXPECT_TRUE(posted(desk).empty());
}

/// Sends one slot a minute until `until`.
void pass_minutes(Desk& desk, Time until) {
  while (desk.clock.wall() < until) {
    desk.clock.advance(1min);
    std::vector<telemetry::ClosedSlot> one;
    one.push_back(desk.slot(std::chrono::floor<std::chrono::seconds>(desk.clock.wall()), 1, 0));
    desk.controller->add_slots(std::move(one));
    desk.settle();
  }
}

// Goal: an alert of an incident that stays open, acknowledged or not, does not end by itself.
TEST(Controller, AlertsOfOpenIncidentsAreRenewed) {
  Desk desk;
  desk.controller->submit(rollout::ReportIncident{plan::Severity::kLow, "k", "slow disk", "Olga"});
  desk.controller->submit(rollout::ReportIncident{plan::Severity::kLow, "l", "gone soon", "Olga"});
  desk.controller->submit(rollout::Acknowledge{1, "Olga"});
  desk.controller->submit(rollout::Resolve{2, "Olga"});
  desk.settle();
  const auto of_slow_disk = [&] {
    return std::ranges::count(desk.channels.renewed, "slow disk", &rollout::Notify::title);
  };
  pass_minutes(desk, kBegin + 59min);
  EXPECT_EQ(of_slow_disk(), 0);
  pass_minutes(desk, kBegin + 181min);
  EXPECT_EQ(of_slow_disk(), 3);
  EXPECT_EQ(std::ranges::count(desk.channels.renewed, "gone soon", &rollout::Notify::title), 0);
  const auto& renewed =
      *std::ranges::find(desk.channels.renewed, "slow disk", &rollout::Notify::title);
  EXPECT_EQ(renewed.severity, plan::Severity::kLow);
  EXPECT_EQ(renewed.incident, 1u);
  // Whoever starts anew does not know what the others still have.
  desk.channels.renewed.clear();
  desk.open();
  pass_minutes(desk, desk.clock.wall() + 1min);
  EXPECT_EQ(of_slow_disk(), 1);
  desk.controller->submit(rollout::Resolve{1, "Olga"});
  desk.settle();
  pass_minutes(desk, desk.clock.wall() + 2h);
  EXPECT_EQ(of_slow_disk(), 1);
}

// Goal: what an experiment says is an input like any other: chained, by whom, there after a
// restart.
TEST(Controller, AnImpactIsInTheJournalAndSurvivesARestart) {
  Desk desk;
  rollout::SetImpact told{plan::Measure::kRevenue, 0.06, {0.05, 0.07}, "ab-revenue", kBegin};
  told.role = "vp";
  told.person = "Vera";
  std::string decided;
  desk.controller->submit(told, [&](const Result<Controller::Decisions>& done) {
    ASSERT_TRUE(done.has_value());
    decided = done->at(0).what + ": " + done->at(0).cause;
  });
  desk.settle();
  EXPECT_THAT(decided, HasSubstr("impact: revenue +6.0% (+5.0% to +7.0%)"));
  std::string journal;
  EXPECT_TRUE(desk.journal->records(0, [&](const Record& record) {
    journal += record.text;
    return true;
  }));
  EXPECT_THAT(journal, HasSubstr("\"kind\":\"impact\""));
  EXPECT_THAT(journal, HasSubstr("ab-revenue"));
  const Json before = status_of(desk)["impacts"];
  ASSERT_EQ(before.size(), 1u);
  EXPECT_EQ(before[0]["person"], "Vera");
  EXPECT_EQ(before[0]["valid_until"], "2025-11-01T11:59:50Z");
  EXPECT_TRUE(desk.controller->with_books([](const Books& books) {
    const std::string summary =
        to_markdown(make_report(books, {rollout::ReportKind::kExecutive, ""}));
    EXPECT_THAT(summary,
                HasSubstr("| revenue | +6.0% (+5.0% to +7.0%) | ab-revenue, told by Vera"));
  }));
  desk.settle();
  desk.open();
  EXPECT_EQ(status_of(desk)["impacts"], before);
}

}  // namespace
}  // namespace covey::control

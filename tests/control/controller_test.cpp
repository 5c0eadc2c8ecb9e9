#include "control/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "control/kit.h"
#include "control/report.h"

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
      if (desk == &killed) desk->open();
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
  desk.controller->with_books([&](const Books& books) {
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

// Goal: 36 hours of slots do not grow the controller beyond what its kept grains explain.
TEST(Controller, MemoryIsFlatOverThirtySixHours) {
  Desk desk;
  desk.plan.slot = 30s;
  desk.plan.window = 60s;
  desk.plan_text += "# slots of half a minute\n";
  std::filesystem::remove_all(desk.dir / "log");
  desk.controller.reset();
  desk.journal.reset();
  desk.log.reset();
  desk.open();
  approve(desk);
  Random random(36);
  std::size_t after_one_hour = 0;
  for (int i = 1; i <= 36 * 120; ++i) {
    desk.clock.advance(30s);
    telemetry::ClosedSlot slot = desk.slot(desk.clock.wall(), 20, 0);
    for (auto& h : slot.latencies) {
      for (int n = 0; n < 50; ++n) h.add(std::chrono::microseconds(random.below(200'000)));
    }
    std::vector<telemetry::ClosedSlot> one;
    one.push_back(std::move(slot));
    desk.controller->add_slots(std::move(one));
    desk.settle();
    if (i == 120) after_one_hour = ::mallinfo2().uordblks;
  }
  const std::size_t after_all = ::mallinfo2().uordblks;
  EXPECT_LT(after_all, after_one_hour + (std::size_t{48} << 20))
      << after_one_hour << " bytes after an hour";
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

TEST(Controller, AnImpactSurvivesARestart) {
  Desk desk;
  bool durable = false;
  desk.controller->set_impact(plan::Measure::kRevenue, {0.06, {0.05, 0.07}}, "Fay",
                              [&](const Result<void>& done) { durable = done.has_value(); });
  desk.settle();
  EXPECT_TRUE(durable);
  desk.open();
  EXPECT_EQ(desk.journal->get("impact/revenue").value().value(),
            R"({"estimate":0.06,"low":0.05,"high":0.07,"by":"Fay","at":"2025-10-31T11:59:50Z"})");
}

}  // namespace
}  // namespace covey::control

#include "scale/criteria.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "load/plots.h"
#include "scale/report.h"

namespace covey::scale {
namespace {

using namespace std::chrono_literals;
using load::Kind;
using load::Outcome;

void answered(load::Tally& t, std::uint32_t ok, telemetry::Duration latency) {
  t.due += ok;
  t.sent += ok;
  t.outcomes[static_cast<std::size_t>(Outcome::kOk)] += ok;
  t.latency.add(latency, ok);
  t.service.add(latency, ok);
  for (int s = 0; s < 8; ++s) {
    t.series.sent(std::chrono::seconds(s));
    t.series.answered(std::chrono::seconds(s), Outcome::kOk, latency);
  }
}

load::Settings mixed() {
  load::Settings s;
  s.lane(Kind::kLookUp) = {.per_second = 100, .connections = 32};
  s.lane(Kind::kIngest) = {.per_second = 10, .connections = 8};
  s.lane(Kind::kDiscover) = {.one_after_another = true, .connections = 1};
  return s;
}

/// A size that keeps to everything.
SizeResult good(std::uint64_t learners) {
  SizeResult s;
  s.learners = learners;
  const auto n = static_cast<double>(learners);
  s.events_per_learner = 10;
  s.ceiling_bytes = 512 * learners;
  s.events = learners * 10;
  s.import_s = n / 1e5;
  s.import_cpu_s = n / 1e5;
  s.first_ready_s = 1;
  s.discovery_s = {0.5, 0.4, 0.6};
  s.discovery_cpu_s = n / 1e6;
  s.resident = 300 * learners;
  s.peak_resident = 400 * learners;
  Serving serving;
  serving.settings = mixed();
  serving.totals.took = 20s;
  answered(serving.totals.kinds[0], 50'000, 5ms);
  answered(serving.totals.kinds[1], 1'000, 20ms);
  answered(serving.totals.kinds[3], 20, 1s);
  serving.samples = {{0.5, 1.1, 300 * learners}, {1, 1.2, 310 * learners}};
  s.serving = serving;
  Recovery r;
  r.ledger.acknowledged(1'000, Receipt{0, 1'000, 0});
  r.learners_checked = 200;
  r.ready_s = 3;
  s.recovery = r;
  Overload o;
  o.settings = mixed();
  o.settings.lane(Kind::kDiscover) = {};
  o.sustained_per_s = 1e5;
  o.asked_per_s = 2e5;
  o.totals.took = 10s;
  answered(o.totals.kinds[0], 50'000, 20ms);
  answered(o.totals.kinds[1], 1'000, 300ms);
  load::Tally& ingest = o.totals.kinds[1];
  ingest.outcomes[static_cast<std::size_t>(Outcome::kTooMany)] = 900;
  ingest.turned_away.add(50ms, 900);
  o.ledger.acknowledged(1'000, Receipt{0, 1'000, 0});
  o.after_settings = mixed();
  o.after = serving.totals;
  o.back_after_s = 2;
  s.overload = o;
  return s;
}

Measured both() {
  Measured m;
  m.sizes = {good(1'000'000), good(5'000'000)};
  return m;
}

const Criterion& find(const std::vector<Criterion>& all, std::string_view id,
                      std::uint64_t learners = 5'000'000) {
  const auto at = std::ranges::find_if(all, [&](const Criterion& c) {
    return c.id == id && c.learners.value_or(learners) == learners;
  });
  if (at == all.end()) std::abort();
  return *at;
}

State state_of(const Measured& m, std::string_view id) {
  return find(judge(m), id).state;
}

TEST(Criteria, GoalsAreThoseOfTheRequirements) {
  EXPECT_EQ(goal_for(50'000).p99, 50ms);
  EXPECT_EQ(goal_for(500'000).p99, 50ms);
  EXPECT_FALSE(goal_for(500'000).learners_per_minute);
  EXPECT_EQ(goal_for(1'000'000).learners_per_minute, 3.12e6);
  EXPECT_EQ(goal_for(2'500'000).p99, 200ms);
  EXPECT_DOUBLE_EQ(goal_for(2'500'000).error_rate, 0.0015);
  EXPECT_EQ(goal_for(5'000'000).learners_per_minute, 15.6e6);
  EXPECT_EQ(goal_for(9'000'000).p99, 100ms);
}

TEST(Criteria, AllHeldPasses) {
  const auto all = judge(both());
  EXPECT_TRUE(passed(all));
  for (const Criterion& c : all) {
    EXPECT_TRUE(c.state == State::kHeld || c.state == State::kOutOfReach) << c.id << c.measured;
    EXPECT_FALSE(c.how.empty()) << c.id << " says how it was measured";
    EXPECT_FALSE(c.limit.empty()) << c.id;
  }
  EXPECT_FALSE(passed({}));
}

// Goal: each criterion, when its figure goes bad, is missed, and fails the test.
TEST(Criteria, EachBadFigureIsMissed) {
  struct Row {
    const char* id;
    void (*spoil)(SizeResult&);
  };
  const Row kSpoilt[] = {
      {"errors",
       [](SizeResult& s) {
         s.serving->totals.kinds[0].outcomes[static_cast<std::size_t>(Outcome::kServerError)] = 60;
       }},
      {"errors",
       [](SizeResult& s) {
         s.serving->totals.kinds[1].outcomes[static_cast<std::size_t>(Outcome::kTooMany)] = 60;
       }},
      {"lookup_p99", [](SizeResult& s) { s.serving->totals.kinds[0].latency.add(120ms, 1'000); }},
      {"throughput", [](SizeResult& s) { s.serving->totals.kinds[3].latency.add(30s, 100); }},
      {"kept", [](SizeResult& s) { s.recovery->ledger.acknowledged(1, Receipt{1, 0, 0}); }},
      {"counted", [](SizeResult& s) { s.recovery->learners_off = 1; }},
      {"ready", [](SizeResult& s) { s.recovery->ready_s = 31; }},
      {"turned_away", [](SizeResult& s) { s.overload->totals.kinds[1].turned_away.add(2s, 100); }},
      {"turned_away",
       [](SizeResult& s) {
         s.overload->totals.kinds[1].outcomes[static_cast<std::size_t>(Outcome::kTimedOut)] = 1;
       }},
      {"overload_p99", [](SizeResult& s) { s.overload->totals.kinds[0].latency.add(1s, 1'000); }},
      {"overload_kept",
       [](SizeResult& s) { s.overload->ledger.acknowledged(9, Receipt{1, 8, 0}); }},
      {"back", [](SizeResult& s) { s.overload->back_after_s = 5; }},
      {"back", [](SizeResult& s) { s.overload->back_after_s.reset(); }},
      {"memory", [](SizeResult& s) { s.peak_resident = s.ceiling_bytes + 1; }},
      {"linear_memory", [](SizeResult& s) { *s.resident *= 2; }},
      {"linear_cpu_load", [](SizeResult& s) { s.import_cpu_s *= 2; }},
      {"linear_cpu_discovery", [](SizeResult& s) { *s.discovery_cpu_s *= 2; }},
  };
  for (const Row& row : kSpoilt) {
    SCOPED_TRACE(row.id);
    Measured m = both();
    row.spoil(m.sizes.back());
    EXPECT_EQ(state_of(m, row.id), State::kMissed);
    EXPECT_FALSE(passed(judge(m)));
  }
}

// Goal: what was not measured is never a pass.
TEST(Criteria, WhatWasNotMeasuredIsNoPass) {
  struct Row {
    const char* id;
    void (*spoil)(SizeResult&);
  };
  const Row kLacking[] = {
      {"loaded", [](SizeResult& s) { s.events.reset(); }},
      {"errors", [](SizeResult& s) { s.serving.reset(); }},
      {"lookup_p99", [](SizeResult& s) { s.serving.reset(); }},
      {"errors",
       [](SizeResult& s) {
         for (auto& kind : s.serving->totals.kinds) kind = {};
         answered(s.serving->totals.kinds[0], 500, 1ms);
       }},
      {"throughput", [](SizeResult& s) { s.serving->totals.kinds[3] = {}; }},
      // The generator itself was late: a P99 beyond the limit says nothing of the server.
      {"lookup_p99",
       [](SizeResult& s) {
         s.serving->totals.kinds[0].latency.add(500ms, 5'000);
         s.serving->totals.kinds[0].lag.add(400ms, 5'000);
       }},
      {"kept", [](SizeResult& s) { s.recovery.reset(); }},
      {"kept", [](SizeResult& s) { s.recovery->ledger = {}; }},
      {"kept", [](SizeResult& s) { s.recovery->ledger.acknowledged(1, std::nullopt); }},
      {"counted", [](SizeResult& s) { s.recovery->learners_checked = 0; }},
      {"ready", [](SizeResult& s) { s.recovery.reset(); }},
      {"turned_away", [](SizeResult& s) { s.overload.reset(); }},
      // It took all of twice its rate: then that was no overload.
      {"turned_away",
       [](SizeResult& s) {
         s.overload->totals.kinds[1] = {};
         answered(s.overload->totals.kinds[1], 2'000, 5ms);
       }},
      {"overload_kept", [](SizeResult& s) { s.overload->ledger = {}; }},
      {"memory", [](SizeResult& s) { s.peak_resident.reset(); }},
      {"linear_memory", [](SizeResult& s) { s.resident.reset(); }},
  };
  for (const Row& row : kLacking) {
    SCOPED_TRACE(row.id);
    Measured m = both();
    m.sizes.back().failures = {"it went wrong"};
    row.spoil(m.sizes.back());
    EXPECT_EQ(state_of(m, row.id), State::kNotMeasured);
    EXPECT_FALSE(passed(judge(m)));
  }
}

TEST(Criteria, WhatOneMachineCannotShowIsSaidAndNoPass) {
  const auto all = judge(both());
  EXPECT_EQ(find(all, "geography").state, State::kOutOfReach);
  EXPECT_NE(find(all, "geography").how.find("one machine"), std::string::npos);
  const auto json = to_json(both(), all);
  EXPECT_EQ(json["out_of_reach"], 4);
  EXPECT_EQ(json["held"].get<std::size_t>() + 4, all.size());
}

TEST(Growth, IsTheSlopeOfTheLogarithms) {
  EXPECT_NEAR(*growth({1, 10, 100}, {3, 30, 300}), 1, 1e-12);
  EXPECT_NEAR(*growth({1, 2, 4}, {1, 4, 16}), 2, 1e-12);
  EXPECT_FALSE(growth({1}, {1}));
  EXPECT_FALSE(growth({2, 2}, {1, 3}));
  EXPECT_FALSE(growth({1, 2}, {0, 3}));
  EXPECT_FALSE(growth({1, 2}, {1}));
}

TEST(BackAfter, IsWhenAllIsWellToTheEnd) {
  const auto after = [](std::vector<int> bad_seconds, int seconds) {
    load::Totals totals;
    load::Tally& t = totals.kinds[0];
    for (int s = 0; s < seconds; ++s) {
      const bool bad = std::ranges::find(bad_seconds, s) != bad_seconds.end();
      t.outcomes[static_cast<std::size_t>(Outcome::kOk)] += 10;
      for (int i = 0; i < 10; ++i) {
        t.series.answered(std::chrono::seconds(s), Outcome::kOk, bad ? 2s : 1ms);
      }
    }
    return back_after(totals, 50ms);
  };
  EXPECT_EQ(after({}, 8), 0);
  EXPECT_EQ(after({0, 1}, 8), 2);
  EXPECT_EQ(after({0, 4}, 8), 5);
  EXPECT_EQ(after({7}, 8), std::nullopt);
  EXPECT_EQ(after({}, 0), std::nullopt);
  load::Totals failing;
  failing.kinds[1].outcomes[static_cast<std::size_t>(Outcome::kTooMany)] = 1;
  failing.kinds[1].series.answered(2s, Outcome::kTooMany, 1ms);
  failing.kinds[0].outcomes[0] = 1;
  failing.kinds[0].series.answered(5s, Outcome::kOk, 1ms);
  EXPECT_EQ(back_after(failing, 50ms), 3);
}

TEST(ScaleReport, PagesSayEveryCriterionAndLoadNothing) {
  Measured m = both();
  m.machine.cpu = "a <b> & c | d";
  m.sizes.back().serving.reset();
  m.sizes.back().failures = {"serving: <script>"};
  const auto criteria = judge(m);
  const auto drawn = plots(m);
  EXPECT_GE(drawn.size(), 4u);
  std::vector<std::string> files;
  for (std::size_t i = 0; i < drawn.size(); ++i) files.push_back("p" + std::to_string(i) + ".svg");
  const std::string html = to_html(m, criteria), text = to_markdown(m, criteria, files);
  for (const Criterion& c : criteria) {
    EXPECT_NE(text.find(c.what), std::string::npos) << c.what;
  }
  EXPECT_EQ(html.find("<script>"), std::string::npos);
  EXPECT_EQ(html.find("a <b>"), std::string::npos);
  EXPECT_EQ(html.find("src="), std::string::npos);
  EXPECT_NE(html.find("NOT passed"), std::string::npos);
  EXPECT_NE(text.find("**not measured**"), std::string::npos);
  EXPECT_NE(text.find("(p0.svg)"), std::string::npos);
  const std::string alone = load::standalone(drawn.front().second);
  EXPECT_TRUE(alone.starts_with("<svg xmlns="));
  EXPECT_NE(alone.find("<style>"), std::string::npos);
}

}  // namespace
}  // namespace covey::scale

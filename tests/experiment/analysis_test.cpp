// Goal: the figures of an analysis are those of the plain definition, whatever the order of events,
// the cut into batches or the threads; and no verdict says more than the figures.
// Method: small worlds of random events, summed up by a twin that reads the definition aloud.
#include "experiment/analysis.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "experiment/report.h"
#include "experiment/svg.h"
#include "stats/sample.h"

namespace covey::experiment {
namespace {

using events::Batch;
using events::Event;
using events::EventType;
using std::chrono::hours;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kFile = R"(experiment: twin
start: 2025-01-10T00:00:00Z
end: 2025-02-10T00:00:00Z
exposure: {event: session}
window: 7d
pre_period: 7d
exclude: {staff: [yes, maybe]}
metrics:
  revenue: {kind: mean, event: purchase, of: amount, currency: EUR, role: primary, winsorize: 100%}
  buyers: {kind: proportion, event: purchase}
  visits: {kind: mean, event: any, winsorize: 90%}
  order:
    kind: ratio
    numerator: {event: purchase, of: amount, currency: EUR}
    denominator: {event: purchase}
  return: {kind: retention, event: session, from: 2d, to: 4d, role: guardrail, margin: 10%}
segments: [region]
)";

/// Threads that take tasks in no order.
class Threads final : public Parallel {
 public:
  unsigned width() const override { return 3; }
  void run(std::size_t count, const std::function<void(std::size_t)>& task) override {
    std::atomic<std::size_t> next{0};
    std::vector<std::jthread> all;
    for (int t = 0; t < 3; ++t) {
      all.emplace_back([&] {
        for (std::size_t i = next++; i < count; i = next++) task(count - 1 - i);
      });
    }
  }
};

/// An event that owns its words.
struct Owned {
  std::string id, learner, currency;
  Time time;
  EventType type;
  double amount = 0;
  std::vector<std::pair<std::string, std::string>> attributes;
};

Batch batch_of(std::span<const Owned> all) {
  Batch batch;
  for (const Owned& o : all) {
    Event event;
    event.id = o.id;
    event.learner = o.learner;
    event.time = o.time;
    event.type = o.type;
    std::vector<events::Attribute> attributes;
    switch (o.type) {
      case EventType::kPurchase:
        event.amount = o.amount;
        event.currency = o.currency;
        break;
      case EventType::kProfile:
        for (const auto& [key, value] : o.attributes) attributes.emplace_back(key, value);
        event.attributes = attributes;
        break;
      case EventType::kPractice:
        event.capability = "c";
        event.domain = "d";
        break;
      case EventType::kFeedback:
        event.acted_on = true;
        break;
      default:
        break;
    }
    batch.add(event);
  }
  return batch;
}

std::vector<Owned> world(std::uint64_t seed, int learners) {
  Random random(seed);
  std::vector<Owned> out;
  const Time from = parse_time("2024-12-25T00:00:00Z").value();
  for (int l = 0; l < learners; ++l) {
    const std::string name = fmt::format("learner-{}", l);
    const auto count = random.below(25);
    for (std::uint64_t i = 0; i < count; ++i) {
      Owned o;
      o.id = fmt::format("{}-{}", name, i);
      o.learner = name;
      o.time = from + hours(random.below(24 * 55));
      switch (random.below(5)) {
        case 0:
          o.type = EventType::kProfile;
          o.attributes = {{random.chance(.8) ? "region" : "staff", random.chance(.5)   ? "north"
                                                                   : random.chance(.5) ? "yes"
                                                                                       : "south"}};
          break;
        case 1:
        case 2:
          o.type = EventType::kPurchase;
          o.amount = std::round(random.exponential() * 1000) / 100;
          o.currency = random.chance(.9) ? "EUR" : "USD";
          break;
        case 3:
          o.type = EventType::kSession;
          break;
        default:
          o.type = EventType::kPractice;
          break;
      }
      out.push_back(std::move(o));
    }
  }
  return out;
}

Analysis analyzed(const Experiment& e, std::vector<Owned> all, std::uint64_t seed,
                  Parallel& parallel, std::optional<Time> as_of = {}) {
  Random random(seed);
  for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[random.below(i)]);
  std::deque<Batch> batches;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t size = std::min<std::size_t>(1 + random.below(400), all.size() - begin);
    batches.push_back(batch_of(std::span(all).subspan(begin, size)));
    begin += size;
  }
  Collection collection(e, as_of);
  for (const bool first : {true, false}) {
    for (std::size_t begin = 0; begin < batches.size();) {
      std::vector<const Batch*> group;
      const std::size_t size = 1 + random.below(5);
      for (; group.size() < size && begin < batches.size(); ++begin)
        group.push_back(&batches[begin]);
      first ? collection.find_exposures(group, parallel) : collection.add_values(group, parallel);
    }
  }
  collection.finish(parallel);
  return analyze(e, collection, parallel).value();
}

/// One learner's figures, read off the definition.
struct Plain {
  Arm arm;
  bool exposed = false, staff = false, ripe = false;
  std::string region = "unknown";
  double revenue = 0, revenue_before = 0, purchases = 0, visits = 0, visits_before = 0;
  bool returned = false;
};

std::map<std::string, Plain> plain(const Experiment& e, const std::vector<Owned>& all, Time as_of) {
  std::map<std::string, std::vector<Owned>> by_learner;
  for (const Owned& o : all) {
    if (o.time <= as_of && o.time < *e.end) by_learner[o.learner].push_back(o);
  }
  std::map<std::string, Plain> out;
  const auto week = std::chrono::days(7);
  for (auto& [name, own] : by_learner) {
    Plain p;
    p.arm = e.assignment.arm(name);
    std::ranges::stable_sort(own, {}, &Owned::time);
    std::optional<Time> exposed;
    for (const Owned& o : own) {
      if (o.type == EventType::kSession && o.time >= e.start && !exposed) exposed = o.time;
    }
    if (!exposed || p.arm == Arm::kNone) continue;
    p.ripe = *exposed + std::chrono::days(4) <= std::min(as_of, *e.end);
    // Of two told at one instant the one told first in the log's numbering may differ; the worlds
    // here have none that matter: the twin takes any, and such learners are skipped.
    for (const Owned& o : own) {
      if (o.type == EventType::kProfile) {
        for (const auto& [key, value] : o.attributes) {
          if (o.time > *exposed) continue;
          if (key == "region") p.region = value;
          if (key == "staff") p.staff = value == "yes" || value == "maybe";
        }
        continue;
      }
      const bool during = o.time >= *exposed && o.time < *exposed + week;
      const bool before = o.time < *exposed && o.time >= *exposed - week;
      (during ? p.visits : before ? p.visits_before : *std::make_unique<double>()) += 1;
      if (o.type == EventType::kPurchase) {
        if (o.currency == "EUR") {
          (during   ? p.revenue
           : before ? p.revenue_before
                    : *std::make_unique<double>()) += o.amount;
        }
        p.purchases += during;
      }
      if (o.type == EventType::kSession && o.time >= *exposed + std::chrono::days(2) &&
          o.time < *exposed + std::chrono::days(4)) {
        p.returned = true;
      }
    }
    p.exposed = true;
    out[name] = p;
  }
  return out;
}

TEST(Analysis, AgreesWithThePlainDefinition) {
  const Experiment e = parse_experiment("e.yaml", kFile).value();
  Serial serial;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    auto all = world(seed, 400);
    // Two profiles of a learner at one instant have no order.
    std::map<std::pair<std::string, Time>, int> at;
    std::erase_if(all, [&](const Owned& o) {
      return o.type == EventType::kProfile && at[{o.learner, o.time}]++ > 0;
    });
    const Time as_of = seed % 2 == 0 ? parse_time("2025-01-25T06:00:00Z").value()
                                     : parse_time("2025-03-01T00:00:00Z").value();
    const Analysis got = analyzed(e, all, seed, serial, as_of);
    const auto twin = plain(e, all, as_of);

    std::array<stats::Moments, 2> revenue, returned, north;
    std::array<double, 2> buyers{}, n{}, purchases{}, euros{};
    std::vector<double> visits;
    std::uint64_t excluded = 0;
    for (const auto& [name, p] : twin) {
      if (p.staff) {
        ++excluded;
        continue;
      }
      const auto arm = static_cast<std::size_t>(p.arm);
      n[arm] += 1;
      revenue[arm].add(p.revenue);
      buyers[arm] += p.purchases > 0;
      purchases[arm] += p.purchases;
      euros[arm] += p.revenue;
      visits.push_back(p.visits);
      if (p.ripe) returned[arm].add(p.returned);
      if (p.region == "north") north[arm].add(p.revenue);
    }
    const auto& control = got.metrics[0].control;
    const auto& treatment = got.metrics[0].treatment;
    EXPECT_EQ(got.excluded, excluded);
    EXPECT_GT(excluded, 0u);
    EXPECT_EQ(control.n, n[0]);
    EXPECT_EQ(treatment.n, n[1]);
    EXPECT_NEAR(control.mean, revenue[0].mean(), 1e-9);
    EXPECT_NEAR(treatment.mean, revenue[1].mean(), 1e-9);
    EXPECT_NEAR(got.metrics[1].control.mean, buyers[0] / n[0], 1e-12);
    EXPECT_NEAR(got.metrics[1].treatment.mean, buyers[1] / n[1], 1e-12);
    EXPECT_NEAR(got.metrics[3].control.mean, euros[0] / purchases[0], 1e-9);
    EXPECT_EQ(got.metrics[4].control.n, returned[0].n());
    EXPECT_NEAR(got.metrics[4].treatment.mean, returned[1].mean(), 1e-12);
    std::ranges::sort(visits);
    ASSERT_TRUE(got.metrics[2].clipped_at);
    EXPECT_NEAR(*got.metrics[2].clipped_at, stats::quantile_type7(visits, 0.9), 1e-12);
    const auto& segments = got.metrics[0].segments;
    const auto found = std::ranges::find(segments, "north", &SegmentResult::value);
    ASSERT_NE(found, segments.end());
    EXPECT_EQ(found->control.n, north[0].n());
    EXPECT_NEAR(found->treatment.mean, north[1].mean(), 1e-9);
    // The last running point is the whole.
    ASSERT_FALSE(got.metrics[0].running.empty());
    EXPECT_EQ(got.metrics[0].running.back().n, n[0] + n[1]);
    if (got.metrics[0].running.back().lift) {
      EXPECT_NEAR(*got.metrics[0].running.back().lift, *got.metrics[0].sequential.lift, 1e-9);
    }
  }
}

TEST(Analysis, OrderCutAndThreadsDoNotMatter) {
  const Experiment e = parse_experiment("e.yaml", kFile).value();
  const auto all = world(99, 300);
  Serial serial;
  Threads threads;
  const Analysis a = analyzed(e, all, 1, serial);
  const Analysis b = analyzed(e, all, 2, threads);
  ASSERT_EQ(a.metrics.size(), b.metrics.size());
  for (std::size_t m = 0; m < a.metrics.size(); ++m) {
    EXPECT_EQ(a.metrics[m].control.n, b.metrics[m].control.n);
    EXPECT_NEAR(a.metrics[m].control.mean, b.metrics[m].control.mean, 1e-9);
    EXPECT_NEAR(a.metrics[m].treatment.mean, b.metrics[m].treatment.mean, 1e-9);
    EXPECT_EQ(a.metrics[m].clipped, b.metrics[m].clipped);
    EXPECT_EQ(a.metrics[m].segments.size(), b.metrics[m].segments.size());
  }
  EXPECT_EQ(a.ratio.learners, b.ratio.learners);
  EXPECT_EQ(a.as_of, b.as_of);
  // The same order on other threads: the same to the bit.
  EXPECT_EQ(to_json(analyzed(e, all, 1, threads)), to_json(a));
}

// Verdicts. Worlds with few events, or with one arm's exposures lost.
constexpr std::string_view kSimple = R"(experiment: simple
start: 2025-01-10T00:00:00Z
end: 2025-02-10T00:00:00Z
exposure: {event: session}
metrics:
  revenue: {kind: mean, event: purchase, of: amount, currency: EUR, role: primary}
  visits: {kind: mean, event: session, role: guardrail, margin: 5%}
)";

std::vector<Owned> simple_world(const Experiment& e, int learners, double lift, double lost) {
  Random random(5);
  std::vector<Owned> out;
  for (int l = 0; l < learners; ++l) {
    const std::string name = fmt::format("learner-{}", l);
    const bool treated = e.assignment.arm(name) == Arm::kTreatment;
    if (treated && random.chance(lost)) continue;
    Owned visit{name + "-v",         name, "", e.start + hours(random.below(24 * 20)),
                EventType::kSession, 0,    {}};
    Owned buy = visit;
    buy.id = name + "-b";
    buy.type = EventType::kPurchase;
    buy.currency = "EUR";
    buy.time += hours(1);
    buy.amount = (10 + random.normal()) * (treated ? 1 + lift : 1);
    Owned again = visit;
    again.id = name + "-a";
    again.time += hours(2);
    out.push_back(std::move(visit));
    out.push_back(std::move(buy));
    if (random.chance(.5)) out.push_back(std::move(again));
  }
  return out;
}

TEST(Verdict, Table) {
  struct Row {
    const char* what;
    int learners;
    double lift, lost;
    Decision decision;
    const char* as_of = "2025-02-20T00:00:00Z";
  };
  const Row kRows[] = {
      {"nobody yet", 0, 0, 0, Decision::kNoData},
      {"hardly anybody, early", 60, .5, 0, Decision::kUndecided, "2025-01-20T00:00:00Z"},
      {"better, but the guardrail is open", 600, .1, 0, Decision::kUndecided},
      {"better, and the guardrail has its data", 12'000, .1, 0, Decision::kWin},
      {"worse", 4'000, -.1, 0, Decision::kLoss},
      {"nothing there, at the end", 4'000, 0, 0, Decision::kNoEffect},
      {"nothing there, on the way", 4'000, 0, 0, Decision::kUndecided, "2025-01-25T00:00:00Z"},
      {"an arm loses learners", 4'000, .1, .2, Decision::kInvalid},
  };
  const Experiment e = parse_experiment("e.yaml", kSimple).value();
  Serial serial;
  for (const Row& row : kRows) {
    const Analysis a = analyzed(e, simple_world(e, row.learners, row.lift, row.lost), 3, serial,
                                parse_time(row.as_of).value());
    EXPECT_EQ(a.decision, row.decision) << row.what << ": " << a.verdict;
    EXPECT_FALSE(a.verdict.empty()) << row.what;
    EXPECT_FALSE(a.next.empty()) << row.what;
  }
}

// Mutant: a fixed-horizon experiment that decides before its end.
TEST(Verdict, FixedHorizonWaitsForItsEnd) {
  const Experiment e = parse_experiment("e.yaml", std::string(kSimple) + "decide: fixed\n").value();
  Serial serial;
  const auto all = simple_world(e, 12'000, .1, 0);
  EXPECT_EQ(analyzed(e, all, 3, serial, parse_time("2025-02-01T00:00:00Z").value()).decision,
            Decision::kUndecided);
  EXPECT_EQ(analyzed(e, all, 3, serial, parse_time("2025-02-20T00:00:00Z").value()).decision,
            Decision::kWin);
  const auto worse = simple_world(e, 6'000, -.1, 0);
  EXPECT_EQ(analyzed(e, worse, 3, serial, parse_time("2025-02-01T00:00:00Z").value()).decision,
            Decision::kUndecided);
}

TEST(Verdict, EqualArmsThatDifferRaiseTheAlarm) {
  const Experiment e = parse_experiment("e.yaml", std::string(kSimple) + "type: aa\n").value();
  Serial serial;
  EXPECT_EQ(analyzed(e, simple_world(e, 4'000, 0, 0), 3, serial).decision, Decision::kAaOk);
  EXPECT_EQ(analyzed(e, simple_world(e, 4'000, .1, 0), 3, serial).decision, Decision::kAaAlarm);
}

TEST(Report, ShowsForeignTextAsTextAndNeedsNoNetwork) {
  std::string file(kSimple);
  file += "question: \"<script>alert('x')</script> & more\"\n";
  const Experiment e = parse_experiment("e.yaml", file).value();
  Serial serial;
  const std::string page = to_html(analyzed(e, simple_world(e, 4'000, .1, 0), 3, serial));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  EXPECT_THAT(page, Not(HasSubstr("https://")));
  EXPECT_THAT(page, HasSubstr("<svg"));
  const auto json =
      nlohmann::json::parse(to_json(analyzed(e, simple_world(e, 0, 0, 0), 3, serial)));
  for (const char* key : {"verdict", "lift", "interval", "p", "srm", "segments"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
}

}  // namespace
}  // namespace covey::experiment

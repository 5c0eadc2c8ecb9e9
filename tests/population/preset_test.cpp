// Learners of a preset: they behave like those it was fitted to, and what is hidden of them agrees
// with what they do.

#include "population/preset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/observe.h"
#include "base/hash.h"
#include "events/ndjson.h"
#include "population/active_days.h"
#include "population/fit.h"
#include "population/marginals.h"
#include "population/population.h"

namespace covey::population {
namespace {

using events::EventType;

// Above what the first seeds give with 5,000 learners: .013, .024, .039, .022 and, by week, .097.
constexpr std::array<double, kMarginals> kBounds = {.03, .04, .055, .04};
constexpr double kActiveBound = .13;

std::uint64_t seed() {
  const char* given = std::getenv("COVEY_SEED");
  return given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
}

Spec spec_of(const Preset& preset, std::uint32_t learners) {
  Spec spec{.learners = learners, .seed = seed()};
  spec.preset = preset;
  spec.days = 2 * preset.stay_max() + 2;
  return spec;
}

std::vector<Record> records_of(const Population& population, std::uint32_t learners) {
  Observer observer;
  Population::Scratch scratch;
  std::vector<Drawn> drawn;
  for (std::uint32_t l = 0; l < learners; ++l) {
    population.learner(l, drawn);
    for (const Drawn& d : drawn) observer.add(population.event(d, scratch));
  }
  return observer.records();
}

Distances apart(const Preset& preset, const Marginals& real, std::uint32_t learners = 5'000) {
  const Population population(spec_of(preset, learners));
  const auto distance = distances(Marginals::of(records_of(population, learners)), real);
  EXPECT_TRUE(distance) << distance.error().message;
  return *distance;
}

/// The learners of data/oulad.
class Oulad : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Observer observer;
    const auto read = app::observe({COVEY_SOURCE_DIR "/data/oulad"}, observer);
    ASSERT_TRUE(read) << read.error().message;
    records_ = new std::vector<Record>(observer.records());
    marginals_ = new Marginals(Marginals::of(*records_));
  }
  static void TearDownTestSuite() {
    delete records_;
    delete marginals_;
  }
  static std::vector<Record>* records_;
  static Marginals* marginals_;
};
std::vector<Record>* Oulad::records_ = nullptr;
Marginals* Oulad::marginals_ = nullptr;

TEST_F(Oulad, RecordsAreWhatThePackageSays) {
  // data/oulad/counts.json and README.md.
  std::uint64_t practice = 0, feedback = 0, withdrew = 0;
  std::size_t practising = 0;
  for (const Record& record : *records_) {
    practice += record.practice;
    feedback += record.feedback;
    withdrew += record.withdrew ? 1 : 0;
    practising += record.days.empty() ? 0 : 1;
    EXPECT_TRUE(std::ranges::is_sorted(record.days));
    EXPECT_LE(record.days.size(), record.stay());
    EXPECT_LE(record.capabilities, record.practice);
  }
  EXPECT_EQ(practice, 753'564u + 14'405u);
  EXPECT_EQ(feedback, 14'405u);
  EXPECT_EQ(withdrew, 631u);
  EXPECT_EQ(records_->size(), 2'515u);
  EXPECT_GE(practising, 378u + 357u + 1'537u);
}

TEST_F(Oulad, ThePresetBuiltInIsWhatTheFitSays) {
  const auto fitted = fit(*records_, "data/oulad");
  ASSERT_TRUE(fitted) << fitted.error().message;
  EXPECT_EQ(fitted->text(), oulad_preset().text())
      << "build/covey simulate --fit data/oulad makes src/population/oulad_preset.inc";
}

// Goal: each marginal is within its bound, and a preset that is wrong in one thing is found by the
// marginal it spoils.
TEST_F(Oulad, SimulatedLearnersBehaveLikeTheReal) {
  const Distances fitted = apart(oulad_preset(), *marginals_);
  for (std::size_t m = 0; m < kMarginals; ++m) {
    EXPECT_LT(fitted.ks[m], kBounds[m]) << name(static_cast<Marginal>(m));
  }
  EXPECT_LT(fitted.active, kActiveBound);

  struct Mutant {
    const char* what;
    std::function<void(Preset&)> plant;
    Marginal spoils;
  };
  const Mutant mutants[] = {
      {"a fifth more events",
       [](Preset& p) {
         for (double& x : p.events.points) x *= 1.2;
       },
       Marginal::kEvents},
      {"nobody idle", [](Preset& p) { p.idle = 0; }, Marginal::kEvents},
      {"a third more capabilities",
       [](Preset& p) {
         for (auto& band : p.bands) {
           for (double& x : band.novelty.points) x = std::min(1.0, x * 1.33);
         }
       },
       Marginal::kCapabilities},
      {"gaps by chance alone", [](Preset& p) { p.unevenness = 1; }, Marginal::kGaps},
      {"stays of three quarters",
       [](Preset& p) {
         for (auto& band : p.bands) {
           for (double& x : band.stay.points) x = std::max(1.0, x * .75);
         }
       },
       Marginal::kWeeks},
      {"stays that do not depend on activity",
       [](Preset& p) {
         for (auto& band : p.bands) band.stay = p.bands[8].stay;
       },
       Marginal::kWeeks},
  };
  for (const Mutant& mutant : mutants) {
    Preset wrong = oulad_preset();
    mutant.plant(wrong);
    const auto m = static_cast<std::size_t>(mutant.spoils);
    EXPECT_GT(apart(wrong, *marginals_).ks[m], kBounds[m]) << mutant.what;
  }
}

// Goal: who is of which kind changes no marginal, so that kinds can be as far apart as one likes.
TEST_F(Oulad, AFitToSimulatedLearnersGivesTheSamePreset) {
  const Population population(spec_of(oulad_preset(), 6'000));
  const auto again = fit(records_of(population, 6'000), "simulated");
  ASSERT_TRUE(again);
  EXPECT_NEAR(again->idle, oulad_preset().idle, .02);
  EXPECT_NEAR(again->feedback, oulad_preset().feedback, .004);
  EXPECT_NEAR(again->acted_on, oulad_preset().acted_on, .05);
  for (const double u : {.1, .5, .9}) {
    EXPECT_NEAR(again->events.at(u) / oulad_preset().events.at(u), 1, .1) << u;
  }
  EXPECT_LT(apart(*again, *marginals_).ks[0], 2 * kBounds[0]);
}

TEST(OfPreset, TheSameSeedGivesTheSameBytesForAnyNumberOfThreads) {
  Spec spec{.learners = 200, .seed = 7};
  spec.preset = oulad_preset();
  spec.days = 600;
  const Population population(spec);
  const auto text = [&](Parallel& parallel, std::uint64_t at_once) {
    std::string out;
    std::uint64_t events = 0;
    EXPECT_TRUE(population.generate_ndjson(
        parallel,
        [&](std::string_view piece, std::uint64_t count) -> Result<void> {
          out += piece;
          events += count;
          return {};
        },
        at_once));
    EXPECT_EQ(events, static_cast<std::uint64_t>(std::ranges::count(out, '\n')));
    return out;
  };
  // Runs tasks backwards: order must not matter, nor must width.
  class Backwards final : public Parallel {
   public:
    unsigned width() const override { return 3; }
    void run(std::size_t count, const std::function<void(std::size_t)>& task) override {
      while (count > 0) task(--count);
    }
  } backwards;
  Serial serial;
  const std::string whole = text(serial, 60'000'000);
  EXPECT_EQ(whole, text(backwards, 60'000'000));
  EXPECT_EQ(whole, text(backwards, 9'000));
  std::string plain;
  EXPECT_TRUE(population.generate([&](std::span<const Drawn> part) -> Result<void> {
    for (const Drawn& d : part) population.append_ndjson(d, plain);
    return {};
  }));
  EXPECT_EQ(whole, plain);
  spec.seed = 8;
  std::string other;
  EXPECT_TRUE(Population(spec).generate_ndjson(
      serial, [&](std::string_view piece, std::uint64_t) -> Result<void> {
        other += piece;
        return {};
      }));
  EXPECT_NE(whole, other);
}

TEST(OfPreset, ASinkThatFailsEndsIt) {
  Spec spec = spec_of(oulad_preset(), 50);
  int calls = 0;
  Serial serial;
  const auto ended = Population(spec).generate_ndjson(
      serial, [&](std::string_view, std::uint64_t) -> Result<void> {
        return ++calls < 3 ? Result<void>() : fail(Errc::kFull, "enough");
      });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message, "enough");
  EXPECT_EQ(calls, 3);
}

// Goal: every event obeys the model, both forms say the same, and the truth of each learner is what
// its events say.
TEST(OfPreset, TheTruthAgreesWithTheEvents) {
  const std::uint32_t learners = 400;
  for (const std::uint32_t intake : {0u, 500u}) {
    SCOPED_TRACE(intake);
    Spec spec = spec_of(oulad_preset(), learners);
    spec.intake_days = intake;
    const Population population(spec);
    Population::Scratch scratch;
    std::vector<Drawn> drawn;
    std::string text;
    events::Batch made;
    std::map<EventType, std::size_t> types;
    std::size_t cut_off = 0;
    const Time begin = spec.end - std::chrono::days(spec.days);
    for (std::uint32_t l = 0; l < learners; ++l) {
      population.learner(l, drawn);
      const Facts facts = population.facts(l);
      ASSERT_GE(drawn.size(), 2u);
      EXPECT_EQ(facts.kind, population.kind(l));
      Time before = begin;
      std::set<std::string_view> paid;
      for (const Drawn& d : drawn) {
        const events::Event event = population.event(d, scratch);
        ASSERT_EQ(events::fault(event), "");
        EXPECT_GE(event.time, before);
        EXPECT_LT(event.time, spec.end);
        before = event.time;
        ++types[event.type];
        if (event.type == EventType::kProfile) {
          std::map<std::string_view, std::string_view> told(event.attributes.begin(),
                                                            event.attributes.end());
          EXPECT_EQ(told["region"], facts.region);
          EXPECT_EQ(told["time_zone"], facts.time_zone);
          EXPECT_EQ(told["course"], facts.course);
          EXPECT_EQ(event.time, facts.joined);
        } else if (event.type == EventType::kEnrol || event.type == EventType::kWithdraw ||
                   event.type == EventType::kComplete) {
          EXPECT_EQ(event.domain, facts.course);
        } else if (event.type == EventType::kPurchase) {
          paid.insert(event.currency);
          EXPECT_EQ(event.currency == "EUR", facts.region == "europe");
        }
        made.add(event);
        population.append_ndjson(d, text);
      }
      EXPECT_LE(paid.size(), 1u);
      if (facts.left) {
        EXPECT_EQ(*facts.left, before);
      } else if (drawn.size() > 2) {
        ++cut_off;
      }
      const auto ends = static_cast<std::size_t>(std::ranges::count_if(drawn, [](const Drawn& d) {
        return d.event_type() == EventType::kWithdraw || d.event_type() == EventType::kComplete;
      }));
      EXPECT_LE(ends, 1u);
      EXPECT_TRUE(ends == 0 || facts.left);
    }
    // Only a long intake leaves some without the days they would have stayed.
    EXPECT_EQ(cut_off > 20, intake > 0) << cut_off;
    events::Parsed parsed;
    events::Source source;
    source.name = "simulated";
    source.latest = spec.end;
    events::Ndjson().parse(text, source, parsed);
    ASSERT_TRUE(parsed.rejected.empty())
        << parsed.rejected.front().reason << ": " << parsed.rejected.front().row;
    EXPECT_EQ(hash64(parsed.batch.encode()), hash64(made.encode()));
    EXPECT_EQ(types[EventType::kProfile], learners);
    for (const auto type : {EventType::kPurchase, EventType::kComplete, EventType::kWithdraw}) {
      EXPECT_GT(types[type], 5u) << events::name(type);
    }
  }
}

// Goal: each has the hours, weekends and growth that it was promised, by its own clock.
TEST(OfPreset, DaysWeeksAndYearsHaveARhythm) {
  Spec spec = spec_of(oulad_preset(), 3'000);
  spec.growth = 2;
  const Population population(spec);
  Population::Scratch scratch;
  std::vector<Drawn> drawn;
  std::array<double, 24> hours{};
  std::array<double, 7> weekdays{};
  std::map<std::string, double> regions, courses;
  std::array<double, 2> joined{};
  const double intake = spec.days - 2 - oulad_preset().stay_max();
  for (std::uint32_t l = 0; l < spec.learners; ++l) {
    population.learner(l, drawn);
    const Facts facts = population.facts(l);
    ++regions[facts.region];
    ++courses[facts.course];
    const double day = fractional_day(facts.joined) - fractional_day(spec.end) + spec.days;
    ++joined[day < intake / 2 ? 0 : 1];
    const int sign = facts.time_zone[3] == '-' ? -1 : 1;
    const auto offset = std::chrono::minutes(sign * (std::stoi(facts.time_zone.substr(4, 2)) * 60 +
                                                     std::stoi(facts.time_zone.substr(7, 2))));
    for (const Drawn& d : drawn) {
      if (d.event_type() != EventType::kPractice) continue;
      const Time local = population.event(d, scratch).time + offset;
      const std::int32_t date = day_of(local);
      ++weekdays[static_cast<std::size_t>(date + 3 - 7 * week_of_day(date))];
      ++hours[static_cast<std::size_t>((fractional_day(local) - date) * 24)];
    }
  }
  EXPECT_GT(hours[20], 4 * hours[4]);
  EXPECT_LT((weekdays[5] + weekdays[6]) / 2, .85 * (weekdays[1] + weekdays[2]) / 2);
  EXPECT_EQ(regions.size(), 6u);
  EXPECT_NEAR(regions["europe"] / spec.learners, .28, .03);
  EXPECT_EQ(courses.size(), spec.courses);
  EXPECT_GT(courses["course-00"], 2 * courses["course-11"]);
  // At three times as many a year later, the second half of 294 days brings 1.55 times the first.
  EXPECT_NEAR(joined[1] / joined[0], std::pow(3, intake / 2 / 365.25), .2);
}

// Property: whatever is asked for, first and last day are active, days ascend, none is lost.
TEST(ActiveDaysTest, KeepStayAndNumber) {
  Random random(seed());
  std::vector<std::uint32_t> days;
  for (const double unevenness : {0., 1., 3.}) {
    const ActiveDays draw(unevenness, {4, 3, 2, 1, 1, .5, .5, .1});
    for (int i = 0; i < 3'000; ++i) {
      const auto stay = 1 + static_cast<std::uint32_t>(random.below(300));
      const auto count = stay == 1 ? 1 : 2 + static_cast<std::uint32_t>(random.below(stay - 1));
      draw.draw(count, stay, random, days);
      ASSERT_EQ(days.size(), count);
      ASSERT_EQ(days.front(), 0u);
      ASSERT_EQ(days.back(), stay - 1);
      ASSERT_TRUE(std::ranges::adjacent_find(days, std::greater_equal<>()) == days.end());
    }
  }
}

TEST(ObserverTest, OrderAndRepeatsDoNotMatterAndDaysAreTheLearnersOwn) {
  const auto at = [](const char* text) { return *parse_time(text); };
  const events::Attribute zone[] = {{"time_zone", "UTC-05:00"}};
  std::vector<events::Event> events;
  const auto add = [&](const char* time, EventType type, const char* what) {
    events::Event e{.id = "x", .learner = "ada", .time = at(time), .type = type};
    e.capability = what;
    e.domain = "d";
    if (type == EventType::kProfile) e.attributes = zone;
    if (type == EventType::kFeedback) e.acted_on = true;
    events.push_back(e);
  };
  add("2024-02-01T01:00:00Z", EventType::kPractice, "a");  // the 31st, there
  add("2024-02-01T02:00:00Z", EventType::kPractice, "b");
  add("2024-02-01T12:00:00Z", EventType::kPractice, "a");
  add("2024-02-15T06:00:00Z", EventType::kPractice, "a");
  add("2024-02-15T06:00:00Z", EventType::kFeedback, "");
  add("2024-02-01T00:00:00Z", EventType::kProfile, "");
  add("2024-03-01T00:00:00Z", EventType::kSession, "");
  for (int round = 0; round < 2; ++round) {
    Observer observer;
    for (const auto& e : events) observer.add(e);
    const auto records = observer.records();
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].practice, 4u);
    EXPECT_EQ(records[0].events(), 5u);
    EXPECT_EQ(records[0].capabilities, 2u);
    EXPECT_EQ(records[0].days.size(), 3u);
    EXPECT_EQ(records[0].stay(), 16u);
    const Marginals m = Marginals::of(records);
    EXPECT_EQ(m.samples[static_cast<std::size_t>(Marginal::kGaps)], (std::vector<double>{1, 14}));
    EXPECT_EQ(m.samples[static_cast<std::size_t>(Marginal::kWeeks)], std::vector<double>{2});
    EXPECT_EQ(m.active, (std::vector<double>{1, 0, 1}));
    std::ranges::reverse(events);
  }
}

TEST(PresetFile, ComesBackAsItWentAndTellsEveryFault) {
  const std::string text = oulad_preset().text();
  const auto back = Preset::parse("preset.yaml", text);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->text(), text);

  const auto told = [&](std::string_view from, std::string_view to) {
    std::string wrong = text;
    wrong.replace(wrong.find(from), from.size(), to);
    const auto read = Preset::parse("preset.yaml", wrong);
    return read ? std::string("read") : read.error().message;
  };
  EXPECT_EQ(told("idle:", "idle:"), "read");
  EXPECT_NE(told("idle:", "idel:").find("preset.yaml:2:1: idel: unknown key; did you mean 'idle'?"),
            std::string::npos)
      << told("idle:", "idel:");
  EXPECT_NE(told("idle: ", "idle: 2").find("must be from 0 to 1"), std::string::npos);
  EXPECT_NE(told("events: [1, ", "events: [9999, ").find("must not fall"), std::string::npos);
  EXPECT_NE(told("pace: [", "pace: [1, ").find("one for each eighth"), std::string::npos);
  EXPECT_FALSE(Preset::parse("preset.yaml", ""));
}

TEST(PresetFile, TooFewLearnersAreNoFit) {
  const auto few = fit(std::vector<Record>(100, {.practice = 2, .capabilities = 1, .days = {1, 2}}),
                       "events.ndjson");
  ASSERT_FALSE(few);
  EXPECT_EQ(few.error().message, "100 learners practise in events.ndjson; a fit needs 160");
}

TEST(OfPreset, AWrongSpecIsToldEveryFault) {
  const auto faults = [](auto change) {
    Spec spec = spec_of(oulad_preset(), 10);
    change(spec);
    return spec.validate().size();
  };
  EXPECT_EQ(faults([](Spec&) {}), 0u);
  EXPECT_EQ(faults([](Spec& s) { s.days = 100; }), 1u);
  EXPECT_EQ(faults([](Spec& s) { s.intake_days = s.days; }), 1u);
  EXPECT_EQ(faults([](Spec& s) { s.courses = 0; }), 1u);
  EXPECT_EQ(faults([](Spec& s) { s.courses = 1'001; }), 1u);
  EXPECT_EQ(faults([](Spec& s) { s.growth = -1; }), 1u);
  EXPECT_EQ(faults([](Spec& s) { s.growth = std::nan(""); }), 1u);
}

}  // namespace
}  // namespace covey::population

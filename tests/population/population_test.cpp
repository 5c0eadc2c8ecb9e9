// Simulated learners: the same for the same seed, skewed, sound, and of kinds that can be told
// apart by what they do.

#include "population/population.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/parallel.h"
#include "events/ndjson.h"
#include "learners/engine.h"

namespace covey::population {
namespace {

using events::EventType;

std::vector<Drawn> all(const Population& population) {
  std::vector<Drawn> out;
  EXPECT_TRUE(population.generate([&](std::span<const Drawn> part) -> Result<void> {
    out.insert(out.end(), part.begin(), part.end());
    return {};
  }));
  return out;
}

std::string ndjson(const Population& population) {
  std::string out;
  for (const Drawn& d : all(population)) population.append_ndjson(d, out);
  return out;
}

std::uint64_t seed() {
  const char* given = std::getenv("COVEY_SEED");
  return given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
}

std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, int, int, int> key(const Drawn& d) {
  return {d.second, d.learner, d.sequence, d.capability, d.type, d.percent};
}

TEST(Population, TheSameSeedGivesTheSameBytesForEver) {
  const Spec spec{.learners = 500, .events_per_learner = 20, .seed = 7};
  const std::string text = ndjson(Population(spec));
  EXPECT_EQ(text, ndjson(Population(spec)));
  // A change of this figure changes every published benchmark: say so where it is made.
  EXPECT_EQ(fmt::format("{:016x}", hash64(text)), "ef2cff766e9039e6");
  Spec other = spec;
  other.seed = 8;
  EXPECT_NE(text, ndjson(Population(other)));
}

// Goal: a learner is the same alone, among few and among many, so any chunking will do.
TEST(Population, ALearnerDoesNotDependOnTheOthers) {
  const Spec few{.learners = 40, .events_per_learner = 30, .seed = seed()};
  Spec many = few;
  many.learners = 400;
  const Population small(few), large(many);
  std::vector<Drawn> joined, one;
  for (std::uint32_t l = few.learners; l-- > 0;) {
    large.learner(l, one);
    joined.insert(joined.end(), one.begin(), one.end());
    EXPECT_EQ(small.kind(l), large.kind(l));
  }
  std::vector<Drawn> whole = all(small);
  EXPECT_TRUE(std::ranges::is_sorted(
      whole, {}, [](const Drawn& d) { return std::tuple(d.second, d.learner, d.sequence); }));
  ASSERT_EQ(whole.size(), joined.size());
  std::ranges::sort(joined, {}, key);
  std::ranges::sort(whole, {}, key);
  for (std::size_t i = 0; i < whole.size(); ++i) ASSERT_EQ(key(whole[i]), key(joined[i])) << i;
}

TEST(Population, WhatIsHeldAtOnceChangesNothing) {
  const Population population({.learners = 300, .events_per_learner = 20, .seed = seed()});
  const std::vector<Drawn> whole = all(population);
  for (const std::uint64_t at_once : {1u, 700u, 3'000u, 5'999u}) {
    std::size_t seen = 0;
    ASSERT_TRUE(population.generate(
        [&](std::span<const Drawn> part) -> Result<void> {
          for (const Drawn& d : part) {
            if (seen >= whole.size() || key(d) != key(whole[seen++]))
              return fail(Errc::kFailed, "");
          }
          return {};
        },
        at_once))
        << at_once << " at once differs at event " << seen;
    EXPECT_EQ(seen, whole.size());
  }
}

TEST(Population, ASinkThatFailsEndsIt) {
  const Population population({.learners = 100});
  int calls = 0;
  const auto ended = population.generate([&](std::span<const Drawn>) -> Result<void> {
    return ++calls < 3 ? Result<void>() : fail(Errc::kFull, "enough");
  });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message, "enough");
  EXPECT_EQ(calls, 3);
}

// Goal: the mean is what was asked for, and a few learners make a large part of the events.
TEST(Population, ActivityIsSkewedAroundTheMeanAskedFor) {
  for (const double mean : {10., 50.}) {
    SCOPED_TRACE(mean);
    const Population population({.learners = 60'000, .events_per_learner = mean, .seed = seed()});
    std::vector<double> counts;
    std::vector<Drawn> one;
    double sum = 0;
    for (std::uint32_t l = 0; l < 60'000; ++l) {
      population.learner(l, one);
      counts.push_back(static_cast<double>(one.size()));
      sum += counts.back();
    }
    EXPECT_NEAR(sum / 60'000 / mean, 1, .02);
    std::ranges::sort(counts);
    EXPECT_GE(counts.front(), 3);
    EXPECT_LT(counts[30'000], .75 * mean);
    double top = 0;
    for (std::size_t i = 54'000; i < 60'000; ++i) top += counts[i];
    EXPECT_GT(top / sum, .30);  // a tenth of the learners
    EXPECT_LT(top / sum, .50);
  }
}

TEST(Population, EveryEventObeysTheModelAndBothFormsSayTheSame) {
  Spec spec{.learners = 3'000, .events_per_learner = 40, .seed = seed()};
  spec.id_prefix = "again:";
  const Population population(spec);
  const std::vector<Drawn> drawn = all(population);
  std::string text;
  events::Batch made;
  Population::Scratch scratch;
  std::map<EventType, std::size_t> types;
  std::set<std::string> ids;
  for (const Drawn& d : drawn) {
    const events::Event event = population.event(d, scratch);
    ASSERT_EQ(events::fault(event), "");
    ASSERT_EQ(event.id, fmt::format("again:{}-{}", event.learner, d.sequence));
    EXPECT_LT(event.time, spec.end);
    EXPECT_GE(event.time, spec.end - std::chrono::days(spec.days));
    made.add(event);
    population.append_ndjson(d, text);
    ++types[event.type];
    EXPECT_TRUE(ids.emplace(event.id).second) << event.id;
  }
  events::Parsed parsed;
  events::Source source;
  source.name = "simulated";
  source.latest = spec.end;
  events::Ndjson().parse(text, source, parsed);
  ASSERT_TRUE(parsed.rejected.empty())
      << parsed.rejected.front().reason << ": " << parsed.rejected.front().row;
  // Bytes, not fields: whatever a batch keeps of an event must be equal.
  EXPECT_EQ(hash64(parsed.batch.encode()), hash64(made.encode()));

  const auto share = [&](EventType type) {
    return static_cast<double>(types[type]) / static_cast<double>(drawn.size());
  };
  EXPECT_EQ(types[EventType::kProfile], 3'000u);
  EXPECT_EQ(types[EventType::kEnrol], 3'000u);
  EXPECT_GT(share(EventType::kPractice), .8);
  EXPECT_NEAR(share(EventType::kFeedback), .06 * .95, .01);
  for (const auto type :
       {EventType::kSession, EventType::kPurchase, EventType::kComplete, EventType::kWithdraw}) {
    EXPECT_GT(types[type], 10u) << events::name(type);
    EXPECT_LT(share(type), .05) << events::name(type);
  }
}

TEST(Population, DaysAndWeeksHaveARhythmAndCapabilitiesAreZipf) {
  const Spec spec{.learners = 20'000, .events_per_learner = 30, .seed = seed(), .days = 84};
  const Population population(spec);
  const std::int32_t first_day = day_of(spec.end) - 84;
  std::array<double, 2> days{};  // weekdays, weekends
  std::array<double, 8> hours_of_one{};
  std::map<std::uint32_t, double> ranks;
  for (const Drawn& d : all(population)) {
    const std::int32_t day = first_day + static_cast<std::int32_t>(d.second / 86'400);
    ++days[(day + 3) % 7 >= 5 ? 1 : 0];
    // One learner in three lives in one time zone: there, days and nights differ.
    if (d.learner % 3 == 0) ++hours_of_one[d.second % 86'400 / 10'800];
    if (d.event_type() == EventType::kPractice) ++ranks[d.capability % (1'000 / 16)];
  }
  EXPECT_LT(days[1] / 2, .8 * days[0] / 5);
  EXPECT_GT(*std::ranges::max_element(hours_of_one), 4 * *std::ranges::min_element(hours_of_one));
  EXPECT_GT(ranks[0], 1.3 * ranks[1]);
  EXPECT_GT(ranks[1], 1.2 * ranks[3]);
  EXPECT_GT(ranks[61], 0);
}

// Goal: what is hidden can be found: each kind leads in the trait it is named for, in the traits
// the plain engine computes.
TEST(Population, KindsDifferInTheirTraits) {
  const Spec spec{.learners = 2'000, .events_per_learner = 50, .seed = seed()};
  const Population population(spec);
  events::Batch batch;
  Population::Scratch scratch;
  for (const Drawn& d : all(population)) batch.add(population.event(d, scratch));
  const auto engine = learners::make_baseline();
  Serial serial;
  const events::Batch* batches[] = {&batch};
  engine->apply(batches, serial);

  std::array<std::array<double, learners::kTraits>, kKinds> mean{};
  std::array<double, kKinds> members{};
  std::array<double, learners::kTraits> whole{}, squares{};
  for (std::uint32_t l = 0; l < spec.learners; ++l) {
    const auto facts = engine->find(population.learner_name(l), spec.end);
    ASSERT_TRUE(facts) << l;
    if (facts->state != learners::LearnerState::kActive) continue;
    const auto kind = static_cast<std::size_t>(population.kind(l));
    ++members[kind];
    for (std::size_t t = 0; t < learners::kTraits; ++t) {
      const double value = facts->traits.*learners::kTraitFields[t];
      mean[kind][t] += value;
      whole[t] += value;
      squares[t] += value * value;
    }
  }
  double count = 0;
  for (const double m : members) count += m;
  // Standing: a kind's mean trait, in standard deviations from that of all.
  std::string table;
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    EXPECT_GT(members[kind], .15 * count);
    table += fmt::format("{:<20}", name(static_cast<Kind>(kind)));
    for (std::size_t t = 0; t < learners::kTraits; ++t) {
      const double sd = std::sqrt(squares[t] / count - std::pow(whole[t] / count, 2));
      mean[kind][t] = (mean[kind][t] / members[kind] - whole[t] / count) / sd;
      table += fmt::format("{:7.2f}", mean[kind][t]);
    }
    table += '\n';
  }
  SCOPED_TRACE(table);
  enum { kVelocity, kAffinity, kFrequency, kResponsiveness, kRetention };
  const auto leads = [&](Kind kind, std::size_t trait) {
    const double own = mean[static_cast<std::size_t>(kind)][trait];
    for (std::size_t other = 0; other < kKinds; ++other) {
      if (other == static_cast<std::size_t>(kind)) continue;
      EXPECT_GT(own, mean[other][trait] + .3)
          << name(kind) << " in " << learners::kTraitNames[trait];
    }
  };
  leads(Kind::kFastLearner, kVelocity);
  leads(Kind::kSpecialist, kAffinity);
  leads(Kind::kPowerUser, kFrequency);
  leads(Kind::kPowerUser, kResponsiveness);
  leads(Kind::kLongTermRetainer, kRetention);
  for (const auto& kind : mean) {
    EXPECT_LE(mean[static_cast<std::size_t>(Kind::kGeneralist)][kAffinity], kind[kAffinity]);
  }
}

TEST(Population, AWrongSpecIsToldEveryFault) {
  struct Row {
    const char* what;
    Spec spec;
    std::size_t faults;
  };
  const Row rows[] = {
      {"control", {}, 0},
      {"smallest",
       {.learners = 1, .events_per_learner = 3, .days = 1, .domains = 1, .capabilities = 1},
       0},
      {"no learners", {.learners = 0}, 1},
      {"too few events", {.events_per_learner = 2.9}, 1},
      {"not a number", {.events_per_learner = std::nan("")}, 1},
      {"no days", {.days = 0}, 1},
      {"too many days", {.days = 3651}, 1},
      {"no domains", {.domains = 0}, 1},
      {"fewer capabilities than domains", {.domains = 20, .capabilities = 19}, 1},
      {"too many capabilities", {.capabilities = 65'536}, 1},
      {"before any calendar", {.end = earliest_time()}, 1},
      {"a prefix that breaks JSON", {.id_prefix = "\""}, 1},
      {"a long prefix", {.id_prefix = std::string(65, 'a')}, 1},
      {"three at once", {.learners = 0, .days = 0, .domains = 0}, 3},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    EXPECT_EQ(row.spec.validate().size(), row.faults);
    if (row.faults == 0) {
      EXPECT_FALSE(all(Population(row.spec)).empty());
    }
  }
}

}  // namespace
}  // namespace covey::population

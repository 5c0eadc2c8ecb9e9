// How fast an engine takes in events, answers look-ups and hands over all traits. The baseline
// stands beside the fast engine where it ends in reasonable time.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/random.h"
#include "events/batch.h"
#include "learners/engine.h"
#include "population/population.h"

namespace covey::learners {
namespace {

const Time kAsOf{std::chrono::sys_days(std::chrono::year(2024) / 7 / 1)};

std::vector<events::Batch> history(std::uint32_t learners) {
  const population::Population population({.learners = learners});
  std::vector<events::Batch> batches(1);
  population::Population::Scratch scratch;
  const auto done = population.generate([&](std::span<const population::Drawn> part) {
    for (const population::Drawn& drawn : part) {
      if (batches.back().size() == 65'536) batches.emplace_back();
      batches.back().add(population.event(drawn, scratch));
    }
    return Result<void>();
  });
  COVEY_CHECK(done);
  return batches;
}

std::vector<const events::Batch*> pointers(const std::vector<events::Batch>& batches) {
  std::vector<const events::Batch*> all;
  for (const events::Batch& batch : batches) all.push_back(&batch);
  return all;
}

using Make = std::unique_ptr<Engine> (*)();

std::unique_ptr<Engine> filled(Make make, std::uint32_t learners) {
  const auto batches = history(learners);
  auto engine = make();
  Serial serial;
  engine->apply(pointers(batches), serial);
  return engine;
}

// Events a second into an empty engine; bytes_per_learner is what it ends with.
void Fold(benchmark::State& state, Make make) {
  const auto learners = static_cast<std::uint32_t>(state.range(0));
  const auto batches = history(learners);
  const auto all = pointers(batches);
  std::size_t events = 0;
  for (const auto* batch : all) events += batch->size();
  Serial serial;
  double bytes = 0;
  for (auto _ : state) {
    auto engine = make();
    engine->apply(all, serial);
    state.PauseTiming();
    bytes = static_cast<double>(engine->memory().bytes);
    engine.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(events));
  state.counters["bytes_per_learner"] = bytes / learners;
}
BENCHMARK_CAPTURE(Fold, fast, make_fast)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Fold, baseline, make_baseline)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Unit(benchmark::kMillisecond);

// Learners a second whose five traits are handed over as columns.
void Columns(benchmark::State& state, Make make) {
  const auto learners = static_cast<std::uint32_t>(state.range(0));
  const auto engine = filled(make, learners);
  Serial serial;
  for (auto _ : state) benchmark::DoNotOptimize(engine->traits(kAsOf, serial));
  state.SetItemsProcessed(state.iterations() * learners);
}
BENCHMARK_CAPTURE(Columns, fast, make_fast)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Columns, baseline, make_baseline)->Arg(1'000)->Unit(benchmark::kMillisecond);

// One learner by name.
void Find(benchmark::State& state, Make make) {
  const auto learners = static_cast<std::uint32_t>(state.range(0));
  const auto engine = filled(make, learners);
  const population::Population population({.learners = learners});
  Random random(1);
  std::vector<std::string> names;
  for (int i = 0; i < 4'096; ++i) {
    names.push_back(population.learner_name(static_cast<std::uint32_t>(random.below(learners))));
  }
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(engine->find(names[next++ % names.size()], kAsOf));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(Find, fast, make_fast)->Arg(1'000)->Arg(100'000);
BENCHMARK_CAPTURE(Find, baseline, make_baseline)->Arg(1'000);

// What no fold of events can do without: out of their columns into records by 256 streams, and
// those of a stream into the order of learners. Nothing is hashed, looked up or added to anybody.
class Moving {
 public:
  Moving() {
    Random random(7);
    for (std::uint32_t& where : where_) where = static_cast<std::uint32_t>(random.below(kStreams));
    for (std::uint32_t i = 0; i < kEvents; ++i) {
      learner_[i] = static_cast<std::uint32_t>(random.below(kLearners));
      time_us_[i] = std::int64_t{i} * 150'000;
      capability_[i] = static_cast<std::uint32_t>(random.below(1'000));
      domain_[i] = capability_[i] % 16;
      ++first_[where_[learner_[i]] + 1];
      ++begin_[learner_[i]];
    }
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
    // Learners of a stream side by side, in the order of their numbers.
    auto next = first_;
    for (std::uint32_t l = 0; l < kLearners; ++l) {
      begin_[l] = std::exchange(next[where_[l]], next[where_[l]] + begin_[l]);
    }
    next_ = begin_;
  }
  std::uint64_t file() {
    auto next = first_;
    for (std::uint32_t i = 0; i < kEvents; ++i) {
      __builtin_prefetch(&where_[learner_[std::min(i + 64, kEvents - 1)]]);
      Record* const at = &filed_[next[where_[learner_[i]]]++];
      __builtin_prefetch(at + 16, 1);
      *at = {static_cast<std::uint64_t>(time_us_[i]) / 62'500 | std::uint64_t{domain_[i]} << 42,
             capability_[i], learner_[i]};
    }
    return filed_[0].what;
  }
  std::uint64_t bring_in_order() {
    std::ranges::copy(begin_, next_.begin());
    for (std::uint32_t i = 0; i < kEvents; ++i) {
      const Record& later = filed_[std::min(i + 32, kEvents - 1)];
      __builtin_prefetch(ordered_.data() + next_[later.learner], 1);
      ordered_[next_[filed_[i].learner]++] = filed_[i];
    }
    return ordered_[0].what;
  }
  static constexpr std::uint32_t kEvents = 8u << 20;

 private:
  static constexpr std::uint32_t kLearners = 1'000'000, kStreams = 256;
  struct Record {
    std::uint64_t what;
    std::uint32_t capability, learner;
  };
  Room<std::uint32_t> learners_room_, capabilities_room_, domains_room_, where_room_;
  Room<std::int64_t> times_room_;
  Room<Record> filed_room_, ordered_room_;
  std::span<std::uint32_t> learner_ = learners_room_.take(kEvents);
  std::span<std::uint32_t> capability_ = capabilities_room_.take(kEvents);
  std::span<std::uint32_t> domain_ = domains_room_.take(kEvents);
  std::span<std::uint32_t> where_ = where_room_.take(kLearners);
  std::span<std::int64_t> time_us_ = times_room_.take(kEvents);
  std::span<Record> filed_ = filed_room_.take(kEvents), ordered_ = ordered_room_.take(kEvents);
  std::array<std::uint32_t, kStreams + 1> first_{};
  std::vector<std::uint32_t> begin_ = std::vector<std::uint32_t>(kLearners), next_;
};

template <std::uint64_t (Moving::*work)()>
void Move(benchmark::State& state) {
  Moving moving;
  moving.file();  // what is ordered, and no page is fresh
  moving.bring_in_order();
  for (auto _ : state) benchmark::DoNotOptimize((moving.*work)());
  state.SetItemsProcessed(state.iterations() * std::int64_t{Moving::kEvents});
}
BENCHMARK(Move<&Moving::file>)->Threads(1)->Threads(2)->Unit(benchmark::kMillisecond);
BENCHMARK(Move<&Moving::bring_in_order>)->Threads(1)->Threads(2)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace covey::learners

BENCHMARK_MAIN();

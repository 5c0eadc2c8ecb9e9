// How fast an engine takes in events, answers look-ups and hands over all traits. The baseline
// stands beside the fast engine where it ends in reasonable time.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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

}  // namespace
}  // namespace covey::learners

BENCHMARK_MAIN();

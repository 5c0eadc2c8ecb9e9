// How fast simulated learners are made: alone, as lines of NDJSON, and into batches.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "events/batch.h"
#include "population/population.h"

namespace covey::population {
namespace {

constexpr std::uint32_t kLearners = 20'000;

template <typename Use>
void each_event(benchmark::State& state, Use&& use) {
  const Population population({.learners = kLearners});
  std::int64_t events = 0;
  for (auto _ : state) {
    const auto done = population.generate([&](std::span<const Drawn> part) -> Result<void> {
      for (const Drawn& drawn : part) use(population, drawn);
      events += static_cast<std::int64_t>(part.size());
      return {};
    });
    COVEY_CHECK(done);
  }
  state.SetItemsProcessed(events);
}

void Drawing(benchmark::State& state) {
  each_event(state, [](const Population&, const Drawn& drawn) { benchmark::DoNotOptimize(drawn); });
}
BENCHMARK(Drawing)->Unit(benchmark::kMillisecond);

void NdjsonLines(benchmark::State& state) {
  std::string text;
  std::size_t bytes = 0;
  each_event(state, [&](const Population& population, const Drawn& drawn) {
    population.append_ndjson(drawn, text);
    if (text.size() < (1u << 20)) return;
    bytes += text.size();
    text.clear();
  });
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(NdjsonLines)->Unit(benchmark::kMillisecond);

void Batches(benchmark::State& state) {
  events::Batch batch;
  Population::Scratch scratch;
  each_event(state, [&](const Population& population, const Drawn& drawn) {
    batch.add(population.event(drawn, scratch));
    if (batch.size() == 65'536) batch.clear();
  });
}
BENCHMARK(Batches)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace covey::population

BENCHMARK_MAIN();

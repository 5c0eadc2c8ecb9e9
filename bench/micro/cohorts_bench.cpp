// Cohort discovery and its Lloyd pass, on seeded learners of five hidden kinds.
//
//   cohorts_bench --benchmark_filter='pass|discover'
//
// Sizes of the pass lie in L1, L2, L3 and memory; `scalar` is the twin. Two threads share the
// work; the counter `learners/s` is per pass, and `discover` is everything discover() does.

#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "cohorts/discovery.h"
#include "cohorts/kernels.h"
#include "cohorts/kmeans.h"
#include "cohorts/points.h"

namespace {

using covey::cohorts::Isa;

// Spins between the tasks of one benchmark: a thread's wake-up would hide a pass of 1 ms.
class Spinners final : public covey::Parallel {
 public:
  explicit Spinners(unsigned width) {
    for (unsigned i = 1; i < width; ++i)
      threads_.emplace_back([this] {
        for (unsigned seen = 0;;) {
          unsigned now = 0;
          for (int idle = 0; (now = round_.load(std::memory_order_acquire)) == seen; ++idle)
            if (idle > 20'000) std::this_thread::yield();
          seen = now;
          if (over_) return;
          take();
          left_.fetch_sub(1, std::memory_order_release);
        }
      });
  }
  ~Spinners() override {
    over_ = true;
    round_.fetch_add(1, std::memory_order_release);
    for (auto& thread : threads_) thread.join();
  }
  unsigned width() const override { return static_cast<unsigned>(threads_.size()) + 1; }
  void run(std::size_t count, const std::function<void(std::size_t)>& task) override {
    task_ = &task;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    left_.store(threads_.size(), std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    take();
    while (left_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  }

 private:
  void take() {
    for (std::size_t i = 0; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;)
      (*task_)(i);
  }
  const std::function<void(std::size_t)>* task_ = nullptr;
  std::size_t count_ = 0;
  std::atomic<std::size_t> next_{0}, left_{0};
  std::atomic<unsigned> round_{0};
  bool over_ = false;
  std::vector<std::thread> threads_;
};

class Watch final : public covey::Clock {
 public:
  std::chrono::nanoseconds now() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  covey::Time wall() const override { return {}; }
};

// Learners around five kinds, blurred until the kinds touch.
const covey::learners::TraitColumns& learners_of(std::size_t n) {
  static std::map<std::size_t, covey::learners::TraitColumns> made;
  auto& columns = made[n];
  if (columns.size() == n) return columns;
  constexpr double kKinds[5][covey::learners::kTraits] = {{0.7, 0.3, 0.4, 0.6, 0.5},
                                                          {0.2, 0.9, 0.3, 0.5, 0.6},
                                                          {0.4, 0.4, 0.9, 0.8, 0.7},
                                                          {0.1, 0.5, 0.4, 0.5, 0.95},
                                                          {0.2, 0.3, 0.1, 0.4, 0.3}};
  covey::Random random(1);
  columns.learner.resize(n);
  columns.clusterable.assign(n, 1);
  for (auto& trait : columns.trait) trait.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    columns.learner[i] = static_cast<covey::learners::LearnerRef>(i);
    const auto& kind = kKinds[random.below(5)];
    for (std::size_t d = 0; d < covey::learners::kTraits; ++d) {
      // Twelve uniforms less six: near enough to normal, and five times as fast.
      double blur = -2;
      for (int u = 0; u < 4; ++u) blur += random.uniform();
      columns.trait[d][i] = static_cast<float>(std::min(1.0, std::max(0.0, kind[d] + 0.25 * blur)));
    }
  }
  return columns;
}

void pass(benchmark::State& state, Isa isa, unsigned threads) {
  const covey::cohorts::Kernel kernel = covey::cohorts::kernel_for(isa);
  if (kernel == nullptr) {
    state.SkipWithError("this machine lacks the instruction set");
    return;
  }
  const auto n = static_cast<std::size_t>(state.range(0));
  const auto k = static_cast<unsigned>(state.range(1));
  Spinners parallel(threads);
  const auto standard = covey::cohorts::standardise(learners_of(n), parallel);
  covey::Random random(7);
  const auto centers = covey::cohorts::seed_centers(standard.points, k, random);
  std::vector<std::uint8_t> label(n);
  for (auto _ : state)
    benchmark::DoNotOptimize(
        covey::cohorts::pass(standard.points, centers, k, label.data(), kernel, parallel));
  const auto items = static_cast<std::int64_t>(n) * state.iterations();
  state.SetItemsProcessed(items);
  state.SetBytesProcessed(items * 22);
}

void discover(benchmark::State& state, unsigned threads, bool again) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const auto& columns = learners_of(n);
  Spinners parallel(threads);
  const Watch clock;
  const auto key = [](std::size_t i) { return covey::mix64(i + 1); };
  covey::cohorts::Previous before;
  covey::cohorts::Options options;
  if (state.range(1) != 0) options.k = static_cast<std::uint32_t>(state.range(1));
  if (again)
    before = covey::cohorts::remember(
        *covey::cohorts::discover(columns, {.k = {}, .seed = 2}, nullptr, key, parallel, clock),
        [&](covey::learners::LearnerRef ref) { return key(static_cast<std::size_t>(ref)); });
  covey::cohorts::Timing timing;
  double k = 0;
  for (auto _ : state) {
    const auto run =
        covey::cohorts::discover(columns, options, again ? &before : nullptr, key, parallel, clock);
    timing = run->timing;
    k = run->k;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(n) * state.iterations());
  state.counters["k"] = k;
  state.counters["choose_k_ms"] = timing.choose_k_ms;
  state.counters["cluster_ms"] = timing.cluster_ms;
  state.counters["quality_ms"] = timing.quality_ms;
}

void remember(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  covey::cohorts::Discovery run;
  run.cohorts.resize(1);
  run.label.resize(n);
  run.learner = learners_of(n).learner;
  for (auto _ : state)
    benchmark::DoNotOptimize(covey::cohorts::remember(run, [](covey::learners::LearnerRef ref) {
      return covey::mix64(static_cast<std::uint64_t>(ref) + 1);
    }));
  state.SetItemsProcessed(static_cast<std::int64_t>(n) * state.iterations());
}

void sizes(benchmark::internal::Benchmark* b) {
  for (const std::int64_t k : {5, 8})
    for (const std::int64_t n : {1'000, 32'000, 1'000'000, 5'000'000}) b->Args({n, k});
  b->Unit(benchmark::kMillisecond)->UseRealTime();
}

void runs(benchmark::internal::Benchmark* b) {
  for (const std::int64_t n : {100'000, 1'000'000, 5'000'000}) b->Args({n, 0});
  b->Unit(benchmark::kMillisecond)->UseRealTime();
}

}  // namespace

BENCHMARK_CAPTURE(pass, avx512_2_threads, Isa::kAvx512, 2)->Apply(sizes);
BENCHMARK_CAPTURE(pass, avx2_2_threads, Isa::kAvx2, 2)->Apply(sizes);
BENCHMARK_CAPTURE(pass, avx512_1_thread, Isa::kAvx512, 1)->Apply(sizes);
BENCHMARK_CAPTURE(pass, avx2_1_thread, Isa::kAvx2, 1)->Apply(sizes);
BENCHMARK_CAPTURE(pass, scalar_1_thread, Isa::kScalar, 1)->Apply(sizes);
BENCHMARK_CAPTURE(discover, 2_threads, 2, false)->Apply(runs);
BENCHMARK_CAPTURE(discover, 1_thread, 1, false)->Apply(runs);
BENCHMARK_CAPTURE(discover, 2_threads_again, 2, true)->Apply(runs);
BENCHMARK(remember)->Arg(5'000'000)->Unit(benchmark::kMillisecond);

BENCHMARK_MAIN();

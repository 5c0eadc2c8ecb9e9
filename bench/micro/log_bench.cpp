// Durable appends and the recogniser of duplicates. `--benchmark_filter=Append` writes to the
// current directory, so run it on the disk in question.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "log/id_index.h"
#include "log/rocks_log.h"

namespace covey::log {
namespace {

constexpr std::size_t kEventsARecord = 1000;
constexpr std::size_t kBytesAnEvent = 45;

/// Ids nobody has seen: distinct by construction, as good as hashes to the index.
Hash128 id_of(std::uint64_t n) {
  return {mix64(n), mix64(n ^ 0x5bd1e995)};
}

/// Bytes that compress about as packed events do, two to one.
std::string payload(std::size_t size) {
  Random random(1);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.below(16));
  return bytes;
}

class Store {
 public:
  Store() : dir_(std::filesystem::current_path() / "log_bench.store") {
    std::filesystem::remove_all(dir_);
    open();
  }
  ~Store() {
    log_.reset();
    std::filesystem::remove_all(dir_);
  }
  void open() {
    log_.reset();
    auto opened = open_rocks_log(dir_, Access::kReadWrite, {}, clock_);
    if (!opened) {
      fmt::print(stderr, "{}\n", opened.error().message);
      std::exit(1);
    }
    log_ = std::move(*opened);
  }
  Log& log() { return *log_; }

 private:
  std::filesystem::path dir_;
  ManualClock clock_{Time(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1))};
  std::unique_ptr<Log> log_;
};

/// Appends `records` records of new ids in one group; `next` numbers them.
bool append(Log& log, std::size_t records, std::size_t events, const std::string& bytes,
            std::uint64_t& next) {
  std::vector<std::vector<Hash128>> ids(records);
  std::vector<Record> group(records);
  for (std::size_t r = 0; r < records; ++r) {
    for (std::size_t i = 0; i < events; ++i) ids[r].push_back(id_of(next++));
    group[r].ids = ids[r];
    group[r].encode = [&](auto) { return bytes; };
  }
  return log.append(group).has_value();
}

// Durable events a second: records of 1,000 events, `range(0)` of them sharing one fsync.
void Append(benchmark::State& state) {
  Store store;
  const auto records = static_cast<std::size_t>(state.range(0));
  const std::string bytes = payload(kEventsARecord * kBytesAnEvent);
  std::uint64_t next = 0;
  for (auto _ : state) {
    if (!append(store.log(), records, kEventsARecord, bytes, next)) {
      state.SkipWithError("append failed");
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(next));
  state.SetBytesProcessed(static_cast<std::int64_t>(next * kBytesAnEvent));
  state.counters["fsyncs"] = static_cast<double>(store.log().sizes().fsyncs);
}
BENCHMARK(Append)->Arg(1)->Arg(8)->Arg(64)->UseRealTime()->Unit(benchmark::kMillisecond);

// What one fsync of a tiny record costs here: the floor under every acknowledgement.
void AppendOneEvent(benchmark::State& state) {
  Store store;
  const std::string bytes = payload(kBytesAnEvent);
  std::uint64_t next = 0;
  for (auto _ : state) {
    if (!append(store.log(), 1, 1, bytes, next)) state.SkipWithError("append failed");
  }
}
BENCHMARK(AppendOneEvent)->UseRealTime()->Unit(benchmark::kMicrosecond);

void Read(benchmark::State& state) {
  Store store;
  const std::string bytes = payload(kEventsARecord * kBytesAnEvent);
  std::uint64_t next = 0;
  for (int group = 0; group < 250; ++group) {
    if (!append(store.log(), 8, kEventsARecord, bytes, next)) state.SkipWithError("append failed");
  }
  for (auto _ : state) {
    std::size_t seen = 0;
    const auto end = store.log().read({}, [&](Position, std::string_view record) -> Result<void> {
      seen += record.size();
      return {};
    });
    if (!end) state.SkipWithError("read failed");
    benchmark::DoNotOptimize(seen);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * next));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * next * kBytesAnEvent));
}
BENCHMARK(Read)->UseRealTime()->Unit(benchmark::kMillisecond);

// A new id: look-up and entry, beside `range(0)` entries, growth included. Budget: one cache line.
void IndexNewIds(benchmark::State& state) {
  IdIndex index(std::size_t{8} << 30);
  std::vector<Hash128> ids(kEventsARecord);
  std::vector<std::uint8_t> duplicate(kEventsARecord);
  std::uint64_t next = 0;
  std::uint64_t sequence = 0;
  const auto refill = [&] {
    for (Hash128& id : ids) id = id_of(next++);
  };
  while (next < static_cast<std::uint64_t>(state.range(0))) {
    refill();
    if (!index.load(ids, sequence++)) state.SkipWithError("index full");
  }
  if (!index.finish_load()) state.SkipWithError("index full");
  for (auto _ : state) {
    refill();
    const auto added =
        index.add(ids, sequence++, duplicate, [](auto, auto&) -> Result<bool> { return false; });
    if (!added) state.SkipWithError("index full");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kEventsARecord));
  state.counters["bytes_an_entry"] =
      static_cast<double>(index.bytes()) / static_cast<double>(index.entries());
}
BENCHMARK(IndexNewIds)
    ->Arg(1'000'000)
    ->Arg(10'000'000)
    ->Arg(50'000'000)
    ->Iterations(2000)
    ->Unit(benchmark::kMicrosecond);

// Opening a store whose ids of the last days must be known again.
void OpenWithIds(benchmark::State& state) {
  Store store;
  const std::string bytes = payload(16);
  std::uint64_t next = 0;
  while (next < static_cast<std::uint64_t>(state.range(0))) {
    if (!append(store.log(), 50, kEventsARecord, bytes, next)) {
      state.SkipWithError("append failed");
    }
  }
  for (auto _ : state) store.open();
  state.counters["ids"] = static_cast<double>(store.log().sizes().id_index_entries);
  state.counters["index_bytes"] = static_cast<double>(store.log().sizes().id_index_bytes);
}
BENCHMARK(OpenWithIds)
    ->Arg(1'000'000)
    ->Arg(50'000'000)
    ->Iterations(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace covey::log

// Foreign rows into a batch, and a batch to bytes and back. One thread, fixed seed.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <iterator>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "events/batch.h"
#include "events/csv.h"
#include "events/ndjson.h"

namespace covey::events {
namespace {

constexpr std::uint32_t kEvents = 65'536;
constexpr std::string_view kHeader = "id,learner,time,type,capability,domain,score,duration_s";

/// Practice as a platform sends it: 50 events a learner on average, 16 domains, 1,000 capabilities,
/// 90 days; about 175 bytes of NDJSON a row.
std::string rows(bool csv) {
  Random random(1);
  const Time start = parse_time("2025-08-01").value();
  std::string out;
  for (std::uint32_t i = 0; i < kEvents; ++i) {
    const auto learner = random.below(kEvents / 50);
    const std::string time = format_time(start + std::chrono::seconds(random.below(90 * 86'400)));
    const auto capability = random.below(1'000);
    fmt::format_to(
        std::back_inserter(out),
        fmt::runtime(
            csv ? "evt-{:08x},learner-{:07},{},practice,skill-{:04},domain-{:02},{:.2f},{}\n"
                : R"({{"id":"evt-{:08x}","learner":"learner-{:07}","time":"{}",)"
                  R"("type":"practice","capability":"skill-{:04}","domain":"domain-{:02}",)"
                  R"("score":{:.2f},"duration_s":{}}})"
                  "\n"),
        static_cast<std::uint32_t>(random.next()), learner, time, capability, capability % 16,
        random.uniform(), random.below(600));
  }
  return out;
}

const Source& source() {
  static const Source made{"bench", 1, latest_time()};
  return made;
}

Parsed parsed() {
  static const std::string text = rows(false);
  Parsed out;
  Ndjson().parse(text, source(), out);
  return out;
}

template <typename Codec>
void parse(benchmark::State& state, Codec codec, const std::string& text) {
  double bytes_an_event = 0;
  for (auto _ : state) {
    Parsed out;
    codec.parse(text, source(), out);
    if (out.batch.size() != kEvents) state.SkipWithError("rows were rejected");
    bytes_an_event = static_cast<double>(out.batch.memory_bytes()) / kEvents;
    benchmark::DoNotOptimize(out);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kEvents);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
  state.counters["memory_bytes_an_event"] = bytes_an_event;
  state.counters["text_bytes_a_row"] = static_cast<double>(text.size()) / kEvents;
}

void BM_ParseNdjson(benchmark::State& state) {
  parse(state, Ndjson(), rows(false));
}
BENCHMARK(BM_ParseNdjson);

void BM_ParseCsv(benchmark::State& state) {
  parse(state, Csv::from_header(kHeader).value(), rows(true));
}
BENCHMARK(BM_ParseCsv);

void BM_Add(benchmark::State& state) {
  const Parsed from = parsed();
  std::vector<Attribute> room;
  std::vector<Event> events;
  for (std::uint32_t i = 0; i < kEvents; ++i) events.push_back(from.batch.event(i, room));
  for (auto _ : state) {
    Batch batch;
    for (const Event& event : events) batch.add(event);
    benchmark::DoNotOptimize(batch);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kEvents);
}
BENCHMARK(BM_Add);

void BM_Encode(benchmark::State& state) {
  const Parsed from = parsed();
  std::size_t size = 0;
  for (auto _ : state) {
    const std::string bytes = from.batch.encode();
    size = bytes.size();
    benchmark::DoNotOptimize(bytes.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kEvents);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
  state.counters["stored_bytes_an_event"] = static_cast<double>(size) / kEvents;
}
BENCHMARK(BM_Encode);

void BM_Decode(benchmark::State& state) {
  const std::string bytes = parsed().batch.encode();
  for (auto _ : state) {
    auto batch = Batch::decode(bytes);
    if (!batch) state.SkipWithError(batch.error().message.c_str());
    benchmark::DoNotOptimize(batch);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kEvents);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes.size()));
}
BENCHMARK(BM_Decode);

void BM_SelectHalf(benchmark::State& state) {
  const Parsed from = parsed();
  std::vector<std::uint8_t> keep(kEvents);
  for (std::uint32_t i = 0; i < kEvents; ++i) keep[i] = i % 2;
  for (auto _ : state) benchmark::DoNotOptimize(from.batch.select(keep));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kEvents);
}
BENCHMARK(BM_SelectHalf);

}  // namespace
}  // namespace covey::events

#include "analyzer/analyzer.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <iterator>
#include <list>
#include <mutex>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "analyzer/quarantine.h"
#include "base/hash.h"

namespace covey::analyzer {
namespace {

using events::Batch;
using events::Parsed;
using events::RowPart;

constexpr std::chrono::minutes kAheadMax{5};
constexpr std::string_view kPreviousPrefix = "discovery/previous/";
constexpr std::size_t kPreviousChunk = std::size_t{512} << 10;
constexpr std::size_t kReplayGroup = 16;           // records decoded and folded together
constexpr std::uint64_t kSnapshotAtStop = 50'000;  // events worth a snapshot on the way out

std::size_t bytes_of(const Parsed& parsed) {
  std::size_t bytes = parsed.batch.memory_bytes();
  for (const auto& r : parsed.rejected) {
    bytes += sizeof r + r.row.size() + r.reason.size() + r.source.size() + r.context.size();
  }
  return bytes;
}

/// The rows at or before `horizon`; all of them is the usual case and costs nothing.
enum class Side { kUntil, kAfter };
Batch cut(const Batch& batch, Time horizon, Side side) {
  std::vector<std::uint8_t> keep(batch.size());
  const std::int64_t limit = horizon.time_since_epoch().count();
  for (std::uint32_t i = 0; i < batch.size(); ++i) {
    keep[i] = (batch.time_us()[i] <= limit) == (side == Side::kUntil) ? 1 : 0;
  }
  return batch.select(keep);
}

}  // namespace

std::vector<std::string> Limits::validate() const {
  std::vector<std::string> faults;
  if (queue_bytes_max < (std::size_t{1} << 20)) {
    faults.emplace_back("queue_bytes_max must be at least 1 MiB");
  }
  if (group_bytes_max < (std::size_t{1} << 16)) {
    faults.emplace_back("group_bytes_max must be at least 64 KiB");
  }
  if (snapshot_events == 0) faults.emplace_back("snapshot_events must be at least 1");
  return faults;
}

struct Analyzer::State {
  struct Item {
    Parsed parsed;
    std::function<void(Result<Receipt>)> done;
    std::vector<std::string> erases;
    std::vector<std::pair<std::string, std::string>> puts;
    std::size_t bytes = 0;
    std::chrono::nanoseconds submitted{};
    std::string encoded = {};  ///< the batch, as it is stored where nothing in it is known
    /// Of a run: the last key of its labels. A longer run before it left more, which go as it
    /// comes.
    std::string last_of_labels = {};
  };

  State(const Config& c, log::Log& l, const Clock& k, Parallel& p)
      : config(c), log(l), clock(k), parallel(p) {}

  Config config;
  log::Log& log;
  const Clock& clock;
  Parallel& parallel;
  std::unique_ptr<learners::Engine> engine;
  Counters counters;
  // Of engine and log, as of the last group: asked for by RocksDB's own lock, which a compaction
  // may hold that steps back behind all others.
  std::atomic<std::size_t> memory_bytes{0};

  // The queue; everything below up to the next mark is guarded by `mutex`.
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Item> queue;
  /// Still to be parsed, by age.
  struct Unparsed {
    std::size_t bytes;
    std::chrono::nanoseconds since;
  };
  std::list<Unparsed> unparsed;
  std::size_t unparsed_bytes = 0;
  /// The newest discovery on its way to the log. Beside the queue, which it would fill with labels
  /// of millions and so turn events away; one not stored yet gives way to the next, which holds it
  /// all.
  std::optional<Item> run_to_store;
  std::size_t queued_bytes = 0;
  std::optional<std::chrono::nanoseconds> storing_since;  // the oldest of the group under way
  bool stopping = false;
  std::optional<Error> broken;  ///< why nothing can be stored

  // Owned by the ingest thread (and by open() before there is one).
  std::atomic<bool> prepared{false};
  log::Cursor cursor;  // what the engine and `held` include
  Batch held;          // events between now and the 5 minutes ahead that are allowed
  std::uint64_t events_since_snapshot = 0;
  std::uint64_t quarantined = 0;
  std::atomic<std::int64_t> newest_folded_us{INT64_MIN};

  // Discovery. `running` is held for a whole run, `published_mutex` for a pointer copy only.
  std::mutex running;
  std::optional<cohorts::Previous> previous;
  std::vector<PastRun> remembered;  // with those on their way to the log
  mutable std::mutex published_mutex;
  std::shared_ptr<const cohorts::Discovery> published;
  std::shared_ptr<const std::vector<PastRun>> runs = std::make_shared<const std::vector<PastRun>>();

  Time as_of() const {
    if (config.as_of) return *config.as_of;
    // Never before what is folded already: a clock set back must not unsay an answer.
    return std::max(clock.wall(), Time(std::chrono::microseconds(newest_folded_us.load())));
  }

  void fold(std::span<const Batch* const> batches, Parallel& with);
  void count_activity(const Batch& batch);
  void release_held(bool force_check);
  Result<void> recover(const std::function<void(const Progress&)>& report);
  Result<bool> load_snapshot(const std::function<void(const Progress&)>& report);
  Result<void> replay(const std::function<void(const Progress&)>& report);
  Result<void> load_previous();
  std::optional<Error> refusal(std::size_t bytes) const;
  std::optional<Error> memory_refusal() const;
  void measure_memory();
  void count_queue() { counters.queued_bytes.store(queued_bytes + unparsed_bytes); }
  Unparsed leave(std::list<Unparsed>::iterator place);
  void store(std::vector<Item>& group);
  void erase_longer(Item& run, log::Record& record) const;
  bool snapshot_due() const;
  Result<void> snapshot();
};

// Folds what T has reached. What lies ahead of the clock waits in `held`; what lies ahead of a
// pinned T is in the log and nowhere else.
void Analyzer::State::fold(std::span<const Batch* const> batches, Parallel& with) {
  const Time horizon = config.as_of ? *config.as_of : clock.wall();
  std::vector<const Batch*> ready;
  std::deque<Batch> parts;
  std::int64_t newest = newest_folded_us.load();
  for (const Batch* batch : batches) {
    if (batch->empty()) continue;
    const Batch* fits = batch;
    if (batch->newest() > horizon) {
      parts.push_back(cut(*batch, horizon, Side::kUntil));
      fits = &parts.back();
      if (!config.as_of) {
        const Batch ahead = cut(*batch, horizon, Side::kAfter);
        std::vector<events::Attribute> attributes;
        for (std::uint32_t i = 0; i < ahead.size(); ++i) held.add(ahead.event(i, attributes));
      }
    }
    if (fits->empty()) continue;
    ready.push_back(fits);
    newest = std::max(newest, std::int64_t{fits->newest().time_since_epoch().count()});
  }
  if (ready.empty()) return;
  engine->apply(ready, with);
  newest_folded_us.store(newest);
  counters.newest_event_us.store(newest);
}

void Analyzer::State::release_held(bool force_check) {
  if (held.empty() || config.as_of) return;
  if (!force_check && held.oldest() > clock.wall()) return;
  Batch waiting;
  std::swap(waiting, held);
  const Batch* one = &waiting;
  fold(std::span(&one, 1), parallel);  // puts back what is still ahead
}

Result<bool> Analyzer::State::load_snapshot(const std::function<void(const Progress&)>& report) {
  auto opened = log.open_snapshot();
  if (!opened) {
    if (opened.error().code == Errc::kNotFound) return false;
    if (opened.error().code == Errc::kCorrupt) return false;  // the log has it all
    return std::unexpected(opened.error());
  }
  auto& stored = *opened;
  std::uint64_t seen = 0;
  const auto next = [&]() -> Result<std::optional<std::string>> {
    auto chunk = stored.next();
    if (chunk && *chunk) {
      seen += (*chunk)->size();
      report({"snapshot", seen, std::max(seen, stored.bytes)});
    }
    return chunk;
  };
  const auto unusable = [this]() -> Result<bool> {
    // Whatever was half loaded goes with the engine; the log is the truth.
    engine = config.engine == "fast" ? learners::make_fast() : learners::make_baseline();
    held = Batch();
    newest_folded_us.store(INT64_MIN);
    return false;
  };
  // The first chunk: which engine wrote it, the newest event folded, and the events held back.
  const auto head = next();
  if (!head || !*head) return unusable();
  const std::string& text = **head;
  const std::string mark = "covey-snapshot-1 " + config.engine + "\n";
  std::int64_t newest = 0;
  if (!text.starts_with(mark) || text.size() < mark.size() + sizeof newest) return unusable();
  std::memcpy(&newest, text.data() + mark.size(), sizeof newest);
  const Time newest_time{std::chrono::microseconds(newest)};
  if (config.as_of && newest_time > *config.as_of) return unusable();  // includes too much
  auto waiting = Batch::decode(std::string_view(text).substr(mark.size() + sizeof newest));
  if (!waiting || !engine->load(next, parallel)) return unusable();
  cursor = stored.cursor;
  newest_folded_us.store(newest);
  counters.newest_event_us.store(newest);
  const Batch* one = &*waiting;
  if (!one->empty()) fold(std::span(&one, 1), parallel);
  return true;
}

Result<void> Analyzer::State::replay(const std::function<void(const Progress&)>& report) {
  const log::Cursor end = log.end();
  const auto count = [](const log::Cursor& c) {
    std::uint64_t sum = 0;
    for (const auto n : c.next) sum += n;
    return sum;
  };
  const std::uint64_t first = count(cursor), total = count(end) - std::min(count(end), first);
  std::uint64_t done = 0;
  std::vector<std::pair<log::Position, std::string>> raw;
  std::vector<Result<Batch>> decoded;
  const auto flush = [&]() -> Result<void> {
    decoded.assign(raw.size(), Batch());
    parallel.run(raw.size(), [&](std::size_t i) { decoded[i] = Batch::decode(raw[i].second); });
    std::vector<const Batch*> batches;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (!decoded[i]) {
        return fail(Errc::kCorrupt, fmt::format("record {} of the log: {}; restore the store from "
                                                "a backup, or import the events again",
                                                raw[i].first.sequence, decoded[i].error().message));
      }
      batches.push_back(&*decoded[i]);
      events_since_snapshot += decoded[i]->size();
    }
    fold(batches, parallel);
    done += raw.size();
    raw.clear();
    report({"log", done, std::max(done, total)});
    return {};
  };
  std::size_t bytes = 0;
  cursor = COVEY_TRY(
      log.read(cursor, [&](log::Position position, std::string_view record) -> Result<void> {
        raw.emplace_back(position, record);
        bytes += record.size();
        if (raw.size() < kReplayGroup && bytes < config.limits.group_bytes_max) return {};
        bytes = 0;
        return flush();
      }));
  if (!raw.empty()) COVEY_TRY_VOID(flush());
  return {};
}

Result<void> Analyzer::State::load_previous() {
  std::string bytes;
  COVEY_TRY_VOID(log.scan(kPreviousPrefix, {}, [&](std::string_view, std::string_view value) {
    bytes.append(value);
    return true;
  }));
  if (!bytes.empty()) previous = COVEY_TRY(cohorts::decode_previous(bytes));
  if (const auto kept = COVEY_TRY(log.get(kRunsKey))) {
    remembered = COVEY_TRY(decode_runs(*kept));
    runs = std::make_shared<const std::vector<PastRun>>(remembered);
  }
  return {};
}

Result<void> Analyzer::State::recover(const std::function<void(const Progress&)>& report) {
  engine = config.engine == "fast" ? learners::make_fast() : learners::make_baseline();
  if (config.use_snapshot) COVEY_TRY(load_snapshot(report));
  COVEY_TRY_VOID(replay(report));
  COVEY_TRY_VOID(load_previous());
  return log.scan(kQuarantinePrefix, {}, [this](std::string_view, std::string_view) {
    ++quarantined;
    return true;
  });
}

void Analyzer::State::count_activity(const Batch& batch) {
  constexpr std::uint32_t kNotYet = experiment::kBuckets;
  std::uint64_t practice = 0;
  std::vector<events::Attribute> attributes;
  // A learner comes many times in a batch: hashed once.
  std::vector<std::uint32_t> buckets(batch.learners().size(), kNotYet);
  const auto learners = batch.learner();
  for (std::uint32_t e = 0; e < batch.size(); ++e) {
    const events::EventType type = batch.type(e);
    const bool purchased = type == events::EventType::kPurchase;
    if (!purchased && type != events::EventType::kPractice) continue;
    std::uint32_t& bucket = buckets[learners[e]];
    if (bucket == kNotYet) {
      bucket = experiment::bucket(batch.learners()[learners[e]], experiment::kTrafficSeed);
    }
    if (!purchased) {
      ++practice;
      counters.activity.practised(bucket);
      continue;
    }
    const events::Event purchase = batch.event(e, attributes);
    counters.revenue.add(purchase.currency, purchase.amount.value_or(0));
    counters.activity.purchased(bucket, purchase.currency, purchase.amount.value_or(0));
  }
  counters.practice += practice;
}

// One fsync for the group, then the fold, then the acknowledgements.
void Analyzer::State::store(std::vector<Item>& group) {
  struct Work {
    std::vector<Hash128> ids;
    Batch kept;
    const Batch* fold = nullptr;
    Receipt receipt;
  };
  std::vector<Work> work(group.size());
  std::vector<log::Record> records(group.size());
  std::uint64_t rejected = 0;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const Batch& batch = group[i].parsed.batch;
    Work& w = work[i];
    w.ids.reserve(batch.size());
    for (std::uint32_t e = 0; e < batch.size(); ++e) {
      if (batch.part(e) != RowPart::kContinuation) w.ids.push_back(batch.id_hash()[e]);
    }
    w.receipt.rejected = group[i].parsed.rejected.size();
    rejected += w.receipt.rejected;
    records[i].ids = w.ids;
    records[i].puts = std::move(group[i].puts);
    records[i].erases = std::move(group[i].erases);
    for (const auto& r : group[i].parsed.rejected) {
      records[i].puts.emplace_back(quarantine_key(r), encode(Quarantined{r, clock.wall()}));
    }
    if (!group[i].last_of_labels.empty()) erase_longer(group[i], records[i]);
    records[i].encode = [&batch, &w, &encoded = group[i].encoded](
                            std::span<const std::uint8_t> duplicate) -> std::string {
      std::vector<std::uint8_t> keep(batch.size());
      std::size_t id = 0;
      std::uint8_t kept = 0;
      bool all = true;
      for (std::uint32_t e = 0; e < batch.size(); ++e) {
        if (batch.part(e) != RowPart::kContinuation) {
          kept = duplicate[id++] == 0 ? 1 : 0;
          if (batch.part(e) == RowPart::kWhole) {
            ++(kept == 1 ? w.receipt.accepted : w.receipt.duplicates);
          }
        }
        keep[e] = kept;
        all = all && kept == 1;
      }
      w.fold = &batch;
      if (all) return std::move(encoded);
      w.kept = batch.select(keep);
      w.fold = &w.kept;
      return w.kept.empty() ? std::string() : w.kept.encode();
    };
  }

  std::uint64_t released = 0;
  for (const auto& record : records) {
    released += static_cast<std::uint64_t>(std::ranges::count_if(
        record.erases, [](const std::string& key) { return key.starts_with(kQuarantinePrefix); }));
  }

  auto appended = [&]() -> Result<std::vector<log::Appended>> {
    if (rejected > 0 && quarantined + rejected > config.limits.quarantine_max) {
      return fail(Errc::kFull,
                  fmt::format("the quarantine holds {} rows and is full; see `covey quarantine "
                              "list`, then replay or drop them",
                              quarantined));
    }
    return log.append(records);
  }();
  if (!appended) {
    for (Item& item : group) {
      if (item.done) item.done(std::unexpected(appended.error()));
    }
    return;
  }
  quarantined = quarantined + rejected - std::min(quarantined, released);
  std::vector<const Batch*> batches;
  std::uint64_t events = 0;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (const auto& position = (*appended)[i].position) {
      if (cursor.next.size() <= position->origin) cursor.next.resize(position->origin + 1, 0);
      cursor.next[position->origin] = position->sequence + 1;
      batches.push_back(work[i].fold);
      events += work[i].fold->size();
    }
  }
  fold(batches, parallel);
  for (const Batch* batch : batches) count_activity(*batch);
  events_since_snapshot += events;
  ++counters.groups;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const Receipt& receipt = work[i].receipt;
    counters.accepted += receipt.accepted;
    counters.duplicates += receipt.duplicates;
    counters.rejected += receipt.rejected;
    if (group[i].done) group[i].done(receipt);
  }
}

/// Has `record` erase the labels of a longer run. Now, for it may have been stored since `run` was
/// made. Where they can't be read, `run` alone is not stored.
void Analyzer::State::erase_longer(Item& run, log::Record& record) const {
  const auto scanned =
      log.scan(kPreviousPrefix, run.last_of_labels, [&](std::string_view key, std::string_view) {
        record.erases.emplace_back(key);
        return true;
      });
  if (scanned) return;
  record.puts.clear();
  record.erases.clear();
  if (run.done) std::exchange(run.done, nullptr)(std::unexpected(scanned.error()));
}

// A snapshot costs as much as there are learners; so that many of them are not written out every
// few seconds, they wait for more events.
bool Analyzer::State::snapshot_due() const {
  const std::uint64_t millions = engine->learners() / 1'000'000;
  return events_since_snapshot / std::max<std::uint64_t>(millions, 1) >=
         config.limits.snapshot_events;
}

Result<void> Analyzer::State::snapshot() {
  if (config.as_of) return {};  // a pinned engine leaves out what came later: of no use to others
  auto writer = COVEY_TRY(log.begin_snapshot());
  Result<void> status;
  std::string head = "covey-snapshot-1 " + config.engine + "\n";
  const std::int64_t newest = newest_folded_us.load();
  head.append(reinterpret_cast<const char*>(&newest), sizeof newest);
  head += held.encode();
  bool first = true;
  const auto sink = [&](std::string_view chunk) -> Result<void> {
    if (first) {
      COVEY_TRY_VOID(writer->write(head));
      first = false;
    }
    return writer->write(chunk);
  };
  if (!engine->save(sink, status)) return {};  // this engine keeps none
  COVEY_TRY_VOID(status);
  COVEY_TRY_VOID(writer->commit(cursor));
  events_since_snapshot = 0;
  ++counters.snapshots;
  return {};
}

Analyzer::Analyzer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Analyzer::~Analyzer() = default;

Result<std::unique_ptr<Analyzer>> Analyzer::open(
    const Config& config, log::Log& log, const Clock& clock, Parallel& parallel,
    const std::function<void(const Progress&)>& report) {
  if (config.engine != "fast" && config.engine != "baseline") {
    return fail(Errc::kRejected,
                fmt::format("engine '{}' is unknown; use fast or baseline", config.engine));
  }
  if (const auto faults = config.limits.validate(); !faults.empty()) {
    return fail(Errc::kRejected, fmt::format("{}", fmt::join(faults, "; ")));
  }
  auto state = std::make_unique<State>(config, log, clock, parallel);
  COVEY_TRY_VOID(state->recover(report));
  state->measure_memory();
  return std::unique_ptr<Analyzer>(new Analyzer(std::move(state)));
}

// Under the lock. A single submission may be larger than the queue's limit, so it may enter an
// empty queue.
std::optional<Error> Analyzer::State::refusal(std::size_t bytes) const {
  if (broken) return broken;
  if (stopping) {
    return Error{Errc::kRetryLater, "the service is stopping; try again in a few seconds"};
  }
  const std::size_t before = queued_bytes + unparsed_bytes;
  if (before > 0 && before + bytes > config.limits.queue_bytes_max) {
    return Error{Errc::kRetryLater, "the ingest queue is full; try again in a second"};
  }
  return std::nullopt;
}

std::optional<Error> Analyzer::State::memory_refusal() const {
  const std::size_t ceiling = config.limits.memory_bytes_max;
  if (ceiling == 0 || memory_bytes <= ceiling) return std::nullopt;
  return Error{Errc::kFull,
               fmt::format("memory is at its ceiling of {} MiB; raise --memory", ceiling >> 20)};
}

void Analyzer::State::measure_memory() {
  if (config.limits.memory_bytes_max == 0) return;
  const learners::MemoryUse use = engine->memory();
  memory_bytes = use.bytes + use.rooms + log.memory_bytes();
}

// Under the lock.
Analyzer::State::Unparsed Analyzer::State::leave(std::list<Unparsed>::iterator place) {
  const Unparsed left = *place;
  unparsed.erase(place);
  unparsed_bytes -= left.bytes;
  count_queue();
  return left;
}

struct Analyzer::Place::Held {
  explicit Held(State& s) : state(s) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    if (!at) return;
    const std::lock_guard lock(state.mutex);
    state.leave(*at);
  }
  State& state;
  std::optional<std::list<State::Unparsed>::iterator> at;  // none: not in line, or no longer
};

Analyzer::Place::Place(std::unique_ptr<Held> held) : held_(std::move(held)) {}
Analyzer::Place::Place(Place&&) noexcept = default;
Analyzer::Place& Analyzer::Place::operator=(Place&&) noexcept = default;
Analyzer::Place::~Place() = default;

Result<Analyzer::Place> Analyzer::place(std::size_t bytes) {
  State& s = *state_;
  Place place(std::make_unique<Place::Held>(s));
  std::optional<Error> why = s.memory_refusal();
  if (!why) {
    const std::lock_guard lock(s.mutex);
    why = s.refusal(bytes);
    if (!why) {
      s.unparsed.push_back({bytes, s.clock.now()});
      s.unparsed_bytes += bytes;
      s.count_queue();
      place.held_->at = std::prev(s.unparsed.end());
      return place;
    }
  }
  ++s.counters.refused;
  return std::unexpected(*std::move(why));
}

Result<void> Analyzer::submit(Parsed parsed, std::function<void(Result<Receipt>)> done,
                              std::vector<std::string> erases) {
  Place mine = COVEY_TRY(place(bytes_of(parsed)));
  return submit(std::move(mine), std::move(parsed), std::move(done), std::move(erases));
}

Result<void> Analyzer::submit(Place place, Parsed parsed, std::function<void(Result<Receipt>)> done,
                              std::vector<std::string> erases) {
  State& s = *state_;
  // Encoded here, not by the ingest thread, for which all wait. Nearly always nothing in a batch is
  // known yet, and these bytes are stored.
  std::string encoded = parsed.batch.empty() ? std::string() : parsed.batch.encode();
  const std::size_t bytes = bytes_of(parsed) + encoded.size();
  {
    const std::lock_guard lock(s.mutex);
    const std::chrono::nanoseconds since = s.leave(*place.held_->at).since;
    place.held_->at.reset();
    if (auto why = s.refusal(bytes)) {
      ++s.counters.refused;
      return std::unexpected(*std::move(why));
    }
    s.queue.push_back({std::move(parsed),
                       std::move(done),
                       std::move(erases),
                       {},
                       bytes,
                       since,
                       std::move(encoded)});
    s.queued_bytes += bytes;
    s.count_queue();
  }
  s.wake.notify_one();
  return {};
}

bool Analyzer::takes_events() const {
  return state_->prepared;
}

Result<void> Analyzer::run_ingest() {
  State& s = *state_;
  if (const auto prepared = s.log.prepare(); !prepared) {
    std::deque<State::Item> waiting;
    {
      const std::lock_guard lock(s.mutex);
      s.broken = prepared.error();
      waiting.swap(s.queue);
      s.run_to_store.reset();
      s.queued_bytes = 0;
      s.count_queue();
    }
    for (State::Item& item : waiting) {
      if (item.done) item.done(std::unexpected(prepared.error()));
    }
    return prepared;
  }
  s.measure_memory();  // the known ids are there now
  s.prepared = true;
  std::vector<State::Item> group;
  for (;;) {
    std::size_t bytes = 0;
    {
      std::unique_lock lock(s.mutex);
      const auto due = [&s] { return s.stopping || !s.queue.empty() || s.run_to_store; };
      if (s.held.empty() && !s.memory_refusal()) {
        s.wake.wait(lock, due);
      } else {  // events become due, or memory comes free, without anybody's asking
        s.wake.wait_for(lock, std::chrono::milliseconds(200), due);
      }
      while (!s.queue.empty() &&
             (group.empty() || bytes + s.queue.front().bytes <= s.config.limits.group_bytes_max)) {
        bytes += s.queue.front().bytes;
        group.push_back(std::move(s.queue.front()));
        s.queue.pop_front();
      }
      if (s.run_to_store) group.push_back(*std::exchange(s.run_to_store, std::nullopt));
      if (group.empty() && s.stopping) break;
      if (!group.empty()) {
        s.storing_since = std::ranges::min(group, {}, &State::Item::submitted).submitted;
      }
    }
    if (!group.empty()) {
      s.store(group);
      group.clear();
      // Counted until it is done with, so that the limit bounds memory, not the line alone.
      const std::lock_guard lock(s.mutex);
      s.queued_bytes -= bytes;
      s.count_queue();
      s.storing_since.reset();
    }
    s.release_held(false);
    s.measure_memory();
    if (s.snapshot_due() && !s.snapshot()) {
      // The old snapshot and the log stay; the next try is after as many events again.
      s.events_since_snapshot = 0;
      ++s.counters.snapshot_failures;
    }
  }
  if (s.events_since_snapshot >= kSnapshotAtStop && !s.snapshot()) ++s.counters.snapshot_failures;
  return {};
}

void Analyzer::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
}

void Analyzer::pin(Time as_of) {
  COVEY_CHECK(as_of.time_since_epoch().count() >= state_->newest_folded_us.load());
  state_->config.as_of = as_of;
}

Time Analyzer::as_of() const {
  return state_->as_of();
}

Time Analyzer::latest_acceptable() const {
  return state_->clock.wall() + kAheadMax;
}

std::optional<Answer> Analyzer::find(std::string_view learner) const {
  Answer answer;
  answer.as_of = state_->as_of();
  auto facts = state_->engine->find(learner, answer.as_of);
  if (!facts) return std::nullopt;
  answer.facts = std::move(*facts);
  if (answer.facts.state == learners::LearnerState::kActive) {
    if (const auto run = discovery(); run && run->k > 0) {
      answer.cohort = run->cohorts[run->model.assign(answer.facts.traits)];
    }
  }
  return answer;
}

Result<std::shared_ptr<const cohorts::Discovery>> Analyzer::discover(
    const cohorts::Options& options, Parallel& parallel, bool remember) {
  State& s = *state_;
  const std::unique_lock running(s.running, std::try_to_lock);
  if (!running) return fail(Errc::kRetryLater, "a discovery is running; its result comes first");
  const auto started = s.clock.now();
  const learners::TraitColumns columns = s.engine->traits(s.as_of(), parallel);
  const auto traits_done = s.clock.now();
  auto found = COVEY_TRY(cohorts::discover(
      columns, options, s.previous ? &*s.previous : nullptr,
      [&](std::size_t i) { return hash64(s.engine->learner(columns.learner[i])); }, parallel,
      s.clock));
  const auto ms = [](std::chrono::nanoseconds d) { return static_cast<double>(d.count()) / 1e6; };
  found.timing.traits_ms = ms(traits_done - started);
  found.timing.total_ms = ms(s.clock.now() - started);
  auto run = std::make_shared<const cohorts::Discovery>(std::move(found));
  {
    auto last = run;
    const std::lock_guard lock(s.published_mutex);
    s.published.swap(last);
    // `last` goes after the lock: it may be the end of tens of MB.
  }
  if (!remember || run->k == 0) return run;
  auto labels = cohorts::remember(
      *run, [&](learners::LearnerRef ref) { return hash64(s.engine->learner(ref)); });
  keep_run(s.remembered, *run, s.previous ? flows(*s.previous, labels) : std::vector<Flow>(),
           s.clock.wall());
  const auto kept = std::make_shared<const std::vector<PastRun>>(s.remembered);
  s.previous = std::move(labels);
  const std::string bytes = cohorts::encode(*s.previous);
  State::Item item;
  item.puts.emplace_back(kRunsKey, encode(*kept));
  item.done = [&s, kept](const Result<Receipt>& stored) {
    if (!stored) return;
    const std::lock_guard lock(s.published_mutex);
    s.runs = kept;
  };
  std::size_t chunk = 0;
  for (std::size_t at = 0; at < bytes.size(); at += kPreviousChunk) {
    item.puts.emplace_back(fmt::format("{}{:08}", kPreviousPrefix, chunk++),
                           bytes.substr(at, kPreviousChunk));
  }
  item.last_of_labels = item.puts.back().first;
  item.submitted = s.clock.now();
  {
    const std::lock_guard lock(s.mutex);
    s.run_to_store = std::move(item);
  }
  s.wake.notify_one();
  return run;
}

std::shared_ptr<const std::vector<PastRun>> Analyzer::runs() const {
  const std::lock_guard lock(state_->published_mutex);
  return state_->runs;
}

std::shared_ptr<const cohorts::Discovery> Analyzer::discovery() const {
  const std::lock_guard lock(state_->published_mutex);
  return state_->published;
}

Result<std::vector<std::string>> Analyzer::cohort_learners(const cohorts::Discovery& run,
                                                           std::uint32_t cohort_id,
                                                           std::size_t from,
                                                           std::size_t limit) const {
  const auto cohort = std::ranges::find(run.cohorts, cohort_id, &cohorts::Cohort::id);
  if (cohort == run.cohorts.end()) {
    std::vector<std::uint32_t> ids;
    for (const auto& c : run.cohorts) ids.push_back(c.id);
    return fail(Errc::kNotFound, fmt::format("there is no cohort {}; the latest discovery has {}",
                                             cohort_id, fmt::join(ids, ", ")));
  }
  const auto label = static_cast<std::uint8_t>(cohort - run.cohorts.begin());
  std::vector<std::string> learners;
  std::size_t seen = 0;
  for (std::size_t i = 0; i < run.label.size() && learners.size() < limit; ++i) {
    if (run.label[i] == label && seen++ >= from) {
      learners.push_back(state_->engine->learner(run.learner[i]));
    }
  }
  return learners;
}

Result<void> Analyzer::snapshot() {
  return state_->snapshot();
}
const learners::Engine& Analyzer::engine() const {
  return *state_->engine;
}
const log::Log& Analyzer::log() const {
  return state_->log;
}
void Revenue::add(std::string_view currency, double amount) {
  const std::lock_guard lock(mutex_);
  const auto at = amounts_.find(currency);
  (at == amounts_.end() ? amounts_.emplace(currency, 0).first : at)->second += amount;
}

Revenue::ByCurrency Revenue::all() const {
  const std::lock_guard lock(mutex_);
  return amounts_;
}

void Activity::purchased(std::uint32_t bucket, std::string_view currency, double amount) {
  constexpr std::size_t kCurrenciesMax = 16;
  const std::lock_guard lock(mutex_);
  auto at = revenue_.find(currency);
  if (at == revenue_.end()) {
    if (revenue_.size() >= kCurrenciesMax) return;
    at = revenue_.emplace(currency, std::vector<double>(experiment::kBuckets)).first;
  }
  at->second[bucket] += amount;
}

Activity::Sums Activity::of(std::uint32_t begin, std::uint32_t end) const {
  Sums out;
  for (std::uint32_t b = begin; b < end; ++b) {
    out.practice += practice_[b].load(std::memory_order_relaxed);
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [currency, amounts] : revenue_) {
    out.revenue[currency] = std::accumulate(amounts.begin() + begin, amounts.begin() + end, 0.0);
  }
  return out;
}

const Counters& Analyzer::counters() const {
  return state_->counters;
}

std::chrono::nanoseconds Analyzer::ingest_lag() const {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  const std::chrono::nanoseconds now = s.clock.now();
  std::chrono::nanoseconds oldest = s.storing_since.value_or(now);
  // By several parsers: a short body may be before a long one that came first.
  for (const State::Item& item : s.queue) oldest = std::min(oldest, item.submitted);
  if (!s.unparsed.empty()) oldest = std::min(oldest, s.unparsed.front().since);
  return now - oldest;
}

}  // namespace covey::analyzer

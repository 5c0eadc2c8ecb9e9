#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>

#include "base/hash.h"
#include "base/memory.h"
#include "learners/engine.h"
#include "learners/fast_shard.h"

namespace covey::learners {
namespace {

using events::Batch;
using events::EventType;

constexpr std::size_t kShards = 64;  // fixed: the order of learners must not depend on the machine
constexpr std::uint32_t kFiledAhead = 64;       // events ahead of one that is filed
constexpr std::uint32_t kSortedAhead = 32;      // of one that is brought in order
constexpr std::size_t kToldAhead = 8;           // profiles ahead of one that is read
constexpr std::uint32_t kRowsAhead = 8;         // of one whose traits are computed
constexpr std::size_t kRowsPerEventToSort = 8;  // fewer events than rows / this: not worth sorting

std::size_t shard_of(std::uint64_t hash) {
  return hash >> 58;
}

class Fast final : public Engine {
 public:
  Fast() : Fast(std::make_index_sequence<kShards>()) {}
  std::string_view name() const override { return "fast"; }
  void apply(std::span<const Batch* const> batches, Parallel& parallel) override;
  std::optional<LearnerFacts> find(std::string_view learner, Time as_of) const override;
  TraitColumns traits(Time as_of, Parallel& parallel) const override;
  void visit(Time as_of, const std::function<void(const LearnerFacts&)>& see) const override;
  std::string learner(LearnerRef ref) const override {
    return std::string(shards_[shard_part(ref)].name(row_part(ref)));
  }
  std::size_t learners() const override {
    return std::accumulate(shards_.begin(), shards_.end(), std::size_t{0},
                           [](std::size_t sum, const Shard& s) { return sum + s.size(); });
  }
  MemoryUse memory() const override {
    const std::lock_guard lock(memory_mutex_);
    MemoryUse use = memory_;
    use.learners = learners();
    return use;
  }
  bool save(const std::function<Result<void>(std::string_view)>& sink,
            Result<void>& status) const override;
  Result<void> load(const std::function<Result<std::optional<std::string>>()>& next,
                    Parallel& parallel) override;

 private:
  static std::size_t shard_part(LearnerRef ref) { return static_cast<std::uint64_t>(ref) >> 32; }
  static std::uint32_t row_part(LearnerRef ref) { return static_cast<std::uint32_t>(ref); }
  static LearnerRef ref(std::size_t shard, std::uint32_t row) {
    return static_cast<LearnerRef>(std::uint64_t{shard} << 32 | row);
  }
  LearnerFacts facts(const Shard& shard, std::uint32_t row, std::int32_t day,
                     std::int32_t week) const;
  void note_memory();
  static constexpr std::size_t kEventsAtOnce = std::size_t{64} << 20;
  static constexpr std::size_t kRoomsKept = std::size_t{32} << 20;  // more is for one large load

  /// What a profile says, filed apart: attributes depend on no other event.
  struct Told {
    std::uint32_t learner = 0;           // the batch's number within the shard
    std::uint32_t first = 0, count = 0;  // of Prepared::attributes
    std::int64_t time_us = 0;
  };
  // A batch made ready: its names numbered, its events and learners filed by shard.
  struct Prepared {
    const Batch* batch = nullptr;
    std::vector<std::uint32_t> capability, domain;  // batch's number to ours
    events::Dictionary attribute_names;             // keys and values
    std::vector<std::uint32_t> attribute_name;      // their number to ours
    struct Pair {
      std::uint32_t key = 0, value = 0;  // in attribute_names
    };
    std::vector<Pair> attributes;
    std::vector<Told> told;         // by shard, else as they came; so are the events
    std::span<Candidate> learners;  // by shard, in order of the batch's numbers
    std::span<Filed> filed;
    std::array<std::uint32_t, kShards + 1> first_learner{}, first_event{}, first_told{};
  };
  // What a thread needs while it files a batch or folds a shard.
  struct Desk {
    Room<std::uint32_t> seen, where;  // of each learner of a batch
    Room<std::uint64_t> hash;
    std::vector<std::vector<std::uint32_t>> rows;  // of each batch's learners
    std::vector<std::uint32_t> next;
    Room<Filed> sorted;
    FoldSheet sheet;

    std::size_t bytes() const {
      std::size_t total = sizeof(*this) + seen.bytes() + where.bytes() + hash.bytes() +
                          sorted.bytes() + sheet.bytes() + next.capacity() * sizeof(next[0]);
      for (const auto& of_batch : rows) {
        total += sizeof of_batch + of_batch.capacity() * sizeof(of_batch[0]);
      }
      return total;
    }
  };
  // What is needed while events are applied, used again from group to group: memory fresh from
  // the kernel costs more than a small group itself.
  struct Rooms {
    Room<Filed> filed;
    Room<Candidate> learners;
    std::mutex mutex;
    std::vector<std::unique_ptr<Desk>> desks;  // that no thread is at

    std::unique_ptr<Desk> take() {
      const std::lock_guard lock(mutex);
      if (desks.empty()) return std::make_unique<Desk>();
      auto desk = std::move(desks.back());
      desks.pop_back();
      return desk;
    }
    void put(std::unique_ptr<Desk> desk) {
      const std::lock_guard lock(mutex);
      desks.push_back(std::move(desk));
    }
    /// When no thread is at a desk.
    std::size_t bytes() const {
      std::size_t total = filed.bytes() + learners.bytes();
      for (const auto& desk : desks) total += desk->bytes();
      return total;
    }
  };
  void apply_some(std::span<const Batch* const> batches, Parallel& parallel);
  void number_names(Prepared& prepared);
  static void file_by_shard(Prepared& prepared, Desk& desk);
  void fold_shard(std::size_t shard, std::span<const Prepared> prepared, Desk& desk);

  template <std::size_t... shard>
  explicit Fast(std::index_sequence<shard...>) : shards_{((void)shard, Shard(slabs_))...} {}

  Slabs slabs_;  // before all that takes from it
  std::array<Shard, kShards> shards_;
  // Apart, so that numbers of capabilities stay small: see KeyedBlock.
  Names capability_names_{slabs_}, domain_names_{slabs_}, attribute_names_{slabs_};
  std::unique_ptr<Rooms> rooms_ = std::make_unique<Rooms>();
  mutable std::mutex memory_mutex_;
  MemoryUse memory_;
};

// Names are numbered on one thread, in the order of the events, so numbers repeat.
void Fast::number_names(Prepared& prepared) {
  const auto number = [](Names& names, const events::Dictionary& from,
                         std::vector<std::uint32_t>& to) {
    to.resize(from.size());
    for (std::uint32_t i = 0; i < from.size(); ++i) to[i] = names.intern(from[i]);
  };
  number(capability_names_, prepared.batch->capabilities(), prepared.capability);
  number(domain_names_, prepared.batch->domains(), prepared.domain);
  // Gigabytes of names before that.
  COVEY_CHECK(domain_names_.size() <= Filed::kDomainsMax);
}

void Fast::file_by_shard(Prepared& prepared, Desk& desk) {
  const Batch& batch = *prepared.batch;
  const auto& learners = batch.learners();
  const auto learner = batch.learner();
  const std::uint32_t count = batch.size();
  // Of each learner of the batch: its shard in the high bits, its place within the shard. Nothing
  // where no event names it: batches that were decoded may have such.
  constexpr unsigned kPlaceBits = 26;
  constexpr std::uint32_t kPlaceMask = (1u << kPlaceBits) - 1;
  static_assert(Batch::kEventsMax < 1u << kPlaceBits && kShards == 1u << (32 - kPlaceBits));
  const std::span<std::uint32_t> where = desk.where.take(learners.size());
  const std::span<std::uint64_t> hash = desk.hash.take(learners.size());
  const std::span<std::uint32_t> seen = desk.seen.take(learners.size());
  std::ranges::fill(seen, 0);
  // Tables over a million learners lie in no cache that is near, so they are asked ahead.
  const auto ahead = [&](std::uint32_t event) {
    return learner[std::min(event + kFiledAhead, count - 1)];
  };
  // Twice the events to be filed, and one if there are any at all.
  for (std::uint32_t event = 0; event < count; ++event) {
    __builtin_prefetch(&seen[ahead(event)], 1);
    std::uint32_t& of_learner = seen[learner[event]];
    of_learner = (of_learner + (batch.type(event) != EventType::kProfile ? 2 : 0)) | 1;
  }
  auto& first_learner = prepared.first_learner;
  auto& first_event = prepared.first_event;
  for (std::uint32_t l = 0; l < learners.size(); ++l) {
    if (seen[l] == 0) continue;
    hash[l] = hash64(learners[l]);
    const auto shard = static_cast<std::uint32_t>(shard_of(hash[l]));
    where[l] = shard << kPlaceBits | first_learner[shard + 1]++;
    first_event[shard + 1] += seen[l] / 2;
  }
  for (std::size_t s = 0; s < kShards; ++s) {
    first_event[s + 1] += first_event[s];
    first_learner[s + 1] += first_learner[s];
  }
  for (std::uint32_t l = 0; l < learners.size(); ++l) {
    if (seen[l] == 0) continue;
    const std::string_view id = learners[l];
    prepared.learners[first_learner[where[l] >> kPlaceBits] + (where[l] & kPlaceMask)] = {
        hash[l], Name::fits(id) ? Name::of(id) : Name::elsewhere(l), seen[l] / 2};
  }
  auto next = first_event;
  const std::int64_t since_1900 = earliest_time().time_since_epoch().count();
  const auto time = batch.time_us();
  const auto capability = batch.capability(), domain = batch.domain();
  // What is no practice has neither: it reads a number all the same, so that nothing branches.
  if (prepared.capability.empty()) prepared.capability.push_back(0);
  if (prepared.domain.empty()) prepared.domain.push_back(0);
  const std::uint32_t* const our_capability = prepared.capability.data();
  const std::uint32_t* const our_domain = prepared.domain.data();
  Filed* const out = prepared.filed.data();
  struct Profile {
    std::uint32_t event, where;
    std::int64_t time_us;
  };
  std::vector<Profile> told;  // few; what they say is read after the loop, which stays short
  for (std::uint32_t event = 0; event < count; ++event) {
    __builtin_prefetch(&where[ahead(event)]);
    const EventType type = batch.type(event);
    const std::uint32_t w = where[learner[event]];
    if (type == EventType::kProfile) {
      told.push_back({event, w, time[event]});
      continue;
    }
    const bool practice = type == EventType::kPractice;
    Filed filed;
    filed.time =
        static_cast<std::uint64_t>(time[event] - since_1900) / Sixteenths::kUs & Filed::kTimeMax;
    filed.kind = Filed::kind_of(type, batch.acted_on(event)) & (Filed::kKinds - 1);
    filed.domain = our_domain[practice ? domain[event] : 0] & Filed::kDomainsMax;
    filed.capability = our_capability[practice ? capability[event] : 0];
    filed.learner = w & kPlaceMask;
    Filed* const at = out + next[w >> kPlaceBits]++;
    __builtin_prefetch(at + 8, 1);  // of 64 streams, no prefetcher knows all
    *at = filed;
  }
  auto& first_told = prepared.first_told;
  for (const Profile& profile : told) ++first_told[(profile.where >> kPlaceBits) + 1];
  for (std::size_t s = 0; s < kShards; ++s) first_told[s + 1] += first_told[s];
  prepared.told.resize(told.size());
  auto next_told = first_told;
  std::vector<events::Attribute> attributes;
  std::vector<std::uint32_t> keys;  // of the profile before: most name the same, in the same order
  const auto key_number = [&](std::size_t i, std::string_view key) {
    if (i < keys.size() && prepared.attribute_names[keys[i]] == key) return keys[i];
    keys.resize(std::max(keys.size(), i + 1));
    return keys[i] = prepared.attribute_names.intern(key);
  };
  for (std::size_t t = 0; t < told.size(); ++t) {
    const auto [event, w, time_us] = told[t];
    if (t + kToldAhead < told.size()) batch.prefetch_attributes(told[t + kToldAhead].event);
    const auto first = static_cast<std::uint32_t>(prepared.attributes.size());
    batch.attributes(event, attributes);
    for (std::size_t i = 0; i < attributes.size(); ++i) {
      const auto& [key, value] = attributes[i];
      prepared.attributes.push_back({key_number(i, key), prepared.attribute_names.intern(value)});
    }
    const auto said = static_cast<std::uint32_t>(prepared.attributes.size()) - first;
    prepared.told[next_told[w >> kPlaceBits]++] = {w & kPlaceMask, first, said, time_us};
  }
}

// Events are brought in order of rows where there are enough of them: then a learner's rows and
// blocks are fetched once for all its events, and rows one after the other. Counting costs a step
// per row, so a small batch goes as it came.
void Fast::fold_shard(std::size_t number, std::span<const Prepared> prepared, Desk& desk) {
  Shard& shard = shards_[number];
  shard.begin_apply();
  desk.rows.resize(std::max(desk.rows.size(), prepared.size()));
  const auto part = [&](auto all, const auto& first) {
    return all.subspan(first[number], first[number + 1] - first[number]);
  };
  std::size_t events = 0;
  for (std::size_t i = 0; i < prepared.size(); ++i) {
    const Prepared& p = prepared[i];
    std::vector<std::uint32_t>& rows = desk.rows[i];
    shard.resolve(part(p.learners, p.first_learner), p.batch->learners(), rows);
    const auto all_told = part(std::span(p.told), p.first_told);
    for (std::size_t t = 0; t < all_told.size(); ++t) {
      const Told& told = all_told[t];
      if (t + kLookahead < all_told.size()) {
        const Told& later = all_told[t + kLookahead];
        shard.prefetch_row(rows[later.learner]);
        __builtin_prefetch(p.attributes.data() + later.first);
      }
      for (const auto& [key, value] : std::span(p.attributes).subspan(told.first, told.count)) {
        shard.set_attribute(rows[told.learner],
                            {p.attribute_name[key], p.attribute_name[value], told.time_us},
                            attribute_names_);
      }
    }
    events += p.first_event[number + 1] - p.first_event[number];
  }
  const auto each = [&](const auto& see) {
    for (std::size_t i = 0; i < prepared.size(); ++i) {
      const Prepared& p = prepared[i];
      const Filed* const last = p.filed.data() + p.first_event[number + 1];
      for (const Filed* at = p.filed.data() + p.first_event[number]; at < last; ++at) {
        see(at, last, desk.rows[i].data());
      }
    }
  };
  const std::span<Filed> sorted = desk.sorted.take(events);
  const auto put = [&](std::size_t at, const Filed& filed, std::uint32_t row) {
    sorted[at] = filed;
    sorted[at].learner = row;
  };
  if (events < shard.size() / kRowsPerEventToSort) {
    std::size_t next = 0;
    each([&](const Filed* at, const Filed*, const std::uint32_t* rows) {
      put(next++, *at, rows[at->learner]);
    });
  } else {
    std::vector<std::uint32_t>& next = desk.next;
    next.assign(shard.size() + 1, 0);
    for (std::size_t i = 0; i < prepared.size(); ++i) {
      const auto learners = part(prepared[i].learners, prepared[i].first_learner);
      for (std::size_t l = 0; l < learners.size(); ++l) {
        next[desk.rows[i][l] + 1] += static_cast<std::uint32_t>(learners[l].events);
      }
    }
    for (std::size_t i = 1; i < next.size(); ++i) next[i] += next[i - 1];
    each([&](const Filed* at, const Filed* last, const std::uint32_t* rows) {
      const Filed* const later = last - at > kSortedAhead ? at + kSortedAhead : last - 1;
      __builtin_prefetch(sorted.data() + next[rows[later->learner]], 1);
      const std::uint32_t row = rows[at->learner];
      put(next[row]++, *at, row);
    });
  }
  shard.fold(sorted, desk.sheet);
}

void Fast::apply(std::span<const Batch* const> batches, Parallel& parallel) {
  // What is filed takes 16 bytes an event: not more than so many at once.
  for (std::size_t begin = 0; begin < batches.size();) {
    std::size_t end = begin, events = 0;
    while (end < batches.size() && (end == begin || events < kEventsAtOnce)) {
      events += batches[end++]->size();
    }
    apply_some(batches.subspan(begin, end - begin), parallel);
    begin = end;
  }
  if (rooms_->bytes() > kRoomsKept) rooms_ = std::make_unique<Rooms>();
  note_memory();
}

void Fast::apply_some(std::span<const Batch* const> batches, Parallel& parallel) {
  Rooms& rooms = *rooms_;
  std::vector<Prepared> prepared(batches.size());
  std::size_t events = 0, learners = 0;
  for (const Batch* batch : batches) {
    events += batch->size();
    learners += batch->learners().size();
  }
  std::span<Filed> filed = rooms.filed.take(events);
  std::span<Candidate> candidates = rooms.learners.take(learners);
  const auto cut = [](auto& all, std::size_t count) {
    const auto part = all.first(count);
    all = all.subspan(count);
    return part;
  };
  for (std::size_t i = 0; i < batches.size(); ++i) {
    prepared[i].batch = batches[i];
    prepared[i].filed = cut(filed, batches[i]->size());
    prepared[i].learners = cut(candidates, batches[i]->learners().size());
    number_names(prepared[i]);
  }
  const auto at_a_desk = [&](const auto& work) {
    auto desk = rooms.take();
    work(*desk);
    rooms.put(std::move(desk));
  };
  parallel.run(prepared.size(), [&](std::size_t i) {
    at_a_desk([&](Desk& desk) { file_by_shard(prepared[i], desk); });
  });
  for (Prepared& p : prepared) {
    p.attribute_name.resize(p.attribute_names.size());
    for (std::uint32_t i = 0; i < p.attribute_names.size(); ++i) {
      p.attribute_name[i] = attribute_names_.intern(p.attribute_names[i]);
    }
  }
  parallel.run(kShards, [&](std::size_t shard) {
    at_a_desk([&](Desk& desk) { fold_shard(shard, prepared, desk); });
  });
}

void Fast::note_memory() {
  MemoryUse use;
  for (const Shard& shard : shards_) shard.count_memory(use);
  use.bytes = sizeof(*this) + slabs_.spare() + capability_names_.bytes() + domain_names_.bytes() +
              attribute_names_.bytes() + use.rows + use.names + use.index + use.blocks +
              use.attributes;
  use.rooms = rooms_->bytes();
  const std::lock_guard lock(memory_mutex_);
  memory_ = use;
}

LearnerFacts Fast::facts(const Shard& shard, std::uint32_t index, std::int32_t day,
                         std::int32_t week) const {
  const Row row = read_row(shard.row(index));
  LearnerFacts facts;
  facts.learner = shard.name(index);
  facts.state = state_of(row, week);
  facts.practice_events = row.practice;
  facts.feedback_received = row.received;
  facts.feedback_acted_on = row.acted_on;
  if (row.first_day != Row::kNoDay) {
    facts.first_active_day = row.first_day;
    facts.last_active_day = row.last_day;
  }
  if (facts.state != LearnerState::kDormant) {
    facts.domain_entropy_bits = entropy_bits(row);
    facts.traits = traits_of(row, day, week, facts.domain_entropy_bits);
    facts.specialist = is_specialist(row, facts.domain_entropy_bits);
  }
  for (const Attribute& a : shard.attributes(index)) {
    facts.attributes.emplace_back(attribute_names_[a.key], attribute_names_[a.value]);
  }
  std::ranges::sort(facts.attributes);
  return facts;
}

std::optional<LearnerFacts> Fast::find(std::string_view learner, Time as_of) const {
  const std::uint64_t hash = hash64(learner);
  const Shard& shard = shards_[shard_of(hash)];
  const std::uint32_t row = shard.find(hash, learner);
  if (row == kUnresolved) return std::nullopt;
  return facts(shard, row, day_of(as_of), week_of(as_of));
}

TraitColumns Fast::traits(Time as_of, Parallel& parallel) const {
  const std::int32_t day = day_of(as_of), week = week_of(as_of);
  std::array<TraitColumns, kShards> parts;
  parallel.run(kShards, [&](std::size_t s) {
    const Shard& shard = shards_[s];
    TraitColumns& part = parts[s];
    const std::uint32_t rows = shard.size();
    part.learner.resize(rows);
    part.clusterable.resize(rows);
    for (auto& column : part.trait) column.resize(rows);
    std::size_t kept = 0;
    for (std::uint32_t i = 0; i < rows; ++i) {
      if (i + kRowsAhead < rows) shard.prefetch_row_to_read(i + kRowsAhead);
      const Row row = read_row(shard.row(i));
      const LearnerState state = state_of(row, week);
      if (state == LearnerState::kDormant) continue;
      const Traits traits = traits_of(row, day, week, entropy_bits(row));
      part.learner[kept] = ref(s, i);
      part.clusterable[kept] = state == LearnerState::kActive ? 1 : 0;
      for (std::size_t t = 0; t < kTraits; ++t) {
        part.trait[t][kept] = static_cast<float>(traits.*kTraitFields[t]);
      }
      ++kept;
    }
    part.learner.resize(kept);
    part.clusterable.resize(kept);
    for (auto& column : part.trait) column.resize(kept);
  });
  std::size_t total = 0;
  for (const TraitColumns& part : parts) total += part.size();
  TraitColumns all;
  all.as_of = as_of;
  const auto gather = [&](auto& to, const auto& of) {
    to.reserve(total);
    for (TraitColumns& part : parts) {
      auto& from = of(part);
      to.insert(to.end(), from.begin(), from.end());
      let_go(from);
    }
  };
  // By column, each into memory that nobody cleared before.
  parallel.run(kTraits + 2, [&](std::size_t column) {
    switch (column) {
      case 0:
        return gather(all.learner, [](TraitColumns& part) -> auto& { return part.learner; });
      case 1:
        return gather(all.clusterable,
                      [](TraitColumns& part) -> auto& { return part.clusterable; });
      default:
        return gather(all.trait[column - 2],
                      [&](TraitColumns& part) -> auto& { return part.trait[column - 2]; });
    }
  });
  return all;
}

void Fast::visit(Time as_of, const std::function<void(const LearnerFacts&)>& see) const {
  const std::int32_t day = day_of(as_of), week = week_of(as_of);
  for (const Shard& shard : shards_) {
    const std::uint32_t rows = shard.size();
    for (std::uint32_t i = 0; i < rows; ++i) see(facts(shard, i, day, week));
  }
}

// Format 2: a header, the names, then a chunk list per shard. Only this code reads it; whatever
// does not fit is kCorrupt, and the log is replayed instead.
constexpr std::uint64_t kSnapshotMagic = 0x3253'4c46'5943'564fULL ^ sizeof(Row);
constexpr std::size_t kSnapshotChunk = std::size_t{4} << 20;
constexpr unsigned kLoadersMax = 8;
constexpr std::size_t kPartReserved = std::size_t{64} << 20;  // its size is only what it says

bool Fast::save(const std::function<Result<void>(std::string_view)>& sink,
                Result<void>& status) const {
  const auto send = [&](std::string_view part) {
    std::string frame;
    put<std::uint64_t>(frame, part.size());
    if (status = sink(frame); !status) return;
    for (std::size_t at = 0; at < part.size(); at += kSnapshotChunk) {
      if (status = sink(part.substr(at, kSnapshotChunk)); !status) return;
    }
  };
  std::string part;
  put(part, kSnapshotMagic);
  put<std::uint64_t>(part, kShards);
  for (const Names* names : {&capability_names_, &domain_names_, &attribute_names_}) {
    save_names(*names, part);
  }
  send(part);
  for (const Shard& shard : shards_) {
    if (!status) break;
    part.clear();
    shard.save(part);
    send(part);
  }
  return true;
}

Result<void> Fast::load(const std::function<Result<std::optional<std::string>>()>& next,
                        Parallel& parallel) {
  const auto damaged = [] {
    return fail(Errc::kCorrupt, "snapshot: not one of this version; the log will be replayed");
  };
  const auto receive = [&](std::string& part) -> Result<void> {
    const auto frame = COVEY_TRY(next());
    if (!frame || frame->size() != sizeof(std::uint64_t)) return damaged();
    std::uint64_t size = 0;
    std::memcpy(&size, frame->data(), sizeof size);
    part.clear();
    part.reserve(std::min<std::uint64_t>(size, kPartReserved));
    while (part.size() < size) {
      const auto chunk = COVEY_TRY(next());
      if (!chunk || chunk->empty()) return damaged();
      part += *chunk;
    }
    if (part.size() != size) return damaged();
    return {};
  };
  std::string part;
  COVEY_TRY_VOID(receive(part));
  Taker in(part);
  if (in.take<std::uint64_t>() != kSnapshotMagic || in.take<std::uint64_t>() != kShards ||
      !load_names(capability_names_, in) || !load_names(domain_names_, in) ||
      !load_names(attribute_names_, in) || !in.done()) {
    return damaged();
  }
  // Whoever is free reads the next shard, one at a time, and enters it while others read on. Each
  // holds the bytes of one, and reading is one thread's work: more than a few would only wait.
  std::mutex reading;
  std::size_t next_shard = 0;
  Result<void> status;
  const auto enter_next = [&](std::string& bytes) {
    Shard* shard = nullptr;
    {
      const std::lock_guard lock(reading);
      if (!status || next_shard == kShards) return false;
      status = receive(bytes);
      if (!status) return false;
      shard = &shards_[next_shard++];
    }
    if (shard->load(bytes, attribute_names_.size())) return true;
    const std::lock_guard lock(reading);
    if (status) status = damaged();
    return false;
  };
  std::atomic<bool> no_memory{false};
  parallel.run(std::min(parallel.width(), kLoadersMax), [&](std::size_t) {
    try {  // a task must not throw
      std::string bytes;
      while (!no_memory && enter_next(bytes)) {
      }
    } catch (const std::bad_alloc&) {
      no_memory = true;
    }
  });
  if (no_memory) throw std::bad_alloc();
  if (status) note_memory();
  return status;
}

}  // namespace

std::unique_ptr<Engine> make_fast() {
  return std::make_unique<Fast>();
}

}  // namespace covey::learners

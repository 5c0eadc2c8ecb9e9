#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>
#include <numeric>

#include <fmt/format.h>

#include "base/hash.h"
#include "learners/arena.h"
#include "learners/engine.h"
#include "learners/fast_math.h"
#include "learners/fast_row.h"
#include "learners/keyed_block.h"

namespace covey::learners {
namespace {

using events::Batch;
using events::EventType;

constexpr std::size_t kShards = 64;  // fixed: the order of learners must not depend on the machine
constexpr std::size_t kRowsPerChunk = 512;
constexpr std::uint32_t kUnresolved = 0xffffffff;
constexpr std::size_t kLookahead = 32;          // events whose cache misses are overlapped
constexpr std::size_t kRowsPerEventToSort = 8;  // fewer events than rows / this: not worth sorting

std::size_t shard_of(std::uint64_t hash) {
  return hash >> 58;
}

double domain_to_retention(double w) {
  // exp(0.05 x) from exp(0.01 x): one exponential an event instead of two, 5 ulp off at most.
  static_assert(kRetentionDecayPerDay == 5 * kDomainDecayPerDay);
  const double square = w * w;
  return square * square * w;
}

/// exp(kDomainDecayPerDay * x), x in days since the epoch's start.
[[gnu::always_inline]] inline double decay_since_epoch(std::int64_t time_us, std::int16_t epoch) {
  constexpr std::int64_t kDayUs = 86'400'000'000;
  std::int64_t day = time_us / kDayUs;
  std::int64_t within = time_us % kDayUs;
  if (within < 0) {
    --day;
    within += kDayUs;
  }
  return domain_decay(day - std::int64_t{epoch} * Row::kEpochDays,
                      static_cast<double>(within) / 86'400e6);
}

[[gnu::always_inline]] inline double times_log2(double w) {
  // Weights that decayed to nothing take the long way, where a subnormal is no trap.
  if (w > 1e-300) return w * fast_log2(w);
  return w > 0 ? w * std::log2(w) : 0;
}

std::size_t ring(std::int32_t week) {
  const std::int32_t slot = week % kWindowWeeks;
  return static_cast<std::size_t>(slot < 0 ? slot + kWindowWeeks : slot);
}

/// r of every count a ring slot can hold.
const std::array<double, 256>& adoption_rates() {
  static const auto table = [] {
    std::array<double, 256> r;
    for (std::size_t a = 0; a < r.size(); ++a) {
      r[a] = 1 - std::exp(-static_cast<double>(a) / kAdoptionScale);
    }
    return r;
  }();
  return table;
}

LearnerState state_of(const Row& row, std::int32_t week) {
  if (row.practice == 0 || week - row.last_week >= kWindowWeeks) return LearnerState::kDormant;
  return row.practice < kPracticeForCohort ? LearnerState::kNew : LearnerState::kActive;
}

double entropy_bits(const Row& row) {
  if (row.domains_count <= 1 || row.domain_weight <= 0) return 0;
  return std::max(0.0, fast_log2(row.domain_weight) - row.domain_weight_log / row.domain_weight);
}

/// For a learner that is not dormant. `day` and `week` are T's.
Traits traits_of(const Row& row, std::int32_t day, std::int32_t week, double entropy) {
  Traits traits;
  const auto& rates = adoption_rates();
  const std::int32_t oldest = std::min(kWindowWeeks - 1, week - row.first_week);
  const std::int32_t newest = oldest >= 1 ? 1 : 0;
  double v = 0;
  for (std::int32_t age = oldest; age >= newest; --age) {
    const std::int32_t w = week - age;
    const double r =
        w <= row.last_week && w > row.last_week - kWindowWeeks ? rates[row.adopted[ring(w)]] : 0;
    v = age == oldest ? r : kVelocitySmoothing * r + (1 - kVelocitySmoothing) * v;
  }
  traits.learning_velocity = v;

  const double spread =
      row.domains_count > 1 ? entropy / fast_log2(static_cast<double>(row.domains_count)) : 0;
  traits.domain_affinity = std::clamp(
      row.domain_weight_max / row.domain_weight * (1 - kEntropyPenalty * spread), 0.0, 1.0);

  const std::int32_t in_window =
      row.last_day - day + kFrequencyDays;  // bits of `active` that count
  const std::uint32_t mask = in_window <= 0 ? 0 : (1u << std::min(in_window, 31)) - 1;
  const std::int32_t possible = std::min(kFrequencyDays, day - row.first_day + 1);
  traits.interaction_frequency =
      static_cast<double>(std::popcount(row.active & mask)) / static_cast<double>(possible);

  traits.feedback_responsiveness = (row.acted_on + 1.0) / (row.received + 2.0);
  traits.retention_strength = std::clamp(1 - row.first_use_weight / row.use_weight, 0.0, 1.0);
  return traits;
}

struct Attribute {
  std::uint32_t key = 0, value = 0;
  std::int64_t time_us = 0;
};
static_assert(sizeof(Attribute) == 16);
using AttributeWord = std::uint64_t __attribute__((may_alias));

/// A learner's id beside its row: up to 23 bytes in place, longer ones by number in Shard::long_.
struct Name {
  std::uint8_t length = 0;
  std::array<char, 23> text{};
  friend bool operator==(const Name& a, const Name& b) {
    return std::memcmp(&a, &b, sizeof(Name)) == 0;  // the tail is zeros
  }
};
static_assert(sizeof(Name) == 24);
constexpr std::uint8_t kLongName = 255;

bool is_short(std::string_view learner) {
  return learner.size() <= Name{}.text.size();
}
Name short_name(std::string_view learner) {
  Name name;
  name.length = static_cast<std::uint8_t>(learner.size());
  if (!learner.empty()) std::memcpy(name.text.data(), learner.data(), learner.size());
  return name;
}

/// A learner of a batch, on the way to a row.
struct Candidate {
  std::uint64_t hash = 0;
  Name name;  ///< of a long id: kLongName and, in `text`, its number in the batch
  std::uint32_t number() const {
    std::uint32_t out = 0;
    std::memcpy(&out, name.text.data(), sizeof out);
    return out;
  }
};
static_assert(sizeof(Candidate) == 32);

/// Id to row, by open addressing. One thread inserts, any may look up: a table is only ever
/// added to, and when it is full a larger one takes its place; the old one is freed once no
/// look-up is under way.
class RowIndex {
 public:
  RowIndex() { publish(std::make_unique<Table>(64)); }

  struct Table {
    explicit Table(std::size_t size)
        : mask(size - 1), slots(std::make_unique<std::atomic<std::uint64_t>[]>(size)) {}
    std::size_t mask;
    std::unique_ptr<std::atomic<std::uint64_t>[]> slots;  // high 32: tag, low 32: row + 1
  };

  /// Held while a reader follows the table.
  class Visit {
   public:
    explicit Visit(const RowIndex& index) : index_(index) { index.readers_.fetch_add(1); }
    ~Visit() { index_.readers_.fetch_sub(1); }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    const RowIndex& index_;
  };

  /// The row that a look-up will most likely compare names with, or kUnresolved.
  std::uint32_t guess(std::uint64_t hash) const {
    const Table* table = table_.load(std::memory_order_relaxed);
    const std::uint64_t slot = table->slots[hash & table->mask].load(std::memory_order_relaxed);
    return slot != 0 && (slot & kTagMask) == tag_of(hash) ? static_cast<std::uint32_t>(slot) - 1
                                                          : kUnresolved;
  }

  void prefetch(std::uint64_t hash) const {
    const Table* table = table_.load(std::memory_order_relaxed);
    __builtin_prefetch(&table->slots[hash & table->mask]);
  }

  /// The row whose name `same(row)` accepts, or kUnresolved.
  template <typename Same>
  std::uint32_t find(std::uint64_t hash, Same same) const {
    const Table* table = table_.load();
    const std::uint64_t tag = tag_of(hash);
    for (std::size_t at = hash & table->mask;; at = (at + 1) & table->mask) {
      const std::uint64_t slot = table->slots[at].load(std::memory_order_acquire);
      if (slot == 0) return kUnresolved;
      if ((slot & kTagMask) != tag) continue;
      const auto row = static_cast<std::uint32_t>(slot) - 1;
      if (same(row)) return row;
    }
  }

  /// `hash_of(row)` is needed for growing only.
  template <typename HashOf>
  void insert(std::uint64_t hash, std::uint32_t row, HashOf hash_of) {
    const Table* table = table_.load(std::memory_order_relaxed);
    if ((count_ + 1) * 5 > (table->mask + 1) * 4) {
      auto larger = std::make_unique<Table>((table->mask + 1) * 2);
      for (std::uint32_t i = 0; i < count_; ++i) put(*larger, hash_of(i), i);
      publish(std::move(larger));
    }
    put(*current_, hash, row);
    ++count_;
  }

  void free_retired() {
    // A reader counted before it loaded the table, and the new table was published before we
    // count: at 0, nobody can hold an old one.
    if (!retired_.empty() && readers_.load() == 0) retired_.clear();
  }

  std::size_t bytes() const {
    std::size_t total = (table_.load(std::memory_order_acquire)->mask + 1) * 8;
    for (const auto& old : retired_) total += (old->mask + 1) * 8;
    return total;
  }

 private:
  static constexpr std::uint64_t kTagMask = 0xffffffff00000000ULL;
  // The low bits choose the slot and the top 6 the shard: the tag takes those between.
  static std::uint64_t tag_of(std::uint64_t hash) { return (hash << 6) & kTagMask; }

  static void put(Table& table, std::uint64_t hash, std::uint32_t row) {
    std::size_t at = hash & table.mask;
    while (table.slots[at].load(std::memory_order_relaxed) != 0) at = (at + 1) & table.mask;
    table.slots[at].store(tag_of(hash) | (std::uint64_t{row} + 1), std::memory_order_release);
  }

  void publish(std::unique_ptr<Table> table) {
    table_.store(table.get());
    if (current_) retired_.push_back(std::move(current_));
    current_ = std::move(table);
  }

  std::atomic<const Table*> table_{nullptr};
  mutable std::atomic<std::uint32_t> readers_{0};
  std::unique_ptr<Table> current_;
  std::vector<std::unique_ptr<Table>> retired_;
  std::size_t count_ = 0;
};

/// A 64th of the learners. One thread at a time folds into it; look-ups read beside it.
class Shard {
 public:
  Shard() : rows_(kRowsPerChunk * sizeof(Row)), names_(kRowsPerChunk * sizeof(Name)) {}

  std::uint32_t size() const { return size_.load(std::memory_order_acquire); }

  Row& row(std::uint32_t index) const {
    return reinterpret_cast<Row*>(rows_.at(index / kRowsPerChunk))[index % kRowsPerChunk];
  }

  std::string_view name(std::uint32_t index) const {
    const Name& stored = name_slot(index);
    if (stored.length != kLongName) return {stored.text.data(), stored.length};
    std::uint32_t number = 0;
    std::memcpy(&number, stored.text.data(), sizeof number);
    return long_names_[number];
  }

  std::uint32_t find(std::uint64_t hash, std::string_view learner) const {
    const RowIndex::Visit visit(index_);
    return index_.find(hash, [&](std::uint32_t row) { return name(row) == learner; });
  }

  void prefetch_slot(std::uint64_t hash) const { index_.prefetch(hash); }
  void prefetch_name(std::uint64_t hash) const {
    if (const std::uint32_t row = index_.guess(hash); row != kUnresolved) {
      __builtin_prefetch(&name_slot(row));
    }
  }
  void prefetch_row(std::uint32_t index) const {
    const char* row_bytes = reinterpret_cast<const char*>(&row(index));
    __builtin_prefetch(row_bytes, 1);
    __builtin_prefetch(row_bytes + 64, 1);
  }
  void prefetch_blocks(std::uint32_t index) const {
    const Row& r = row(index);
    if (r.capabilities_handle != 0) {
      const std::byte* block = blocks_.at(r.capabilities_handle);
      __builtin_prefetch(block, 1);
      __builtin_prefetch(block + 64, 1);
      __builtin_prefetch(block + 128, 1);
    }
    if (r.domains_handle != 0) __builtin_prefetch(blocks_.at(r.domains_handle), 1);
  }

  std::uint32_t find_or_add(const Candidate& learner, const events::Dictionary& names) {
    if (learner.name.length != kLongName) {
      const std::uint32_t found = index_.find(
          learner.hash, [&](std::uint32_t row) { return name_slot(row) == learner.name; });
      return found != kUnresolved ? found : add(learner.hash, learner.name);
    }
    const std::string_view text = names[learner.number()];
    const std::uint32_t found =
        index_.find(learner.hash, [&](std::uint32_t row) { return name(row) == text; });
    if (found != kUnresolved) return found;
    Name stored;
    stored.length = kLongName;
    const std::uint32_t number = long_names_.intern(text);
    std::memcpy(stored.text.data(), &number, sizeof number);
    return add(learner.hash, stored);
  }

  void begin_apply() { index_.free_retired(); }

  struct Fact {
    std::int64_t time_us;
    EventType type;
    bool acted_on;
    std::uint32_t capability, domain;  // numbers in the engine's names
  };
  /// Into a copy of a learner's row, which the caller publishes with write_row.
  void fold(Row& row, const Fact& fact);
  void set_attribute(std::uint32_t index, std::uint32_t key, std::uint32_t value,
                     std::int64_t time_us, const Names& names);

  /// Attributes as of now, for a reader beside the writer.
  std::vector<Attribute> attributes(std::uint32_t index) const;

  std::size_t bytes() const {
    return rows_.bytes() + names_.bytes() + long_names_.bytes() + index_.bytes() + blocks_.bytes() +
           attribute_blocks_.bytes();
  }

  // Snapshots.
  void save(std::string& out) const;
  bool load(std::string_view bytes, std::uint32_t names);

 private:
  Name& name_slot(std::uint32_t index) const {
    return reinterpret_cast<Name*>(names_.at(index / kRowsPerChunk))[index % kRowsPerChunk];
  }
  std::uint32_t add(std::uint64_t hash, const Name& name);
  void practice(Row& row, const Fact& fact, std::int32_t day);
  void advance_epoch(Row& row, std::int16_t epoch);
  void first_use(Row& row, std::int32_t week);
  void drop_first_use(Row& row, std::int32_t week);
  static KeyedBlock capabilities(const Row& row) {
    return {row.capabilities_handle, row.capabilities_count, row.capabilities_class};
  }
  static KeyedBlock domains(const Row& row) {
    return {row.domains_handle, row.domains_count, row.domains_class};
  }

  Chunks rows_, names_;
  Names long_names_;
  RowIndex index_;
  BlockArena blocks_;            // capabilities and domains: only the folding thread looks in
  BlockArena attribute_blocks_;  // apart, for readers do look in
  std::atomic<std::uint32_t> size_{0};
};

std::uint32_t Shard::add(std::uint64_t hash, const Name& name) {
  const std::uint32_t index = size_.load(std::memory_order_relaxed);
  if (index % kRowsPerChunk == 0) {
    rows_.extend(1);
    names_.extend(1);
  }
  ::new (&row(index)) Row();
  ::new (&name_slot(index)) Name(name);
  size_.store(index + 1, std::memory_order_release);
  index_.insert(hash, index, [this](std::uint32_t i) { return hash64(this->name(i)); });
  return index;
}

void Shard::fold(Row& row, const Fact& fact) {
  const std::int32_t day = day_of(Time(std::chrono::microseconds(fact.time_us)));
  if (row.first_day == Row::kNoDay) {
    row.first_day = row.last_day = day;
    row.active = 1;
  } else {
    row.first_day = std::min(row.first_day, day);
    if (day > row.last_day) {
      const std::int32_t ahead = day - row.last_day;
      row.active = (ahead < 32 ? row.active << ahead : 0) | 1;
      row.last_day = day;
    } else if (row.last_day - day < 32) {
      row.active |= 1u << (row.last_day - day);
    }
  }
  if (fact.type == EventType::kFeedback) {
    ++row.received;
    row.acted_on += fact.acted_on ? 1 : 0;
  } else if (fact.type == EventType::kPractice) {
    practice(row, fact, day);
  }
}

void Shard::practice(Row& row, const Fact& fact, std::int32_t day) {
  const auto epoch = static_cast<std::int16_t>(
      day >= 0 ? day / Row::kEpochDays : (day - Row::kEpochDays + 1) / Row::kEpochDays);
  const auto week = static_cast<std::int16_t>(week_of_day(day));
  if (row.practice == 0) {
    row.epoch = epoch;
    row.first_week = row.last_week = week;
  } else {
    if (epoch > row.epoch) advance_epoch(row, epoch);
    row.first_week = std::min(row.first_week, week);
    if (week > row.last_week) {
      const std::int32_t gap = std::min(week - row.last_week, kWindowWeeks);
      for (std::int32_t i = 0; i < gap; ++i) row.adopted[ring(week - i)] = 0;
      row.last_week = week;
    }
  }
  ++row.practice;

  const double w = decay_since_epoch(fact.time_us, row.epoch);
  const double use = domain_to_retention(w);
  row.use_weight += use;

  KeyedBlock used = capabilities(row);
  const std::uint32_t entries = keyed::capacity(used.size_class);
  std::byte* block = used.handle == 0 ? nullptr : blocks_.at(used.handle);
  const std::uint32_t at =
      block == nullptr ? keyed::kEmpty
                       : keyed::find(keyed::keys(block), used.count, entries, fact.capability);
  if (at == keyed::kEmpty) {
    keyed::insert<std::int64_t>(blocks_, used, fact.capability, fact.time_us);
    row.capabilities_handle = used.handle;
    row.capabilities_count = used.count;
    row.capabilities_class = used.size_class;
    row.first_use_weight += use;
    first_use(row, week);
  } else if (std::int64_t& first = keyed::values<std::int64_t>(block, entries)[at];
             fact.time_us < first) {
    const std::int32_t old_week = week_of(Time(std::chrono::microseconds(first)));
    row.first_use_weight += use - domain_to_retention(decay_since_epoch(first, row.epoch));
    first = fact.time_us;
    if (old_week != week) {
      drop_first_use(row, old_week);
      first_use(row, week);
    }
  }

  KeyedBlock seen = domains(row);
  const std::uint32_t rooms = keyed::capacity(seen.size_class);
  std::byte* room = seen.handle == 0 ? nullptr : blocks_.at(seen.handle);
  const std::uint32_t place = room == nullptr
                                  ? keyed::kEmpty
                                  : keyed::find(keyed::keys(room), seen.count, rooms, fact.domain);
  double total = w;
  if (place == keyed::kEmpty) {
    COVEY_CHECK(seen.count < UINT16_MAX);
    keyed::insert<double>(blocks_, seen, fact.domain, w);
    row.domains_handle = seen.handle;
    row.domains_count = static_cast<std::uint16_t>(seen.count);
    row.domains_class = seen.size_class;
    row.domain_weight_log += times_log2(w);
  } else {
    double& weight = keyed::values<double>(room, rooms)[place];
    total = weight + w;
    row.domain_weight_log += times_log2(total) - times_log2(weight);
    weight = total;
  }
  row.domain_weight += w;
  row.domain_weight_max = std::max(row.domain_weight_max, total);
}

// The first event of a later epoch re-bases the weights: once in 1,024 days.
void Shard::advance_epoch(Row& row, std::int16_t epoch) {
  const double fade = std::exp(-kDomainDecayPerDay * Row::kEpochDays * (epoch - row.epoch));
  const double fade_use = domain_to_retention(fade);
  row.epoch = epoch;
  row.use_weight *= fade_use;
  row.first_use_weight *= fade_use;
  row.domain_weight = row.domain_weight_log = row.domain_weight_max = 0;
  keyed::each<double>(blocks_, domains(row), [&](std::uint32_t, double& weight) {
    weight *= fade;
    row.domain_weight += weight;
    row.domain_weight_log += times_log2(weight);
    row.domain_weight_max = std::max(row.domain_weight_max, weight);
  });
}

void Shard::first_use(Row& row, std::int32_t week) {
  if (week <= row.last_week - kWindowWeeks) return;
  std::uint8_t& count = row.adopted[ring(week)];
  if (count < 255) ++count;
}

// Called when a late event showed an earlier first use, which the block holds already.
void Shard::drop_first_use(Row& row, std::int32_t week) {
  if (week <= row.last_week - kWindowWeeks) return;
  std::uint8_t& count = row.adopted[ring(week)];
  if (count < 255) {
    --count;
    return;
  }
  std::uint32_t real = 0;  // the counter stopped at 255, so count again
  keyed::each<std::int64_t>(blocks_, capabilities(row), [&](std::uint32_t, std::int64_t& first) {
    real += week_of(Time(std::chrono::microseconds(first))) == week ? 1 : 0;
  });
  count = static_cast<std::uint8_t>(std::min(real, 255u));
}

void Shard::set_attribute(std::uint32_t index, std::uint32_t key, std::uint32_t value,
                          std::int64_t time_us, const Names& names) {
  Row& stored = row(index);
  Row next = stored;
  const auto entry = [this](Handle handle, std::uint32_t i) {
    return reinterpret_cast<AttributeWord*>(attribute_blocks_.at(handle)) + std::size_t{i} * 2;
  };
  const auto write = [&](Handle handle, std::uint32_t i, const Attribute& a) {
    AttributeWord* words = entry(handle, i);
    __atomic_store_n(words, std::uint64_t{a.value} << 32 | a.key, __ATOMIC_RELEASE);
    __atomic_store_n(words + 1, static_cast<std::uint64_t>(a.time_us), __ATOMIC_RELEASE);
  };
  const Attribute fresh{key, value, time_us};
  std::uint32_t at = 0;
  for (; at < next.attributes_count; ++at) {
    if (static_cast<std::uint32_t>(*entry(next.attributes_handle, at)) == key) break;
  }
  if (at < next.attributes_count) {
    AttributeWord* words = entry(next.attributes_handle, at);
    const auto old_time = static_cast<std::int64_t>(words[1]);
    const auto old_value = static_cast<std::uint32_t>(words[0] >> 32);
    // The last writer by time wins; of two at one instant the larger text, whatever came first.
    if (time_us < old_time) return;
    if (time_us == old_time && names[value] <= names[old_value]) return;
    write(next.attributes_handle, at, fresh);  // key and value are one word; readers need no more
    return;
  }
  COVEY_CHECK(next.attributes_count < UINT16_MAX);
  const auto room_of = [](std::uint32_t size_class) {
    return size_class == 0 ? 0 : 2u << size_class;
  };
  const std::uint32_t room = room_of(next.attributes_class);
  if (next.attributes_count == room) {
    const auto larger = static_cast<std::uint8_t>(next.attributes_class + 1);
    const Handle handle = attribute_blocks_.allocate(larger, room_of(larger) * sizeof(Attribute));
    for (std::uint32_t i = 0; i < next.attributes_count; ++i) {
      const AttributeWord* words = entry(next.attributes_handle, i);
      write(handle, i,
            {static_cast<std::uint32_t>(words[0]), static_cast<std::uint32_t>(words[0] >> 32),
             static_cast<std::int64_t>(words[1])});
    }
    const Handle old = next.attributes_handle;
    const std::uint8_t old_class = next.attributes_class;
    write(handle, next.attributes_count, fresh);
    next.attributes_handle = handle;
    next.attributes_class = larger;
    ++next.attributes_count;
    write_row(stored, next);
    if (old != 0) attribute_blocks_.release(old_class, old);
    return;
  }
  write(next.attributes_handle, next.attributes_count, fresh);
  ++next.attributes_count;
  write_row(stored, next);
}

std::vector<Attribute> Shard::attributes(std::uint32_t index) const {
  const Row& stored = row(index);
  for (;;) {
    const Row copy = read_row(stored);
    std::vector<Attribute> out(copy.attributes_count);
    if (copy.attributes_handle != 0) {
      const auto* words =
          reinterpret_cast<const AttributeWord*>(attribute_blocks_.at(copy.attributes_handle));
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::uint64_t pair = __atomic_load_n(words + i * 2, __ATOMIC_ACQUIRE);
        out[i] = {static_cast<std::uint32_t>(pair), static_cast<std::uint32_t>(pair >> 32),
                  static_cast<std::int64_t>(__atomic_load_n(words + i * 2 + 1, __ATOMIC_ACQUIRE))};
      }
    }
    if (read_row(stored).version == copy.version) return out;
  }
}

// ---- snapshots: columns and arenas as they lie in memory, since only this code reads them

template <typename T>
void put(std::string& out, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

class Taker {
 public:
  explicit Taker(std::string_view bytes) : rest_(bytes) {}
  template <typename T>
  T take() {
    T value{};
    const std::string_view bytes = take_bytes(sizeof value);
    if (ok_) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string_view take_bytes(std::uint64_t count) {
    if (!ok_ || count > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

void save_arena(const BlockArena& arena, std::string& out) {
  const BlockArena::Books books = arena.books();
  put<std::uint64_t>(out, arena.chunk_count());
  put(out, books.chunk);
  put(out, books.chunk_used);
  put<std::uint64_t>(out, books.free.size());
  for (const Handle handle : books.free) put(out, handle);
  for (std::size_t i = 0; i < arena.chunk_count(); ++i) out.append(arena.chunk(i));
}

bool load_arena(BlockArena& arena, Taker& in) {
  const auto chunks = in.take<std::uint64_t>();
  BlockArena::Books books;
  books.chunk = in.take<std::uint64_t>();
  books.chunk_used = in.take<std::uint64_t>();
  const auto classes = in.take<std::uint64_t>();
  if (!in.ok() || classes > 256) return false;
  for (std::uint64_t i = 0; i < classes; ++i) books.free.push_back(in.take<Handle>());
  const std::string_view raw = in.take_bytes(chunks * BlockArena::kChunkBytes);
  if (!in.ok()) return false;
  arena.restore(books, chunks);
  for (std::size_t i = 0; i < chunks; ++i) {
    std::memcpy(arena.chunk_for_restore(i), raw.data() + i * BlockArena::kChunkBytes,
                BlockArena::kChunkBytes);
  }
  return true;
}

void save_names(const Names& names, std::string& out) {
  put<std::uint64_t>(out, names.size());
  for (std::uint32_t i = 0; i < names.size(); ++i) {
    put<std::uint32_t>(out, static_cast<std::uint32_t>(names[i].size()));
    out.append(names[i]);
  }
}

bool load_names(Names& names, Taker& in) {
  const auto count = in.take<std::uint64_t>();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const auto length = in.take<std::uint32_t>();
    const std::string_view text = in.take_bytes(length);
    if (!in.ok() || names.intern(text) != i) return false;
  }
  return in.ok();
}

void Shard::save(std::string& out) const {
  put<std::uint64_t>(out, size());
  for (std::uint32_t i = 0; i < size(); ++i) put(out, row(i));
  for (std::uint32_t i = 0; i < size(); ++i) put(out, name_slot(i));
  save_names(long_names_, out);
  save_arena(blocks_, out);
  save_arena(attribute_blocks_, out);
}

bool Shard::load(std::string_view bytes, std::uint32_t names) {
  Taker in(bytes);
  const auto count = in.take<std::uint64_t>();
  const std::string_view rows = in.take_bytes(count * sizeof(Row));
  const std::string_view slots = in.take_bytes(count * sizeof(Name));
  if (!in.ok() || !load_names(long_names_, in) || !load_arena(blocks_, in) ||
      !load_arena(attribute_blocks_, in) || !in.done()) {
    return false;
  }
  const auto inside = [](const BlockArena& arena, Handle handle, std::size_t size) {
    return std::size_t{handle} * 8 + size <= arena.chunk_count() * BlockArena::kChunkBytes;
  };
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto index = static_cast<std::uint32_t>(i);
    if (index % kRowsPerChunk == 0) {
      rows_.extend(1);
      names_.extend(1);
    }
    std::memcpy(static_cast<void*>(&row(index)), rows.data() + i * sizeof(Row), sizeof(Row));
    std::memcpy(static_cast<void*>(&name_slot(index)), slots.data() + i * sizeof(Name),
                sizeof(Name));
    const Row& r = row(index);
    const Name& slot = name_slot(index);
    std::uint32_t number = 0;
    std::memcpy(&number, slot.text.data(), sizeof number);
    if (slot.length == kLongName ? number >= long_names_.size() : slot.length > slot.text.size()) {
      return false;
    }
    // The checksum was right, so this is only against a snapshot of other code: no handle may
    // lead outside.
    if (r.capabilities_class > 60 || r.domains_class > 60 || r.attributes_class > 20 ||
        !inside(blocks_, r.capabilities_handle,
                keyed::bytes(keyed::capacity(r.capabilities_class))) ||
        !inside(blocks_, r.domains_handle, keyed::bytes(keyed::capacity(r.domains_class))) ||
        !inside(attribute_blocks_, r.attributes_handle, r.attributes_count * sizeof(Attribute))) {
      return false;
    }
    for (const Attribute& a : attributes(index)) {
      if (a.key >= names || a.value >= names) return false;
    }
    size_.store(index + 1, std::memory_order_release);
    index_.insert(hash64(name(index)), index, [this](std::uint32_t n) { return hash64(name(n)); });
  }
  return true;
}

class Fast final : public Engine {
 public:
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
  MemoryUse memory() const override { return {learners(), bytes_.load(std::memory_order_relaxed)}; }
  bool save(const std::function<Result<void>(std::string_view)>& sink,
            Result<void>& status) const override;
  Result<void> load(const std::function<Result<std::optional<std::string>>()>& next) override;

 private:
  static std::size_t shard_part(LearnerRef ref) { return static_cast<std::uint64_t>(ref) >> 32; }
  static std::uint32_t row_part(LearnerRef ref) { return static_cast<std::uint32_t>(ref); }
  static LearnerRef ref(std::size_t shard, std::uint32_t row) {
    return static_cast<LearnerRef>(std::uint64_t{shard} << 32 | row);
  }
  LearnerFacts facts(const Shard& shard, std::uint32_t row, std::int32_t day,
                     std::int32_t week) const;
  void note_memory();

  /// What folding needs of an event, in one piece: columns read in another order than they lie in
  /// would cost a cache miss each.
  struct Filed {
    std::int64_t time_us = 0;
    std::uint32_t learner = 0;     // the batch's number within the shard, later the row
    std::uint32_t capability = 0;  // the batch's number; of a profile: where its attributes begin
    std::uint32_t domain = 0;      // likewise; of a profile: how many there are
    EventType type{};
    bool acted_on = false;
    std::uint16_t batch = 0;  // which of those applied together
  };
  static_assert(sizeof(Filed) == 24);
  static constexpr std::size_t kBatchesMax = std::size_t{UINT16_MAX} + 1;

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
    std::vector<Candidate> learners;  // by shard, in order of the batch's numbers
    std::vector<Filed> filed;         // by shard, else as they came
    std::array<std::uint32_t, kShards + 1> first_learner{}, first_event{};
  };
  void apply_some(std::span<const Batch* const> batches, Parallel& parallel);
  static void file_by_shard(Prepared& prepared, std::uint16_t number);
  void fold_shard(std::size_t shard, std::vector<Prepared>& prepared);
  static void resolve(Shard& shard, const Prepared& prepared, std::span<const Candidate> learners,
                      std::vector<std::uint32_t>& rows);
  void fold_run(Shard& shard, std::span<const Filed> run, const std::vector<Prepared>& prepared);

  std::array<Shard, kShards> shards_;
  Names names_;  // capabilities, domains, attribute keys and values
  std::atomic<std::size_t> bytes_{0};
};

void Fast::file_by_shard(Prepared& prepared, std::uint16_t number) {
  const Batch& batch = *prepared.batch;
  const auto& learners = batch.learners();
  const auto learner = batch.learner();
  constexpr std::uint8_t kUnused = kShards;  // a selection of a batch keeps names it lost
  std::vector<std::uint8_t> shard(learners.size(), kUnused);
  std::vector<std::uint64_t> hash(learners.size());
  auto& first_event = prepared.first_event;
  for (const std::uint32_t l : learner) {
    if (shard[l] == kUnused) {
      hash[l] = hash64(learners[l]);
      shard[l] = static_cast<std::uint8_t>(shard_of(hash[l]));
    }
    ++first_event[shard[l] + 1u];
  }
  auto& first_learner = prepared.first_learner;
  for (const std::uint8_t s : shard) {
    if (s != kUnused) ++first_learner[s + 1u];
  }
  for (std::size_t s = 0; s < kShards; ++s) {
    first_event[s + 1] += first_event[s];
    first_learner[s + 1] += first_learner[s];
  }
  std::vector<std::uint32_t> place(learners.size());  // within the shard
  prepared.learners.resize(first_learner[kShards]);
  auto next = first_learner;
  for (std::uint32_t l = 0; l < learners.size(); ++l) {
    const std::uint8_t s = shard[l];
    if (s == kUnused) continue;
    place[l] = next[s] - first_learner[s];
    Candidate& candidate = prepared.learners[next[s]++];
    candidate.hash = hash[l];
    if (is_short(learners[l])) {
      candidate.name = short_name(learners[l]);
    } else {
      candidate.name.length = kLongName;
      std::memcpy(candidate.name.text.data(), &l, sizeof l);
    }
  }
  prepared.filed.resize(batch.size());
  next = first_event;
  const auto time = batch.time_us();
  const auto capability = batch.capability(), domain = batch.domain();
  std::vector<events::Attribute> attributes;
  for (std::uint32_t event = 0; event < batch.size(); ++event) {
    const EventType type = batch.type(event);
    std::uint32_t what = capability[event], where = domain[event];
    if (type == EventType::kProfile) {
      what = static_cast<std::uint32_t>(prepared.attributes.size());
      attributes.clear();
      for (const auto& [key, value] : batch.event(event, attributes).attributes) {
        prepared.attributes.push_back(
            {prepared.attribute_names.intern(key), prepared.attribute_names.intern(value)});
      }
      where = static_cast<std::uint32_t>(prepared.attributes.size()) - what;
    }
    prepared.filed[next[shard[learner[event]]]++] = {
        time[event], place[learner[event]], what, where, type, batch.acted_on(event), number};
  }
}

// Finds or adds the rows of a batch's learners. That costs two or three cache misses each (slot,
// stored name): they are overlapped by walking kLookahead learners in steps, each of which asks for
// what the next one reads.
void Fast::resolve(Shard& shard, const Prepared& prepared, std::span<const Candidate> learners,
                   std::vector<std::uint32_t>& rows) {
  rows.clear();
  for (std::size_t begin = 0; begin < learners.size(); begin += kLookahead) {
    const auto block = learners.subspan(begin, std::min(kLookahead, learners.size() - begin));
    for (const Candidate& c : block) shard.prefetch_slot(c.hash);
    for (const Candidate& c : block) shard.prefetch_name(c.hash);
    for (const Candidate& c : block) {
      rows.push_back(shard.find_or_add(c, prepared.batch->learners()));
    }
  }
}

/// Events of one learner, in the order they came.
void Fast::fold_run(Shard& shard, std::span<const Filed> run,
                    const std::vector<Prepared>& prepared) {
  Row& stored = shard.row(run.front().learner);
  Row next = stored;
  for (const Filed& f : run) {
    const Prepared& p = prepared[f.batch];
    if (f.type == EventType::kProfile) {
      write_row(stored, next);
      for (const auto& [key, value] : std::span(p.attributes).subspan(f.capability, f.domain)) {
        shard.set_attribute(f.learner, p.attribute_name[key], p.attribute_name[value], f.time_us,
                            names_);
      }
      next = stored;
      continue;
    }
    Shard::Fact fact{f.time_us, f.type, f.acted_on, 0, 0};
    if (f.type == EventType::kPractice) {
      fact.capability = p.capability[f.capability];
      fact.domain = p.domain[f.domain];
    }
    shard.fold(next, fact);
  }
  write_row(stored, next);
}

// Events are brought in order of rows where there are enough of them: then a learner's rows and
// blocks are fetched once for all its events, and rows one after the other. Counting costs a step
// per row, so a small batch goes as it came.
void Fast::fold_shard(std::size_t number, std::vector<Prepared>& prepared) {
  Shard& shard = shards_[number];
  shard.begin_apply();
  std::size_t events = 0;
  for (const Prepared& p : prepared) events += p.first_event[number + 1] - p.first_event[number];
  if (events == 0) return;
  std::vector<Filed> filed;
  filed.reserve(events);
  std::vector<std::uint32_t> rows;
  for (const Prepared& p : prepared) {
    resolve(shard, p,
            std::span(p.learners)
                .subspan(p.first_learner[number],
                         p.first_learner[number + 1] - p.first_learner[number]),
            rows);
    for (std::uint32_t i = p.first_event[number]; i < p.first_event[number + 1]; ++i) {
      filed.push_back(p.filed[i]);
      filed.back().learner = rows[filed.back().learner];
    }
  }
  if (filed.size() >= shard.size() / kRowsPerEventToSort) {
    std::vector<std::uint32_t> next(shard.size() + 1, 0);
    for (const Filed& f : filed) ++next[f.learner + 1];
    for (std::size_t i = 1; i < next.size(); ++i) next[i] += next[i - 1];
    std::vector<Filed> sorted(filed.size());
    for (const Filed& f : filed) sorted[next[f.learner]++] = f;
    filed.swap(sorted);
  }
  // Where rows and blocks of events further on are asked for.
  std::size_t rows_ahead = 0;
  std::size_t blocks_ahead = 0;
  for (std::size_t begin = 0; begin < filed.size();) {
    for (; rows_ahead < std::min(begin + 2 * kLookahead, filed.size()); ++rows_ahead) {
      if (rows_ahead == 0 || filed[rows_ahead].learner != filed[rows_ahead - 1].learner) {
        shard.prefetch_row(filed[rows_ahead].learner);
      }
    }
    for (; blocks_ahead < std::min(begin + kLookahead, filed.size()); ++blocks_ahead) {
      if (blocks_ahead == 0 || filed[blocks_ahead].learner != filed[blocks_ahead - 1].learner) {
        shard.prefetch_blocks(filed[blocks_ahead].learner);
      }
    }
    std::size_t end = begin + 1;
    while (end < filed.size() && filed[end].learner == filed[begin].learner) ++end;
    fold_run(shard, std::span(filed).subspan(begin, end - begin), prepared);
    begin = end;
  }
}

void Fast::apply(std::span<const Batch* const> batches, Parallel& parallel) {
  for (std::size_t i = 0; i < batches.size(); i += kBatchesMax) {
    apply_some(batches.subspan(i, std::min(kBatchesMax, batches.size() - i)), parallel);
  }
}

void Fast::apply_some(std::span<const Batch* const> batches, Parallel& parallel) {
  std::vector<Prepared> prepared(batches.size());
  for (std::size_t i = 0; i < batches.size(); ++i) prepared[i].batch = batches[i];
  parallel.run(prepared.size(),
               [&](std::size_t i) { file_by_shard(prepared[i], static_cast<std::uint16_t>(i)); });

  // Names are numbered on this thread alone, in the order of the events, so numbers repeat.
  for (Prepared& p : prepared) {
    const auto number = [this](const events::Dictionary& from, std::vector<std::uint32_t>& to) {
      to.resize(from.size());
      for (std::uint32_t i = 0; i < from.size(); ++i) to[i] = names_.intern(from[i]);
    };
    number(p.batch->capabilities(), p.capability);
    number(p.batch->domains(), p.domain);
    number(p.attribute_names, p.attribute_name);
  }
  parallel.run(kShards, [&](std::size_t shard) { fold_shard(shard, prepared); });
  note_memory();
}

void Fast::note_memory() {
  std::size_t total = sizeof(*this) + names_.bytes();
  for (const Shard& shard : shards_) total += shard.bytes();
  bytes_.store(total, std::memory_order_relaxed);
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
    facts.specialist = facts.domain_entropy_bits < kSpecialistEntropyBits &&
                       row.domain_weight_max / row.domain_weight > kSpecialistTopShare;
  }
  for (const Attribute& a : shard.attributes(index)) {
    facts.attributes.emplace_back(names_[a.key], names_[a.value]);
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
    part.learner.reserve(rows);
    part.clusterable.reserve(rows);
    for (auto& column : part.trait) column.reserve(rows);
    for (std::uint32_t i = 0; i < rows; ++i) {
      const Row row = read_row(shard.row(i));
      const LearnerState state = state_of(row, week);
      if (state == LearnerState::kDormant) continue;
      const Traits traits = traits_of(row, day, week, entropy_bits(row));
      part.learner.push_back(ref(s, i));
      part.clusterable.push_back(state == LearnerState::kActive ? 1 : 0);
      for (std::size_t t = 0; t < kTraits; ++t) {
        part.trait[t].push_back(static_cast<float>(traits.*kTraitFields[t]));
      }
    }
  });
  std::array<std::size_t, kShards + 1> first{};
  for (std::size_t s = 0; s < kShards; ++s) first[s + 1] = first[s] + parts[s].size();
  TraitColumns all;
  all.as_of = as_of;
  all.learner.resize(first[kShards]);
  all.clusterable.resize(first[kShards]);
  for (auto& column : all.trait) column.resize(first[kShards]);
  parallel.run(kShards, [&](std::size_t s) {
    const auto at = static_cast<std::ptrdiff_t>(first[s]);
    std::ranges::copy(parts[s].learner, all.learner.begin() + at);
    std::ranges::copy(parts[s].clusterable, all.clusterable.begin() + at);
    for (std::size_t t = 0; t < kTraits; ++t) {
      std::ranges::copy(parts[s].trait[t], all.trait[t].begin() + at);
    }
    parts[s] = {};
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

// Format 1: a header, the names, then a chunk list per shard. Only this code reads it; whatever
// does not fit is kCorrupt, and the log is replayed instead.
constexpr std::uint64_t kSnapshotMagic = 0x3153'4c46'5943'564fULL ^ sizeof(Row);
constexpr std::size_t kSnapshotChunk = std::size_t{4} << 20;

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
  save_names(names_, part);
  send(part);
  for (const Shard& shard : shards_) {
    if (!status) break;
    part.clear();
    shard.save(part);
    send(part);
  }
  return true;
}

Result<void> Fast::load(const std::function<Result<std::optional<std::string>>()>& next) {
  const auto damaged = [] {
    return fail(Errc::kCorrupt, "snapshot: not one of this version; the log will be replayed");
  };
  const auto receive = [&](std::string& part) -> Result<void> {
    const auto frame = COVEY_TRY(next());
    if (!frame || frame->size() != sizeof(std::uint64_t)) return damaged();
    std::uint64_t size = 0;
    std::memcpy(&size, frame->data(), sizeof size);
    part.clear();
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
      !load_names(names_, in) || !in.done()) {
    return damaged();
  }
  for (Shard& shard : shards_) {
    COVEY_TRY_VOID(receive(part));
    if (!shard.load(part, names_.size())) return damaged();
  }
  note_memory();
  return {};
}

}  // namespace

std::unique_ptr<Engine> make_fast() {
  return std::make_unique<Fast>();
}

}  // namespace covey::learners

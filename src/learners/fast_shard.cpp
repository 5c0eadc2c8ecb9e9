#include "learners/fast_shard.h"

#include <algorithm>
#include <cmath>

#include "base/hash.h"
#include "learners/fast_math.h"

namespace covey::learners {
namespace {

using events::EventType;

constexpr std::uint32_t kDomainsSummed = 16;

// 1900 to 1970; the model takes no earlier time.
constexpr std::int32_t kDaysBefore1970 = 25'567;

double domain_to_retention(double w) {
  // exp(0.05 x) from exp(0.01 x): one exponential an event instead of two, 5 ulp off at most.
  static_assert(kRetentionDecayPerDay == 5 * kDomainDecayPerDay);
  const double square = w * w;
  return square * square * w;
}

/// exp(kDomainDecayPerDay * x), x in days since the epoch's start, given as sixteenths.
double decay(std::int64_t sixteenths) {
  std::int64_t day = sixteenths / Sixteenths::kPerDay;
  std::int64_t within = sixteenths % Sixteenths::kPerDay;
  if (within < 0) {
    --day;
    within += Sixteenths::kPerDay;
  }
  return domain_decay(day, static_cast<double>(within) * Sixteenths::kDays);
}

double times_log2(double w) {
  // Weights that decayed to nothing take the long way, where a subnormal is no trap.
  if (w > 1e-300) return w * fast_log2(w);
  return w > 0 ? w * std::log2(w) : 0;
}

std::int16_t epoch_of(std::int32_t day) {
  return static_cast<std::int16_t>(day >= 0 ? day / Row::kEpochDays
                                            : (day - Row::kEpochDays + 1) / Row::kEpochDays);
}

/// Attributes that a block of this class holds: 1, 2, 3, 4, 6, 8, 12, 16, ...
constexpr std::uint32_t attribute_room(std::uint8_t size_class) {
  if (size_class <= 4) return size_class;
  const std::uint32_t step = size_class - 5u;
  return (step % 2 == 0 ? 6u : 8u) << (step / 2);
}
constexpr std::uint8_t kAttributeClassMax = 4 + 2 * 14;  // holds 65,536

using AttributeWord = std::uint64_t __attribute__((may_alias));

}  // namespace

/// An event's time in the forms that folding asks for. Most events follow one of the same day.
struct Shard::Moment {
  std::int32_t day = INT32_MIN, week = 0;
  std::int16_t epoch = 0;
  std::int64_t of_day = 0;  ///< sixteenths since 1970 at the day's begin
  std::int64_t within = 0;  ///< sixteenths since the day's begin

  /// True: another day than before.
  bool move_to(std::uint64_t since_1900) {
    const std::uint64_t whole = since_1900 / Sixteenths::kPerDay;
    within = static_cast<std::int64_t>(since_1900 % Sixteenths::kPerDay);
    const std::int32_t then = static_cast<std::int32_t>(whole) - kDaysBefore1970;
    if (then == day) return false;
    day = then;
    week = week_of_day(day);
    epoch = epoch_of(day);
    of_day = std::int64_t{day} * Sixteenths::kPerDay;
    return true;
  }
  std::int64_t since(std::int16_t start) const {
    return of_day + within - std::int64_t{start} * Row::kEpochDays * Sixteenths::kPerDay;
  }
};

// ---- Finding and adding rows

// That costs two or three cache misses a learner (slot, stored name): they are overlapped by
// walking kLookahead learners in steps, each of which asks for what the next one reads.
void Shard::resolve(std::span<const Candidate> learners, const events::Dictionary& names,
                    std::vector<std::uint32_t>& rows) {
  rows.clear();
  for (std::size_t begin = 0; begin < learners.size(); begin += kLookahead) {
    const auto block = learners.subspan(begin, std::min(kLookahead, learners.size() - begin));
    for (const Candidate& c : block) index_.prefetch(c.hash);
    for (const Candidate& c : block) {
      if (const std::uint32_t row = index_.guess(c.hash); row != kUnresolved) {
        __builtin_prefetch(&name_slot(row));
      }
    }
    for (const Candidate& c : block) rows.push_back(find_or_add(c, names));
  }
}

std::uint32_t Shard::find_or_add(const Candidate& learner, const events::Dictionary& names) {
  if (!learner.name.is_long()) {
    const std::uint32_t found = index_.find(
        learner.hash, [&](std::uint32_t row) { return name_slot(row) == learner.name; });
    return found != kUnresolved ? found : add(learner.hash, learner.name);
  }
  const std::string_view text = names[learner.name.number()];
  const std::uint32_t found =
      index_.find(learner.hash, [&](std::uint32_t row) { return name(row) == text; });
  if (found != kUnresolved) return found;
  return add(learner.hash, Name::elsewhere(long_names_.intern(text)));
}

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

// ---- Folding

void Shard::prefetch_row(std::uint32_t index) const {
  const char* bytes = reinterpret_cast<const char*>(&row(index));
  __builtin_prefetch(bytes, 1);
  __builtin_prefetch(bytes + 64, 1);
}

void Shard::prefetch_blocks(std::uint32_t index) const {
  const Row& r = row(index);
  if (r.capabilities_handle != 0) {
    const std::byte* block = blocks_.at(r.capabilities_handle);
    __builtin_prefetch(block, 1);
    __builtin_prefetch(block + 64, 1);
  }
  if (r.domains_handle != 0) {
    const std::byte* block = blocks_.at(r.domains_handle);
    __builtin_prefetch(block, 1);
    __builtin_prefetch(block + 64, 1);
  }
}

void Shard::fold(std::span<const Filed> events) {
  // Where rows and blocks of events further on are asked for.
  std::size_t rows_ahead = 0, blocks_ahead = 0;
  for (std::size_t begin = 0; begin < events.size();) {
    for (; rows_ahead < std::min(begin + 2 * kLookahead, events.size()); ++rows_ahead) {
      if (rows_ahead == 0 || events[rows_ahead].learner != events[rows_ahead - 1].learner) {
        prefetch_row(events[rows_ahead].learner);
      }
    }
    for (; blocks_ahead < std::min(begin + kLookahead, events.size()); ++blocks_ahead) {
      if (blocks_ahead == 0 || events[blocks_ahead].learner != events[blocks_ahead - 1].learner) {
        prefetch_blocks(events[blocks_ahead].learner);
      }
    }
    std::size_t end = begin + 1;
    while (end < events.size() && events[end].learner == events[begin].learner) ++end;
    fold_run(events.subspan(begin, end - begin));
    begin = end;
  }
}

/// Events of one learner, in the order they came.
void Shard::fold_run(std::span<const Filed> run) {
  Row& stored = row(run.front().learner);
  Row next = stored;
  Moment moment;
  const std::uint32_t practised = next.practice;
  for (const Filed& event : run) {
    if (moment.move_to(event.time)) {
      const std::int32_t day = moment.day;
      if (next.first_day == Row::kNoDay) {
        next.first_day = next.last_day = day;
        next.active = 1;
      } else {
        next.first_day = std::min(next.first_day, day);
        if (day > next.last_day) {
          const std::int32_t ahead = day - next.last_day;
          next.active = (ahead < 32 ? next.active << ahead : 0) | 1;
          next.last_day = day;
        } else if (next.last_day - day < 32) {
          next.active |= 1u << (next.last_day - day);
        }
      }
    }
    const EventType type = event.event_type();
    if (type == EventType::kPractice) {
      practice(next, event, moment);
    } else if (type == EventType::kFeedback) {
      ++next.received;
      next.acted_on += event.acted;
    }
  }
  // From the weights and not along the way, so that it is the same bits however the events were
  // cut into groups; a few logarithms a run instead of two an event.
  if (next.practice != practised && next.domains_count <= kDomainsSummed) sum_domains(next);
  write_row(stored, next);
}

void Shard::practice(Row& row, const Filed& event, const Moment& moment) {
  const auto week = static_cast<std::int16_t>(moment.week);
  if (row.practice == 0) {
    row.epoch = moment.epoch;
    row.first_week = row.last_week = week;
    row.newest = static_cast<std::int32_t>(moment.since(row.epoch));
  } else {
    if (moment.epoch > row.epoch) advance_epoch(row, moment.epoch);
    row.first_week = std::min(row.first_week, week);
    if (week > row.last_week) {
      const std::int32_t gap = std::min(week - row.last_week, kWindowWeeks);
      for (std::int32_t i = 0; i < gap; ++i) row.adopted[ring(week - i)] = 0;
      row.last_week = week;
    }
  }
  ++row.practice;
  const double weight = domain_decay(moment.day - std::int64_t{row.epoch} * Row::kEpochDays,
                                     static_cast<double>(moment.within) * Sixteenths::kDays);
  use(row, event.capability, moment, weight);
  weigh(row, event.domain, weight);
}

void Shard::use(Row& row, std::uint32_t capability, const Moment& moment, double weight) {
  const double use = domain_to_retention(weight);
  row.use_weight += use;
  const auto when =
      static_cast<std::int32_t>(std::max<std::int64_t>(moment.since(row.epoch), Row::kOldest));
  KeyedBlock used = capabilities(row);
  std::int32_t* const known = Capabilities::find(blocks_, used, capability);
  if (known == nullptr) {
    Capabilities::insert(blocks_, used, capability, when);
    row.capabilities_handle = used.handle;
    row.capabilities_count = used.count;
    row.capabilities_class = used.size_class;
    row.first_use_weight += use;
    first_use(row, moment.week);
  } else if (when < row.newest) {  // else it can't be earlier than the first
    if (std::int32_t& first = *known; when < first) {
      const double was = domain_to_retention(decay(first));
      const std::int64_t first_day =
          (first - (Sixteenths::kPerDay - 1) * (first < 0)) / Sixteenths::kPerDay +
          std::int64_t{row.epoch} * Row::kEpochDays;
      const std::int32_t old_week = week_of_day(static_cast<std::int32_t>(first_day));
      row.first_use_weight += use - was;
      first = when;
      if (old_week != moment.week) {
        drop_first_use(row, old_week);
        first_use(row, moment.week);
      }
    }
  }
  row.newest = std::max(row.newest, when);
}

void Shard::weigh(Row& row, std::uint32_t domain, double weight) {
  KeyedBlock seen = domains(row);
  double* const known = Domains::find(blocks_, seen, domain);
  double total = weight;
  if (known == nullptr) {
    COVEY_CHECK(seen.count < UINT16_MAX);
    if (seen.count == kDomainsSummed) sum_domains(row);  // from here on along the way
    Domains::insert(blocks_, seen, domain, weight);
    row.domains_handle = seen.handle;
    row.domains_count = static_cast<std::uint16_t>(seen.count);
    row.domains_class = seen.size_class;
    if (seen.count > kDomainsSummed) row.domain_weight_log += times_log2(weight);
  } else {
    total = *known + weight;
    if (seen.count > kDomainsSummed) {
      row.domain_weight_log += times_log2(total) - times_log2(*known);
    }
    *known = total;
  }
  row.domain_weight += weight;
  row.domain_weight_max = std::max(row.domain_weight_max, total);
}

void Shard::sum_domains(Row& row) const {
  double sum = 0;
  Domains::each(blocks_, domains(row),
                [&](std::uint32_t, double& weight) { sum += times_log2(weight); });
  row.domain_weight_log = sum;
}

// The first event of a later epoch re-bases weights and times: once in 1,024 days.
void Shard::advance_epoch(Row& row, std::int16_t epoch) {
  const std::int64_t days = std::int64_t{epoch - row.epoch} * Row::kEpochDays;
  const double fade = std::exp(-kDomainDecayPerDay * static_cast<double>(days));
  const double fade_use = domain_to_retention(fade);
  const auto older = [&](std::int32_t& when) {
    when = static_cast<std::int32_t>(
        std::max<std::int64_t>(when - days * Sixteenths::kPerDay, Row::kOldest));
  };
  row.epoch = epoch;
  older(row.newest);
  Capabilities::each(blocks_, capabilities(row),
                     [&](std::uint32_t, std::int32_t& first) { older(first); });
  row.use_weight *= fade_use;
  row.first_use_weight *= fade_use;
  row.domain_weight = row.domain_weight_log = row.domain_weight_max = 0;
  Domains::each(blocks_, domains(row), [&](std::uint32_t, double& weight) {
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
  const std::int64_t monday = std::int64_t{week} * 7 - 3;  // see week_of_day
  const std::int64_t begin =
      (monday - std::int64_t{row.epoch} * Row::kEpochDays) * Sixteenths::kPerDay;
  std::uint32_t real = 0;  // the counter stopped at 255, so count again
  Capabilities::each(blocks_, capabilities(row), [&](std::uint32_t, std::int32_t& first) {
    real += first >= begin && first < begin + 7 * Sixteenths::kPerDay ? 1 : 0;
  });
  count = static_cast<std::uint8_t>(std::min(real, 255u));
}

// ---- Attributes

void Shard::set_attribute(std::uint32_t index, const Attribute& fresh, const Names& names) {
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
  std::uint32_t at = 0;
  for (; at < next.attributes_count; ++at) {
    if (static_cast<std::uint32_t>(*entry(next.attributes_handle, at)) == fresh.key) break;
  }
  if (at < next.attributes_count) {
    AttributeWord* words = entry(next.attributes_handle, at);
    const auto old_time = static_cast<std::int64_t>(words[1]);
    const auto old_value = static_cast<std::uint32_t>(words[0] >> 32);
    // The last writer by time wins; of two at one instant the larger text, whatever came first.
    if (fresh.time_us < old_time) return;
    if (fresh.time_us == old_time && names[fresh.value] <= names[old_value]) return;
    write(next.attributes_handle, at, fresh);  // key and value are one word; readers need no more
    return;
  }
  COVEY_CHECK(next.attributes_count < UINT16_MAX);
  if (next.attributes_count == attribute_room(next.attributes_class)) {
    const auto larger = static_cast<std::uint8_t>(next.attributes_class + 1);
    const Handle handle =
        attribute_blocks_.allocate(larger, attribute_room(larger) * sizeof(Attribute));
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

// ---- Snapshots: columns and arenas as they lie in memory, since only this code reads them

namespace {

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
  if (!in.ok() || classes > 1024) return false;
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

}  // namespace

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
  for (std::uint32_t i = 0; i < size(); i += kRowsPerChunk) {
    const std::size_t rows = std::min<std::size_t>(kRowsPerChunk, size() - i);
    out.append(reinterpret_cast<const char*>(&row(i)), rows * sizeof(Row));
  }
  for (std::uint32_t i = 0; i < size(); i += kRowsPerChunk) {
    const std::size_t rows = std::min<std::size_t>(kRowsPerChunk, size() - i);
    out.append(reinterpret_cast<const char*>(&name_slot(i)), rows * sizeof(Name));
  }
  save_names(long_names_, out);
  save_arena(blocks_, out);
  save_arena(attribute_blocks_, out);
}

bool Shard::load(std::string_view bytes, std::uint32_t attribute_names) {
  Taker in(bytes);
  const auto count = in.take<std::uint64_t>();
  if (count > kUnresolved) return false;
  const std::string_view rows = in.take_bytes(count * sizeof(Row));
  const std::string_view slots = in.take_bytes(count * sizeof(Name));
  if (!in.ok() || !load_names(long_names_, in) || !load_arena(blocks_, in) ||
      !load_arena(attribute_blocks_, in) || !in.done()) {
    return false;
  }
  const auto inside = [](const BlockArena& arena, Handle handle, std::size_t size) {
    return std::size_t{handle} * 8 + size <= arena.chunk_count() * BlockArena::kChunkBytes;
  };
  index_.reserve(count);
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
    if (slot.is_long() ? slot.number() >= long_names_.size() : !slot.valid()) return false;
    // The checksum was right, so this is only against a snapshot of other code: no handle may
    // lead outside.
    if (!Capabilities::valid(r.capabilities_class) || !Domains::valid(r.domains_class) ||
        r.attributes_class > kAttributeClassMax ||
        r.capabilities_count > Capabilities::capacity(r.capabilities_class) ||
        r.domains_count > Domains::capacity(r.domains_class) ||
        r.attributes_count > attribute_room(r.attributes_class) ||
        !inside(blocks_, r.capabilities_handle, Capabilities::bytes(r.capabilities_class)) ||
        !inside(blocks_, r.domains_handle, Domains::bytes(r.domains_class)) ||
        !inside(attribute_blocks_, r.attributes_handle, r.attributes_count * sizeof(Attribute))) {
      return false;
    }
    if (r.attributes_count > 0) {
      for (const Attribute& a : attributes(index)) {
        if (a.key >= attribute_names || a.value >= attribute_names) return false;
      }
    }
    size_.store(index + 1, std::memory_order_release);
    index_.insert(hash64(name(index)), index, [this](std::uint32_t n) { return hash64(name(n)); });
  }
  return true;
}

}  // namespace covey::learners

#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "events/batch.h"
#include "learners/arena.h"
#include "learners/engine.h"
#include "learners/fast_row.h"
#include "learners/keyed_block.h"
#include "learners/name.h"
#include "learners/row_index.h"

namespace covey::learners {

/// What folding needs of an event other than a profile, in one piece: columns read in another
/// order than they lie in would cost a cache miss each, and sorting moves every byte.
struct Filed {
  std::uint64_t time : 38;  ///< sixteenths of a second since 1900
  std::uint64_t kind : 4;   ///< kind_of() it
  std::uint64_t domain : 22;
  std::uint32_t capability;  ///< the engine's number
  std::uint32_t learner;     ///< the batch's number within the shard, later the row

  static constexpr std::uint64_t kKinds = 16;
  /// `acted_on` counts on feedback alone.
  static constexpr std::uint64_t kind_of(events::EventType type, bool acted_on) {
    return static_cast<std::uint64_t>(type) | (acted_on ? 8u : 0u);
  }
  static constexpr std::uint64_t kTimeMax = (std::uint64_t{1} << 38) - 1;  ///< in the year 2444
  static constexpr std::uint32_t kDomainsMax = (1u << 22) - 1;
};
static_assert(sizeof(Filed) == 16);

struct Attribute {
  std::uint32_t key = 0, value = 0;  ///< in the engine's attribute names
  std::int64_t time_us = 0;
};
static_assert(sizeof(Attribute) == 16);

/// A learner of a batch, on the way to a row.
struct Candidate {
  std::uint64_t hash = 0;
  Name name;                 ///< of a long id: its number in the batch
  std::uint64_t events = 0;  ///< that are to be folded
};

/// One practice event on its way into a row.
struct Practice {
  std::int32_t day = 0;     ///< since 1970
  std::int32_t within = 0;  ///< sixteenths since the day's begin
  std::uint32_t capability = 0, domain = 0;
};

/// What a thread needs while it folds, from learner to learner: practice events of one learner in
/// the order they came, as columns, so that what is the same for all is computed for several at
/// once.
struct FoldSheet {
  static constexpr std::size_t kEvents = 64;  ///< of one learner at once
  template <typename T>
  using Column = std::array<T, kEvents + 1>;  // one is written before it is known to count
  Column<std::int32_t> day, within;
  Column<std::uint32_t> capability, domain;
  std::size_t practised = 0;
  // Of those folded together:
  Column<std::int32_t> when;  ///< sixteenths since the epoch's start
  Column<std::int32_t> week;
  Column<std::uint8_t> slot;  ///< of the week in Row::adopted, or kForgotten
  static constexpr std::uint8_t kForgotten = kWindowWeeks, kSlots = kForgotten + 1;
  Column<double> weight, use_weight;

  using Places = std::vector<std::uint16_t>;  ///< by narrow key; 0: none
  Places capabilities, domains;               ///< empty until first needed

  Practice practice(std::size_t i) const { return {day[i], within[i], capability[i], domain[i]}; }
  std::size_t bytes() const {
    return (capabilities.capacity() + domains.capacity()) * sizeof(capabilities[0]);
  }
};

/// Learners or events whose cache misses are overlapped.
inline constexpr std::size_t kLookahead = 32;

/// A 64th of the learners. One thread at a time folds into it; look-ups read beside it.
class Shard {
 public:
  explicit Shard(Slabs& slabs)
      : rows_(slabs, kRowsPerChunk * sizeof(Row)),
        names_(slabs, kRowsPerChunk * sizeof(Name)),
        long_names_(slabs),
        blocks_(slabs),
        attribute_blocks_(slabs) {}

  std::uint32_t size() const { return size_.load(std::memory_order_acquire); }
  Row& row(std::uint32_t index) const {
    return reinterpret_cast<Row*>(rows_.at(index / kRowsPerChunk))[index % kRowsPerChunk];
  }
  void prefetch_row_to_read(std::uint32_t index) const {
    const char* bytes = reinterpret_cast<const char*>(&row(index));
    __builtin_prefetch(bytes);
    __builtin_prefetch(bytes + 64);
  }
  std::string_view name(std::uint32_t index) const {
    const Name& stored = name_slot(index);
    return stored.is_long() ? long_names_[stored.number()] : stored.view();
  }
  /// Attributes as of now, for a reader beside the writer.
  std::vector<Attribute> attributes(std::uint32_t index) const;
  /// The learner's row, or kUnresolved.
  std::uint32_t find(std::uint64_t hash, std::string_view learner) const {
    const RowIndex::Visit visit(index_);
    return index_.find(hash, [&](std::uint32_t row) { return name(row) == learner; });
  }
  void count_memory(MemoryUse& use) const {
    use.rows += rows_.bytes();
    use.names += names_.bytes() + long_names_.bytes();
    use.index += index_.bytes();
    use.blocks += blocks_.bytes();
    use.attributes += attribute_blocks_.bytes();
  }

  // For the folding thread.

  void prefetch_row(std::uint32_t index) const;
  void begin_apply() { index_.free_retired(); }
  /// Finds or adds the rows of a batch's learners, in their order.
  void resolve(std::span<const Candidate> learners, const events::Dictionary& names,
               std::vector<std::uint32_t>& rows);
  /// Folds events whose `learner` is a row, those of one learner side by side.
  void fold(std::span<const Filed> events, FoldSheet& sheet);
  void set_attribute(std::uint32_t index, const Attribute& attribute, const Names& names);

  // Snapshots.

  void save(std::string& out) const;
  /// False: not what save() wrote. `attribute_names` bounds the numbers of attributes.
  bool load(std::string_view bytes, std::uint32_t attribute_names);

  static constexpr std::size_t kRowsPerChunk = 512;

 private:
  using Capabilities = Keyed<std::int32_t, 0>;  ///< first use, sixteenths since the epoch's start
  using Domains = Keyed<double, 1>;             ///< weight

  Name& name_slot(std::uint32_t index) const {
    return reinterpret_cast<Name*>(names_.at(index / kRowsPerChunk))[index % kRowsPerChunk];
  }
  std::uint32_t find_or_add(const Candidate& learner, const events::Dictionary& names);
  std::uint32_t add(std::uint64_t hash, const Name& name);
  void prefetch_blocks(std::uint32_t index) const;

  void fold_learner(std::span<const Filed> events, FoldSheet& sheet);
  static void read_times(Row& row, std::span<const Filed> events, FoldSheet& sheet);
  void practise(Row& row, const Practice& p);
  bool practise_together(Row& row, FoldSheet& sheet);
  class Uses;
  class Weighs;
  void add_together(Row& row, FoldSheet& sheet);
  static void begin_practice(Row& row, std::int16_t epoch, std::int32_t week);
  static void advance_week(Row& row, std::int32_t week);
  void use(Row& row, std::uint32_t capability, std::int32_t when, std::int32_t week, double weight);
  void earlier_use(Row& row, std::int32_t& first, std::int32_t when, std::int32_t week,
                   double weight);
  void weigh(Row& row, std::uint32_t domain, double weight);
  void advance_epoch(Row& row, std::int16_t epoch);
  void sum_domains(Row& row) const;
  void first_use(Row& row, std::int32_t week);
  void drop_first_use(Row& row, std::int32_t week);
  static KeyedBlock capabilities(const Row& row) {
    return {row.capabilities_handle, row.capabilities_count, row.capabilities_class};
  }
  static KeyedBlock domains(const Row& row) {
    return {row.domains_handle, row.domains_count, row.domains_class};
  }
  static void set_capabilities(Row& row, const KeyedBlock& block) {
    row.capabilities_handle = block.handle;
    row.capabilities_count = block.count;
    row.capabilities_class = block.size_class;
  }
  static void set_domains(Row& row, const KeyedBlock& block) {
    row.domains_handle = block.handle;
    row.domains_count = static_cast<std::uint16_t>(block.count);
    row.domains_class = block.size_class;
  }

  Chunks rows_, names_;
  Names long_names_;
  RowIndex index_;
  BlockArena blocks_;            // capabilities and domains: only the folding thread looks in
  BlockArena attribute_blocks_;  // apart, for readers do look in
  std::atomic<std::uint32_t> size_{0};
};

// Bytes of snapshots, as they lie in memory.

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

void save_names(const Names& names, std::string& out);
bool load_names(Names& names, Taker& in);

}  // namespace covey::learners

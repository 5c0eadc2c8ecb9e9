#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace covey::learners {

/// No row.
inline constexpr std::uint32_t kUnresolved = 0xffffffff;

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

  /// Makes room for `rows` at once, where that is known. Before any look-up.
  void reserve(std::size_t rows) {
    std::size_t size = current_->mask + 1;
    while (rows * 5 > size * 4) size *= 2;
    if (count_ == 0 && size > current_->mask + 1) publish(std::make_unique<Table>(size));
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

}  // namespace covey::learners

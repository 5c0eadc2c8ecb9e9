#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "log/log.h"

namespace covey::sim {

/// What happens at one effect of the log.
enum class Fate {
  kFine,
  kRefused,        ///< the disk says no: nothing stored, the caller hears kFull
  kLostPower,      ///< the process dies before the write reached the disk
  kLostPowerLate,  ///< it dies after: stored, but the caller never hears of it
};

/// The log's contract in memory, with a fault at any chosen effect. After a power cut every call
/// fails, as it would in a dead process; `reboot` gives back what a disk would hold.
class MemoryLog final : public log::Log {
 public:
  struct Disk {
    std::vector<std::string> records;
    std::set<Hash128> ids;
    std::map<std::string, std::string, std::less<>> notes;
    std::optional<log::Cursor> snapshot_cursor;
    std::vector<std::string> snapshot;
    std::uint64_t fsyncs = 0;
  };

  explicit MemoryLog(Disk& disk) : disk_(disk) {}

  /// The effect number `at` (0, 1, ...; appends and snapshot commits) meets `fate`.
  void plan(std::uint64_t at, Fate fate) {
    fatal_ = at;
    fate_ = fate;
  }
  /// Called with each group on its way in, on append()'s thread.
  void before_append(std::function<void(std::span<const log::Record>)> see) {
    before_append_ = std::move(see);
  }
  /// Whether scan() fails, as of a disk that can't be read.
  void unreadable(bool yes) { unreadable_ = yes; }
  /// What memory_bytes() says.
  std::atomic<std::uint64_t> memory{0};
  std::uint64_t memory_bytes() const override { return memory; }
  std::uint64_t effects() const { return effects_; }
  bool dead() const { return dead_; }

  std::uint32_t partitions() const override { return 1; }

  Result<std::vector<log::Appended>> append(std::span<log::Record> group) override {
    if (before_append_) before_append_(group);
    const std::lock_guard lock(mutex_);
    const Fate fate = next();
    if (dead_) return fail(Errc::kFailed, "power is off");
    if (fate == Fate::kRefused) return fail(Errc::kFull, "no space left on the simulated disk");
    Disk after = disk_;
    std::vector<log::Appended> appended;
    for (log::Record& record : group) {
      log::Appended one;
      std::vector<std::uint8_t> duplicate(record.ids.size());
      for (std::size_t i = 0; i < duplicate.size(); ++i) {
        duplicate[i] = after.ids.insert(record.ids[i]).second ? 0 : 1;
        one.duplicates += duplicate[i];
      }
      if (std::string bytes = record.encode(duplicate); !bytes.empty()) {
        one.position = log::Position{0, after.records.size()};
        after.records.push_back(std::move(bytes));
      }
      for (auto& [key, value] : record.puts) after.notes[key] = value;
      for (const auto& key : record.erases) after.notes.erase(key);
      appended.push_back(one);
    }
    if (fate == Fate::kLostPower) return die();
    ++after.fsyncs;
    disk_ = std::move(after);
    if (fate == Fate::kLostPowerLate) return die();
    return appended;
  }

  Result<log::Cursor> read(const log::Cursor& from, const Visitor& visit) const override {
    const std::lock_guard lock(mutex_);
    std::uint64_t at = from.next.empty() ? 0 : from.next[0];
    for (; at < disk_.records.size(); ++at) {
      if (auto seen = visit({0, at}, disk_.records[at]); !seen) {
        return std::unexpected(seen.error());
      }
    }
    return log::Cursor{{at}};
  }
  log::Cursor end() const override {
    const std::lock_guard lock(mutex_);
    return {{disk_.records.size()}};
  }

  Result<std::unique_ptr<SnapshotWriter>> begin_snapshot() override {
    if (dead_) return fail(Errc::kFailed, "power is off");
    return std::make_unique<Writer>(*this);
  }
  Result<Snapshot> open_snapshot() const override {
    if (!disk_.snapshot_cursor) return fail(Errc::kNotFound, "no snapshot");
    Snapshot snapshot;
    snapshot.cursor = *disk_.snapshot_cursor;
    for (const auto& chunk : disk_.snapshot) snapshot.bytes += chunk.size();
    snapshot.next = [this, at = std::size_t{0}]() mutable -> Result<std::optional<std::string>> {
      if (at == disk_.snapshot.size()) return std::optional<std::string>();
      return std::optional<std::string>(disk_.snapshot[at++]);
    };
    return snapshot;
  }

  Result<std::optional<std::string>> get(std::string_view key) const override {
    const std::lock_guard lock(mutex_);
    const auto found = disk_.notes.find(key);
    if (found == disk_.notes.end()) return std::optional<std::string>();
    return std::optional<std::string>(found->second);
  }
  Result<void> scan(
      std::string_view prefix, std::string_view after,
      const std::function<bool(std::string_view, std::string_view)>& see) const override {
    if (unreadable_) return fail(Errc::kFailed, "the simulated disk can't be read");
    const std::lock_guard lock(mutex_);
    for (const auto& [key, value] : disk_.notes) {
      if (!key.starts_with(prefix) || (!after.empty() && key <= after)) continue;
      if (!see(key, value)) break;
    }
    return {};
  }
  log::Sizes sizes() const override {
    const std::lock_guard lock(mutex_);
    log::Sizes sizes;
    sizes.records = disk_.records.size();
    sizes.fsyncs = disk_.fsyncs;
    return sizes;
  }

 private:
  class Writer final : public SnapshotWriter {
   public:
    explicit Writer(MemoryLog& log) : log_(log) {}
    Result<void> write(std::string_view chunk) override {
      chunks_.emplace_back(chunk);
      return {};
    }
    Result<void> commit(const log::Cursor& cursor) override {
      const std::lock_guard lock(log_.mutex_);
      const Fate fate = log_.next();
      if (log_.dead_) return fail(Errc::kFailed, "power is off");
      if (fate == Fate::kRefused) return fail(Errc::kFull, "no space left");
      if (fate == Fate::kLostPower) return log_.die();
      log_.disk_.snapshot = std::move(chunks_);
      log_.disk_.snapshot_cursor = cursor;
      if (fate == Fate::kLostPowerLate) return log_.die();
      return {};
    }

   private:
    MemoryLog& log_;
    std::vector<std::string> chunks_;
  };

  Fate next() { return effects_++ == fatal_ ? fate_ : Fate::kFine; }
  std::unexpected<Error> die() {
    dead_ = true;
    return fail(Errc::kFailed, "power is off");
  }

  mutable std::mutex mutex_;  // the contract: one appends, any read meanwhile
  Disk& disk_;
  std::atomic<std::uint64_t> effects_{0};
  std::uint64_t fatal_ = UINT64_MAX;
  Fate fate_ = Fate::kFine;
  std::atomic<bool> dead_{false}, unreadable_{false};
  std::function<void(std::span<const log::Record>)> before_append_;
};

}  // namespace covey::sim

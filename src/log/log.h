#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/time.h"

namespace covey::log {

/// How far each origin (a writing site) has been read: the next sequence number, by origin. The
/// embedded log has one origin, 0. Serialisable as it stands.
struct Cursor {
  std::vector<std::uint64_t> next;
  friend bool operator==(const Cursor&, const Cursor&) = default;
};

struct Position {
  std::uint32_t origin = 0;
  std::uint64_t sequence = 0;
  friend auto operator<=>(const Position&, const Position&) = default;
};

/// A batch on its way in. The log knows nothing of what the bytes mean; it only decides which
/// rows it has seen before.
struct Record {
  std::uint32_t partition = 0;   ///< learner hash % partitions()
  std::span<const Hash128> ids;  ///< one per row that must not be stored twice
  /// Called once, with the rows to drop (duplicate[i] == 1: ids[i] is known already, from before or
  /// from earlier in this group). Returns the bytes to store; empty: store nothing.
  std::function<std::string(std::span<const std::uint8_t> duplicate)> encode;
  /// Small keyed values stored in the same atomic step (the quarantine, for one).
  std::vector<std::pair<std::string, std::string>> puts;
  std::vector<std::string> erases;
};

struct Appended {
  std::optional<Position> position;  ///< none when every row was a duplicate
  std::uint64_t duplicates = 0;
};

struct Sizes {
  std::uint64_t disk_bytes = 0;  ///< of the whole store
  std::uint64_t records = 0;
  std::uint64_t id_index_entries = 0;
  std::uint64_t id_index_bytes = 0;  ///< memory
  std::uint64_t memory_bytes = 0;    ///< all of the log's memory, the id index included
  std::uint64_t fsyncs = 0;          ///< since open
};

/// Durable records of one store: what was acknowledged is here, whole, once.
///
/// A record is whole or absent after a crash, and survivors are in the order acknowledged.
/// append() is called by one thread; read(), get(), scan() by any number. What a second
/// implementation must promise is written in ARCHITECTURE.md, "The log's contract"; the shared
/// suite tests/log/contract.h checks it.
class Log {
 public:
  virtual ~Log() = default;

  virtual std::uint32_t partitions() const = 0;

  /// Stores a group of records with one fsync and returns once all would survive a power cut.
  /// All or nothing. kFull: the disk or the id index is full, nothing was stored, the log stays
  /// usable and the message says how to go on. kFailed: the disk failed, or the log is read-only;
  /// after a failed fsync every later append fails too, for the kernel may have dropped the pages.
  virtual Result<std::vector<Appended>> append(std::span<Record> group) = 0;

  /// Does now what the first append() would have to wait for: reads which ids are known, seconds
  /// for tens of millions. On append()'s thread. kCorrupt as append() would say.
  virtual Result<void> prepare() { return {}; }

  using Visitor = std::function<Result<void>(Position, std::string_view bytes)>;
  /// Calls `visit` for every record at or after `from`, oldest first, up to what was durable when
  /// the call began, and returns the cursor behind the last. kCorrupt names the position.
  virtual Result<Cursor> read(const Cursor& from, const Visitor& visit) const = 0;
  /// Behind the last durable record.
  virtual Cursor end() const = 0;

  /// A snapshot replaces the one before it in one step, at commit; `cursor` says which records it
  /// includes. Dropping the writer before commit leaves the old one in place. May run on a thread
  /// of its own beside append().
  class SnapshotWriter {
   public:
    virtual ~SnapshotWriter() = default;
    virtual Result<void> write(std::string_view chunk) = 0;  ///< <= 4 MiB a chunk
    virtual Result<void> commit(const Cursor& cursor) = 0;
  };
  virtual Result<std::unique_ptr<SnapshotWriter>> begin_snapshot() = 0;

  /// Chunks of the current snapshot in order; `next` answers nothing after the last, and may be
  /// called from any thread, by one at a time. kNotFound:
  /// there is none. A chunk whose checksum is wrong is kCorrupt.
  struct Snapshot {
    Cursor cursor;
    std::uint64_t bytes = 0;
    std::function<Result<std::optional<std::string>>()> next;
  };
  virtual Result<Snapshot> open_snapshot() const = 0;

  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
  /// Visits keys that start with `prefix`, in byte order, from `after` (exclusive; empty: the
  /// first), until `see` answers false.
  virtual Result<void> scan(
      std::string_view prefix, std::string_view after,
      const std::function<bool(std::string_view key, std::string_view value)>& see) const = 0;

  virtual Sizes sizes() const = 0;
  /// Sizes::memory_bytes alone, which costs no look at the disk.
  virtual std::uint64_t memory_bytes() const { return sizes().memory_bytes; }
};

}  // namespace covey::log

#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "log/log.h"

namespace covey::log {

struct RocksLimits {
  /// Ids are recognised for at least this long after they were stored.
  std::chrono::hours id_horizon{7 * 24};
  /// Ceiling of the id index; reaching it with ids younger than the horizon is kFull.
  std::size_t id_index_bytes_max = std::size_t{4} << 30;
  std::size_t record_bytes_max = std::size_t{256} << 20;
  std::size_t key_bytes_max = 1024;
  std::size_t value_bytes_max = std::size_t{1} << 20;
  /// Appends are refused as kFull while the disk has less free than this, so that RocksDB itself
  /// never meets a full disk in mid-compaction.
  std::uint64_t disk_free_bytes_min = std::uint64_t{64} << 20;
  /// Compaction has the kernel prefer other threads, in every store of the process.
  bool step_back = false;
  /// Niceness of flushes, on top of the process's; append() and snapshots wait for them. The
  /// threads are shared by all stores of the process, and stay at the highest that was asked for.
  int flush_niceness = 0;
};

enum class Access { kReadWrite, kReadOnly };

/// Opens or creates a store in `dir`. kReadOnly opens an existing one beside a running writer and
/// sees what was durable at that moment; its append fails. `clock` must outlive the log.
///
/// Errors name the directory and the way out: kNotFound (read-only and no store there),
/// kRetryLater (another process holds it), kCorrupt, kFull, kFailed (permissions, not a store,
/// a format of a later version).
Result<std::unique_ptr<Log>> open_rocks_log(const std::filesystem::path& dir, Access access,
                                            const RocksLimits& limits, const Clock& clock);

}  // namespace covey::log

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/result.h"

namespace covey::log {

/// What the end of the newest non-empty write-ahead file of a RocksDB directory looks like.
struct WalTail {
  std::filesystem::path file;
  std::uint64_t whole_bytes = 0;  ///< up to here every record is whole
  std::uint64_t file_bytes = 0;   ///< larger: the last write was torn
  bool readable_behind = false;   ///< a later record begins behind the damage
};

/// Reads that file and decides what RocksDB's recovery modes cannot: whether damage is a torn tail,
/// which was never acknowledged, or lies before something that was.
///
/// Every write of ours is synced before the next begins, so a record that begins behind damage
/// proves that the damaged one had been acknowledged. Nothing: there is no such file, or it is
/// empty. Linear in the file, which `max_total_wal_size` bounds.
Result<std::optional<WalTail>> inspect_wal_tail(const std::filesystem::path& dir);

/// Cuts the torn tail off and syncs the file.
Result<void> cut_wal_tail(const WalTail& tail);

}  // namespace covey::log

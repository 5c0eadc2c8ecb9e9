#include "log/rocks_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/scheduling.h"
#include "log/frame.h"
#include "log/id_index.h"
#include "log/wal_tail.h"

namespace covey::log {
namespace {

namespace fs = std::filesystem;
using rocksdb::Slice;
using rocksdb::Status;

constexpr std::string_view kMarkerName = "COVEY";
constexpr std::string_view kMarkerNext = "COVEY.new";
constexpr std::string_view kLockName = "covey.lock";
constexpr std::string_view kDbName = "db";
constexpr unsigned kFormat = 1;
constexpr std::string_view kManifestKey = "snapshot";

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kChunkBytesMax = 4 * kMiB;
constexpr std::size_t kGroupBytesMax = 1024 * kMiB;
constexpr std::size_t kBatchBytesKept = 64 * kMiB;  // between groups
// Chunks go round the write-ahead log, so they are flushed by hand, this many bytes at a time.
constexpr std::size_t kSnapshotFlushBytes = 16 * kMiB;
constexpr std::size_t kHeldRecordsMax = 64;
constexpr std::size_t kHeldIdsMax = std::size_t{4} << 20;
// After this many look-ups in one record's ids, sorting them is cheaper than another walk.
constexpr unsigned kWalksBeforeSorting = 3;
constexpr std::int64_t kStampSeconds = 60;
constexpr std::int64_t kForgetSeconds = 3600;
constexpr int kReadOnlyAttempts = 5;

enum Family { kMeta, kRecords, kIds, kSnapshots, kNotes, kFamilies };

Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view view(const Slice& s) {
  return {s.data(), s.size()};
}

std::int64_t seconds(Time t) {
  return std::chrono::floor<std::chrono::seconds>(t.time_since_epoch()).count();
}

std::string chunk_key(std::uint64_t generation, std::uint64_t chunk) {
  return big_endian(generation) + big_endian(chunk);
}
std::uint64_t chunk_place(std::uint64_t generation, std::uint64_t chunk) {
  return mix64(generation) + chunk;
}

Error os_error(const fs::path& dir, std::string_view doing, int error) {
  const std::string why = std::strerror(error);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return {Errc::kFull, fmt::format("cannot {} {}: {}; free some disk space there and try again",
                                       doing, dir.string(), why)};
    case EROFS:
    case EACCES:
    case EPERM:
      return {Errc::kFailed,
              fmt::format("cannot {} {}: {}; give this user the right to write there, or choose "
                          "another directory",
                          doing, dir.string(), why)};
    default:
      return {Errc::kFailed, fmt::format("cannot {} {}: {}", doing, dir.string(), why)};
  }
}

Error store_error(const fs::path& dir, std::string_view doing, const Status& status) {
  const std::string why = status.ToString();
  if (status.IsNoSpace() || status.subcode() == Status::kSpaceLimit) {
    return {Errc::kFull,
            fmt::format("the disk is full: cannot {} {} ({}); free some space under it: what was "
                        "acknowledged is safe, and writing goes on by itself once there is room",
                        doing, dir.string(), why)};
  }
  if (status.IsCorruption()) {
    return {Errc::kCorrupt,
            fmt::format("the store in {} is damaged: cannot {} it ({}); keep a copy of the "
                        "directory and restore a backup",
                        dir.string(), doing, why)};
  }
  if (status.IsBusy() || status.IsTryAgain() || status.IsTimedOut()) {
    return {Errc::kRetryLater,
            fmt::format("cannot {} the store in {} now ({}); try again", doing, dir.string(), why)};
  }
  if (status.IsIOError() && why.find("lock") != std::string::npos) {
    return {Errc::kRetryLater,
            fmt::format("another process has the store in {} open; stop it or ask it over HTTP",
                        dir.string())};
  }
  return {Errc::kFailed, fmt::format("cannot {} the store in {}: {}; check the disk and the rights "
                                     "on the directory, then restart the process",
                                     doing, dir.string(), why)};
}

Error corrupt(const fs::path& dir, const std::string& what) {
  return {Errc::kCorrupt, fmt::format("the store in {} is damaged: {}; keep a copy of the "
                                      "directory and restore a backup",
                                      dir.string(), what)};
}

/// Holds the store for one process. flock and not RocksDB's own lock alone: the torn tail must be
/// cut before RocksDB looks at the files.
class DirectoryLock {
 public:
  DirectoryLock() = default;
  DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DirectoryLock& operator=(DirectoryLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~DirectoryLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  static Result<DirectoryLock> take(const fs::path& dir) {
    DirectoryLock lock;
    lock.fd_ = ::open((dir / kLockName).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock.fd_ < 0) return std::unexpected(os_error(dir, "write to", errno));
    if (::flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return std::unexpected(os_error(dir, "lock", errno));
      return fail(Errc::kRetryLater,
                  fmt::format("another process has the store in {} open; stop it or ask it over "
                              "HTTP",
                              dir.string()));
    }
    return lock;
  }

 private:
  int fd_ = -1;
};

enum class Marker { kAbsent, kBeingMade, kMade };

Result<Marker> read_marker(const fs::path& dir) {
  const fs::path path = dir / kMarkerName;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return Marker::kAbsent;
    return std::unexpected(os_error(path, "read", errno));
  }
  std::array<char, 128> buffer{};
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  const int error = errno;
  ::close(fd);
  if (got < 0) return std::unexpected(os_error(path, "read", error));
  std::string_view text(buffer.data(), static_cast<std::size_t>(got));
  constexpr std::string_view kHead = "covey store\nformat ";
  unsigned format = 0;
  if (!text.starts_with(kHead)) {
    return fail(Errc::kFailed, fmt::format("{} is not a marker of a covey store; choose another "
                                           "directory",
                                           path.string()));
  }
  text.remove_prefix(kHead.size());
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), format);
  if (parsed.ec != std::errc() || parsed.ptr == text.data() + text.size()) {
    return std::unexpected(corrupt(dir, "the marker file COVEY names no format"));
  }
  if (format != kFormat) {
    return fail(Errc::kFailed,
                fmt::format("the store in {} has format {} and this version of covey knows format "
                            "{} only; use the version that wrote it",
                            dir.string(), format, kFormat));
  }
  text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  return text == "\nbeing made\n" ? Marker::kBeingMade : Marker::kMade;
}

/// Replaces the marker in one step and syncs it with its directory.
Result<void> write_marker(const fs::path& dir, std::string_view state) {
  const fs::path next = dir / kMarkerNext;
  const std::string text = fmt::format("covey store\nformat {}\n{}", kFormat, state);
  const auto failed = [&] { return std::unexpected(os_error(dir, "write to", errno)); };
  const int fd = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return failed();
  const ssize_t put = ::write(fd, text.data(), text.size());
  const bool synced = put == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const int error = put >= 0 && put < static_cast<ssize_t>(text.size()) ? ENOSPC : errno;
  ::close(fd);
  if (!synced) return std::unexpected(os_error(dir, "write to", error));
  if (::rename(next.c_str(), (dir / kMarkerName).c_str()) != 0) return failed();
  const int folder = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return failed();
  const bool kept = ::fsync(folder) == 0;
  const int why = errno;
  ::close(folder);
  if (!kept) return std::unexpected(os_error(dir, "sync", why));
  return {};
}

/// A directory without a marker may become a store only if nothing in it is anybody's.
Result<void> check_vacant(const fs::path& dir) {
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name == kLockName || name == kMarkerNext || name == "lost+found") continue;
    return fail(Errc::kFailed, fmt::format("{} is not a covey store and not empty (it holds {}); "
                                           "choose another directory",
                                           dir.string(), name));
  }
  if (error) return std::unexpected(os_error(dir, "list", error.value()));
  return {};
}

/// RocksDB's own log file is not kept. A reader's would rename the writer's away; and once a full
/// disk has refused it a line, the next line is a failed assertion in the distribution's build.
/// What went wrong is in the statuses we return.
class NoLogger final : public rocksdb::Logger {
 public:
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
};

/// RocksDB would poll a full disk in the background and resume when it sees fit; append() does so
/// itself, so that its caller knows which write was refused and when writing goes on.
class NoAutoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

/// RocksDB itself would put them behind all else, or nowhere.
class FlushesStepBack final : public rocksdb::EventListener {
 public:
  explicit FlushesStepBack(int niceness) : niceness_(niceness) {}
  void OnFlushBegin(rocksdb::DB*, const rocksdb::FlushJobInfo&) override {
    thread_local int niceness = 0;  // a thread of RocksDB's, which it keeps for flushes
    if (niceness < niceness_) step_back(niceness_ - std::exchange(niceness, niceness_));
  }

 private:
  int niceness_;
};

struct Db {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> family;
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::Statistics> statistics;

  Db() = default;
  Db(Db&&) = default;
  Db& operator=(Db&&) = default;
  ~Db() {
    if (!db) return;
    for (auto* handle : family) db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    db->Close().PermitUncheckedError();
  }
};

rocksdb::DBOptions db_options(Access access) {
  rocksdb::DBOptions options;
  options.paranoid_checks = true;
  // Without it a lost or shortened older file of the write-ahead log would go unnoticed.
  options.track_and_verify_wals_in_manifest = true;
  // A torn tail is cut before RocksDB opens the store, so any damage it still meets is real.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kAbsoluteConsistency;
  options.listeners = {std::make_shared<NoAutoRecovery>()};
  options.max_bgerror_resume_count = 0;
  options.max_total_wal_size = 256 * kMiB;
  options.db_write_buffer_size = 256 * kMiB;
  options.max_background_jobs = 2;
  options.bytes_per_sync = kMiB;
  // Preallocation could take the last of a nearly full disk for bytes nobody wrote.
  options.allow_fallocate = false;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.skip_stats_update_on_db_open = true;
  options.info_log = std::make_shared<NoLogger>();
  options.info_log_level = rocksdb::FATAL_LEVEL;
  if (access == Access::kReadOnly) {
    // All files are opened at once, so that a running writer can't take one away.
    options.max_open_files = -1;
  } else {
    options.max_open_files = 1024;
  }
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> families(std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = std::move(cache);
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;
  table.block_size = 32 << 10;
  table.cache_index_and_filter_blocks = true;

  rocksdb::ColumnFamilyOptions common;
  common.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  common.compression = rocksdb::kZSTD;
  common.compression_opts.level = 1;
  common.write_buffer_size = 8 * kMiB;
  common.target_file_size_base = 64 * kMiB;

  // Keys only grow here, so files never overlap and compaction moves them without rewriting.
  rocksdb::ColumnFamilyOptions records = common;
  records.write_buffer_size = 64 * kMiB;
  records.max_write_buffer_number = 3;
  rocksdb::ColumnFamilyOptions ids = common;
  ids.write_buffer_size = 32 * kMiB;
  ids.max_write_buffer_number = 3;
  ids.compression = rocksdb::kNoCompression;  // hashes do not compress
  rocksdb::ColumnFamilyOptions snapshots = common;
  snapshots.write_buffer_size = 4 * kSnapshotFlushBytes;
  snapshots.max_write_buffer_number = 4;  // written out while the next is filled
  // Chunks never overlap, and are gone as a whole: there is nothing to compact, and nobody who
  // writes one need wait for it.
  snapshots.level0_file_num_compaction_trigger = 1 << 20;
  snapshots.level0_slowdown_writes_trigger = snapshots.level0_stop_writes_trigger = 1 << 20;
  // Written and read whole, while somebody waits; they are replaced every few million events.
  snapshots.compression = rocksdb::kLZ4Compression;
  return {{rocksdb::kDefaultColumnFamilyName, common},
          {"records", records},
          {"ids", ids},
          {"snapshots", snapshots},
          {"notes", common}};
}

/// Creates the empty store; the marker still says "being made".
Status create_db(const fs::path& path) {
  rocksdb::DBOptions options = db_options(Access::kReadWrite);
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  Db made;
  made.cache = rocksdb::NewLRUCache(kMiB);
  rocksdb::DB* raw = nullptr;
  const Status status =
      rocksdb::DB::Open(options, path.string(), families(made.cache), &made.family, &raw);
  made.db.reset(raw);
  return status;
}

Result<Db> open_db(const fs::path& dir, Access access, const RocksLimits& limits) {
  const fs::path path = dir / kDbName;
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    return std::unexpected(corrupt(dir, fmt::format("its folder {} is missing", kDbName)));
  }
  Status status;
  for (int attempt = 0; attempt < kReadOnlyAttempts; ++attempt) {
    const auto tail = COVEY_TRY(inspect_wal_tail(path));
    const bool torn = tail && tail->whole_bytes < tail->file_bytes;
    if (torn && tail->readable_behind) {
      return std::unexpected(
          corrupt(dir, fmt::format("{} is unreadable at byte {}, before records that were "
                                   "acknowledged",
                                   tail->file.string(), tail->whole_bytes)));
    }
    Db open;
    open.cache = rocksdb::NewLRUCache(32 * kMiB);
    open.statistics = rocksdb::CreateDBStatistics();
    open.statistics->set_stats_level(rocksdb::StatsLevel::kExceptTimers);
    rocksdb::DBOptions options = db_options(access);
    options.listeners.push_back(std::make_shared<FlushesStepBack>(limits.flush_niceness));
    options.statistics = open.statistics;
    rocksdb::DB* raw = nullptr;
    if (access == Access::kReadWrite) {
      if (torn) COVEY_TRY_VOID(cut_wal_tail(*tail));
      status = rocksdb::DB::Open(options, path.string(), families(open.cache), &open.family, &raw);
      open.db.reset(raw);
      if (status.ok()) return open;
      break;
    }
    // A tail that is torn, or being written right now, ends what a reader sees.
    options.wal_recovery_mode = torn ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                                     : rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    status = rocksdb::DB::OpenForReadOnly(options, path.string(), families(open.cache),
                                          &open.family, &raw);
    open.db.reset(raw);
    if (status.ok()) return open;
    // A running writer may replace files between the listing and the opening: look again.
  }
  if (status.IsInvalidArgument() || status.IsNotFound()) {
    return std::unexpected(corrupt(dir, status.ToString()));
  }
  return std::unexpected(store_error(dir, "open", status));
}

struct Manifest {
  std::uint64_t generation = 0;
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;
  Cursor cursor;
};

std::string encode(const Manifest& manifest) {
  std::string bytes;
  put_u64(bytes, manifest.generation);
  put_u64(bytes, manifest.chunks);
  put_u64(bytes, manifest.bytes);
  for (const std::uint64_t next : manifest.cursor.next) put_u64(bytes, next);
  const auto header = frame(Kind::kManifest, 0, bytes);
  return std::string(header.data(), header.size()) + bytes;
}

std::optional<Manifest> decode_manifest(std::string_view value) {
  auto bytes = unframe(Kind::kManifest, 0, value);
  if (!bytes || bytes->size() < 24 || bytes->size() % 8 != 0) return std::nullopt;
  Manifest manifest;
  manifest.generation = *take_u64(*bytes);
  manifest.chunks = *take_u64(*bytes);
  manifest.bytes = *take_u64(*bytes);
  while (const auto next = take_u64(*bytes)) manifest.cursor.next.push_back(*next);
  return manifest;
}

/// The ids of one record, for telling a true duplicate from a chance likeness.
class HeldIds {
 public:
  HeldIds() = default;
  explicit HeldIds(std::vector<Hash128> ids) : ids_(std::move(ids)) {}
  bool contains(const Hash128& id) {
    if (!sorted_ && ++walks_ > kWalksBeforeSorting) {
      std::ranges::sort(ids_);
      sorted_ = true;
    }
    return sorted_ ? std::ranges::binary_search(ids_, id)
                   : std::ranges::find(ids_, id) != ids_.end();
  }
  std::span<const Hash128> ids() const { return ids_; }
  std::size_t size() const { return ids_.size(); }

 private:
  std::vector<Hash128> ids_;
  unsigned walks_ = 0;
  bool sorted_ = false;
};

std::optional<std::vector<Hash128>> decode_ids(std::uint64_t sequence, std::string_view value,
                                               std::int64_t& stored_at) {
  static_assert(sizeof(Hash128) == 16);
  auto bytes = unframe(Kind::kIds, sequence, value);
  if (!bytes) return std::nullopt;
  const auto stamp = take_u64(*bytes);
  if (!stamp || bytes->size() % sizeof(Hash128) != 0) return std::nullopt;
  stored_at = static_cast<std::int64_t>(*stamp);
  std::vector<Hash128> ids(bytes->size() / sizeof(Hash128));
  if (!ids.empty()) std::memcpy(ids.data(), bytes->data(), bytes->size());
  return ids;
}

class RocksLog final : public Log {
 public:
  RocksLog(fs::path dir, Access access, const RocksLimits& limits, const Clock& clock,
           DirectoryLock lock, Db db)
      : dir_(std::move(dir)),
        access_(access),
        limits_(limits),
        clock_(clock),
        lock_(std::move(lock)),
        db_(std::move(db)) {}

  Result<void> recover();

  std::uint32_t partitions() const override { return 1; }
  Result<std::vector<Appended>> append(std::span<Record> group) override;
  Result<void> prepare() override;
  Result<Cursor> read(const Cursor& from, const Visitor& visit) const override;
  Cursor end() const override { return {{end_.load(std::memory_order_acquire)}}; }
  Result<std::unique_ptr<SnapshotWriter>> begin_snapshot() override;
  Result<Snapshot> open_snapshot() const override;
  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<void> scan(
      std::string_view prefix, std::string_view after,
      const std::function<bool(std::string_view, std::string_view)>& see) const override;
  Sizes sizes() const override;
  std::uint64_t memory_bytes() const override;

 private:
  class Writer;

  /// Records up to `last` were stored no later than `newest` (seconds since 1970).
  struct Stamp {
    std::uint64_t last;
    std::int64_t first;
    std::int64_t newest;
  };

  rocksdb::DB& db() const { return *db_.db; }
  rocksdb::ColumnFamilyHandle* family(Family which) const {
    return db_.family[static_cast<std::size_t>(which)];
  }
  Result<void> check_writable();
  Result<void> check_notes(const Record& record) const;
  Error write_failed(const Status& status);
  Result<std::optional<Manifest>> manifest(const rocksdb::Snapshot* at) const;
  Result<void> recover_snapshots();
  Result<void> recover_ids();
  void stamp(std::uint64_t sequence, std::int64_t stored_at);
  void expire(std::int64_t now);
  Result<bool> holds(std::uint64_t sequence, const Hash128& id);
  Result<Appended> take_in(const Record& record, std::vector<HeldIds>& pending,
                           rocksdb::WriteBatch& batch);
  void take_back(const std::vector<HeldIds>& pending);
  void publish_sizes();

  const fs::path dir_;
  const Access access_;
  const RocksLimits limits_;
  const Clock& clock_;
  DirectoryLock lock_;  // released after the database is closed
  Db db_;

  std::atomic<std::uint64_t> end_{0};
  std::atomic<std::uint64_t> index_entries_{0};
  std::atomic<std::uint64_t> index_bytes_{0};
  std::atomic<std::uint64_t> held_bytes_{0};

  // The disk's state, shared by append() and a snapshot's thread.
  std::mutex disk_mutex_;
  bool out_of_space_ = false;
  std::optional<Error> broken_;

  std::atomic<bool> snapshot_running_{false};
  std::uint64_t next_generation_ = 1;

  // append()'s thread alone.
  std::optional<IdIndex> index_;
  std::deque<Stamp> stamps_;
  std::uint64_t first_live_ = 0;  ///< ids of older records are beyond the horizon
  std::uint64_t first_kept_ = 0;  ///< ids of older records are gone from the disk
  std::int64_t forgotten_at_ = 0;
  struct Held {
    std::uint64_t sequence;
    std::uint64_t used;
    HeldIds ids;
  };
  std::vector<Held> held_;
  std::uint64_t held_ids_ = 0;
  std::uint64_t held_clock_ = 0;
  /// Of the group being appended. Kept, for it grows by copying itself.
  rocksdb::WriteBatch batch_;
  /// New ids of the group being appended, one entry a record.
  std::vector<HeldIds>* pending_ = nullptr;
};

Result<void> RocksLog::recover() {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  {
    const std::unique_ptr<rocksdb::Iterator> last(db().NewIterator(options, family(kRecords)));
    last->SeekToLast();
    if (last->Valid()) {
      const auto sequence = from_big_endian(view(last->key()));
      if (!sequence) return std::unexpected(corrupt(dir_, "a record has no valid number"));
      end_ = *sequence + 1;
    }
    if (!last->status().ok()) return std::unexpected(store_error(dir_, "read", last->status()));
  }
  const auto snapshot = COVEY_TRY(manifest(nullptr));
  if (snapshot && !snapshot->cursor.next.empty() && snapshot->cursor.next[0] > end_) {
    return std::unexpected(
        corrupt(dir_, fmt::format("its snapshot includes records up to {}, but the records end "
                                  "before {}",
                                  snapshot->cursor.next[0], end_.load())));
  }
  if (access_ == Access::kReadOnly) return {};
  return recover_snapshots();
}

// Ids are for append() alone, and reading takes longer than all else: who only looks up need not
// wait for them.
Result<void> RocksLog::prepare() {
  if (index_) return {};
  auto done = recover_ids();
  if (!done) index_.reset();
  return done;
}

/// Removes what unfinished snapshots left behind.
Result<void> RocksLog::recover_snapshots() {
  const auto current = COVEY_TRY(manifest(nullptr));
  const std::uint64_t kept = current ? current->generation : 0;
  std::uint64_t newest = kept;
  bool stray = false;
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(db().NewIterator(options, family(kSnapshots)));
  it->SeekToFirst();
  stray = it->Valid() && view(it->key()) < chunk_key(kept, 0);
  it->SeekToLast();
  if (it->Valid()) {
    const auto generation = from_big_endian(view(it->key()).substr(0, 8));
    if (!generation) return std::unexpected(corrupt(dir_, "a snapshot chunk has no valid number"));
    stray = stray || *generation > kept;
    newest = std::max(newest, *generation);
  }
  if (!it->status().ok()) return std::unexpected(store_error(dir_, "read", it->status()));
  next_generation_ = newest + 1;
  if (!stray) return {};
  rocksdb::WriteBatch batch;
  Status status = batch.DeleteRange(family(kSnapshots), chunk_key(0, 0), chunk_key(kept, 0));
  if (status.ok()) {
    status =
        batch.DeleteRange(family(kSnapshots), chunk_key(kept + 1, 0), chunk_key(newest + 1, 0));
  }
  rocksdb::WriteOptions write;
  write.sync = true;
  if (status.ok()) status = db().Write(write, &batch);
  if (!status.ok()) return std::unexpected(store_error(dir_, "write to", status));
  return {};
}

Result<void> RocksLog::recover_ids() {
  index_.emplace(limits_.id_index_bytes_max);
  stamps_.clear();
  first_live_ = first_kept_ = 0;
  std::uint64_t stored_bytes = 0;
  db().GetIntProperty(family(kIds), rocksdb::DB::Properties::kEstimateLiveDataSize, &stored_bytes);
  index_->reserve(stored_bytes / sizeof(Hash128));

  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.readahead_size = 4 * kMiB;
  const std::int64_t now = seconds(clock_.wall());
  const auto unusable = [&](const Error& error) {
    return fail(error.code,
                fmt::format("cannot open the store in {}: {}", dir_.string(), error.message));
  };
  const std::unique_ptr<rocksdb::Iterator> it(db().NewIterator(options, family(kIds)));
  bool first = true;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const auto sequence = from_big_endian(view(it->key()));
    std::int64_t stored_at = 0;
    const auto ids = sequence && *sequence < end_
                         ? decode_ids(*sequence, view(it->value()), stored_at)
                         : std::nullopt;
    if (!ids) {
      return std::unexpected(
          corrupt(dir_, fmt::format("the ids of record {} cannot be read", sequence.value_or(0))));
    }
    if (first) first_kept_ = *sequence;
    first = false;
    stamp(*sequence, stored_at);
    // Records are forgotten from the oldest on, so one young record keeps all behind it.
    expire(now);
    if (first_live_ > *sequence) continue;
    if (auto loaded = index_->load(*ids, *sequence); !loaded) return unusable(loaded.error());
  }
  if (!it->status().ok()) return std::unexpected(store_error(dir_, "read", it->status()));
  if (auto loaded = index_->finish_load(); !loaded) return unusable(loaded.error());
  forgotten_at_ = now;
  publish_sizes();
  return {};
}

void RocksLog::stamp(std::uint64_t sequence, std::int64_t stored_at) {
  if (stamps_.empty() || stored_at >= stamps_.back().first + kStampSeconds) {
    stamps_.push_back({sequence, stored_at, stored_at});
    return;
  }
  stamps_.back().last = sequence;
  stamps_.back().newest = std::max(stamps_.back().newest, stored_at);
}

void RocksLog::expire(std::int64_t now) {
  const std::int64_t horizon = std::chrono::seconds(limits_.id_horizon).count();
  // One second more, for stamps are whole seconds.
  while (!stamps_.empty() && now - stamps_.front().newest > horizon + 1) {
    first_live_ = std::max(first_live_, stamps_.front().last + 1);
    stamps_.pop_front();
  }
  index_->forget_before(first_live_);
}

Result<void> RocksLog::check_writable() {
  if (access_ == Access::kReadOnly) {
    return fail(Errc::kFailed, fmt::format("the store in {} was opened read-only", dir_.string()));
  }
  const std::scoped_lock guard(disk_mutex_);
  if (broken_) return std::unexpected(*broken_);
  struct statvfs room{};
  if (::statvfs(dir_.c_str(), &room) != 0) {
    return std::unexpected(os_error(dir_, "examine the disk of", errno));
  }
  const std::uint64_t free = std::uint64_t{room.f_bavail} * room.f_frsize;
  if (free < limits_.disk_free_bytes_min) {
    return fail(Errc::kFull,
                fmt::format("the disk is full: {} bytes are free under {} and {} must stay free; "
                            "free some space: what was acknowledged is safe, and writing goes on "
                            "by itself once there is room",
                            free, dir_.string(), limits_.disk_free_bytes_min));
  }
  if (out_of_space_) {
    // Writes what is only in memory to new files, away from the half-written one.
    const Status resumed = db().Resume();
    if (!resumed.ok()) {
      Error error = store_error(dir_, "resume writing to", resumed);
      if (error.code != Errc::kFull && error.code != Errc::kRetryLater) broken_ = error;
      return std::unexpected(std::move(error));
    }
    out_of_space_ = false;
  }
  return {};
}

Error RocksLog::write_failed(const Status& status) {
  Error error = store_error(dir_, "write to", status);
  const std::scoped_lock guard(disk_mutex_);
  if (error.code == Errc::kFull) {
    out_of_space_ = true;
  } else {
    // The kernel may have dropped the pages: a second attempt could lie.
    broken_ = error;
  }
  return error;
}

Result<void> RocksLog::check_notes(const Record& record) const {
  const auto check_key = [&](const std::string& key) -> Result<void> {
    if (!key.empty() && key.size() <= limits_.key_bytes_max) return {};
    return fail(Errc::kRejected, fmt::format("a key has {} bytes; 1 to {} are allowed", key.size(),
                                             limits_.key_bytes_max));
  };
  for (const auto& [key, value] : record.puts) {
    COVEY_TRY_VOID(check_key(key));
    if (value.size() > limits_.value_bytes_max) {
      return fail(Errc::kRejected,
                  fmt::format("the value of {} has {} bytes; at most {} are allowed", key,
                              value.size(), limits_.value_bytes_max));
    }
  }
  for (const std::string& key : record.erases) COVEY_TRY_VOID(check_key(key));
  return {};
}

Result<bool> RocksLog::holds(std::uint64_t sequence, const Hash128& id) {
  const std::uint64_t end = end_.load(std::memory_order_relaxed);
  if (sequence >= end) {
    COVEY_CHECK(pending_ != nullptr && sequence - end < pending_->size());
    return (*pending_)[sequence - end].contains(id);
  }
  for (Held& held : held_) {
    if (held.sequence != sequence) continue;
    held.used = ++held_clock_;
    return held.ids.contains(id);
  }
  rocksdb::PinnableSlice value;
  const Status status = db().Get({}, family(kIds), big_endian(sequence), &value);
  if (!status.ok() && !status.IsNotFound()) {
    return std::unexpected(store_error(dir_, "read", status));
  }
  std::int64_t stored_at = 0;
  auto ids = status.ok() ? decode_ids(sequence, view(value), stored_at) : std::nullopt;
  if (!ids) {
    return std::unexpected(
        corrupt(dir_, fmt::format("the ids of record {} cannot be read", sequence)));
  }
  while (!held_.empty() &&
         (held_.size() >= kHeldRecordsMax || held_ids_ + ids->size() > kHeldIdsMax)) {
    const auto oldest = std::ranges::min_element(held_, {}, &Held::used);
    held_ids_ -= oldest->ids.size();
    *oldest = std::move(held_.back());
    held_.pop_back();
  }
  held_ids_ += ids->size();
  held_.push_back({sequence, ++held_clock_, HeldIds(std::move(*ids))});
  return held_.back().ids.contains(id);
}

/// Decides one record's duplicates, enters its new ids and adds its parts to the batch.
Result<Appended> RocksLog::take_in(const Record& record, std::vector<HeldIds>& pending,
                                   rocksdb::WriteBatch& batch) {
  const std::uint64_t sequence = end_.load(std::memory_order_relaxed) + pending.size();
  if (sequence > IdIndex::kSequenceMax) {
    return fail(Errc::kFull, fmt::format("the store in {} has no record numbers left; begin a new "
                                         "one",
                                         dir_.string()));
  }
  std::vector<std::uint8_t> duplicate(record.ids.size());
  COVEY_TRY_VOID(
      index_->add(record.ids, sequence, duplicate,
                  [this](std::uint64_t other, const Hash128& id) { return holds(other, id); }));
  const std::string bytes = record.encode ? record.encode(duplicate) : std::string();
  const auto known = static_cast<std::uint64_t>(std::ranges::count(duplicate, 1));
  const auto refuse = [&](Error error) {
    index_->remove(record.ids, sequence, duplicate);
    return std::unexpected(std::move(error));
  };
  if (bytes.size() > std::min<std::size_t>(limits_.record_bytes_max, kGroupBytesMax)) {
    return refuse({Errc::kRejected, fmt::format("a record has {} bytes; at most {} are allowed: "
                                                "send smaller batches",
                                                bytes.size(), limits_.record_bytes_max)});
  }
  if (batch.GetDataSize() + bytes.size() > kGroupBytesMax + kMiB) {
    return refuse({Errc::kRejected, fmt::format("a group has more than {} bytes; append fewer "
                                                "records at once",
                                                kGroupBytesMax)});
  }

  Appended appended{.position = std::nullopt, .duplicates = known};
  Status status;
  if (bytes.empty()) {
    // Nothing is stored, so nothing may be remembered.
    index_->remove(record.ids, sequence, duplicate);
  } else {
    std::vector<Hash128> added;
    added.reserve(record.ids.size() - known);
    for (std::size_t i = 0; i < duplicate.size(); ++i) {
      if (duplicate[i] == 0) added.push_back(record.ids[i]);
    }
    const std::string key = big_endian(sequence);
    const Slice key_slice(key);
    const auto header = frame(Kind::kRecord, sequence, bytes);
    const Slice parts[] = {{header.data(), header.size()}, slice(bytes)};
    status = batch.Put(family(kRecords), rocksdb::SliceParts(&key_slice, 1),
                       rocksdb::SliceParts(parts, 2));
    if (status.ok() && !added.empty()) {
      std::string packed;
      packed.reserve(8 + added.size() * sizeof(Hash128));
      put_u64(packed, static_cast<std::uint64_t>(seconds(clock_.wall())));
      packed.append(reinterpret_cast<const char*>(added.data()), added.size() * sizeof(Hash128));
      const auto ids_header = frame(Kind::kIds, sequence, packed);
      const Slice ids_parts[] = {{ids_header.data(), ids_header.size()}, slice(packed)};
      status = batch.Put(family(kIds), rocksdb::SliceParts(&key_slice, 1),
                         rocksdb::SliceParts(ids_parts, 2));
    }
    appended.position = Position{0, sequence};
    pending.emplace_back(std::move(added));
  }
  for (const auto& [key, value] : record.puts) {
    if (status.ok()) status = batch.Put(family(kNotes), slice(key), slice(value));
  }
  for (const std::string& key : record.erases) {
    if (status.ok()) status = batch.Delete(family(kNotes), slice(key));
  }
  if (!status.ok()) return std::unexpected(store_error(dir_, "prepare a write to", status));
  return appended;
}

void RocksLog::take_back(const std::vector<HeldIds>& pending) {
  const std::uint64_t end = end_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < pending.size(); ++i) {
    const std::vector<std::uint8_t> none(pending[i].size(), 0);
    index_->remove(pending[i].ids(), end + i, none);
  }
}

Result<std::vector<Appended>> RocksLog::append(std::span<Record> group) {
  COVEY_TRY_VOID(check_writable());
  COVEY_TRY_VOID(prepare());
  for (const Record& record : group) COVEY_TRY_VOID(check_notes(record));
  const std::int64_t now = seconds(clock_.wall());
  expire(now);

  std::vector<Appended> answer;
  answer.reserve(group.size());
  std::vector<HeldIds> pending;
  pending.reserve(group.size());
  pending_ = &pending;
  rocksdb::WriteBatch& batch = batch_;
  batch.Clear();
  if (batch.Data().capacity() > kBatchBytesKept) batch = rocksdb::WriteBatch();
  for (const Record& record : group) {
    auto taken = take_in(record, pending, batch);
    if (!taken) {
      take_back(pending);
      pending_ = nullptr;
      publish_sizes();
      return std::unexpected(std::move(taken).error());
    }
    answer.push_back(*taken);
  }
  pending_ = nullptr;
  if (batch.Count() == 0) return answer;

  const bool forget = first_live_ > first_kept_ && now - forgotten_at_ >= kForgetSeconds;
  Status status;
  if (forget) status = batch.DeleteRange(family(kIds), big_endian(0), big_endian(first_live_));
  rocksdb::WriteOptions options;
  options.sync = true;
  if (status.ok()) status = db().Write(options, &batch);
  if (!status.ok()) {
    take_back(pending);
    publish_sizes();
    return std::unexpected(write_failed(status));
  }
  if (forget) {
    first_kept_ = first_live_;
    forgotten_at_ = now;
  }
  const std::uint64_t end = end_.load(std::memory_order_relaxed);
  if (!pending.empty()) stamp(end + pending.size() - 1, now);
  end_.store(end + pending.size(), std::memory_order_release);
  publish_sizes();
  return answer;
}

Result<Cursor> RocksLog::read(const Cursor& from, const Visitor& visit) const {
  const std::uint64_t end = end_.load(std::memory_order_acquire);
  std::uint64_t sequence = from.next.empty() ? 0 : from.next[0];
  if (from.next.size() > 1 || sequence > end) {
    return fail(Errc::kRejected,
                fmt::format("the cursor does not belong to the store in {}: it has {} origins and "
                            "stands at {}, the store has one and ends at {}",
                            dir_.string(), from.next.size(), sequence, end));
  }
  const std::string upper = big_endian(end);
  const Slice bound(upper);
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.readahead_size = 2 * kMiB;
  options.iterate_upper_bound = &bound;
  const std::unique_ptr<rocksdb::Iterator> it(db().NewIterator(options, family(kRecords)));
  for (it->Seek(big_endian(sequence)); sequence < end; it->Next(), ++sequence) {
    if (!it->Valid()) {
      if (!it->status().ok()) {
        Error error = store_error(dir_, "read", it->status());
        error.message += fmt::format(" (at record {})", sequence);
        return std::unexpected(std::move(error));
      }
      return std::unexpected(corrupt(dir_, fmt::format("record {} is missing", sequence)));
    }
    if (from_big_endian(view(it->key())) != sequence) {
      return std::unexpected(corrupt(dir_, fmt::format("record {} is missing", sequence)));
    }
    const auto bytes = unframe(Kind::kRecord, sequence, view(it->value()));
    if (!bytes) {
      return std::unexpected(corrupt(dir_, fmt::format("record {} fails its checksum", sequence)));
    }
    COVEY_TRY_VOID(visit(Position{0, sequence}, *bytes));
  }
  return Cursor{{end}};
}

/// Writes chunks round the write-ahead log: they would pass it twice for nothing, and unsynced
/// writes in it would blur what a damaged tail means. A flush makes them durable before the
/// manifest, one synced write, names them. It goes on beside the writing: whoever writes a snapshot
/// takes no events meanwhile.
class RocksLog::Writer final : public SnapshotWriter {
 public:
  Writer(RocksLog& log, std::uint64_t generation) : log_(log) { manifest_.generation = generation; }
  ~Writer() override { log_.snapshot_running_.store(false, std::memory_order_release); }

  Result<void> write(std::string_view chunk) override {
    COVEY_CHECK(!committed_);
    if (chunk.size() > kChunkBytesMax) {
      return fail(Errc::kRejected, fmt::format("a snapshot chunk has {} bytes; at most {} are "
                                               "allowed",
                                               chunk.size(), kChunkBytesMax));
    }
    COVEY_TRY_VOID(log_.check_writable());
    const std::string key = chunk_key(manifest_.generation, manifest_.chunks);
    const Slice key_slice(key);
    const auto header =
        frame(Kind::kChunk, chunk_place(manifest_.generation, manifest_.chunks), chunk);
    const Slice parts[] = {{header.data(), header.size()}, slice(chunk)};
    rocksdb::WriteBatch batch;
    Status status = batch.Put(log_.family(kSnapshots), rocksdb::SliceParts(&key_slice, 1),
                              rocksdb::SliceParts(parts, 2));
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    if (status.ok()) status = log_.db().Write(options, &batch);
    if (!status.ok()) return std::unexpected(log_.write_failed(status));
    ++manifest_.chunks;
    manifest_.bytes += chunk.size();
    unflushed_ += chunk.size();
    return unflushed_ < kSnapshotFlushBytes ? Result<void>() : flush(/*wait=*/false);
  }

  Result<void> commit(const Cursor& cursor) override {
    COVEY_CHECK(!committed_);
    if (cursor.next.size() > 1 ||
        (!cursor.next.empty() && cursor.next[0] > log_.end_.load(std::memory_order_acquire))) {
      return fail(Errc::kRejected, "a snapshot cannot include records that the log does not hold");
    }
    COVEY_TRY_VOID(log_.check_writable());
    COVEY_TRY_VOID(flush(/*wait=*/true));
    manifest_.cursor = cursor;
    const std::string begin = chunk_key(0, 0);
    const std::string end = chunk_key(manifest_.generation, 0);
    rocksdb::WriteBatch batch;
    Status status = batch.Put(log_.family(kMeta), slice(kManifestKey), encode(manifest_));
    if (status.ok()) status = batch.DeleteRange(log_.family(kSnapshots), begin, end);
    rocksdb::WriteOptions options;
    options.sync = true;
    if (status.ok()) status = log_.db().Write(options, &batch);
    if (!status.ok()) return std::unexpected(log_.write_failed(status));
    committed_ = true;
    // Gives the old snapshot's space back now. The new one is committed whatever becomes of it.
    rocksdb::CompactRangeOptions compact;
    compact.exclusive_manual_compaction = false;
    compact.bottommost_level_compaction =
        rocksdb::BottommostLevelCompaction::kIfHaveCompactionFilter;
    const Slice from(begin);
    const Slice to(end);
    log_.db().CompactRange(compact, log_.family(kSnapshots), &from, &to).PermitUncheckedError();
    return {};
  }

 private:
  Result<void> flush(bool wait) {
    unflushed_ = 0;
    rocksdb::FlushOptions options;
    options.wait = wait;
    options.allow_write_stall = false;  // waits here instead, while others write
    const Status status = log_.db().Flush(options, log_.family(kSnapshots));
    if (!status.ok()) return std::unexpected(log_.write_failed(status));
    return {};
  }

  RocksLog& log_;
  Manifest manifest_;
  std::size_t unflushed_ = 0;
  bool committed_ = false;
};

Result<std::unique_ptr<Log::SnapshotWriter>> RocksLog::begin_snapshot() {
  COVEY_TRY_VOID(check_writable());
  if (snapshot_running_.exchange(true, std::memory_order_acq_rel)) {
    return fail(Errc::kRetryLater, fmt::format("a snapshot of the store in {} is being written; "
                                               "wait for it",
                                               dir_.string()));
  }
  return std::make_unique<Writer>(*this, next_generation_++);
}

Result<std::optional<Manifest>> RocksLog::manifest(const rocksdb::Snapshot* at) const {
  rocksdb::ReadOptions options;
  options.snapshot = at;
  std::string value;
  const Status status = db().Get(options, family(kMeta), slice(kManifestKey), &value);
  if (status.IsNotFound()) return std::optional<Manifest>();
  if (!status.ok()) return std::unexpected(store_error(dir_, "read", status));
  auto decoded = decode_manifest(value);
  if (!decoded) {
    return std::unexpected(corrupt(dir_, "the description of its snapshot fails its checksum"));
  }
  return decoded;
}

Result<Log::Snapshot> RocksLog::open_snapshot() const {
  // One view for the manifest and the chunks: a commit in between must not pull them away.
  rocksdb::ManagedSnapshot view_now(&db());
  const auto current = COVEY_TRY(manifest(view_now.snapshot()));
  if (!current) {
    return fail(Errc::kNotFound, fmt::format("the store in {} has no snapshot yet", dir_.string()));
  }
  rocksdb::ReadOptions options;
  options.snapshot = view_now.snapshot();
  options.fill_cache = false;
  options.readahead_size = 2 * kMiB;
  struct Reading {
    std::unique_ptr<rocksdb::Iterator> it;
    Manifest manifest;
    std::uint64_t chunk = 0;
    std::uint64_t bytes = 0;
  };
  auto reading = std::make_shared<Reading>();
  // The iterator keeps its view after the snapshot is released.
  reading->it.reset(db().NewIterator(options, family(kSnapshots)));
  reading->it->Seek(chunk_key(current->generation, 0));
  reading->manifest = *current;
  return Snapshot{
      .cursor = current->cursor,
      .bytes = current->bytes,
      .next = [reading, dir = dir_]() -> Result<std::optional<std::string>> {
        const Manifest& whole = reading->manifest;
        const auto damaged = [&] {
          return std::unexpected(
              corrupt(dir, fmt::format("chunk {} of its snapshot cannot be read", reading->chunk)));
        };
        if (reading->chunk == whole.chunks) {
          if (reading->bytes != whole.bytes) return damaged();
          return std::optional<std::string>();
        }
        auto& it = *reading->it;
        if (!it.status().ok()) return std::unexpected(store_error(dir, "read", it.status()));
        if (!it.Valid() || view(it.key()) != chunk_key(whole.generation, reading->chunk)) {
          return damaged();
        }
        const auto bytes =
            unframe(Kind::kChunk, chunk_place(whole.generation, reading->chunk), view(it.value()));
        if (!bytes) return damaged();
        std::optional<std::string> chunk(std::in_place, *bytes);
        reading->bytes += bytes->size();
        ++reading->chunk;
        it.Next();
        return chunk;
      }};
}

Result<std::optional<std::string>> RocksLog::get(std::string_view key) const {
  std::string value;
  const Status status = db().Get({}, family(kNotes), slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return std::unexpected(store_error(dir_, "read", status));
  return std::optional<std::string>(std::move(value));
}

Result<void> RocksLog::scan(
    std::string_view prefix, std::string_view after,
    const std::function<bool(std::string_view, std::string_view)>& see) const {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(db().NewIterator(options, family(kNotes)));
  it->Seek(slice(std::max(prefix, after)));
  if (it->Valid() && !after.empty() && view(it->key()) == after) it->Next();
  for (; it->Valid() && view(it->key()).starts_with(prefix); it->Next()) {
    if (!see(view(it->key()), view(it->value()))) return {};
  }
  if (!it->status().ok()) return std::unexpected(store_error(dir_, "read", it->status()));
  return {};
}

void RocksLog::publish_sizes() {
  index_entries_.store(index_->entries(), std::memory_order_relaxed);
  index_bytes_.store(index_->bytes(), std::memory_order_relaxed);
  held_bytes_.store(held_ids_ * sizeof(Hash128) + batch_.Data().capacity(),
                    std::memory_order_relaxed);
}

std::uint64_t RocksLog::memory_bytes() const {
  std::uint64_t tables = 0;
  std::uint64_t buffers = 0;
  using Properties = rocksdb::DB::Properties;
  db().GetAggregatedIntProperty(Properties::kSizeAllMemTables, &buffers);
  db().GetAggregatedIntProperty(Properties::kEstimateTableReadersMem, &tables);
  return index_bytes_.load(std::memory_order_relaxed) +
         held_bytes_.load(std::memory_order_relaxed) + buffers + tables + db_.cache->GetUsage();
}

Sizes RocksLog::sizes() const {
  Sizes sizes;
  std::error_code error;
  for (fs::recursive_directory_iterator it(dir_, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;  // compaction removes files while we look
    const std::uint64_t bytes = it->is_regular_file(gone) ? it->file_size(gone) : 0;
    if (!gone) sizes.disk_bytes += bytes;
  }
  sizes.records = end_.load(std::memory_order_acquire);
  sizes.id_index_entries = index_entries_.load(std::memory_order_relaxed);
  sizes.id_index_bytes = index_bytes_.load(std::memory_order_relaxed);
  sizes.memory_bytes = memory_bytes();
  sizes.fsyncs = db_.statistics->getTickerCount(rocksdb::WAL_FILE_SYNCED);
  return sizes;
}

/// Takes the lock and makes an empty store where there is none.
Result<DirectoryLock> prepare(const fs::path& dir) {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) return std::unexpected(os_error(dir, "create", error.value()));
  if (COVEY_TRY(read_marker(dir)) == Marker::kAbsent) COVEY_TRY_VOID(check_vacant(dir));
  auto lock = DirectoryLock::take(dir);
  if (!lock) return lock;
  // Read again: another process may have made the store before we had the lock.
  if (COVEY_TRY(read_marker(dir)) == Marker::kMade) return lock;
  COVEY_TRY_VOID(write_marker(dir, "being made\n"));
  fs::remove_all(dir / kDbName, error);
  if (error) return std::unexpected(os_error(dir, "write to", error.value()));
  if (const Status made = create_db(dir / kDbName); !made.ok()) {
    return std::unexpected(store_error(dir, "create", made));
  }
  COVEY_TRY_VOID(write_marker(dir, ""));
  return lock;
}

}  // namespace

Result<std::unique_ptr<Log>> open_rocks_log(const fs::path& dir, Access access,
                                            const RocksLimits& limits, const Clock& clock) {
  DirectoryLock lock;
  if (access == Access::kReadWrite) {
    lock = COVEY_TRY(prepare(dir));
  } else {
    switch (COVEY_TRY(read_marker(dir))) {
      case Marker::kAbsent:
        return fail(Errc::kNotFound,
                    fmt::format("there is no covey store in {}; import events into it first, or "
                                "name another directory",
                                dir.string()));
      case Marker::kBeingMade:
        return fail(Errc::kRetryLater,
                    fmt::format("the store in {} is still being made", dir.string()));
      case Marker::kMade:
        break;
    }
  }
  auto db = COVEY_TRY(open_db(dir, access, limits));
  if (limits.step_back) {
    // A wish: where it is not granted, look-ups only wait longer.
    rocksdb::Env::Default()
        ->LowerThreadPoolCPUPriority(rocksdb::Env::LOW, rocksdb::CpuPriority::kLow)
        .PermitUncheckedError();
  }
  auto log = std::make_unique<RocksLog>(dir, access, limits, clock, std::move(lock), std::move(db));
  COVEY_TRY_VOID(log->recover());
  return std::unique_ptr<Log>(std::move(log));
}

}  // namespace covey::log

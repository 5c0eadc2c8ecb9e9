#include "log/rocks_log.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "base/clock.h"
#include "log/contract.h"
#include "log/support.h"

namespace covey::log {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct RocksFactory {
  TempDir dir;
  ManualClock clock{Time(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1))};
  Result<std::unique_ptr<Log>> open() {
    return open_rocks_log(dir.path() / "store", Access::kReadWrite, {}, clock);
  }
  Result<std::unique_ptr<Log>> open_read_only() {
    return open_rocks_log(dir.path() / "store", Access::kReadOnly, {}, clock);
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Rocks, LogContract, RocksFactory);

class RocksLogTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Log>> open(const RocksLimits& limits = {},
                                    Access access = Access::kReadWrite) {
    return open_rocks_log(store_, access, limits, clock_);
  }
  /// Write-ahead files that hold something, oldest first.
  static std::vector<fs::path> wal_files(const fs::path& store) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(store / "db")) {
      if (entry.path().extension() == ".log" && entry.file_size() > 0) {
        files.push_back(entry.path());
      }
    }
    std::ranges::sort(files);
    return files;
  }

  TempDir dir_;
  fs::path store_ = dir_.path() / "store";
  ManualClock clock_{Time(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1))};
};

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Goal: whatever the directory holds, opening it answers with what a person should do.
TEST_F(RocksLogTest, OpeningSaysWhatIsWrong) {
  struct Case {
    const char* name;
    std::function<void()> prepare;
    Access access;
    Errc code;
    const char* says;
  };
  const Case cases[] = {
      {"read-only and nothing there", [] {}, Access::kReadOnly, Errc::kNotFound, "no covey store"},
      {"somebody's files",
       [&] {
         fs::create_directories(store_);
         write_file(store_ / "thesis.tex", "years of work");
       },
       Access::kReadWrite, Errc::kFailed, "thesis.tex"},
      {"a file in its place", [&] { write_file(store_, "x"); }, Access::kReadWrite, Errc::kFailed,
       "create"},
      {"another marker",
       [&] {
         fs::create_directories(store_);
         write_file(store_ / "COVEY", "a list of partridges\n");
       },
       Access::kReadWrite, Errc::kFailed, "another directory"},
      {"a later format",
       [&] {
         ASSERT_TRUE(ok(open()));
         write_file(store_ / "COVEY", "covey store\nformat 2\n");
       },
       Access::kReadWrite, Errc::kFailed, "format 2"},
      {"a later format, read-only",
       [&] {
         ASSERT_TRUE(ok(open()));
         write_file(store_ / "COVEY", "covey store\nformat 2\n");
       },
       Access::kReadOnly, Errc::kFailed, "format 2"},
      {"a marker cut short",
       [&] {
         ASSERT_TRUE(ok(open()));
         write_file(store_ / "COVEY", "covey store\nformat ");
       },
       Access::kReadWrite, Errc::kCorrupt, "COVEY"},
      {"the database gone",
       [&] {
         ASSERT_TRUE(ok(open()));
         fs::remove_all(store_ / "db");
       },
       Access::kReadWrite, Errc::kCorrupt, "backup"},
      {"half made, read-only",
       [&] {
         ASSERT_TRUE(ok(open()));
         write_file(store_ / "COVEY", "covey store\nformat 1\nbeing made\n");
       },
       Access::kReadOnly, Errc::kRetryLater, "being made"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    c.prepare();
    const auto opened = open({}, c.access);
    EXPECT_TRUE(fails(opened, c.code, c.says));
    EXPECT_TRUE(fails(opened, c.code, store_.string()));
    fs::remove_all(store_);
  }
}

// Goal: a process that died while making the store leaves nothing that stops the next.
TEST_F(RocksLogTest, AHalfMadeStoreIsMadeAnew) {
  ASSERT_TRUE(ok(open()));
  write_file(store_ / "COVEY", "covey store\nformat 1\nbeing made\n");
  fs::resize_file(store_ / "db" / "CURRENT", 3);
  auto log = open();
  ASSERT_TRUE(ok(log));
  EXPECT_TRUE(ok(append_one(**log, {1})));
}

TEST_F(RocksLogTest, AStoreHasOneWriter) {
  auto first = open();
  ASSERT_TRUE(ok(first));
  EXPECT_TRUE(fails(open(), Errc::kRetryLater, "another process"));
  first->reset();
  EXPECT_TRUE(ok(open()));
}

// Goal: ids are known for the horizon after they were stored, across restarts too, and then their
// memory and disk space come back.
TEST_F(RocksLogTest, IdsAreForgottenAfterTheHorizon) {
  RocksLimits limits;
  limits.id_horizon = std::chrono::hours(48);
  auto log = *open(limits);
  for (std::uint64_t hour = 0; hour < 48; ++hour) {
    ASSERT_TRUE(ok(append_one(*log, {hour, 1000 + hour})));
    clock_.advance(1h);
  }
  const auto reopen = [&] {
    log.reset();
    log = *open(limits);
  };
  for (const bool reopened : {false, true}) {
    if (reopened) reopen();
    EXPECT_EQ(append_one(*log, {0, 1000, 47, 1047})->duplicates, 4u) << "at 48 h sharp";
  }
  clock_.advance(1min + 2s);
  if (const auto again = append_one(*log, {0, 1, 47}); ok(again)) {
    EXPECT_EQ(again->duplicates, 2u) << "hour 0 is forgotten, hour 1 is not";
  }
  EXPECT_EQ(append_one(*log, {0})->duplicates, 1u) << "stored again, so known again";
  reopen();
  EXPECT_EQ(append_one(*log, {0, 1, 1000})->duplicates, 2u);
  clock_.advance(72h);
  EXPECT_EQ(append_one(*log, {5000})->duplicates, 0u);
  reopen();
  ASSERT_TRUE(ok(log->prepare()));
  EXPECT_EQ(log->sizes().id_index_entries, 1u);
  EXPECT_EQ(append_one(*log, {0, 1, 47, 5000})->duplicates, 1u);
}

// Goal: on opening, only ids within the horizon take memory, even before old ones are deleted.
TEST_F(RocksLogTest, PreparingLoadsOnlyIdsWithinTheHorizon) {
  RocksLimits limits;
  limits.id_horizon = std::chrono::hours(1);
  auto log = *open(limits);
  for (std::uint64_t minute = 0; minute < 50; ++minute) {
    ASSERT_TRUE(ok(append_one(*log, {minute})));
    clock_.advance(2min);
  }
  log.reset();
  clock_.advance(10min);
  log = *open(limits);
  EXPECT_EQ(log->sizes().id_index_entries, 0u) << "they are for append() alone";
  ASSERT_TRUE(ok(log->prepare()));
  // Minutes 0, 2, ..., 98; now is 110, so that 50 to 98 are within the hour.
  EXPECT_EQ(log->sizes().id_index_entries, 25u);
  EXPECT_EQ(append_one(*log, {24, 25, 49})->duplicates, 2u);
}

// Goal: at the index's ceiling appends are refused whole, reads go on, and once the ids grow old
// appends go on by themselves.
TEST_F(RocksLogTest, AFullIdIndexRefusesUntilIdsGrowOld) {
  RocksLimits limits;
  limits.id_index_bytes_max = std::size_t{3} << 20;
  auto log = *open(limits);
  std::vector<std::uint64_t> numbers(10'000);
  std::uint64_t next = 0;
  Result<Appended> last;
  do {
    for (auto& n : numbers) n = next++;
    last = append_one(*log, numbers);
    ASSERT_LT(next, 10'000'000u);
  } while (last);
  EXPECT_TRUE(fails(last, Errc::kFull, "id_index_bytes_max"));
  EXPECT_LE(log->sizes().id_index_bytes, limits.id_index_bytes_max);
  EXPECT_EQ(stored(*log)->size(), next - numbers.size());
  EXPECT_EQ(append_one(*log, {1, 2, 3})->duplicates, 3u);
  clock_.advance(8 * 24h);
  EXPECT_TRUE(ok(append_one(*log, numbers)));
}

// Goal: a torn tail, cut at any byte, costs the torn group and nothing before it, and the store
// goes on. Method: the write-ahead file of a copy is cut at many lengths.
TEST_F(RocksLogTest, ATornTailCostsOnlyWhatWasNotAcknowledged) {
  std::vector<std::uint64_t> ends;  // file size after each group
  {
    auto log = *open();
    for (std::uint64_t g = 0; g < 12; ++g) {
      std::vector<Batch> group;
      group.emplace_back(std::vector{10 * g, 10 * g + 1}, 9'000 * (g % 3));
      group.emplace_back(std::vector{10 * g + 2}, 21'000 * (g % 2));
      ASSERT_TRUE(ok(append(*log, group)));
      ends.push_back(fs::file_size(wal_files(store_).back()));
    }
    fs::copy(store_, dir_.path() / "running", fs::copy_options::recursive);
  }
  const fs::path running = dir_.path() / "running";
  ASSERT_EQ(wal_files(running).size(), 1u);
  std::vector<std::uint64_t> cuts{0, 1, 6, 7, 8};
  for (const std::uint64_t end : ends) {
    cuts.insert(cuts.end(), {end - 1, end});
    if (end != ends.back()) cuts.insert(cuts.end(), {end + 1, end + 8});
  }
  for (std::uint64_t block = 32768; block < ends.back(); block += 32768) {
    cuts.insert(cuts.end(), {block - 3, block, block + 5});
  }
  // Torn by a power cut the end may be there in length alone.
  for (const bool zeros : {false, true}) {
    for (const std::uint64_t cut : cuts) {
      if (zeros && (cut == 0 || cut % 3 != 0)) continue;
      SCOPED_TRACE(testing::Message() << "cut at " << cut << " zeros " << zeros);
      const fs::path copy = dir_.path() / "copy";
      fs::remove_all(copy);
      fs::copy(running, copy, fs::copy_options::recursive);
      fs::resize_file(wal_files(copy).front(), cut);
      const auto whole = static_cast<std::uint64_t>(
          std::ranges::count_if(ends, [&](std::uint64_t end) { return end <= cut; }));
      if (zeros) fs::resize_file(wal_files(copy).front(), cut + 5000);
      {
        const auto looked = open_rocks_log(copy, Access::kReadOnly, {}, clock_);
        ASSERT_TRUE(ok(looked));
        EXPECT_EQ(stored(**looked)->size(), 3 * whole);
      }
      auto log = open_rocks_log(copy, Access::kReadWrite, {}, clock_);
      ASSERT_TRUE(ok(log));
      EXPECT_EQ(stored(**log)->size(), 3 * whole);
      ASSERT_TRUE(ok(append_one(**log, {10 * whole, 10 * whole + 1, 10 * whole + 2})));
      log->reset();
      log = open_rocks_log(copy, Access::kReadWrite, {}, clock_);
      ASSERT_TRUE(ok(log));
      EXPECT_EQ(stored(**log)->size(), 3 * whole + 3);
    }
  }
}

// Goal: a flipped byte anywhere loses nothing silently: either an error says so, or at most the
// last group, which nothing proves to have been acknowledged, is gone.
TEST_F(RocksLogTest, AFlippedByteInTheWriteAheadLogIsNeverPassedOver) {
  {
    auto log = *open();
    for (std::uint64_t g = 0; g < 9; ++g) {
      ASSERT_TRUE(ok(append_one(*log, {g}, g == 4 ? 70'000 : 40)));
    }
    fs::copy(store_, dir_.path() / "running", fs::copy_options::recursive);
  }
  const fs::path running = dir_.path() / "running";
  const std::uint64_t size = fs::file_size(wal_files(running).front());
  int refused = 0;
  for (std::uint64_t at = 0; at < size; at += at < 1000 || at + 1200 > size ? 7 : 3001) {
    SCOPED_TRACE(testing::Message() << "flip at " << at);
    const fs::path copy = dir_.path() / "copy";
    fs::remove_all(copy);
    fs::copy(running, copy, fs::copy_options::recursive);
    std::string bytes = read_file(wal_files(copy).front());
    bytes[at] = static_cast<char>(bytes[at] ^ 0x11);
    write_file(wal_files(copy).front(), bytes);
    for (const Access access : {Access::kReadOnly, Access::kReadWrite}) {
      const auto log = open_rocks_log(copy, access, {}, clock_);
      if (!log) {
        EXPECT_TRUE(fails(log, Errc::kCorrupt, copy.string()));
        ++refused;
        continue;
      }
      const auto all = stored(**log);
      ASSERT_TRUE(ok(all));
      EXPECT_GE(all->size(), 8u);
    }
  }
  EXPECT_GT(refused, 100);
}

// Goal: damage in files that were closed long ago is noticed too, at the latest on reading.
TEST_F(RocksLogTest, DamagedOrMissingTableFilesAreCorrupt) {
  {
    auto log = *open();
    for (std::uint64_t g = 0; g < 6; ++g) {
      ASSERT_TRUE(ok(append_one(*log, {g}, 30'000)));
    }
    auto writer = *log->begin_snapshot();
    ASSERT_TRUE(ok(writer->write(std::string(100'000, 's'))));
    ASSERT_TRUE(ok(writer->commit(log->end())));
  }
  ASSERT_TRUE(ok(open()));  // recovery moves everything to table files
  std::vector<fs::path> tables;
  for (const auto& entry : fs::directory_iterator(store_ / "db")) {
    if (entry.path().extension() == ".sst") tables.push_back(entry.path());
  }
  ASSERT_GE(tables.size(), 3u);
  const fs::path copy = dir_.path() / "copy";
  for (const fs::path& table : tables) {
    for (const bool missing : {false, true}) {
      SCOPED_TRACE(testing::Message() << table << (missing ? " missing" : " flipped"));
      fs::remove_all(copy);
      fs::copy(store_, copy, fs::copy_options::recursive);
      const fs::path victim = copy / "db" / table.filename();
      if (missing) {
        fs::remove(victim);
      } else {
        std::string bytes = read_file(victim);
        bytes[30] = static_cast<char>(bytes[30] ^ 0x40);
        write_file(victim, bytes);
      }
      const auto log = open_rocks_log(copy, Access::kReadWrite, {}, clock_);
      if (!log) {
        EXPECT_TRUE(fails(log, Errc::kCorrupt, copy.string()));
        continue;
      }
      const auto all = stored(**log);
      const auto snapshot = (*log)->open_snapshot();
      const auto chunk = snapshot ? snapshot->next() : fail(Errc::kCorrupt, "");
      const auto ids = (*log)->prepare();
      EXPECT_TRUE(fails(all, Errc::kCorrupt) || fails(chunk, Errc::kCorrupt) ||
                  fails(ids, Errc::kCorrupt));
      // What can't say which ids it knows takes no event.
      if (!ids) {
        EXPECT_TRUE(fails(append_one(**log, {1}), Errc::kCorrupt));
      }
    }
  }
}

/// A small disk of its own, where the machine lets us mount one.
class SmallDisk {
 public:
  explicit SmallDisk(const char* options) {
    mounted_ = ::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, options) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  bool remount(unsigned long flags, const char* options) const {
    return ::mount("tmpfs", dir_.path().c_str(), "tmpfs", MS_REMOUNT | flags, options) == 0;
  }
  const fs::path& path() const { return dir_.path(); }

 private:
  TempDir dir_;
  bool mounted_ = false;
};

// Goal: a full disk refuses appends as kFull and loses nothing; with room again, appends go on
// without a restart, and what was refused can be sent again. Both when the limit notices in time
// (64 KiB must stay free) and when the disk itself fails in the middle of a write (0).
TEST_F(RocksLogTest, AFullDiskRefusesAndGoesOnOnceThereIsRoom) {
  for (const std::uint64_t keep_free : {std::uint64_t{64} << 10, std::uint64_t{0}}) {
    for (const std::size_t filler : {std::size_t{3'000}, std::size_t{150'000}}) {
      SCOPED_TRACE(testing::Message() << "keep free " << keep_free << ", filler " << filler);
      const SmallDisk disk("size=24m");
      if (!disk.mounted()) GTEST_SKIP() << "mounting needs root";
      RocksLimits limits;
      limits.disk_free_bytes_min = keep_free;
      const fs::path store = disk.path() / "store";
      auto log = *open_rocks_log(store, Access::kReadWrite, limits, clock_);
      ASSERT_TRUE(ok(append_one(*log, {0}, filler)));
      write_file(disk.path() / "ballast", std::string(14 << 20, 'b'));

      std::uint64_t next = 1;
      Result<Appended> last = append_one(*log, {next}, filler);
      while (last) {
        last = append_one(*log, {++next}, filler);
        ASSERT_LT(next, 100'000u);
      }
      EXPECT_TRUE(fails(last, Errc::kFull, store.string()));
      EXPECT_TRUE(fails(append_one(*log, {next}, filler), Errc::kFull, "free some"));
      EXPECT_EQ(stored(*log)->size(), next);
      EXPECT_EQ(log->sizes().id_index_entries, next) << "refused ids must leave the index";

      fs::remove(disk.path() / "ballast");
      for (int again = 0; again < 3; ++again, ++next) {
        const auto appended = append_one(*log, {next, 0}, filler);
        ASSERT_TRUE(ok(appended));
        EXPECT_EQ(appended->duplicates, 1u);
      }
      log.reset();
      log = *open_rocks_log(store, Access::kReadWrite, limits, clock_);
      const auto all = stored(*log);
      ASSERT_TRUE(ok(all));
      EXPECT_EQ(all->size(), next);
      EXPECT_TRUE(distinct(*all));
    }
  }
}

// Goal: the kernel has flushes step back as far as is asked for.
TEST_F(RocksLogTest, FlushesStepBack) {
  const int own = ::getpriority(PRIO_PROCESS, 0);
  for (const int niceness : {0, 3, 5}) {
    RocksLimits limits;
    limits.flush_niceness = niceness;
    auto log = *open(limits);
    auto writer = *log->begin_snapshot();
    ASSERT_TRUE(ok(writer->write(std::string(100'000, 's'))));
    ASSERT_TRUE(ok(writer->commit(log->end())));
    int flushers = 0;
    for (const auto& task : fs::directory_iterator("/proc/self/task")) {
      std::string name;
      std::getline(std::ifstream(task.path() / "comm"), name);
      if (!name.starts_with("rocksdb:high")) continue;
      ++flushers;
      const auto id = static_cast<id_t>(std::stoul(task.path().filename()));
      EXPECT_GE(::getpriority(PRIO_PROCESS, id), std::min(own + niceness, 19));
    }
    EXPECT_EQ(flushers, 1);
  }
}

// Goal: a snapshot that does not fit fails as kFull, leaves the old one, and appends still work.
TEST_F(RocksLogTest, ASnapshotThatDoesNotFitLeavesTheOldOne) {
  const SmallDisk disk("size=24m");
  if (!disk.mounted()) GTEST_SKIP() << "mounting needs root";
  RocksLimits limits;
  limits.disk_free_bytes_min = 0;
  auto log = *open_rocks_log(disk.path() / "store", Access::kReadWrite, limits, clock_);
  {
    auto writer = *log->begin_snapshot();
    ASSERT_TRUE(ok(writer->write("old")));
    ASSERT_TRUE(ok(writer->commit(log->end())));
  }
  {
    auto writer = *log->begin_snapshot();
    Random random(7);
    std::string chunk(4 << 20, '\0');
    Result<void> written;
    for (int i = 0; written && i < 12; ++i) {
      for (char& c : chunk) c = static_cast<char>(random.next());
      written = writer->write(chunk);
    }
    if (written) written = writer->commit(log->end());
    EXPECT_TRUE(fails(written, Errc::kFull));
  }
  EXPECT_EQ(**log->open_snapshot()->next(), "old");
  const auto next = append_one(*log, {1});
  EXPECT_TRUE(next || fails(next, Errc::kFull));
  log.reset();
  log = *open_rocks_log(disk.path() / "store", Access::kReadWrite, limits, clock_);
  EXPECT_EQ(**log->open_snapshot()->next(), "old");
  EXPECT_TRUE(ok(append_one(*log, {2})));
}

// Goal: after a write that failed for any other reason than room, nothing is acknowledged again
// until a restart, for the kernel may have dropped pages; what was acknowledged is there.
// Method: a limit on the size of files makes the write-ahead file fail in mid-write.
TEST_F(RocksLogTest, AFailedWriteIsFinalUntilARestart) {
  auto log = *open();
  ASSERT_TRUE(ok(append_one(*log, {1}, 10'000)));
  ASSERT_TRUE(ok(append_one(*log, {2}, 10'000)));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit low = before;
  low.rlim_cur = fs::file_size(wal_files(store_).back()) + 4000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &low), 0);
  const auto failed = append_one(*log, {3}, 10'000);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_TRUE(fails(failed, Errc::kFailed, "restart"));
  EXPECT_TRUE(fails(append_one(*log, {4}), Errc::kFailed, "restart"));
  EXPECT_TRUE(fails(log->begin_snapshot(), Errc::kFailed));
  EXPECT_EQ(*stored(*log), (std::vector<std::uint64_t>{1, 2}));
  log.reset();
  log = *open();
  EXPECT_EQ(*stored(*log), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(append_one(*log, {2, 3})->duplicates, 1u);
}

// Goal: a read-only file system is an error for a writer and none for a reader.
TEST_F(RocksLogTest, AReadOnlyFileSystemCanBeReadOnly) {
  const SmallDisk disk("size=24m");
  if (!disk.mounted()) GTEST_SKIP() << "mounting needs root";
  const fs::path store = disk.path() / "store";
  ASSERT_TRUE(ok(append_one(
      **open_rocks_log(store, Access::kReadWrite, {.disk_free_bytes_min = 0}, clock_), {1, 2})));
  ASSERT_TRUE(disk.remount(MS_RDONLY, nullptr));
  EXPECT_TRUE(fails(open_rocks_log(store, Access::kReadWrite, {}, clock_), Errc::kFailed,
                    "Read-only file system"));
  const auto log = open_rocks_log(store, Access::kReadOnly, {}, clock_);
  ASSERT_TRUE(ok(log));
  EXPECT_EQ(*stored(**log), (std::vector<std::uint64_t>{1, 2}));
  log->get()->sizes();
}

// Goal: the sizes are those of the store, cheap, and the memory is bounded.
TEST_F(RocksLogTest, SizesFollowTheStore) {
  auto log = *open();
  const Sizes before = log->sizes();
  for (std::uint64_t g = 0; g < 40; ++g) {
    ASSERT_TRUE(ok(append_one(*log, {2 * g, 2 * g + 1}, 50'000)));
  }
  const Sizes after = log->sizes();
  EXPECT_GE(after.disk_bytes, before.disk_bytes + 40 * 50'000);
  EXPECT_EQ(after.records, 40u);
  EXPECT_EQ(after.id_index_entries, 80u);
  EXPECT_GT(after.memory_bytes, after.id_index_bytes);
  EXPECT_EQ(after.fsyncs - before.fsyncs, 40u);
}

}  // namespace
}  // namespace covey::log

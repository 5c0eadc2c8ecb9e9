#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/clock.h"
#include "log/rocks_log.h"
#include "log/support.h"

extern char** environ;

namespace covey::log {
namespace {

ManualClock& test_clock() {
  static ManualClock clock{Time(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1))};
  return clock;
}

constexpr int kAckFd = 9;

struct Ack {
  std::uint64_t first;     ///< numbers first, first + 1, first + 2 are durable
  std::uint64_t snapshot;  ///< number of the snapshot committed last; 0: none
};

/// Runs the child below in a process of its own, for RocksDB's threads do not outlive a fork.
class Child {
 public:
  Child(const std::filesystem::path& store, std::uint64_t first) {
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) std::abort();
    acks_ = pipe[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe[1], kAckFd);
    std::vector<std::string> env;
    for (char** e = environ; *e != nullptr; ++e) env.emplace_back(*e);
    env.push_back("COVEY_CHILD_STORE=" + store.string());
    env.push_back("COVEY_CHILD_FIRST=" + std::to_string(first));
    std::vector<char*> envp;
    for (std::string& e : env) envp.push_back(e.data());
    envp.push_back(nullptr);
    std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
    std::string filter = "--gtest_filter=CrashChild.DISABLED_Appends";
    std::string also = "--gtest_also_run_disabled_tests";
    std::string brief = "--gtest_brief=1";
    char* argv[] = {program.data(), filter.data(), also.data(), brief.data(), nullptr};
    if (::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv, envp.data()) != 0) {
      std::abort();
    }
    posix_spawn_file_actions_destroy(&actions);
    ::close(pipe[1]);
  }
  ~Child() {
    if (pid_ > 0) kill();
    ::close(acks_);
  }
  /// Blocks for the next acknowledgement; nothing once the child is gone.
  std::optional<Ack> next() {
    Ack ack{};
    return ::read(acks_, &ack, sizeof ack) == sizeof ack ? std::optional(ack) : std::nullopt;
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  int acks_ = -1;
};

// Not a test by itself: what the tests below kill. Appends groups for ever, with snapshots beside.
TEST(CrashChild, DISABLED_Appends) {
  const char* store = std::getenv("COVEY_CHILD_STORE");
  if (store == nullptr) GTEST_SKIP() << "runs under the crash tests";
  auto log = open_rocks_log(store, Access::kReadWrite, {}, test_clock());
  ASSERT_TRUE(ok(log));
  std::atomic<std::uint64_t> committed{0};
  const std::jthread snapshots([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto end = (*log)->end();
      auto writer = (*log)->begin_snapshot();
      ASSERT_TRUE(ok(writer));
      for (int chunk = 0; chunk < 6; ++chunk) {
        ASSERT_TRUE(ok((*writer)->write(std::to_string(end.next[0]) + std::string(50'000, 's'))));
      }
      ASSERT_TRUE(ok((*writer)->commit(end)));
      committed = end.next[0] + 1;
    }
  });
  for (std::uint64_t first = std::strtoull(std::getenv("COVEY_CHILD_FIRST"), nullptr, 10);;
       first += 3) {
    const std::uint64_t snapshot = committed;
    std::vector<Batch> group;
    group.emplace_back(std::vector{first, first + 1}, (first % 7) * 5'000);
    group.emplace_back(std::vector{first + 2}, 100);
    auto done = append(**log, group);
    ASSERT_TRUE(ok(done));
    const Ack ack{first, snapshot};
    if (::write(kAckFd, &ack, sizeof ack) != sizeof ack) std::_Exit(1);
  }
}

// Goal: killed at any moment, the store opens; what was acknowledged is there exactly once and in
// order, what was not at most once; the snapshot is whole and no older than the one last committed.
TEST(RocksLogCrash, AcknowledgedIsThereOnceAfterAnyKill) {
  const std::uint64_t seed = seeds(1).front();
  SCOPED_TRACE(testing::Message() << "COVEY_SEED=" << seed);
  Random random(seed);
  const TempDir dir;
  const auto store = dir.path() / "store";
  std::uint64_t first = 0;
  std::uint64_t snapshot = 0;
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    std::uint64_t acknowledged = first;  // all numbers below it
    {
      Child child(store, first);
      const auto began = child.next();
      if (!began) FAIL() << "the store did not open";
      acknowledged = began->first + 3;
      // Some acknowledgements, then a moment that falls anywhere in the work on the next; once, a
      // committed snapshot is waited for, so that there is one to lose.
      const std::uint64_t acks = 1 + random.below(80);
      const auto moment = std::chrono::microseconds(random.below(4'000));
      for (std::uint64_t seen = 1; seen < acks || (round == 5 && snapshot == 0 && seen < 20'000);
           ++seen) {
        const auto ack = child.next();
        if (!ack) FAIL() << "the child died by itself";
        acknowledged = ack->first + 3;
        snapshot = std::max(snapshot, ack->snapshot);
      }
      std::this_thread::sleep_for(moment);
      child.kill();
      while (const auto ack = child.next()) {
        acknowledged = ack->first + 3;
        snapshot = std::max(snapshot, ack->snapshot);
      }
    }
    {
      auto log = open_rocks_log(store, Access::kReadWrite, {}, test_clock());
      ASSERT_TRUE(ok(log));
      const auto all = stored(**log);
      ASSERT_TRUE(ok(all));
      ASSERT_GE(all->size(), acknowledged);
      ASSERT_LE(all->size(), acknowledged + 3);
      for (std::uint64_t n = 0; n < all->size(); ++n) ASSERT_EQ((*all)[n], n);
      if (snapshot > 0) {
        auto current = (*log)->open_snapshot();
        ASSERT_TRUE(ok(current));
        ASSERT_GE(current->cursor.next.at(0) + 1, snapshot);
        const std::string chunk =
            std::to_string(current->cursor.next[0]) + std::string(50'000, 's');
        int chunks = 0;
        while (const auto next = *current->next()) {
          ASSERT_EQ(*next, chunk);
          ++chunks;
        }
        ASSERT_EQ(chunks, 6);
      }
      // Sending the doubtful group again stores what is missing of it and no more.
      ASSERT_TRUE(ok(append_one(**log, {acknowledged, acknowledged + 1, acknowledged + 2})));
      EXPECT_EQ(stored(**log)->size(), acknowledged + 3);
      first = acknowledged + 3;
    }
  }
  EXPECT_GT(snapshot, 0u);
}

}  // namespace
}  // namespace covey::log

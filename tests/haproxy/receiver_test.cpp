#include "haproxy/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "eventually.h"
#include "http/harness.h"
#include "process.h"
#include "sanitized.h"

namespace covey::haproxy {
namespace {

using covey::testing::eventually;

using namespace std::chrono_literals;
using ::testing::HasSubstr;

std::string line(std::uint64_t number, Time at, int process = ::getpid()) {
  const auto us = at.time_since_epoch().count();
  return fmt::format("covey1 {} {} {}{:03} 0 200 -- baseline 0 b 0 42 350 north ada", number,
                     process, us / 1'000'000, us / 1'000 % 1'000);
}
std::string framed(const std::string& text) {
  return fmt::format("{} {}", text.size(), text);
}

/// Whoever connects to the socket.
class Client {
 public:
  explicit Client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{20, 0};  // a hang fails the test instead of the suite
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, path.data(), path.size());
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  bool connected() const { return connected_; }
  /// False once the other side has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  bool ended() {
    char byte = 0;
    const ssize_t n = ::recv(fd_, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
  }

 private:
  int fd_;
  bool connected_ = false;
};

struct ReceiverTest : ::testing::Test {
  http::test::TickingClock clock;
  testing::TempDir dir;
  std::string path = dir / "lines.sock";
  boost::asio::io_context io{1};
  std::mutex mutex;
  std::vector<telemetry::ClosedSlot> slots;
  std::vector<std::string> learners, told;
  std::unique_ptr<Receiver> receiver;
  std::thread thread;
  Receiver::Limits limits{.owner = ::geteuid()};

  void SetUp() override { start(); }
  void start() {
    receiver = std::make_unique<Receiver>(
        io, listen_for_lines(io, path).value(), telemetry::Shape::of({"north"}, {}), 200ms, clock,
        limits,
        Receiver::Handlers{.slots =
                               [this](auto closed) {
                                 const std::lock_guard lock(mutex);
                                 for (auto& slot : closed) slots.push_back(std::move(slot));
                               },
                           .served =
                               [this](std::string_view learner, std::string_view segment) {
                                 EXPECT_EQ(segment, "north");
                                 const std::lock_guard lock(mutex);
                                 learners.emplace_back(learner);
                               },
                           .trouble =
                               [this](const std::string& why) {
                                 const std::lock_guard lock(mutex);
                                 told.push_back(why);
                               }});
    receiver->start();
    thread = std::thread([this] { io.run(); });
  }
  void stop() {
    if (!thread.joinable()) return;
    receiver->stop();
    thread.join();
    io.restart();
  }
  /// With limits of the test's own.
  void again(Receiver::Limits with) {
    stop();
    limits = with;
    slots.clear();
    start();
  }
  void TearDown() override { stop(); }

  /// Those within which lines came, and how many of them are whole.
  std::pair<std::size_t, std::size_t> begun_and_complete() {
    const std::lock_guard lock(mutex);
    std::size_t begun = 0, complete = 0;
    for (const auto& slot : slots) {
      begun += slot.sums.counts(telemetry::Arm::kBaseline).sent > 0;
      complete += slot.complete;
    }
    return {begun, complete};
  }
};

TEST_F(ReceiverTest, LinesBecomeSlots) {
  Client balancer(path);
  std::this_thread::sleep_for(250ms);  // the collector begins with a whole slot
  for (std::uint64_t n = 0; n < 50; ++n) {
    ASSERT_TRUE(balancer.send(framed(line(n, clock.wall()))));
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    std::uint64_t sent = 0;
    for (const auto& slot : slots) sent += slot.sums.counts(telemetry::Arm::kBaseline).sent;
    return sent == 50;
  }));
  EXPECT_EQ(receiver->counters().lines.load(), 50u);
  EXPECT_EQ(receiver->counters().lost.load(), 0u);
  const std::lock_guard lock(mutex);
  EXPECT_EQ(learners.size(), 50u);
  EXPECT_EQ(learners.front(), "ada");
}

// Goal: stopped as its timer is just due, its loop comes to an end all the same.
TEST(Receiver, StopsAsItsTimerIsDue) {
  const http::test::TickingClock clock;
  const testing::TempDir dir;
  boost::asio::io_context io{1};
  Receiver receiver(
      io, listen_for_lines(io, dir / "lines.sock").value(), telemetry::Shape::of({"north"}, {}),
      200ms, clock, {.owner = ::geteuid()},
      {.slots = [](auto) {}, .served = [](std::string_view, std::string_view) {}, .trouble = {}});
  receiver.start();
  boost::asio::post(io, [&] {
    std::this_thread::sleep_for(100ms);  // now the timer is due, and queued beside the stop
    receiver.stop();
  });
  io.run_for(5s);
  EXPECT_TRUE(io.stopped());
}

// Goal: nobody but the owner can connect, from the socket's first moment on; what lies at its path
// is replaced only if it is a socket.
TEST(LineSocket, IsForItsOwnerAlone) {
  const testing::TempDir dir;
  boost::asio::io_context io{1};
  const std::string path = dir / "lines.sock";
  for (int round = 0; round < 2; ++round) {  // the second finds what the first left
    const auto acceptor = listen_for_lines(io, path);
    ASSERT_TRUE(acceptor) << acceptor.error().message;
    struct stat found{};
    ASSERT_EQ(::stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0600u);
    if (::geteuid() == 0) {
      ASSERT_EQ(::chmod(dir.path().c_str(), 0711), 0);
      const pid_t stranger = ::fork();
      if (stranger == 0) {
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(3);
        ::_exit(Client(path).connected() ? 1 : 0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(stranger, &status, 0), stranger);
      EXPECT_EQ(WEXITSTATUS(status), 0) << "1: another user connected";
    }
  }
  std::ofstream(dir / "file") << "mine";
  EXPECT_EQ(listen_for_lines(io, dir / "file").error().code, Errc::kRejected);
  EXPECT_THAT(listen_for_lines(io, dir / std::string(120, 'x')).error().message,
              HasSubstr("too long"));
}

// Goal: a process of another user is closed unread, though it says what the balancer would.
TEST_F(ReceiverTest, AnotherUserIsNotBelieved) {
  again({.owner = ::geteuid() + 1, .told_every = 0ms});
  Client stranger(path);
  stranger.send(framed(line(0, clock.wall())));
  EXPECT_TRUE(stranger.ended());
  EXPECT_EQ(receiver->counters().lines.load(), 0u);
  EXPECT_EQ(receiver->counters().refused.load(), 1u);
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return told.size() == 1 && told[0].find("is not the balancer") != std::string::npos;
  }));
}

// Goal: who speaks for another process is closed, and leaves that one's numbers alone.
TEST_F(ReceiverTest, ForgedProcessesChangeNothing) {
  Client balancer(path);
  std::uint64_t n = 0;
  const auto speak = [&](std::chrono::milliseconds during) {
    for (const auto end = clock.now() + during; clock.now() < end;) {
      ASSERT_TRUE(balancer.send(framed(line(n++, clock.wall()))));
      std::this_thread::sleep_for(5ms);
    }
  };
  speak(300ms);
  for (int forged = 1; forged <= 20; ++forged) {
    Client stranger(path);
    stranger.send(framed(line(0, clock.wall(), ::getpid() + forged)));
    EXPECT_TRUE(stranger.ended());
  }
  EXPECT_EQ(receiver->counters().garbage.load(), 20u);
  ++n;  // lost on its way: the count of this process must still be there to tell
  speak(2s);
  EXPECT_EQ(receiver->counters().lost.load(), 1u);
  EXPECT_EQ(receiver->counters().lines.load(), n - 1);
}

// Goal: who is not the balancer is closed, and changes nothing of what the balancer told.
TEST_F(ReceiverTest, StrangersAreClosedAndChangeNothing) {
  std::atomic<bool> over = false;
  std::thread balancer([&] {
    Client client(path);
    for (std::uint64_t n = 0; !over; ++n) {
      client.send(framed(line(n, clock.wall())));
      std::this_thread::sleep_for(5ms);
    }
  });
  std::this_thread::sleep_for(300ms);
  const std::string flood(1 << 20, 'x');
  for (const std::string& nonsense :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("5 hello"), std::string("999999 "),
        std::string("\0\0\0\0\0\0\0\0", 8), framed("covey1 x"), flood}) {
    Client stranger(path);
    stranger.send(nonsense);
    EXPECT_TRUE(stranger.ended()) << nonsense.substr(0, 20);
  }
  {
    Client half(path);
    half.send("300 covey1 17");  // and goes
  }
  std::this_thread::sleep_for(2s);  // a slot is closed a second after its end
  over = true;
  balancer.join();
  EXPECT_GE(receiver->counters().garbage.load(), 6u);
  const auto [begun, complete] = begun_and_complete();
  EXPECT_GE(begun, 5u);
  EXPECT_EQ(complete, begun);
}

// Goal: from the balancer itself what can't be read is a line lost.
TEST_F(ReceiverTest, TheBalancersGarbageSpoilsItsSlot) {
  Client balancer(path);
  std::this_thread::sleep_for(250ms);
  std::uint64_t n = 0;
  balancer.send(framed(line(n++, clock.wall())));
  balancer.send(framed("covey1 torn"));
  for (int i = 0; i < 100; ++i) {
    balancer.send(framed(line(n++, clock.wall())));
    std::this_thread::sleep_for(20ms);
  }
  const std::lock_guard lock(mutex);
  EXPECT_TRUE(std::ranges::any_of(slots, [](const auto& slot) { return !slot.complete; }));
  EXPECT_EQ(receiver->counters().garbage.load(), 1u);
}

// Goal: no flood keeps the balancer out, costs a slot or grows memory. Method: strangers hold every
// place they get, idle; others send megabytes of garbage, half lines and lengths without an end, as
// fast as they can; meanwhile the balancer speaks, and twice connects anew.
TEST_F(ReceiverTest, AFloodCostsNoSlot) {
  again({.owner = ::geteuid(), .connections_max = 8, .first_line = 500ms, .told_every = 1s});
  const auto resident = [] {
    std::ifstream statm("/proc/self/statm");
    std::uint64_t pages = 0, mine = 0;
    statm >> pages >> mine;
    return mine * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  };
  std::atomic<bool> over = false;
  std::atomic<std::uint64_t> flooded = 0, open_max = 0;
  std::uint64_t spoken = 0;
  std::thread balancer([&] {
    std::optional<Client> client;
    for (; !over; ++spoken) {
      if (spoken % 200 == 0) client.emplace(path);
      EXPECT_TRUE(client->send(framed(line(spoken, clock.wall()))));
      std::this_thread::sleep_for(5ms);
    }
  });
  std::this_thread::sleep_for(300ms);
  const std::uint64_t before = resident();
  std::vector<std::thread> strangers;
  strangers.emplace_back([&] {
    std::list<Client> idle;
    while (!over) {
      idle.emplace_back(path);
      if (idle.size() > 64) idle.pop_front();
      std::this_thread::sleep_for(2ms);
    }
  });
  for (const std::string& bytes :
       {std::string(1 << 20, 'x'), "300 covey1 17 " + std::string(20, '1'),
        "8192 " + std::string(8'000, 'x'), framed("covey1 torn"), std::string(1 << 20, '\0')}) {
    strangers.emplace_back([&, bytes] {
      while (!over) {
        Client stranger(path);
        stranger.send(bytes);
        flooded += bytes.size();
        // A sanitizer slows the receiver and not the kernel: thousands would wait to be accepted,
        // and the balancer behind them for longer than a slot's grace. There they wait to be
        // closed.
        if (kSanitized) stranger.ended();
        std::uint64_t most = open_max;
        const std::uint64_t now = receiver->counters().connections;
        while (now > most && !open_max.compare_exchange_weak(most, now)) {
        }
      }
    });
  }
  std::this_thread::sleep_for(4s);
  const std::uint64_t after = resident();
  over = true;
  balancer.join();
  for (std::thread& stranger : strangers) stranger.join();
  const auto [begun, complete] = begun_and_complete();
  EXPECT_GE(begun, 10u);
  EXPECT_EQ(complete, begun);
  EXPECT_EQ(receiver->counters().lost.load(), 0u);
  EXPECT_TRUE(eventually([&] { return receiver->counters().lines == spoken; }))
      << receiver->counters().lines << " of " << spoken;
  EXPECT_GT(flooded.load(), std::uint64_t{4} << 20) << "that was no flood";
  // Those being closed are still counted for a moment.
  EXPECT_LE(open_max.load(), 2u * 8u);
  if (!kSanitized) {
    EXPECT_LT(after, before + (std::uint64_t{32} << 20));
  }
  const std::lock_guard lock(mutex);
  EXPECT_GE(told.size(), 2u);
  EXPECT_LE(told.size(), 10u) << "the log is flooded";
}

}  // namespace
}  // namespace covey::haproxy

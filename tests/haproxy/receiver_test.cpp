#include "haproxy/receiver.h"

#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "eventually.h"
#include "http/harness.h"

namespace covey::haproxy {
namespace {

using covey::testing::eventually;

using namespace std::chrono_literals;

std::string line(std::uint64_t number, Time at) {
  const auto us = at.time_since_epoch().count();
  return fmt::format("covey1 {} 7 {}{:03} 0 200 -- baseline 0 b 0 42 350 north ada", number,
                     us / 1'000'000, us / 1'000 % 1'000);
}
std::string framed(const std::string& text) {
  return fmt::format("{} {}", text.size(), text);
}

struct ReceiverTest : ::testing::Test {
  http::test::TickingClock clock;
  boost::asio::io_context io{1};
  std::mutex mutex;
  std::vector<telemetry::ClosedSlot> slots;
  std::vector<std::string> learners;
  std::unique_ptr<Receiver> receiver;
  std::uint16_t port = 0;
  std::thread thread;

  void SetUp() override {
    auto acceptor = http::listen(io, "127.0.0.1", 0).value();
    port = acceptor.local_endpoint().port();
    receiver = std::make_unique<Receiver>(
        io, std::move(acceptor), telemetry::Shape::of({"north"}, {}), 200ms, clock,
        Receiver::Handlers{.slots =
                               [this](auto closed) {
                                 const std::lock_guard lock(mutex);
                                 for (auto& slot : closed) slots.push_back(std::move(slot));
                               },
                           .served =
                               [this](std::string_view learner) {
                                 const std::lock_guard lock(mutex);
                                 learners.emplace_back(learner);
                               }});
    receiver->start();
    thread = std::thread([this] { io.run(); });
  }
  void TearDown() override {
    receiver->stop();
    thread.join();
  }
};

TEST_F(ReceiverTest, LinesBecomeSlots) {
  http::test::Client balancer(port);
  std::this_thread::sleep_for(250ms);  // the collector begins with a whole slot
  for (std::uint64_t n = 1; n <= 50; ++n) {
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
  boost::asio::io_context io{1};
  Receiver receiver(io, http::listen(io, "127.0.0.1", 0).value(),
                    telemetry::Shape::of({"north"}, {}), 200ms, clock,
                    {.slots = [](auto) {}, .served = [](std::string_view) {}});
  receiver.start();
  boost::asio::post(io, [&] {
    std::this_thread::sleep_for(100ms);  // now the timer is due, and queued beside the stop
    receiver.stop();
  });
  io.run_for(5s);
  EXPECT_TRUE(io.stopped());
}

// Goal: who is not the balancer is closed, and changes nothing of what the balancer told.
TEST_F(ReceiverTest, StrangersAreClosedAndChangeNothing) {
  std::atomic<bool> over = false;
  std::thread balancer([&] {
    http::test::Client client(port);
    for (std::uint64_t n = 1; !over; ++n) {
      client.send(framed(line(n, clock.wall())));
      std::this_thread::sleep_for(5ms);
    }
  });
  std::this_thread::sleep_for(300ms);
  const std::string flood(1 << 20, 'x');
  for (const std::string& nonsense :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("5 hello"), std::string("999999 "),
        std::string("\0\0\0\0\0\0\0\0", 8), framed("covey1 x"), flood}) {
    http::test::Client stranger(port);
    stranger.send(nonsense);
    EXPECT_TRUE(stranger.ended()) << nonsense.substr(0, 20);
  }
  {
    http::test::Client half(port);
    half.send("300 covey1 17");  // and goes
  }
  std::this_thread::sleep_for(2s);  // a slot is closed a second after its end
  over = true;
  balancer.join();
  EXPECT_GE(receiver->counters().garbage.load(), 6u);
  const std::lock_guard lock(mutex);
  std::size_t complete = 0, begun = 0;
  for (const auto& slot : slots) {
    if (slot.sums.counts(telemetry::Arm::kBaseline).sent == 0) continue;
    ++begun;
    complete += slot.complete;
  }
  EXPECT_GE(begun, 5u);
  EXPECT_EQ(complete, begun);
}

// Goal: from the balancer itself what can't be read is a line lost.
TEST_F(ReceiverTest, TheBalancersGarbageSpoilsItsSlot) {
  http::test::Client balancer(port);
  std::this_thread::sleep_for(250ms);
  std::uint64_t n = 0;
  balancer.send(framed(line(++n, clock.wall())));
  balancer.send(framed("covey1 torn"));
  for (int i = 0; i < 100; ++i) {
    balancer.send(framed(line(++n, clock.wall())));
    std::this_thread::sleep_for(20ms);
  }
  const std::lock_guard lock(mutex);
  EXPECT_TRUE(std::ranges::any_of(slots, [](const auto& slot) { return !slot.complete; }));
  EXPECT_EQ(receiver->counters().garbage.load(), 1u);
}

}  // namespace
}  // namespace covey::haproxy

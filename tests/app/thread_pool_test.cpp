#include "app/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>

namespace covey::app {
namespace {

// Goal: every task runs exactly once, whatever the width, also when rounds follow closely and
// several threads ask at a time.
TEST(ThreadPool, RunsEveryTaskOnce) {
  for (const unsigned width : {1u, 2u, 3u, 8u}) {
    SCOPED_TRACE(width);
    ThreadPool pool(width);
    EXPECT_EQ(pool.width(), width);
    for (const std::size_t count : {0u, 1u, 2u, 7u, 1000u}) {
      std::vector<std::atomic<int>> ran(count);
      pool.run(count, [&](std::size_t i) { ++ran[i]; });
      for (const auto& times : ran) ASSERT_EQ(times.load(), 1);
    }
  }
}

TEST(ThreadPool, ManySmallRoundsDoNotMix) {
  ThreadPool pool(3);
  for (int round = 0; round < 2'000; ++round) {
    std::vector<int> seen(4, -1);
    pool.run(seen.size(), [&](std::size_t i) { seen[i] = round; });
    ASSERT_EQ(seen, std::vector<int>(4, round));
  }
}

TEST(ThreadPool, ServesSeveralCallers) {
  ThreadPool pool(2);
  std::atomic<int> total{0};
  {
    std::vector<std::jthread> callers;
    for (int c = 0; c < 4; ++c) {
      callers.emplace_back([&] {
        for (int round = 0; round < 200; ++round) pool.run(5, [&](std::size_t) { ++total; });
      });
    }
  }
  EXPECT_EQ(total.load(), 4 * 200 * 5);
}

}  // namespace
}  // namespace covey::app

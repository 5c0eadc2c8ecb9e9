#include "base/scheduling.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <thread>

namespace covey {
namespace {

struct Wished {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t niceness;
  std::uint32_t priority;
  std::uint64_t slice_ns;  ///< 0: the kernel knows no slices of a thread's own
  std::uint64_t deadline, period;
};

Wished wished() {
  Wished out{};
  EXPECT_EQ(::syscall(SYS_sched_getattr, 0, &out, sizeof out, 0), 0);
  return out;
}

TEST(Scheduling, StepsBackByThread) {
  const int before = wished().niceness;
  std::jthread([before] {
    step_back(0);
    EXPECT_EQ(wished().niceness, before);
    step_back(3);
    EXPECT_EQ(wished().niceness, std::min(before + 3, 19));
    want_short_slices();
    EXPECT_EQ(wished().niceness, std::min(before + 3, 19));
    step_back(40);
    EXPECT_EQ(wished().niceness, 19);
  }).join();
  EXPECT_EQ(wished().niceness, before);
}

TEST(Scheduling, SlicesAreShortByThread) {
  const std::uint64_t before = wished().slice_ns;
  if (before == 0) GTEST_SKIP() << "slices of a thread's own are of Linux 6.12";
  if (wished().policy != SCHED_OTHER) GTEST_SKIP() << "these tests run by another policy";
  std::jthread([before] {
    want_short_slices();
    EXPECT_EQ(wished().slice_ns, 100'000u);
    EXPECT_EQ(wished().policy, std::uint32_t{SCHED_OTHER});
    std::jthread([before] { EXPECT_EQ(wished().slice_ns, before) << "a thread made later"; });
    want_usual_slices();
    EXPECT_EQ(wished().slice_ns, before);
  }).join();
  EXPECT_EQ(wished().slice_ns, before);
  EXPECT_GT(before, 100'000u);
}

}  // namespace
}  // namespace covey

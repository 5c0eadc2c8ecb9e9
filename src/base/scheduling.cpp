#include "base/scheduling.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace covey {
namespace {

/// The kernel's struct sched_attr, whose header may not be read beside glibc's <sched.h>.
struct Attributes {
  std::uint32_t size = sizeof(Attributes);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 1;  // SCHED_FLAG_RESET_ON_FORK
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0, deadline_ns = 0, period_ns = 0;
};
static_assert(sizeof(Attributes) == 48);

constexpr std::uint64_t kShortestSliceNs = 100'000;  // that the kernel grants

constexpr std::uint64_t kUsualSlice = 0;

// Linux keeps it for each thread apart; a new one has its maker's.
int niceness_of_this_thread() {
  return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
}

void want_slices(std::uint64_t ns) {
  Attributes wish;
  const int policy = ::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
  if (policy != SCHED_OTHER && policy != SCHED_BATCH) return;  // somebody else's wish
  wish.policy = static_cast<std::uint32_t>(policy);
  wish.nice = niceness_of_this_thread();
  wish.runtime_ns = ns;
  ::syscall(SYS_sched_setattr, 0, &wish, 0);  // no wrapper before glibc 2.41
}

}  // namespace

void step_back(int niceness) {
  if (niceness == 0) return;
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()),
                std::min(niceness_of_this_thread() + niceness, 19));
}

void want_short_slices() {
  want_slices(kShortestSliceNs);
}

void want_usual_slices() {
  want_slices(kUsualSlice);
}

}  // namespace covey

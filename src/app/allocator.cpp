// The program's allocator: jemalloc, with huge pages for all that is freed and taken again.
//
// glibc's has them by an environment variable alone, and 4 KiB at a time every large buffer costs
// a fault for each page, again whenever it comes back from the kernel: a sixth of an import on a
// virtual machine (docs/performance.md). Linked into programs whole, never into a library.

#include "app/allocator.h"

#if COVEY_JEMALLOC
#include <jemalloc/jemalloc.h>

extern "C" {
// Read by jemalloc before main; MALLOC_CONF in the environment overrides it. Without the last one,
// what is larger than 8 MiB goes back to the kernel at once: columns of millions, at each discovery
// anew.
extern const char* malloc_conf;
const char* malloc_conf = "thp:always,metadata_thp:auto,oversize_threshold:0";
}
#else  // under a sanitizer, which brings its own
#include <malloc.h>
#endif

namespace covey::app {

void give_memory_back() {
#if COVEY_JEMALLOC
  static_assert(MALLCTL_ARENAS_ALL == 4096);
  static_cast<void>(mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0));
#else
  ::malloc_trim(0);
#endif
}

}  // namespace covey::app

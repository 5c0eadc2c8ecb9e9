// The program's allocator: jemalloc, with huge pages for all that is freed and taken again.
//
// glibc's has them by an environment variable alone, and 4 KiB at a time every large buffer costs
// a fault for each page, again whenever it comes back from the kernel: a sixth of an import on a
// virtual machine (docs/performance.md). Linked into programs whole, never into a library.

#include "app/allocator.h"

#if COVEY_JEMALLOC
#include <jemalloc/jemalloc.h>

#include <cstddef>
#include <string>

extern "C" {
// Read by jemalloc before main; MALLOC_CONF in the environment overrides it. Nothing that was freed
// goes back to the kernel unless `covey serve` says so: what goes back is a page here and there,
// which breaks the huge page around it for good, and whatever grows next lies in pages of 4 KiB.
// With jemalloc's ten seconds of decay a third of an import's memory did, and it took half as long
// again (docs/performance.md). And whatever was freed is cut up for what is smaller: unless told
// so, jemalloc leaves alone what is 64 times as large, takes new memory instead, and never gives
// back the old.
extern const char* malloc_conf;
const char* malloc_conf =
    "thp:always,metadata_thp:auto,oversize_threshold:0,dirty_decay_ms:-1,muzzy_decay_ms:-1,"
    "lg_extent_max_active_fit:20";
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

#if COVEY_JEMALLOC
namespace {

void set_decay(const std::string& arenas, ssize_t dirty_ms, ssize_t muzzy_ms) {
  mallctl((arenas + ".dirty_decay_ms").c_str(), nullptr, nullptr, &dirty_ms, sizeof dirty_ms);
  mallctl((arenas + ".muzzy_decay_ms").c_str(), nullptr, nullptr, &muzzy_ms, sizeof muzzy_ms);
}

// 0, everybody's, where none can be had: what it keeps is then what all keep.
unsigned kept_arena() {
  unsigned arena = 0;
  std::size_t size = sizeof arena;
  if (mallctl("arenas.create", &arena, &size, nullptr, 0) != 0) return 0;
  set_decay("arena." + std::to_string(arena), -1, -1);
  return arena;
}

}  // namespace
#endif

void return_memory_soon() {
#if COVEY_JEMALLOC
  set_decay("arenas", 10'000, 0);   // of arenas to come
  set_decay("arena.0", 10'000, 0);  // the main thread's, which is there already
  // Or a thread that rests keeps what it freed last until it works again.
  std::size_t threads = 1;
  mallctl("max_background_threads", nullptr, nullptr, &threads, sizeof threads);
  bool wanted = true;
  mallctl("background_thread", nullptr, nullptr, &wanted, sizeof wanted);
#endif
}

void keep_memory_of_this_thread() {
#if COVEY_JEMALLOC
  static unsigned arena = kept_arena();
  if (arena != 0) mallctl("thread.arena", nullptr, nullptr, &arena, sizeof arena);
#endif
}

}  // namespace covey::app

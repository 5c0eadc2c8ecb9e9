#pragma once

namespace covey {

/// Built with a sanitizer, where code takes ten times as long: then the long tests take fewer seeds
/// and smaller sizes. What they look for there is misuse of memory, which the first of them shows.
#ifdef COVEY_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// By ThreadSanitizer, which is slower still. What one thread does alone it need not see often.
#ifdef COVEY_THREADS_WATCHED
inline constexpr bool kThreadsWatched = true;
#else
inline constexpr bool kThreadsWatched = false;
#endif

}  // namespace covey

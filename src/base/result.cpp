#include "base/result.h"

#include <cstdio>

namespace covey {

std::string_view name(Errc code) {
  switch (code) {
    case Errc::kRejected:
      return "rejected";
    case Errc::kNotFound:
      return "not_found";
    case Errc::kRetryLater:
      return "retry_later";
    case Errc::kFull:
      return "full";
    case Errc::kCorrupt:
      return "corrupt";
    case Errc::kFailed:
      return "failed";
  }
  return "unknown";
}

namespace detail {
void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "covey: broken invariant at %s:%d: %s\n", file, line, condition);
  std::abort();
}
}  // namespace detail

}  // namespace covey

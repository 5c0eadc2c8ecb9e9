#pragma once

#include <cstdlib>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace covey {

/// One enumerator for each different thing a caller would do; everything else is message.
enum class Errc {
  kRejected,    ///< the input is wrong: mend it, the message says where
  kNotFound,    ///< there is no such thing
  kRetryLater,  ///< the world is busy or away: the same call may succeed later
  kFull,        ///< a stated limit (queue, memory, disk) is reached: make room, then go on
  kCorrupt,     ///< stored bytes are damaged: a person must decide
  kFailed,      ///< the world failed in a way that trying again will not mend
};

std::string_view name(Errc code);

struct Error {
  Errc code;
  std::string message;  ///< one sentence with the place and the way out
};

template <typename T>
using Result = std::expected<T, Error>;

/// `return fail(Errc::kRejected, "...")` from any function that returns a Result.
inline std::unexpected<Error> fail(Errc code, std::string message) {
  return std::unexpected(Error{code, std::move(message)});
}

namespace detail {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

}  // namespace covey

/// Aborts, in release too: a broken invariant is our fault, and recovery is a tested path.
#define COVEY_CHECK(condition)                         \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::covey::detail::check_failed(#condition, __FILE__, __LINE__))

// One name a line, so that a lambda inside the expression may use these too.
#define COVEY_JOIN_(a, b) a##b
#define COVEY_JOIN(a, b) COVEY_JOIN_(a, b)
#define COVEY_TRY_NAME COVEY_JOIN(covey_try_result_, __LINE__)

/// Returns the error of a Result<void> from the enclosing function.
#define COVEY_TRY_VOID(expr)                                     \
  do {                                                           \
    if (auto COVEY_TRY_NAME = (expr); !COVEY_TRY_NAME) {         \
      return std::unexpected(std::move(COVEY_TRY_NAME).error()); \
    }                                                            \
  } while (false)

/// Yields the value of a Result or returns its error from the enclosing function.
#define COVEY_TRY(expr)                                                  \
  ({                                                                     \
    auto COVEY_TRY_NAME = (expr);                                        \
    if (!COVEY_TRY_NAME) return std::unexpected(COVEY_TRY_NAME.error()); \
    std::move(COVEY_TRY_NAME).value();                                   \
  })

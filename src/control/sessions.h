#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "control/tokens.h"

namespace covey::control {

/// People who signed in at the page: a cookie stands for the token they showed once.
///
/// Kept in memory only, by the SHA-256 of the cookie: a restart signs everybody out, and nothing at
/// rest or in a core's log can be used to act. From any thread.
class Sessions {
 public:
  /// Fills its argument with random bytes.
  using Random = std::function<void(std::span<unsigned char>)>;
  static constexpr std::chrono::hours kLife{12};  ///< a shift; then the token is asked for again
  static constexpr std::size_t kMax = 1'000;      ///< beyond it the oldest one ends

  Sessions(Random random, const Clock& clock) : random_(std::move(random)), clock_(clock) {}

  /// A new session's name, 43 letters, for the cookie.
  std::string open(const Identity& who);
  std::optional<Identity> find(std::string_view id);
  void close(std::string_view id);

 private:
  struct Session {
    Identity who;
    std::chrono::nanoseconds until;  ///< of Clock::now()
  };
  void expire();

  Random random_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Session> by_digest_;
};

}  // namespace covey::control

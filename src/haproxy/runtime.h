#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "haproxy/configuration.h"

namespace covey::haproxy {

/// The balancer's Runtime API: one command, one answer, over its local socket.
///
/// Blocks for at most `patience`: it is called by the controller's own thread, which has nothing
/// better to do than to know the share.
class Runtime {
 public:
  Runtime(Files files, std::chrono::milliseconds patience)
      : files_(std::move(files)), patience_(patience) {}

  /// kRetryLater: it does not answer. kFailed: it answers what it should not.
  Result<std::string> ask(std::string_view command) const;

  /// The threshold as the balancer holds it.
  Result<plan::BasisPoints> share() const;
  /// Writes the map file first (an atomic rename), so that a restarted balancer begins with the
  /// same share, then sets the running one and reads it back.
  Result<void> set_share(plan::BasisPoints share) const;
  /// Process id of the balancer that answers.
  Result<int> process() const;

 private:
  Files files_;
  std::chrono::milliseconds patience_;
};

/// Replaces a file in one step: written beside it, synced, renamed. kFull, kFailed.
Result<void> write_atomically(const std::string& path, std::string_view text);

}  // namespace covey::haproxy

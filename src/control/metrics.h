#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>

#include "control/books.h"
#include "http/exposition.h"
#include "http/server.h"

namespace covey::control {

/// What the books say of the rollout, as Prometheus text; names: docs/rollout.md.
/// @param since  when this process began to follow: as old is telemetry that never came
std::string metrics(const Books& books, Time since);

/// Answers by route, method and status. From any thread.
class RequestCounts {
 public:
  /// `route` must outlive this; "none" for what reached none.
  void add(std::string_view route, http::Method method, unsigned status);
  void write(http::Exposition& out) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::tuple<std::string_view, http::Method, unsigned>, std::uint64_t> counts_;
};

}  // namespace covey::control

#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/analyzer.h"
#include "http/server.h"

namespace covey::service {

using http::kMethods;
using http::Method;
using http::ServerCounters;

/// What is counted, and its Prometheus text. Names: docs/http.md.
///
/// Counting is a few relaxed atomic additions, with no look-up by name and no lock: the requests
/// counted are answered at a hundred thousand a second. Only text() builds metric families.
class Metrics {
 public:
  /// Upper bounds of the buckets, the last one being +Inf.
  static constexpr std::array<double, 16> kSeconds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                      0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                                      1,      2.5,     5,      10};
  static constexpr std::array<double, 13> kMilliseconds = {1,   5,    10,   25,   50,    100,  250,
                                                           500, 1000, 2500, 5000, 10000, 30000};

  /// `routes[i]` labels route i. `started` is process_start_time_seconds. What the machine's links
  /// can carry together, bytes a second, where somebody said so; 0: the kernel may know.
  Metrics(std::vector<std::string> routes, Time started, double link_bytes_per_second = 0);
  ~Metrics();

  void request(std::size_t route, Method method, unsigned status,
               std::chrono::nanoseconds took) noexcept;
  /// A request that was turned away, by problem type (docs/http.md); others are not counted.
  void refused(std::string_view problem_type) noexcept;
  /// `covered`: the published discovery gave the learner its cohort. `coverable`: it could have,
  /// since the learner is active.
  void lookup(bool known, bool coverable, bool covered) noexcept;
  void discovery(std::chrono::duration<double, std::milli> took) noexcept;

  /// Text exposition, version 0.0.4, of the above and of what `analyzer` and `server` count
  /// (either may be null). Reads /proc/self for the process's memory.
  /// @param split  of 10,000: what the learners of the buckets below did is told apart from what
  ///               the others did; nothing: neither is told
  std::string text(const analyzer::Analyzer* analyzer, const ServerCounters* server,
                   std::optional<std::uint32_t> split = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace covey::service

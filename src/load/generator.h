#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "http/client.h"
#include "telemetry/latencies.h"

namespace covey::load {

struct Settings {
  http::Url target;
  double requests_per_second = 1'000;
  std::chrono::microseconds duration{};  ///< 0: until stop()
  std::size_t connections = 64;
  std::chrono::milliseconds patience{10'000};  ///< for an answer; then it counts as timed out
  /// What is asked: {learner} stands for an id of `learners`, encoded.
  std::string path = "/v1/learners/{learner}";
  std::vector<std::string> learners;
  /// A learner's segment, chosen by a hash of the id; sent as X-Segment. Empty: none.
  std::vector<std::string> segments;
  std::uint64_t seed = 1;
  std::vector<std::string> validate() const;
};

struct Totals {
  std::uint64_t sent = 0;
  std::uint64_t ok = 0, client_errors = 0, server_errors = 0;  ///< 2xx and 3xx, 4xx, 5xx
  std::uint64_t refused = 0, cut = 0, timed_out = 0;           ///< no answer
  /// From the moment a request was due, not from when it could be sent: a server that stalls is
  /// charged for everybody who waited.
  telemetry::Histogram latency;
  /// How late requests were sent though a connection was free: the generator's own fault.
  telemetry::Histogram lag;
  std::chrono::duration<double> took{};
};

/// An open-loop load: arrivals are a Poisson process of the given rate, whatever the server does.
///
/// Requests wait for a free connection in order of arrival, and their waiting counts. One thread
/// calls run(); stop() and sent() may be called from any.
class Generator {
 public:
  /// kRejected: every fault of the settings.
  static Result<Generator> make(Settings settings, const Clock& clock);
  Generator(Generator&& other) noexcept;

  Totals run();
  void stop() { stopping_ = true; }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t failed() const { return failed_; }

 private:
  Generator(Settings settings, const Clock& clock);
  struct State;
  Settings settings_;
  const Clock& clock_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> sent_{0}, failed_{0};
};

}  // namespace covey::load

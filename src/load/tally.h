#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "telemetry/latencies.h"

namespace covey::load {

/// What is asked of a service. Each kind has connections of its own, so that a slow one never
/// stands before a quick one in a pipeline.
enum class Kind : std::uint8_t {
  kLookUp,    ///< GET of Settings::path
  kIngest,    ///< POST /v1/events, a batch of simulated events
  kCohorts,   ///< GET /v1/cohorts
  kDiscover,  ///< POST /v1/discover
};
inline constexpr std::size_t kKinds = 4;
std::string_view name(Kind kind);   ///< "lookups", "ingest", "cohorts", "discover"
std::string_view title(Kind kind);  ///< for people

/// What became of a request.
enum class Outcome : std::uint8_t {
  kOk,           ///< 2xx or 3xx, and right
  kWrong,        ///< 2xx, but not what was asked for; or no HTTP at all
  kClientError,  ///< 4xx but 429
  kTooMany,      ///< 429
  kServerError,  ///< 5xx but 503
  kUnavailable,  ///< 503
  kRefused,      ///< no connection
  kCut,          ///< the connection ended before the answer
  kBusy,         ///< 409 to a discovery: another is under way; no error
  kTimedOut,     ///< no answer within the patience, counted from when the request was due
};
inline constexpr std::size_t kOutcomes = 10;
std::string_view name(Outcome outcome);  ///< as in JSON: "ok", "wrong", "client_errors", ...

/// What happened second by second: requests by when they were sent, answers and their latency by
/// when they came.
///
/// Holds kStepsMax steps; a longer load gets longer steps, so that its memory has an end (at most
/// some 5 kB a step).
class Series {
 public:
  static constexpr std::size_t kStepsMax = 1'800;
  struct Step {
    std::uint64_t sent = 0, ok = 0, failed = 0;
    telemetry::Histogram latency;  ///< of those answered well
  };
  void sent(std::chrono::nanoseconds at) { ++step_at(at).sent; }
  void answered(std::chrono::nanoseconds at, Outcome outcome, telemetry::Duration latency);
  /// Adds what another counted from a moment that was `later` than this one's.
  void add(const Series& other, std::chrono::seconds later = {});
  std::chrono::seconds step() const { return step_; }
  const std::vector<Step>& steps() const { return steps_; }

 private:
  Step& step_at(std::chrono::nanoseconds at);
  void widen();
  std::chrono::seconds step_{1};
  std::vector<Step> steps_;
};

/// All that is counted of one kind.
struct Tally {
  std::uint64_t due = 0;   ///< should have been sent by now
  std::uint64_t sent = 0;  ///< some time out before they can be
  std::array<std::uint64_t, kOutcomes> outcomes{};
  std::uint64_t events = 0;  ///< acknowledged: the answer said that all of the batch were accepted
  std::uint64_t events_again = 0;  ///< of batches whose events were sent before, under other ids
  std::uint64_t bytes_in = 0;
  std::chrono::nanoseconds last{};  ///< since the begin, when the last of them was over

  /// Of requests answered well, from the moment they were due, not from when they could be sent: a
  /// server that stalls is charged for everybody who waited. Those that timed out count with their
  /// patience. Where they are sent one after
  /// another it is from the sending.
  telemetry::Histogram latency;
  /// The same answers from the moment they were sent: what a tool sees that waits for answers.
  telemetry::Histogram service;
  /// From due, until 429 or 503 came.
  telemetry::Histogram turned_away;
  /// How long requests waited since all connections were taken.
  telemetry::Histogram waited;
  /// How late requests were sent though a connection was free: the generator's own fault.
  telemetry::Histogram lag;
  Series series;

  std::uint64_t count(Outcome o) const { return outcomes[static_cast<std::size_t>(o)]; }
  std::uint64_t ok() const { return count(Outcome::kOk); }
  std::uint64_t finished() const;
  std::uint64_t failed() const { return finished() - ok() - count(Outcome::kBusy); }
  double error_rate() const;  ///< of those finished; 0 of nothing
  /// Adds what was counted beside this, or from `later` on.
  void add(const Tally& other, std::chrono::seconds later = {});
};

}  // namespace covey::load

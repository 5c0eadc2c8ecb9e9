#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "events/batch.h"
#include "learners/engine.h"
#include "log/log.h"

namespace covey::analyzer {

struct PastLimits {
  /// Reading the log ends after this long. It is read from its newest records backwards, so what
  /// is left out is what came in first.
  std::chrono::milliseconds time_max{5'000};
  std::uint32_t events_max = 50'000;               ///< of the learner; of more the newest are kept
  std::size_t bytes_max = std::size_t{128} << 20;  ///< of those events in memory, about; likewise
};

/// How much of the log an answer rests on.
struct Scan {
  std::uint64_t records = 0;  ///< the log had when reading began
  std::uint64_t scanned = 0;
  bool events_left_out = false;  ///< the learner has more than PastLimits lets stay
  std::chrono::nanoseconds took{};
  bool complete() const { return scanned == records && !events_left_out; }
};

/// Where an event stands in the order shown, newest first: by its time, and of one time the later
/// stored first. Unique in one log, so that pages cut by it never overlap.
struct EventPlace {
  std::int64_t time_us = 0;
  log::Position position;
  std::uint32_t row = 0;
  friend auto operator<=>(const EventPlace&, const EventPlace&) = default;
};

/// What the log holds of one learner.
struct Past {
  events::Batch events;            ///< of this learner alone
  std::vector<EventPlace> newest;  ///< of each, newest first
  std::vector<std::uint32_t> row;  ///< into `events`, in the order of `newest`
  Scan scan;
};

/// Reads all of the log for one learner's events up to `until`. For people who look, not for the
/// request path: O(log), some GB a second, for a record whose bytes do not hold the id is not
/// decoded. Neither appends nor look-ups wait for it; any thread but those that answer requests.
/// kCorrupt, kFailed: the log's.
Result<Past> read_past(const log::Log& log, std::string_view learner, Time until,
                       const PastLimits& limits, const Clock& clock);

/// A learner as of one instant of the past.
struct PastFacts {
  Time as_of{};
  bool known = false;  ///< an event had come to pass by then
  learners::LearnerFacts facts;
};

/// The learner as of `as_of` and the same time of each of `weeks` - 1 weeks before, oldest first,
/// by the definition of docs/traits.md word for word (the baseline engine). The last one is what a
/// look-up says as of `as_of`. COVEY_CHECKs that the scan is complete: traits ask for every event.
/// O(weeks * events log events).
std::vector<PastFacts> facts_over_time(const Past& past, std::string_view learner, Time as_of,
                                       std::uint32_t weeks);

}  // namespace covey::analyzer

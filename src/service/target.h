#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "analyzer/past.h"
#include "base/result.h"

// The analyzer's own decoders of what a client writes into a URL: errors are kRejected with a
// sentence for the client.
namespace covey::service {

/// What is asked about a learner: "/v1/learners/{id}", or that and one of these words.
enum class LearnerPart : std::uint8_t { kFacts, kTraits, kHistory, kEvents };

/// What stands behind /v1/learners/. A learner id may hold slashes, so it is everything up to a
/// bare "/traits", "/history" or "/events" at the end; an id that itself ends so is reached with
/// %2F.
struct LearnerPath {
  std::string id;
  LearnerPart part = LearnerPart::kFacts;
};
/// The part alone, without a look at the id.
LearnerPart learner_part(std::string_view rest);
/// kRejected: bad encoding, empty, or longer than any id can be.
Result<LearnerPath> parse_learner_path(std::string_view rest);

/// A place in the list of a cohort's learners. Bound to one run of discovery, so that pages of
/// two runs are never mixed.
struct PageCursor {
  std::uint64_t run = 0;  ///< run_tag() of the discovery it was made from
  std::uint32_t cohort = 0;
  std::uint64_t next = 0;  ///< index of the first learner not yet given
  friend bool operator==(const PageCursor&, const PageCursor&) = default;
};
std::string encode(const PageCursor& cursor);
/// kRejected: not a cursor of ours.
Result<PageCursor> decode_cursor(std::string_view text);

/// A place among a learner's events: the last one given. Bound to the learner.
struct EventCursor {
  std::uint64_t learner = 0;  ///< hash64 of the id
  analyzer::EventPlace last;
  friend bool operator==(const EventCursor&, const EventCursor&) = default;
};
std::string encode(const EventCursor& cursor);
/// kRejected: not a cursor of ours.
Result<EventCursor> decode_event_cursor(std::string_view text);

}  // namespace covey::service

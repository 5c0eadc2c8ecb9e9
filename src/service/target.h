#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

// The analyzer's own decoders of what a client writes into a URL: errors are kRejected with a
// sentence for the client.
namespace covey::service {

/// What stands behind /v1/learners/. A learner id may hold slashes, so it is everything up to a
/// bare "/traits" at the end; an id that itself ends in "/traits" is reached with %2F.
struct LearnerPath {
  std::string id;
  bool traits = false;
};
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

}  // namespace covey::service

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

// Decoders of what a client writes into a URL. Nothing here is trusted; errors are kRejected with
// a sentence for the client.
namespace covey::service {

struct Target {
  std::string_view path;   ///< still encoded
  std::string_view query;  ///< without '?'; still encoded
};
Target split_target(std::string_view target);

/// Decodes %XX. kRejected: a '%' without two hexadecimal digits, or a NUL.
Result<std::string> percent_decode(std::string_view text);

/// Value of the first parameter of that name, decoded ('+' is a space); nothing when absent.
Result<std::optional<std::string>> query_value(std::string_view query, std::string_view name);

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

/// A whole decimal number without sign, in [least, most]; `what` names it in the error.
Result<std::uint64_t> parse_number(std::string_view text, std::string_view what,
                                   std::uint64_t least, std::uint64_t most);

}  // namespace covey::service

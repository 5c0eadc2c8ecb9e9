#include "service/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/hash.h"
#include "events/event.h"
#include "http/target.h"

namespace covey::service {
namespace {

constexpr std::size_t kCursorDigits = 16 + 8 + 16;
constexpr std::size_t kCheckDigits = 8;

// The check keeps a mistyped cursor from being read as some other page; it is no secret.
std::uint32_t check_of(std::string_view digits) {
  return static_cast<std::uint32_t>(hash64(digits, 0x637572736f72));
}

template <typename T>
bool parse_hex(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<LearnerPath> parse_learner_path(std::string_view rest) {
  static constexpr std::string_view kTraits = "/traits";
  LearnerPath path;
  if (rest.ends_with(kTraits) && rest.size() > kTraits.size()) {
    path.traits = true;
    rest.remove_suffix(kTraits.size());
  }
  path.id = COVEY_TRY(http::percent_decode(rest));
  if (path.id.empty()) {
    return fail(Errc::kRejected, "the learner's id is missing: /v1/learners/{id}");
  }
  if (path.id.size() > events::kLearnerBytesMax) {
    return fail(Errc::kRejected, fmt::format("a learner's id has at most {} bytes, this one has {}",
                                             events::kLearnerBytesMax, path.id.size()));
  }
  return path;
}

std::string encode(const PageCursor& cursor) {
  std::string text = fmt::format("{:016x}{:08x}{:016x}", cursor.run, cursor.cohort, cursor.next);
  return text + fmt::format("{:08x}", check_of(text));
}

Result<PageCursor> decode_cursor(std::string_view text) {
  PageCursor cursor;
  std::uint32_t check = 0;
  if (text.size() == kCursorDigits + kCheckDigits && parse_hex(text.substr(0, 16), cursor.run) &&
      parse_hex(text.substr(16, 8), cursor.cohort) && parse_hex(text.substr(24, 16), cursor.next) &&
      parse_hex(text.substr(kCursorDigits), check) &&
      check == check_of(text.substr(0, kCursorDigits))) {
    return cursor;
  }
  return fail(
      Errc::kRejected,
      "this cursor was not given by this service: begin without one, then pass on \"next\"");
}

}  // namespace covey::service

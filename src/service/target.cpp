#include "service/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

#include "base/hash.h"
#include "events/event.h"
#include "http/target.h"

namespace covey::service {
namespace {

constexpr std::array<std::pair<LearnerPart, std::string_view>, 3> kParts = {
    {{LearnerPart::kTraits, "/traits"},
     {LearnerPart::kHistory, "/history"},
     {LearnerPart::kEvents, "/events"}}};

constexpr std::size_t kCursorDigits = 16 + 8 + 16;
constexpr std::size_t kEventDigits = 16 + 16 + 8 + 16 + 8;
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

LearnerPart learner_part(std::string_view rest) {
  for (const auto& [part, word] : kParts) {
    if (rest.ends_with(word) && rest.size() > word.size()) return part;
  }
  return LearnerPart::kFacts;
}

Result<LearnerPath> parse_learner_path(std::string_view rest) {
  LearnerPath path;
  path.part = learner_part(rest);
  for (const auto& [part, word] : kParts) {
    if (part == path.part) rest.remove_suffix(word.size());
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

std::string encode(const EventCursor& cursor) {
  const analyzer::EventPlace& p = cursor.last;
  std::string text = fmt::format("{:016x}{:016x}{:08x}{:016x}{:08x}", cursor.learner,
                                 std::bit_cast<std::uint64_t>(p.time_us), p.position.origin,
                                 p.position.sequence, p.row);
  return text + fmt::format("{:08x}", check_of(text));
}

Result<EventCursor> decode_event_cursor(std::string_view text) {
  EventCursor cursor;
  analyzer::EventPlace& p = cursor.last;
  std::uint32_t check = 0;
  std::uint64_t time = 0;
  if (text.size() == kEventDigits + kCheckDigits && parse_hex(text.substr(0, 16), cursor.learner) &&
      parse_hex(text.substr(16, 16), time) && parse_hex(text.substr(32, 8), p.position.origin) &&
      parse_hex(text.substr(40, 16), p.position.sequence) && parse_hex(text.substr(56, 8), p.row) &&
      parse_hex(text.substr(kEventDigits), check) &&
      check == check_of(text.substr(0, kEventDigits))) {
    p.time_us = std::bit_cast<std::int64_t>(time);
    return cursor;
  }
  return fail(
      Errc::kRejected,
      "this cursor was not given by this service: begin without one, then pass on \"next\"");
}

}  // namespace covey::service

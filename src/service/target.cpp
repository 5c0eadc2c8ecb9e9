#include "service/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/hash.h"
#include "events/event.h"

namespace covey::service {
namespace {

constexpr std::size_t kCursorDigits = 16 + 8 + 16;
constexpr std::size_t kCheckDigits = 8;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

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

Target split_target(std::string_view target) {
  const std::size_t mark = target.find('?');
  if (mark == target.npos) return {target, {}};
  return {target.substr(0, mark), target.substr(mark + 1)};
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return fail(Errc::kRejected,
                    "a '%' in the URL must be followed by two hexadecimal digits; write a percent "
                    "sign as %25");
      }
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return fail(Errc::kRejected, "the URL holds a NUL byte");
    out += c;
  }
  return out;
}

Result<std::optional<std::string>> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) != name) continue;
    std::string value(pair.substr(std::min(equals + 1, pair.size())));
    for (char& c : value) {
      if (c == '+') c = ' ';
    }
    return COVEY_TRY(percent_decode(value));
  }
  return std::nullopt;
}

Result<LearnerPath> parse_learner_path(std::string_view rest) {
  static constexpr std::string_view kTraits = "/traits";
  LearnerPath path;
  if (rest.ends_with(kTraits) && rest.size() > kTraits.size()) {
    path.traits = true;
    rest.remove_suffix(kTraits.size());
  }
  path.id = COVEY_TRY(percent_decode(rest));
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

Result<std::uint64_t> parse_number(std::string_view text, std::string_view what,
                                   std::uint64_t least, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    return fail(Errc::kRejected,
                fmt::format("{} must be a whole number from {} to {}", what, least, most));
  }
  return value;
}

}  // namespace covey::service

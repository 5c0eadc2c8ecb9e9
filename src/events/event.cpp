#include "events/event.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

namespace covey::events {
namespace {

constexpr std::array<std::string_view, kEventTypes> kNames = {
    "practice", "feedback", "session", "profile", "enrol", "complete", "withdraw", "purchase"};

/// Valid UTF-8 (RFC 3629: no surrogates, no overlong forms) without control characters.
bool printable_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = at + text.size();
  while (at < end) {
    if (end - at >= 8) {
      // Nearly all text is plain ASCII, and this runs a few times an event: eight bytes at once.
      // The high bit of a byte of `odd` is set where the byte is below 0x20, 0x7f or above it;
      // a borrow or carry can only set one too many, above a byte that is odd already.
      constexpr std::uint64_t kEach = 0x0101010101010101;
      std::uint64_t eight = 0;
      std::memcpy(&eight, at, sizeof eight);
      const std::uint64_t odd = (eight - 0x20 * kEach) | (eight + kEach) | eight;
      if ((odd & 0x80 * kEach) == 0) {
        at += 8;
        continue;
      }
    }
    const unsigned char lead = *at;
    if (lead < 0x80) {
      if (lead < 0x20 || lead == 0x7f) return false;
      ++at;
      continue;
    }
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || end - at <= more) return false;
    std::uint32_t code = lead & (0x3fu >> more);
    for (int i = 1; i <= more; ++i) {
      if ((at[i] & 0xc0) != 0x80) return false;
      code = code << 6 | (at[i] & 0x3f);
    }
    constexpr std::array<std::uint32_t, 4> kLeast = {0, 0x80, 0x800, 0x10000};
    if (code < kLeast[static_cast<std::size_t>(more)] || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000) || (code >= 0x80 && code < 0xa0)) {
      return false;
    }
    at += more + 1;
  }
  return true;
}

}  // namespace

std::string text_fault(std::string_view what, std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return fmt::format("{} has {} bytes; at most {} are allowed", what, text.size(), bytes_max);
  }
  if (!printable_utf8(text)) {
    return fmt::format("{} is not valid UTF-8 or has control characters", what);
  }
  return {};
}

std::string_view name(EventType type) {
  return kNames[static_cast<std::size_t>(type)];
}

std::optional<EventType> event_type(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<EventType>(found - kNames.begin());
}

std::string fault(const Event& event) {
  if (event.id.empty()) return "id is empty; leave the field out or fill it";
  if (event.learner.empty()) return "learner is missing";
  // In the order a person fills a row in; each text only where there is one.
  if (auto f = text_fault("learner", event.learner, kLearnerBytesMax); !f.empty()) return f;
  if (auto f = text_fault("id", event.id, kIdBytesMax); !f.empty()) return f;
  if (!event.capability.empty()) {
    if (auto f = text_fault("capability", event.capability, kNameBytesMax); !f.empty()) return f;
  }
  if (!event.domain.empty()) {
    if (auto f = text_fault("domain", event.domain, kNameBytesMax); !f.empty()) return f;
  }
  if (event.time < earliest_time() || event.time >= latest_time()) {
    return "time is outside 1900 to 2200";
  }
  const auto needs = [&](std::string_view field) {
    return fmt::format("{} needs {}", name(event.type), field);
  };
  switch (event.type) {
    case EventType::kPractice:
      if (event.capability.empty()) return needs("a capability");
      if (event.domain.empty()) return needs("a domain");
      break;
    case EventType::kFeedback:
      if (!event.acted_on) return needs("acted_on, true or false");
      break;
    case EventType::kProfile:
      if (event.attributes.empty()) return needs("attributes");
      break;
    case EventType::kPurchase:
      if (!event.amount) return needs("an amount");
      if (event.currency.empty()) return needs("a currency");
      break;
    case EventType::kSession:
    case EventType::kEnrol:
    case EventType::kComplete:
    case EventType::kWithdraw:
      break;
  }
  if (event.score && !(*event.score >= 0 && *event.score <= 1)) {
    return fmt::format("score {} is outside 0 to 1", *event.score);
  }
  if (event.duration_s && !(*event.duration_s >= 0 && std::isfinite(*event.duration_s))) {
    return fmt::format("duration_s {} is not a number of seconds from 0 up", *event.duration_s);
  }
  if (event.amount && !std::isfinite(*event.amount)) return "amount is not a finite number";
  if (event.amount.has_value() != !event.currency.empty()) {
    return event.amount ? "an amount needs a currency" : "a currency needs an amount";
  }
  if (!event.currency.empty() &&
      (event.currency.size() != 3 ||
       !std::ranges::all_of(event.currency, [](char c) { return c >= 'A' && c <= 'Z'; }))) {
    return "currency is not an ISO 4217 code such as EUR";
  }
  if (event.attributes.size() > kAttributesMax) {
    return fmt::format("{} attributes; at most {} are allowed", event.attributes.size(),
                       kAttributesMax);
  }
  for (const auto& [key, value] : event.attributes) {
    if (key.empty()) return "an attribute has an empty name";
    if (auto f = text_fault("an attribute's name", key, kNameBytesMax); !f.empty()) return f;
    // Named only when at fault: values are checked at every decode.
    if (!text_fault("", value, kValueBytesMax).empty()) {
      return text_fault(fmt::format("attribute '{}'", key), value, kValueBytesMax);
    }
  }
  return {};
}

}  // namespace covey::events

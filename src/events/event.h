#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"

namespace covey::events {

/// What a learner did. The number is stored, so it never changes meaning.
enum class EventType : std::uint8_t {
  kPractice = 0,  ///< used a capability: exercise, page, video, tool
  kFeedback = 1,  ///< received feedback; `acted_on` says whether it was acted upon
  kSession = 2,   ///< came by, nothing more
  kProfile = 3,   ///< attributes changed; the last writer by `time` wins
  kEnrol = 4,
  kComplete = 5,
  kWithdraw = 6,
  kPurchase = 7,
};
inline constexpr std::uint8_t kEventTypes = 8;

std::string_view name(EventType type);
std::optional<EventType> event_type(std::string_view name);

/// How an event relates to the row of the source it came from. Rows are what is counted.
enum class RowPart : std::uint8_t {
  kWhole = 0,         ///< the row, or its first event
  kContinuation = 1,  ///< a further event of the same row: it shares the fate of the one before
  kBeside = 2,        ///< made by the importer, no row of its own (a profile from a side table)
};

using Attribute = std::pair<std::string_view, std::string_view>;

inline constexpr std::size_t kLearnerBytesMax = 128;
inline constexpr std::size_t kIdBytesMax = 256;
inline constexpr std::size_t kNameBytesMax = 256;  ///< capability, domain, attribute key
inline constexpr std::size_t kValueBytesMax = 1024;
inline constexpr std::size_t kAttributesMax = 64;

/// One event. Borrows every string: a codec lends it to a Batch, which copies.
struct Event {
  std::string_view id;  ///< idempotency key, never empty, <= kIdBytesMax
  std::string_view learner;
  Time time;
  EventType type = EventType::kSession;
  RowPart part = RowPart::kWhole;
  std::string_view capability;   ///< kPractice: required
  std::string_view domain;       ///< kPractice: required; kEnrol, kComplete, kWithdraw: optional
  std::optional<bool> acted_on;  ///< kFeedback: required
  std::optional<double> score;   ///< 0..1
  std::optional<double> duration_s;       ///< seconds, >= 0
  std::optional<double> amount;           ///< kPurchase: required
  std::string_view currency;              ///< kPurchase: required, ISO 4217, three letters
  std::optional<std::uint32_t> count;     ///< how often within the row's period (OULAD clicks)
  std::span<const Attribute> attributes;  ///< kProfile: required; else optional
};

/// Empty when `text` is at most `bytes_max` of valid UTF-8 without control characters, else what is
/// wrong with `what`.
std::string text_fault(std::string_view what, std::string_view text, std::size_t bytes_max);

/// Empty when the event obeys the model, else the first fault in words ("practice needs a
/// capability"). Every codec ends with this, so no source can be laxer than another.
std::string fault(const Event& event);

}  // namespace covey::events

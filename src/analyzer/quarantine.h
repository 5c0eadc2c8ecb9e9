#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "events/codec.h"
#include "log/log.h"

namespace covey::analyzer {

/// A rejected row as the store keeps it until it is replayed or dropped.
struct Quarantined {
  events::Rejection rejection;
  Time at{};  ///< when it was rejected last
};

/// Where a rejection is kept: by source and line, so the same bad row of a repeated import is one
/// entry with its latest reason.
std::string quarantine_key(const events::Rejection& rejection);
inline constexpr std::string_view kQuarantinePrefix = "quarantine/";

std::string encode(const Quarantined& entry);
/// kCorrupt: not such bytes.
Result<Quarantined> decode_quarantined(std::string_view bytes);

/// Visits entries by source and line until `see` answers false.
Result<void> scan_quarantine(
    const log::Log& log, const std::function<bool(std::string_view key, const Quarantined&)>& see);

}  // namespace covey::analyzer

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace covey {

/// An instant, UTC, to the microsecond: what an event carries and what "as of T" means.
using Time = std::chrono::sys_time<std::chrono::microseconds>;

/// Days since 1970-01-01, UTC; rounds towards the past.
inline std::int32_t day_of(Time t) {
  return static_cast<std::int32_t>(
      std::chrono::floor<std::chrono::days>(t).time_since_epoch().count());
}

/// Weeks since Monday 1969-12-29; a week starts on Monday, 00:00 UTC.
inline std::int32_t week_of_day(std::int32_t day) {
  const std::int32_t since_monday = day + 3;  // 1970-01-01 was a Thursday
  return since_monday >= 0 ? since_monday / 7 : (since_monday - 6) / 7;
}
inline std::int32_t week_of(Time t) {
  return week_of_day(day_of(t));
}

/// Days since 1970-01-01 with the fraction of the day.
inline double fractional_day(Time t) {
  return static_cast<double>(t.time_since_epoch().count()) / 86'400e6;
}

/// Earliest and latest instant an event may carry: 1900-01-01 and 2200-01-01.
Time earliest_time();
Time latest_time();

/// Parses RFC 3339 ("2014-02-01T12:00:00Z", offsets and fractions allowed, also a bare date, read
/// as its midnight UTC). kRejected with the reason otherwise, or outside [earliest, latest].
/// Digits beyond the microsecond are dropped.
Result<Time> parse_time(std::string_view text);

/// RFC 3339 in UTC: seconds, with a fraction only where there is one.
std::string format_time(Time t);

}  // namespace covey

#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace covey::config {

/// "200ms", "5s", "3m", "36h", "14d", "4w"; several in a row add up ("1h30m"). The unit is never
/// left out: a bare 5 is kRejected, and so is anything negative.
Result<std::chrono::microseconds> parse_duration(std::string_view text);
/// The shortest form that parse_duration() reads back: "1h 30m".
std::string format_duration(std::chrono::microseconds duration);

/// "0.5%" -> 0.005. The sign is never left out, so that 1 can't be read as everything.
Result<double> parse_percent(std::string_view text);

}  // namespace covey::config

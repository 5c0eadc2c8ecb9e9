#pragma once

#include <string>
#include <string_view>

namespace covey::app {

/// Text as a CSV cell (RFC 4180): quoted only where it must be.
inline std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace covey::app

#pragma once

#include <string>
#include <string_view>

namespace covey::http {

/// Appends `text` as a JSON string, quotes included. Control characters, quotes and backslashes
/// are escaped; a byte that is not UTF-8 becomes U+FFFD, so the result is always valid JSON.
/// Slash stays bare; '<', '>' and '&' are escaped, so that an answer pasted into a page is inert.
void append_json_string(std::string& out, std::string_view text);

}  // namespace covey::http

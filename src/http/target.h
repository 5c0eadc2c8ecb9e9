#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

// Decoders of what a client writes into a URL. Nothing here is trusted; errors are kRejected with
// a sentence for the client.
namespace covey::http {

struct Target {
  std::string_view path;   ///< still encoded
  std::string_view query;  ///< without '?'; still encoded
};
Target split_target(std::string_view target);

/// Decodes %XX. kRejected: a '%' without two hexadecimal digits, or a NUL.
Result<std::string> percent_decode(std::string_view text);

/// Value of the first parameter of that name, decoded ('+' is a space); nothing when absent.
Result<std::optional<std::string>> query_value(std::string_view query, std::string_view name);

/// A whole decimal number without sign, in [least, most]; `what` names it in the error.
Result<std::uint64_t> parse_number(std::string_view text, std::string_view what,
                                   std::uint64_t least, std::uint64_t most);

}  // namespace covey::http

#pragma once

#include <string_view>

namespace covey::http {

/// Whether a list such as "gzip;q=1, br" (Accept, Accept-Encoding) names `wanted`, without case
/// folding, and does not refuse it by q=0.
bool lists(std::string_view field, std::string_view wanted);

/// The value of one cookie in a Cookie field; empty when it is not there. The first one counts.
std::string_view cookie(std::string_view field, std::string_view name);

}  // namespace covey::http

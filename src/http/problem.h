#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace covey::http {

inline constexpr std::string_view kProblemContentType = "application/problem+json";

/// Reason phrase of a status code, RFC 9110; "Unknown" for those Covey never sends.
std::string_view reason_phrase(unsigned status);

/// Appends an RFC 9457 problem document: type "urn:covey:problem:<type>", title (the status's
/// reason phrase), status, detail, instance. `members` is further JSON members, already
/// serialised ("\"accepted\":3,..."), or empty. docs/http.md lists the types.
void append_problem(std::string& out, unsigned status, std::string_view type,
                    std::string_view detail, std::string_view instance,
                    std::string_view members = {});

}  // namespace covey::http

#pragma once

#include <string_view>

namespace covey::control {

/// openapi.json as it was when this program was built; the build writes the definition.
extern const std::string_view kOpenapiDocument;

}  // namespace covey::control

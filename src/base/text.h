#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace covey {

/// Text for HTML and SVG: < > & " ' as entities.
std::string escaped(std::string_view text);
/// Text that stands in no attribute, and whose reader knows no other entities: < > & alone.
std::string escaped_angles(std::string_view text);

/// 1234567 -> "1,234,567".
std::string grouped(std::uint64_t number);
/// 1 -> "1 learner", 1234 -> "1,234 learners".
std::string counted(std::uint64_t number, std::string_view noun);

}  // namespace covey

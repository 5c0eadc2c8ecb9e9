#pragma once

#include <span>
#include <string_view>

namespace covey::events {

/// The field that an unknown one was probably meant to be: a near match, else what other systems
/// call it (`timestamp`, `user_id`). Empty when neither is known.
std::string_view field_meant(std::string_view name, std::span<const std::string_view> known);

}  // namespace covey::events

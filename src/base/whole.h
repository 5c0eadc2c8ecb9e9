#pragma once

#include <concepts>
#include <cstdint>
#include <utility>

namespace covey {

/// The whole number that `json`, a value of nlohmann's, holds. Its own get<> turns 1e300 into a
/// whole number, which C++ leaves undefined, and cuts 2^40 off for an int. Throws as nlohmann does:
/// type_error where there is no whole number, out_of_range where T does not hold it.
template <std::integral T, typename Json>
T whole(const Json& json) {
  if (!json.is_number_integer()) {
    throw Json::type_error::create(302, "a whole number is wanted", &json);
  }
  const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.template get<std::uint64_t>())
                                              : std::in_range<T>(json.template get<std::int64_t>());
  if (!fits) throw Json::out_of_range::create(406, "a number out of its range", &json);
  return json.template get<T>();
}

}  // namespace covey

#include "http/fields.h"

#include <algorithm>

namespace covey::http {
namespace {

/// Cuts the first part off, up to `separator`, and the blanks around it.
std::string_view next(std::string_view& rest, char separator) {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  while (!part.empty() && (part.front() == ' ' || part.front() == '\t')) part.remove_prefix(1);
  while (!part.empty() && (part.back() == ' ' || part.back() == '\t')) part.remove_suffix(1);
  return part;
}

}  // namespace

bool lists(std::string_view field, std::string_view wanted) {
  while (!field.empty()) {
    std::string_view item = next(field, ',');
    if (next(item, ';') != wanted) continue;
    while (!item.empty()) {
      const std::string_view parameter = next(item, ';');
      // RFC 9110, 12.4.2: a quality of nothing but zeros refuses.
      if (parameter.starts_with("q=") && parameter.find_first_not_of("0.", 2) == parameter.npos) {
        return false;
      }
    }
    return true;
  }
  return false;
}

std::string_view cookie(std::string_view field, std::string_view name) {
  while (!field.empty()) {
    const std::string_view pair = next(field, ';');
    const std::size_t equals = pair.find('=');
    if (equals != pair.npos && pair.substr(0, equals) == name) return pair.substr(equals + 1);
  }
  return {};
}

}  // namespace covey::http

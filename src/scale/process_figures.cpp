#include "scale/process_figures.h"

#include <charconv>

namespace covey::scale {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::uint64_t> cpu_ticks(std::string_view stat) {
  // The name, in parentheses, may hold anything; behind the last one fields are plain.
  const std::size_t name_end = stat.rfind(')');
  if (name_end == stat.npos) return std::nullopt;
  std::string_view rest = stat.substr(name_end + 1);
  // utime and stime are the 14th and 15th field, the 12th and 13th behind the name.
  std::optional<std::uint64_t> user;
  for (int field = 1; field <= 13; ++field) {
    const std::size_t begin = rest.find_first_not_of(' ');
    if (begin == rest.npos) return std::nullopt;
    rest.remove_prefix(begin);
    if (field == 12) user = number(rest);
    if (field == 13) {
      const auto system = number(rest);
      if (!user || !system) return std::nullopt;
      return *user + *system;
    }
    rest.remove_prefix(std::min(rest.find(' '), rest.size()));
  }
  return std::nullopt;
}

std::optional<std::uint64_t> kilobytes_field(std::string_view status, std::string_view name) {
  while (!status.empty()) {
    const std::size_t end = std::min(status.find('\n'), status.size());
    const std::string_view line = status.substr(0, end);
    status.remove_prefix(std::min(end + 1, status.size()));
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
    const std::size_t digits = line.find_first_of("0123456789", name.size());
    if (digits == line.npos || !line.ends_with(" kB")) return std::nullopt;
    const auto value = number(line.substr(digits));
    if (!value) return std::nullopt;
    return *value * 1024;
  }
  return std::nullopt;
}

}  // namespace covey::scale

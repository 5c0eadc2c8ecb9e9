#include "config/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

namespace covey::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t us;
};
// Longer names first: "ms" before "m".
constexpr std::array<Unit, 7> kUnits = {{{"us", 1},
                                         {"ms", 1'000},
                                         {"s", 1'000'000},
                                         {"m", 60'000'000},
                                         {"h", 3'600'000'000},
                                         {"d", 86'400'000'000},
                                         {"w", 604'800'000'000}}};
constexpr double kLongestUs = 400.0 * 365 * 86'400e6;

}  // namespace

Result<std::chrono::microseconds> parse_duration(std::string_view text) {
  const auto wrong = [&] {
    return fail(Errc::kRejected,
                fmt::format("'{}' is no duration: write a number and a unit (ms, s, m, h, d, w), "
                            "such as 36h",
                            text));
  };
  double total = 0;
  std::string_view rest = text;
  const auto skip_spaces = [&] {
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  };
  skip_spaces();
  if (rest.empty()) return wrong();
  while (!rest.empty()) {
    double amount = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), amount);
    if (error != std::errc() || !std::isfinite(amount) || amount < 0) return wrong();
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    skip_spaces();
    std::size_t letters = 0;
    while (letters < rest.size() && rest[letters] >= 'a' && rest[letters] <= 'z') ++letters;
    const Unit* unit = nullptr;
    for (const Unit& known : kUnits) {
      if (rest.substr(0, letters) == known.name) unit = &known;
    }
    if (unit == nullptr) return wrong();
    total += amount * static_cast<double>(unit->us);
    if (total > kLongestUs) {
      return fail(Errc::kRejected, fmt::format("'{}' is longer than 400 years", text));
    }
    rest.remove_prefix(letters);
    skip_spaces();
  }
  return std::chrono::microseconds(std::llround(total));
}

std::string format_duration(std::chrono::microseconds duration) {
  std::int64_t left = duration.count();
  if (left == 0) return "0s";
  std::string out = left < 0 ? "-" : "";
  left = std::abs(left);
  for (std::size_t i = kUnits.size(); i-- > 0;) {
    // Weeks read worse than days unless they are whole.
    if (kUnits[i].name == "w" && left % kUnits[i].us != 0) continue;
    const std::int64_t amount = left / kUnits[i].us;
    if (amount == 0) continue;
    if (out.size() > 1) out += ' ';
    out += fmt::format("{}{}", amount, kUnits[i].name);
    left %= kUnits[i].us;
  }
  return out;
}

Result<double> parse_percent(std::string_view text) {
  double percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  if (error != std::errc() || rest != "%" || !std::isfinite(percent)) {
    return fail(Errc::kRejected, fmt::format("'{}' is no percentage: write it as 0.5%", text));
  }
  return percent / 100;
}

}  // namespace covey::config

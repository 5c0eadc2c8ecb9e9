#include "probes/answers.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace covey::probes {
namespace {

using Json = nlohmann::json;

bool named(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == name) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

struct Compare {
  double tolerance;
  std::string_view except;

  std::optional<std::string> operator()(const Json& a, const Json& b, const std::string& at) const {
    const auto differ = [&] {
      return fmt::format("{} is {} on the baseline and {} on the candidate",
                         at.empty() ? "the answer" : at, a.dump().substr(0, 60),
                         b.dump().substr(0, 60));
    };
    if (a.is_number() && b.is_number()) {
      const double x = a.get<double>(), y = b.get<double>();
      if (std::abs(x - y) <= tolerance) return std::nullopt;
      return differ();
    }
    if (a.type() != b.type()) return differ();
    if (a.is_array()) {
      if (a.size() != b.size()) return differ();
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (auto d = (*this)(a[i], b[i], fmt::format("{}[{}]", at, i))) return d;
      }
      return std::nullopt;
    }
    if (a.is_object()) {
      for (const auto& [key, value] : a.items()) {
        if (named(except, key)) continue;
        const std::string place = at.empty() ? key : at + "." + key;
        if (!b.contains(key)) return place + " is missing on the candidate";
        if (auto d = (*this)(value, b[key], place)) return d;
      }
      for (const auto& [key, value] : b.items()) {
        if (!a.contains(key) && !named(except, key)) return key + " is missing on the baseline";
      }
      return std::nullopt;
    }
    if (a == b) return std::nullopt;
    return differ();
  }
};

}  // namespace

std::optional<std::string> difference(std::string_view baseline, std::string_view candidate,
                                      double tolerance, std::string_view except) {
  const Json a = Json::parse(baseline, nullptr, false), b = Json::parse(candidate, nullptr, false);
  if (a.is_discarded() || b.is_discarded()) {
    if (baseline == candidate) return std::nullopt;
    return "the answers are no JSON and not the same bytes";
  }
  return Compare{tolerance, except}(a, b, "");
}

Gauges read_gauges(std::string_view text, telemetry::Arm arm, std::string_view currency) {
  Gauges out;
  const std::string_view side = arm == telemetry::Arm::kCandidate ? "below" : "above";
  const std::string revenue =
      fmt::format("covey_split_revenue_total{{side=\"{}\",currency=\"{}\"}}", side, currency);
  const std::string practice =
      fmt::format("covey_split_practice_events_total{{side=\"{}\"}}", side);
  const std::pair<std::string_view, std::optional<double>*> kNames[] = {
      {"covey_machine_cpu_seconds_total", &out.cpu_seconds},
      {"covey_machine_cpus", &out.cpus},
      {"covey_machine_memory_used_bytes", &out.memory_used},
      {"covey_machine_memory_bytes", &out.memory_total},
      {"covey_machine_network_bytes_total", &out.network_bytes},
      {"covey_machine_network_bytes_per_second", &out.network_bytes_per_second},
      {"cohort_cache_hits_total", &out.cache_hits},
      {"cohort_cache_misses_total", &out.cache_misses},
      {revenue, &out.revenue},
      {practice, &out.practice},
  };
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t space = line.find(' ');
    if (space == line.npos || line.front() == '#') continue;
    for (const auto& [name, value] : kNames) {
      if (line.substr(0, space) != name) continue;
      double number = 0;
      const char* last = line.data() + line.size();
      if (std::from_chars(line.data() + space + 1, last, number).ec == std::errc() &&
          std::isfinite(number)) {
        *value = number;
      }
    }
  }
  return out;
}

telemetry::Levels levels_between(const Gauges& before, const Gauges& after, double seconds) {
  telemetry::Levels out;
  if (seconds <= 0) return out;
  const auto grown = [](const std::optional<double>& from, const std::optional<double>& to) {
    // A counter that fell began anew.
    return *to >= *from ? *to - *from : *to;
  };
  const auto millionths = [](double fraction) {
    return static_cast<std::uint64_t>(std::clamp(fraction, 0.0, 1.0) * 1e6 + 0.5);
  };
  const bool cpu = before.cpu_seconds && after.cpu_seconds && after.cpus && *after.cpus > 0;
  const bool memory = after.memory_used && after.memory_total && *after.memory_total > 0;
  if (cpu && memory) {
    out.samples = 1;
    out.cpu = millionths(grown(before.cpu_seconds, after.cpu_seconds) / seconds / *after.cpus);
    out.memory = millionths(*after.memory_used / *after.memory_total);
    // A link whose speed is not known (a loopback, many virtual machines) is not measured.
    if (before.network_bytes && after.network_bytes && after.network_bytes_per_second &&
        *after.network_bytes_per_second > 0) {
      out.network_samples = 1;
      out.network = millionths(grown(before.network_bytes, after.network_bytes) / seconds /
                               *after.network_bytes_per_second);
    }
  }
  if (before.cache_hits && after.cache_hits && before.cache_misses && after.cache_misses) {
    out.cache_hits = static_cast<std::uint64_t>(grown(before.cache_hits, after.cache_hits));
    out.lookups =
        out.cache_hits + static_cast<std::uint64_t>(grown(before.cache_misses, after.cache_misses));
  }
  // A currency is first told with its first purchase: until then nothing was paid in it.
  constexpr double kMost = 1e12;  // of one reading: beyond it a counter is damaged
  if (before.practice && after.practice) {
    out.activity_samples = 1;
    const double paid = after.revenue ? grown(before.revenue.value_or(0), after.revenue) : 0.0;
    if (paid >= 0 && paid < kMost) out.revenue = static_cast<std::uint64_t>(paid * 1e6 + 0.5);
    const double practised = grown(before.practice, after.practice);
    if (practised < kMost) out.practice = static_cast<std::uint64_t>(practised);
  }
  return out;
}

}  // namespace covey::probes

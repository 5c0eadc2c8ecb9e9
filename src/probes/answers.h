#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "telemetry/history.h"

namespace covey::probes {

/// Where two JSON answers differ, as a sentence part with the path; nothing where they are alike.
/// Numbers may differ by `tolerance`; the order of members does not count. A member named in
/// `except`, comma-separated, may say anything: the engine's own name, for one.
std::optional<std::string> difference(std::string_view baseline, std::string_view candidate,
                                      double tolerance = 1e-6, std::string_view except = "engine");

/// What a service's /metrics says of its machine and cache, as counters stand.
struct Gauges {
  std::optional<double> cpu_seconds, cpus;  ///< busy seconds of the machine; its processors
  std::optional<double> memory_used, memory_total;
  std::optional<double> network_bytes, network_bytes_per_second;  ///< carried; what it can carry
  std::optional<double> cache_hits, cache_misses;
  /// Of the arm's learners: paid, in the currency asked for; practice events.
  std::optional<double> revenue, practice;
};
/// Reads Prometheus text; lines that are none are passed over.
/// What learners did is read of the arm's own side of the split (`below` it is the candidate's) and
/// of no other: a service may have been told of everybody's events, or of its own learners' alone,
/// and this is right for both.
/// @param currency  ISO 4217: of amounts in others nothing is read, for they can't be added up
Gauges read_gauges(std::string_view text, telemetry::Arm arm, std::string_view currency = "USD");

/// What happened between two readings `seconds` apart. Levels that neither tells stay unmeasured
/// (one sample less), those of a process that began anew count from its start.
telemetry::Levels levels_between(const Gauges& before, const Gauges& after, double seconds);

}  // namespace covey::probes

#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "load/compare.h"
#include "load/generator.h"
#include "load/limits.h"
#include "load/plots.h"

namespace covey::load {

/// A load as it is told: to a machine, to a person, to a browser.
struct Report {
  Settings settings;
  std::string url;
  Totals totals;
  std::vector<Verdict> verdicts;
  /// A second target asked in alternation with the first.
  struct Against {
    std::string url;
    std::chrono::microseconds block{};
    Totals totals;
    std::vector<Pair> pairs;
  };
  std::optional<Against> against;
  std::string made;  ///< when, for the page
};

nlohmann::ordered_json to_json(const Report& report);
/// A table, what was the limit, a histogram drawn in letters.
std::string to_text(const Report& report);
/// A page of its own: nothing is loaded from elsewhere.
std::string to_html(const Report& report);

// Parts of it, for other reports on loads.

nlohmann::ordered_json to_json(const Tally& tally);
double ms(const telemetry::Histogram& histogram, double q);  ///< 0 of nothing
/// Of that many in what time its kind took, which may be less than the whole load did.
double per_second(std::uint64_t count, const Tally& of, const Totals& within);
/// Share of answers that came within so many milliseconds.
Line cdf(const telemetry::Histogram& histogram, std::string name, unsigned colour);
enum class Of { kSent, kAnswered, kErrors, kP50, kP99, kMax };
/// Per second, or in milliseconds, over seconds since the begin; a step without answers is a gap.
std::vector<Line> over_time(const Series& series, Of what, std::string name, unsigned colour);

}  // namespace covey::load

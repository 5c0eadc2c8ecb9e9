#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "stats/status.h"

namespace covey::experiment {

/// A line of a forest plot; one without an estimate is a heading or says why there is none.
struct ForestRow {
  std::string label, note;
  std::optional<double> lift;
  std::optional<stats::Interval> interval;
  std::optional<stats::Interval> second;  ///< drawn thinner, below
  int good = 0;                           ///< +1 shown better, -1 shown worse, 0 neither
  bool heading = false, indented = false;
};
/// Lifts with their intervals on one scale, 0 marked. Interval ends beyond the scale get arrows.
std::string forest_plot(const std::vector<ForestRow>& rows, std::string_view title);

struct BandPoint {
  Time at;
  double value;
  stats::Interval interval;
};
/// A line with its interval as a band over time, 0 marked.
std::string band_plot(const std::vector<BandPoint>& points, std::string_view title);

}  // namespace covey::experiment

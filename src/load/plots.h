#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace covey::load {

/// What all pages of this house look like, light and dark; for inside a <style>.
std::string_view page_style();

/// A line of a plot. Points with a gap (no answers in that second) are several lines of one name.
struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points{};  ///< x ascending
  unsigned colour = 0;                              ///< 0 to 5
  bool dots = false;                                ///< marks the points
};

enum class Scale {
  kLinear,
  kLog,    ///< of values above 0; others lie at the lower edge
  kNines,  ///< of shares: 0, 50 %, 90, 99, 99.9 ... equally far apart
};

struct Axis {
  std::string title;  ///< with the unit
  Scale scale = Scale::kLinear;
};

/// Lines as inline SVG with a legend; empty where no line has a point. Text in it is escaped.
std::string line_plot(const std::vector<Line>& lines, const Axis& x, const Axis& y,
                      std::string_view title);

/// The same drawing as a file of its own, with its colours in it.
std::string standalone(std::string_view svg);

}  // namespace covey::load

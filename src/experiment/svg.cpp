#include "experiment/svg.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "experiment/wording.h"

namespace covey::experiment {
namespace {

/// Steps of 1, 2 or 5 times a power of ten, about `count` of them over `span`.
double step_of(double span, int count) {
  const double raw = span / count;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (raw <= times * power) return times * power;
  }
  return 10 * power;
}

std::string tick_label(double value, double step) {
  // As many decimals as tell neighbours apart.
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(step * 100) - 1e-9)));
  const double shown = 100 * value;
  if (std::abs(shown) < step * 50) return "0 %";
  return fmt::format("{:+.{}f} %", shown, decimals);
}

struct Scale {
  double low, high, from, to;
  double operator()(double value) const {
    return from + (std::clamp(value, low, high) - low) / (high - low) * (to - from);
  }
};

}  // namespace

std::string forest_plot(const std::vector<ForestRow>& rows, std::string_view title) {
  constexpr double kLeft = 240, kRight = 650, kWidth = 900, kRow = 26, kTop = 14;
  // The scale shows every estimate; wide intervals of small segments may leave it.
  double reach = 0.01;
  for (const ForestRow& row : rows) {
    if (row.lift) reach = std::max(reach, 1.2 * std::abs(*row.lift));
    if (row.interval && !row.indented) {
      reach =
          std::max({reach, 1.1 * std::abs(row.interval->low), 1.1 * std::abs(row.interval->high)});
    }
  }
  for (const ForestRow& row : rows) {
    if (row.interval && row.indented) {
      const double far = std::max(std::abs(row.interval->low), std::abs(row.interval->high));
      reach = std::max(reach, std::min(1.05 * far, 2 * reach));
    }
  }
  const Scale x{-reach, reach, kLeft, kRight};
  const double height = kTop + kRow * static_cast<double>(rows.size()) + 34;
  std::string out = fmt::format(
      "<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\" class=\"plot\">\n"
      "<title>{}</title>\n",
      kWidth, height, escaped(title), escaped(title));
  const double bottom = kTop + kRow * static_cast<double>(rows.size());
  const double step = step_of(2 * reach, 6);
  for (double tick = std::ceil(-reach / step) * step; tick <= reach + step / 1e6; tick += step) {
    const bool zero = std::abs(tick) < step / 2;
    out += fmt::format(
        "<line class=\"{}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
        zero ? "zero" : "grid", x(tick), x(tick), kTop - 6, bottom, x(tick), bottom + 18,
        tick_label(tick, step));
  }
  double y = kTop;
  for (const ForestRow& row : rows) {
    const double middle = y + kRow / 2;
    out += fmt::format("<text class=\"{}\" x=\"{}\" y=\"{:.1f}\">{}</text>\n",
                       row.heading ? "heading" : "label", row.indented ? 22 : 4, middle + 4,
                       escaped(row.label));
    const std::string_view shown = row.good > 0 ? "better" : row.good < 0 ? "worse" : "open";
    if (row.second) {
      out += fmt::format(
          "<line class=\"second\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
          x(row.second->low), x(row.second->high), middle + 6, middle + 6);
    }
    if (row.interval) {
      out += fmt::format(
          "<line class=\"whisker {}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
          shown, x(row.interval->low), x(row.interval->high), middle, middle);
      if (row.interval->low < -reach) {
        out += fmt::format("<text class=\"arrow\" x=\"{:.1f}\" y=\"{:.1f}\">◂</text>\n", kLeft - 8,
                           middle + 5);
      }
      if (row.interval->high > reach) {
        out += fmt::format("<text class=\"arrow\" x=\"{:.1f}\" y=\"{:.1f}\">▸</text>\n", kRight - 2,
                           middle + 5);
      }
    }
    if (row.lift) {
      // The mark's form says what its colour says.
      if (row.good > 0) {
        out += fmt::format("<path class=\"better\" d=\"M{0:.1f} {1:.1f}l7 12h-14z\"/>\n",
                           x(*row.lift), middle - 7);
      } else if (row.good < 0) {
        out += fmt::format("<path class=\"worse\" d=\"M{0:.1f} {1:.1f}l7 -12h-14z\"/>\n",
                           x(*row.lift), middle + 7);
      } else {
        out += fmt::format("<circle class=\"open\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\"/>\n",
                           x(*row.lift), middle);
      }
    }
    if (!row.note.empty()) {
      out +=
          fmt::format("<text class=\"note\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
                      kWidth - 4, middle + 4, escaped(row.note));
    }
    y += kRow;
  }
  return out + "</svg>\n";
}

std::string band_plot(const std::vector<BandPoint>& points, std::string_view title) {
  if (points.size() < 2) return "";
  constexpr double kLeft = 70, kRight = 880, kTop = 12, kBottom = 230;
  // The first looks are wide; the scale is the later ones', the band is cut at its edges.
  std::vector<double> reaches;
  for (const BandPoint& p : points) {
    reaches.push_back(std::max(std::abs(p.interval.low), std::abs(p.interval.high)));
  }
  const std::size_t from = points.size() / 3;
  const double reach =
      1.15 *
      *std::ranges::max_element(reaches.begin() + static_cast<std::ptrdiff_t>(from), reaches.end());
  const Scale y{-reach, reach, kBottom, kTop};
  const auto us = [](Time t) { return static_cast<double>(t.time_since_epoch().count()); };
  const Scale x{us(points.front().at), us(points.back().at), kLeft, kRight};
  std::string out = fmt::format(
      "<svg viewBox=\"0 0 900 262\" role=\"img\" aria-label=\"{}\" class=\"plot\">\n"
      "<title>{}</title>\n",
      escaped(title), escaped(title));
  const double step = step_of(2 * reach, 5);
  for (double tick = std::ceil(-reach / step) * step; tick <= reach + step / 1e6; tick += step) {
    const bool zero = std::abs(tick) < step / 2;
    out += fmt::format(
        "<line class=\"{}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
        zero ? "zero" : "grid", kLeft, kRight, y(tick), y(tick), kLeft - 8, y(tick) + 4,
        tick_label(tick, step));
  }
  std::string above, below, line;
  for (const BandPoint& p : points) {
    above += fmt::format("{:.1f},{:.1f} ", x(us(p.at)), y(p.interval.high));
    below = fmt::format("{:.1f},{:.1f} ", x(us(p.at)), y(p.interval.low)) + below;
    line += fmt::format("{:.1f},{:.1f} ", x(us(p.at)), y(p.value));
  }
  out += fmt::format(
      "<polygon class=\"band\" points=\"{}{}\"/>\n<polyline class=\"line\" "
      "points=\"{}\"/>\n",
      above, below, line);
  for (const std::size_t i : {std::size_t{0}, points.size() / 2, points.size() - 1}) {
    out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"{}\">{}</text>\n",
                       x(us(points[i].at)), 252,
                       i == 0                   ? "start"
                       : i + 1 == points.size() ? "end"
                                                : "middle",
                       format_time(points[i].at).substr(0, 10));
  }
  return out + "</svg>\n";
}

}  // namespace covey::experiment

#include "load/plots.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/text.h"

namespace covey::load {
namespace {

constexpr double kLeft = 74, kRight = 880, kTop = 14, kBottom = 250, kHeight = 304;
constexpr double kNinesMax = 7;  // 99.99999 %
constexpr unsigned kColours = 6;

/// Where a value lies on an axis before it is stretched.
double place(double value, Scale scale) {
  switch (scale) {
    case Scale::kLog:
      return std::log10(std::max(value, 1e-9));
    case Scale::kNines: {
      // 0 at the edge, each factor of ten fewer beyond it a step further.
      const double beyond = std::max(1 - value, std::pow(10, -kNinesMax));
      return -std::log10(beyond);
    }
    case Scale::kLinear:
      break;
  }
  return value;
}

struct Tick {
  double at;
  std::string label;
};

std::string short_number(double v) {
  const double a = std::abs(v);
  if (a >= 1e9) return fmt::format("{:g} G", v / 1e9);
  if (a >= 1e6) return fmt::format("{:g} M", v / 1e6);
  if (a >= 1e4) return fmt::format("{:g} k", v / 1e3);
  return fmt::format("{:g}", v);
}

std::vector<Tick> ticks(double low, double high, Scale scale) {
  std::vector<Tick> out;
  switch (scale) {
    case Scale::kLog:
      for (double power = std::floor(low); power <= high + 1e-9; ++power) {
        for (const double times : {1.0, 2.0, 5.0}) {
          const double at = power + std::log10(times);
          // Over many decades the twos and fives would stand in each other's way.
          if (times > 1 && high - low > 2.5) continue;
          if (at >= low - 1e-9 && at <= high + 1e-9) {
            out.push_back({at, short_number(times * std::pow(10, power))});
          }
        }
      }
      break;
    case Scale::kNines: {
      constexpr std::pair<double, const char*> kShares[] = {
          {0, "0"},          {0.5, "50 %"},       {0.9, "90 %"},        {0.99, "99 %"},
          {0.999, "99.9 %"}, {0.9999, "99.99 %"}, {0.99999, "99.999 %"}};
      for (const auto& [share, label] : kShares) {
        const double at = place(share, scale);
        if (at >= low - 1e-9 && at <= high + 1e-9) out.push_back({at, label});
      }
      break;
    }
    case Scale::kLinear: {
      const double raw = (high - low) / 5;
      const double power = std::pow(10, std::floor(std::log10(raw)));
      double step = 10 * power;
      for (const double times : {5.0, 2.0, 1.0}) {
        if (raw <= times * power) step = times * power;
      }
      for (double at = std::ceil(low / step - 1e-9) * step; at <= high + step / 1e6; at += step) {
        out.push_back({at, short_number(std::abs(at) < step / 2 ? 0 : at)});
      }
      break;
    }
  }
  return out;
}

struct Span {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void take(double v) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
};

/// A linear axis of amounts begins at 0; no axis is a point.
Span settled(Span s, Scale scale) {
  if (scale == Scale::kLinear && s.low > 0) s.low = 0;
  if (scale == Scale::kNines) s.low = 0;
  if (!(s.high > s.low)) s.high = s.low + 1;
  return s;
}

}  // namespace

std::string_view page_style() {
  return R"(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--page:#fff;--card:#f6f8fa;
--line:#d0d7de;--good:#116329;--bad:#a40e26;--open:#0a5cad;--c0:#0a5cad;--c1:#b35900;--c2:#116329;
--c3:#8250df;--c4:#a40e26;--c5:#57606a}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4ae;--page:#0d1117;--card:#161b22;
--line:#30363d;--good:#56d364;--bad:#ff7b72;--open:#79b8ff;--c0:#79b8ff;--c1:#ffa657;--c2:#56d364;
--c3:#d2a8ff;--c4:#ff7b72;--c5:#9aa4ae}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.5rem 1rem 4rem;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.4rem 0}.soft{color:var(--soft);font-size:.9rem}
.verdict{border-left:.4rem solid var(--open);background:var(--card);padding:1rem 1.2rem;
margin:1rem 0;font-size:1.05rem}
.verdict.good{border-color:var(--good)}.verdict.bad{border-color:var(--bad)}
.good{color:var(--good)}.bad{color:var(--bad)}.verdict.good,.verdict.bad{color:var(--ink)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem;
font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.3rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}
td{white-space:nowrap}th:first-child,td:first-child{text-align:left}
td.text{text-align:left;white-space:normal}
th{font-weight:600;color:var(--soft)}
ul{padding-left:1.2rem;margin:.3rem 0}
svg.plot{width:100%;min-width:34rem;height:auto;font:13px system-ui,sans-serif}
svg text{fill:var(--ink)}svg .tick{fill:var(--soft)}svg .grid{stroke:var(--line)}
svg polyline{fill:none;stroke-width:2;stroke-linejoin:round}
svg .s0{stroke:var(--c0)}svg .s1{stroke:var(--c1)}svg .s2{stroke:var(--c2)}svg .s3{stroke:var(--c3)}
svg .s4{stroke:var(--c4)}svg .s5{stroke:var(--c5)}
svg .f0{fill:var(--c0)}svg .f1{fill:var(--c1)}svg .f2{fill:var(--c2)}svg .f3{fill:var(--c3)}
svg .f4{fill:var(--c4)}svg .f5{fill:var(--c5)}
@media print{body{max-width:none}.verdict{break-inside:avoid}}
)";
}

std::string line_plot(const std::vector<Line>& lines, const Axis& x, const Axis& y,
                      std::string_view title) {
  Span xs, ys;
  for (const Line& line : lines) {
    for (const auto& [a, b] : line.points) {
      if (x.scale == Scale::kLog && a <= 0) continue;
      xs.take(place(a, x.scale));
      if (y.scale == Scale::kLog && b <= 0) continue;
      ys.take(place(b, y.scale));
    }
  }
  if (!(xs.low <= xs.high) || !(ys.low <= ys.high)) return "";
  xs = settled(xs, x.scale);
  ys = settled(ys, y.scale);
  const auto at_x = [&](double v) {
    const double p = std::clamp(place(v, x.scale), xs.low, xs.high);
    return kLeft + (p - xs.low) / (xs.high - xs.low) * (kRight - kLeft);
  };
  const auto at_y = [&](double v) {
    const double p = std::clamp(place(v, y.scale), ys.low, ys.high);
    return kBottom - (p - ys.low) / (ys.high - ys.low) * (kBottom - kTop);
  };
  std::string out = fmt::format(
      "<svg viewBox=\"0 0 900 {:.0f}\" role=\"img\" aria-label=\"{}\" class=\"plot\">\n"
      "<title>{}</title>\n",
      kHeight, escaped(title), escaped(title));
  for (const Tick& t : ticks(ys.low, ys.high, y.scale)) {
    const double v = kBottom - (t.at - ys.low) / (ys.high - ys.low) * (kBottom - kTop);
    out += fmt::format(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"tick\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
        kLeft, kRight, v, v, kLeft - 8, v + 4, t.label);
  }
  for (const Tick& t : ticks(xs.low, xs.high, x.scale)) {
    const double v = kLeft + (t.at - xs.low) / (xs.high - xs.low) * (kRight - kLeft);
    out += fmt::format(
        "<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{}\" y2=\"{}\"/>"
        "<text class=\"tick\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
        v, v, kTop, kBottom, v, kBottom + 16, t.label);
  }
  out += fmt::format(
      "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>"
      "<text class=\"tick\" x=\"{}\" y=\"{}\">{}</text>\n",
      kRight, kBottom + 32, escaped(x.title), kLeft + 6, kTop + 12, escaped(y.title));
  double legend = kLeft;
  std::vector<std::string> named;
  for (const Line& line : lines) {
    if (line.points.empty()) continue;
    const unsigned colour = line.colour % kColours;
    std::string points;
    for (const auto& [a, b] : line.points) {
      points += fmt::format("{:.1f},{:.1f} ", at_x(a), at_y(b));
    }
    out += fmt::format("<polyline class=\"s{}\" points=\"{}\"/>\n", colour, points);
    for (const auto& [a, b] : line.points) {
      // A point alone makes no line.
      if (!line.dots && line.points.size() > 1) break;
      out += fmt::format("<circle class=\"f{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>", colour,
                         at_x(a), at_y(b));
    }
    if (std::ranges::find(named, line.name) != named.end()) continue;
    named.push_back(line.name);
    out += fmt::format(
        "<line class=\"s{}\" x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{}\" y2=\"{}\" stroke-width=\"3\"/>"
        "<text x=\"{:.0f}\" y=\"{}\">{}</text>\n",
        colour, legend, legend + 22, kHeight - 10, kHeight - 10, legend + 28, kHeight - 6,
        escaped(line.name));
    legend += 50 + 7.2 * static_cast<double>(line.name.size());
  }
  return out + "</svg>\n";
}

std::string standalone(std::string_view svg) {
  // A viewer of files may put it on any ground: it brings its own, light or dark as the reader is.
  constexpr std::string_view kStyle =
      "<style>svg{background:#fff;font:13px system-ui,sans-serif;--ink:#1b1f24;--soft:#57606a;"
      "--line:#d0d7de;--c0:#0a5cad;--c1:#b35900;--c2:#116329;--c3:#8250df;--c4:#a40e26;--c5:#"
      "57606a}"
      "@media(prefers-color-scheme:dark){svg{background:#0d1117;--ink:#e6edf3;--soft:#9aa4ae;"
      "--line:#30363d;--c0:#79b8ff;--c1:#ffa657;--c2:#56d364;--c3:#d2a8ff;--c4:#ff7b72;"
      "--c5:#9aa4ae}}text{fill:var(--ink)}.tick{fill:var(--soft)}.grid{stroke:var(--line)}"
      "polyline{fill:none;stroke-width:2}"
      ".s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}"
      ".s4{stroke:var(--c4)}.s5{stroke:var(--c5)}"
      ".f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}"
      ".f4{fill:var(--c4)}.f5{fill:var(--c5)}</style>\n";
  constexpr std::string_view kOpen = "<svg ";
  const std::size_t head = svg.find('>');
  if (!svg.starts_with(kOpen) || head == svg.npos) return std::string(svg);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" ";
  out += svg.substr(kOpen.size(), head + 1 - kOpen.size());
  out += "\n";
  out += kStyle;
  out += svg.substr(head + 1);
  return out;
}

}  // namespace covey::load

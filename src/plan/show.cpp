#include "plan/show.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "config/units.h"

namespace covey::plan {
namespace {

/// "2025-10-31 12:00".
std::string minute_text(Time at) {
  std::string text = format_time(at).substr(0, 16);
  text[10] = ' ';
  return text;
}

template <typename Items, typename Text>
std::string joined(const Items& items, Text text) {
  std::string out;
  for (const auto& item : items) {
    if (!out.empty()) out += ", ";
    out += text(item);
  }
  return out;
}

constexpr double kRowHeight = 22, kLabelWidth = 210, kWidth = 980;

/// One chart of rows within [from, to), at `top`.
std::string chart(const std::vector<Row>& rows, Time from, Time to, double top, bool hours) {
  const auto x = [&](Time at) {
    const double part = static_cast<double>((std::clamp(at, from, to) - from).count()) /
                        static_cast<double>((to - from).count());
    return kLabelWidth + part * (kWidth - kLabelWidth - 10);
  };
  std::string out;
  const double height = kRowHeight * static_cast<double>(rows.size());
  // A line a week, or every six hours; the label where it fits.
  const Duration step = hours ? Duration(std::chrono::hours(6)) : Duration(std::chrono::days(7));
  Time line = std::chrono::floor<std::chrono::days>(from);
  double labelled = -1e9;
  for (; line <= to; line += step) {
    if (line < from) continue;
    const double at = x(line);
    out += fmt::format(
        "<line class=\"g\" x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\"/>", at, top,
        top + height);
    if (at - labelled < 74 || at + 70 > kWidth) continue;
    labelled = at;
    const std::string text = minute_text(line);
    out += fmt::format("<text class=\"t\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", at + 2, top - 5,
                       hours ? text.substr(5) : text.substr(0, 10));
  }
  out += '\n';
  double y = top;
  for (const Row& row : rows) {
    const double left = x(row.start);
    const double width = std::max(2.0, x(row.end) - left);
    const char* css = row.kind == Row::Kind::kStage        ? "s"
                      : row.kind == Row::Kind::kMonitoring ? "m"
                      : row.kind == Row::Kind::kWork       ? "w"
                                                           : "k";
    out += fmt::format(
        "<text class=\"l\" x=\"{:.0f}\" y=\"{:.1f}\">{}</text>"
        "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"14\" rx=\"2\">"
        "<title>{}: {} to {}{}</title></rect>",
        row.kind == Row::Kind::kTask ? 16.0 : 4.0, y + 15,
        escaped(row.name) + (row.share > 0 ? " · " + share_text(row.share) : ""), css, left, y + 4,
        width, escaped(row.name), minute_text(row.start), minute_text(row.end),
        row.share > 0 ? ", " + share_text(row.share) : "");
    for (const Time mark : row.marks) {
      if (mark < from || mark > to) continue;
      out += fmt::format("<path class=\"c\" d=\"M{:.1f} {:.1f}l3.5 3.5l-3.5 3.5l-3.5 -3.5z\"/>",
                         x(mark), y + 7.5);
    }
    out += '\n';
    y += kRowHeight;
  }
  return out;
}

}  // namespace

std::vector<Row> timeline(const Plan& plan) {
  std::vector<std::vector<Row>> groups;  // a work phase keeps its tasks below it
  for (const Stage& s : plan.stages) {
    Row row{Row::Kind::kStage, s.name, s.start, s.start + s.length, s.share, {}};
    for (const Duration at : s.checkpoints) row.marks.push_back(s.start + at);
    groups.push_back({std::move(row)});
  }
  for (const Monitoring& m : plan.monitoring) {
    groups.push_back({{Row::Kind::kMonitoring, m.name, m.start, m.start + m.length,
                       plan.stages.back().share, m.looks()}});
  }
  for (const Work& w : plan.work) {
    auto& group = groups.emplace_back();
    group.push_back({Row::Kind::kWork, w.name, w.start, w.start + w.length, 0, w.reports});
    for (const Task& t : w.tasks) {
      group.push_back({Row::Kind::kTask, t.name, t.start, t.start + t.length, 0, {}});
    }
  }
  std::ranges::stable_sort(groups, {}, [](const auto& group) { return group.front().start; });
  std::vector<Row> out;
  for (auto& group : groups) out.insert(out.end(), group.begin(), group.end());
  return out;
}

std::string timeline_table(const Plan& plan) {
  std::string out = fmt::format("{}\n\n{:<28} {:<16}  {:<16}  {:>7}  {:>6}  {}\n", plan.title,
                                "phase", "begins (UTC)", "ends", "length", "share", "looks");
  for (const Row& row : timeline(plan)) {
    const bool task = row.kind == Row::Kind::kTask;
    std::string looks;
    if (row.kind == Row::Kind::kStage) {
      looks = joined(row.marks, [&](Time at) { return config::format_duration(at - row.start); });
    } else if (row.kind == Row::Kind::kMonitoring) {
      looks = fmt::format("{} looks", row.marks.size());
    } else if (!row.marks.empty()) {
      const auto work = std::ranges::find(plan.work, row.name, &Work::name);
      if (work != plan.work.end() && work->regions > 0) {
        looks = fmt::format("{} regions, ", work->regions);
      }
      looks += "report " + joined(row.marks, [](Time at) { return minute_text(at).substr(0, 10); });
    }
    out += fmt::format("{:<28} {:<16}  {:<16}  {:>7}  {:>6}  {}", (task ? "  " : "") + row.name,
                       minute_text(row.start), minute_text(row.end),
                       config::format_duration(row.end - row.start),
                       row.share > 0 ? share_text(row.share) : "", looks);
    while (out.back() == ' ') out.pop_back();
    out += '\n';
    const auto gates = [&](const auto& phases) {
      for (const auto& phase : phases) {
        if (phase.name != row.name) continue;
        for (const Gate& gate : phase.gates) {
          out += fmt::format("{:<28} {} on {}, by {}: {}\n", "", gate.name,
                             minute_text(gate.at).substr(0, 10),
                             joined(gate.approvals,
                                    [&](const auto& n) {
                                      const Role* role = plan.role(n);
                                      return role != nullptr ? role->title : n;
                                    }),
                             fmt::join(gate.criteria, "; "));
        }
      }
    };
    gates(plan.monitoring);
    gates(plan.work);
    const auto stage = std::ranges::find(plan.stages, row.name, &Stage::name);
    if (stage == plan.stages.end()) continue;
    out += fmt::format("{:<28} passes if {}\n", "",
                       joined(stage->criteria, [](const Rule& rule) { return rule.text; }));
    if (!stage->approvals.empty()) {
      out +=
          fmt::format("{:<28} approved by {}\n", "", joined(stage->approvals, [&](const auto& n) {
                        const Role* role = plan.role(n);
                        return role != nullptr ? role->title : n;
                      }));
    }
    out += fmt::format("{:<28} a breach of {} rolls back to 0 %, a NO-GO drops to {}\n", "",
                       config::format_duration(stage->breached_for), share_text(stage->fail_share));
  }
  return out;
}

std::string timeline_svg(const Plan& plan) {
  const auto rows = timeline(plan);
  std::vector<Row> first;
  const Time begin = plan.stages.front().preflight.value_or(plan.stages.front().start);
  const Time last = plan.stages.back().start + plan.stages.back().length;
  for (const Row& row : rows) {
    if (row.kind == Row::Kind::kStage) first.push_back(row);
  }
  const double second_top = 78 + kRowHeight * static_cast<double>(first.size()) + 52;
  const double height = second_top + kRowHeight * static_cast<double>(rows.size()) + 14;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" role=\"img\" aria-label=\"Calendar of {2}\">\n"
      "<style>text{{font:12px system-ui,sans-serif;fill:#222}}.h{{font-size:16px;font-weight:600}}"
      ".t{{font-size:10px;fill:#667}}.g{{stroke:#dde}}.s{{fill:#2563a8}}.m{{fill:#5b9a68}}"
      ".w{{fill:#8a7ab8}}.k{{fill:#c3b9de}}.c{{fill:#fff;stroke:#222;stroke-width:.8}}</style>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
      "<text class=\"h\" x=\"4\" y=\"22\">{2}</text>\n"
      "<text class=\"t\" x=\"4\" y=\"38\">Times are UTC. Diamonds: checkpoints, looks and reports. "
      "Above the stages by the hour, below the whole calendar by the week.</text>\n",
      kWidth, height, escaped(plan.title));
  out += chart(first, begin, last, 78, true);
  out += chart(rows, plan.begin(), plan.end(), second_top, false);
  return out + "</svg>\n";
}

}  // namespace covey::plan

#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "config/units.h"
#include "experiment/report.h"
#include "experiment/svg.h"
#include "experiment/wording.h"

namespace covey::experiment {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--page:#fff;--card:#f6f8fa;
--line:#d0d7de;
--good:#116329;--bad:#a40e26;--open:#0a5cad;--band:#0a5cad33}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4ae;--page:#0d1117;--card:#161b22;
--line:#30363d;--good:#56d364;--bad:#ff7b72;--open:#79b8ff;--band:#79b8ff33}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.5rem 1rem 4rem;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.4rem 0}.soft{color:var(--soft);font-size:.9rem}
.verdict{border-left:.4rem solid var(--open);background:var(--card);padding:1rem 1.2rem;
margin:1rem 0;font-size:1.15rem}
.verdict.good{border-color:var(--good)}.verdict.bad{border-color:var(--bad)}
.verdict b{display:block;font-size:.8rem;letter-spacing:.06em;text-transform:uppercase}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem;
font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.3rem .5rem;border-bottom:1px solid var(--line);
vertical-align:top}
td{white-space:nowrap}
th:first-child,td:first-child{text-align:left;white-space:normal}
th{font-weight:600;color:var(--soft)}
ul{padding-left:1.2rem;margin:.3rem 0}
svg.plot{width:100%;min-width:34rem;height:auto;font:13px system-ui,sans-serif}
svg text{fill:var(--ink)}svg .tick,svg .note{fill:var(--soft)}svg .heading{font-weight:600}
svg .grid{stroke:var(--line)}svg .zero{stroke:var(--ink);stroke-width:1.5}
svg .whisker{stroke:var(--open);stroke-width:3}svg .whisker.better{stroke:var(--good)}
svg .whisker.worse{stroke:var(--bad)}svg .second{stroke:var(--soft);stroke-width:1.5}
svg circle.open{fill:var(--page);stroke:var(--open);stroke-width:2.5}
svg path.better{fill:var(--good)}svg path.worse{fill:var(--bad)}
svg .band{fill:var(--band)}svg .line{fill:none;stroke:var(--open);stroke-width:2.5}
@media print{body{max-width:none}.verdict{break-inside:avoid}}
)";

std::string or_dash(const std::optional<double>& value, std::string (*shown)(double)) {
  return value ? shown(*value) : "–";
}
std::string percent_of(double v) {
  return percent(v);
}
std::string p_of(double p) {
  return p < 0.0001 ? "< 0.0001" : fmt::format("{:.4f}", p);
}
std::string interval_of(const std::optional<stats::Interval>& interval) {
  return interval ? percent(*interval) : "–";
}

/// To the minute: "2025-11-02 16:00 UTC".
std::string minute_of(Time at) {
  std::string text = format_time(at).substr(0, 16);
  text[10] = ' ';
  return text + " UTC";
}

std::string_view tone(Decision decision) {
  switch (decision) {
    case Decision::kWin:
    case Decision::kAaOk:
      return "good";
    case Decision::kLoss:
    case Decision::kInvalid:
    case Decision::kAaAlarm:
      return "bad";
    default:
      return "open";
  }
}

std::string_view heading(Decision decision) {
  switch (decision) {
    case Decision::kNoData:
      return "No data yet";
    case Decision::kInvalid:
      return "Invalid";
    case Decision::kWin:
      return "Win";
    case Decision::kLoss:
      return "Loss";
    case Decision::kUndecided:
      return "Undecided";
    case Decision::kNoEffect:
      return "No effect shown";
    case Decision::kAaOk:
      return "A/A: in order";
    case Decision::kAaAlarm:
      return "A/A: alarm";
  }
  return "";
}

int goodness(const Metric& metric, const std::optional<stats::Interval>& interval) {
  if (!interval || (interval->low <= 0 && interval->high >= 0)) return 0;
  return (interval->low > 0) == metric.higher_is_better ? 1 : -1;
}

std::string why_none(const Estimate& e, bool has_enough) {
  if (!has_enough) return fmt::format("under {:.0f} events", stats::kEventsInSmallerArm);
  switch (e.status) {
    case stats::Status::kUnbounded:
      return "baseline too uncertain";
    case stats::Status::kZeroBaseline:
      return "baseline is 0";
    case stats::Status::kZeroVariance:
      return "nothing varies";
    case stats::Status::kTooFewUnits:
      return "too few learners";
    default:
      return "no estimate";
  }
}

std::string forest(const Analysis& a) {
  std::vector<ForestRow> rows;
  for (const MetricResult& result : a.metrics) {
    const Metric& metric = a.experiment.metrics[result.metric];
    const Estimate& e = deciding(a.experiment, result);
    const Estimate& other = a.experiment.sequential ? result.fixed : result.sequential;
    ForestRow row;
    row.label = metric.title;
    row.heading = true;
    row.lift = e.lift_interval ? e.lift : std::nullopt;
    row.interval = e.lift_interval;
    row.second = other.lift_interval;
    row.good = goodness(metric, e.lift_interval);
    row.note = e.lift_interval ? percent(*e.lift) + "  (" + percent(*e.lift_interval) + ")"
                               : why_none(e, result.has_enough_events);
    rows.push_back(row);
    if (metric.role != Role::kPrimary) continue;
    for (const SegmentResult& segment : result.segments) {
      ForestRow part;
      part.label = segment.attribute + ": " + segment.value;
      part.indented = true;
      const bool enough =
          std::min(segment.control.events, segment.treatment.events) >= stats::kEventsInSmallerArm;
      part.lift = segment.estimate.lift_interval ? segment.estimate.lift : std::nullopt;
      part.interval = segment.estimate.lift_interval;
      part.good = segment.p_adjusted.value_or(1) < a.experiment.alpha
                      ? goodness(metric, segment.estimate.lift_interval)
                      : 0;
      part.note = part.lift ? percent(*part.lift) + "  (" + percent(*part.interval) + ")"
                            : why_none(segment.estimate, enough || !a.experiment.sequential);
      rows.push_back(part);
    }
  }
  return forest_plot(rows,
                     "Lift of each metric, and of the primary ones by segment, with intervals");
}

/// A share's change also in points, which is how people speak of it.
std::string lift_of(const Metric& metric, const Estimate& e) {
  std::string out = or_dash(e.lift, percent_of);
  if (metric.kind != MetricKind::kMean && metric.kind != MetricKind::kRatio && e.diff) {
    out += fmt::format("<br><span class=\"soft\">{:+.2f} points</span>", 100 * *e.diff);
  }
  return out;
}

std::string table(const Analysis& a) {
  const auto& arms = a.experiment.arms;
  std::string out = fmt::format(
      "<div class=\"wide\" "
      "tabindex=\"0\"><table><thead><tr><th>Metric</th><th>{}</th><th>{}</th><th>Lift</th>"
      "<th>At every look</th><th>p</th><th>At one look</th><th>p</th><th>State</th></tr></thead>"
      "<tbody>\n",
      escaped(arms[0]), escaped(arms[1]));
  for (const MetricResult& result : a.metrics) {
    const Metric& metric = a.experiment.metrics[result.metric];
    std::string state;
    if (result.guardrail) {
      state = fmt::format("guardrail {} {:g} %: {}", metric.higher_is_better ? "−" : "+",
                          100 * metric.margin, stats::name(result.guardrail->verdict));
    } else if (metric.role == Role::kPrimary) {
      state = result.p_decides.value_or(1) < a.experiment.alpha ? "shown" : "not shown";
    } else {
      state = "reported";
    }
    out += fmt::format(
        "<tr><td>{}<br><span class=\"soft\">{}, {} is good</span></td><td>{}<br><span "
        "class=\"soft\">n {}</span></td><td>{}<br><span class=\"soft\">n {}</span></td><td>{}</td>"
        "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        escaped(metric.title), name(metric.role), metric.higher_is_better ? "up" : "down",
        mean_of(metric, result.control.mean), figure(result.control.n),
        mean_of(metric, result.treatment.mean), figure(result.treatment.n),
        lift_of(metric, deciding(a.experiment, result)),
        interval_of(result.sequential.lift_interval), or_dash(result.sequential.p_value, p_of),
        interval_of(result.fixed.lift_interval), or_dash(result.fixed.p_value, p_of), state);
  }
  return out + "</tbody></table></div>\n";
}

std::string list(const std::vector<std::string>& lines) {
  std::string out = "<ul>\n";
  for (const std::string& line : lines) out += "<li>" + escaped(line) + "</li>\n";
  return out + "</ul>\n";
}

std::string running(const Analysis& a) {
  const MetricResult& first = a.metrics[Collection::first_primary(a.experiment)];
  std::vector<BandPoint> points;
  for (const RunningPoint& p : first.running) {
    if (p.lift && p.interval) points.push_back({p.at, *p.lift, *p.interval});
  }
  const std::string& title = a.experiment.metrics[first.metric].title;
  if (points.size() < 2) {
    return "<p class=\"soft\">Drawn for a mean or a proportion once two looks have an "
           "interval.</p>";
  }
  return fmt::format(
      "<div class=\"wide\" tabindex=\"0\">{}</div><p class=\"soft\">Lift of {} with the interval "
      "that holds at "
      "all "
      "looks together: where the band leaves 0, it may be acted upon at once.</p>",
      band_plot(points, "Running lift of " + title), escaped(title));
}

std::string checks(const Analysis& a) {
  const RatioCheck& r = a.ratio;
  std::vector<std::string> lines;
  lines.push_back(fmt::format(
      "Sample ratio: {} and {} learners, {:.2f} % and {:.2f} % planned: {} (p = {} over all looks, "
      "{} at this one; alarm below 0.001).",
      figure(static_cast<double>(r.learners[0])), figure(static_cast<double>(r.learners[1])),
      100 * r.planned[0], 100 * r.planned[1], r.alarm ? "NOT as planned" : "as planned",
      or_dash(r.p_value, p_of), or_dash(r.p_value_fixed, p_of)));
  lines.emplace_back(a.experiment.is_aa
                         ? "This is an A/A experiment: both arms get the same."
                         : "A/A: run the same file with `type: aa` and another salt on the period "
                           "before, to see that equal arms do not differ.");
  return list(lines);
}

std::string impact(const Analysis& a) {
  if (!a.impact || !a.impact->impact || !a.impact->interval) return "";
  const std::string& currency = a.experiment.metrics[a.experiment.impact->metric].what.currency;
  return fmt::format(
      "<h2>What it is worth</h2><p>{0} {3} a year if everyone gets it, {4:g} % interval {1} to {2} "
      "{3}.</p><p class=\"soft\">The difference per learner, scaled from {5:.1f} days to a year at "
      "the same traffic; the interval is for one look. It assumes that these days stand for the "
      "year.</p>",
      figure(*a.impact->impact), figure(a.impact->interval->low), figure(a.impact->interval->high),
      escaped(currency), 100 * (1 - a.experiment.alpha), a.days);
}

}  // namespace

std::string to_html(const Analysis& a) {
  const Experiment& e = a.experiment;
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<title>{0}: {1}</title><style>{2}</style></head><body><main>\n"
      "<h1>{0}</h1>\n",
      escaped(e.name), heading(a.decision), kStyle);
  if (!e.question.empty()) out += "<p>" + escaped(e.question) + "</p>\n";
  out += fmt::format(
      "<p class=\"soft\">{} learners, {} to {}, {:.1f} days; decided {} at {:g} %.</p>\n",
      figure(static_cast<double>(a.ratio.learners[0] + a.ratio.learners[1])), minute_of(e.start),
      minute_of(a.as_of), a.days,
      e.sequential ? "sequentially: every look counts" : "at the end, once", 100 * e.alpha);
  out += fmt::format("<div class=\"verdict {}\"><b>{}</b>{}</div>\n", tone(a.decision),
                     heading(a.decision), escaped(a.verdict));
  out += "<h2>What to do next</h2>\n" + list(a.next);
  if (a.decision != Decision::kNoData) {
    out += "<h2>Lift by metric and segment</h2>\n<div class=\"wide\" tabindex=\"0\">" + forest(a) +
           "</div>\n";
    out += fmt::format(
        "<p class=\"soft\">Thick: {} together; thin: {}. ▲ shown better, ▼ shown worse, ○ neither. "
        "An arrow: the interval goes on.</p>\n",
        e.sequential ? "interval for every look" : "interval for one look",
        e.sequential ? "for one look at the end" : "for every look together");
    out += "<h2>The interval over time</h2>\n" + running(a);
    out += impact(a);
    out += "<h2>All metrics</h2>\n" + table(a);
    out += "<h2>Can it be trusted?</h2>\n" + checks(a);
    if (!a.adjusted.empty()) out += "<h2>Adjusted for</h2>\n" + list(a.adjusted);
  }
  if (!a.notes.empty()) out += "<h2>Notes</h2>\n" + list(a.notes);
  out += fmt::format(
      "<p class=\"soft\">As of {}, from {} events. Made by <code>covey experiment analyze</code>; "
      "methods in docs/statistics.md.</p>\n</main></body></html>\n",
      minute_of(a.as_of), figure(static_cast<double>(a.events)));
  return out;
}

}  // namespace covey::experiment

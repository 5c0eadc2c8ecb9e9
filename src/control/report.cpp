#include "control/report.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "base/time.h"
#include "config/units.h"
#include "haproxy/runtime.h"
#include "rollout/json.h"

namespace covey::control {
namespace {

using rollout::ReportKind;
using rollout::Status;
using telemetry::Duration;

std::string percent(const std::optional<double>& fraction, int digits = 3) {
  return fraction ? fmt::format("{:.{}f} %", *fraction * 100, digits) : "not measured";
}
std::string milliseconds(const std::optional<double>& s) {
  return s ? fmt::format("{:.3g} ms", *s * 1e3) : "not measured";
}
/// "2025-11-01 14:00:05 UTC".
std::string at_text(Time at) {
  std::string out = format_time(std::chrono::floor<std::chrono::seconds>(at));
  out[10] = ' ';
  return out.substr(0, 19) + " UTC";
}
std::string at_text(const Json& decision) {
  std::string out = decision.value("at", "");
  if (out.size() > 19) out = out.substr(0, 19);
  if (out.size() > 10) out[10] = ' ';
  return out;
}

/// Narrowed to whole seconds within what has been measured: the query beside the figures then
/// answers with the same ones.
std::pair<Time, Time> measured_within(const Books& books, Time from, Time to) {
  const Time last = books.history.last().value_or(to);
  return {std::chrono::ceil<std::chrono::seconds>(from),
          std::chrono::floor<std::chrono::seconds>(std::min(to, last))};
}

Section figures_section(const Books& books, Time begin, Time end, std::string heading) {
  Section out{std::move(heading), {}};
  const auto [from, to] = measured_within(books, begin, end);
  const auto window = to > from ? figures(books, from, to) : std::nullopt;
  if (!window) {
    out.blocks.emplace_back("No telemetry of this time is kept.");
    return out;
  }
  const Figures &b = window->baseline, &c = window->candidate;
  Table table{{"figure", "candidate", "baseline"}, {}};
  const auto row = [&](std::string_view name, std::string candidate, std::string baseline) {
    table.rows.push_back({std::string(name), std::move(candidate), std::move(baseline)});
  };
  row("requests", grouped(c.requests), grouped(b.requests));
  row("requests a second", fmt::format("{:.1f}", c.per_second),
      fmt::format("{:.1f}", b.per_second));
  row("error rate", percent(c.error_rate), percent(b.error_rate));
  row("availability", percent(c.availability, 4), percent(b.availability, 4));
  row("P50", milliseconds(c.latency[0]), milliseconds(b.latency[0]));
  row("P95", milliseconds(c.latency[1]), milliseconds(b.latency[1]));
  row("P99", milliseconds(c.latency[2]), milliseconds(b.latency[2]));
  row("P99.9", milliseconds(c.latency[3]), milliseconds(b.latency[3]));
  row("cache hits", percent(c.cache_hits, 1), percent(b.cache_hits, 1));
  row("CPU", percent(c.cpu, 1), percent(b.cpu, 1));
  row("memory", percent(c.memory, 1), percent(b.memory, 1));
  row("network", percent(c.network, 1), percent(b.network, 1));
  const auto per_minute = [](const std::optional<double>& v) {
    return v ? fmt::format("{:.2f}", *v) : std::string("-");
  };
  row(fmt::format("revenue a minute, {}", books.plan.currency), per_minute(c.revenue_per_minute),
      per_minute(b.revenue_per_minute));
  row("practice events a minute", per_minute(c.practice_per_minute),
      per_minute(b.practice_per_minute));
  out.blocks.emplace_back(std::move(table));
  const Duration whole = to - from;
  out.blocks.emplace_back(fmt::format(
      "Window {} to {}; telemetry missing for {} of it. Source: GET {}", at_text(from), at_text(to),
      config::format_duration(std::chrono::duration_cast<std::chrono::seconds>(window->missing)),
      figures_query(from, to)));
  if (whole.count() > 0 && !window->segments.empty()) {
    Table segments{{"segment", "arm", "requests", "error rate", "availability"}, {}};
    for (const Figures& f : window->segments) {
      segments.rows.push_back({books.history.shape().segments[*f.segment],
                               f.arm == telemetry::Arm::kCandidate ? "candidate" : "baseline",
                               grouped(f.requests), percent(f.error_rate),
                               percent(f.availability, 4)});
    }
    out.blocks.emplace_back(std::move(segments));
  }
  return out;
}

/// Latency and errors of both arms over time, one dot a part of the window.
Chart latency_chart(const Books& books, Time from, Time to) {
  constexpr std::size_t kParts = 60;
  constexpr double kWidth = 720, kHeight = 180, kLeft = 64, kBottom = 150, kTop = 14;
  struct Dot {
    double x, candidate, baseline;
  };
  std::vector<Dot> dots;
  double most = 0;
  const std::size_t parts = static_cast<std::size_t>(std::clamp<std::int64_t>(
      (to - from) / books.history.slot(), 1, static_cast<std::int64_t>(kParts)));
  const Duration step = (to - from) / static_cast<std::int64_t>(parts);
  for (std::size_t i = 0; i < parts; ++i) {
    const Time begin = from + step * static_cast<std::int64_t>(i);
    const auto p99 = [&](telemetry::Arm arm) {
      const auto q = books.latencies.between(begin, begin + step, arm).quantile(0.99);
      return q ? std::chrono::duration<double, std::milli>(*q).count() : std::nan("");
    };
    Dot dot{
        kLeft + (kWidth - kLeft - 10) * (static_cast<double>(i) + 0.5) / static_cast<double>(parts),
        p99(telemetry::Arm::kCandidate), p99(telemetry::Arm::kBaseline)};
    for (const double v : {dot.candidate, dot.baseline}) {
      if (!std::isnan(v)) most = std::max(most, v);
    }
    dots.push_back(dot);
  }
  if (most == 0) return {{}, "No latency of this time is kept."};
  const auto y = [&](double v) { return kBottom - (kBottom - kTop) * v / most; };
  std::string lines[2];
  for (const Dot& dot : dots) {
    const double values[] = {dot.candidate, dot.baseline};
    for (int i = 0; i < 2; ++i) {
      if (std::isnan(values[i])) continue;
      // A square for the candidate, a ring for the baseline: colour is not the only sign.
      lines[i] += i == 0 ? fmt::format(
                               "<rect x='{:.1f}' y='{:.1f}' width='5' height='5' "
                               "class='candidate'/>",
                               dot.x - 2.5, y(values[i]) - 2.5)
                         : fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='2.5' class='baseline'/>",
                                       dot.x, y(values[i]));
    }
  }
  std::string svg = fmt::format(
      "<svg viewBox='0 0 {} {}' role='img'><line x1='{}' y1='{}' x2='{}' y2='{}' class='axis'/>",
      kWidth, kHeight, kLeft, kBottom, kWidth - 10, kBottom);
  for (const double part : {0.0, 0.5, 1.0}) {
    svg += fmt::format("<text x='{}' y='{:.1f}' text-anchor='end'>{:.3g} ms</text>", kLeft - 6,
                       y(most * part) + 4, most * part);
  }
  svg += fmt::format("<text x='{}' y='{}'>{}</text><text x='{}' y='{}' text-anchor='end'>{}</text>",
                     kLeft, kBottom + 16, at_text(from), kWidth - 10, kBottom + 16, at_text(to));
  svg += lines[1] + lines[0] + "</svg>";
  return {std::move(svg),
          fmt::format("P99 over time: squares the candidate, rings the baseline; the highest is "
                      "{:.3g} ms.",
                      most)};
}

template <typename Evidence>
Table evidence_table(const std::vector<Evidence>& evidence) {
  Table out{{"criterion", "verdict", "evidence"}, {}};
  for (const rollout::Evidence& e : evidence) {
    out.rows.push_back({e.criterion, std::string(stats::name(e.verdict)), e.text});
  }
  return out;
}

Section decisions_section(const Books& books, const std::function<bool(const Json&)>& wanted) {
  Section out{"Decisions", {}};
  Table table{{"time (UTC)", "phase", "decision", "share", "cause"}, {}};
  for (const Json& d : books.decisions) {
    if (!wanted(d)) continue;
    table.rows.push_back(
        {at_text(d), d.value("phase", ""), d.value("decision", ""),
         plan::share_text(static_cast<plan::BasisPoints>(std::lround(d.value("share", 0.0) * 1e4))),
         d.value("cause", "")});
  }
  if (table.rows.empty()) {
    out.blocks.emplace_back("None.");
  } else {
    out.blocks.emplace_back(std::move(table));
  }
  out.blocks.emplace_back("Source: GET /v1/rollout/journal");
  return out;
}

Section incidents_section(const Books& books, Time since) {
  Section out{"Incidents", {}};
  Table table{{"#", "severity", "opened (UTC)", "what", "acknowledged", "resolved"}, {}};
  for (const rollout::Incident& i : books.state.incidents) {
    if (!i.open() && *i.resolved < since) continue;
    table.rows.push_back(
        {std::to_string(i.id), std::string(plan::name(i.severity)), at_text(i.opened), i.title,
         i.acknowledged ? i.acknowledged_by + ", " + at_text(*i.acknowledged) : "no",
         i.resolved ? i.resolved_by + ", " + at_text(*i.resolved) : "open"});
  }
  if (table.rows.empty()) {
    out.blocks.emplace_back("None open, none resolved meanwhile.");
  } else {
    out.blocks.emplace_back(std::move(table));
  }
  out.blocks.emplace_back("Source: GET /v1/rollout (incidents)");
  return out;
}

/// Gates that people decide, and on which report each did.
void add_gates(const Books& books, Report& out) {
  Table table{{"gate", "due (UTC)", "role", "decided", "report", "passed"}, {}};
  for (const rollout::GateView& view : rollout::people_gates(books.plan, books.state)) {
    const auto known = books.state.gates.find(view.gate->name);
    const rollout::GateState at =
        known == books.state.gates.end() ? rollout::GateState{} : known->second;
    const std::string passed = at.passed ? at_text(*at.passed) : "no";
    for (const std::string& role : view.gate->approvals) {
      const auto by = at.approvals.find(role);
      const auto no = at.no_go.find(role);
      table.rows.push_back({view.gate->name, at_text(view.at()), role,
                            by != at.approvals.end()    ? "GO, " + by->second.person
                            : no != at.no_go.end()      ? "NO-GO: " + no->second
                            : !at.overridden_by.empty() ? "overridden by " + at.overridden_by
                                                        : "waits",
                            by != at.approvals.end() ? by->second.report : "", passed});
    }
  }
  if (table.rows.empty()) return;
  out.sections.push_back(
      {"Gates that people decide", {std::move(table), "Source: GET /v1/rollout (gates)"}});
}

/// What experiments say, and whether a gate may rest on it.
void add_impacts(const Books& books, Report& out) {
  Table table{{"measure", "change", "from", "as of (UTC)", "counts"}, {}};
  for (const auto& [measure, known] : books.state.impacts) {
    const rollout::SetImpact& told = known.told;
    const std::string fault = rollout::impact_fault(
        books.plan, books.state, rollout::watched_phase(books.state).value_or(books.state.at),
        told.measure);
    table.rows.push_back(
        {std::string(plan::name(told.measure)),
         fmt::format("{:+.1f}% ({:+.1f}% to {:+.1f}%)", 100 * told.estimate,
                     100 * told.interval.low, 100 * told.interval.high),
         told.person.empty() ? told.source : told.source + ", told by " + told.person,
         at_text(told.as_of), fault.empty() ? "yes" : "no: " + fault});
  }
  if (table.rows.empty()) return;
  out.sections.push_back(
      {"What experiments say", {std::move(table), "Source: GET /v1/rollout (impacts)"}});
}

Section origin_section(const Books& books) {
  return {"Where this comes from",
          {fmt::format("Written at {} from the balancer's line per request and the controller's "
                       "journal of {} records, whose chain ends in {}.",
                       at_text(books.now), grouped(books.records), books.head)}};
}

std::optional<std::size_t> phase_of(const Books& books, const std::string& name) {
  for (std::size_t i = 0; i < books.state.phases.size(); ++i) {
    if (rollout::phase_view(books.plan, i).name() == name) return i;
  }
  return std::nullopt;
}

std::string file_name(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    out += plain ? c : '-';
  }
  return out.substr(0, 80);
}

/// Checkpoint, stage completion, briefing.
void phase_report(const Books& books, const std::string& subject, ReportKind kind, Report& out) {
  // A checkpoint's subject is its phase and which of it: names have no spaces.
  const std::string name = subject.substr(0, subject.find(' '));
  const auto index = phase_of(books, name);
  if (!index) return;
  const rollout::Progress& progress = books.state.phases[*index];
  const std::string share = plan::share_text(rollout::wanted_share(books.plan, books.state));
  constexpr const char* kTitles[] = {"Checkpoint of", "Completion of", "", "Briefing on"};
  out.title = fmt::format("{} {}", kTitles[static_cast<std::size_t>(kind)], subject);
  std::size_t failed = 0, undecided = 0;
  for (const auto& e : progress.evidence) {
    failed += e.verdict == stats::Verdict::kFail;
    undecided += e.verdict == stats::Verdict::kUndecided;
  }
  constexpr const char* kStanding[] = {"waits", "is under way", "has passed", "has failed",
                                       "was rolled back"};
  out.verdict = fmt::format("{} {}, {} on the candidate: {} criteria, {} failing, {} undecided.",
                            name, kStanding[static_cast<std::size_t>(progress.status)], share,
                            progress.evidence.size(), failed, undecided);
  if (books.state.rolled_back) {
    out.verdict += fmt::format(" Rolled back at {}: {}.", at_text(books.state.rolled_back->since),
                               books.state.rolled_back->cause);
  }
  if (!progress.evidence.empty()) {
    out.sections.push_back({"Criteria", {evidence_table(progress.evidence)}});
  }
  if (progress.began) {
    const Time to = std::min(books.now, progress.decided.value_or(books.now));
    out.sections.push_back(figures_section(books, *progress.began, to, "Measured"));
    if (Chart chart = latency_chart(books, *progress.began, to); !chart.svg.empty()) {
      out.sections.back().blocks.emplace_back(std::move(chart));
    }
  }
  add_impacts(books, out);
  out.sections.push_back(
      decisions_section(books, [&](const Json& d) { return d.value("phase", "") == name; }));
  out.sections.push_back(incidents_section(books, progress.began.value_or(progress.start)));
}

void incident_report(const Books& books, const std::string& subject, Report& out) {
  std::uint64_t id = 0;
  std::from_chars(subject.data(), subject.data() + subject.size(), id);
  const auto at = std::ranges::find(books.state.incidents, id, &rollout::Incident::id);
  out.title = fmt::format("Incident #{}", subject);
  if (at == books.state.incidents.end()) {
    out.verdict = "It is no longer kept; the journal has it.";
    return;
  }
  out.title += ": " + at->title;
  out.verdict =
      fmt::format("{}, opened {} in {} by {}; {}.", plan::name(at->severity), at_text(at->opened),
                  at->phase.empty() ? "no phase" : at->phase, at->source,
                  at->resolved       ? "resolved by " + at->resolved_by
                  : at->acknowledged ? "acknowledged by " + at->acknowledged_by
                                     : "nobody has acknowledged it yet");
  if (!at->evidence.empty()) out.sections.push_back({"Evidence", {evidence_table(at->evidence)}});
  const Time from = at->opened - 5 * books.plan.window;
  out.sections.push_back(figures_section(books, from, books.now, "Around it"));
  if (Chart chart = latency_chart(books, from, books.now); !chart.svg.empty()) {
    out.sections.back().blocks.emplace_back(std::move(chart));
  }
  const std::string since = format_time(from);
  out.sections.push_back(
      decisions_section(books, [&](const Json& d) { return d.value("at", "") >= since; }));
}

void hand_over(const Books& books, const std::string& subject, Report& out) {
  out.title = "Hand-over: " + subject;
  const plan::Shift* shift = books.plan.roster.on_duty(books.now);
  out.verdict = shift != nullptr ? fmt::format("{} is on duty now: {}.", shift->name,
                                               fmt::join(shift->people, ", then "))
                                 : "Nobody is on duty.";
  const Time from = books.now - std::chrono::hours(8);
  out.sections.push_back(incidents_section(books, from));
  out.sections.push_back(figures_section(books, from, books.now, "The last eight hours"));
  const std::string since = format_time(from);
  out.sections.push_back(
      decisions_section(books, [&](const Json& d) { return d.value("at", "") >= since; }));
}

void work_report(const Books& books, const std::string& subject, Report& out) {
  for (const plan::Work& work : books.plan.work) {
    if (work.name != subject) continue;
    out.title = work.title;
    Table table{{"task", "until", "done"}, {}};
    std::size_t done = 0;
    const auto row = [&](const std::string& name, Time end) {
      const auto by = books.state.work_done.find(name);
      const bool is_done = by != books.state.work_done.end();
      done += is_done;
      table.rows.push_back({name, at_text(end), is_done ? "yes, says " + by->second : "no"});
    };
    if (work.tasks.empty()) row(work.name, work.start + work.length);
    for (const plan::Task& task : work.tasks) row(task.name, task.start + task.length);
    out.verdict = fmt::format("{} of {} done.", done, table.rows.size());
    out.sections.push_back({"Tasks", {std::move(table)}});
  }
  if (out.title.empty()) out.title = subject;
}

void executive(const Books& books, Report& out) {
  out.title = "Summary of " + books.plan.title;
  Table table{{"phase", "outcome", "share", "began", "decided"}, {}};
  std::size_t passed = 0;
  for (std::size_t i = 0; i < books.state.phases.size(); ++i) {
    const rollout::Progress& p = books.state.phases[i];
    passed += p.status == Status::kPassed;
    table.rows.push_back({rollout::phase_view(books.plan, i).name(),
                          std::string(rollout::name(p.status)),
                          plan::share_text(rollout::phase_share(books.plan, i)),
                          p.began ? at_text(*p.began) : "", p.decided ? at_text(*p.decided) : ""});
  }
  out.verdict = fmt::format("{} of {} phases passed; {} of learners are on the candidate.", passed,
                            books.state.phases.size(),
                            plan::share_text(rollout::wanted_share(books.plan, books.state)));
  out.sections.push_back({"Phases", {std::move(table)}});
  for (std::size_t i = 0; i < books.state.phases.size(); ++i) {
    const rollout::Progress& p = books.state.phases[i];
    if (!p.began) continue;
    const std::string& name = rollout::phase_view(books.plan, i).name();
    out.sections.push_back(
        figures_section(books, *p.began, p.decided.value_or(books.now), "Measured in " + name));
    if (!p.evidence.empty())
      out.sections.back().blocks.insert(out.sections.back().blocks.begin(),
                                        evidence_table(p.evidence));
  }
  add_impacts(books, out);
  add_gates(books, out);
  out.sections.push_back(incidents_section(books, Time{}));
  out.sections.push_back(decisions_section(books, [](const Json&) { return true; }));
}

std::string markdown_cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '\\' || c == '<' || c == '`' || c == '*' || c == '_') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

struct Markdown {
  std::string operator()(const std::string& paragraph) const {
    return markdown_cell(paragraph) + "\n\n";
  }
  std::string operator()(const Table& table) const {
    std::string out = "|";
    for (const auto& cell : table.head) out += " " + markdown_cell(cell) + " |";
    out += "\n|";
    for (std::size_t i = 0; i < table.head.size(); ++i) out += "---|";
    out += "\n";
    for (const auto& row : table.rows) {
      out += "|";
      for (const auto& cell : row) out += " " + markdown_cell(cell) + " |";
      out += "\n";
    }
    return out + "\n";
  }
  std::string operator()(const Chart& chart) const { return markdown_cell(chart.alt) + "\n\n"; }
};

struct Html {
  std::string operator()(const std::string& paragraph) const {
    return "<p>" + escaped(paragraph) + "</p>\n";
  }
  std::string operator()(const Table& table) const {
    std::string out = "<div class=\"wide\" tabindex=\"0\"><table><thead><tr>";
    for (const auto& cell : table.head) out += "<th>" + escaped(cell) + "</th>";
    out += "</tr></thead><tbody>\n";
    for (const auto& row : table.rows) {
      out += "<tr>";
      for (const auto& cell : row) {
        const bool word = cell == "pass" || cell == "fail" || cell == "undecided";
        out += (word ? "<td class=\"" + cell + "\">" : "<td>") + escaped(cell) + "</td>";
      }
      out += "</tr>\n";
    }
    return out + "</tbody></table></div>\n";
  }
  std::string operator()(const Chart& chart) const {
    return "<figure>" + chart.svg + "<figcaption>" + escaped(chart.alt) +
           "</figcaption></figure>\n";
  }
};

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.1rem;margin-top:2rem}
.verdict{font-size:1.1rem;border-left:4px solid;padding-left:.75rem}
body{overflow-wrap:anywhere}td,th{overflow-wrap:normal}.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8884}
td{vertical-align:top}
.pass::before{content:"\2713 "}.fail::before{content:"\2717 "}.undecided::before{content:"? "}
.fail{font-weight:bold}
figure{margin:1rem 0}svg{width:100%;height:auto;font-size:11px;fill:currentColor}
.axis{stroke:currentColor}.candidate{fill:#c2410c}
.baseline{fill:none;stroke:#2563eb;stroke-width:1.5}
@media (prefers-color-scheme:dark){.candidate{fill:#fb923c}.baseline{stroke:#93c5fd}}
@media print{body{margin:0;max-width:none;font-size:11pt}}
)";

}  // namespace

Report make_report(const Books& books, const rollout::WriteReport& what) {
  Report out;
  out.name = file_name(fmt::format("{}-{}", rollout::name(what.kind), what.subject));
  switch (what.kind) {
    case ReportKind::kCheckpoint:
    case ReportKind::kStage:
    case ReportKind::kBriefing:
      phase_report(books, what.subject, what.kind, out);
      break;
    case ReportKind::kIncident:
      incident_report(books, what.subject, out);
      break;
    case ReportKind::kHandOver:
      hand_over(books, what.subject, out);
      break;
    case ReportKind::kWork:
      work_report(books, what.subject, out);
      break;
    case ReportKind::kExecutive:
      executive(books, out);
      break;
  }
  out.sections.push_back(origin_section(books));
  return out;
}

std::string to_markdown(const Report& report) {
  std::string out =
      "# " + markdown_cell(report.title) + "\n\n**" + markdown_cell(report.verdict) + "**\n\n";
  for (const Section& section : report.sections) {
    out += "## " + markdown_cell(section.heading) + "\n\n";
    for (const Block& block : section.blocks) out += std::visit(Markdown{}, block);
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

std::string to_html(const Report& report) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; base-uri 'none'; form-action "
      "'none'\"><title>{}</title><style>{}</style></head><body>\n"
      "<h1>{}</h1>\n<p class=\"verdict\">{}</p>\n",
      escaped(report.title), kStyle, escaped(report.title), escaped(report.verdict));
  for (const Section& section : report.sections) {
    out += "<h2>" + escaped(section.heading) + "</h2>\n";
    for (const Block& block : section.blocks) out += std::visit(Html{}, block);
  }
  return out + "</body></html>\n";
}

Result<void> write_report(const std::string& folder, std::uint64_t number, const Report& report) {
  const std::string path = fmt::format("{}/{:06}-{}", folder, number, report.name);
  COVEY_TRY_VOID(haproxy::write_atomically(path + ".md", to_markdown(report)));
  return haproxy::write_atomically(path + ".html", to_html(report));
}

}  // namespace covey::control

#include "scale/report.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "load/report.h"

namespace covey::scale {
namespace {

using Json = nlohmann::ordered_json;
using load::Axis;
using load::Kind;
using load::Line;
using load::Scale;

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string learners_of(std::uint64_t n) {
  if (n >= 1'000'000) return fmt::format("{:g} M", static_cast<double>(n) / 1e6);
  if (n >= 1'000) return fmt::format("{:g} K", static_cast<double>(n) / 1e3);
  return std::to_string(n);
}

Json kinds_of(const load::Settings& settings, const load::Totals& totals) {
  Json out = Json::object();
  for (std::size_t k = 0; k < load::kKinds; ++k) {
    const auto kind = static_cast<Kind>(k);
    const load::Lane& lane = settings.lane(kind);
    if (!lane.used()) continue;
    Json one = {
        {"loop", lane.one_after_another ? "closed" : "open"},
        {"asked_per_second", lane.one_after_another ? Json(nullptr) : Json(lane.per_second)},
        {"connections", lane.connections},
        {"pipeline", lane.pipeline}};
    one.update(load::to_json(totals.of(kind)));
    out[std::string(load::name(kind))] = std::move(one);
  }
  return out;
}

Json samples_of(const std::vector<Sample>& samples) {
  Json out = Json::array();
  for (const Sample& s : samples) {
    out.push_back({{"second", s.second}, {"cores", s.cores}, {"resident_bytes", s.resident}});
  }
  return out;
}

Json ledger_of(const Ledger& l) {
  return {{"batches_acknowledged", l.batches}, {"events_acknowledged", l.events},
          {"events_known", l.known},           {"events_lost", l.lost},
          {"events_not_asked_for", l.unasked}, {"batches_in_doubt", l.in_doubt},
          {"batches_torn", l.in_doubt_torn}};
}

Json size_json(const SizeResult& s) {
  Json out = {{"learners", s.learners},
              {"events_per_learner", s.events_per_learner},
              {"ceiling_bytes", s.ceiling_bytes},
              {"events", or_null(s.events)},
              {"import_s", s.import_s},
              {"import_cpu_s", s.import_cpu_s},
              {"disk_bytes", s.disk_bytes},
              {"first_ready_s", or_null(s.first_ready_s)},
              {"discovery_s", s.discovery_s},
              {"discovery_cpu_s", or_null(s.discovery_cpu_s)},
              {"resident_bytes", or_null(s.resident)},
              {"peak_resident_bytes", or_null(s.peak_resident)},
              {"seconds", s.seconds},
              {"failures", s.failures}};
  if (s.recovery) {
    out["recovery"] = {{"killed_after_s", s.recovery->killed_after_s},
                       {"ready_s", s.recovery->ready_s},
                       {"learners_checked", s.recovery->learners_checked},
                       {"learners_off", s.recovery->learners_off},
                       {"ledger", ledger_of(s.recovery->ledger)}};
  }
  if (s.serving) {
    out["serving"] = {{"server_cores", s.serving->cores},
                      {"kinds", kinds_of(s.serving->settings, s.serving->totals)},
                      {"samples", samples_of(s.serving->samples)}};
    Json own = Json::array();
    for (const auto& limit : load::own_limits(s.serving->settings, s.serving->totals)) {
      own.push_back(limit.detail);
    }
    out["serving"]["generator_limits"] = std::move(own);
  }
  if (s.overload) {
    out["overload"] = {{"sustained_events_per_s", s.overload->sustained_per_s},
                       {"asked_events_per_s", s.overload->asked_per_s},
                       {"kinds", kinds_of(s.overload->settings, s.overload->totals)},
                       {"ledger", ledger_of(s.overload->ledger)},
                       {"after", kinds_of(s.overload->after_settings, s.overload->after)},
                       {"back_after_s", or_null(s.overload->back_after_s)},
                       {"samples", samples_of(s.overload->samples)}};
  }
  return out;
}

struct Tallied {
  std::size_t held = 0, missed = 0, not_measured = 0, out_of_reach = 0;
};

Tallied tally(const std::vector<Criterion>& criteria) {
  Tallied t;
  for (const Criterion& c : criteria) {
    switch (c.state) {
      case State::kHeld:
        ++t.held;
        break;
      case State::kMissed:
        ++t.missed;
        break;
      case State::kNotMeasured:
        ++t.not_measured;
        break;
      case State::kOutOfReach:
        ++t.out_of_reach;
    }
  }
  return t;
}

std::string verdict(const std::vector<Criterion>& criteria) {
  const Tallied t = tally(criteria);
  return fmt::format(
      "{}: {} criteria held, {} missed, {} not measured; {} cannot be measured on "
      "one machine",
      passed(criteria) ? "Passed" : "NOT passed", t.held, t.missed, t.not_measured, t.out_of_reach);
}

std::string machine_of(const Measured& m) {
  return fmt::format(
      "{}, {} cores, {:.1f} GiB, {}; load average {:.2f} when it began; covey {}; {}",
      m.machine.cpu, m.machine.cores, static_cast<double>(m.machine.memory_bytes) / (1 << 30),
      m.machine.kernel, m.machine.load_average, m.version, m.made);
}

struct Row {
  std::string name;
  std::vector<std::string> cells;
};

std::string figure(double v) {
  return v >= 1'000 ? grouped(static_cast<std::uint64_t>(v + 0.5)) : fmt::format("{:.3g}", v);
}

/// Look-ups or events a second.
double rate_of(const load::Totals& totals, Kind kind) {
  const load::Tally& tally = totals.of(kind);
  return load::per_second(kind == Kind::kIngest ? tally.events : tally.ok(), tally, totals);
}

/// The table of what was measured, a column a size.
std::vector<Row> rows(const Measured& m) {
  std::vector<Row> out;
  const auto add = [&](std::string name, auto of) {
    Row row{std::move(name), {}};
    for (const SizeResult& s : m.sizes) row.cells.push_back(of(s));
    out.push_back(std::move(row));
  };
  using S = const SizeResult&;
  const std::string none = "–";
  add("events stored", [&](S s) { return s.events ? grouped(*s.events) : none; });
  add("loading, s", [&](S s) { return s.events ? figure(s.import_s) : none; });
  add("loading, CPU s", [&](S s) { return s.events ? figure(s.import_cpu_s) : none; });
  add("store on disk, MiB",
      [&](S s) { return s.events ? figure(static_cast<double>(s.disk_bytes) / (1 << 20)) : none; });
  add("ready after a start, s",
      [&](S s) { return s.first_ready_s ? figure(*s.first_ready_s) : none; });
  add("re-discovery alone, s", [&](S s) {
    if (s.discovery_s.empty()) return none;
    std::vector<double> sorted = s.discovery_s;
    std::ranges::sort(sorted);
    return figure(sorted[sorted.size() / 2]);
  });
  add("re-discovery, CPU s",
      [&](S s) { return s.discovery_cpu_s ? figure(*s.discovery_cpu_s) : none; });
  add("resident, MiB", [&](S s) {
    return s.resident ? figure(static_cast<double>(*s.resident) / (1 << 20)) : none;
  });
  add("resident, B a learner", [&](S s) {
    return s.resident ? figure(static_cast<double>(*s.resident) / static_cast<double>(s.learners))
                      : none;
  });
  add("highest resident, MiB", [&](S s) {
    return s.peak_resident ? figure(static_cast<double>(*s.peak_resident) / (1 << 20)) : none;
  });
  for (const auto& [label, q] : {std::pair{"P50", .5}, {"P99", .99}, {"P99.9", .999}}) {
    add(fmt::format("look-up while serving, {} ms", label), [&, q = q](S s) {
      return s.serving ? figure(load::ms(s.serving->totals.of(Kind::kLookUp).latency, q)) : none;
    });
  }
  add("look-ups a second",
      [&](S s) { return s.serving ? figure(rate_of(s.serving->totals, Kind::kLookUp)) : none; });
  add("events a second while serving",
      [&](S s) { return s.serving ? figure(rate_of(s.serving->totals, Kind::kIngest)) : none; });
  add("batch while serving, P99 ms", [&](S s) {
    return s.serving ? figure(load::ms(s.serving->totals.of(Kind::kIngest).latency, .99)) : none;
  });
  add("re-discovery while serving, P50 s", [&](S s) {
    return s.serving ? figure(load::ms(s.serving->totals.of(Kind::kDiscover).latency, .5) / 1e3)
                     : none;
  });
  add("server while serving, cores",
      [&](S s) { return s.serving ? figure(s.serving->cores) : none; });
  add("ready after kill -9, s",
      [&](S s) { return s.recovery ? figure(s.recovery->ready_s) : none; });
  add("events taken at most, a second",
      [&](S s) { return s.overload ? figure(s.overload->sustained_per_s) : none; });
  add("look-up in overload, P99 ms", [&](S s) {
    return s.overload ? figure(load::ms(s.overload->totals.of(Kind::kLookUp).latency, .99)) : none;
  });
  return out;
}

void append(std::vector<Line>& to, std::vector<Line> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

std::string size_of(const Criterion& c) {
  return c.learners ? learners_of(*c.learners) : "all";
}

std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != text.npos; at += 2) text.insert(at, "\\");
  return text;
}

std::string failures(const Measured& m) {
  std::string out;
  for (const SizeResult& s : m.sizes) {
    for (const std::string& failure : s.failures) {
      out += fmt::format("- {} learners: {}\n", learners_of(s.learners), failure);
    }
  }
  return out;
}

}  // namespace

Json to_json(const Measured& m, const std::vector<Criterion>& criteria) {
  const Tallied t = tally(criteria);
  Json out = {{"version", m.version},
              {"made", m.made},
              {"machine",
               {{"cpu", m.machine.cpu},
                {"cores", m.machine.cores},
                {"memory_bytes", m.machine.memory_bytes},
                {"kernel", m.machine.kernel},
                {"load_average", m.machine.load_average}}},
              {"passed", passed(criteria)},
              {"held", t.held},
              {"missed", t.missed},
              {"not_measured", t.not_measured},
              {"out_of_reach", t.out_of_reach}};
  Json& list = out["criteria"];
  list = Json::array();
  for (const Criterion& c : criteria) {
    list.push_back({{"learners", or_null(c.learners)},
                    {"id", c.id},
                    {"what", c.what},
                    {"limit", c.limit},
                    {"measured", c.measured},
                    {"how", c.how},
                    {"state", name(c.state)}});
  }
  Json& sizes = out["sizes"];
  sizes = Json::array();
  for (const SizeResult& s : m.sizes) sizes.push_back(size_json(s));
  return out;
}

std::string to_markdown(const Measured& m, const std::vector<Criterion>& criteria,
                        const std::vector<std::string>& files) {
  std::string out = fmt::format("# Scale test\n\n**{}.**\n\n{}\n\n## Criteria\n\n",
                                verdict(criteria), machine_of(m));
  out += "| Learners | Criterion | Limit | Measured | | How |\n|---|---|---|---|---|---|\n";
  for (const Criterion& c : criteria) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} |\n", size_of(c), cell(c.what), cell(c.limit),
                       cell(c.measured),
                       c.state == State::kHeld ? "held" : fmt::format("**{}**", name(c.state)),
                       cell(c.how));
  }
  out += "\n## Figures\n\n|";
  for (const SizeResult& s : m.sizes) out += fmt::format(" | {}", learners_of(s.learners));
  out += " |\n|---|";
  for (std::size_t i = 0; i < m.sizes.size(); ++i) out += "---:|";
  out += "\n";
  for (const Row& row : rows(m)) {
    out += "| " + row.name;
    for (const std::string& value : row.cells) out += " | " + value;
    out += " |\n";
  }
  if (const std::string trouble = failures(m); !trouble.empty()) {
    out += "\n## What could not be measured\n\n" + trouble;
  }
  const auto drawn = plots(m);
  if (!files.empty()) out += "\n## Plots\n";
  for (std::size_t i = 0; i < std::min(files.size(), drawn.size()); ++i) {
    out += fmt::format("\n{}\n\n![{}]({})\n", drawn[i].first, drawn[i].first, files[i]);
  }
  return out +
         "\nEverything ran on one machine: generator, `covey simulate` and server share its "
         "cores, and nothing here tells of distance.\n";
}

std::vector<std::pair<std::string, std::string>> plots(const Measured& m) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto add = [&](std::string title, const std::vector<Line>& lines, const Axis& x,
                       const Axis& y) {
    if (std::string drawn = load::line_plot(lines, x, y, title); !drawn.empty()) {
      out.emplace_back(std::move(title), std::move(drawn));
    }
  };
  std::vector<Line> shares, times, memory, cores;
  Line resident{"resident", {}, 0, true}, highest{"highest, under load", {}, 1, true};
  Line alone{"alone", {}, 0, true}, beside{"while serving", {}, 1, true};
  Line ready{"ready after kill -9", {}, 2, true};
  unsigned colour = 0;
  for (const SizeResult& s : m.sizes) {
    const std::string name = learners_of(s.learners);
    const auto n = static_cast<double>(s.learners);
    if (s.serving) {
      const load::Tally& lookups = s.serving->totals.of(Kind::kLookUp);
      shares.push_back(load::cdf(lookups.latency, name, colour));
      append(times, load::over_time(lookups.series, load::Of::kP99, name, colour));
      Line held{name, {}, colour}, used{name, {}, colour};
      for (const Sample& sample : s.serving->samples) {
        held.points.emplace_back(sample.second, static_cast<double>(sample.resident) / (1 << 20));
        used.points.emplace_back(sample.second, sample.cores);
      }
      memory.push_back(std::move(held));
      cores.push_back(std::move(used));
      const double found = load::ms(s.serving->totals.of(Kind::kDiscover).latency, .5) / 1e3;
      if (found > 0) beside.points.emplace_back(n, found);
    }
    if (s.resident) resident.points.emplace_back(n, static_cast<double>(*s.resident) / (1 << 20));
    if (s.peak_resident) {
      highest.points.emplace_back(n, static_cast<double>(*s.peak_resident) / (1 << 20));
    }
    if (!s.discovery_s.empty()) {
      std::vector<double> sorted = s.discovery_s;
      std::ranges::sort(sorted);
      alone.points.emplace_back(n, sorted[sorted.size() / 2]);
    }
    if (s.recovery) ready.points.emplace_back(n, s.recovery->ready_s);
    ++colour;
  }
  add("Look-ups while serving: share answered within a latency, by learners", shares,
      {"ms", Scale::kLog}, {"share", Scale::kNines});
  add("Look-ups while serving: P99 second by second, by learners", times,
      {"seconds", Scale::kLinear}, {"ms", Scale::kLog});
  add("Resident memory while serving, by learners", memory, {"seconds", Scale::kLinear},
      {"MiB", Scale::kLinear});
  add("Processor of the server while serving, by learners", cores, {"seconds", Scale::kLinear},
      {"cores", Scale::kLinear});
  add("Memory against learners", {resident, highest}, {"learners", Scale::kLinear},
      {"MiB", Scale::kLinear});
  add("Re-discovery and recovery against learners", {alone, beside, ready},
      {"learners", Scale::kLinear}, {"seconds", Scale::kLinear});
  return out;
}

std::string to_html(const Measured& m, const std::vector<Criterion>& criteria) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<title>Scale test</title><style>{}</style></head><body><main>\n<h1>Scale test</h1>\n"
      "<p class=\"soft\">{}</p>\n<div class=\"verdict {}\">{}.</div>\n"
      "<h2>Criteria</h2><div class=\"wide\" tabindex=\"0\"><table><thead><tr><th>Learners</th>"
      "<th>Criterion</th><th>Limit</th><th>Measured</th><th></th></tr></thead><tbody>\n",
      load::page_style(), escaped(machine_of(m)), passed(criteria) ? "good" : "bad",
      escaped(verdict(criteria)));
  for (const Criterion& c : criteria) {
    const std::string_view tone = c.state == State::kHeld         ? "good"
                                  : c.state == State::kOutOfReach ? "soft"
                                                                  : "bad";
    // The word says what the colour says.
    out += fmt::format(
        "<tr><td>{}</td><td class=\"text\">{}<br><span class=\"soft\">{}</span></td><td "
        "class=\"text\">{}</td><td class=\"text\">{}</td><td class=\"{}\">{}</td></tr>\n",
        size_of(c), escaped(c.what), escaped(c.how), escaped(c.limit), escaped(c.measured), tone,
        name(c.state));
  }
  out +=
      "</tbody></table></div>\n<h2>Figures</h2><div class=\"wide\" tabindex=\"0\"><table><thead>"
      "<tr><th></th>";
  for (const SizeResult& s : m.sizes) out += "<th>" + learners_of(s.learners) + "</th>";
  out += "</tr></thead><tbody>\n";
  for (const Row& row : rows(m)) {
    out += "<tr><td>" + escaped(row.name) + "</td>";
    for (const std::string& value : row.cells) out += "<td>" + value + "</td>";
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (std::ranges::any_of(m.sizes, [](const SizeResult& s) { return !s.failures.empty(); })) {
    out += "<h2>What could not be measured</h2><ul>\n";
    for (const SizeResult& s : m.sizes) {
      for (const std::string& failure : s.failures) {
        out += fmt::format("<li>{} learners: {}</li>\n", learners_of(s.learners), escaped(failure));
      }
    }
    out += "</ul>\n";
  }
  for (const auto& [title, drawn] : plots(m)) {
    out += fmt::format("<h2>{}</h2>\n<div class=\"wide\" tabindex=\"0\">{}</div>\n", escaped(title),
                       drawn);
  }
  return out +
         "<p class=\"soft\">Everything ran on one machine: generator, simulation and server "
         "share its cores, and nothing here tells of distance. Made by <code>covey "
         "scale-test</code>; methods in docs/scale-test.md.</p>\n</main></body></html>\n";
}

}  // namespace covey::scale

#include "load/report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace covey::load {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<const char*, double>, 6> kShown = {
    {{"p50", .5}, {"p90", .9}, {"p95", .95}, {"p99", .99}, {"p999", .999}, {"max", 1}}};

Json quantiles(const telemetry::Histogram& h) {
  if (h.count() == 0) return nullptr;
  Json out;
  for (const auto& [label, q] : kShown) out[label] = ms(h, q);
  return out;
}

double overall(std::uint64_t n, std::chrono::duration<double> took) {
  return took.count() > 0 ? static_cast<double>(n) / took.count() : 0;
}

std::vector<Kind> used(const Settings& settings) {
  std::vector<Kind> out;
  for (std::size_t k = 0; k < kKinds; ++k) {
    if (settings.lanes[k].used()) out.push_back(static_cast<Kind>(k));
  }
  return out;
}

Json counts(const Tally& tally) {
  Json out;
  for (std::size_t i = 0; i < kOutcomes; ++i) {
    out[std::string(name(static_cast<Outcome>(i)))] = tally.outcomes[i];
  }
  return out;
}

Json series(const Series& s) {
  Json out = Json::array();
  const double step = static_cast<double>(s.step().count());
  for (std::size_t i = 0; i < s.steps().size(); ++i) {
    const Series::Step& step_i = s.steps()[i];
    Json row = {{"second", static_cast<double>(i) * step},
                {"sent", step_i.sent},
                {"answered", step_i.ok + step_i.failed},
                {"errors", step_i.failed}};
    for (const auto& [label, q] : {std::pair{"p50", .5}, {"p99", .99}, {"max", 1.0}}) {
      row[label] = step_i.latency.count() > 0 ? Json(ms(step_i.latency, q)) : Json(nullptr);
    }
    out.push_back(std::move(row));
  }
  return out;
}

/// What one target did.
Json side(const Settings& settings, const std::string& url, const Totals& totals) {
  const Tally all = totals.all();
  Json out = {{"target", url},
              {"requests", all.sent},
              {"seconds", totals.took.count()},
              {"requests_per_second", overall(all.sent, totals.took)}};
  out.update(counts(all));
  out["latency_ms"] = quantiles(all.latency);
  Json& kinds = out["kinds"];
  for (const Kind kind : used(settings)) {
    const Lane& lane = settings.lane(kind);
    const Tally& tally = totals.of(kind);
    Json one = {
        {"loop", lane.one_after_another ? "closed" : "open"},
        {"asked_per_second",
         lane.one_after_another ? Json(nullptr) : Json(lane.per_second * settings.profile.mean())},
        {"sent_per_second", per_second(tally.sent, tally, totals)},
        {"ok_per_second", per_second(tally.ok(), tally, totals)},
        {"connections", lane.connections},
        {"pipeline", lane.pipeline}};
    if (kind == Kind::kIngest) {
      one["events_acknowledged"] = tally.events;
      one["events_again_under_new_ids"] = tally.events_again;
      one["events_per_second"] = per_second(tally.events, tally, totals);
    }
    one.update(to_json(tally));
    one["series"] = {{"step_s", tally.series.step().count()}, {"steps", series(tally.series)}};
    kinds[std::string(name(kind))] = std::move(one);
  }
  const auto limits = own_limits(settings, totals);
  Json threads = Json::array();
  for (const ThreadUse& use : totals.threads) {
    threads.push_back({{"cpu", use.cpu}, {"busiest_second", use.busiest_second}});
  }
  Json causes = Json::array();
  for (const OwnLimit& limit : limits) {
    causes.push_back({{"cause", limit.cause}, {"detail", limit.detail}});
  }
  out["generator"] = {{"threads", std::move(threads)},
                      {"connections_opened", totals.connects},
                      {"limits", std::move(causes)}};
  out["generator_lag_p99_ms"] = ms(all.lag, 0.99);
  out["generator_was_the_limit"] = !limits.empty();
  return out;
}

Json told(const Comparison& c) {
  Json out = {{"quantile", c.q}, {"pairs_of_blocks", c.pairs}};
  out["a_ms"] = c.a_ms ? Json(*c.a_ms) : Json(nullptr);
  out["b_ms"] = c.b_ms ? Json(*c.b_ms) : Json(nullptr);
  out["ratio"] = c.ratio ? Json(*c.ratio) : Json(nullptr);
  out["interval_95"] =
      c.interval ? Json::array({c.interval->first, c.interval->second}) : Json(nullptr);
  return out;
}

// For people.

std::string number(double v) {
  return v >= 1'000 ? fmt::format("{:.0f}", v) : v == 0 ? "0" : fmt::format("{:.3g}", v);
}

std::string rate_of(double v) {
  return v >= 100 ? grouped(static_cast<std::uint64_t>(std::llround(v))) : number(v);
}

std::string how(const Settings& settings, Kind kind) {
  const Lane& lane = settings.lane(kind);
  const std::string on =
      fmt::format("{} connection{}{}", lane.connections, lane.connections == 1 ? "" : "s",
                  lane.pipeline > 1 ? fmt::format(", {} written ahead", lane.pipeline) : "");
  if (lane.one_after_another) return "one after another on " + on;
  const double factor = settings.profile.mean();
  return fmt::format("{} a second{} on {}", rate_of(lane.per_second * factor),
                     settings.profile.constant() ? "" : " on average", on);
}

std::string errors_of(const Tally& tally) {
  std::string out;
  for (std::size_t i = 1; i < kOutcomes; ++i) {
    if (tally.outcomes[i] == 0) continue;
    std::string label(name(static_cast<Outcome>(i)));
    std::ranges::replace(label, '_', ' ');
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", label, grouped(tally.outcomes[i]));
  }
  return out.empty() ? "none" : out;
}

void table(std::string& out, const Settings& settings, const Totals& totals) {
  out += fmt::format("{:<18} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "", "answered",
                     "a second", "errors", "P50 ms", "P95", "P99", "P99.9", "longest");
  for (const Kind kind : used(settings)) {
    const Tally& t = totals.of(kind);
    const auto row = [&](std::string_view label, const telemetry::Histogram& h) {
      return fmt::format("{:<18} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", label, "",
                         "", "", number(ms(h, .5)), number(ms(h, .95)), number(ms(h, .99)),
                         number(ms(h, .999)), number(ms(h, 1)));
    };
    out += fmt::format("{:<18} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", title(kind),
                       grouped(t.ok()), rate_of(per_second(t.ok(), t, totals)), grouped(t.failed()),
                       number(ms(t.latency, .5)), number(ms(t.latency, .95)),
                       number(ms(t.latency, .99)), number(ms(t.latency, .999)),
                       number(ms(t.latency, 1)));
    if (!settings.lane(kind).one_after_another) out += row("  from the sending", t.service);
    if (t.turned_away.count() > 0) out += row("  429, 503", t.turned_away);
    if (t.failed() > 0 || t.count(Outcome::kBusy) > 0) {
      out += fmt::format("  errors: {}\n", errors_of(t));
    }
    if (kind == Kind::kIngest) {
      out += fmt::format("  {} events acknowledged, {} a second\n", grouped(t.events),
                         rate_of(per_second(t.events, t, totals)));
    }
  }
}

/// Latencies in twelve lines.
void letters(std::string& out, const telemetry::Histogram& h) {
  // Rows as far apart in their logarithm: every latency from a microsecond to an hour fits.
  const double low = std::log10(std::max(0.001, ms(h, 0))), high = std::log10(ms(h, 1) * 1.01);
  constexpr std::size_t kRows = 12;
  std::array<std::uint64_t, kRows> rows{};
  const double width = std::max(high - low, 1e-9) / kRows;
  for (std::size_t i = 0; i < h.buckets().size(); ++i) {
    if (h.buckets()[i] == 0) continue;
    const double at = std::log10(
        std::max(0.001, static_cast<double>(telemetry::Histogram::middle(i).count()) / 1e3));
    const auto row = static_cast<std::size_t>(std::clamp((at - low) / width, 0.0, kRows - 1.0));
    rows[row] += h.buckets()[i];
  }
  const std::uint64_t most = std::ranges::max(rows);
  std::uint64_t within = 0;
  for (std::size_t r = 0; r < kRows; ++r) {
    within += rows[r];
    const double share = static_cast<double>(rows[r]) / static_cast<double>(most);
    const auto bar = static_cast<std::size_t>(std::ceil(40 * share));
    out += fmt::format("  to {:>8} ms {:<40} {:>8.4g} %\n",
                       number(std::pow(10, low + width * static_cast<double>(r + 1))),
                       std::string(bar, '#'),
                       100 * static_cast<double>(within) / static_cast<double>(h.count()));
  }
}

std::string ratio_of(const Comparison& c) {
  if (!c.ratio) return "–";
  if (!c.interval) {
    return fmt::format("{:.3f} (no interval: fewer than {} pairs of blocks)", *c.ratio, kPairsMin);
  }
  return fmt::format("{:.3f} ({:.3f} to {:.3f})", *c.ratio, c.interval->first, c.interval->second);
}

std::vector<Comparison> comparisons(const Report& report, Kind kind) {
  std::vector<Comparison> out;
  for (const double q : {.5, .99}) {
    out.push_back(compare(report.against->pairs, kind, q, report.settings.seed));
  }
  return out;
}

// The page.

void html_table(std::string& out, const Settings& settings, const Totals& totals) {
  out +=
      "<div class=\"wide\" tabindex=\"0\"><table><thead><tr><th>Kind</th><th>Answered well</th>"
      "<th>a second</th><th>Errors</th><th>P50 ms</th><th>P90</th><th>P95</th><th>P99</th>"
      "<th>P99.9</th><th>Longest</th></tr></thead><tbody>\n";
  for (const Kind kind : used(settings)) {
    const Tally& t = totals.of(kind);
    const auto figures = [&](const telemetry::Histogram& h) {
      std::string row;
      for (const auto& [label, q] : kShown) row += "<td>" + number(ms(h, q)) + "</td>";
      return row + "</tr>\n";
    };
    out += fmt::format(
        "<tr><td>{}<br><span class=\"soft\">{}</span></td><td>{}</td><td>{}</td><td>{}</td>{}",
        title(kind), how(settings, kind), grouped(t.ok()), rate_of(per_second(t.ok(), t, totals)),
        t.failed() == 0 ? "0" : escaped(errors_of(t)), figures(t.latency));
    if (!settings.lane(kind).one_after_another) {
      out += "<tr><td class=\"soft\">from the sending</td><td></td><td></td><td></td>" +
             figures(t.service);
    }
    if (t.turned_away.count() > 0) {
      out += "<tr><td class=\"soft\">429 and 503</td><td></td><td></td><td></td>" +
             figures(t.turned_away);
    }
  }
  out += "</tbody></table></div>\n";
}

void append(std::vector<Line>& to, std::vector<Line> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

std::string plot(const std::vector<Line>& lines, const Axis& x, const Axis& y,
                 std::string_view title) {
  return "<div class=\"wide\" tabindex=\"0\">" + line_plot(lines, x, y, title) + "</div>\n";
}

}  // namespace

double per_second(std::uint64_t count, const Tally& of, const Totals& within) {
  return overall(count, std::min<std::chrono::duration<double>>(of.last, within.took));
}

double ms(const telemetry::Histogram& histogram, double q) {
  const auto at = histogram.quantile(q);
  return at ? std::chrono::duration<double, std::milli>(*at).count() : 0;
}

Json to_json(const Tally& tally) {
  Json out = {{"due", tally.due}, {"sent", tally.sent}};
  out.update(counts(tally));
  out["error_rate"] = tally.error_rate();
  out["latency_ms"] = quantiles(tally.latency);
  out["service_ms"] = quantiles(tally.service);
  out["turned_away_ms"] = quantiles(tally.turned_away);
  out["waited_for_connection_ms"] = quantiles(tally.waited);
  out["generator_lag_ms"] = quantiles(tally.lag);
  Json buckets = Json::array();
  for (std::size_t i = 0; i < tally.latency.buckets().size(); ++i) {
    if (tally.latency.buckets()[i] == 0) continue;
    buckets.push_back({telemetry::Histogram::middle(i).count(), tally.latency.buckets()[i]});
  }
  out["histogram_us"] = std::move(buckets);
  return out;
}

Json to_json(const Report& report) {
  Json out = side(report.settings, report.url, report.totals);
  out["profile"] = report.settings.profile.name();
  out["seed"] = report.settings.seed;
  if (report.against) {
    Json& against = out["against"];
    against = side(report.settings, report.against->url, report.against->totals);
    Json& comparison = out["comparison"];
    comparison["block_s"] = std::chrono::duration<double>(report.against->block).count();
    for (const Kind kind : used(report.settings)) {
      Json rows = Json::array();
      for (const Comparison& c : comparisons(report, kind)) rows.push_back(told(c));
      comparison[std::string(name(kind))] = std::move(rows);
    }
  }
  if (!report.verdicts.empty()) {
    Json& limits = out["limits"];
    for (const Verdict& v : report.verdicts) {
      limits.push_back({{"limit", v.limit},
                        {"measured", v.measured},
                        {"held", v.held ? Json(*v.held) : Json(nullptr)}});
    }
  }
  return out;
}

std::string to_text(const Report& report) {
  std::string out;
  const auto one = [&](const std::string& url, const Totals& totals) {
    out += fmt::format("{}: {:.1f} s, profile {}, {} thread{}, {} connections opened\n", url,
                       totals.took.count(), report.settings.profile.name(), totals.threads.size(),
                       totals.threads.size() == 1 ? "" : "s", totals.connects);
    for (const Kind kind : used(report.settings)) {
      out += fmt::format("  {}: {}\n", title(kind), how(report.settings, kind));
    }
    table(out, report.settings, totals);
    for (const Kind kind : used(report.settings)) {
      if (totals.of(kind).latency.count() == 0) continue;
      out += fmt::format("Latency of {}, from when a request was {}:\n", title(kind),
                         report.settings.lane(kind).one_after_another ? "sent" : "due");
      letters(out, totals.of(kind).latency);
      // One picture is enough for a terminal; the page has all.
      break;
    }
    for (const OwnLimit& limit : own_limits(report.settings, totals)) {
      out += fmt::format("The generator may have been the limit ({}): {}.\n", limit.cause,
                         limit.detail);
    }
  };
  one(report.url, report.totals);
  if (report.against) {
    out += '\n';
    one(report.against->url, report.against->totals);
    out += fmt::format("\nSecond over first, in {} pairs of blocks of {:g} s:\n",
                       report.against->pairs.size(),
                       std::chrono::duration<double>(report.against->block).count());
    for (const Kind kind : used(report.settings)) {
      const auto both = comparisons(report, kind);
      out += fmt::format("  {}: medians {}, P99 {}\n", title(kind), ratio_of(both[0]),
                         ratio_of(both[1]));
    }
  }
  for (const Verdict& v : report.verdicts) {
    out += fmt::format("{}  {}: {}\n",
                       !v.held   ? "NOT MEASURED"
                       : *v.held ? "held"
                                 : "NOT HELD",
                       v.limit, v.measured);
  }
  return out;
}

Line cdf(const telemetry::Histogram& h, std::string name, unsigned colour) {
  Line out;
  out.name = std::move(name);
  out.colour = colour;
  std::uint64_t within = 0;
  for (std::size_t i = 0; i < h.buckets().size(); ++i) {
    if (h.buckets()[i] == 0) continue;
    within += h.buckets()[i];
    out.points.emplace_back(
        std::max(0.001, static_cast<double>(telemetry::Histogram::middle(i).count()) / 1e3),
        static_cast<double>(within) / static_cast<double>(h.count()));
  }
  // The last one has nobody beyond it; on a scale of nines it would lie at the end of the world.
  if (h.count() > 1 && !out.points.empty()) {
    out.points.back().second = 1 - 0.5 / static_cast<double>(h.count());
  }
  return out;
}

std::vector<Line> over_time(const Series& series, Of what, std::string name, unsigned colour) {
  std::vector<Line> out;
  bool open = false;
  const auto step = static_cast<double>(series.step().count());
  for (std::size_t i = 0; i < series.steps().size(); ++i) {
    const Series::Step& s = series.steps()[i];
    double value = 0;
    bool known = true;
    switch (what) {
      case Of::kSent:
        value = static_cast<double>(s.sent) / step;
        break;
      case Of::kAnswered:
        value = static_cast<double>(s.ok) / step;
        break;
      case Of::kErrors:
        value = static_cast<double>(s.failed) / step;
        break;
      case Of::kP50:
      case Of::kP99:
      case Of::kMax:
        known = s.latency.count() > 0;
        value = ms(s.latency, what == Of::kP50 ? .5 : what == Of::kP99 ? .99 : 1);
    }
    if (!known) {
      open = false;
      continue;
    }
    if (!open) {
      out.push_back({name, {}, colour});
      open = true;
    }
    out.back().points.emplace_back(static_cast<double>(i) * step, value);
  }
  return out;
}

std::string to_html(const Report& report) {
  const Settings& settings = report.settings;
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<title>Load on {0}</title><style>{1}</style></head><body><main>\n<h1>Load on {0}</h1>\n"
      "<p class=\"soft\">{2}, {3:.1f} s, profile {4}, seed {5}</p>\n",
      escaped(report.url), page_style(), escaped(report.made), report.totals.took.count(),
      escaped(settings.profile.name()), settings.seed);
  if (!report.verdicts.empty()) {
    const bool held = std::ranges::all_of(report.verdicts,
                                          [](const Verdict& v) { return v.held.value_or(false); });
    out += fmt::format("<div class=\"verdict {}\"><ul>\n", held ? "good" : "bad");
    for (const Verdict& v : report.verdicts) {
      out += fmt::format("<li>{}: <b>{}</b>, measured {}</li>\n", escaped(v.limit),
                         !v.held   ? "not measured, so not passed"
                         : *v.held ? "held"
                                   : "not held",
                         escaped(v.measured));
    }
    out += "</ul></div>\n";
  }
  const auto own = own_limits(settings, report.totals);
  if (!own.empty()) {
    out += "<div class=\"verdict bad\"><p>The generator may have been the limit:</p><ul>\n";
    for (const OwnLimit& limit : own) out += "<li>" + escaped(limit.detail) + "</li>\n";
    out += "</ul></div>\n";
  }
  html_table(out, settings, report.totals);
  if (report.against) {
    out += fmt::format("<h2>Against {}</h2>\n", escaped(report.against->url));
    html_table(out, settings, report.against->totals);
    out += fmt::format(
        "<p>Second over first, in {} pairs of blocks of {:g} s, 95 % bootstrap interval over "
        "pairs:</p><ul>\n",
        report.against->pairs.size(), std::chrono::duration<double>(report.against->block).count());
    for (const Kind kind : used(settings)) {
      const auto both = comparisons(report, kind);
      out += fmt::format("<li>{}: medians {}, P99 {}</li>\n", title(kind), ratio_of(both[0]),
                         ratio_of(both[1]));
    }
    out += "</ul>\n";
  }
  for (const Kind kind : used(settings)) {
    const Tally& t = report.totals.of(kind);
    const bool open = !settings.lane(kind).one_after_another;
    std::vector<Line> shares{cdf(t.latency, open ? "from when due" : "from the sending", 0)};
    if (open) shares.push_back(cdf(t.service, "from the sending", 5));
    if (t.turned_away.count() > 0) shares.push_back(cdf(t.turned_away, "429, 503", 4));
    std::vector<Line> rates, times;
    append(rates, over_time(t.series, Of::kSent, "sent", 5));
    append(rates, over_time(t.series, Of::kAnswered, "answered well", 0));
    append(rates, over_time(t.series, Of::kErrors, "errors", 4));
    append(times, over_time(t.series, Of::kP50, "P50", 2));
    append(times, over_time(t.series, Of::kP99, "P99", 0));
    append(times, over_time(t.series, Of::kMax, "longest", 1));
    if (report.against) {
      const Tally& b = report.against->totals.of(kind);
      shares.push_back(cdf(b.latency, "second target", 1));
      append(times, over_time(b.series, Of::kP99, "second target, P99", 4));
    }
    out += fmt::format("<h2>{}: share answered within a latency</h2>\n", title(kind));
    out += plot(shares, {"ms", Scale::kLog}, {"share", Scale::kNines}, "Latency, cumulated");
    out += fmt::format("<h2>{}: latency over time</h2>\n", title(kind));
    out += plot(times, {"seconds", Scale::kLinear}, {"ms", Scale::kLog}, "Latency over time");
    out += fmt::format("<h2>{}: requests over time</h2>\n", title(kind));
    out += plot(rates, {"seconds", Scale::kLinear}, {"a second", Scale::kLinear}, "Requests");
  }
  out += "<h2>The generator itself</h2>\n<p>";
  for (std::size_t i = 0; i < report.totals.threads.size(); ++i) {
    const ThreadUse& use = report.totals.threads[i];
    out += fmt::format("Thread {}: {:.0f} % of a core, {:.0f} % in its busiest second. ", i + 1,
                       100 * use.cpu, 100 * use.busiest_second);
  }
  out += fmt::format(
      "P99 of its own lateness {} ms; {} connections opened.</p>\n<p class=\"soft\">Latency counts "
      "from the moment a request was due, unless its kind is sent one after another; errors have "
      "none, time-outs have their patience, {:g} s. Made by <code>covey load</code>; methods in "
      "docs/load.md.</p>\n</main></body></html>\n",
      number(ms(report.totals.all().lag, 0.99)), report.totals.connects,
      std::chrono::duration<double>(settings.patience).count());
  return out;
}

}  // namespace covey::load

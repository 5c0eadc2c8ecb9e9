#include "scale/criteria.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "load/report.h"

namespace covey::scale {
namespace {

using namespace std::chrono_literals;
using load::Kind;
using load::Outcome;

// requirements: "Scale, geography, faults".
constexpr std::array<Goal, 4> kGoals = {{
    {500'000, 0.001, 50ms},
    {1'000'000, 0.001, 100ms, 3.12e6},
    {2'500'000, 0.0015, 200ms, 7.8e6},
    {5'000'000, 0.001, 100ms, 15.6e6},
}};

std::string rate(double share) {
  return fmt::format("{:.3g} %", 100 * share);
}
std::string millis(telemetry::Duration d) {
  const double ms = static_cast<double>(d.count()) / 1e3;
  return ms >= 1'000 ? fmt::format("{:.3g} s", ms / 1e3) : fmt::format("{:.3g} ms", ms);
}
std::string million(double n) {
  return fmt::format("{:.3g} M", n / 1e6);
}
std::string bytes(double n) {
  return grouped(static_cast<std::uint64_t>(n) >> 20) + " MiB";
}

/// Error rate over all kinds that a load sent.
Criterion errors_of(const load::Totals& totals, double limit) {
  Criterion c{.id = "errors", .what = "errors while serving", .limit = "< " + rate(limit)};
  c.how =
      "all requests of the mixed load that were not answered well (429 and 503 among them) over "
      "all that were due";
  const load::Tally all = totals.all();
  const auto n = static_cast<double>(all.finished());
  if (all.finished() == 0) {
    c.measured = "nothing was answered";
    return c;
  }
  c.measured = fmt::format("{} of {}", rate(all.error_rate()), grouped(all.finished()));
  if (all.failed() == 0 && n * limit < 1) {
    c.measured += ": too few to see so small a share";
    return c;
  }
  c.state = all.error_rate() < limit ? State::kHeld : State::kMissed;
  return c;
}

/// P99 of look-ups; not measured where it is beyond the limit for the generator's own sake.
Criterion p99_of(const load::Settings& settings, const load::Totals& totals,
                 telemetry::Duration limit) {
  Criterion c{
      .id = "lookup_p99", .what = "P99 of look-ups while serving", .limit = "< " + millis(limit)};
  const load::Limit asked{.text = "p99", .kind = Kind::kLookUp, .quantile = 0.99, .longest = limit};
  const auto verdict = load::judge({asked}, settings, totals).front();
  c.measured = verdict.measured;
  c.how = fmt::format(
      "open-loop look-ups at {:.0f} a second, from when each was due, beside ingest and "
      "re-discovery",
      settings.lane(Kind::kLookUp).per_second);
  if (verdict.held) c.state = *verdict.held ? State::kHeld : State::kMissed;
  return c;
}

Criterion none(std::string id, std::string what, std::string limit, const SizeResult& size) {
  Criterion c{.id = std::move(id), .what = std::move(what), .limit = std::move(limit)};
  c.measured = "not measured";
  c.how = size.failures.empty() ? "the phase did not run"
                                : fmt::format("{}", fmt::join(size.failures, "; "));
  return c;
}

void judge_loading(const SizeResult& size, std::vector<Criterion>& out) {
  if (!size.events) {
    out.push_back(none("loaded", "the population is loaded", "durably, each event once", size));
    return;
  }
  Criterion c{.id = "loaded", .what = "the population is loaded"};
  c.limit = "durably, each event once";
  c.measured =
      fmt::format("{} events in {:.3g} s, {} a second", grouped(*size.events), size.import_s,
                  grouped(static_cast<std::uint64_t>(static_cast<double>(*size.events) /
                                                     std::max(size.import_s, 1e-9))));
  c.how =
      "receipt of `covey import`, which answers once all is synced; `covey simulate` makes the "
      "events on the same cores meanwhile";
  c.state = State::kHeld;
  out.push_back(std::move(c));
}

void judge_serving(const SizeResult& size, const Goal& goal, std::vector<Criterion>& out) {
  const bool ran = size.serving.has_value();
  if (ran) {
    out.push_back(errors_of(size.serving->totals, goal.error_rate));
    out.push_back(p99_of(size.serving->settings, size.serving->totals, goal.p99));
  } else {
    out.push_back(none("errors", "errors while serving", "< " + rate(goal.error_rate), size));
    out.push_back(
        none("lookup_p99", "P99 of look-ups while serving", "< " + millis(goal.p99), size));
  }
  if (!goal.learners_per_minute) return;
  const std::string limit = million(*goal.learners_per_minute) + " learners/min";
  const load::Tally* found = ran ? &size.serving->totals.of(Kind::kDiscover) : nullptr;
  const auto median =
      found != nullptr ? found->latency.quantile(0.5) : std::optional<telemetry::Duration>();
  if (!median || found->ok() == 0) {
    out.push_back(none("throughput", "re-discovery while serving", ">= " + limit, size));
    return;
  }
  Criterion c{.id = "throughput", .what = "re-discovery while serving", .limit = ">= " + limit};
  const double seconds = std::chrono::duration<double>(*median).count();
  const double per_minute = static_cast<double>(size.learners) / seconds * 60;
  c.measured = fmt::format("{} learners/min, {:.3g} s each", million(per_minute), seconds);
  c.how = fmt::format(
      "median of {} POST /v1/discover, one after another beside look-ups and ingest: traits of all "
      "learners, choice of k, assignment, from request to answer",
      found->ok());
  c.state = per_minute >= *goal.learners_per_minute ? State::kHeld : State::kMissed;
  out.push_back(std::move(c));
}

std::string ledger_text(const Ledger& ledger) {
  return fmt::format(
      "{} of {} acknowledged events there, {} lost, {} not asked for; {} batches in "
      "doubt, {} torn",
      grouped(ledger.known), grouped(ledger.events), grouped(ledger.lost), grouped(ledger.unasked),
      grouped(ledger.in_doubt), ledger.in_doubt_torn);
}

void judge_recovery(const SizeResult& size, std::vector<Criterion>& out) {
  const std::string ready = fmt::format("< {:g} s", kReadyMaxSeconds);
  if (!size.recovery) {
    out.push_back(none("kept", "kill -9: nothing acknowledged is lost", "0 lost", size));
    out.push_back(none("counted", "kill -9: learners' events counted", "all as sent", size));
    out.push_back(none("ready", "kill -9: ready again", ready, size));
    return;
  }
  const Recovery& r = *size.recovery;
  Criterion kept{.id = "kept", .what = "kill -9: nothing acknowledged is lost", .limit = "0 lost"};
  kept.measured = ledger_text(r.ledger);
  kept.how = fmt::format(
      "SIGKILL after {:.1f} s of the mixed load; after the restart every batch was sent again, and "
      "each event that had been acknowledged must be answered as a duplicate",
      r.killed_after_s);
  if (r.ledger.events > 0 && r.ledger.unasked == 0) {
    kept.state = r.ledger.holds() ? State::kHeld : State::kMissed;
  } else if (r.ledger.lost > 0) {
    kept.state = State::kMissed;
  }
  out.push_back(std::move(kept));
  Criterion counted{.id = "counted",
                    .what = "kill -9: learners' events counted",
                    .limit = "all as sent",
                    .how =
                        "practice_events of sampled learners before the load, plus those of "
                        "every batch sent, against what the restarted service says"};
  counted.measured = fmt::format("{} of {} learners off", r.learners_off, r.learners_checked);
  if (r.learners_checked > 0) {
    counted.state = r.learners_off == 0 ? State::kHeld : State::kMissed;
  }
  out.push_back(std::move(counted));
  out.push_back({.id = "ready",
                 .what = "kill -9: ready again",
                 .limit = ready,
                 .measured = fmt::format("{:.3g} s", r.ready_s),
                 .how = "from starting the process to 200 on /readyz",
                 .state = r.ready_s < kReadyMaxSeconds ? State::kHeld : State::kMissed});
}

void judge_overload(const SizeResult& size, const Goal& goal, std::vector<Criterion>& out) {
  const std::string in_time = fmt::format("429 or 503, P99 < {}", millis(kTurnedAwayMax));
  const std::string back = fmt::format("< {:g} s", kBackMaxSeconds);
  if (!size.overload) {
    out.push_back(none("turned_away", "2 x overload: turned away in time", in_time, size));
    out.push_back(
        none("overload_p99", "2 x overload: P99 of look-ups", "< " + millis(goal.p99), size));
    out.push_back(
        none("overload_kept", "2 x overload: nothing acknowledged is lost", "0 lost", size));
    out.push_back(none("back", "2 x overload: back after it", back, size));
    return;
  }
  const Overload& o = *size.overload;
  const load::Tally& ingest = o.totals.of(Kind::kIngest);
  Criterion away{
      .id = "turned_away", .what = "2 x overload: turned away in time", .limit = in_time};
  away.how =
      fmt::format("ingest at {} events a second, twice the {} that it took one batch after another",
                  grouped(static_cast<std::uint64_t>(o.asked_per_s)),
                  grouped(static_cast<std::uint64_t>(o.sustained_per_s)));
  const std::uint64_t turned =
      ingest.count(Outcome::kTooMany) + ingest.count(Outcome::kUnavailable);
  const std::uint64_t silent = ingest.count(Outcome::kTimedOut) + ingest.count(Outcome::kCut) +
                               ingest.count(Outcome::kRefused) +
                               ingest.count(Outcome::kServerError);
  away.measured = fmt::format("{} batches taken, {} turned away, {} without an answer or 5xx",
                              grouped(ingest.ok()), grouped(turned), grouped(silent));
  if (const auto p99 = ingest.turned_away.quantile(0.99); p99 && turned > 0) {
    away.measured += fmt::format("; P99 of a no {}", millis(*p99));
    away.state = *p99 < kTurnedAwayMax && silent == 0 ? State::kHeld : State::kMissed;
  } else if (silent > 0) {
    away.state = State::kMissed;
  } else {
    away.how += "; it was not overloaded by it, so this was not seen";
  }
  out.push_back(std::move(away));

  Criterion p99 = p99_of(o.settings, o.totals, goal.p99);
  p99.id = "overload_p99";
  p99.what = "2 x overload: P99 of look-ups";
  p99.how = fmt::format("open-loop look-ups at {:.0f} a second beside the overload",
                        o.settings.lane(Kind::kLookUp).per_second);
  out.push_back(std::move(p99));

  Criterion kept{.id = "overload_kept",
                 .what = "2 x overload: nothing acknowledged is lost",
                 .limit = "0 lost",
                 .measured = ledger_text(o.ledger),
                 .how = "every acknowledged batch sent again must be answered as duplicates"};
  if (o.ledger.events > 0 && o.ledger.unasked == 0) {
    kept.state = o.ledger.holds() ? State::kHeld : State::kMissed;
  } else if (o.ledger.lost > 0) {
    kept.state = State::kMissed;
  }
  out.push_back(std::move(kept));

  Criterion after{.id = "back", .what = "2 x overload: back after it", .limit = back};
  after.how = fmt::format(
      "the first second after the overload from which no request failed and look-ups kept their "
      "P99, of {:.0f} s",
      o.after.took.count());
  if (o.back_after_s) {
    after.measured = fmt::format("{:.0f} s", *o.back_after_s);
    after.state = *o.back_after_s < kBackMaxSeconds ? State::kHeld : State::kMissed;
  } else if (o.after.all().finished() > 0) {
    after.measured = fmt::format("not within {:.0f} s", o.after.took.count());
    after.state = State::kMissed;
  } else {
    after.measured = "nothing was answered";
  }
  out.push_back(std::move(after));
}

void judge_memory(const SizeResult& size, std::vector<Criterion>& out) {
  const std::string limit = "<= " + bytes(static_cast<double>(size.ceiling_bytes));
  if (!size.peak_resident) {
    out.push_back(none("memory", "memory ceiling kept", limit, size));
    return;
  }
  out.push_back(
      {.id = "memory",
       .what = "memory ceiling kept",
       .limit = limit,
       .measured = fmt::format(
           "{}, {:.0f} B a learner", bytes(static_cast<double>(*size.peak_resident)),
           static_cast<double>(*size.peak_resident) / static_cast<double>(size.learners)),
       .how = "highest VmHWM of all its server processes; `covey serve --memory` has the ceiling",
       .state = *size.peak_resident <= size.ceiling_bytes ? State::kHeld : State::kMissed});
}

void judge_growth(const std::vector<SizeResult>& sizes, std::vector<Criterion>& out) {
  struct Cost {
    const char* id;
    const char* what;
    const char* how;
    std::optional<double> (*of)(const SizeResult&);
  };
  static constexpr Cost kCosts[] = {
      {"linear_cpu_load", "CPU of loading is linear in learners", "user and system time of import",
       [](const SizeResult& s) -> std::optional<double> {
         return s.events ? std::optional(s.import_cpu_s) : std::nullopt;
       }},
      {"linear_cpu_discovery", "CPU of a re-discovery is linear in learners",
       "user and system time of the server for one discovery, nothing beside it",
       [](const SizeResult& s) { return s.discovery_cpu_s; }},
      {"linear_memory", "memory is linear in learners",
       "VmRSS of the server with all learners, before any load",
       [](const SizeResult& s) -> std::optional<double> {
         return s.resident ? std::optional(static_cast<double>(*s.resident)) : std::nullopt;
       }},
  };
  for (const Cost& cost : kCosts) {
    Criterion c{.id = cost.id, .what = cost.what};
    c.limit = fmt::format("slope <= {:.2f}", kSlopeMax);
    std::vector<double> x, y;
    for (const SizeResult& size : sizes) {
      if (const auto value = cost.of(size)) {
        x.push_back(static_cast<double>(size.learners));
        y.push_back(*value);
      }
    }
    const auto slope = growth(x, y);
    if (!slope) {
      c.measured = "not measured";
      c.how = fmt::format("{} of {} sizes have it; two different ones are needed", x.size(),
                          sizes.size());
    } else {
      c.measured = fmt::format("slope {:.2f} over {} sizes", *slope, x.size());
      c.how = fmt::format(
          "{}; log cost over log learners, least squares; below 1 is no fault: a fixed part weighs "
          "on the smallest",
          cost.how);
      c.state = *slope <= kSlopeMax ? State::kHeld : State::kMissed;
    }
    out.push_back(std::move(c));
  }
}

void out_of_reach(std::vector<Criterion>& out) {
  struct Row {
    const char *id, *what, *limit, *why;
  };
  static constexpr Row kRows[] = {
      {"geography", "P99 by region", "US 50 ms, Europe 80, APAC 100, LATAM 150, Africa 200",
       "all of it ran on one machine over loopback: there was no distance to measure"},
      {"region_lost", "a region is lost", "failover < 10 s, nothing acknowledged lost",
       "there is one machine and one copy"},
      {"partition", "a partition heals", "both sides alike", "there is one machine and one copy"},
      {"all_year", "all-year availability", "99.999 %", "minutes of a test say nothing of a year"},
  };
  for (const Row& row : kRows) {
    out.push_back({.id = row.id,
                   .what = row.what,
                   .limit = row.limit,
                   .measured = "cannot be measured here",
                   .how = row.why,
                   .state = State::kOutOfReach});
  }
}

}  // namespace

const Goal& goal_for(std::uint64_t learners) {
  for (const Goal& goal : kGoals) {
    if (learners <= goal.learners) return goal;
  }
  return kGoals.back();
}

std::string_view name(State state) {
  switch (state) {
    case State::kHeld:
      return "held";
    case State::kMissed:
      return "missed";
    case State::kNotMeasured:
      return "not measured";
    case State::kOutOfReach:
      return "out of reach";
  }
  return "";
}

std::vector<Criterion> judge(const Measured& measured) {
  std::vector<Criterion> out;
  for (const SizeResult& size : measured.sizes) {
    const Goal& goal = goal_for(size.learners);
    const std::size_t first = out.size();
    judge_loading(size, out);
    judge_serving(size, goal, out);
    judge_recovery(size, out);
    judge_overload(size, goal, out);
    judge_memory(size, out);
    for (std::size_t i = first; i < out.size(); ++i) out[i].learners = size.learners;
  }
  judge_growth(measured.sizes, out);
  out_of_reach(out);
  return out;
}

bool passed(const std::vector<Criterion>& criteria) {
  return !criteria.empty() && std::ranges::none_of(criteria, [](const Criterion& c) {
    return c.state == State::kMissed || c.state == State::kNotMeasured;
  });
}

std::optional<double> growth(const std::vector<double>& sizes, const std::vector<double>& costs) {
  if (sizes.size() < 2 || sizes.size() != costs.size()) return std::nullopt;
  const auto n = static_cast<double>(sizes.size());
  double mean_x = 0, mean_y = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (!(sizes[i] > 0) || !(costs[i] > 0)) return std::nullopt;
    mean_x += std::log(sizes[i]) / n;
    mean_y += std::log(costs[i]) / n;
  }
  double xx = 0, xy = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const double x = std::log(sizes[i]) - mean_x;
    xx += x * x;
    xy += x * (std::log(costs[i]) - mean_y);
  }
  if (!(xx > 1e-12)) return std::nullopt;
  return xy / xx;
}

std::optional<double> back_after(const load::Totals& totals, telemetry::Duration p99_max) {
  std::size_t steps = 0;
  for (const load::Tally& t : totals.kinds) steps = std::max(steps, t.series.steps().size());
  if (totals.all().finished() == 0) return std::nullopt;
  std::size_t back = 0;
  for (std::size_t i = 0; i < steps; ++i) {
    for (std::size_t k = 0; k < load::kKinds; ++k) {
      const auto& series = totals.kinds[k].series.steps();
      if (i >= series.size()) continue;
      const auto p99 = series[i].latency.quantile(0.99);
      const bool slow = static_cast<Kind>(k) == Kind::kLookUp && p99 && *p99 > p99_max;
      if (series[i].failed > 0 || slow) back = i + 1;
    }
  }
  if (back == steps) return std::nullopt;
  const auto step = static_cast<double>(totals.of(Kind::kLookUp).series.step().count());
  return static_cast<double>(back) * step;
}

}  // namespace covey::scale

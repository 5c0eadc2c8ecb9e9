#include "control/books.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/time.h"
#include "config/units.h"
#include "rollout/json.h"

namespace covey::control {
namespace {

using rollout::Status;
using telemetry::Arm;
using telemetry::Duration;
using telemetry::seconds;

std::optional<double> part(std::uint64_t of, std::uint64_t all) {
  if (all == 0) return std::nullopt;
  return static_cast<double>(of) / static_cast<double>(all);
}

void count(Figures& out, const telemetry::Counts& counts, double known_s) {
  out.requests = counts.sent;
  out.unanswered = counts.unanswered;
  out.wrong = counts.wrong;
  if (known_s > 0) out.per_second = static_cast<double>(counts.sent) / known_s;
  out.error_rate = part(counts.wrong, counts.answered());
  out.availability = part(counts.answered(), counts.sent);
  std::ranges::copy(counts.faults, out.faults.begin());
}

Json maybe(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}
Json maybe(const std::optional<Time>& at) {
  return at ? Json(format_time(*at)) : Json(nullptr);
}

Json to_json(const Figures& f, const telemetry::Shape& shape) {
  Json out = {{"arm", telemetry::name(f.arm)}};
  if (f.segment) out["segment"] = shape.segments[*f.segment];
  out["requests"] = f.requests;
  out["per_second"] = f.per_second;
  out["unanswered"] = f.unanswered;
  out["wrong"] = f.wrong;
  out["error_rate"] = maybe(f.error_rate);
  out["availability"] = maybe(f.availability);
  Json faults = Json::object();
  for (std::size_t i = 0; i < f.faults.size(); ++i) {
    // Most never happen; absent is none.
    if (f.faults[i] == 0) continue;
    faults[std::string(telemetry::name(static_cast<telemetry::Fault>(i + 1)))] = f.faults[i];
  }
  out["faults"] = std::move(faults);
  if (!f.segment) {
    constexpr const char* kNames[] = {"p50_s", "p95_s", "p99_s", "p999_s"};
    for (std::size_t i = 0; i < f.latency.size(); ++i) out[kNames[i]] = maybe(f.latency[i]);
    out["cpu"] = maybe(f.cpu);
    out["memory"] = maybe(f.memory);
    out["network"] = maybe(f.network);
    out["cache_hits"] = maybe(f.cache_hits);
    out["revenue_per_minute"] = maybe(f.revenue_per_minute);
    out["practice_per_minute"] = maybe(f.practice_per_minute);
    out["uptime"] = maybe(f.uptime);
    out["slots_down"] = f.slots_down;
  }
  return out;
}

Json evidence_json(const std::vector<rollout::Evidence>& evidence) {
  Json out = Json::array();
  for (const auto& e : evidence) out.push_back(rollout::to_json(e));
  return out;
}

Json phase_json(const Books& books, std::size_t i) {
  const rollout::PhaseView phase = rollout::phase_view(books.plan, i);
  const rollout::Progress& progress = books.state.phases[i];
  Json out = {{"name", phase.name()},
              {"kind", phase.stage != nullptr ? "stage" : "monitoring"},
              {"status", rollout::name(progress.status)},
              {"share", rollout::phase_share(books.plan, i) / 10'000.0},
              {"start", format_time(progress.start)},
              {"length_s", seconds(phase.length())},
              {"began", maybe(progress.began)},
              {"decided", maybe(progress.decided)}};
  if (progress.began && progress.status == Status::kRunning) {
    const Duration elapsed = books.now - *progress.began;
    // Missing telemetry lengthens the window.
    const Duration whole = phase.length() + progress.missing;
    out["elapsed_s"] = seconds(elapsed);
    out["remaining_s"] = std::max(0.0, seconds(whole - elapsed));
    out["missing_s"] = seconds(progress.missing);
    if (phase.stage != nullptr && progress.checkpoint < phase.stage->checkpoints.size()) {
      out["next_checkpoint"] =
          format_time(*progress.began + phase.stage->checkpoints[progress.checkpoint]);
    }
  }
  if (phase.stage != nullptr && progress.status == Status::kWaiting) {
    Json approvals = Json::array();
    for (const std::string& role : phase.stage->approvals) {
      const auto given = progress.approvals.find(role), no = progress.no_go.find(role);
      const bool has = given != progress.approvals.end();
      approvals.push_back(
          {{"role", role},
           {"by", has ? Json(given->second) : Json(nullptr)},
           // Given before its stage is the next one.
           {"standing", has && i > books.state.at},
           {"no_go", no == progress.no_go.end() ? Json(nullptr) : Json(no->second)}});
    }
    out["attempt"] = books.state.attempt;
    out["approvals"] = std::move(approvals);
    if (!progress.overridden_by.empty()) out["overridden_by"] = progress.overridden_by;
    Json checks = Json::array();
    for (const plan::Check check : phase.stage->checks) {
      const auto& known = progress.checks[static_cast<std::size_t>(check)];
      checks.push_back(
          {{"check", plan::name(check)}, {"ok", known ? Json(*known) : Json(nullptr)}});
    }
    out["checks"] = std::move(checks);
    if (!progress.waits_for.empty()) out["waits_for"] = progress.waits_for;
  }
  out["evidence"] = evidence_json(progress.evidence);
  return out;
}

Json incident_json(const rollout::Incident& incident) {
  Json out = {{"id", incident.id},
              {"severity", plan::name(incident.severity)},
              {"title", incident.title},
              {"source", incident.source},
              {"phase", incident.phase},
              {"opened", format_time(incident.opened)},
              {"times", incident.times},
              {"called", format_time(incident.called)},
              {"called_to", incident.called_to},
              {"acknowledged", maybe(incident.acknowledged)},
              {"resolved", maybe(incident.resolved)}};
  Json calls = Json::array();
  for (const rollout::Call& call : incident.calls) {
    calls.push_back({{"at", format_time(call.at)},
                     {"person", call.person.empty() ? Json(nullptr) : Json(call.person)}});
  }
  out["calls"] = std::move(calls);
  if (incident.answered) out["answered"] = true;
  if (incident.acknowledged) out["acknowledged_by"] = incident.acknowledged_by;
  if (incident.resolved) out["resolved_by"] = incident.resolved_by;
  out["evidence"] = evidence_json(incident.evidence);
  return out;
}

/// A gate of people: who decides it, on which report.
Json gate_json(const rollout::State& state, const rollout::GateView& view) {
  const auto known = state.gates.find(view.gate->name);
  const rollout::GateState at = known == state.gates.end() ? rollout::GateState{} : known->second;
  Json approvals = Json::array();
  for (const std::string& role : view.gate->approvals) {
    const auto by = at.approvals.find(role);
    const auto no = at.no_go.find(role);
    const bool has = by != at.approvals.end();
    approvals.push_back({{"role", role},
                         {"by", has ? Json(by->second.person) : Json(nullptr)},
                         {"report", has ? Json(by->second.report) : Json(nullptr)},
                         {"no_go", no == at.no_go.end() ? Json(nullptr) : Json(no->second)}});
  }
  return {{"name", view.gate->name},
          {"at", format_time(view.at())},
          {"criteria", view.gate->criteria},
          {"approvals", std::move(approvals)},
          {"overridden_by", at.overridden_by.empty() ? Json(nullptr) : Json(at.overridden_by)},
          {"passed", maybe(at.passed)}};
}

Json impact_json(const Books& books, const rollout::KnownImpact& known) {
  const rollout::SetImpact& told = known.told;
  const std::string fault = rollout::impact_fault(
      books.plan, books.state, rollout::watched_phase(books.state).value_or(books.state.at),
      told.measure);
  return {{"measure", plan::name(told.measure)},
          {"estimate", told.estimate},
          {"low", told.interval.low},
          {"high", told.interval.high},
          {"source", told.source},
          {"as_of", format_time(told.as_of)},
          {"valid_until", format_time(rollout::valid_until(books.plan, told))},
          {"told", format_time(known.at)},
          {"role", told.role.empty() ? Json(nullptr) : Json(told.role)},
          {"person", told.role.empty() ? Json(nullptr) : Json(told.person)},
          {"counts", fault.empty()},
          {"why_not", fault.empty() ? Json(nullptr) : Json(fault)}};
}

}  // namespace

std::string_view situation(const Books& books) {
  const rollout::State& s = books.state;
  if (s.rolled_back) return s.rolled_back->verified ? "rolled back" : "rolling back";
  if (s.finished) return "finished";
  if (s.at >= s.phases.size()) return "passed";
  if (s.phases[s.at].status == Status::kFailed) return "failed";
  if (!s.held_by.empty() || s.phases[s.at].gate_held) return "held";
  if (s.phases[s.at].status == Status::kRunning) return "running";
  return "waiting";
}

std::optional<Window> sliding(const Books& books) {
  const auto last = books.history.last();
  if (!last) return std::nullopt;
  return figures(books, *last - books.plan.window, *last);
}

std::optional<Window> figures(const Books& books, Time from, Time to) {
  const auto sums = books.history.between(from, to);
  const auto stretch = books.history.narrowed(from, to);
  if (!sums || !stretch) return std::nullopt;
  Window out{stretch->from, stretch->to, sums->missing, {}, {}, {}};
  const double known = seconds(out.to - out.from - sums->missing);
  for (const Arm arm : {Arm::kBaseline, Arm::kCandidate}) {
    Figures& all = arm == Arm::kBaseline ? out.baseline : out.candidate;
    all.arm = arm;
    count(all, sums->counts(arm), known);
    const telemetry::Histogram latencies = books.latencies.between(out.from, out.to, arm);
    for (std::size_t i = 0; i < Figures::kQuantiles.size(); ++i) {
      if (const auto q = latencies.quantile(Figures::kQuantiles[i])) all.latency[i] = seconds(*q);
    }
    const telemetry::Levels levels = sums->levels(arm);
    // Sums are of millionths.
    all.cpu = part(levels.cpu, levels.samples * 1'000'000);
    all.memory = part(levels.memory, levels.samples * 1'000'000);
    all.network = part(levels.network, levels.network_samples * 1'000'000);
    all.cache_hits = part(levels.cache_hits, levels.lookups);
    all.slots_down = levels.slots_down;
    all.uptime = part(levels.slots_up, levels.slots_up + levels.slots_down);
    if (known > 0 && levels.activity_samples > 0) {
      all.revenue_per_minute = static_cast<double>(levels.revenue) / 1e6 / (known / 60);
      all.practice_per_minute = static_cast<double>(levels.practice) / (known / 60);
    }
    for (std::size_t s = 0; s < sums->segments(); ++s) {
      const telemetry::Counts counts = sums->counts(arm, s);
      if (counts.sent == 0) continue;
      Figures one;
      one.arm = arm;
      one.segment = s;
      count(one, counts, known);
      out.segments.push_back(one);
    }
  }
  return out;
}

std::optional<double> revenue_delta(const Window& window) {
  const auto per_request = [](const Figures& f) -> std::optional<double> {
    if (!f.revenue_per_minute || f.per_second <= 0) return std::nullopt;
    return *f.revenue_per_minute / (60 * f.per_second);
  };
  const auto candidate = per_request(window.candidate), baseline = per_request(window.baseline);
  if (!candidate || !baseline || *baseline <= 0) return std::nullopt;
  return *candidate / *baseline - 1;
}

Json to_json(const Window& window, const telemetry::Shape& shape) {
  Json segments = Json::array();
  for (const Figures& f : window.segments) segments.push_back(to_json(f, shape));
  return {{"from", format_time(window.from)},
          {"to", format_time(window.to)},
          {"missing_s", seconds(window.missing)},
          {"baseline", to_json(window.baseline, shape)},
          {"candidate", to_json(window.candidate, shape)},
          {"revenue_delta", maybe(revenue_delta(window))},
          {"segments", std::move(segments)}};
}

std::string figures_query(Time from, Time to) {
  return fmt::format("/v1/rollout/telemetry?from={}&to={}", format_time(from), format_time(to));
}

Json status(const Books& books) {
  const rollout::State& s = books.state;
  Json phases = Json::array(), incidents = Json::array(), decisions = Json::array();
  for (std::size_t i = 0; i < s.phases.size(); ++i) phases.push_back(phase_json(books, i));
  for (auto it = s.incidents.rbegin(); it != s.incidents.rend() && incidents.size() < 50; ++it) {
    incidents.push_back(incident_json(*it));
  }
  const std::size_t from = books.decisions.size() > 50 ? books.decisions.size() - 50 : 0;
  for (std::size_t i = books.decisions.size(); i-- > from;) decisions.push_back(books.decisions[i]);
  const auto last = books.history.last_complete();
  Json out = {{"plan", books.plan.name},
              {"title", books.plan.title},
              {"now", format_time(books.now)},
              {"attempt", s.attempt},
              {"situation", situation(books)},
              {"phase", s.at < s.phases.size() ? Json(rollout::phase_view(books.plan, s.at).name())
                                               : Json(nullptr)},
              {"share",
               {{"wanted", rollout::wanted_share(books.plan, s) / 10'000.0},
                {"allowed", rollout::allowed_share(books.plan, s) / 10'000.0},
                {"seen", s.seen ? Json(*s.seen / 10'000.0) : Json(nullptr)},
                {"cause", s.share_cause}}},
              {"telemetry_trouble", books.trouble.empty() ? Json(nullptr) : Json(books.trouble)},
              {"telemetry_age_s", last ? Json(seconds(books.now - *last)) : Json(nullptr)},
              {"held_by", s.held_by.empty() ? Json(nullptr) : Json(s.held_by)}};
  if (s.rolled_back) {
    out["roll_back"] = {{"since", format_time(s.rolled_back->since)},
                        {"cause", s.rolled_back->cause},
                        {"quiet", maybe(s.rolled_back->quiet)},
                        {"verified", maybe(s.rolled_back->verified)}};
  }
  if (const plan::Shift* shift = books.plan.roster.on_duty(books.now)) {
    out["on_call"] = {{"shift", shift->name}, {"people", shift->people}};
  }
  Json impacts = Json::array();
  for (const auto& [measure, known] : s.impacts) impacts.push_back(impact_json(books, known));
  out["impacts"] = std::move(impacts);
  Json gates = Json::array();
  for (const rollout::GateView& view : rollout::people_gates(books.plan, s)) {
    gates.push_back(gate_json(s, view));
  }
  out["gates"] = std::move(gates);
  out["phases"] = std::move(phases);
  if (const auto window = sliding(books)) {
    out["figures"] = to_json(*window, books.history.shape());
  }
  out["incidents"] = std::move(incidents);
  out["decisions"] = std::move(decisions);
  out["journal"] = {{"records", books.records}, {"head", books.head}};
  return out;
}

Json history(const Books& books, Time from, Time to, std::size_t limit) {
  Json decisions = Json::array(), incidents = Json::array();
  bool more = false;
  for (auto it = books.decisions.rbegin(); it != books.decisions.rend(); ++it) {
    const auto at = parse_time(it->value("at", ""));
    if (!at || *at > to) continue;
    if (*at <= from) break;
    if (decisions.size() == limit) {
      more = true;
      break;
    }
    decisions.push_back(*it);
  }
  const auto& all = books.state.incidents;
  for (auto it = all.rbegin(); it != all.rend() && incidents.size() < limit; ++it) {
    const bool over = it->resolved && *it->resolved <= from;
    if (it->opened <= to && !over) incidents.push_back(incident_json(*it));
  }
  return {{"from", format_time(from)},
          {"to", format_time(to)},
          {"decisions", std::move(decisions)},
          {"incidents", std::move(incidents)},
          {"more", more}};
}

Json series(const Books& books, Time from, Time to, std::size_t steps) {
  // Steps of what is kept, on its edges: of old time every minute or hour only, and a step between
  // would count a part of its requests and look like a lull.
  const Duration grain = books.history.grain(from);
  const Duration part = (to - from) / static_cast<std::int64_t>(std::max<std::size_t>(1, steps));
  const Duration step = grain * ((part + grain - Duration(1)) / grain);
  Json out = Json::array();
  // The newest step ends with what has come: the rest of it is not missing, it is to come.
  const Time last = books.history.last().value_or(from), end = std::min(to, last);
  for (Time begin = Time(from.time_since_epoch() / step * step); begin < end; begin += step) {
    if (const auto window = figures(books, begin, std::min(begin + step, last))) {
      out.push_back(to_json(*window, books.history.shape()));
    }
  }
  return out;
}

}  // namespace covey::control

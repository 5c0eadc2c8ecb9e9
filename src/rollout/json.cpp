#include "rollout/json.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/time.h"
#include "base/whole.h"

namespace covey::rollout {

using Json = nlohmann::ordered_json;

Json to_json(const Evidence& evidence) {
  Json out = {{"criterion", evidence.criterion},
              {"verdict", stats::name(evidence.verdict)},
              {"text", evidence.text}};
  if (evidence.value) out["value"] = *evidence.value;
  // Evidence of levels is read, not weighed.
  if (evidence.log_e_pass != 0 || evidence.log_e_fail != 0) {
    out["log_e_pass"] = evidence.log_e_pass;
    out["log_e_fail"] = evidence.log_e_fail;
  }
  if (evidence.more_needed && evidence.verdict == stats::Verdict::kUndecided) {
    out["more_needed"] = std::ceil(*evidence.more_needed);
  }
  return out;
}

Json to_json(const Decision& decision) {
  Json evidence = Json::array();
  for (const Evidence& e : decision.evidence) evidence.push_back(to_json(e));
  Json out = {{"at", format_time(decision.at)},
              {"phase", decision.phase},
              {"decision", decision.what},
              {"share", decision.share / 10'000.0},
              {"cause", decision.cause}};
  if (!evidence.empty()) out["evidence"] = std::move(evidence);
  return out;
}

Json to_json(const Effect& effect) {
  Json out = {{"id", effect.id}, {"cause", effect.cause}};
  if (const auto* set = std::get_if<SetShare>(&effect.act)) {
    out["set_share"] = set->share;
  } else if (const auto* check = std::get_if<RunCheck>(&effect.act)) {
    out["check"] = plan::name(check->check);
    out["stage"] = check->stage;
  } else if (const auto* notify = std::get_if<Notify>(&effect.act)) {
    out["notify"] = notify->title;
    if (notify->severity) out["severity"] = plan::name(*notify->severity);
    if (!notify->people.empty()) out["people"] = notify->people;
  } else {
    const auto& report = std::get<WriteReport>(effect.act);
    out["report"] = name(report.kind);
    out["subject"] = report.subject;
  }
  return out;
}

namespace {

// Arrays where there are many of them: a tick comes every five seconds for months.

Json of(const stats::Count& count) {
  return Json::array({count.successes, count.trials});
}

Json of(const Figures& f) {
  Json out = Json::array({f.sent, f.unanswered, f.wrong});
  if (f.p99) out.push_back(f.p99->count());
  return out;
}

Json of(const Measured& m) {
  Json out = Json::object();
  if (m.candidate.trials > 0) out["c"] = of(m.candidate);
  if (m.baseline.trials > 0) out["b"] = of(m.baseline);
  for (const auto& segment : m.segments) out["s"].push_back(of(segment));
  if (m.value) out["v"] = *m.value;
  if (m.readings.expected > 0) {
    out["r"] = Json::array({m.readings.expected, m.readings.machine, m.readings.level});
  }
  if (m.interval) out["i"] = Json::array({m.interval->low, m.interval->high});
  return out;
}

std::int64_t us(Duration duration) {
  return duration.count();
}
std::int64_t us(Time at) {
  return at.time_since_epoch().count();
}

struct Writer {
  Json operator()(const Tick& tick) const {
    const Telemetry& t = tick.telemetry;
    Json out = {{"silence", us(t.silence)},
                {"missing", us(t.missing)},
                {"candidate", t.candidate_requests}};
    if (t.candidate.sent > 0) out["c"] = of(t.candidate);
    if (t.baseline.sent > 0) out["b"] = of(t.baseline);
    for (const Reading& r : t.criteria) {
      out["criteria"].push_back(Json::array({of(r.window), of(r.recent)}));
    }
    for (const Measured& m : t.warnings) out["warnings"].push_back(of(m));
    for (const Measured& m : t.reactions) out["reactions"].push_back(of(m));
    return out;
  }
  Json operator()(const Approve& a) const {
    return {{"stage", a.stage},
            {"role", a.role},
            {"person", a.person},
            {"attempt", a.attempt},
            {"report", a.report}};
  }
  Json operator()(const Override& o) const {
    return {{"stage", o.stage},
            {"role", o.role},
            {"person", o.person},
            {"reason", o.reason},
            {"attempt", o.attempt}};
  }
  Json operator()(const Withdraw& w) const {
    return {{"stage", w.stage},
            {"role", w.role},
            {"person", w.person},
            {"reason", w.reason},
            {"attempt", w.attempt}};
  }
  Json operator()(const Command& c) const {
    Json out = {{"kind", static_cast<int>(c.kind)},
                {"role", c.role},
                {"person", c.person},
                {"reason", c.reason},
                {"share", c.share},
                {"stage", c.stage}};
    if (c.start) out["start"] = us(*c.start);
    return out;
  }
  Json operator()(const ReportIncident& r) const {
    return {{"severity", static_cast<int>(r.severity)},
            {"key", r.key},
            {"title", r.title},
            {"source", r.source}};
  }
  Json operator()(const Acknowledge& a) const {
    return {{"incident", a.incident}, {"person", a.person}};
  }
  Json operator()(const Resolve& r) const {
    return {{"incident", r.incident}, {"person", r.person}};
  }
  Json operator()(const CheckResult& r) const {
    return {{"stage", r.stage},
            {"check", static_cast<int>(r.check)},
            {"ok", r.ok},
            {"detail", r.detail}};
  }
  Json operator()(const WorkDone& d) const { return {{"name", d.name}, {"person", d.person}}; }
  Json operator()(const Outcome& o) const {
    return {{"effect", o.effect}, {"ok", o.ok}, {"detail", o.detail}};
  }
  Json operator()(const ReadBack& r) const {
    return r.share ? Json{{"share", *r.share}} : Json::object();
  }
  Json operator()(const SetImpact& i) const {
    return {{"measure", plan::name(i.measure)}, {"estimate", i.estimate}, {"low", i.interval.low},
            {"high", i.interval.high},          {"source", i.source},     {"as_of", us(i.as_of)},
            {"valid_for", us(i.valid_for)},     {"role", i.role},         {"person", i.person}};
  }
};

constexpr std::array<std::string_view, std::variant_size_v<What>> kKinds = {
    "tick",         "approve",   "override", "command",   "incident", "acknowledge", "resolve",
    "check_result", "work_done", "outcome",  "read_back", "impact",   "withdraw"};

constexpr std::array kImpacts = {plan::Measure::kRevenue, plan::Measure::kChurn,
                                 plan::Measure::kEngagement};

stats::Count count(const Json& json) {
  return {whole<std::int64_t>(json.at(0)), whole<std::int64_t>(json.at(1))};
}

Measured measured(const Json& json) {
  Measured out;
  if (json.contains("c")) out.candidate = count(json["c"]);
  if (json.contains("b")) out.baseline = count(json["b"]);
  if (json.contains("s")) {
    for (const Json& segment : json["s"]) out.segments.push_back(count(segment));
  }
  if (json.contains("v")) out.value = json["v"].get<double>();
  if (json.contains("r")) {
    const auto number = [&](std::size_t i) { return whole<std::uint64_t>(json["r"].at(i)); };
    out.readings = {number(0), number(1), number(2)};
  }
  if (json.contains("i")) {
    out.interval = stats::Interval{json["i"].at(0).get<double>(), json["i"].at(1).get<double>()};
  }
  return out;
}

/// A number that names one of `count` things. Throws as nlohmann does.
template <typename Enum>
Enum one_of(const Json& json, std::size_t count) {
  const auto number = whole<std::uint64_t>(json);
  if (number >= count) throw Json::out_of_range::create(401, "no such choice", nullptr);
  return static_cast<Enum>(number);
}

What read(std::string_view kind, const Json& j) {
  const auto text = [&](const char* key) { return j.at(key).get<std::string>(); };
  if (kind == "tick") {
    Telemetry t;
    t.silence = Duration(whole<std::int64_t>(j.at("silence")));
    t.missing = Duration(whole<std::int64_t>(j.at("missing")));
    t.candidate_requests = whole<std::uint64_t>(j.at("candidate"));
    const auto figures = [&](const char* key) {
      Figures f;
      if (!j.contains(key)) return f;
      const Json& of = j[key];
      f.sent = whole<std::uint64_t>(of.at(0));
      f.unanswered = whole<std::uint64_t>(of.at(1));
      f.wrong = whole<std::uint64_t>(of.at(2));
      // No more than were sent: what is read here is divided by.
      if (f.unanswered > f.sent || f.wrong > f.sent - f.unanswered) {
        throw Json::out_of_range::create(401, "more answers than requests", nullptr);
      }
      if (of.size() > 3) f.p99 = Duration(whole<std::int64_t>(of.at(3)));
      return f;
    };
    t.candidate = figures("c");
    t.baseline = figures("b");
    const auto list = [&](const char* key, auto take) {
      if (!j.contains(key)) return;
      for (const Json& entry : j[key]) take(entry);
    };
    list("criteria",
         [&](const Json& e) { t.criteria.push_back({measured(e.at(0)), measured(e.at(1))}); });
    list("warnings", [&](const Json& e) { t.warnings.push_back(measured(e)); });
    list("reactions", [&](const Json& e) { t.reactions.push_back(measured(e)); });
    return Tick{std::move(t)};
  }
  const auto attempt = [&]() -> std::uint64_t {
    return j.contains("attempt") ? whole<std::uint64_t>(j["attempt"]) : 0;
  };
  if (kind == "approve")
    return Approve{text("stage"), text("role"), text("person"), attempt(),
                   j.contains("report") ? text("report") : ""};
  if (kind == "override") {
    return Override{text("stage"), text("role"), text("person"), text("reason"), attempt()};
  }
  if (kind == "withdraw") {
    return Withdraw{text("stage"), text("role"), text("person"), text("reason"), attempt()};
  }
  if (kind == "command") {
    Command out;
    out.kind = one_of<Command::Kind>(j.at("kind"), 6);
    out.role = text("role");
    out.person = text("person");
    out.reason = text("reason");
    out.share = whole<BasisPoints>(j.at("share"));
    out.stage = text("stage");
    if (j.contains("start")) out.start = Time(Duration(whole<std::int64_t>(j["start"])));
    return out;
  }
  if (kind == "incident") {
    return ReportIncident{one_of<Severity>(j.at("severity"), 4), text("key"), text("title"),
                          text("source")};
  }
  if (kind == "acknowledge") {
    return Acknowledge{whole<std::uint64_t>(j.at("incident")), text("person")};
  }
  if (kind == "resolve") return Resolve{whole<std::uint64_t>(j.at("incident")), text("person")};
  if (kind == "check_result") {
    return CheckResult{text("stage"), one_of<plan::Check>(j.at("check"), plan::kChecks),
                       j.at("ok").get<bool>(), text("detail")};
  }
  if (kind == "work_done") return WorkDone{text("name"), text("person")};
  if (kind == "outcome") {
    return Outcome{whole<std::uint64_t>(j.at("effect")), j.at("ok").get<bool>(), text("detail")};
  }
  if (kind == "impact") {
    SetImpact out;
    const auto at =
        std::ranges::find(kImpacts, text("measure"), [](auto m) { return plan::name(m); });
    if (at == kImpacts.end()) throw Json::out_of_range::create(401, "no such measure", nullptr);
    out.measure = *at;
    out.estimate = j.at("estimate").get<double>();
    out.interval = {j.at("low").get<double>(), j.at("high").get<double>()};
    out.source = text("source");
    out.as_of = Time(Duration(whole<std::int64_t>(j.at("as_of"))));
    out.valid_for = Duration(whole<std::int64_t>(j.at("valid_for")));
    out.role = text("role");
    out.person = text("person");
    return out;
  }
  ReadBack out;
  if (j.contains("share")) out.share = whole<BasisPoints>(j["share"]);
  return out;
}

}  // namespace

std::string input_to_json(const Input& input) {
  const Json json = {{"at", us(input.at)},
                     {"kind", kKinds[input.what.index()]},
                     {"input", std::visit(Writer{}, input.what)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Input> input_from_json(std::string_view text) {
  // nlohmann reports by exceptions; they end here.
  try {
    const Json json = Json::parse(text);
    const auto kind = json.at("kind").get<std::string>();
    if (std::ranges::find(kKinds, kind) == kKinds.end()) {
      return fail(Errc::kCorrupt, fmt::format("an input of an unknown kind, '{}'", kind));
    }
    return Input{Time(Duration(whole<std::int64_t>(json.at("at")))), read(kind, json.at("input"))};
  } catch (const Json::exception& e) {
    return fail(Errc::kCorrupt, fmt::format("no input of a journal: {}", e.what()));
  }
}

}  // namespace covey::rollout

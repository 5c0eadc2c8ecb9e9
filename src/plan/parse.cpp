#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "config/document.h"
#include "plan/plan.h"
#include "plan/structure.h"

namespace covey::plan {
namespace {

using config::Document;
using config::Table;
using config::Value;

constexpr std::array<std::string_view, 4> kSeverities = {"critical", "high", "medium", "low"};
constexpr std::array<std::string_view, 4> kChannels = {"alertmanager", "webhook", "slack",
                                                       "cloudevents"};
constexpr std::array<std::string_view, 7> kWeekdays = {
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
constexpr std::array<std::string_view, kChecks> kPreflight = {
    "baseline_healthy", "candidate_healthy", "split_reads_back",
    "telemetry_flows",  "channels_answer",   "same_answers"};

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

std::string read_name(const Value& value) {
  std::string name = value.text();
  if (!name.empty() && !good_name(name)) {
    value.fault("a name has small letters, digits, - and _, at most 64");
  }
  return name;
}

std::vector<std::string> texts(const Value& value) {
  std::vector<std::string> out;
  for (const Value& entry : value.list()) out.push_back(entry.text());
  return out;
}

/// Names of a list, each a reference to be resolved when all are known.
std::vector<std::string> references(const Value& value, Structure& structure, Refers to) {
  std::vector<std::string> out;
  for (const Value& entry : value.list()) {
    out.push_back(entry.text());
    structure.refer(entry, out.back(), to);
  }
  return out;
}

BasisPoints share_of(const Value& value) {
  const double wanted = value.percent(0, 1) * kEveryone;
  if (std::abs(wanted - std::round(wanted)) > 1e-6) {
    value.fault("shares go in steps of 0.01%, the balancer's buckets");
  }
  return static_cast<BasisPoints>(std::lround(wanted));
}

Duration positive(const Value& value) {
  const Duration out = value.duration();
  if (out.count() <= 0) value.fault("must be longer than nothing");
  return out;
}

/// "08:00".
Duration time_of_day(const Value& value) {
  const std::string text = value.text();
  int hour = -1;
  int minute = -1;
  const bool formed =
      text.size() == 5 && text[2] == ':' &&
      std::from_chars(text.data(), text.data() + 2, hour).ptr == text.data() + 2 &&
      std::from_chars(text.data() + 3, text.data() + 5, minute).ptr == text.data() + 5;
  if (!formed || hour < 0 || hour > 23 || minute < 0 || minute > 59) {
    value.fault(fmt::format("'{}' is no time of day: write it as 08:00, in quotes", text));
    return {};
  }
  return std::chrono::hours(hour) + std::chrono::minutes(minute);
}

std::vector<Rule> rules(const Value& value, RuleList list) {
  std::vector<Rule> out;
  for (const Value& entry : value.list()) {
    auto rule = parse_rule(entry.text(), list);
    if (!rule) {
      entry.fault(rule.error().message);
    } else {
      out.push_back(std::move(*rule));
    }
  }
  return out;
}

Service read_service(const Value& value, std::string_view which) {
  Service out;
  Table table = value.table();
  out.title = which;
  if (const auto title = table.get("title")) out.title = title->text();
  if (const auto address = table.require("address", "HOST:PORT it listens on")) {
    out.address = address->text();
  }
  if (const auto health = table.get("health")) out.health = health->text();
  table.done();
  return out;
}

Roster read_roster(const Value& value, const Structure& structure) {
  Roster out;
  Table table = value.table();
  if (const auto within = table.require("acknowledge_within", "before the next one is called")) {
    out.acknowledge_within = positive(*within);
  }
  bool times_known = true;
  if (const auto shifts = table.require("shifts", "who is called when")) {
    for (const Value& entry : shifts->list()) {
      Shift shift;
      Table inner = entry.table();
      if (const auto name = inner.require("name", "of the shift")) shift.name = read_name(*name);
      if (const auto from = inner.require("from", "time of day, UTC")) {
        shift.from = time_of_day(*from);
        times_known &= !from->faulty();
      }
      if (const auto to = inner.require("to", "time of day, UTC")) {
        shift.to = time_of_day(*to);
        times_known &= !to->faulty();
      }
      if (const auto people = inner.require("people", "called in this order")) {
        shift.people = texts(*people);
        if (people->is_list() && shift.people.empty()) people->fault("somebody must be on call");
      }
      inner.done();
      out.shifts.push_back(std::move(shift));
    }
  }
  table.done();
  // Gaps are looked for only where the hours are known.
  if (times_known) structure.check_roster(value, out);
  return out;
}

ImpactSource read_impacts(const Value& value, Structure& structure) {
  ImpactSource out;
  Table table = value.table();
  if (const auto by = table.get("by")) {
    out.by = references(*by, structure, Refers::kRole);
    if (by->is_list() && out.by.empty()) by->fault("nobody could tell what an experiment says");
  }
  if (const auto valid = table.get("valid_for")) out.valid_for = positive(*valid);
  if (const auto from = table.get("experiment")) {
    Table inner = from->table();
    if (const auto name = inner.require("name", "as the analyzer's GET /v1/experiments has it")) {
      out.experiment = name->text();
    }
    if (const auto at = inner.require("address", "HOST:PORT of the analyzer that analyses it")) {
      out.address = at->text();
    }
    if (const auto every = inner.get("every")) out.every = positive(*every);
    const auto metric = [&](const char* key, std::string& to) {
      if (const auto named = inner.get(key)) to = named->text();
    };
    metric("revenue", out.revenue);
    metric("churn", out.churn);
    metric("engagement", out.engagement);
    if (out.revenue.empty() && out.churn.empty() && out.engagement.empty()) {
      inner.fault("name a metric of the experiment: `revenue`, `churn` or `engagement`");
    }
    inner.done();
  }
  table.done();
  return out;
}

Reaction read_reaction(const Value& value) {
  Reaction out;
  Table table = value.table();
  if (const auto when = table.require("when", "the rule")) {
    auto rule = parse_rule(when->text(), RuleList::kWarnings);
    if (!rule) {
      when->fault(rule.error().message);
    } else {
      out.when = std::move(*rule);
    }
  }
  if (const auto severity = table.get("severity")) {
    out.severity = static_cast<Severity>(severity->choice(kSeverities));
  }
  if (const auto share = table.require("share", "of learners it leaves on the candidate"))
    out.share = share_of(*share);
  table.done();
  return out;
}

Stage read_stage(const Value& value, Structure& structure) {
  Stage out;
  Table table = value.table();
  if (const auto name = table.require("name", "of the stage")) {
    out.name = read_name(*name);
    structure.name(*name, out.name);
  }
  if (const auto start = table.require("start", "when it may begin")) out.start = start->time();
  if (const auto share = table.require("share", "of learners on the candidate")) {
    out.share = share_of(*share);
    if (out.share == 0) share->fault("a stage needs learners");
  }
  if (const auto length = table.require("length", "of the window its criteria are judged on")) {
    out.length = positive(*length);
  }
  if (const auto extend = table.get("max_extend")) out.max_extend = extend->duration();
  if (const auto preflight = table.get("preflight")) {
    Table inner = preflight->table();
    if (const auto at = inner.require("at", "when the checks are run")) {
      out.preflight = at->time();
      if (*out.preflight > out.start) at->fault("must not be later than the stage's start");
    }
    if (const auto checks = inner.require("checks", "what is checked by machine")) {
      for (const Value& check : checks->list()) {
        out.checks.push_back(static_cast<Check>(check.choice(kPreflight)));
      }
    }
    inner.done();
  }
  if (const auto checkpoints = table.require("checkpoints", "times after the start")) {
    for (const Value& entry : checkpoints->list()) {
      const Duration at = positive(entry);
      if (!out.checkpoints.empty() && at <= out.checkpoints.back()) {
        entry.fault("checkpoints ascend");
      }
      if (out.length.count() > 0 && at > out.length) {
        entry.fault("lies behind the end of the stage");
      }
      out.checkpoints.push_back(at);
    }
    if (checkpoints->is_list() && !out.checkpoints.empty() && out.checkpoints.back() < out.length) {
      checkpoints->fault("the last one is the end of the stage: the gate");
    }
  }
  if (const auto criteria = table.require("criteria", "what must hold for the whole window")) {
    out.criteria = rules(*criteria, RuleList::kCriteria);
    if (criteria->is_list() && out.criteria.empty()) criteria->fault("at least one");
  }
  if (const auto warnings = table.get("warnings"))
    out.warnings = rules(*warnings, RuleList::kWarnings);
  if (const auto reactions = table.get("reactions")) {
    for (const Value& entry : reactions->list()) {
      out.reactions.push_back(read_reaction(entry));
      if (out.reactions.back().share >= out.share && out.share > 0) {
        entry.fault("a reaction must lower the share");
      }
    }
  }
  if (const auto breached = table.require("breached_for", "before a breach is rolled back")) {
    out.breached_for = positive(*breached);
  }
  if (const auto approvals = table.get("approvals")) {
    out.approvals = references(*approvals, structure, Refers::kRole);
  }
  if (const auto fail = table.get("on_fail")) {
    Table inner = fail->table();
    if (const auto share = inner.get("share")) {
      out.fail_share = share_of(*share);
      if (out.share > 0 && out.fail_share > out.share) {
        share->fault("must not exceed the stage's own");
      }
    }
    if (const auto severity = inner.get("severity")) {
      out.fail_severity = static_cast<Severity>(severity->choice(kSeverities));
    }
    inner.done();
  }
  if (const auto next = table.get("on_pass")) {
    out.on_pass = read_name(*next);
    structure.refer(*next, out.on_pass, Refers::kNext);
  }
  table.done();
  return out;
}

std::vector<Gate> read_gates(const Value& value, Structure& structure, Time from, Time to) {
  std::vector<Gate> out;
  for (const Value& entry : value.list()) {
    Gate gate;
    Table table = entry.table();
    if (const auto name = table.require("name", "of the gate")) {
      gate.name = read_name(*name);
      structure.name(*name, gate.name);
    }
    if (const auto at = table.require("at", "when it is decided")) {
      gate.at = at->time();
      if (!at->faulty() && (gate.at < from || gate.at > to)) at->fault("lies outside its phase");
    }
    if (const auto by = table.require("by", "roles that decide it, all of them")) {
      gate.approvals = references(*by, structure, Refers::kRole);
      if (by->is_list() && gate.approvals.empty()) by->fault("somebody must decide it");
    }
    if (const auto criteria = table.require("criteria", "what the report must show")) {
      gate.criteria = texts(*criteria);
      if (criteria->is_list() && gate.criteria.empty()) criteria->fault("at least one");
    }
    table.done();
    out.push_back(std::move(gate));
  }
  return out;
}

Monitoring read_monitoring(const Value& value, Structure& structure) {
  Monitoring out;
  Table table = value.table();
  if (const auto name = table.require("name", "of the phase")) {
    out.name = read_name(*name);
    structure.name(*name, out.name);
  }
  if (const auto start = table.require("start", "when it begins")) out.start = start->time();
  if (const auto length = table.require("length", "of the phase")) out.length = positive(*length);
  if (const auto daily = table.require("daily", "times of day at which it is looked at")) {
    for (const Value& entry : daily->list()) out.daily.push_back(time_of_day(entry));
  }
  if (const auto review = table.get("review")) {
    Table inner = review->table();
    if (const auto day = inner.require("day", "of the week")) {
      out.review_weekday = static_cast<int>(day->choice(kWeekdays));
    }
    if (const auto at = inner.require("at", "time of day, UTC")) out.review_at = time_of_day(*at);
    inner.done();
  }
  if (const auto criteria = table.require("criteria", "what must hold")) {
    out.criteria = rules(*criteria, RuleList::kCriteria);
  }
  if (const auto gates = table.get("gates")) {
    out.gates = read_gates(*gates, structure, out.start, out.start + out.length);
  }
  if (const auto breached = table.require("breached_for", "before a breach is rolled back")) {
    out.breached_for = positive(*breached);
  }
  if (const auto next = table.get("on_pass")) {
    out.on_pass = read_name(*next);
    structure.refer(*next, out.on_pass, Refers::kNext);
  }
  table.done();
  return out;
}

Work read_work(const Value& value, Structure& structure) {
  Work out;
  Table table = value.table();
  if (const auto name = table.require("name", "of the phase")) {
    out.name = read_name(*name);
    structure.name(*name, out.name);
  }
  out.title = out.name;
  if (const auto title = table.get("title")) out.title = title->text();
  if (const auto start = table.require("start", "when it begins")) out.start = start->time();
  if (const auto length = table.require("length", "of the phase")) out.length = positive(*length);
  const Time end = out.start + out.length;
  if (const auto reports = table.get("reports")) {
    for (const Value& entry : reports->list()) {
      out.reports.push_back(entry.time());
      if (out.reports.back() < out.start || out.reports.back() > end) {
        entry.fault("lies outside the phase");
      }
    }
  }
  if (const auto needs = table.get("needs")) {
    out.needs = references(*needs, structure, Refers::kNeed);
  }
  if (const auto tasks = table.get("tasks")) {
    for (const Value& entry : tasks->list()) {
      Task task;
      Table inner = entry.table();
      if (const auto name = inner.require("name", "of the task")) {
        task.name = read_name(*name);
        structure.name(*name, task.name);
      }
      if (const auto start = inner.require("start", "when it begins")) task.start = start->time();
      if (const auto length = inner.require("length", "of the task")) {
        task.length = positive(*length);
      }
      if (const auto needs = inner.get("needs")) {
        task.needs = references(*needs, structure, Refers::kNeed);
      }
      if (task.start < out.start || task.start + task.length > end) {
        entry.fault("lies outside its phase");
      }
      inner.done();
      out.tasks.push_back(std::move(task));
    }
  }
  if (const auto learners = table.get("learners")) {
    for (const Value& entry : learners->list()) {
      out.learners.push_back(static_cast<std::uint64_t>(entry.integer(1, std::int64_t{1} << 40)));
    }
  }
  if (const auto regions = table.get("regions")) {
    out.regions = static_cast<std::uint32_t>(regions->integer(1, 1'000));
  }
  if (const auto gates = table.get("gates")) {
    out.gates = read_gates(*gates, structure, out.start, end);
  }
  table.done();
  return out;
}

}  // namespace

Result<Plan> parse_plan(std::string file, std::string_view yaml) {
  const Document document = COVEY_TRY(Document::parse(std::move(file), yaml));
  Table top = document.top();
  Plan out;
  Structure structure;
  if (const auto name = top.require("plan", "its name")) out.name = read_name(*name);
  out.title = out.name;
  if (const auto title = top.get("title")) out.title = title->text();
  if (const auto services = top.require("services", "the two that share the traffic")) {
    Table table = services->table();
    if (const auto one = table.require("baseline", "what serves today")) {
      out.baseline = read_service(*one, "baseline");
    }
    if (const auto one = table.require("candidate", "what shall serve")) {
      out.candidate = read_service(*one, "candidate");
    }
    table.done();
  }
  if (const auto balancer = top.require("balancer", "where learners' requests come in")) {
    Table table = balancer->table();
    if (const auto listen = table.require("listen", "HOST:PORT")) out.listen = listen->text();
    table.done();
  }
  if (const auto traffic =
          top.require("traffic", "what is expected, to tell if gates can decide")) {
    Table table = traffic->table();
    if (const auto rate = table.require("requests_per_second", "of all services together")) {
      out.traffic.requests_per_second = rate->number();
      if (out.traffic.requests_per_second <= 0) rate->fault("must be greater than 0");
    }
    if (const auto learners = table.require("learners", "how many there are")) {
      out.traffic.learners =
          static_cast<std::uint64_t>(learners->integer(1, std::int64_t{1} << 40));
    }
    table.done();
  }
  if (const auto alpha = top.get("alpha")) {
    out.alpha = alpha->percent(0, 0.2);
    if (out.alpha <= 0) alpha->fault("must be greater than 0%");
  }
  if (const auto margin = top.get("margin")) out.margin = margin->percent(0, 10);
  if (const auto currency = top.get("currency")) {
    out.currency = currency->text();
    const bool good = out.currency.size() == 3 && std::ranges::all_of(out.currency, [](char c) {
                        return c >= 'A' && c <= 'Z';
                      });
    if (!good && !currency->faulty())
      currency->fault("is three capital letters, as EUR (ISO 4217)");
  }
  if (const auto slot = top.get("slot")) out.slot = positive(*slot);
  if (const auto window = top.get("window")) {
    out.window = positive(*window);
    if (out.window < out.slot) window->fault("must be at least one slot");
  }
  if (const auto segments = top.get("segments")) {
    for (const Value& entry : segments->list()) out.segments.push_back(read_name(entry));
    if (out.segments.size() > kSegmentsMax) {
      segments->fault(fmt::format("at most {}", kSegmentsMax));
    }
  }
  if (const auto roles = top.require("roles", "who decides")) {
    Table table = roles->table();
    for (const auto& [name, value] : table.entries()) {
      Role role;
      role.name = name;
      if (!good_name(name)) value.fault("a name has small letters, digits, - and _, at most 64");
      Table inner = value.table();
      role.title = name;
      if (const auto title = inner.get("title")) role.title = title->text();
      if (const auto people = inner.require("people", "who holds the role")) {
        role.people = texts(*people);
        if (people->is_list() && role.people.empty()) people->fault("nobody holds this role");
      }
      if (const auto decides = inner.get("decides")) role.decides = decides->flag();
      inner.done();
      out.roles.push_back(std::move(role));
    }
    if (std::ranges::none_of(out.roles, &Role::decides)) {
      table.fault("one role must decide (`decides: yes`): who else could start again?");
    }
    table.done();
  }
  if (const auto roster = top.require("roster", "who is called")) {
    out.roster = read_roster(*roster, structure);
  }
  if (const auto channels = top.get("channels")) {
    Table table = channels->table();
    for (const auto& [name, value] : table.entries()) {
      Channel channel;
      channel.name = name;
      Table inner = value.table();
      if (const auto kind = inner.require("kind", "alertmanager, webhook, slack, cloudevents")) {
        channel.kind = static_cast<Channel::Kind>(kind->choice(kChannels));
      }
      if (const auto url = inner.require("url", "where it is sent")) channel.url = url->text();
      inner.done();
      out.channels.push_back(std::move(channel));
    }
  }
  if (const auto source = top.get("prometheus")) {
    Table table = source->table();
    PrometheusSource& to = out.prometheus.emplace();
    const auto text = [&](const char* key, const char* what, std::string& at) {
      if (const auto value = table.require(key, what)) at = value->text();
    };
    text("url", "where Prometheus answers", to.url);
    text("sent", "counts requests", to.sent);
    text("unanswered", "counts those without an answer", to.unanswered);
    text("wrong", "counts wrong answers", to.wrong);
    if (const auto slower = table.require("slower", "counts answers slower than $limit seconds")) {
      to.slower = slower->text();
      if (!slower->faulty() && to.slower.find("$limit") == std::string::npos) {
        slower->fault("must name $limit, the latency in seconds");
      }
    }
    table.done();
  }
  if (const auto impacts = top.get("impacts")) out.impacts = read_impacts(*impacts, structure);
  if (out.impacts.by.empty()) {
    // Who decides may also say what a decision rests on.
    for (const Role& role : out.roles) {
      if (role.decides) out.impacts.by.push_back(role.name);
    }
  }
  if (const auto every = top.get("snapshot_every")) out.snapshot_every = positive(*every);
  if (const auto every = top.get("briefing_every")) out.briefing_every = positive(*every);
  if (const auto stages = top.require("stages", "from the first learner to everyone")) {
    for (const Value& value : stages->list()) {
      out.stages.push_back(read_stage(value, structure));
      structure.stage(value);
    }
    if (stages->is_list() && out.stages.empty()) stages->fault("at least one");
  }
  if (const auto monitoring = top.get("monitoring")) {
    for (const Value& value : monitoring->list()) {
      out.monitoring.push_back(read_monitoring(value, structure));
      structure.monitoring(value);
    }
  }
  if (const auto work = top.get("work")) {
    for (const Value& value : work->list()) {
      out.work.push_back(read_work(value, structure));
      structure.work(value);
    }
  }
  top.done();
  structure.check(out);
  COVEY_TRY_VOID(document.verdict());
  return out;
}

}  // namespace covey::plan

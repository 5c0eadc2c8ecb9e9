#include "experiment/definition.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include <fmt/format.h>

#include "config/document.h"

namespace covey::experiment {
namespace {

using config::Document;
using config::Table;
using config::Value;
using events::EventType;
using std::chrono::microseconds;

constexpr std::array<std::string_view, 4> kKinds = {"mean", "ratio", "proportion", "retention"};
constexpr std::array<std::string_view, 3> kRoles = {"primary", "secondary", "guardrail"};
constexpr std::array<std::string_view, 4> kOf = {"count", "amount", "score", "duration"};
constexpr std::array<std::string_view, 2> kDirections = {"up", "down"};
constexpr std::array<std::string_view, 2> kTypes = {"ab", "aa"};
constexpr std::array<std::string_view, 2> kDecide = {"sequential", "fixed"};
// `any` first: the type's number is its place less one.
constexpr std::array<std::string_view, 8> kEvents = {"any",   "practice", "feedback", "session",
                                                     "enrol", "complete", "withdraw", "purchase"};

/// Buckets of a share, which must be a whole number of them.
std::uint32_t buckets(const Value& value) {
  const double wanted = value.percent(0, 1) * kBuckets;
  if (std::abs(wanted - std::round(wanted)) > 1e-6) {
    value.fault("shares go in steps of 0.01%");
  }
  return static_cast<std::uint32_t>(std::lround(wanted));
}

std::optional<EventType> event_of(const Value& value) {
  const std::size_t at = value.choice(kEvents);
  return at == 0 ? std::nullopt : events::event_type(kEvents[at]);
}

Measure read_measure(Table& table, const Value& place, bool needs_event) {
  Measure out;
  const auto event = needs_event ? table.require("event", "which events count; `any` for all")
                                 : table.get("event");
  if (event) out.event = event_of(*event);
  if (const auto of = table.get("of")) out.of = static_cast<Measure::Of>(of->choice(kOf));
  const auto currency = table.get("currency");
  if (out.of == Measure::Of::kAmount) {
    if (event && out.event != EventType::kPurchase) {
      place.fault("only purchases have an amount; write `event: purchase`");
    }
    if (!currency) {
      place.fault("`currency` is missing: amounts of different currencies are never added up");
    } else {
      out.currency = currency->text();
      if (out.currency.size() != 3 ||
          !std::ranges::all_of(out.currency, [](char c) { return c >= 'A' && c <= 'Z'; })) {
        currency->fault("a currency has three capital letters, such as EUR");
      }
    }
  } else if (currency) {
    currency->fault("only `of: amount` has a currency");
  }
  return out;
}

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
}

Metric read_metric(const std::string& name, const Value& value) {
  Metric metric;
  metric.name = name;
  if (!good_name(name)) value.fault("a metric's name has letters, digits, - _ . and at most 64");
  Table table = value.table();
  metric.title = name;
  std::ranges::replace(metric.title, '_', ' ');
  if (const auto title = table.get("title")) metric.title = title->text();
  const auto kind = table.require("kind", "mean, ratio, proportion or retention");
  if (kind) metric.kind = static_cast<MetricKind>(kind->choice(kKinds));
  if (const auto role = table.get("role")) metric.role = static_cast<Role>(role->choice(kRoles));
  if (const auto good = table.get("good")) metric.higher_is_better = good->choice(kDirections) == 0;
  const auto only_for = [&](std::string_view key, bool allowed, std::string_view kinds) {
    auto given = table.get(key);
    if (given && !allowed) given->fault(fmt::format("only {} have this", kinds));
    return given;
  };
  switch (metric.kind) {
    case MetricKind::kMean:
    case MetricKind::kProportion:
      metric.what = read_measure(table, value, true);
      break;
    case MetricKind::kRetention:
      metric.what = read_measure(table, value, false);
      break;
    case MetricKind::kRatio: {
      for (const auto& [key, measure, why] :
           {std::tuple("numerator", &metric.what, "what is summed"),
            std::tuple("denominator", &metric.per, "what that is divided by")}) {
        if (const auto part = table.require(key, why)) {
          Table inner = part->table();
          *measure = read_measure(inner, *part, true);
          inner.done();
        }
      }
      break;
    }
  }
  const bool counts_learners =
      metric.kind == MetricKind::kProportion || metric.kind == MetricKind::kRetention;
  if (counts_learners && metric.what.of != Measure::Of::kCount) {
    value.fault("a share of learners counts who has such an event; leave out `of`");
  }
  if (metric.kind == MetricKind::kMean) metric.winsorize = 0.99;
  if (const auto at = only_for("winsorize", metric.kind == MetricKind::kMean, "means")) {
    metric.winsorize = at->percent(0.5, 1);
    if (*metric.winsorize == 1) metric.winsorize.reset();
  }
  const bool retention = metric.kind == MetricKind::kRetention;
  const auto from = only_for("from", retention, "retention metrics");
  const auto to = only_for("to", retention, "retention metrics");
  if (retention) {
    if (!from || !to) {
      value.fault("retention needs `from` and `to`, times after exposure, such as 7d and 14d");
    } else {
      metric.from = from->duration();
      metric.to = to->duration();
      if (metric.to <= metric.from) to->fault("must be later than `from`");
    }
  }
  const auto margin = table.get("margin");
  if (metric.role == Role::kGuardrail) {
    if (!margin) {
      value.fault(
          "`margin` is missing: how much worse, as a share of the control's, is still fine");
    } else {
      metric.margin = margin->percent(0, 1);
    }
  } else if (margin) {
    margin->fault("only guardrails have a margin");
  }
  table.done();
  return metric;
}

void read_assignment(Table& top, Experiment& out, const Document&) {
  out.assignment.seed = seed_of(out.name);
  const auto salt = top.get("salt");
  const auto layer = top.get("layer");
  if (salt) out.assignment.seed = seed_of(salt->text());
  if (layer) {
    out.assignment.seed = seed_of(layer->text());
    if (salt) salt->fault("a layer has its own salt; give one of the two");
  }
  if (const auto range = top.get("range")) {
    Table table = range->table();
    if (const auto from = table.get("from")) out.assignment.begin = buckets(*from);
    if (const auto to = table.get("to")) out.assignment.end = buckets(*to);
    table.done();
    if (out.assignment.begin >= out.assignment.end) {
      range->fault("`from` must be below `to`");
      out.assignment.begin = 0;
      out.assignment.end = kBuckets;
    }
    if (!layer) range->fault("only a layer is shared: give `layer` too");
  }
  const std::uint32_t room = out.assignment.end - out.assignment.begin;
  out.arms = {"control", "treatment"};
  out.assignment.control = out.assignment.treatment = room / 2;
  if (const auto arms = top.get("arms")) {
    Table table = arms->table();
    for (const auto& [arm, name, why] :
         {std::tuple(Arm::kControl, "control", "what there is now"),
          std::tuple(Arm::kTreatment, "treatment", "what is tried")}) {
      const auto given = table.require(name, why);
      if (!given) continue;
      Table inner = given->table();
      if (const auto title = inner.get("title")) {
        out.arms[static_cast<std::size_t>(arm)] = title->text();
      }
      if (const auto share = inner.require("share", "of all learners, such as 50%")) {
        const std::uint32_t count = buckets(*share);
        if (count == 0) share->fault("an arm needs learners");
        (arm == Arm::kControl ? out.assignment.control : out.assignment.treatment) = count;
      }
      inner.done();
    }
    table.done();
    if (out.assignment.control + out.assignment.treatment > room) {
      arms->fault(fmt::format("the shares add up to {}%, more than the experiment's {}%",
                              (out.assignment.control + out.assignment.treatment) / 100.0,
                              room / 100.0));
    }
  }
  if (const auto holdout = top.get("holdout")) out.assignment.holdout = buckets(*holdout);
}

void read_exclusions(Table& top, Experiment& out) {
  const auto exclude = top.get("exclude");
  if (!exclude) return;
  Table table = exclude->table();
  for (const auto& [attribute, values] : table.entries()) {
    Exclusion exclusion{attribute, {}};
    if (values.is_list()) {
      for (const Value& value : values.list()) exclusion.values.push_back(value.text());
    } else {
      exclusion.values.push_back(values.text());
    }
    out.exclude.push_back(std::move(exclusion));
  }
}

}  // namespace

std::string_view name(MetricKind kind) {
  return kKinds[static_cast<std::size_t>(kind)];
}
std::string_view name(Role role) {
  return kRoles[static_cast<std::size_t>(role)];
}

Result<Experiment> parse_experiment(std::string file, std::string_view yaml) {
  const Document document = COVEY_TRY(Document::parse(std::move(file), yaml));
  Table top = document.top();
  Experiment out;
  if (const auto name = top.require("experiment", "its name, which also salts the assignment")) {
    out.name = name->text();
    if (!good_name(out.name)) name->fault("letters, digits, - _ . and at most 64 of them");
  }
  if (const auto question = top.get("question")) out.question = question->text();
  if (const auto type = top.get("type")) out.is_aa = type->choice(kTypes) == 1;
  read_assignment(top, out, document);
  read_exclusions(top, out);
  if (const auto start = top.require("start", "when learners begin to be assigned")) {
    out.start = start->time();
  }
  if (const auto end = top.get("end")) {
    out.end = end->time();
    if (*out.end <= out.start) end->fault("must be later than `start`");
  }
  if (const auto exposure = top.get("exposure")) {
    Table table = exposure->table();
    if (const auto event = table.require("event", "the event that lets a learner in; or any")) {
      out.exposure = event_of(*event);
    }
    table.done();
  }
  if (const auto window = top.get("window")) {
    out.window = window->duration();
    if (out.window->count() <= 0) window->fault("must be longer than nothing");
  }
  if (const auto pre = top.get("pre_period")) out.pre_period = pre->duration();
  if (const auto alpha = top.get("alpha")) {
    out.alpha = alpha->percent(0, 1);
    if (out.alpha <= 0 || out.alpha > 0.2) {
      alpha->fault("must lie above 0% and at most at 20%; 5% is usual");
      out.alpha = 0.05;
    }
  }
  if (const auto decide = top.get("decide")) out.sequential = decide->choice(kDecide) == 0;
  if (!out.sequential && !out.end) {
    top.fault("`end` is missing: a fixed-horizon decision is taken once, at the end");
  }
  if (const auto tune = top.get("tune")) {
    out.tune = static_cast<double>(tune->integer(2, std::int64_t{1} << 40));
  }
  if (const auto mde = top.get("mde")) {
    out.mde = mde->percent(0, 10);
    if (out.mde <= 0) mde->fault("must be greater than 0%");
  }
  if (const auto metrics = top.require("metrics", "what is measured")) {
    Table table = metrics->table();
    for (const auto& [name, value] : table.entries()) {
      out.metrics.push_back(read_metric(name, value));
    }
    if (metrics->is_table() && out.metrics.empty()) metrics->fault("at least one is needed");
    if (out.metrics.size() > kMetricsMax) {
      metrics->fault(fmt::format("at most {} of them", kMetricsMax));
    }
    if (!out.metrics.empty() && std::ranges::none_of(out.metrics, [](const Metric& m) {
          return m.role == Role::kPrimary;
        })) {
      metrics->fault("one needs `role: primary`: the metric that decides");
    }
  }
  if (const auto segments = top.get("segments")) {
    for (const Value& segment : segments->list()) {
      const std::string attribute = segment.text();
      if (std::ranges::find(out.segments, attribute) != out.segments.end()) {
        segment.fault("named twice");
      }
      out.segments.push_back(attribute);
    }
    if (out.segments.size() > kSegmentsMax) {
      segments->fault(fmt::format("at most {} of them", kSegmentsMax));
    }
  }
  if (const auto impact = top.get("impact")) {
    Table table = impact->table();
    Impact read;
    if (const auto metric = table.require("metric", "whose money is meant")) {
      const std::string wanted = metric->text();
      const auto found = std::ranges::find(out.metrics, wanted, &Metric::name);
      if (found == out.metrics.end()) {
        metric->fault("no metric has this name");
      } else if (found->kind != MetricKind::kMean || found->what.of != Measure::Of::kAmount) {
        metric->fault("money needs a mean of amounts");
      } else {
        read.metric = static_cast<std::size_t>(found - out.metrics.begin());
      }
    }
    if (const auto traffic = table.get("traffic")) {
      read.traffic = traffic->percent(0, 1);
      if (read.traffic <= 0) traffic->fault("must be greater than 0%");
    } else {
      read.traffic =
          (out.assignment.control + out.assignment.treatment) / static_cast<double>(kBuckets);
    }
    table.done();
    out.impact = read;
  }
  top.done();
  COVEY_TRY_VOID(document.verdict());
  return out;
}

}  // namespace covey::experiment

#include <nlohmann/json.hpp>

#include "experiment/report.h"
#include "experiment/wording.h"

namespace covey::experiment {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json maybe(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}
Json maybe(const std::optional<stats::Interval>& interval) {
  return interval ? Json::array({interval->low, interval->high}) : Json(nullptr);
}

Json to_json(const ArmSummary& arm) {
  return {{"n", arm.n}, {"mean", arm.mean}, {"with_value", arm.events}};
}

Json to_json(const Estimate& e) {
  return {{"status", stats::name(e.status)}, {"method", e.method},
          {"diff", maybe(e.diff)},           {"diff_interval", maybe(e.diff_interval)},
          {"lift", maybe(e.lift)},           {"lift_interval", maybe(e.lift_interval)},
          {"p_value", maybe(e.p_value)}};
}

Json to_json(const Analysis& a, const MetricResult& result) {
  const Metric& metric = a.experiment.metrics[result.metric];
  const Estimate& decides = deciding(a.experiment, result);
  Json out = {{"name", metric.name},
              {"title", metric.title},
              {"kind", name(metric.kind)},
              {"role", name(metric.role)},
              {"good", metric.higher_is_better ? "up" : "down"},
              {"control", to_json(result.control)},
              {"treatment", to_json(result.treatment)},
              {"lift", maybe(decides.lift)},
              {"interval", maybe(decides.lift_interval)},
              {"p_value", maybe(decides.p_value)},
              {"p_decides", maybe(result.p_decides)},
              {"sequential", to_json(result.sequential)},
              {"fixed_horizon", to_json(result.fixed)},
              {"has_enough_events", result.has_enough_events}};
  out["cuped"] = {{"theta", maybe(result.theta)}, {"variance_ratio", maybe(result.variance_ratio)}};
  out["winsorized"] = {{"at", maybe(result.clipped_at)}, {"learners", result.clipped}};
  if (result.guardrail) {
    const auto& gate = *result.guardrail;
    out["guardrail"] = {{"verdict", stats::name(gate.verdict)},
                        {"margin", metric.margin},
                        {"log_e_pass", gate.log_e_pass},
                        {"log_e_fail", gate.log_e_fail},
                        {"more_learners", maybe(gate.more_needed)}};
  }
  out["detectable_lift"] = maybe(result.detectable);
  out["days_more"] = maybe(result.days_more);
  out["segments"] = Json::array();
  for (const SegmentResult& segment : result.segments) {
    out["segments"].push_back({{"attribute", segment.attribute},
                               {"value", segment.value},
                               {"control", to_json(segment.control)},
                               {"treatment", to_json(segment.treatment)},
                               {"lift", maybe(segment.estimate.lift)},
                               {"interval", maybe(segment.estimate.lift_interval)},
                               {"p_value", maybe(segment.estimate.p_value)},
                               {"p_adjusted", maybe(segment.p_adjusted)},
                               {"status", stats::name(segment.estimate.status)}});
  }
  if (!result.running.empty()) {
    out["running"] = Json::array();
    for (const RunningPoint& point : result.running) {
      out["running"].push_back({{"at", format_time(point.at)},
                                {"n", point.n},
                                {"lift", maybe(point.lift)},
                                {"interval", maybe(point.interval)}});
    }
  }
  return out;
}

}  // namespace

std::string to_json(const Analysis& a) {
  const Experiment& e = a.experiment;
  const MetricResult& first = a.metrics[Collection::first_primary(e)];
  const Estimate& decides = deciding(e, first);
  Json out = {{"experiment", e.name},
              {"type", e.is_aa ? "aa" : "ab"},
              {"as_of", format_time(a.as_of)},
              {"start", format_time(e.start)},
              {"end", e.end ? Json(format_time(*e.end)) : Json(nullptr)},
              {"days", a.days},
              {"verdict", name(a.decision)},
              {"sentence", a.verdict},
              {"next", a.next},
              // Of the first primary metric, by the way of deciding.
              {"decide", e.sequential ? "sequential" : "fixed"},
              {"alpha", e.alpha},
              {"metric", e.metrics[first.metric].name},
              {"lift", maybe(decides.lift)},
              {"interval", maybe(decides.lift_interval)},
              {"p", maybe(decides.p_value)},
              {"srm",
               {{"learners", a.ratio.learners},
                {"planned", a.ratio.planned},
                {"status", stats::name(a.ratio.status)},
                {"p_value", maybe(a.ratio.p_value)},
                {"p_value_fixed", maybe(a.ratio.p_value_fixed)},
                {"alarm", a.ratio.alarm}}},
              {"adjusted_for", a.adjusted},
              {"notes", a.notes}};
  out["metrics"] = Json::array();
  for (const MetricResult& result : a.metrics) out["metrics"].push_back(to_json(a, result));
  out["segments"] = out["metrics"][first.metric]["segments"];
  if (a.impact && e.impact) {
    out["annual_impact"] = {{"metric", e.metrics[e.impact->metric].name},
                            {"currency", e.metrics[e.impact->metric].what.currency},
                            {"status", stats::name(a.impact->status)},
                            {"amount", maybe(a.impact->impact)},
                            {"interval", maybe(a.impact->interval)},
                            {"interval_method", "fixed_horizon"}};
  }
  out["events"] = a.events;
  out["excluded"] = a.excluded;
  out["memory_bytes"] = a.memory_bytes;
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace covey::experiment

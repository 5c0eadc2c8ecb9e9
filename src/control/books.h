#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "plan/plan.h"
#include "rollout/measure.h"
#include "rollout/state.h"
#include "telemetry/history.h"
#include "telemetry/latencies.h"

namespace covey::control {

using Json = nlohmann::ordered_json;

/// What the controller knows, for those who only read: the status, the reports, the metrics.
struct Books {
  const plan::Plan& plan;
  const rollout::State& state;
  const telemetry::History& history;
  const telemetry::Latencies& latencies;
  const std::deque<Json>& decisions;  ///< as the journal has them, oldest first
  std::uint64_t records = 0;          ///< of the journal
  std::string head;                   ///< of its chain
  Time now{};
  std::string trouble = {};  ///< with the source of telemetry; empty: none
};

/// What one arm showed within a window.
struct Figures {
  telemetry::Arm arm = telemetry::Arm::kBaseline;
  std::optional<std::size_t> segment;  ///< nothing: all
  std::uint64_t requests = 0, unanswered = 0, wrong = 0;
  double per_second = 0;  ///< over the time that is not missing
  std::optional<double> error_rate, availability;
  std::array<std::uint64_t, telemetry::kFaults> faults = {};  ///< of each telemetry::Fault
  /// Quantiles of the answered, seconds; only over all segments.
  std::array<std::optional<double>, 4> latency = {};
  static constexpr std::array<double, 4> kQuantiles = {0.5, 0.95, 0.99, 0.999};
  std::optional<double> cpu, memory, network, cache_hits;  ///< fractions
  /// Per minute of known time: what the arm's learners paid (the plan's currency), and how often
  /// they practised. Only over all segments.
  std::optional<double> revenue_per_minute, practice_per_minute;
  /// Of the complete slots in which the arm was asked, those with an answer: what an SLA counts.
  /// Availability, which gates judge, counts requests. Only over all segments.
  std::uint64_t slots_down = 0;
  std::optional<double> uptime;
};

/// Figures over (from, to], as far as that is kept: `from` and `to` are narrowed to what is
/// counted. Nothing: no telemetry of it.
struct Window {
  Time from{}, to{};
  telemetry::Duration missing{};
  Figures baseline, candidate;
  std::vector<Figures> segments;  ///< of both arms, those with requests
};
std::optional<Window> figures(const Books& books, Time from, Time to);
/// How much more, relatively, the candidate's learners paid than the baseline's, each per request
/// served, for the arms differ in size: requests and learners are told apart by the same split.
/// Nothing where either has none. A reading, not a gate: those judge revenue per learner by an
/// experiment.
std::optional<double> revenue_delta(const Window& window);
/// The sliding window that ends with the newest slot.
std::optional<Window> sliding(const Books& books);
Json to_json(const Window& window, const telemetry::Shape& shape);

/// The target that answers with the same figures: a report names it beside them.
std::string figures_query(Time from, Time to);

/// One word for what goes on: waiting, running, held, failed, passed, finished, rolling back,
/// rolled back.
std::string_view situation(const Books& books);
/// GET /v1/rollout. Of decisions and incidents the newest 50; history() has the rest.
Json status(const Books& books);
/// Decisions of (from, to] and incidents open within it, newest first, at most `limit` of each.
Json history(const Books& books, Time from, Time to, std::size_t limit);
/// Figures of the equal parts of (from, to], at most one more than `steps`: whole slots on their
/// edges, whole minutes where `from` is older than an hour and whole hours beyond two days, so that
/// the first may begin before `from` and the last end after `to`.
Json series(const Books& books, Time from, Time to, std::size_t steps);

}  // namespace covey::control

#include "control/metrics.h"

#include <algorithm>

#include <fmt/format.h>

#include "http/exposition.h"

namespace covey::control {
namespace {

using telemetry::seconds;

void write_window(http::Exposition& out, const Window& window) {
  const auto per_arm = [&](std::string_view name, std::string_view help, auto value) {
    out.family(name, help, false);
    for (const Figures* f : {&window.baseline, &window.candidate}) {
      const std::optional<double> v = value(*f);
      if (v) out.gauge(name, help, *v, {{"arm", std::string(telemetry::name(f->arm))}});
    }
  };
  per_arm("covey_rollout_requests_per_second", "Requests of the sliding window.",
          [](const Figures& f) { return std::optional(f.per_second); });
  per_arm("covey_rollout_error_rate", "Wrong answers over answers, of the sliding window.",
          [](const Figures& f) { return f.error_rate; });
  per_arm("covey_rollout_availability", "Answered over sent, of the sliding window.",
          [](const Figures& f) { return f.availability; });
  per_arm("covey_rollout_cache_hit_ratio", "Look-ups answered with a cohort, of the window.",
          [](const Figures& f) { return f.cache_hits; });
  per_arm("covey_rollout_cpu_ratio", "Busy part of the arm's machine, of the window.",
          [](const Figures& f) { return f.cpu; });
  per_arm("covey_rollout_memory_ratio", "Used part of the memory of the arm's machine.",
          [](const Figures& f) { return f.memory; });
  per_arm("covey_rollout_revenue_per_minute", "Paid by the arm's learners, in the plan's currency.",
          [](const Figures& f) { return f.revenue_per_minute; });
  per_arm("covey_rollout_practice_per_minute", "Practice events of the arm's learners.",
          [](const Figures& f) { return f.practice_per_minute; });
  for (const Figures* f : {&window.baseline, &window.candidate}) {
    for (std::size_t i = 0; i < f->latency.size(); ++i) {
      if (!f->latency[i]) continue;
      out.gauge("covey_rollout_latency_seconds", "Quantiles of the sliding window.", *f->latency[i],
                {{"arm", std::string(telemetry::name(f->arm))},
                 {"quantile", fmt::format("{}", Figures::kQuantiles[i])}});
    }
  }
}

}  // namespace

std::string metrics(const Books& books, Time since) {
  const rollout::State& s = books.state;
  http::Exposition out;
  out.gauge("covey_rollout_share_wanted", "Share of learners meant for the candidate, 0 to 1.",
            rollout::wanted_share(books.plan, s) / 10'000.0);
  if (s.seen) {
    out.gauge("covey_rollout_share_seen", "Share that the balancer holds, 0 to 1.",
              *s.seen / 10'000.0);
  }
  out.gauge("covey_rollout_rolled_back", "1 after a roll back, until somebody starts again.",
            s.rolled_back ? 1 : 0);
  out.gauge("covey_rollout_held", "1 while somebody or a gate holds.",
            situation(books) == "held" ? 1 : 0);
  for (std::size_t i = 0; i < s.phases.size(); ++i) {
    out.gauge("covey_rollout_phase", "Standing of each phase; 1 for the one that is so.", 1,
              {{"phase", std::string(rollout::phase_view(books.plan, i).name())},
               {"status", std::string(rollout::name(s.phases[i].status))}});
  }
  for (const auto severity : {plan::Severity::kCritical, plan::Severity::kHigh,
                              plan::Severity::kMedium, plan::Severity::kLow}) {
    const auto open = std::ranges::count_if(s.incidents, [&](const rollout::Incident& i) {
      return i.open() && i.severity == severity;
    });
    out.gauge("covey_rollout_incidents_open", "Open incidents by severity.",
              static_cast<double>(open), {{"severity", std::string(plan::name(severity))}});
  }
  // Always there: an alert on a figure that is missing would stay quiet in the worst case.
  const Time heard = books.history.last_complete().value_or(since);
  out.gauge("covey_rollout_telemetry_age_seconds",
            "Since the last complete slot of telemetry, or since the start where none came.",
            std::max(0.0, seconds(books.now - heard)));
  if (s.at < s.phases.size() && s.phases[s.at].extended_from) {
    out.gauge("covey_rollout_gate_undecided_seconds",
              "Since the running phase's gate was undecided.",
              seconds(books.now - *s.phases[s.at].extended_from));
  }
  if (const auto window = sliding(books)) write_window(out, *window);
  return out.text();
}

void RequestCounts::add(std::string_view route, http::Method method, unsigned status) {
  const std::lock_guard lock(mutex_);
  ++counts_[{route, method, status}];
}

void RequestCounts::write(http::Exposition& out) const {
  constexpr std::string_view kName = "covey_control_requests_total";
  constexpr std::string_view kHelp =
      "Requests answered by the control plane; streams at their end.";
  out.family(kName, kHelp, true);
  const std::lock_guard lock(mutex_);
  for (const auto& [key, count] : counts_) {
    const auto& [route, method, status] = key;
    out.counter(kName, kHelp, static_cast<double>(count),
                {{"route", std::string(route)},
                 {"method", std::string(http::name(method))},
                 {"code", std::to_string(status)}});
  }
}

}  // namespace covey::control

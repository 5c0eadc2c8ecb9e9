#include "rollout/gate.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"

namespace covey::rollout {
namespace {

using plan::Kind;
using plan::Measure;
using plan::Rule;
using stats::Count;
using stats::Verdict;

double rate_of(const Count& count) {
  return static_cast<double>(count.successes) / static_cast<double>(count.trials);
}

/// A rate of bad requests as the criterion's own measure says it.
std::string rate_text(const Rule& rule, const Count& count) {
  if (count.trials == 0) return "no requests";
  const std::string requests = grouped(static_cast<std::uint64_t>(count.trials)) + " requests";
  const double rate = rate_of(count);
  switch (rule.measure) {
    case Measure::kP99:
    case Measure::kP95:
      return fmt::format("{:.3g}% of {} slower than {}", 100 * rate, requests,
                         plan::limit_text(rule));
    case Measure::kAvailability:
      return fmt::format("{} of {}", plan::value_text(rule.measure, 1 - rate), requests);
    default:
      return fmt::format("{} of {}", plan::value_text(rule.measure, rate), requests);
  }
}

/// Fails where `log_e` reaches the level of one criterion among all.
bool shown_bad(double log_e, const GateLevels& levels) {
  return log_e >= std::log(static_cast<double>(levels.criteria) / levels.alpha);
}

void judge_rate(const Rule& rule, const Measured& m, const GateLevels& levels, Evidence& out) {
  out.text = rate_text(rule, m.candidate);
  const auto gate = stats::rate_gate(m.candidate, plan::limit_rate(rule), levels.alpha);
  if (!gate) return;
  out.log_e_pass = gate->log_e_pass;
  out.log_e_fail = gate->log_e_fail;
  out.more_needed = gate->more_needed;
  if (gate->observed) {
    out.value = rule.measure == Measure::kAvailability ? 1 - *gate->observed : *gate->observed;
  }
  if (shown_bad(gate->log_e_fail, levels)) {
    out.verdict = Verdict::kFail;
    return;
  }
  if (gate->verdict == Verdict::kPass) out.verdict = Verdict::kPass;
  if (m.candidate.trials == 0 || m.baseline.trials == 0) return;
  const double all = static_cast<double>(m.candidate.trials + m.baseline.trials);
  const std::array<stats::ComparisonStage, 1> stage = {
      {{m.candidate.successes, m.baseline.successes,
        static_cast<double>(m.candidate.trials) / all}}};
  const auto compared = stats::comparison_gate(stage, levels.margin, levels.alpha);
  if (compared && shown_bad(compared->log_e_fail, levels)) {
    out.verdict = Verdict::kFail;
    out.log_e_fail = compared->log_e_fail;
    // A multiple of nothing says nothing.
    out.text += m.baseline.successes == 0
                    ? fmt::format(", against none of the baseline's {}", m.baseline.trials)
                    : fmt::format(", {:.3g} times the baseline's",
                                  rate_of(m.candidate) / rate_of(m.baseline));
  }
}

void judge_spread(const Rule& rule, const Measured& m, const GateLevels& levels, Evidence& out) {
  const auto gate = stats::spread_gate(m.segments, rule.limit, levels.alpha);
  if (!gate) {
    out.text = "fewer than two segments";
    return;
  }
  out.log_e_pass = gate->log_e_pass;
  out.log_e_fail = gate->log_e_fail;
  out.more_needed = gate->more_needed;
  out.value = gate->observed;
  const auto judged = std::ranges::count(gate->judged, true);
  out.text = gate->observed
                 ? fmt::format("{:.2g} points between {} segments", 100 * *gate->observed, judged)
                 : fmt::format("{} segments with enough requests", judged);
  if (shown_bad(gate->log_e_fail, levels)) {
    out.verdict = Verdict::kFail;
  } else if (gate->verdict == Verdict::kPass) {
    out.verdict = Verdict::kPass;
  }
}

void judge_level(const Rule& rule, const Measured& m, Evidence& out) {
  const Readings& r = m.readings;
  const auto enough = [&](std::uint64_t came) {
    return r.expected > 0 &&
           static_cast<double>(came) >= kLevelCoverage * static_cast<double>(r.expected);
  };
  out.value = m.value;
  if (!m.value) {
    if (rule.measure == Measure::kNetwork && r.machine > 0) {
      // Virtual machines often know none.
      out.text =
          "not measured: the machine does not know its link's speed. Set it (ethtool -s), or take "
          "the criterion out of the plan";
    } else if (rule.measure == Measure::kCacheHits && r.machine > 0) {
      out.text = "not measured: no look-up was told";
    } else {
      out.text = fmt::format("not measured: none of {} readings came", r.expected);
    }
    return;
  }
  out.text = plan::value_text(rule.measure, *m.value);
  if (!enough(r.level)) {
    out.text += fmt::format(" in {} of {} readings: too few to speak for all", r.level, r.expected);
    return;
  }
  out.verdict = plan::satisfies(rule, *m.value) ? Verdict::kPass : Verdict::kFail;
}

}  // namespace

std::optional<double> seen_value(const Rule& rule, const Measured& measured) {
  if (plan::kind_of(rule.measure) != Kind::kEvidence) return measured.value;
  if (rule.measure == Measure::kSegmentSpread) {
    double low = 1, high = 0;
    int judged = 0;
    for (const Count& c : measured.segments) {
      if (c.trials < 100) continue;
      low = std::min(low, rate_of(c));
      high = std::max(high, rate_of(c));
      ++judged;
    }
    if (judged < 2) return std::nullopt;
    return high - low;
  }
  if (measured.candidate.trials == 0) return std::nullopt;
  const double rate = rate_of(measured.candidate);
  return rule.measure == Measure::kAvailability ? 1 - rate : rate;
}

Evidence judge(const Rule& criterion, const Measured& measured, const GateLevels& levels) {
  Evidence out;
  out.criterion = criterion.text;
  switch (plan::kind_of(criterion.measure)) {
    case Kind::kEvidence:
      if (criterion.measure == Measure::kSegmentSpread) {
        judge_spread(criterion, measured, levels, out);
      } else {
        judge_rate(criterion, measured, levels, out);
      }
      return out;
    case Kind::kGauge:
      judge_level(criterion, measured, out);
      return out;
    case Kind::kCount:
      if (!measured.value) {
        out.text = "not measured";
        return out;
      }
      out.value = measured.value;
      out.text = plan::value_text(criterion.measure, *measured.value);
      out.verdict = plan::satisfies(criterion, *measured.value) ? Verdict::kPass : Verdict::kFail;
      return out;
    case Kind::kImpact:
      if (!measured.value || !measured.interval) {
        out.text = measured.note.empty() ? "not measured" : "not measured: " + measured.note;
        return out;
      }
      out.value = measured.value;
      out.text =
          fmt::format("{} ({} to {}){}{}", plan::value_text(criterion.measure, *measured.value),
                      plan::value_text(criterion.measure, measured.interval->low),
                      plan::value_text(criterion.measure, measured.interval->high),
                      measured.note.empty() ? "" : ", ", measured.note);
      if (plan::satisfies(criterion, measured.interval->low) &&
          plan::satisfies(criterion, measured.interval->high)) {
        out.verdict = Verdict::kPass;
      } else if (!plan::satisfies(criterion, measured.interval->low) &&
                 !plan::satisfies(criterion, measured.interval->high)) {
        out.verdict = Verdict::kFail;
      }
      return out;
  }
  return out;
}

bool breached(const Rule& criterion, const Measured& recent, const GateLevels& levels) {
  switch (plan::kind_of(criterion.measure)) {
    case Kind::kImpact:
    case Kind::kCount:
      return false;  // incidents are answered by reactions, impact by the gate
    case Kind::kGauge:
      return recent.value && !plan::satisfies(criterion, *recent.value);
    case Kind::kEvidence:
      break;
  }
  // No evidence can speak against a rate within its limit, and nearly every tick is such a one.
  if (criterion.measure == Measure::kSegmentSpread) {
    const auto spread = seen_value(criterion, recent);
    if (!spread || *spread <= criterion.limit) return false;
    const auto gate = stats::spread_gate(recent.segments, criterion.limit, levels.alpha);
    return gate && shown_bad(gate->log_e_fail, levels);
  }
  const double limit = plan::limit_rate(criterion);
  if (recent.candidate.trials == 0 || rate_of(recent.candidate) <= limit) return false;
  const auto gate = stats::rate_gate(recent.candidate, limit, levels.alpha);
  return gate && shown_bad(gate->log_e_fail, levels);
}

bool absent(const Rule& criterion, const Measured& recent, std::uint64_t slots_of_window) {
  if (plan::kind_of(criterion.measure) != Kind::kGauge) return false;
  // Where requests of the time are not known either, it is silence.
  const bool known =
      recent.readings.expected > 0 && 2 * recent.readings.expected >= slots_of_window;
  return known && recent.readings.machine == 0 && !recent.value;
}

bool beyond(const Rule& rule, const Measured& recent, const GateLevels& levels, bool shown) {
  if (plan::kind_of(rule.measure) != Kind::kEvidence) {
    return recent.value && plan::satisfies(rule, *recent.value);
  }
  if (rule.measure == Measure::kSegmentSpread) {
    const auto spread = seen_value(rule, recent);
    return spread && *spread > rule.limit && (!shown || breached(rule, recent, levels));
  }
  if (recent.candidate.trials == 0 || rate_of(recent.candidate) <= plan::limit_rate(rule)) {
    return false;
  }
  return !shown || breached(rule, recent, levels);
}

}  // namespace covey::rollout

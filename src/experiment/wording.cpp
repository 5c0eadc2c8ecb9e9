#include "experiment/wording.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "config/units.h"

namespace covey::experiment {
namespace {

std::string with_commas(double value) {
  std::string digits = fmt::format("{:.0f}", std::abs(value));
  for (std::ptrdiff_t at = std::ssize(digits) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return (value < 0 ? "-" : "") + digits;
}

const Metric& metric_of(const Analysis& a, const MetricResult& result) {
  return a.experiment.metrics[result.metric];
}

/// +1: better, -1: worse, 0: not shown.
int shown(const Analysis& a, const MetricResult& result) {
  const Estimate& e = deciding(a.experiment, result);
  if (!result.p_decides || *result.p_decides >= a.experiment.alpha || !e.diff) return 0;
  return (*e.diff > 0) == metric_of(a, result).higher_is_better ? 1 : -1;
}

std::string level(const Analysis& a) {
  return fmt::format("{:g} %", 100 * (1 - a.experiment.alpha));
}

/// "revenue is +5.8 % (95 % interval +3.1 % to +8.6 %)"
std::string says(const Analysis& a, const MetricResult& result) {
  const Estimate& e = deciding(a.experiment, result);
  const Metric& metric = metric_of(a, result);
  if (e.lift && e.lift_interval) {
    return fmt::format("{} {} ({} interval {})", metric.title, percent(*e.lift), level(a),
                       percent(*e.lift_interval));
  }
  if (e.diff && e.diff_interval) {
    return fmt::format("{} {:+.4g} ({} interval {:+.4g} to {:+.4g})", metric.title, *e.diff,
                       level(a), e.diff_interval->low, e.diff_interval->high);
  }
  return metric.title + " has no interval yet";
}

std::string listed(const std::vector<std::string>& all) {
  return fmt::format("{}", fmt::join(all, "; "));
}

void explain_adjustments(Analysis& a) {
  std::vector<std::string> cuped;
  std::vector<std::string> clipped;
  for (const MetricResult& result : a.metrics) {
    const Metric& metric = metric_of(a, result);
    if (result.theta && result.variance_ratio) {
      cuped.push_back(fmt::format("{} (variance × {:.2f})", metric.title, *result.variance_ratio));
    }
    if (result.clipped_at) {
      clipped.push_back(fmt::format("{} at {} ({} learners)", metric.title,
                                    figure(*result.clipped_at),
                                    with_commas(static_cast<double>(result.clipped))));
    }
  }
  if (!cuped.empty()) {
    a.adjusted.push_back(fmt::format("What learners did in the {} before exposure (CUPED): {}",
                                     config::format_duration(a.experiment.pre_period),
                                     listed(cuped)));
  }
  if (!clipped.empty()) {
    a.adjusted.push_back("A few very large values, clipped: " + listed(clipped));
  }
  if (a.excluded > 0) {
    a.adjusted.push_back(fmt::format("{} learners left out by `exclude`",
                                     with_commas(static_cast<double>(a.excluded))));
  }
  std::size_t primaries = 0;
  for (const Metric& metric : a.experiment.metrics) primaries += metric.role == Role::kPrimary;
  if (primaries > 1) {
    a.adjusted.push_back(fmt::format("{} primary metrics decide together (Holm)", primaries));
  }
  if (!a.experiment.segments.empty()) {
    a.adjusted.push_back(
        "Segments explain, they do not decide: their p-values are adjusted for "
        "their number (Benjamini-Hochberg)");
  }
}

void say_when(Analysis& a, const MetricResult& result) {
  const Metric& metric = metric_of(a, result);
  if (!result.has_enough_events) {
    a.next.push_back(
        fmt::format("Wait for {:.0f} learners with {} in the smaller arm; it has {:.0f}.",
                    stats::kEventsInSmallerArm, metric.title,
                    std::min(result.control.events, result.treatment.events)));
    return;
  }
  if (result.days_more && *result.days_more > 0) {
    a.next.push_back(
        fmt::format("A lift of {} in {} will be found with 80 % power after about {:.0f} more days "
                    "at this rate.",
                    percent(a.experiment.mde), metric.title, std::ceil(*result.days_more)));
  } else if (result.days_more) {
    a.next.push_back(
        fmt::format("There is data enough to find a lift of {} in {} with 80 % power: "
                    "if it were there, it would probably have been seen.",
                    percent(a.experiment.mde), metric.title));
  } else {
    a.next.push_back(
        fmt::format("At this rate a lift of {} in {} will not be found in years: take "
                    "a larger share, a longer pre-period or another metric.",
                    percent(a.experiment.mde), metric.title));
  }
}

/// A fixed-horizon p-value means nothing before the end, for or against.
bool waits_for_its_end(Analysis& a) {
  if (a.experiment.sequential || a.is_over) return false;
  a.decision = Decision::kUndecided;
  a.verdict = fmt::format("Not yet: this experiment is decided once, at its end on {}.",
                          format_time(*a.experiment.end));
  a.next = {
      "Wait for the end. To decide earlier, use `decide: sequential` from the start next "
      "time; switching now would be peeking."};
  return true;
}

void decide_aa(Analysis& a) {
  if (waits_for_its_end(a)) return;
  std::vector<std::string> differ;
  for (const MetricResult& result : a.metrics) {
    if (shown(a, result) != 0) differ.push_back(says(a, result));
  }
  if (!differ.empty()) {
    a.decision = Decision::kAaAlarm;
    a.verdict = "Two arms that get the same differ: " + listed(differ) + ".";
    a.next = {
        "Find out why before any experiment is believed: assignment, exposure, missing or "
        "doubled events.",
        "Once in twenty times this is chance at 5 %: repeat with another salt to see."};
    return;
  }
  a.decision = Decision::kAaOk;
  std::vector<std::string> seen;
  for (const MetricResult& result : a.metrics) {
    if (metric_of(a, result).role == Role::kPrimary) seen.push_back(says(a, result));
  }
  a.verdict = "The two equal arms do not differ beyond chance: " + listed(seen) + ".";
  a.next.push_back("Assignment and measuring can be trusted as far as these intervals reach.");
  for (const MetricResult& result : a.metrics) {
    if (metric_of(a, result).role == Role::kPrimary) say_when(a, result);
  }
}

void decide_ab(Analysis& a) {
  std::vector<std::string> better, worse, hurt, unsettled, open;
  for (const MetricResult& result : a.metrics) {
    const Metric& metric = metric_of(a, result);
    if (metric.role == Role::kPrimary) {
      const int which = shown(a, result);
      (which > 0 ? better : which < 0 ? worse : open).push_back(says(a, result));
    }
    if (metric.role == Role::kGuardrail) {
      const auto verdict =
          result.guardrail ? result.guardrail->verdict : stats::Verdict::kUndecided;
      if (verdict == stats::Verdict::kFail) hurt.push_back(says(a, result));
      if (verdict == stats::Verdict::kUndecided) unsettled.push_back(metric.title);
    }
  }
  const std::string& treatment = a.experiment.arms[1];
  if (!hurt.empty()) {
    a.decision = Decision::kLoss;
    a.verdict = fmt::format("Stop: {} hurts a guardrail: {}.", treatment, listed(hurt));
    a.next = {"Take the treatment back, then look at the segments for where it hurts."};
    return;
  }
  if (waits_for_its_end(a)) return;
  if (!worse.empty()) {
    a.decision = Decision::kLoss;
    a.verdict = fmt::format("{} is worse: {}.", treatment, listed(worse));
    a.next = {"Keep the control. Look at the segments: the loss may come from one of them."};
    return;
  }
  if (!better.empty() && unsettled.empty()) {
    a.decision = Decision::kWin;
    a.verdict = fmt::format("{} wins: {}{}.", treatment, listed(better),
                            open.empty() ? "" : "; not shown: " + listed(open));
    a.next = {"Roll it out with a guarded rollout; keep a holdout if the effect may wear off."};
    return;
  }
  if (!better.empty()) {
    a.decision = Decision::kUndecided;
    a.verdict = fmt::format("{} is better ({}), but it is not shown yet that {} is unharmed.",
                            treatment, listed(better), fmt::join(unsettled, ", "));
    for (const MetricResult& result : a.metrics) {
      if (!result.guardrail || result.guardrail->verdict != stats::Verdict::kUndecided) continue;
      const Metric& metric = metric_of(a, result);
      if (result.guardrail->more_needed) {
        a.next.push_back(fmt::format(
            "{}: about {} more learners settle whether it is within {} of the control's.",
            metric.title, with_commas(*result.guardrail->more_needed),
            percent(metric.margin).substr(1)));
      } else {
        a.next.push_back(fmt::format("{}: too few events to judge it yet.", metric.title));
      }
    }
    return;
  }
  if (a.is_over) {
    a.decision = Decision::kNoEffect;
    a.verdict = fmt::format("No difference was shown by the end: {}.", listed(open));
    a.next = {
        "Keep the control unless the treatment is worth having without a gain; what lies "
        "outside the interval is ruled out."};
    return;
  }
  a.decision = Decision::kUndecided;
  a.verdict = fmt::format("Undecided: {}.", listed(open));
  for (const MetricResult& result : a.metrics) {
    if (metric_of(a, result).role == Role::kPrimary) say_when(a, result);
  }
}

}  // namespace

std::string percent(double share) {
  const double value = 100 * share;
  if (std::abs(value) >= 999.5) return fmt::format("{:+.0f} %", value);
  return fmt::format("{:+.{}f} %", value, std::abs(value) < 0.095 && value != 0 ? 2 : 1);
}

std::string percent(const stats::Interval& interval) {
  return percent(interval.low) + " to " + percent(interval.high);
}

std::string figure(double value) {
  const double size = std::abs(value);
  if (size >= 1000) return with_commas(value);
  if (size >= 100 || value == 0) return fmt::format("{:.0f}", value);
  return fmt::format("{:.3g}", value);
}

std::string mean_of(const Metric& metric, double mean) {
  if (metric.kind == MetricKind::kProportion || metric.kind == MetricKind::kRetention) {
    return fmt::format("{:.2f} %", 100 * mean);
  }
  return figure(mean) + (metric.what.currency.empty() ? "" : " " + metric.what.currency);
}

const Estimate& deciding(const Experiment& experiment, const MetricResult& result) {
  return experiment.sequential ? result.sequential : result.fixed;
}

void put_into_words(Analysis& a) {
  explain_adjustments(a);
  const auto learners = a.ratio.learners[0] + a.ratio.learners[1];
  if (learners == 0) {
    a.decision = Decision::kNoData;
    a.verdict = "No learner of the experiment has been exposed yet.";
    a.next = {fmt::format("Check `start` ({}), `exposure` and that the store has events since.",
                          format_time(a.experiment.start))};
    return;
  }
  if (a.ratio.alarm) {
    a.decision = Decision::kInvalid;
    a.verdict = fmt::format(
        "Do not believe this: the arms have {} and {} learners where {:.1f} % and {:.1f} % were "
        "planned (p = {:.2g}).",
        with_commas(static_cast<double>(a.ratio.learners[0])),
        with_commas(static_cast<double>(a.ratio.learners[1])), 100 * a.ratio.planned[0],
        100 * a.ratio.planned[1], a.ratio.p_value.value_or(0));
    a.next = {
        "Find what loses learners of one arm: exposure logged in one arm only, redirects, "
        "crashes, bots, filters after assignment.",
        "Start again under a new name once it is mended; the data so far cannot be saved."};
    return;
  }
  a.experiment.is_aa ? decide_aa(a) : decide_ab(a);
  // A sentence begins with a capital, though it may begin with an arm's title.
  if (a.verdict[0] >= 'a' && a.verdict[0] <= 'z') {
    a.verdict[0] = static_cast<char>(a.verdict[0] - 'a' + 'A');
  }
}

}  // namespace covey::experiment

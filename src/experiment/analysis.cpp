#include "experiment/analysis.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "experiment/wording.h"
#include "stats/allocation.h"
#include "stats/means.h"
#include "stats/multiplicity.h"
#include "stats/planning.h"
#include "stats/proportion.h"
#include "stats/sequential.h"
#include "stats/special.h"

namespace covey::experiment {
namespace {

using stats::Interval;
using stats::PairMoments;
using stats::Sample;
using stats::Status;

constexpr double kMismatch = 0.001;          // p below which arms are not as planned
constexpr double kUncertainBaseline = 0.05;  // Fieller's g above which the delta method is off
constexpr double kPower = 0.8;
constexpr std::size_t kValuesShown = 40;  // of one attribute; the others count as "other"
constexpr std::size_t kNoCell = std::numeric_limits<std::size_t>::max();

/// What one metric of one group of learners came to, by Arm.
struct Cell {
  std::array<PairMoments, 2> moments;
  std::array<double, 2> events{};

  void add(std::size_t arm, double y, double x) {
    moments[arm].add(y, x);
    events[arm] += y != 0;
  }
  void merge(const Cell& other) {
    for (std::size_t arm = 0; arm < 2; ++arm) {
      moments[arm].merge(other.moments[arm]);
      events[arm] += other.events[arm];
    }
  }
};

/// All sums of a part of the learners, or of all of them.
struct Sums {
  std::vector<Cell> all;                             // by metric
  std::vector<Cell> segments;                        // by shown value, then metric
  std::vector<Cell> running;                         // by instant
  std::vector<std::array<std::int64_t, 2>> exposed;  // by instant: learners exposed up to it
  std::vector<std::uint64_t> clipped;                // by metric
  std::uint64_t excluded = 0;

  void merge(const Sums& other) {
    const auto each = [](auto& into, const auto& from) {
      for (std::size_t i = 0; i < from.size(); ++i) into[i].merge(from[i]);
    };
    each(all, other.all);
    each(segments, other.segments);
    each(running, other.running);
    for (std::size_t i = 0; i < exposed.size(); ++i) {
      exposed[i][0] += other.exposed[i][0];
      exposed[i][1] += other.exposed[i][1];
    }
    for (std::size_t i = 0; i < clipped.size(); ++i) clipped[i] += other.clipped[i];
    excluded += other.excluded;
  }
};

/// Thresholds that values of a metric are clipped to.
struct Clip {
  double y = std::numeric_limits<double>::infinity();
  double x = std::numeric_limits<double>::infinity();
};

/// Which values of the segments are shown, each with its number among all shown.
struct Shown {
  struct Value {
    std::size_t attribute;
    std::string name;
  };
  std::vector<Value> values;
  std::vector<std::vector<std::size_t>> cell;  // by attribute, by value's number
};

class Weighing {
 public:
  Weighing(const Experiment& experiment, const Collection& collection, Parallel& parallel)
      : experiment_(experiment),
        collection_(collection),
        parallel_(parallel),
        metrics_(experiment.metrics.size()),
        columns_(collection.attributes().size()) {
    const Time end =
        experiment.end ? std::min(*experiment.end, collection.as_of()) : collection.as_of();
    end_us_ = end.time_since_epoch().count();
  }

  Result<Analysis> run();

 private:
  bool counts(const Collection::Part& part, std::size_t i) const {
    return part.exposed_us[i] != Collection::kNever && part.excluded[i] == 0;
  }
  /// Whether all of what the metric asks of a learner lies in the past.
  bool is_ripe(const Metric& metric, std::int64_t exposed_us) const {
    return metric.kind != MetricKind::kRetention || exposed_us + metric.to.count() <= end_us_;
  }
  bool uses_covariate(const Metric& metric) const {
    return metric.kind != MetricKind::kRatio && experiment_.pre_period.count() > 0;
  }
  void find_clips();
  void choose_segments();
  void sum_part(std::size_t p, Sums& sums) const;
  void sum_running(const Collection::Part& part, Sums& sums) const;
  Sums empty() const;

  struct Both {
    Estimate fixed, sequential;
    std::optional<double> theta, variance_ratio;
    bool has_enough_events = false;
    Sample control, treatment;  // as compared: adjusted, or a ratio's linear form
  };
  Result<Both> compare(const Metric& metric, const Cell& cell) const;
  Result<void> look_at_every_look(const Metric& metric, const Cell& cell, double lift_se,
                                  double base, Both& out) const;
  Result<MetricResult> weigh(std::size_t m, const Sums& sums) const;
  Result<void> plan_ahead(MetricResult& out, const Both& both) const;
  Result<RatioCheck> check_ratio(const Sums& sums) const;
  Result<void> decide_primaries(Analysis& out) const;

  const Experiment& experiment_;
  const Collection& collection_;
  Parallel& parallel_;
  const std::size_t metrics_, columns_;
  std::int64_t end_us_;
  std::vector<Clip> clips_;
  Shown shown_;
};

Sums Weighing::empty() const {
  Sums sums;
  sums.all.resize(metrics_);
  sums.segments.resize(shown_.values.size() * metrics_);
  sums.running.resize(collection_.instants().size());
  sums.exposed.resize(collection_.instants().size());
  sums.clipped.resize(metrics_);
  return sums;
}

void Weighing::find_clips() {
  clips_.assign(metrics_, {});
  // One task per metric and side, so at most width() columns are held at a time.
  parallel_.run(metrics_ * 2, [&](std::size_t task) {
    const std::size_t m = task / 2;
    const bool is_y = task % 2 == 0;
    const auto quantile = experiment_.metrics[m].winsorize;
    if (!quantile || (!is_y && experiment_.pre_period.count() == 0)) return;
    std::vector<double> values;
    for (std::size_t p = 0; p < collection_.parts(); ++p) {
      const auto& part = collection_.part(p);
      for (std::size_t i = 0; i < part.arm.size(); ++i) {
        if (!counts(part, i)) continue;
        const auto& v = part.values[i * metrics_ + m];
        values.push_back(is_y ? v.y : v.x);
      }
    }
    if (values.empty()) return;
    const double at = stats::quantile_type7_of(values, *quantile);
    // Where fewer learners than that have any value, clipping at the quantile would leave none.
    if (at > 0) (is_y ? clips_[m].y : clips_[m].x) = at;
  });
}

void Weighing::choose_segments() {
  const std::size_t attributes = experiment_.segments.size();
  shown_.cell.resize(attributes);
  for (std::size_t a = 0; a < attributes; ++a) {
    const auto& names = collection_.values_of(a);
    std::vector<std::uint64_t> learners(names.size());
    for (std::size_t p = 0; p < collection_.parts(); ++p) {
      const auto& part = collection_.part(p);
      for (std::size_t i = 0; i < part.arm.size(); ++i) {
        if (counts(part, i)) ++learners[part.segment[i * columns_ + a]];
      }
    }
    std::vector<std::size_t> order(names.size());
    for (std::size_t v = 0; v < order.size(); ++v) order[v] = v;
    std::ranges::sort(order, [&](std::size_t l, std::size_t r) {
      return learners[l] != learners[r] ? learners[l] > learners[r] : names[l] < names[r];
    });
    shown_.cell[a].assign(names.size(), kNoCell);
    const std::size_t kept = std::min(order.size(), kValuesShown);
    std::vector<std::size_t> by_name(order.begin(),
                                     order.begin() + static_cast<std::ptrdiff_t>(kept));
    std::ranges::sort(by_name, {}, [&](std::size_t v) { return names[v]; });
    for (const std::size_t v : by_name) {
      if (learners[v] == 0) continue;
      shown_.cell[a][v] = shown_.values.size();
      shown_.values.push_back({a, names[v]});
    }
    if (kept == order.size()) continue;
    for (std::size_t i = kept; i < order.size(); ++i) {
      shown_.cell[a][order[i]] = shown_.values.size();
    }
    shown_.values.push_back({a, "other"});
  }
}

void Weighing::sum_part(std::size_t p, Sums& sums) const {
  const auto& part = collection_.part(p);
  const auto& instants = collection_.instants();
  for (std::size_t i = 0; i < part.arm.size(); ++i) {
    if (part.exposed_us[i] == Collection::kNever) continue;
    if (part.excluded[i] != 0) {
      ++sums.excluded;
      continue;
    }
    const std::size_t arm = part.arm[i];
    const Time exposed{std::chrono::microseconds(part.exposed_us[i])};
    const auto instant = std::ranges::lower_bound(instants, exposed) - instants.begin();
    ++sums.exposed[std::min<std::size_t>(static_cast<std::size_t>(instant), instants.size() - 1)]
                  [arm];
    for (std::size_t m = 0; m < metrics_; ++m) {
      if (!is_ripe(experiment_.metrics[m], part.exposed_us[i])) continue;
      const auto& values = part.values[i * metrics_ + m];
      const double y = std::min(values.y, clips_[m].y);
      const double x = std::min(values.x, clips_[m].x);
      sums.clipped[m] += values.y > clips_[m].y;
      sums.all[m].add(arm, y, x);
      for (std::size_t a = 0; a < experiment_.segments.size(); ++a) {
        const std::size_t cell = shown_.cell[a][part.segment[i * columns_ + a]];
        sums.segments[cell * metrics_ + m].add(arm, y, x);
      }
    }
  }
  sum_running(part, sums);
}

void Weighing::sum_running(const Collection::Part& part, Sums& sums) const {
  const std::size_t m = Collection::first_primary(experiment_);
  const Metric& metric = experiment_.metrics[m];
  if (metric.kind != MetricKind::kMean && metric.kind != MetricKind::kProportion) return;
  const auto& instants = collection_.instants();
  auto step = part.steps.begin();
  for (std::size_t i = 0; i < part.arm.size(); ++i) {
    auto end = step;
    while (end != part.steps.end() && end->learner == i) ++end;
    if (counts(part, i)) {
      const Time exposed{std::chrono::microseconds(part.exposed_us[i])};
      const double x = std::min(part.values[i * metrics_ + m].x, clips_[m].x);
      auto at =
          static_cast<std::size_t>(std::ranges::lower_bound(instants, exposed) - instants.begin());
      double y = 0;
      for (auto next = step; at < instants.size(); ++at) {
        for (; next != end && next->instant <= at; ++next) {
          y = metric.kind == MetricKind::kProportion ? 1 : y + next->y;
        }
        sums.running[at].add(part.arm[i], std::min(y, clips_[m].y), x);
      }
    }
    step = end;
  }
}

/// Standard error of the difference were both arms the same: a small arm can't vouch for its own
/// variance.
double pooled_se(const Sample& control, const Sample& treatment) {
  auto both = stats::Moments::of(control);
  both.merge(stats::Moments::of(treatment));
  return std::sqrt(both.var() * (1 / control.n + 1 / treatment.n));
}

/// A ratio as a mean: what each learner adds to it, to first order.
Sample linear_form(const PairMoments& m) {
  const double ratio = m.mean_y / m.mean_x;
  const double var =
      (m.var_y() + ratio * ratio * m.var_x() - 2 * ratio * m.cov()) / (m.mean_x * m.mean_x);
  return {m.n, ratio, std::max(var, 0.0)};
}

Result<void> Weighing::look_at_every_look(const Metric& metric, const Cell& cell, double lift_se,
                                          double base, Both& out) const {
  Estimate& all = out.sequential;
  all.method = "asymptotic sequence";
  all.diff = out.fixed.diff;
  all.lift = out.fixed.lift;
  if (!out.has_enough_events) {
    all.status = Status::kTooFewUnits;
    return {};
  }
  const double n = out.control.n + out.treatment.n;
  const double pooled = pooled_se(out.control, out.treatment);
  const double own =
      std::sqrt(out.control.var / out.control.n + out.treatment.var / out.treatment.n);
  const double se = std::max(pooled, own);
  if (se <= 0) {
    all.status = Status::kZeroVariance;
    return {};
  }
  const auto diff =
      COVEY_TRY(stats::asympcs_two_sided(*all.diff, se, n, experiment_.alpha, experiment_.tune));
  all.diff_interval = diff.interval;
  all.p_value = diff.p_value;
  if (!all.lift || base == 0) {
    all.status = Status::kZeroBaseline;
    return {};
  }
  const double z = diff.halfwidth / se;
  const PairMoments& control = cell.moments[0];
  const double base_se = metric.kind == MetricKind::kRatio
                             ? std::sqrt(out.control.var / out.control.n)
                             : std::sqrt(control.var_y() / control.n);
  const double g = z * z * base_se * base_se / (base * base);
  if (g <= kUncertainBaseline) {
    const double half = z * std::max(lift_se, pooled / std::abs(base));
    all.lift_interval = Interval{*all.lift - half, *all.lift + half};
    return {};
  }
  const Sample raw_control = metric.kind == MetricKind::kRatio
                                 ? out.control
                                 : Sample{control.n, control.mean_y, control.var_y()};
  const Sample raw_treatment =
      metric.kind == MetricKind::kRatio
          ? out.treatment
          : Sample{cell.moments[1].n, cell.moments[1].mean_y, cell.moments[1].var_y()};
  const auto fieller = COVEY_TRY(stats::relative_lift_fieller_at(raw_control, raw_treatment, z));
  all.lift_interval = fieller.interval;
  if (fieller.status != Status::kOk) all.status = fieller.status;
  return {};
}

Result<Weighing::Both> Weighing::compare(const Metric& metric, const Cell& cell) const {
  Both out;
  const PairMoments& control = cell.moments[0];
  const PairMoments& treatment = cell.moments[1];
  const double alpha = experiment_.alpha;
  out.has_enough_events = std::min(cell.events[0], cell.events[1]) >= stats::kEventsInSmallerArm;
  std::optional<double> lift_se;
  if (metric.kind == MetricKind::kRatio) {
    const auto ratio = COVEY_TRY(stats::ratio_metric(control, treatment, alpha));
    out.fixed = {ratio.status, ratio.diff, ratio.lift, ratio.interval, {}, ratio.p_value, "delta"};
    lift_se = ratio.lift_se;
    if (ratio.status == Status::kOk) {
      out.control = linear_form(control);
      out.treatment = linear_form(treatment);
      if (lift_se) {
        const double half = stats::student_upper(alpha / 2, *ratio.df) * *lift_se;
        out.fixed.lift_interval = Interval{*ratio.lift - half, *ratio.lift + half};
      }
    }
  } else {
    PairMoments c = control;
    PairMoments t = treatment;
    if (!uses_covariate(metric)) {
      for (PairMoments* arm : {&c, &t}) arm->mean_x = arm->m2_x = arm->m2_yx = 0;
    }
    const auto adjusted = COVEY_TRY(stats::cuped(c, t, alpha));
    const bool fell_back = adjusted.status == Status::kFallbackNoCovariateVariance;
    out.fixed = {fell_back ? Status::kOk : adjusted.status,
                 adjusted.diff,
                 adjusted.lift,
                 adjusted.interval,
                 {},
                 adjusted.p_value,
                 "welch"};
    lift_se = adjusted.lift_se;
    out.control = adjusted.control;
    out.treatment = adjusted.treatment;
    if (!fell_back && adjusted.status == Status::kOk) {
      out.theta = adjusted.theta;
      out.variance_ratio = adjusted.variance_ratio;
    }
    const bool is_share =
        metric.kind == MetricKind::kProportion || metric.kind == MetricKind::kRetention;
    if (is_share && !out.theta && adjusted.diff) {
      // Score intervals keep their level where few or nearly all learners do it.
      const auto count = [](const PairMoments& arm) {
        return stats::Count{std::llround(arm.mean_y * arm.n), std::llround(arm.n)};
      };
      const auto shares =
          COVEY_TRY(stats::proportion_diff(count(control), count(treatment), alpha));
      out.fixed.diff_interval = shares.newcombe;
      out.fixed.p_value = shares.p_value;
      out.fixed.method = "newcombe";
    }
    if (adjusted.diff && control.mean_y == 0 && out.fixed.status == Status::kOk) {
      out.fixed.status = Status::kZeroBaseline;
    }
    if (lift_se && adjusted.df && adjusted.lift) {
      const Sample raw_control{control.n, control.mean_y, control.var_y()};
      const Sample raw_treatment{treatment.n, treatment.mean_y, treatment.var_y()};
      const auto fieller =
          COVEY_TRY(stats::relative_lift_fieller(raw_control, raw_treatment, alpha));
      if (fieller.g.value_or(0) > kUncertainBaseline) {
        out.fixed.lift_interval = fieller.interval;
        out.fixed.method = "fieller";
        if (fieller.status != Status::kOk) out.fixed.status = fieller.status;
      } else {
        const double half = stats::student_upper(alpha / 2, *adjusted.df) * *lift_se;
        out.fixed.lift_interval = Interval{*adjusted.lift - half, *adjusted.lift + half};
      }
    }
  }
  if (!out.fixed.diff || out.control.n < 2 || out.treatment.n < 2) {
    out.sequential = out.fixed;
    out.sequential.method = "asymptotic sequence";
    return out;
  }
  const double base = metric.kind == MetricKind::kRatio ? out.control.mean : control.mean_y;
  COVEY_TRY_VOID(look_at_every_look(metric, cell, lift_se.value_or(0), base, out));
  return out;
}

ArmSummary summary(const Metric& metric, const Cell& cell, std::size_t arm) {
  const PairMoments& m = cell.moments[arm];
  const bool ratio = metric.kind == MetricKind::kRatio;
  return {m.n, ratio ? (m.mean_x == 0 ? 0 : m.mean_y / m.mean_x) : m.mean_y, cell.events[arm]};
}

Result<void> Weighing::plan_ahead(MetricResult& out, const Both& both) const {
  const Metric& metric = experiment_.metrics[out.metric];
  if (metric.kind == MetricKind::kRatio || out.control.mean == 0 || both.control.var <= 0)
    return {};
  // With the unadjusted mean as base and the adjusted variance.
  const Sample c{both.control.n, out.control.mean, both.control.var};
  const Sample t{both.treatment.n, out.treatment.mean, both.treatment.var};
  const auto power = [&](double mde, double scaling) -> Result<double> {
    const auto then = COVEY_TRY(stats::mid_experiment_power(
        c, t, experiment_.alpha, mde, scaling, experiment_.sequential, experiment_.tune));
    return then.power.value_or(0);
  };
  double low = 0;
  double high = 1e-4;
  while (high < 1e3 && COVEY_TRY(power(high, 0)) < kPower) {
    low = high;
    high *= 2;
  }
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (COVEY_TRY(power(middle, 0)) < kPower ? low : high) = middle;
  }
  if (high < 1e3) out.detectable = high;
  const double days =
      static_cast<double>(end_us_ - experiment_.start.time_since_epoch().count()) / 86'400e6;
  low = 0;
  high = 0;
  constexpr double kFar = 1e4;
  if (COVEY_TRY(power(experiment_.mde, 0)) < kPower) {
    high = 0.01;
    while (high < kFar && COVEY_TRY(power(experiment_.mde, high)) < kPower) {
      low = high;
      high *= 2;
    }
    if (high >= kFar) return {};
    for (int i = 0; i < 30; ++i) {
      const double middle = (low + high) / 2;
      (COVEY_TRY(power(experiment_.mde, middle)) < kPower ? low : high) = middle;
    }
  }
  out.days_more = high * days;
  return {};
}

Result<MetricResult> Weighing::weigh(std::size_t m, const Sums& sums) const {
  const Metric& metric = experiment_.metrics[m];
  const Cell& all = sums.all[m];
  MetricResult out;
  out.metric = m;
  out.control = summary(metric, all, 0);
  out.treatment = summary(metric, all, 1);
  const Both both = COVEY_TRY(compare(metric, all));
  out.fixed = both.fixed;
  out.sequential = both.sequential;
  out.has_enough_events = both.has_enough_events;
  out.theta = both.theta;
  out.variance_ratio = both.variance_ratio;
  if (std::isfinite(clips_[m].y)) {
    out.clipped_at = clips_[m].y;
    out.clipped = sums.clipped[m];
  }
  std::vector<double> p_values;
  std::vector<std::size_t> with_p;
  for (std::size_t v = 0; v < shown_.values.size(); ++v) {
    const Cell& cell = sums.segments[v * metrics_ + m];
    SegmentResult segment;
    segment.attribute = experiment_.segments[shown_.values[v].attribute];
    segment.value = shown_.values[v].name;
    segment.control = summary(metric, cell, 0);
    segment.treatment = summary(metric, cell, 1);
    const Both here = COVEY_TRY(compare(metric, cell));
    segment.estimate = experiment_.sequential ? here.sequential : here.fixed;
    if (segment.estimate.p_value) {
      with_p.push_back(out.segments.size());
      p_values.push_back(*segment.estimate.p_value);
    }
    out.segments.push_back(std::move(segment));
  }
  if (!p_values.empty()) {
    const auto adjusted = COVEY_TRY(stats::multiple_testing(p_values, experiment_.alpha));
    for (std::size_t i = 0; i < with_p.size(); ++i) {
      out.segments[with_p[i]].p_adjusted = adjusted.bh.p[i];
    }
  }
  if (m == Collection::first_primary(experiment_)) {
    for (std::size_t i = 0; i < sums.running.size(); ++i) {
      const Cell& cell = sums.running[i];
      if (cell.moments[0].n + cell.moments[1].n == 0) continue;
      const Both then = COVEY_TRY(compare(metric, cell));
      out.running.push_back({collection_.instants()[i], cell.moments[0].n + cell.moments[1].n,
                             then.sequential.lift, then.sequential.lift_interval});
    }
  }
  if (metric.role == Role::kGuardrail && both.control.n >= 2 && both.treatment.n >= 2) {
    const double sign = metric.higher_is_better ? 1 : -1;
    stats::MeanStage stage{both.control, both.treatment, all.events[0], all.events[1]};
    stage.control.mean *= sign;
    stage.treatment.mean *= sign;
    out.guardrail = COVEY_TRY(stats::non_inferiority_gate(
        std::span(&stage, 1), metric.margin * std::abs(out.control.mean), experiment_.alpha,
        experiment_.tune));
  }
  COVEY_TRY_VOID(plan_ahead(out, both));
  return out;
}

Result<RatioCheck> Weighing::check_ratio(const Sums& sums) const {
  RatioCheck out;
  const auto& a = experiment_.assignment;
  const double all = a.control + a.treatment;
  out.planned = {a.control / all, a.treatment / all};
  // As someone who looks at every instant: the smallest p-value counts.
  std::optional<double> least;
  for (const auto& at : sums.exposed) {
    out.learners[0] += at[0];
    out.learners[1] += at[1];
    const auto look = COVEY_TRY(stats::srm_sequential(out.learners, out.planned, 1'000));
    if (look.p_value) least = std::min(least.value_or(1), *look.p_value);
  }
  const auto fixed = COVEY_TRY(stats::srm_chi2(out.learners, out.planned));
  out.status = fixed.status;
  out.p_value = least;
  out.p_value_fixed = fixed.p_value;
  out.alarm = least.value_or(1) < kMismatch;
  return out;
}

Result<void> Weighing::decide_primaries(Analysis& out) const {
  std::vector<double> p;
  std::vector<MetricResult*> primaries;
  for (MetricResult& result : out.metrics) {
    if (experiment_.metrics[result.metric].role != Role::kPrimary) continue;
    const Estimate& estimate = experiment_.sequential ? result.sequential : result.fixed;
    primaries.push_back(&result);
    p.push_back(estimate.p_value.value_or(1));
  }
  const auto adjusted = COVEY_TRY(stats::multiple_testing(p, experiment_.alpha));
  for (std::size_t i = 0; i < primaries.size(); ++i) primaries[i]->p_decides = adjusted.holm.p[i];
  return {};
}

Result<Analysis> Weighing::run() {
  find_clips();
  choose_segments();
  // Merged in order of parts, whatever the threads: the same bits every time.
  std::vector<Sums> parts(collection_.parts());
  parallel_.run(parts.size(), [&](std::size_t p) {
    parts[p] = empty();
    sum_part(p, parts[p]);
  });
  Sums sums = empty();
  for (const Sums& part : parts) sums.merge(part);
  parts.clear();

  Analysis out;
  out.experiment = experiment_;
  out.as_of = collection_.as_of();
  out.is_over = experiment_.end && out.as_of >= *experiment_.end;
  out.days = std::max(
      0.0, static_cast<double>(end_us_ - experiment_.start.time_since_epoch().count()) / 86'400e6);
  out.events = collection_.events();
  out.excluded = sums.excluded;
  out.memory_bytes = collection_.bytes();
  out.ratio = COVEY_TRY(check_ratio(sums));
  for (std::size_t m = 0; m < metrics_; ++m) out.metrics.push_back(COVEY_TRY(weigh(m, sums)));
  COVEY_TRY_VOID(decide_primaries(out));
  if (experiment_.impact && out.days > 0) {
    const MetricResult& metric = out.metrics[experiment_.impact->metric];
    if (metric.control.n > 0 && metric.treatment.n > 0) {
      const Both both =
          COVEY_TRY(compare(experiment_.metrics[metric.metric], sums.all[metric.metric]));
      out.impact = COVEY_TRY(stats::annual_impact(both.control, both.treatment, experiment_.alpha,
                                                  metric.control.n + metric.treatment.n,
                                                  experiment_.impact->traffic, out.days));
    }
  }
  if (collection_.other_currency() > 0) {
    out.notes.push_back(
        fmt::format("{} purchases in another currency than the metric's were left out",
                    collection_.other_currency()));
  }
  put_into_words(out);
  return out;
}

}  // namespace

std::string_view name(Decision decision) {
  switch (decision) {
    case Decision::kNoData:
      return "no_data";
    case Decision::kInvalid:
      return "invalid";
    case Decision::kWin:
      return "win";
    case Decision::kLoss:
      return "loss";
    case Decision::kUndecided:
      return "undecided";
    case Decision::kNoEffect:
      return "no_effect";
    case Decision::kAaOk:
      return "aa_ok";
    case Decision::kAaAlarm:
      return "aa_alarm";
  }
  return "unknown";
}

Result<Analysis> analyze(const Experiment& experiment, const Collection& collection,
                         Parallel& parallel) {
  return Weighing(experiment, collection, parallel).run();
}

}  // namespace covey::experiment

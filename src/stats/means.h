#pragma once

#include <optional>

#include "stats/sample.h"

namespace covey::stats {

// Differences and lifts of means, at one look fixed beforehand. Whoever looks more often reads
// stats/sequential.h. All intervals have level 1 - alpha, all p-values are two-sided.

struct Difference {
  Status status = Status::kOk;
  std::optional<double> diff, se, df, t, p_value;  ///< treatment minus control, in the unit
  std::optional<Interval> interval;
};

/// Welch's t-test. kTooFewUnits: an arm below two. kZeroVariance: neither arm varies.
/// Source: Welch, Biometrika 34 (1947); degrees of freedom by Satterthwaite.
Result<Difference> welch_diff(const Sample& control, const Sample& treatment, double alpha);

struct Lift {
  Status status = Status::kOk;
  std::optional<double> lift;  ///< (treatment - control) / |control|, no unit
  std::optional<double> se, df, p_value, g;
  std::optional<Interval> interval;
};

/// Relative lift by the delta method, with the degrees of freedom of welch_diff.
/// kTooFewUnits; kZeroBaseline: the control's mean is 0; kZeroVariance: the lift's variance is.
/// Source: Deng, Knoblich and Lu, KDD 2018, arXiv:1803.06336.
Result<Lift> relative_lift_delta(const Sample& control, const Sample& treatment, double alpha);

/// Relative lift by Fieller's theorem: right where the baseline is uncertain, which
/// `g` = z² var(control mean) / (control mean)² measures. kUnbounded, without an interval: g >= 1,
/// the data cannot exclude a baseline of 0. Large samples: normal quantiles.
/// Source: Fieller, JRSS B 16 (1954).
Result<Lift> relative_lift_fieller(const Sample& control, const Sample& treatment, double alpha);
/// The same with `z` standard errors on both sides: with the half-width of a confidence sequence in
/// standard errors, the interval holds at every look.
Result<Lift> relative_lift_fieller_at(const Sample& control, const Sample& treatment, double z);

struct Adjusted {
  Status status = Status::kOk;
  double theta = 0;  ///< slope of y on the covariate, of both arms as one sample
  std::optional<double> diff, se, df, p_value;
  std::optional<Interval> interval;
  std::optional<double> variance_ratio;  ///< of the difference, adjusted over raw; below 1 is gain
  std::optional<double> lift, lift_se;   ///< of the control's UNADJUSTED mean
  Sample control, treatment;             ///< y - theta x of each arm
};

/// CUPED: the difference of y adjusted by a covariate x known before the experiment.
/// kFallbackNoCovariateVariance: answered with theta = 0. kTooFewUnits, kZeroVariance as Welch.
/// Source: Deng, Xu, Kohavi and Walker, WSDM 2013; the lift by the delta method.
Result<Adjusted> cuped(const PairMoments& control, const PairMoments& treatment, double alpha);

struct RatioDifference {
  Status status = Status::kOk;
  std::optional<double> ratio_control, ratio_treatment, diff, se, df, p_value;
  std::optional<Interval> interval;
  std::optional<double> lift, lift_se;
};

/// A ratio of sums (revenue per session) whose unit of assignment is the learner: y of the moments
/// is the numerator, x the denominator. kZeroDenominator: an arm's denominator is 0.
/// Source: Deng, Knoblich and Lu, KDD 2018 (delta method).
Result<RatioDifference> ratio_metric(const PairMoments& control, const PairMoments& treatment,
                                     double alpha);

}  // namespace covey::stats

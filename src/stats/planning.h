#pragma once

#include <optional>

#include "stats/sample.h"

namespace covey::stats {

// How large an experiment must be, and what one of a given size can see. Sizes are not rounded:
// round UP for display. `ratio` = n_treatment / n_control; alpha is two-sided.

/// Chance to find `effect` (in the unit of sd), both tails, normal quantiles. n and sd > 0.
Result<double> power_two_sample(double effect, double sd, double n_control, double n_treatment,
                                double alpha);

struct SampleSize {
  Status status = Status::kOk;
  std::optional<double> n_control, n_treatment;
};
/// Units to find a relative change of a mean. kZeroBaseline: baseline_mean is 0. kRejected:
/// relative_mde 0.
Result<SampleSize> sample_size_mean(double baseline_mean, double sd, double relative_mde,
                                    double alpha, double power, double ratio);
/// Units to find a relative change of a proportion; unpooled variances. kRejected: a change that
/// leads out of (0, 1).
Result<SampleSize> sample_size_proportion(double baseline, double relative_mde, double alpha,
                                          double power, double ratio);

struct DetectableEffect {
  double absolute = 0;             ///< in the unit of sd
  std::optional<double> relative;  ///< nothing on a baseline of 0
};
Result<DetectableEffect> mde(double baseline_mean, double sd, double n_control, double n_treatment,
                             double alpha, double power);

struct MidExperimentPower {
  Status status = Status::kOk;
  std::optional<double> power;      ///< to find a lift of relative_mde, if it is there
  std::optional<double> halfwidth;  ///< of the lift's interval then
};
/// Power once (1 + scaling) times today's data is in.
/// @param sequential  judged by asympcs_two_sided tuned to n_tune, else by a fixed-horizon test.
/// kTooFewUnits, kZeroBaseline, kZeroVariance as relative_lift_delta.
Result<MidExperimentPower> mid_experiment_power(const Sample& control, const Sample& treatment,
                                                double alpha, double relative_mde, double scaling,
                                                bool sequential, double n_tune);

}  // namespace covey::stats

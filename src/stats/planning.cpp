#include "stats/planning.h"

#include <cmath>

#include "stats/means.h"
#include "stats/sequential.h"
#include "stats/special.h"

namespace covey::stats {
namespace {

double both_quantiles(double alpha, double power) {
  return normal_upper(alpha / 2) + normal_quantile(power);
}

}  // namespace

Result<double> power_two_sample(double effect, double sd, double n_control, double n_treatment,
                                double alpha) {
  Inputs in;
  in.finite("effect", effect);
  in.positive("sd", sd);
  in.positive("n_control", n_control);
  in.positive("n_treatment", n_treatment);
  in.level("alpha", alpha);
  COVEY_TRY_VOID(in.verdict());
  const double shift = effect / (sd * std::sqrt(1 / n_control + 1 / n_treatment));
  const double z = normal_upper(alpha / 2);
  return normal_cdf(shift - z) + normal_cdf(-shift - z);
}

Result<SampleSize> sample_size_mean(double baseline_mean, double sd, double relative_mde,
                                    double alpha, double power, double ratio) {
  Inputs in;
  in.finite("baseline_mean", baseline_mean);
  in.positive("sd", sd);
  in.finite("relative_mde", relative_mde);
  in.require(relative_mde != 0, "relative_mde must not be 0: no sample finds no effect");
  in.level("alpha", alpha);
  in.level("power", power);
  in.positive("ratio", ratio);
  COVEY_TRY_VOID(in.verdict());
  SampleSize out;
  if (baseline_mean == 0) {
    out.status = Status::kZeroBaseline;
    return out;
  }
  const double z = both_quantiles(alpha, power);
  const double delta = baseline_mean * relative_mde;
  out.n_control = z * z * (1 + 1 / ratio) * sd * sd / (delta * delta);
  out.n_treatment = *out.n_control * ratio;
  return out;
}

Result<SampleSize> sample_size_proportion(double baseline, double relative_mde, double alpha,
                                          double power, double ratio) {
  Inputs in;
  in.level("baseline", baseline);
  in.finite("relative_mde", relative_mde);
  in.require(relative_mde != 0, "relative_mde must not be 0: no sample finds no effect");
  const double changed = baseline * (1 + relative_mde);
  in.require(changed >= 0 && changed <= 1, "relative_mde leads to a proportion outside [0, 1]");
  in.level("alpha", alpha);
  in.level("power", power);
  in.positive("ratio", ratio);
  COVEY_TRY_VOID(in.verdict());
  const double z = both_quantiles(alpha, power);
  const double delta = changed - baseline;
  SampleSize out;
  out.n_control =
      z * z * (baseline * (1 - baseline) + changed * (1 - changed) / ratio) / (delta * delta);
  out.n_treatment = *out.n_control * ratio;
  return out;
}

Result<DetectableEffect> mde(double baseline_mean, double sd, double n_control, double n_treatment,
                             double alpha, double power) {
  Inputs in;
  in.finite("baseline_mean", baseline_mean);
  in.positive("sd", sd);
  in.positive("n_control", n_control);
  in.positive("n_treatment", n_treatment);
  in.level("alpha", alpha);
  in.level("power", power);
  COVEY_TRY_VOID(in.verdict());
  DetectableEffect out;
  out.absolute = both_quantiles(alpha, power) * sd * std::sqrt(1 / n_control + 1 / n_treatment);
  if (baseline_mean != 0) out.relative = out.absolute / std::abs(baseline_mean);
  return out;
}

Result<MidExperimentPower> mid_experiment_power(const Sample& control, const Sample& treatment,
                                                double alpha, double relative_mde, double scaling,
                                                bool sequential, double n_tune) {
  Inputs in;
  in.finite("relative_mde", relative_mde);
  in.require(std::isfinite(scaling) && scaling > -1, "scaling must be above -1");
  if (sequential) in.positive("n_tune", n_tune);
  COVEY_TRY_VOID(in.verdict());
  const Lift now = COVEY_TRY(relative_lift_delta(control, treatment, alpha));
  MidExperimentPower out;
  out.status = now.status;
  if (now.status != Status::kOk) return out;
  const double se = *now.se / std::sqrt(1 + scaling);
  double halfwidth = normal_upper(alpha / 2) * se;
  if (sequential) {
    const double n = (control.n + treatment.n) * (1 + scaling);
    halfwidth = COVEY_TRY(asympcs_two_sided(0, se, n, alpha, n_tune)).halfwidth;
  }
  out.halfwidth = halfwidth;
  out.power =
      normal_sf((halfwidth - relative_mde) / se) + normal_cdf(-(halfwidth + relative_mde) / se);
  return out;
}

}  // namespace covey::stats

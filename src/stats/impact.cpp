#include "stats/impact.h"

namespace covey::stats {

Result<AnnualImpact> annual_impact(const Sample& control, const Sample& treatment, double alpha,
                                   double units_in_experiment, double traffic_fraction,
                                   double days) {
  Inputs in;
  in.not_negative("units_in_experiment", units_in_experiment);
  in.require(traffic_fraction > 0 && traffic_fraction <= 1, "traffic_fraction must lie in (0, 1]");
  in.positive("days", days);
  COVEY_TRY_VOID(in.verdict());
  const Difference difference = COVEY_TRY(welch_diff(control, treatment, alpha));
  AnnualImpact out;
  out.status = difference.status;
  constexpr double kDaysAYear = 365;
  const double units = units_in_experiment / (traffic_fraction * days) * kDaysAYear;
  if (difference.diff) out.impact = *difference.diff * units;
  if (difference.interval) {
    out.interval = Interval{difference.interval->low * units, difference.interval->high * units};
  }
  return out;
}

Result<InterventionUplift> intervention_uplift(const Count& holdout, const Count& treated,
                                               double alpha, double population,
                                               double value_per_save, double cost_per_contact) {
  Inputs in;
  in.not_negative("population", population);
  in.not_negative("value_per_save", value_per_save);
  in.finite("cost_per_contact", cost_per_contact);
  COVEY_TRY_VOID(in.verdict());
  const auto difference = COVEY_TRY(proportion_diff(treated, holdout, alpha));
  InterventionUplift out;
  // Equal certainties leave no z, but still an uplift of 0 with its interval.
  out.status = difference.status == Status::kZeroVariance ? Status::kOk : difference.status;
  if (!difference.diff) return out;
  const auto worth = [&](double uplift) {
    return population * (uplift * value_per_save - cost_per_contact);
  };
  out.uplift = difference.diff;
  out.interval = difference.newcombe;
  out.net_value = worth(*out.uplift);
  out.net_interval = Interval{worth(out.interval->low), worth(out.interval->high)};
  return out;
}

}  // namespace covey::stats

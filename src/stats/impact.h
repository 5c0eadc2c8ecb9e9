#pragma once

#include <optional>

#include "stats/means.h"
#include "stats/proportion.h"

namespace covey::stats {

struct AnnualImpact {
  Status status = Status::kOk;
  std::optional<double> impact;  ///< the metric's unit per year, were everyone treated
  std::optional<Interval> interval;
};
/// The difference per unit, scaled to a year of all traffic; the interval is Welch's, scaled.
/// @param units_in_experiment  both arms, over `days`.
/// @param traffic_fraction     of all units that were in the experiment, in (0, 1].
/// Assumes that the days of the experiment stand for the year.
Result<AnnualImpact> annual_impact(const Sample& control, const Sample& treatment, double alpha,
                                   double units_in_experiment, double traffic_fraction,
                                   double days);

struct InterventionUplift {
  Status status = Status::kOk;
  std::optional<double> uplift;      ///< losses avoided per contact: p_holdout - p_treated
  std::optional<Interval> interval;  ///< Newcombe
  std::optional<double> net_value;   ///< population (uplift value_per_save - cost_per_contact)
  std::optional<Interval> net_interval;
};
/// What an intervention against an unwanted outcome (churn) is worth. kNoData: an empty arm.
Result<InterventionUplift> intervention_uplift(const Count& holdout, const Count& treated,
                                               double alpha, double population,
                                               double value_per_save, double cost_per_contact);

}  // namespace covey::stats

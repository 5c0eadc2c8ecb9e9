#pragma once

#include <string>

#include "experiment/analysis.h"

namespace covey::experiment {

/// Decides, and says so: fills `decision`, `verdict`, `next` and `adjusted` from the figures.
void put_into_words(Analysis& analysis);

/// 0.0583 -> "+5.8 %"; an Interval -> "+3.1 % to +8.6 %".
std::string percent(double share);
std::string percent(const stats::Interval& interval);
/// A figure with as many digits as are worth reading: "1,234", "12.3", "0.0123".
std::string figure(double value);
/// A mean of the metric: "18.3 EUR", a share as "12.34 %".
std::string mean_of(const Metric& metric, double mean);
/// The estimate by the experiment's way of deciding.
const Estimate& deciding(const Experiment& experiment, const MetricResult& result);

}  // namespace covey::experiment

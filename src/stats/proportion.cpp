#include "stats/proportion.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "stats/special.h"

namespace covey::stats {
namespace {

Interval wilson(const Count& count, double alpha) {
  const double n = static_cast<double>(count.trials);
  const double p = count.rate();
  const double z2 = std::pow(normal_upper(alpha / 2), 2);
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = std::sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n);
  // Rounding must not push a certain end off its edge.
  return {count.successes == 0 ? 0 : std::max(0.0, centre - half),
          count.successes == count.trials ? 1 : std::min(1.0, centre + half)};
}

}  // namespace

void require_count(Inputs& in, std::string_view what, const Count& count) {
  in.require(count.successes >= 0 && count.trials >= count.successes,
             std::string(what) + ": successes must lie between 0 and the trials");
}

Result<ProportionInterval> proportion_ci(const Count& count, double alpha) {
  Inputs in;
  require_count(in, "proportion", count);
  in.level("alpha", alpha);
  COVEY_TRY_VOID(in.verdict());
  ProportionInterval out;
  if (count.trials == 0) {
    out.status = Status::kNoData;
    return out;
  }
  out.wilson = wilson(count, alpha);
  const double s = static_cast<double>(count.successes);
  const double f = static_cast<double>(count.trials - count.successes);
  out.clopper_pearson = Interval{s == 0 ? 0 : beta_quantile(alpha / 2, s, f + 1),
                                 f == 0 ? 1 : 1 - beta_quantile(alpha / 2, f, s + 1)};
  return out;
}

Result<ProportionDifference> proportion_diff(const Count& control, const Count& treatment,
                                             double alpha) {
  Inputs in;
  require_count(in, "control", control);
  require_count(in, "treatment", treatment);
  in.level("alpha", alpha);
  COVEY_TRY_VOID(in.verdict());
  ProportionDifference out;
  if (control.trials == 0 || treatment.trials == 0) {
    out.status = Status::kNoData;
    return out;
  }
  const double pc = control.rate();
  const double pt = treatment.rate();
  const Interval c = wilson(control, alpha);
  const Interval t = wilson(treatment, alpha);
  out.diff = pt - pc;
  out.newcombe = Interval{*out.diff - std::hypot(pt - t.low, c.high - pc),
                          *out.diff + std::hypot(t.high - pt, pc - c.low)};
  const double n_c = static_cast<double>(control.trials);
  const double n_t = static_cast<double>(treatment.trials);
  const double pooled = static_cast<double>(control.successes + treatment.successes) / (n_c + n_t);
  const double var = pooled * (1 - pooled) * (1 / n_c + 1 / n_t);
  if (var == 0) {
    out.status = Status::kZeroVariance;
    return out;
  }
  out.z_pooled = *out.diff / std::sqrt(var);
  out.p_value = 2 * normal_sf(std::abs(*out.z_pooled));
  return out;
}

}  // namespace covey::stats

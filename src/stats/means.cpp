#include "stats/means.h"

#include <cmath>
#include <limits>

#include "stats/special.h"

namespace covey::stats {
namespace {

/// Degrees of freedom of a sum of two estimated variances of means.
double satterthwaite(double a, double n_a, double b, double n_b) {
  // Scaled by the larger, so that no square under- or overflows.
  const double scale = std::max(a, b);
  a /= scale;
  b /= scale;
  return (a + b) * (a + b) / (a * a / (n_a - 1) + b * b / (n_b - 1));
}

Interval around(double centre, double halfwidth) {
  return {centre - halfwidth, centre + halfwidth};
}

Result<void> check(const Sample& control, const Sample& treatment, double alpha) {
  Inputs in;
  require_sample(in, "control", control);
  require_sample(in, "treatment", treatment);
  in.level("alpha", alpha);
  return in.verdict();
}

Result<void> check(const PairMoments& control, const PairMoments& treatment, double alpha) {
  Inputs in;
  for (const auto& [arm, m] :
       {std::pair<std::string, const PairMoments&>{"control", control}, {"treatment", treatment}}) {
    in.not_negative(arm + ".n", m.n);
    for (const double value : {m.mean_y, m.mean_x, m.m2_y, m.m2_x, m.m2_yx}) {
      in.require(std::isfinite(value), arm + "'s sums must be finite numbers");
    }
    // By Cauchy and Schwarz; some room for rounding.
    in.require(
        m.m2_yx * m.m2_yx <= m.m2_y * m.m2_x * (1 + 1e-6) + 1e-300 || m.m2_y == 0 || m.m2_x == 0,
        arm + "'s sums belong to no sample: the products exceed the squares");
  }
  in.level("alpha", alpha);
  return in.verdict();
}

}  // namespace

Result<Difference> welch_diff(const Sample& control, const Sample& treatment, double alpha) {
  COVEY_TRY_VOID(check(control, treatment, alpha));
  Difference out;
  if (control.n < 2 || treatment.n < 2) {
    out.status = Status::kTooFewUnits;
    return out;
  }
  const double a = control.var / control.n;
  const double b = treatment.var / treatment.n;
  out.diff = treatment.mean - control.mean;
  if (a + b == 0) {
    out.status = Status::kZeroVariance;
    return out;
  }
  out.se = std::sqrt(a + b);
  out.df = satterthwaite(a, control.n, b, treatment.n);
  out.t = *out.diff / *out.se;
  out.p_value = 2 * student_sf(std::abs(*out.t), *out.df);
  out.interval = around(*out.diff, student_upper(alpha / 2, *out.df) * *out.se);
  return out;
}

Result<Lift> relative_lift_delta(const Sample& control, const Sample& treatment, double alpha) {
  COVEY_TRY_VOID(check(control, treatment, alpha));
  Lift out;
  if (control.n < 2 || treatment.n < 2) {
    out.status = Status::kTooFewUnits;
    return out;
  }
  if (control.mean == 0) {
    out.status = Status::kZeroBaseline;
    return out;
  }
  const double a = control.var / control.n;
  const double b = treatment.var / treatment.n;
  const double ratio = treatment.mean / control.mean;
  out.lift = (treatment.mean - control.mean) / std::abs(control.mean);
  out.se = std::sqrt(b + a * ratio * ratio) / std::abs(control.mean);
  if (*out.se == 0) {
    out.status = Status::kZeroVariance;
    out.se.reset();
    return out;
  }
  out.df = satterthwaite(a, control.n, b, treatment.n);
  out.p_value = 2 * student_sf(std::abs(*out.lift / *out.se), *out.df);
  out.interval = around(*out.lift, student_upper(alpha / 2, *out.df) * *out.se);
  return out;
}

Result<Lift> relative_lift_fieller(const Sample& control, const Sample& treatment, double alpha) {
  COVEY_TRY_VOID(check(control, treatment, alpha));
  return relative_lift_fieller_at(control, treatment, normal_upper(alpha / 2));
}

Result<Lift> relative_lift_fieller_at(const Sample& control, const Sample& treatment, double z) {
  Inputs in;
  require_sample(in, "control", control);
  require_sample(in, "treatment", treatment);
  in.positive("z", z);
  COVEY_TRY_VOID(in.verdict());
  Lift out;
  if (control.n < 2 || treatment.n < 2) {
    out.status = Status::kTooFewUnits;
    return out;
  }
  const double a = control.var / control.n;
  const double b = treatment.var / treatment.n;
  const double mc = control.mean;
  const double mt = treatment.mean;
  if (mc == 0 && a == 0) {
    out.status = Status::kZeroBaseline;
    return out;
  }
  if (mc != 0) {
    out.g = z * z * a / (mc * mc);
    out.lift = (mt - mc) / std::abs(mc);
  }
  if (mc == 0 || *out.g >= 1) {
    out.status = Status::kUnbounded;
    return out;
  }
  // Roots R of (mt - R mc)² = z² (b + R² a), that is of
  // (1 - g) R² - 2 r R + (r² - z² b / mc²) = 0 with r = mt / mc.
  const double g = *out.g;
  const double r = mt / mc;
  const double spread = z / std::abs(mc) * std::sqrt(b * (1 - g) + a * r * r);
  const double low = (r - spread) / (1 - g);
  const double high = (r + spread) / (1 - g);
  out.interval = mc > 0 ? Interval{low - 1, high - 1} : Interval{1 - high, 1 - low};
  return out;
}

Result<Adjusted> cuped(const PairMoments& control, const PairMoments& treatment, double alpha) {
  COVEY_TRY_VOID(check(control, treatment, alpha));
  Adjusted out;
  if (control.n < 2 || treatment.n < 2) {
    out.status = Status::kTooFewUnits;
    return out;
  }
  PairMoments pooled = control;
  pooled.merge(treatment);
  if (pooled.var_x() <= 0 || pooled.var_y() <= 0) {
    out.status = Status::kFallbackNoCovariateVariance;
  } else {
    out.theta = pooled.cov() / pooled.var_x();
  }
  const double theta = out.theta;
  const auto adjusted = [&](const PairMoments& arm) {
    const double var = arm.var_y() + theta * theta * arm.var_x() - 2 * theta * arm.cov();
    return Sample{arm.n, arm.mean_y - theta * arm.mean_x, std::max(var, 0.0)};
  };
  const Sample c = out.control = adjusted(control);
  const Sample t = out.treatment = adjusted(treatment);
  const Difference difference = COVEY_TRY(welch_diff(c, t, alpha));
  out.diff = difference.diff;
  if (difference.status != Status::kOk) {
    out.status = difference.status;
    return out;
  }
  out.se = difference.se;
  out.df = difference.df;
  out.p_value = difference.p_value;
  out.interval = difference.interval;
  const double raw = control.var_y() / control.n + treatment.var_y() / treatment.n;
  if (raw > 0) out.variance_ratio = (c.var / c.n + t.var / t.n) / raw;
  const double base = control.mean_y;
  if (base != 0) {
    const double ratio = treatment.mean_y / base;
    out.lift = *out.diff / std::abs(base);
    const double var_t = t.var / (t.n * base * base);
    const double var_c = (control.var_y() * ratio * ratio - 2 * theta * control.cov() * ratio +
                          theta * theta * control.var_x()) /
                         (c.n * base * base);
    out.lift_se = std::sqrt(std::max(var_t + var_c, 0.0));
  }
  return out;
}

Result<RatioDifference> ratio_metric(const PairMoments& control, const PairMoments& treatment,
                                     double alpha) {
  COVEY_TRY_VOID(check(control, treatment, alpha));
  RatioDifference out;
  if (control.n < 2 || treatment.n < 2) {
    out.status = Status::kTooFewUnits;
    return out;
  }
  if (control.mean_x == 0 || treatment.mean_x == 0) {
    out.status = Status::kZeroDenominator;
    return out;
  }
  const auto ratio = [](const PairMoments& arm) { return arm.mean_y / arm.mean_x; };
  const auto variance = [&](const PairMoments& arm) {
    const double r = ratio(arm);
    const double var = arm.var_y() + arm.var_x() * r * r - 2 * arm.cov() * r;
    return std::max(var, 0.0) / (arm.mean_x * arm.mean_x * arm.n);
  };
  const double a = variance(control);
  const double b = variance(treatment);
  const double rc = ratio(control);
  const double rt = ratio(treatment);
  out.ratio_control = rc;
  out.ratio_treatment = rt;
  out.diff = rt - rc;
  if (rc != 0) {
    out.lift = *out.diff / std::abs(rc);
    out.lift_se = std::sqrt(b + a * (rt / rc) * (rt / rc)) / std::abs(rc);
  }
  if (a + b == 0) {
    out.status = Status::kZeroVariance;
    out.lift_se.reset();
    return out;
  }
  out.se = std::sqrt(a + b);
  out.df = satterthwaite(a, control.n, b, treatment.n);
  out.p_value = 2 * student_sf(std::abs(*out.diff / *out.se), *out.df);
  out.interval = around(*out.diff, student_upper(alpha / 2, *out.df) * *out.se);
  return out;
}

}  // namespace covey::stats

#include "stats/sequential.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "stats/special.h"

namespace covey::stats {
namespace {

/// Where `function`, of one sign at `low` and the other at `high`, is 0: bisection until the
/// doubles meet, so the answer depends on nothing but the function.
template <typename Function>
double bisect(double low, double high, const Function& function) {
  const bool low_positive = function(low) > 0;
  for (int i = 0; i < 2'000; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    ((function(middle) > 0) == low_positive ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

double tuned_rho2(double alpha, double n_tune) {
  const double l = -2 * std::log(alpha);
  return (l + std::log(l + 1)) / n_tune;
}

Result<void> check_sequence(double estimate, double se, double n, double alpha, double n_tune) {
  Inputs in;
  in.finite("estimate", estimate);
  in.positive("se", se);
  in.positive("n", n);
  in.level("alpha", alpha);
  in.positive("n_tune", n_tune);
  return in.verdict();
}

Interval around(double centre, double halfwidth) {
  return {centre - halfwidth, centre + halfwidth};
}

/// rho of the normal mixture, Howard et al. 2021, proposition 3 and its tuning.
double mixture_rho(double v_opt, double alpha_opt, bool one_sided) {
  const double l = -2 * std::log((one_sided ? 2 : 1) * alpha_opt);
  return v_opt / (l + std::log1p(l));
}

double log_mixture(double s, double v, double rho, bool one_sided) {
  const double log_m = 0.5 * std::log(rho / (v + rho)) + s * s / (2 * (v + rho));
  if (!one_sided) return log_m;
  return std::numbers::ln2 + log_m + log_normal_cdf(s / std::sqrt(v + rho));
}

/// The set of p with `log_evidence(p)` below ln(1/alpha); it grows away from the observed rate.
template <typename Evidence>
Interval rates_not_rejected(const Count& count, double alpha, const Evidence& log_evidence) {
  if (count.trials == 0) return {0, 1};
  const double rate = count.rate();
  const double limit = -std::log(alpha);
  const auto excess = [&](double p) { return log_evidence(p) - limit; };
  Interval out{0, 1};
  constexpr double kEdge = 1e-300;
  if (count.successes > 0) {
    const double high = count.successes == count.trials ? 1 - 0x1p-53 : rate;
    if (excess(kEdge) > 0) out.low = bisect(kEdge, high, excess);
  }
  if (count.successes < count.trials) {
    const double low = count.successes == 0 ? kEdge : rate;
    constexpr double kTop = 1 - 0x1p-53;
    if (excess(kTop) > 0) out.high = bisect(low, kTop, excess);
  }
  return out;
}

}  // namespace

double anytime_p_value(double log_e) {
  return std::min(1.0, std::exp(-log_e));
}

Result<AsymptoticSequence> asympcs_two_sided(double estimate, double se, double n, double alpha,
                                             double n_tune) {
  COVEY_TRY_VOID(check_sequence(estimate, se, n, alpha, n_tune));
  AsymptoticSequence out;
  out.rho2 = tuned_rho2(alpha, n_tune);
  const double k = n * out.rho2 + 1;
  out.halfwidth = se * std::sqrt(2 * k / (n * out.rho2) * (0.5 * std::log(k) - std::log(alpha)));
  out.interval = around(estimate, out.halfwidth);
  const double z = estimate / se;
  out.log_e_value = out.rho2 * n * z * z / (2 * k) - 0.5 * std::log(k);
  out.p_value = anytime_p_value(out.log_e_value);
  return out;
}

Result<AsymptoticSequence> asympcs_one_sided(double estimate, double se, double n, double alpha,
                                             double n_tune) {
  COVEY_TRY_VOID(check_sequence(estimate, se, n, alpha, n_tune));
  Inputs in;
  in.require(alpha < 0.5, "alpha must be below 0.5 for a one-sided sequence");
  COVEY_TRY_VOID(in.verdict());
  AsymptoticSequence out;
  out.rho2 = tuned_rho2(2 * alpha, n_tune);
  const double k = n * out.rho2 + 1;
  out.halfwidth = se * std::sqrt(2 * k / (n * out.rho2) * std::log1p(std::sqrt(k) / (2 * alpha)));
  out.interval = around(estimate, out.halfwidth);
  // The one-sided normal mixture at sum n * estimate / sd, time n: what the bound inverts up to the
  // bound's own slack (log(1 + x) for log x and Phi).
  out.log_e_value = log_mixture(std::sqrt(n) * estimate / se, n, 1 / out.rho2, true);
  out.p_value = anytime_p_value(out.log_e_value);
  return out;
}

Result<NormalMixture> normal_mixture(double s, double v, double alpha, double v_opt,
                                     double alpha_opt, bool one_sided) {
  Inputs in;
  in.finite("s", s);
  in.not_negative("v", v);
  in.level("alpha", alpha);
  in.positive("v_opt", v_opt);
  in.level("alpha_opt", alpha_opt);
  in.require(!one_sided || alpha_opt < 0.5, "alpha_opt must be below 0.5 when one-sided");
  COVEY_TRY_VOID(in.verdict());
  NormalMixture out;
  out.rho = mixture_rho(v_opt, alpha_opt, one_sided);
  const double rho = out.rho;
  out.log_mixture = log_mixture(s, v, rho, one_sided);
  const double two_sided = std::sqrt((v + rho) * (std::log1p(v / rho) - 2 * std::log(alpha)));
  if (!one_sided) {
    out.bound = two_sided;
    return out;
  }
  // Twice the density on half the line: at most ln 2 more evidence, so the two-sided bound at the
  // same level is high enough; for a low end go down until the evidence is too little.
  const auto excess = [&](double sum) { return log_mixture(sum, v, rho, true) + std::log(alpha); };
  double low = 0;
  for (double step = std::sqrt(v + rho); excess(low) > 0; step *= 2) low -= step;
  double high = two_sided;
  for (double step = std::sqrt(v + rho); excess(high) <= 0; step *= 2) high += step;
  out.bound = bisect(low, high, excess);
  return out;
}

Result<Msprt> msprt_normal(double estimate, double variance, double tau2, double alpha) {
  Inputs in;
  in.finite("estimate", estimate);
  in.positive("variance", variance);
  in.positive("tau2", tau2);
  in.level("alpha", alpha);
  COVEY_TRY_VOID(in.verdict());
  Msprt out;
  const double spread = variance + tau2;
  const double log_growth = std::log1p(tau2 / variance);
  out.log_lr = -0.5 * log_growth + estimate * estimate * tau2 / (2 * variance * spread);
  out.p_value = anytime_p_value(out.log_lr);
  out.halfwidth = std::sqrt(variance * spread / tau2 * (log_growth - 2 * std::log(alpha)));
  out.interval = around(estimate, out.halfwidth);
  return out;
}

Result<Interval> bernoulli_cs_howard(const Count& count, double alpha, double t_opt,
                                     double alpha_opt) {
  Inputs in;
  require_count(in, "bernoulli", count);
  in.level("alpha", alpha);
  in.positive("t_opt", t_opt);
  in.level("alpha_opt", alpha_opt);
  COVEY_TRY_VOID(in.verdict());
  const double s = static_cast<double>(count.successes);
  const double n = static_cast<double>(count.trials);
  return rates_not_rejected(count, alpha, [&](double p) {
    const double q = 1 - p;
    const double pq = p * q;
    const double r = std::max(mixture_rho(pq * t_opt, alpha_opt, false) - pq, 1e-3 * pq);
    // (r + v - pS) / p and (r + v + qS) / q with v = pq n, S = s - np, simplified: the long form
    // loses all digits where p is small.
    return -s * std::log(p) - (n - s) * std::log1p(-p) + log_beta(r / p + n - s, r / q + s) -
           log_beta(r / p, r / q);
  });
}

Result<Interval> bernoulli_cs_beta(const Count& count, double alpha, double a, double b) {
  Inputs in;
  require_count(in, "bernoulli", count);
  in.level("alpha", alpha);
  in.positive("a", a);
  in.positive("b", b);
  COVEY_TRY_VOID(in.verdict());
  const double s = static_cast<double>(count.successes);
  const double n = static_cast<double>(count.trials);
  const double mixture = log_beta(a + s, b + n - s) - log_beta(a, b);
  return rates_not_rejected(
      count, alpha, [&](double p) { return mixture - s * std::log(p) - (n - s) * std::log1p(-p); });
}

Result<double> bernoulli_one_sided_e(const Count& count, double p0, Direction direction,
                                     std::optional<double> a_given, std::optional<double> b_given) {
  Inputs in;
  require_count(in, "bernoulli", count);
  in.level("p0", p0);
  if (a_given) in.positive("a", *a_given);
  if (b_given) in.positive("b", *b_given);
  COVEY_TRY_VOID(in.verdict());
  if (count.trials == 0) return 0.0;
  const double a = a_given.value_or(1);
  const double b = b_given.value_or(1 / p0);
  const double s = static_cast<double>(count.successes);
  const double f = static_cast<double>(count.trials - count.successes);
  const auto tail = direction == Direction::kAbove ? log_ibetac : log_ibeta;
  return log_beta(a + s, b + f) + tail(a + s, b + f, p0) - log_beta(a, b) - tail(a, b, p0) -
         s * std::log(p0) - f * std::log1p(-p0);
}

}  // namespace covey::stats

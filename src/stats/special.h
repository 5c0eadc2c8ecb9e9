#pragma once

#include <cstdint>

namespace covey::stats {

// Distribution functions, by Boost.Math where it has them. Tails are computed as tails, never as
// one minus the rest, and what underflows has a logarithm of its own.

double normal_cdf(double z);
double normal_sf(double z);        ///< P(Z > z)
double normal_quantile(double p);  ///< z with P(Z <= z) = p, p in (0, 1)
double normal_upper(double tail);  ///< z with P(Z > z) = tail, tail in (0, 1)
double log_normal_cdf(double z);   ///< ln P(Z <= z), also where the probability underflows

double student_sf(double t, double df);        ///< P(T > t), df > 0
double student_upper(double tail, double df);  ///< t with P(T > t) = tail
double chi2_sf(double x, double df);

/// ln B(a, b), a and b > 0. Keeps its digits where a and b are large and lgamma would cancel.
/// Source: Didonato and Morris, "Algorithm 708", ACM TOMS 18 (1992), section 4.
double log_beta(double a, double b);
/// ln Gamma(x), x > 0; safe on many threads, unlike std::lgamma.
double log_gamma(double x);
/// ln I_x(a, b), the regularised incomplete beta function, and ln(1 - I_x(a, b)).
/// Where the value underflows: Numerical Recipes 6.4's continued fraction by Lentz's method, in
/// logs.
double log_ibeta(double a, double b, double x);
double log_ibetac(double a, double b, double x);

double beta_quantile(double p, double a, double b);

/// P(B <= k) and P(B > k) for B ~ Binomial(n, q), q in (0, 1); k may lie outside 0..n.
double binomial_cdf(std::int64_t k, std::int64_t n, double q);
double binomial_sf(std::int64_t k, std::int64_t n, double q);

}  // namespace covey::stats

#include "stats/special.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/gamma.hpp>

namespace covey::stats {
namespace {

namespace bm = boost::math;
// A tail that underflows is 0 and an overflow is infinite: callers that need more use logarithms.
using Quiet = bm::policies::policy<bm::policies::overflow_error<bm::policies::ignore_error>,
                                   bm::policies::underflow_error<bm::policies::ignore_error>,
                                   bm::policies::denorm_error<bm::policies::ignore_error>,
                                   bm::policies::evaluation_error<bm::policies::ignore_error>>;
constexpr Quiet kQuiet;
// Gates ask for the incomplete beta at every look: in the x87's long double it costs five times as
// much, for digits that a logarithm of evidence has no use for.
using InDouble = bm::policies::normalise<Quiet, bm::policies::promote_double<false>>::type;
constexpr InDouble kInDouble;

// ln Gamma(x) - [(x - 1/2) ln x - x + ln(2 pi)/2], x >= 10: Stirling's series to 1/x^11.
double stirling_rest(double x) {
  const double r = 1 / x;
  const double r2 = r * r;
  return r * (1.0 / 12 -
              r2 * (1.0 / 360 -
                    r2 * (1.0 / 1260 - r2 * (1.0 / 1680 - r2 * (1.0 / 1188 - r2 * 691 / 360360)))));
}

// ln I_x(a, b) at x < (a+1)/(a+b+2), where the fraction converges fast; ln x and ln(1 - x) come
// from the caller, who may know them better than x tells.
double log_ibeta_by_fraction(double a, double b, double x, double log_x, double log_1mx) {
  constexpr double kTiny = 1e-300;
  const double front = a * log_x + b * log_1mx - log_beta(a, b) - std::log(a);
  double c = 1;
  double d = 1 - (a + b) * x / (a + 1);
  if (std::abs(d) < kTiny) d = kTiny;
  d = 1 / d;
  double fraction = d;
  for (int m = 1; m < 100'000; ++m) {
    const double m2 = 2.0 * m;
    const auto fold = [&](double term) {
      d = 1 + term * d;
      if (std::abs(d) < kTiny) d = kTiny;
      c = 1 + term / c;
      if (std::abs(c) < kTiny) c = kTiny;
      d = 1 / d;
      fraction *= d * c;
    };
    fold(m * (b - m) * x / ((a + m2 - 1) * (a + m2)));
    const double before = fraction;
    fold(-(a + m) * (a + b + m) * x / ((a + m2) * (a + m2 + 1)));
    if (std::abs(fraction / before - 1) < 1e-16) break;
  }
  return front + std::log(fraction);
}

constexpr double kUnderflows = 1e-280;

}  // namespace

double normal_cdf(double z) {
  return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}
double normal_sf(double z) {
  return 0.5 * std::erfc(z / std::numbers::sqrt2);
}
double normal_quantile(double p) {
  return -std::numbers::sqrt2 * bm::erfc_inv(2 * p, kQuiet);
}
double normal_upper(double tail) {
  return std::numbers::sqrt2 * bm::erfc_inv(2 * tail, kQuiet);
}

double log_normal_cdf(double z) {
  if (z > -30) return z > 5 ? std::log1p(-normal_sf(z)) : std::log(normal_cdf(z));
  // Mills' ratio, Abramowitz and Stegun 26.2.12; the first term left out is 105 / z^8 < 2e-10 of
  // it.
  const double r = 1 / (z * z);
  return -0.5 * z * z - std::log(-z) - 0.5 * std::log(2 * std::numbers::pi) +
         std::log1p(-r * (1 - r * (3 - r * (15 - r * 105))));
}

double student_sf(double t, double df) {
  return bm::cdf(bm::complement(bm::students_t_distribution<double, Quiet>(df), t));
}
double student_upper(double tail, double df) {
  return bm::quantile(bm::complement(bm::students_t_distribution<double, Quiet>(df), tail));
}
double chi2_sf(double x, double df) {
  return bm::gamma_q(df / 2, x / 2, kQuiet);
}

double log_gamma(double x) {
  return bm::lgamma(x, kQuiet);
}

double log_beta(double a, double b) {
  if (a > b) std::swap(a, b);
  if (b < 10) return log_gamma(a) + log_gamma(b) - log_gamma(a + b);
  if (a < 10) {
    // ln Gamma(b) - ln Gamma(a + b) without taking the difference of two large numbers.
    return log_gamma(a) + a - (b - 0.5) * std::log1p(a / b) - a * std::log(a + b) +
           stirling_rest(b) - stirling_rest(a + b);
  }
  const double u = (a - 0.5) * std::log(a / (a + b));
  const double v = b * std::log1p(a / b);
  return 0.5 * std::log(2 * std::numbers::pi / b) + u - v + stirling_rest(a) + stirling_rest(b) -
         stirling_rest(a + b);
}

double log_ibeta(double a, double b, double x) {
  if (x <= 0) return -std::numeric_limits<double>::infinity();
  if (x >= 1) return 0;
  const double value = bm::ibeta(a, b, x, kInDouble);
  if (value > 0.5) return std::log1p(-bm::ibetac(a, b, x, kInDouble));
  if (value > kUnderflows) return std::log(value);
  return log_ibeta_by_fraction(a, b, x, std::log(x), std::log1p(-x));
}

double log_ibetac(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return -std::numeric_limits<double>::infinity();
  const double value = bm::ibetac(a, b, x, kInDouble);
  if (value > 0.5) return std::log1p(-bm::ibeta(a, b, x, kInDouble));
  if (value > kUnderflows) return std::log(value);
  return log_ibeta_by_fraction(b, a, 1 - x, std::log1p(-x), std::log(x));
}

double beta_quantile(double p, double a, double b) {
  return bm::ibeta_inv(a, b, p, kQuiet);
}

double binomial_cdf(std::int64_t k, std::int64_t n, double q) {
  if (k < 0) return 0;
  if (k >= n) return 1;
  return bm::ibetac(static_cast<double>(k + 1), static_cast<double>(n - k), q, kQuiet);
}
double binomial_sf(std::int64_t k, std::int64_t n, double q) {
  if (k < 0) return 1;
  if (k >= n) return 0;
  return bm::ibeta(static_cast<double>(k + 1), static_cast<double>(n - k), q, kQuiet);
}

}  // namespace covey::stats

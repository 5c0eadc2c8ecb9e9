#include "stats/rank_tests.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "stats/special.h"

namespace covey::stats {
namespace {

void require_finite(Inputs& in, std::string_view what, std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      in.finite(std::string(what) + "[" + std::to_string(i) + "]", values[i]);
    }
  }
}

/// P(sup |Brownian bridge| > x): the alternating series where it converges fast, else its theta
/// transform.
double kolmogorov_sf(double x) {
  if (x <= 0) return 1;
  double sum = 0;
  if (x > 1) {
    for (int k = 1; k < 20; ++k) {
      const double term = std::exp(-2.0 * k * k * x * x);
      sum += k % 2 == 1 ? term : -term;
      if (term < 1e-17 * sum) break;
    }
    return std::clamp(2 * sum, 0.0, 1.0);
  }
  for (int k = 1; k < 20; ++k) {
    const double odd = 2.0 * k - 1;
    sum += std::exp(-odd * odd * std::numbers::pi * std::numbers::pi / (8 * x * x));
  }
  return std::clamp(1 - std::sqrt(2 * std::numbers::pi) / x * sum, 0.0, 1.0);
}

/// P(U >= u) of the Mann-Whitney statistic without ties.
double mann_whitney_sf(std::size_t n, std::size_t m, double u) {
  // counts[j][s]: ways to choose j ranks so far with rank sum (less the least possible) s.
  const std::size_t most = n * m;
  std::vector<std::vector<double>> ways(n + 1, std::vector<double>(most + 1, 0));
  ways[0][0] = 1;
  // Adding item after item: the j-th chosen one beats as many of the others as came before it.
  for (std::size_t item = 0; item < n + m; ++item) {
    for (std::size_t j = std::min(n, item + 1); j-- > 0;) {
      if (item < j || item - j > m) continue;
      const std::size_t beats = item - j;
      for (std::size_t s = 0; s + beats <= most; ++s) ways[j + 1][s + beats] += ways[j][s];
    }
  }
  double all = 0;
  double beyond = 0;
  for (std::size_t s = 0; s <= most; ++s) {
    all += ways[n][s];
    if (static_cast<double>(s) >= u) beyond += ways[n][s];
  }
  return beyond / all;
}

/// P(D+ >= d) of n uniforms, by Smirnov's sum of positive terms, in logs.
double smirnov_sf(std::size_t n, double d) {
  const double count = static_cast<double>(n);
  double sum = 0;
  for (std::size_t j = 0; j < n; ++j) {
    const double k = static_cast<double>(j);
    const double rest = 1 - d - k / count;
    if (rest <= 0) break;
    const double log_choose = log_gamma(count + 1) - log_gamma(k + 1) - log_gamma(count - k + 1);
    sum += std::exp(log_choose + (k - 1) * std::log(d + k / count) + (count - k) * std::log(rest));
  }
  return std::min(1.0, d * sum);
}

/// P(D < d) of n uniforms: an entry of the n-th power of a matrix, scaled as it grows.
double marsaglia_cdf(std::size_t n, double d) {
  const auto count = static_cast<double>(n);
  const auto k = static_cast<std::size_t>(count * d) + 1;
  const std::size_t m = 2 * k - 1;
  const double h = static_cast<double>(k) - count * d;
  using Matrix = std::vector<double>;
  Matrix base(m * m, 0);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < m; ++j) base[i * m + j] = i + 1 >= j ? 1 : 0;
  }
  for (std::size_t i = 0; i < m; ++i) {
    base[i * m] -= std::pow(h, static_cast<double>(i + 1));
    base[(m - 1) * m + i] -= std::pow(h, static_cast<double>(m - i));
  }
  base[(m - 1) * m] += 2 * h - 1 > 0 ? std::pow(2 * h - 1, static_cast<double>(m)) : 0;
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < m; ++j) {
      if (i + 1 < j) continue;
      for (std::size_t g = 1; g <= i + 1 - j; ++g) base[i * m + j] /= static_cast<double>(g);
    }
  }
  const auto multiply = [m](const Matrix& a, const Matrix& b) {
    Matrix out(m * m, 0);
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t l = 0; l < m; ++l) {
        const double v = a[i * m + l];
        if (v == 0) continue;
        for (std::size_t j = 0; j < m; ++j) out[i * m + j] += v * b[l * m + j];
      }
    }
    return out;
  };
  int exponent = 0;
  int base_exponent = 0;
  const auto settle = [&](Matrix& matrix, int& its_exponent) {
    int shift = 0;
    std::frexp(matrix[(k - 1) * m + (k - 1)], &shift);
    if (shift < 300) return;
    for (double& value : matrix) value = std::ldexp(value, -shift);
    its_exponent += shift;
  };
  Matrix power(m * m, 0);
  for (std::size_t i = 0; i < m; ++i) power[i * m + i] = 1;
  for (std::size_t left = n; left > 0; left >>= 1) {
    if (left & 1) {
      power = multiply(power, base);
      exponent += base_exponent;
      settle(power, exponent);
    }
    if (left > 1) {
      base = multiply(base, base);
      base_exponent *= 2;
      settle(base, base_exponent);
    }
  }
  const double entry = power[(k - 1) * m + (k - 1)];
  return std::exp(std::log(entry) + exponent * std::numbers::ln2 + log_gamma(count + 1) -
                  count * std::log(count));
}

constexpr double kExactPairs = 1e8;
constexpr std::size_t kExactUniforms = 5'000;

}  // namespace

Result<MannWhitney> mann_whitney(std::span<const double> x, std::span<const double> y) {
  Inputs in;
  require_finite(in, "x", x);
  require_finite(in, "y", y);
  COVEY_TRY_VOID(in.verdict());
  MannWhitney out;
  if (x.empty() || y.empty()) {
    out.status = Status::kNoData;
    return out;
  }
  struct Value {
    double value;
    bool of_x;
  };
  std::vector<Value> all;
  for (const double v : x) all.push_back({v, true});
  for (const double v : y) all.push_back({v, false});
  std::ranges::sort(all, {}, &Value::value);
  const auto n = static_cast<double>(x.size());
  const auto m = static_cast<double>(y.size());
  double ties = 0;  // sum of t³ - t over groups of equal values
  double y_before = 0;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t end = i;
    double x_here = 0;
    for (; end < all.size() && all[end].value == all[i].value; ++end) x_here += all[end].of_x;
    const auto t = static_cast<double>(end - i);
    const double y_here = t - x_here;
    out.u1 += x_here * (y_before + 0.5 * y_here);
    y_before += y_here;
    ties += t * t * t - t;
    i = end;
  }
  out.cles = out.u1 / (n * m);
  const double total = n + m;
  const double variance = n * m / 12 * ((total + 1) - ties / (total * (total - 1)));
  if (!(variance > 0) || ties == total * total * total - total) {
    out.status = Status::kAllTied;
    out.p_asymptotic = 1;
    return out;
  }
  const double u = std::max(out.u1, n * m - out.u1);
  out.p_asymptotic = std::min(1.0, 2 * normal_sf((u - n * m / 2 - 0.5) / std::sqrt(variance)));
  if (ties == 0 && total <= 24) {
    out.p_exact = std::min(1.0, 2 * mann_whitney_sf(x.size(), y.size(), u));
  }
  return out;
}

Result<KolmogorovSmirnov> ks_two_sample(std::span<const double> x, std::span<const double> y) {
  Inputs in;
  require_finite(in, "x", x);
  require_finite(in, "y", y);
  COVEY_TRY_VOID(in.verdict());
  KolmogorovSmirnov out;
  if (x.empty() || y.empty()) {
    out.status = Status::kNoData;
    return out;
  }
  std::vector<double> a(x.begin(), x.end());
  std::vector<double> b(y.begin(), y.end());
  std::ranges::sort(a);
  std::ranges::sort(b);
  const auto n = static_cast<std::int64_t>(a.size());
  const auto m = static_cast<std::int64_t>(b.size());
  // The distance as a whole number of 1 / (n m), so that equal distances compare equal.
  std::int64_t widest = 0;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const double here = std::min(a[i], b[j]);
    while (i < a.size() && a[i] == here) ++i;
    while (j < b.size() && b[j] == here) ++j;
    const auto apart = static_cast<std::int64_t>(i) * m - static_cast<std::int64_t>(j) * n;
    widest = std::max(widest, std::abs(apart));
  }
  const double pairs = static_cast<double>(n) * static_cast<double>(m);
  out.d = static_cast<double>(widest) / pairs;
  out.p_kolmogorov = kolmogorov_sf(*out.d * std::sqrt(pairs / static_cast<double>(n + m)));
  if (pairs > kExactPairs) return out;
  if (widest == 0) {
    out.p_exact = 1;
    return out;
  }
  // A random path from (0, 0) to (n, m): the mass that has not yet been `widest` apart, and what
  // leaves it. All terms are positive, so a tiny p keeps its digits.
  std::vector<double> mass(static_cast<std::size_t>(m) + 1, 0);
  double left = 0;
  for (std::int64_t i = 0; i <= n; ++i) {
    for (std::int64_t j = 0; j <= m; ++j) {
      const auto at = static_cast<std::size_t>(j);
      double here = i == 0 && j == 0 ? 1 : 0;
      if (i > 0) {  // came by a value of x from (i-1, j)
        here += mass[at] * static_cast<double>(n - i + 1) / static_cast<double>(n - i + 1 + m - j);
      }
      if (j > 0) {  // came by a value of y from (i, j-1)
        here +=
            mass[at - 1] * static_cast<double>(m - j + 1) / static_cast<double>(n - i + m - j + 1);
      }
      if (std::abs(i * m - j * n) >= widest) {
        left += here;
        here = 0;
      }
      mass[at] = here;
    }
  }
  out.p_exact = std::min(1.0, left);
  return out;
}

Result<KolmogorovSmirnov> ks_uniform(std::span<const double> p_values) {
  Inputs in;
  require_finite(in, "p_values", p_values);
  for (const double p : p_values) {
    if (p < 0 || p > 1) {
      in.require(false, "p_values must lie in [0, 1]");
      break;
    }
  }
  COVEY_TRY_VOID(in.verdict());
  KolmogorovSmirnov out;
  if (p_values.empty()) {
    out.status = Status::kNoData;
    return out;
  }
  std::vector<double> sorted(p_values.begin(), p_values.end());
  std::ranges::sort(sorted);
  const auto n = static_cast<double>(sorted.size());
  double d = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto rank = static_cast<double>(i);
    d = std::max({d, (rank + 1) / n - sorted[i], sorted[i] - rank / n});
  }
  out.d = d;
  out.p_kolmogorov = kolmogorov_sf(d * std::sqrt(n));
  if (sorted.size() > kExactUniforms) return out;
  // Both bounds crossed at once is what twice the one-sided tail counts double: impossible from
  // d = 1/2 on, and of relative size exp(-6 n d²) elsewhere.
  if (d >= 1) {
    out.p_exact = 0;
  } else if (d >= 0.5 || n * d * d > 4) {
    out.p_exact = std::min(1.0, 2 * smirnov_sf(sorted.size(), d));
  } else {
    out.p_exact = std::clamp(1 - marsaglia_cdf(sorted.size(), d), 0.0, 1.0);
  }
  return out;
}

}  // namespace covey::stats

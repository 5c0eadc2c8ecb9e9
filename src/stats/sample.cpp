#include "stats/sample.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace covey::stats {

void Moments::merge(const Moments& other) {
  if (other.n_ == 0) return;
  const double n = n_ + other.n_;
  const double apart = other.mean_ - mean_;
  mean_ += apart * (other.n_ / n);
  m2_ += other.m2_ + apart * apart * (n_ * other.n_ / n);
  n_ = n;
}

Moments Moments::of(const Sample& sample) {
  return {sample.n, sample.mean, sample.n > 1 ? sample.var * (sample.n - 1) : 0};
}

void PairMoments::add(double y, double x) {
  n += 1;
  const double dy = y - mean_y;
  const double dx = x - mean_x;
  mean_y += dy / n;
  mean_x += dx / n;
  m2_y += dy * (y - mean_y);
  m2_x += dx * (x - mean_x);
  m2_yx += dy * (x - mean_x);
}

void PairMoments::merge(const PairMoments& other) {
  if (other.n == 0) return;
  const double both = n + other.n;
  const double dy = other.mean_y - mean_y;
  const double dx = other.mean_x - mean_x;
  const double weight = n * other.n / both;
  mean_y += dy * (other.n / both);
  mean_x += dx * (other.n / both);
  m2_y += other.m2_y + dy * dy * weight;
  m2_x += other.m2_x + dx * dx * weight;
  m2_yx += other.m2_yx + dy * dx * weight;
  n = both;
}

PairMoments PairMoments::of_sums(double n, double sum_y, double sum_yy, double sum_x, double sum_xx,
                                 double sum_xy) {
  PairMoments out;
  out.n = n;
  if (n == 0) return out;
  // Extended precision takes nothing away from what the sums still hold.
  const long double mean_y = static_cast<long double>(sum_y) / n;
  const long double mean_x = static_cast<long double>(sum_x) / n;
  const auto centred = [](long double square, long double mean, double sum) {
    const long double rest = square - mean * sum;
    return rest <= 1e-14L * square ? 0.0 : static_cast<double>(rest);
  };
  out.mean_y = static_cast<double>(mean_y);
  out.mean_x = static_cast<double>(mean_x);
  out.m2_y = centred(sum_yy, mean_y, sum_y);
  out.m2_x = centred(sum_xx, mean_x, sum_x);
  out.m2_yx = static_cast<double>(sum_xy - mean_x * static_cast<long double>(sum_y));
  return out;
}

Result<MomentsOf> moments(std::span<const double> values) {
  Inputs in;
  Moments all;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) in.finite("values[" + std::to_string(i) + "]", values[i]);
    all.add(values[i]);
  }
  COVEY_TRY_VOID(in.verdict());
  MomentsOf out;
  out.n = static_cast<std::int64_t>(values.size());
  if (out.n > 0) out.mean = all.mean();
  if (out.n > 1) out.var = all.var();
  return out;
}

namespace {

// From the nearer end, as numpy does it: so that share = 1 is exactly `high`.
double between(double low, double high, double share) {
  return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
}

}  // namespace

double quantile_type7(std::span<const double> sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  if (below + 1 >= sorted.size()) return sorted.back();
  return between(sorted[below], sorted[below + 1], at - static_cast<double>(below));
}

double quantile_type7_of(std::span<double> values, double q) {
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(at), values.size() - 1);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), middle, values.end());
  if (below + 1 == values.size()) return *middle;
  const double high = *std::min_element(middle + 1, values.end());
  return between(*middle, high, at - static_cast<double>(below));
}

Result<Winsorized> winsorize(std::span<const double> values, std::optional<double> lower_q,
                             std::optional<double> upper_q) {
  Inputs in;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) in.finite("values[" + std::to_string(i) + "]", values[i]);
  }
  for (const auto& [what, q] : {std::pair{"lower_q", lower_q}, std::pair{"upper_q", upper_q}}) {
    if (q) in.require(*q >= 0 && *q <= 1, std::string(what) + " must lie in [0, 1]");
  }
  if (lower_q && upper_q) in.require(*lower_q <= *upper_q, "lower_q must not exceed upper_q");
  COVEY_TRY_VOID(in.verdict());
  Winsorized out;
  if (values.empty()) {
    out.status = Status::kNoData;
    return out;
  }
  std::vector<double> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  if (lower_q) out.lower = quantile_type7(sorted, *lower_q);
  if (upper_q) out.upper = quantile_type7(sorted, *upper_q);
  Moments clipped;
  for (const double value : values) {
    double kept = value;
    if (out.lower) kept = std::max(kept, *out.lower);
    if (out.upper) kept = std::min(kept, *out.upper);
    out.n_clipped += kept != value;
    clipped.add(kept);
  }
  out.mean = clipped.mean();
  if (values.size() > 1) out.var = clipped.var();
  return out;
}

void require_sample(Inputs& in, std::string_view arm, const Sample& sample) {
  const std::string of(arm);
  in.not_negative(of + ".n", sample.n);
  in.finite(of + ".mean", sample.mean);
  in.not_negative(of + ".var", sample.var);
}

}  // namespace covey::stats

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stats/status.h"

namespace covey::stats {

/// What a test of means needs to know of one arm. `var` is the unbiased variance (n - 1), in unit².
struct Sample {
  double n = 0;
  double mean = 0;
  double var = 0;
};

/// Mean and variance in one pass, without the cancellation of sums of squares.
///
/// Source: Welford, Technometrics 4 (1962); merge(): Chan, Golub and LeVeque (1979). Merging in a
/// fixed order gives the same bits again.
class Moments {
 public:
  void add(double value) {
    n_ += 1;
    const double from_old = value - mean_;
    mean_ += from_old / n_;
    m2_ += from_old * (value - mean_);
  }
  /// As if `zeros` zeros were added: most units of most metrics are.
  void add_zeros(double zeros) { merge(Moments(zeros, 0, 0)); }
  void merge(const Moments& other);

  double n() const { return n_; }
  double mean() const { return mean_; }  ///< 0 of nothing
  double var() const { return n_ > 1 ? m2_ / (n_ - 1) : 0; }
  Sample sample() const { return {n_, mean_, var()}; }

  Moments() = default;
  static Moments of(const Sample& sample);

 private:
  Moments(double n, double mean, double m2) : n_(n), mean_(mean), m2_(m2) {}
  double n_ = 0, mean_ = 0, m2_ = 0;  // m2: sum of squared distances from the mean
};

/// Moments of pairs (y, x), in one pass like Moments.
struct PairMoments {
  double n = 0;
  double mean_y = 0, mean_x = 0;
  double m2_y = 0, m2_x = 0, m2_yx = 0;  ///< centred sums of squares and products

  void add(double y, double x);
  void merge(const PairMoments& other);
  double var_y() const { return n > 1 ? m2_y / (n - 1) : 0; }
  double var_x() const { return n > 1 ? m2_x / (n - 1) : 0; }
  double cov() const { return n > 1 ? m2_yx / (n - 1) : 0; }

  /// From plain sums. They have lost what cancels, so a variance below 1e-14 of the mean square is
  /// read as 0: that much rounding alone leaves behind.
  static PairMoments of_sums(double n, double sum_y, double sum_yy, double sum_x, double sum_xx,
                             double sum_xy);
};

/// Mean and variance of `values`; var is nothing below two values, mean nothing below one.
struct MomentsOf {
  std::int64_t n = 0;
  std::optional<double> mean, var;
};
Result<MomentsOf> moments(std::span<const double> values);

/// The quantile by linear interpolation between order statistics (Hyndman and Fan, "Sample
/// quantiles in statistical packages", 1996, type 7). `sorted` must not be empty, q in [0, 1].
double quantile_type7(std::span<const double> sorted, double q);
/// The same of values in any order, which it reorders: linear time instead of a sort.
double quantile_type7_of(std::span<double> values, double q);

struct Winsorized {
  Status status = Status::kOk;
  std::optional<double> lower, upper;  ///< thresholds; nothing where none was asked for
  std::int64_t n_clipped = 0;
  std::optional<double> mean, var;  ///< of the clipped values
};
/// Clips values beyond quantiles taken over ALL values given, zeros included.
/// kNoData: no values. kRejected: a quantile outside [0, 1], or lower above upper.
Result<Winsorized> winsorize(std::span<const double> values, std::optional<double> lower_q,
                             std::optional<double> upper_q);

/// Faults of one arm's summary, in words that name it.
void require_sample(Inputs& in, std::string_view arm, const Sample& sample);

}  // namespace covey::stats

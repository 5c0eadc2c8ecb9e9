#pragma once

#include <optional>
#include <span>

#include "stats/status.h"

namespace covey::stats {

struct MannWhitney {
  Status status = Status::kOk;
  double u1 = 0;                                ///< pairs with x > y, ties as halves
  std::optional<double> p_asymptotic, p_exact;  ///< two-sided
  std::optional<double> cles;                   ///< P(X > Y) + P(X = Y) / 2
};

/// Whether values of one sample tend to be larger. p_asymptotic is corrected for ties and
/// continuity; p_exact only without ties and for at most 24 values. kNoData: an empty sample.
/// kAllTied: nothing differs, p_asymptotic is 1.
/// Source: Mann and Whitney, Annals of Mathematical Statistics 18 (1947).
Result<MannWhitney> mann_whitney(std::span<const double> x, std::span<const double> y);

struct KolmogorovSmirnov {
  Status status = Status::kOk;
  std::optional<double> d;             ///< largest distance of the distribution functions
  std::optional<double> p_exact;       ///< nothing where the exact sum would take too long
  std::optional<double> p_kolmogorov;  ///< limit for large samples
};

/// Whether two samples come from one distribution. kNoData: an empty sample. p_exact counts lattice
/// paths, up to n m = 10^8. Source: Hodges, Arkiv för Matematik 3 (1958).
Result<KolmogorovSmirnov> ks_two_sample(std::span<const double> x, std::span<const double> y);

/// Whether p-values are uniform on [0, 1]. p_exact: Marsaglia, Tsang and Wang, Journal of
/// Statistical Software 8 (2003), and, in the far tail, twice the one-sided exact tail of Smirnov
/// as in Simard and L'Ecuyer, the same 39 (2011), whose error there is below 1e-10 of the answer;
/// up to 5,000 values.
Result<KolmogorovSmirnov> ks_uniform(std::span<const double> p_values);

}  // namespace covey::stats

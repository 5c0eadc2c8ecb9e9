#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "learners/traits.h"

namespace covey::learners {

namespace detail {

// Filled before main: a table inside a function would be asked at each call whether it is.

struct Log2Bin {
  double inverse, log2;
};
inline constexpr std::size_t kLog2Bins = 128;
inline const std::array<Log2Bin, kLog2Bins> kLog2Table = [] {
  std::array<Log2Bin, kLog2Bins> bins;
  for (std::size_t i = 0; i < kLog2Bins; ++i) {
    const double middle = 1 + (static_cast<double>(i) + 0.5) / kLog2Bins;
    bins[i].inverse = 1 / middle;
    bins[i].log2 = -std::log2(bins[i].inverse);  // of the rounded inverse: no error left
  }
  return bins;
}();

inline constexpr std::size_t kDecayDays = 1024;
inline const std::array<double, kDecayDays> kDecayTable = [] {
  std::array<double, kDecayDays> table;
  for (std::size_t i = 0; i < kDecayDays; ++i) {
    table[i] = std::exp(kDomainDecayPerDay * static_cast<double>(i));
  }
  return table;
}();

}  // namespace detail

// The two transcendental functions of a fold, at a fifth of libm's cost and to within a few ulp:
// what the fold sums up is good to 1e-6 with nine digits to spare.

/// log2 of a finite, normal w > 0; absolute error below 1e-15 + 1e-16 |log2 w|.
///
/// w = 2^e m with m in [1, 2); m = c (1 + r) for the middle c of one of 128 bins, |r| < 2^-8; the
/// series of log2(1 + r) ends at r^5, the first term left out is below 6e-16.
inline double fast_log2(double w) {
  using detail::kLog2Bins;
  const auto bits = std::bit_cast<std::uint64_t>(w);
  const auto exponent = static_cast<std::int64_t>(bits >> 52) - 1023;
  const double m = std::bit_cast<double>((bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL);
  const detail::Log2Bin& bin = detail::kLog2Table[(bits >> 45) & (kLog2Bins - 1)];
  const double r = m * bin.inverse - 1;
  constexpr double kLog2E = 1.4426950408889634;
  const double series = r * (1 - r * (0.5 - r * (1.0 / 3 - r * (0.25 - r * 0.2))));
  return static_cast<double>(exponent) + bin.log2 + series * kLog2E;
}

/// exp(kDomainDecayPerDay * fraction) for a part of a day, 0 <= fraction < 1, by the exponential
/// series to z^5 (z < 0.01, the first term left out is below 2e-15).
inline double decay_within_day(double fraction) {
  const double z = kDomainDecayPerDay * fraction;
  // No division: each would take longer than all the rest.
  // In pairs, which need not wait for each other (Estrin's scheme).
  const double square = z * z;
  return (1 + z) + square * ((1.0 / 2 + z * (1.0 / 6)) + square * (1.0 / 24 + z * (1.0 / 120)));
}

/// exp(kDomainDecayPerDay * x) for x = `day` + `fraction` days, 0 <= fraction < 1.
///
/// A table for whole days 0..1023. Days outside it, of late events, go to libm.
inline double domain_decay(std::int64_t day, double fraction) {
  if (day < 0 || day >= static_cast<std::int64_t>(detail::kDecayDays)) {
    return std::exp(kDomainDecayPerDay * (static_cast<double>(day) + fraction));
  }
  return detail::kDecayTable[static_cast<std::size_t>(day)] * decay_within_day(fraction);
}

}  // namespace covey::learners

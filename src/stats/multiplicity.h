#pragma once

#include <span>
#include <vector>

#include "stats/status.h"

namespace covey::stats {

/// p-values adjusted for their number, in the order given, and whether each is rejected at alpha.
struct AdjustedP {
  std::vector<double> p;
  std::vector<bool> reject;
};

struct MultipleTesting {
  AdjustedP bonferroni;  ///< family-wise error
  AdjustedP holm;        ///< family-wise error, never weaker than Bonferroni: Holm 1979
  AdjustedP bh;          ///< false discovery rate, independent tests: Benjamini and Hochberg 1995
  AdjustedP by;          ///< false discovery rate, any dependence: Benjamini and Yekutieli 2001
};
/// kRejected: a p-value outside [0, 1]. Equal p-values get equal answers, whatever their order.
Result<MultipleTesting> multiple_testing(std::span<const double> p_values, double alpha);

/// e-BH: which of many e-values, given as logs, are discoveries at false discovery rate alpha,
/// under any dependence. Source: Wang and Ramdas, JRSS B 84 (2022).
std::vector<bool> e_bh(std::span<const double> log_e_values, double alpha);

}  // namespace covey::stats

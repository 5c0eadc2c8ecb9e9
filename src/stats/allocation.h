#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "stats/status.h"

namespace covey::stats {

// Sample ratio mismatch: are units in the arms in the proportions the plan says? If not, nothing
// else in the experiment can be believed.

struct RatioMismatch {
  Status status = Status::kOk;
  std::optional<double> chi2;
  std::int64_t df = 0;
  std::optional<double> p_value;
};

/// Pearson's test, for ONE look; alarm below 0.001. Arms of weight 0 are left out, and
/// kUnexpectedArm says that units were seen in one. kNoData: no units.
/// Source: Fabijan et al., KDD 2019.
Result<RatioMismatch> srm_chi2(std::span<const std::int64_t> observed,
                               std::span<const double> weights);

struct SequentialRatioMismatch {
  Status status = Status::kOk;
  std::optional<double> log_bayes_factor;  ///< evidence against the planned weights
  std::optional<double> p_value;           ///< valid at any time; keep the smallest seen
};

/// The same, looking as often as one likes: Dirichlet-multinomial against the planned weights.
/// @param k  concentration of the alternative around the plan, > 0.
/// Source: Lindon and Malek, NeurIPS 2022, arXiv:2011.03567.
Result<SequentialRatioMismatch> srm_sequential(std::span<const std::int64_t> observed,
                                               std::span<const double> weights, double k);

}  // namespace covey::stats

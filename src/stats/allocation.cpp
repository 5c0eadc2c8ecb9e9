#include "stats/allocation.h"

#include <cmath>
#include <vector>

#include "stats/sequential.h"
#include "stats/special.h"

namespace covey::stats {
namespace {

/// The arms that get traffic.
struct Arms {
  bool unexpected = false;
  std::vector<double> observed, weight;  // weights sum to 1
  double units = 0;
};

Result<Arms> arms(std::span<const std::int64_t> observed, std::span<const double> weights) {
  Inputs in;
  in.require(!observed.empty() && observed.size() == weights.size(),
             "observed and weights must have one entry per arm");
  for (const std::int64_t units : observed) in.require(units >= 0, "observed must not be below 0");
  for (const double weight : weights) in.finite("a weight", weight);
  COVEY_TRY_VOID(in.verdict());
  Arms out;
  double sum = 0;
  for (std::size_t i = 0; i < observed.size(); ++i) {
    if (weights[i] <= 0) {
      out.unexpected |= observed[i] > 0;
      continue;
    }
    out.observed.push_back(static_cast<double>(observed[i]));
    out.weight.push_back(weights[i]);
    out.units += out.observed.back();
    sum += weights[i];
  }
  in.require(!out.weight.empty(), "at least one arm must have a weight above 0");
  COVEY_TRY_VOID(in.verdict());
  for (double& weight : out.weight) weight /= sum;
  return out;
}

}  // namespace

Result<RatioMismatch> srm_chi2(std::span<const std::int64_t> observed,
                               std::span<const double> weights) {
  const Arms kept = COVEY_TRY(arms(observed, weights));
  RatioMismatch out;
  out.df = static_cast<std::int64_t>(kept.weight.size()) - 1;
  if (kept.unexpected) {
    out.status = Status::kUnexpectedArm;
    return out;
  }
  if (kept.units == 0) {
    out.status = Status::kNoData;
    return out;
  }
  double chi2 = 0;
  for (std::size_t i = 0; i < kept.weight.size(); ++i) {
    const double expected = kept.units * kept.weight[i];
    chi2 += (kept.observed[i] - expected) * (kept.observed[i] - expected) / expected;
  }
  out.chi2 = chi2;
  out.p_value = out.df == 0 ? 1 : chi2_sf(chi2, static_cast<double>(out.df));
  return out;
}

Result<SequentialRatioMismatch> srm_sequential(std::span<const std::int64_t> observed,
                                               std::span<const double> weights, double k) {
  Inputs in;
  in.positive("k", k);
  COVEY_TRY_VOID(in.verdict());
  const Arms kept = COVEY_TRY(arms(observed, weights));
  SequentialRatioMismatch out;
  if (kept.unexpected) {
    out.status = Status::kUnexpectedArm;
    return out;
  }
  // lnB(a + o) - lnB(a) - sum o ln(theta) with lnB(v) = sum lgamma(v_i) - lgamma(sum v), which is
  // taken arm by arm as ln B(sum so far, next): millions of units would cancel in lgamma.
  double log_bf = 0;
  double prior = 0;
  double posterior = 0;
  for (std::size_t i = 0; i < kept.weight.size(); ++i) {
    const double a = k * kept.weight[i];
    if (i > 0) log_bf += log_beta(posterior, a + kept.observed[i]) - log_beta(prior, a);
    prior += a;
    posterior += a + kept.observed[i];
    log_bf -= kept.observed[i] * std::log(kept.weight[i]);
  }
  out.log_bayes_factor = log_bf;
  out.p_value = anytime_p_value(log_bf);
  return out;
}

}  // namespace covey::stats

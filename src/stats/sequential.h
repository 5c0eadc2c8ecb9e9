#pragma once

#include <cstdint>
#include <optional>

#include "stats/proportion.h"

namespace covey::stats {

// Anytime-valid inference: these hold over all looks at once, so a gate may look after every
// request. Evidence is the natural logarithm of an e-value, a number whose mean under the null
// hypothesis is at most 1: reject at level alpha once it exceeds -ln(alpha), at any time. Evidence
// for independent stages adds up. Never exponentiate it: long, strong experiments overflow.

/// min(1, exp(-log_e)): a p-value valid at any time. Keep the smallest one seen.
double anytime_p_value(double log_e);

struct AsymptoticSequence {
  double rho2 = 0;       ///< mixture precision, no unit
  double halfwidth = 0;  ///< of the confidence sequence, in the estimate's unit
  Interval interval;     ///< two-sided; for the one-sided form each end holds by itself
  double log_e_value = 0;
  double p_value = 1;
};

/// Asymptotic confidence sequence for a mean difference.
///
/// Only as good as the normal approximation: small arms of skewed metrics break it first, so gates
/// ask for 50 events in the smaller arm, the pooled variance and winsorised values (stats/gates.h).
///
/// @param se      standard error of the estimate, > 0, in its unit.
/// @param n       units of both arms together, > 0.
/// @param n_tune  the n at which the sequence is tightest; fixed before the data.
/// Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of Statistics 2024,
/// arXiv:2103.06476v7, eq. 9, 155 and 161.
Result<AsymptoticSequence> asympcs_two_sided(double estimate, double se, double n, double alpha,
                                             double n_tune);
/// As asympcs_two_sided, but each end of `interval` holds at level alpha by itself: use one.
/// log_e_value and p_value test "the mean is <= 0". Source: the same, eq. 134.
Result<AsymptoticSequence> asympcs_one_sided(double estimate, double se, double n, double alpha,
                                             double n_tune);

struct NormalMixture {
  double rho = 0;          ///< in the unit of v
  double log_mixture = 0;  ///< evidence against "the sum has mean 0"
  double bound = 0;        ///< the sum at which the evidence reaches -ln(alpha)
};

/// Normal-mixture boundary for a sum `s` with intrinsic time (variance) `v`.
/// @param v_opt, alpha_opt  where the bound is tightest; v_opt > 0.
/// Source: Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 49 (2021), arXiv:1810.08240,
/// propositions 4 and 5.
Result<NormalMixture> normal_mixture(double s, double v, double alpha, double v_opt,
                                     double alpha_opt, bool one_sided);

struct Msprt {
  double log_lr = 0;
  double p_value = 1;
  double halfwidth = 0;
  Interval interval;
};

/// Mixture sequential probability ratio test of "the true value is 0", normal mixture.
/// @param variance  of the estimate itself, > 0, unit².
/// @param tau2      spread of effects worth finding, > 0, unit²; fixed before the data.
/// Source: Johari, Koomen, Pekelis and Walsh, Operations Research 70 (2022), arXiv:1512.04922.
Result<Msprt> msprt_normal(double estimate, double variance, double tau2, double alpha);

/// Confidence sequence for a rate, by the beta-binomial mixture of Howard et al.
/// @param t_opt, alpha_opt  where it is tightest, in trials; t_opt > 0.
/// Source: arXiv:1810.08240, section 3 (as in their program `confseq`).
Result<Interval> bernoulli_cs_howard(const Count& count, double alpha, double t_opt,
                                     double alpha_opt);

/// Confidence sequence for a rate, by a Beta(a, b) mixture. Nothing seen: [0, 1].
/// Source: Robbins, Annals of Mathematical Statistics 41 (1970).
Result<Interval> bernoulli_cs_beta(const Count& count, double alpha, double a, double b);

enum class Direction : std::uint8_t {
  kAbove,  ///< evidence that the rate exceeds p0, against "p <= p0"
  kBelow,  ///< evidence that it is lower, against "p >= p0"
};

/// Evidence about a rate: the truncated Beta(a, b) mixture of likelihood ratios against p0.
///
/// Exact for any number of trials: for q > p0 one step's likelihood ratio has mean at most 1 under
/// every p <= p0, for it grows with p and is 1 at p0; the other direction mirrors it.
///
/// Candidate against baseline: count failures only, successes = the candidate's, trials = both
/// arms', p0 = the candidate's share of traffic. P99 <= T: successes = requests slower than T,
/// p0 = 0.01. Availability: successes = failures, p0 = 1 - objective.
///
/// @param p0    in (0, 1).
/// @param a, b  prior; nothing: a = 1, b = 1 / p0, which expects rates about p0.
/// @return log e-value; 0 of no trials.
/// Source: Robbins 1970, as in bernoulli_cs_beta; truncation as in arXiv:1810.08240.
Result<double> bernoulli_one_sided_e(const Count& count, double p0, Direction direction,
                                     std::optional<double> a = {}, std::optional<double> b = {});

}  // namespace covey::stats

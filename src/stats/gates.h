#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "stats/proportion.h"
#include "stats/sample.h"
#include "stats/sequential.h"

namespace covey::stats {

// Gates: pass, fail, or not yet. Each weighs two e-processes, one for the claim and one against it,
// so it may be asked after every request, and "no evidence yet" is never read as a pass.

enum class Verdict : std::uint8_t {
  kPass,       ///< the claim is shown, at level alpha over all looks together
  kFail,       ///< its contrary is shown, likewise
  kUndecided,  ///< neither: wait, extend or hold
};
std::string_view name(Verdict verdict);  ///< "pass", "fail", "undecided"

struct GateResult {
  Verdict verdict = Verdict::kUndecided;
  double log_e_pass = 0;             ///< evidence for the claim; passes at -ln(alpha)
  double log_e_fail = 0;             ///< evidence against it; fails at -ln(alpha)
  std::optional<double> observed;    ///< the rate, ratio, difference or spread seen
  std::optional<Interval> interval;  ///< of what was observed, valid at any time
  /// How many more requests (units) until one side's evidence suffices, should the rate stay as
  /// seen; nothing when decided, or when no foreseeable number decides it.
  std::optional<double> more_needed;
};

/// "The rate is below `limit`."
///
/// Error rate: failures among answers. P99 <= T: requests slower than T among all, limit 0.01.
/// Availability above A: requests without an answer in time among all, limit 1 - A.
/// @param limit  in (0, 1).   @param alpha  chance to pass or to fail wrongly, each, over all
/// looks.
Result<GateResult> rate_gate(const Count& seen, double limit, double alpha);

/// How many requests rate_gate() needs before it can pass if the true rate is `rate`; nothing if
/// 10^15 do not suffice, as at a rate at the limit or above.
Result<std::optional<double>> requests_to_pass(double rate, double limit, double alpha);

/// Failures of one stage of a rollout, while the candidate's share of traffic stayed the same.
struct ComparisonStage {
  std::int64_t candidate_failures = 0;
  std::int64_t baseline_failures = 0;
  double share = 0;  ///< of requests that went to the candidate, in (0, 1)
};

/// "The candidate's rate is at most (1 + margin) times the baseline's."
///
/// Looks at failures only: were the claim's edge true, each would be the candidate's with chance
/// share (1 + margin) / (share (1 + margin) + 1 - share). A stage with another share is another
/// factor: evidence is multiplied over stages, and rates are never pooled over them, which mixes
/// up shares with times (Simpson). `observed` is the ratio of rates, from the last stage that has
/// failures on both sides. "Failure" may be "slower than T".
/// Equal candidates need margin > 0 to pass. Without failures nothing can be compared: undecided.
Result<GateResult> comparison_gate(std::span<const ComparisonStage> stages, double margin,
                                   double alpha);

/// A mean metric of one stage. `events` are units whose value is not 0: what the normal
/// approximation lives on.
struct MeanStage {
  Sample control, treatment;  ///< of winsorised values, see winsorize(); never pooled over stages
  double control_events = 0, treatment_events = 0;
};

/// Smallest arm a mean metric may be judged on. With fewer events the asymptotic sequence raised
/// false alarms in up to 41 % of null experiments watched from 100 units on; from 50 on, with the
/// pooled variance and values clipped at their .99 quantile, 2.4 % at most (docs/calibration.md).
inline constexpr double kEventsInSmallerArm = 50;
inline constexpr double kWinsorizeAt = 0.99;

/// "The treatment's mean is above the control's less `margin`" (margin >= 0, in the unit).
///
/// One-sided asymptotic e-processes with the pooled variance of the null; a stage whose smaller arm
/// has fewer than kEventsInSmallerArm events adds no evidence. Evidence of stages is multiplied.
/// `observed` and `interval` are of the last stage that counts.
/// @param n_tune  units of both arms at which the test is sharpest; fixed beforehand.
Result<GateResult> non_inferiority_gate(std::span<const MeanStage> stages, double margin,
                                        double alpha, double n_tune);

/// "The largest segment's rate exceeds the smallest's by less than `limit`."
///
/// Rates are of bad requests (1 - good), so the spread is that of the good ones. Every ordered pair
/// of segments is an e-test whose evidence holds for any common level of the two rates; failing
/// takes one discovery by e-BH over all pairs, passing takes all pairs shown (an
/// intersection-union test, which needs no correction).
/// Segments below `requests_min` are left out; with fewer than two left: undecided.
/// `observed` is the spread of what is left.
struct SpreadResult : GateResult {
  std::vector<bool> judged;  ///< per segment: enough data
  /// Indices of the segments furthest apart, worst first; nothing when fewer than two are judged.
  std::optional<std::pair<std::size_t, std::size_t>> widest;
};
Result<SpreadResult> spread_gate(std::span<const Count> bad, double limit, double alpha,
                                 std::int64_t requests_min = 100);

/// Evidence of one stage for a difference of means (treatment - control) above or below
/// `threshold`, as the gate weighs it; 0 below kEventsInSmallerArm or without variance.
/// COVEY_CHECKs its input.
double mean_log_e(const MeanStage& stage, double threshold, Direction direction, double alpha,
                  double n_tune);

}  // namespace covey::stats

#include "stats/gates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "stats/multiplicity.h"

namespace covey::stats {
namespace {

constexpr double kUnforeseeable = 1e15;

void decide(GateResult& gate, double alpha) {
  const double enough = -std::log(alpha);
  // Both at once would take two wrong proofs; the safe side of that is to stop.
  if (gate.log_e_fail >= enough) {
    gate.verdict = Verdict::kFail;
  } else if (gate.log_e_pass >= enough) {
    gate.verdict = Verdict::kPass;
  }
}

/// The smallest total >= `now` with enough(total); nothing up to kUnforeseeable. `enough` turns
/// true once.
template <typename Enough>
std::optional<double> smallest_total(double now, const Enough& enough) {
  double high = std::max(now, 1.0);
  while (!enough(high)) {
    high *= 2;
    if (high > kUnforeseeable) return std::nullopt;
  }
  double low = std::max(now, high / 2);
  while (high - low > std::max(1.0, 1e-3 * high)) {
    const double middle = (low + high) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return high;
}

double evidence(const Count& count, double p0, Direction direction) {
  // The inputs were checked where they came in.
  return bernoulli_one_sided_e(count, p0, direction).value();
}

/// What `trials` at `rate` are expected to show.
Count expected(double rate, double trials) {
  return {static_cast<std::int64_t>(std::llround(rate * trials)),
          static_cast<std::int64_t>(std::llround(trials))};
}

/// More trials until the evidence suffices, if they come at the rate seen.
std::optional<double> more_trials(const Count& seen, double p0, double alpha) {
  const double enough = -std::log(alpha);
  // Half a success and the prior's trials: no rate is taken for 0 before many trials say so.
  const double rate =
      (static_cast<double>(seen.successes) + 0.5) / (static_cast<double>(seen.trials) + 1 / p0);
  const auto direction = rate < p0 ? Direction::kBelow : Direction::kAbove;
  const auto now = static_cast<double>(seen.trials);
  const auto total = smallest_total(now + 1, [&](double trials) {
    const Count more = expected(rate, trials - now);
    return evidence({seen.successes + more.successes, seen.trials + more.trials}, p0, direction) >=
           enough;
  });
  if (!total) return std::nullopt;
  return *total - now;
}

/// The smallest value of `function` between two neighbours of a grid point that has the least on
/// the grid, by ternary search; `least` is what the grid found.
template <typename Function>
double refined(double a, double b, double least, const Function& function) {
  for (int i = 0; i < 40 && b - a > 1e-12; ++i) {
    const double left = a + (b - a) / 3;
    const double right = b - (b - a) / 3;
    const double f_left = function(left);
    const double f_right = function(right);
    least = std::min({least, f_left, f_right});
    (f_left < f_right ? b : a) = f_left < f_right ? right : left;
  }
  return least;
}

/// Evidence about pairs of segments, whatever level c the lower one is on: for "i exceeds j by the
/// limit or more" the two factors are e-values of p_i <= c + limit and p_j >= c, and mirrored for
/// the contrary. The least over c holds for the true one. A segment's evidence on a grid of c is
/// computed once for all its pairs; only what may decide is refined between grid points.
class Pairs {
 public:
  Pairs(std::span<const Count> bad, double limit) : bad_(bad), limit_(limit) {
    for (int k = 0; k <= kGrid; ++k) {
      // Levels are rates: closer together near 0, where most are.
      constexpr double kEdge = 1e-12;
      level_[static_cast<std::size_t>(k)] =
          kEdge + (1 - limit - 2 * kEdge) * std::pow(static_cast<double>(k) / kGrid, 3);
    }
    for (const Count& count : bad) {
      for (std::size_t k = 0; k < level_.size(); ++k) {
        upper_above_.push_back(evidence(count, level_[k] + limit, Direction::kAbove));
        upper_below_.push_back(evidence(count, level_[k] + limit, Direction::kBelow));
        lower_above_.push_back(evidence(count, level_[k], Direction::kAbove));
        lower_below_.push_back(evidence(count, level_[k], Direction::kBelow));
      }
    }
  }

  struct Least {
    double value = std::numeric_limits<double>::infinity();
    std::size_t at = 0;
  };
  /// On the grid: that i exceeds j by more than the limit, or (`exceeds` false) that it does not.
  Least on_grid(std::size_t i, std::size_t j, bool exceeds) const {
    const auto& of_i = exceeds ? upper_above_ : upper_below_;
    const auto& of_j = exceeds ? lower_below_ : lower_above_;
    Least out;
    for (std::size_t k = 0; k < level_.size(); ++k) {
      const double value = of_i[i * level_.size() + k] + of_j[j * level_.size() + k];
      if (value < out.value) out = {value, k};
    }
    return out;
  }
  double exact(std::size_t i, std::size_t j, bool exceeds, const Least& least) const {
    const double a = level_[least.at == 0 ? 0 : least.at - 1];
    const double b = level_[std::min<std::size_t>(least.at + 1, kGrid)];
    return refined(a, b, least.value, [&](double c) {
      return evidence(bad_[i], c + limit_, exceeds ? Direction::kAbove : Direction::kBelow) +
             evidence(bad_[j], c, exceeds ? Direction::kBelow : Direction::kAbove);
    });
  }

 private:
  static constexpr int kGrid = 64;
  std::span<const Count> bad_;
  double limit_;
  std::array<double, kGrid + 1> level_{};
  std::vector<double> upper_above_, upper_below_, lower_above_, lower_below_;  // segments x levels
};

/// The pooled null: what the two arms would be as one.
struct Pooled {
  double n = 0;
  double diff = 0;
  double se = 0;
};
Pooled pooled(const MeanStage& stage) {
  Moments both = Moments::of(stage.control);
  both.merge(Moments::of(stage.treatment));
  return {stage.control.n + stage.treatment.n, stage.treatment.mean - stage.control.mean,
          std::sqrt(both.var() * (1 / stage.control.n + 1 / stage.treatment.n))};
}

bool counts(const MeanStage& stage) {
  return stage.control.n >= 2 && stage.treatment.n >= 2 &&
         std::min(stage.control_events, stage.treatment_events) >= kEventsInSmallerArm &&
         pooled(stage).se > 0;
}

}  // namespace

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kFail:
      return "fail";
    case Verdict::kUndecided:
      return "undecided";
  }
  return "unknown";
}

Result<GateResult> rate_gate(const Count& seen, double limit, double alpha) {
  Inputs in;
  require_count(in, "rate", seen);
  in.level("limit", limit);
  in.level("alpha", alpha);
  COVEY_TRY_VOID(in.verdict());
  GateResult out;
  out.log_e_pass = evidence(seen, limit, Direction::kBelow);
  out.log_e_fail = evidence(seen, limit, Direction::kAbove);
  decide(out, alpha);
  if (seen.trials > 0) {
    out.observed = seen.rate();
    out.interval = COVEY_TRY(bernoulli_cs_beta(seen, alpha, 1, 1 / limit));
  }
  if (out.verdict == Verdict::kUndecided) out.more_needed = more_trials(seen, limit, alpha);
  return out;
}

Result<std::optional<double>> requests_to_pass(double rate, double limit, double alpha) {
  Inputs in;
  in.require(rate >= 0 && rate < 1, "rate must lie in [0, 1)");
  in.level("limit", limit);
  in.level("alpha", alpha);
  COVEY_TRY_VOID(in.verdict());
  if (rate >= limit) return std::nullopt;
  return smallest_total(1, [&](double trials) {
    return evidence(expected(rate, trials), limit, Direction::kBelow) >= -std::log(alpha);
  });
}

Result<GateResult> comparison_gate(std::span<const ComparisonStage> stages, double margin,
                                   double alpha) {
  Inputs in;
  in.not_negative("margin", margin);
  in.level("alpha", alpha);
  for (const ComparisonStage& stage : stages) {
    in.require(stage.candidate_failures >= 0 && stage.baseline_failures >= 0,
               "failures must not be below 0");
    in.level("a stage's share", stage.share);
  }
  COVEY_TRY_VOID(in.verdict());
  GateResult out;
  const auto edge = [&](double share) {
    return share * (1 + margin) / (share * (1 + margin) + 1 - share);
  };
  for (const ComparisonStage& stage : stages) {
    const Count failures{stage.candidate_failures,
                         stage.candidate_failures + stage.baseline_failures};
    const double p0 = edge(stage.share);
    out.log_e_pass += evidence(failures, p0, Direction::kBelow);
    out.log_e_fail += evidence(failures, p0, Direction::kAbove);
    if (failures.trials == 0) continue;
    // chance q of "the candidate's" <-> ratio of rates q (1 - share) / ((1 - q) share)
    const auto ratio = [&](double q) {
      return q >= 1 ? std::numeric_limits<double>::infinity()
                    : q * (1 - stage.share) / ((1 - q) * stage.share);
    };
    if (stage.baseline_failures > 0) out.observed = ratio(failures.rate());
    const Interval q = COVEY_TRY(bernoulli_cs_beta(failures, alpha, 1, 1 / p0));
    out.interval = Interval{ratio(q.low), ratio(q.high)};
  }
  decide(out, alpha);
  if (out.verdict == Verdict::kUndecided && !stages.empty()) {
    const ComparisonStage& now = stages.back();
    const Count failures{now.candidate_failures, now.candidate_failures + now.baseline_failures};
    if (failures.trials > 0) {
      // Evidence of the stages before stays; what is missing is this stage's to bring.
      const double p0 = edge(now.share);
      const double before = std::max(out.log_e_pass - evidence(failures, p0, Direction::kBelow),
                                     out.log_e_fail - evidence(failures, p0, Direction::kAbove));
      out.more_needed = more_trials(failures, p0, std::min(0.999, alpha * std::exp(before)));
    }
  }
  return out;
}

double mean_log_e(const MeanStage& stage, double threshold, Direction direction, double alpha,
                  double n_tune) {
  if (!counts(stage)) return 0;
  const Pooled null = pooled(stage);
  const double sign = direction == Direction::kAbove ? 1 : -1;
  const auto sequence =
      asympcs_one_sided(sign * (null.diff - threshold), null.se, null.n, alpha, n_tune);
  COVEY_CHECK(sequence);
  return sequence->log_e_value;
}

Result<GateResult> non_inferiority_gate(std::span<const MeanStage> stages, double margin,
                                        double alpha, double n_tune) {
  Inputs in;
  in.not_negative("margin", margin);
  in.level("alpha", alpha);
  in.require(alpha < 0.5, "alpha must be below 0.5");
  in.positive("n_tune", n_tune);
  for (const MeanStage& stage : stages) {
    require_sample(in, "control", stage.control);
    require_sample(in, "treatment", stage.treatment);
  }
  COVEY_TRY_VOID(in.verdict());
  GateResult out;
  const MeanStage* last = nullptr;
  for (const MeanStage& stage : stages) {
    if (!counts(stage)) continue;
    out.log_e_pass += mean_log_e(stage, -margin, Direction::kAbove, alpha, n_tune);
    out.log_e_fail += mean_log_e(stage, -margin, Direction::kBelow, alpha, n_tune);
    last = &stage;
  }
  decide(out, alpha);
  if (last == nullptr) return out;
  const Pooled null = pooled(*last);
  out.observed = null.diff;
  out.interval = COVEY_TRY(asympcs_two_sided(null.diff, null.se, null.n, alpha, n_tune)).interval;
  if (out.verdict == Verdict::kUndecided) {
    const double sign = null.diff > -margin ? 1 : -1;
    const double here =
        mean_log_e(*last, -margin, sign > 0 ? Direction::kAbove : Direction::kBelow, alpha, n_tune);
    const double before = (sign > 0 ? out.log_e_pass : out.log_e_fail) - here;
    const auto total = smallest_total(null.n, [&](double n) {
      const double se = null.se * std::sqrt(null.n / n);
      return before + asympcs_one_sided(sign * (null.diff + margin), se, n, alpha, n_tune)
                          .value()
                          .log_e_value >=
             -std::log(alpha);
    });
    if (total) out.more_needed = *total - null.n;
  }
  return out;
}

Result<SpreadResult> spread_gate(std::span<const Count> bad, double limit, double alpha,
                                 std::int64_t requests_min) {
  Inputs in;
  for (const Count& count : bad) require_count(in, "segment", count);
  in.level("limit", limit);
  in.level("alpha", alpha);
  COVEY_TRY_VOID(in.verdict());
  SpreadResult out;
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < bad.size(); ++i) {
    const bool enough = bad[i].trials > 0 && bad[i].trials >= requests_min;
    out.judged.push_back(enough);
    if (enough) kept.push_back(i);
  }
  if (kept.size() < 2) return out;
  const auto by_rate = [&](std::size_t a, std::size_t b) { return bad[a].rate() < bad[b].rate(); };
  const auto [best, worst] = std::ranges::minmax_element(kept, by_rate);
  out.widest = {*worst, *best};
  out.observed = bad[*worst].rate() - bad[*best].rate();
  std::vector<Count> judged;
  for (const std::size_t i : kept) judged.push_back(bad[i]);
  const double enough = -std::log(alpha);
  if (*out.observed <= limit) {
    // No spread exceeds its largest rate: where every segment's is shown to be below the limit (the
    // least of their e-values is one against "some rate is not"), the pairs need not be weighed.
    double each = std::numeric_limits<double>::infinity();
    for (const Count& count : judged) {
      each = std::min(each, evidence(count, limit, Direction::kBelow));
    }
    if (each >= enough) {
      out.log_e_pass = each;
      decide(out, alpha);
      return out;
    }
  }
  const Pairs pairs(judged, limit);
  std::vector<double> against;
  double all_pairs = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < judged.size(); ++i) {
    for (std::size_t j = 0; j < judged.size(); ++j) {
      if (i == j) continue;
      // No single e-value below 1 / alpha can be a discovery of e-BH.
      const auto over = pairs.on_grid(i, j, true);
      against.push_back(over.value < enough ? over.value : pairs.exact(i, j, true, over));
      // What lies far above the least so far cannot become the least between two grid points.
      constexpr double kNear = 0.5;
      const auto within = pairs.on_grid(i, j, false);
      if (within.value < all_pairs + kNear) {
        all_pairs = std::min(all_pairs, pairs.exact(i, j, false, within));
      }
    }
  }
  const auto found = e_bh(against, alpha);
  const bool wide = std::ranges::find(found, true) != found.end();
  // Of one discovery among m pairs e-BH asks for e >= m / alpha: said in the gate's own terms.
  out.log_e_fail =
      *std::ranges::max_element(against) - std::log(static_cast<double>(against.size()));
  if (wide) out.log_e_fail = std::max(out.log_e_fail, -std::log(alpha));
  out.log_e_pass = all_pairs;
  decide(out, alpha);
  return out;
}

}  // namespace covey::stats

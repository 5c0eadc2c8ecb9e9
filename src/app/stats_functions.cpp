#include "app/stats_functions.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "base/near.h"
#include "stats/allocation.h"
#include "stats/classifier.h"
#include "stats/gates.h"
#include "stats/group_sequential.h"
#include "stats/impact.h"
#include "stats/means.h"
#include "stats/multiplicity.h"
#include "stats/planning.h"
#include "stats/quantile.h"
#include "stats/rank_tests.h"
#include "stats/sequential.h"

namespace covey::app {
namespace {

using nlohmann::json;
using Out = nlohmann::ordered_json;
using Answer = Result<Out>;
using namespace stats;  // NOLINT: this file is the list of them

constexpr double kAlpha = 0.05;  // where a line gives none

/// Reads the keys of one input and remembers what is wrong with them.
class In {
 public:
  explicit In(const json& object, std::string path = "input")
      : object_(&object), path_(std::move(path)) {
    if (!object.is_object()) fault("must be an object");
  }

  double number(const char* key) { return value(key, true).value_or(1); }
  double number(const char* key, double otherwise) { return value(key, false).value_or(otherwise); }
  std::optional<double> maybe(const char* key) { return value(key, false); }
  double level() { return number("alpha", kAlpha); }
  bool flag(const char* key, bool otherwise) {
    const json* found = find(key);
    if (found == nullptr) return otherwise;
    if (!found->is_boolean()) {
      fault(fmt::format(".{} must be true or false", key));
      return otherwise;
    }
    return found->get<bool>();
  }
  std::int64_t whole(const char* key) { return whole(key, number(key)); }
  std::int64_t whole(const char* key, std::int64_t otherwise) {
    return find(key) == nullptr ? otherwise : whole(key);
  }
  std::string word(const char* key, std::string otherwise) {
    const json* found = find(key);
    if (found == nullptr) return otherwise;
    if (!found->is_string()) {
      fault(fmt::format(".{} must be a string", key));
      return otherwise;
    }
    return found->get<std::string>();
  }
  std::vector<double> numbers(const char* key) {
    std::vector<double> out;
    for (const json& item : items(key)) {
      if (!item.is_number()) {
        fault(fmt::format(".{}[{}] must be a number", key, out.size()));
        break;
      }
      out.push_back(item.get<double>());
    }
    return out;
  }
  std::vector<std::int64_t> wholes(const char* key) {
    std::vector<std::int64_t> out;
    for (const double v : numbers(key)) out.push_back(whole(key, v));
    return out;
  }
  In object(const char* key) {
    const json* found = find(key);
    static const json kNone = json::object();
    if (found == nullptr) fault(fmt::format(".{} is missing", key));
    return part(found == nullptr ? kNone : *found, fmt::format("{}.{}", path_, key));
  }
  /// Objects of a list; take() each after use.
  std::vector<In> objects(const char* key) {
    std::vector<In> out;
    for (const json& item : items(key)) {
      out.push_back(part(item, fmt::format("{}.{}[{}]", path_, key, out.size())));
    }
    return out;
  }
  /// Takes over the faults of a part.
  void take(const In& part) {
    if (faults_.empty()) faults_ = part.faults_;
  }

  Sample sample(const char* key) {
    In part = object(key);
    const Sample out{part.number("n"), part.number("mean"), part.number("var")};
    take(part);
    return out;
  }
  Count count(const char* successes, const char* trials) {
    const std::int64_t s = whole(successes);
    return {s, whole(trials)};
  }

  Result<void> verdict() const {
    if (faults_.empty()) return {};
    return fail(Errc::kRejected, faults_);
  }

 private:
  static In part(const json& object, std::string path) { return In(object, std::move(path)); }
  void fault(const std::string& what) {
    if (faults_.empty()) faults_ = what.starts_with('.') ? path_ + what : path_ + " " + what;
  }
  const json* find(const char* key) const {
    if (!object_->is_object()) return nullptr;
    const auto at = object_->find(key);
    return at == object_->end() || at->is_null() ? nullptr : &*at;
  }
  std::optional<double> value(const char* key, bool needed) {
    const json* found = find(key);
    if (found == nullptr) {
      if (needed) fault(fmt::format(".{} is missing", key));
      return std::nullopt;
    }
    if (!found->is_number()) {
      fault(fmt::format(".{} must be a number", key));
      return std::nullopt;
    }
    return found->get<double>();
  }
  std::int64_t whole(const char* key, double value) {
    constexpr double kExact = 9007199254740992.0;  // 2^53: beyond, doubles skip whole numbers
    if (!(std::abs(value) <= kExact) || value != std::floor(value)) {
      fault(fmt::format(".{} must be a whole number", key));
      return 0;
    }
    return static_cast<std::int64_t>(value);
  }
  const json& items(const char* key) {
    static const json kNone = json::array();
    const json* found = find(key);
    if (found == nullptr) {
      fault(fmt::format(".{} is missing", key));
      return kNone;
    }
    if (!found->is_array()) {
      fault(fmt::format(".{} must be a list", key));
      return kNone;
    }
    return *found;
  }

  const json* object_;
  std::string path_;
  std::string faults_;
};

Out number(double value) {
  return std::isfinite(value) ? Out(value) : Out(nullptr);
}
template <typename T>
Out number(const std::optional<T>& value) {
  if (!value) return nullptr;
  if constexpr (std::is_same_v<T, double>) {
    return number(*value);
  } else {
    return *value;
  }
}
void put(Out& out, const char* low, const char* high, const std::optional<Interval>& interval) {
  out[low] = interval ? number(interval->low) : Out(nullptr);
  out[high] = interval ? number(interval->high) : Out(nullptr);
}
Out with(Status status) {
  return {{"status", name(status)}};
}
Out ok() {
  return with(Status::kOk);
}

Out gate(const GateResult& result) {
  Out out = ok();
  out["verdict"] = name(result.verdict);
  out["log_e_pass"] = number(result.log_e_pass);
  out["log_e_fail"] = number(result.log_e_fail);
  out["observed"] = number(result.observed);
  put(out, "ci_low", "ci_high", result.interval);
  out["more_needed"] = number(result.more_needed);
  return out;
}

Out difference(const Difference& d) {
  Out out = with(d.status);
  out["diff"] = number(d.diff);
  out["se"] = number(d.se);
  out["df"] = number(d.df);
  out["t"] = number(d.t);
  out["p_value"] = number(d.p_value);
  put(out, "ci_low", "ci_high", d.interval);
  return out;
}

Answer lift(Result<Lift> (*function)(const Sample&, const Sample&, double), const json& input) {
  In in(input);
  const Sample control = in.sample("control");
  const Sample treatment = in.sample("treatment");
  const double alpha = in.level();
  COVEY_TRY_VOID(in.verdict());
  const Lift l = COVEY_TRY(function(control, treatment, alpha));
  Out out = with(l.status);
  out["lift"] = number(l.lift);
  if (function == relative_lift_fieller) {
    out["g"] = number(l.g);
  } else {
    out["se"] = number(l.se);
    out["df"] = number(l.df);
    out["p_value"] = number(l.p_value);
  }
  put(out, "ci_low", "ci_high", l.interval);
  return out;
}

Answer sequence(Result<AsymptoticSequence> (*function)(double, double, double, double, double),
                const json& input) {
  In in(input);
  const double estimate = in.number("estimate");
  const double se = in.number("se");
  const double n = in.number("n");
  const double alpha = in.level();
  const double n_tune = in.number("n_tune");
  COVEY_TRY_VOID(in.verdict());
  const auto s = COVEY_TRY(function(estimate, se, n, alpha, n_tune));
  Out out = ok();
  out["rho2"] = number(s.rho2);
  out["halfwidth"] = number(s.halfwidth);
  const bool one_sided = function == asympcs_one_sided;
  put(out, one_sided ? "lower_bound" : "ci_low", one_sided ? "upper_bound" : "ci_high", s.interval);
  out["log_e_value"] = number(s.log_e_value);
  out["p_value"] = number(s.p_value);
  return out;
}

/// Sums of a numerator or outcome `y` and a denominator or covariate `x`, by the names their keys
/// end with; the product's key has them in the order `product`.
Result<PairMoments> sums(In& in, const char* arm, char y, char x, std::string_view product) {
  In part = in.object(arm);
  const double n = part.number("n");
  const double sum_y = part.number(fmt::format("sum_{}", y).c_str());
  const double sum_yy = part.number(fmt::format("sum_{}{}", y, y).c_str());
  const double sum_x = part.number(fmt::format("sum_{}", x).c_str());
  const double sum_xx = part.number(fmt::format("sum_{}{}", x, x).c_str());
  const double sum_yx = part.number(fmt::format("sum_{}", product).c_str());
  in.take(part);
  COVEY_TRY_VOID(in.verdict());
  return PairMoments::of_sums(n, sum_y, sum_yy, sum_x, sum_xx, sum_yx);
}

Out adjusted(const std::vector<bool>& reject) {
  Out out = Out::array();
  for (const bool r : reject) out.push_back(r);
  return out;
}

template <typename Function>
Answer kolmogorov(const json& input, const Function& function) {
  In in(input);
  const KolmogorovSmirnov ks = COVEY_TRY(function(in));
  Out out = with(ks.status);
  out["d"] = number(ks.d);
  out["p_exact"] = number(ks.p_exact);
  out["p_kolmogorov"] = number(ks.p_kolmogorov);
  return out;
}

Out sample_size(const SampleSize& size) {
  Out out = with(size.status);
  out["n_control"] = number(size.n_control);
  out["n_treatment"] = number(size.n_treatment);
  return out;
}

Answer bernoulli_interval(const Result<Interval>& interval) {
  if (!interval) return std::unexpected(interval.error());
  Out out = ok();
  put(out, "ci_low", "ci_high", *interval);
  return out;
}

const std::vector<StatsFunction> kFunctions = {
    {"srm_chi2", "observed[], weights[]",
     [](const json& input) -> Answer {
       In in(input);
       const auto observed = in.wholes("observed");
       const auto weights = in.numbers("weights");
       COVEY_TRY_VOID(in.verdict());
       const auto srm = COVEY_TRY(srm_chi2(observed, weights));
       Out out = with(srm.status);
       out["chi2"] = number(srm.chi2);
       out["df"] = srm.df;
       out["p_value"] = number(srm.p_value);
       return out;
     }},
    {"srm_sequential", "observed[], weights[], k",
     [](const json& input) -> Answer {
       In in(input);
       const auto observed = in.wholes("observed");
       const auto weights = in.numbers("weights");
       const double k = in.number("k");
       COVEY_TRY_VOID(in.verdict());
       const auto srm = COVEY_TRY(srm_sequential(observed, weights, k));
       Out out = with(srm.status);
       out["log_bayes_factor"] = number(srm.log_bayes_factor);
       out["p_value"] = number(srm.p_value);
       return out;
     }},
    {"welch_diff", "control{n,mean,var}, treatment{...}, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const Sample control = in.sample("control");
       const Sample treatment = in.sample("treatment");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       return difference(COVEY_TRY(welch_diff(control, treatment, alpha)));
     }},
    {"relative_lift_delta", "control{n,mean,var}, treatment{...}, alpha",
     [](const json& input) { return lift(relative_lift_delta, input); }},
    {"relative_lift_fieller", "control{n,mean,var}, treatment{...}, alpha",
     [](const json& input) { return lift(relative_lift_fieller, input); }},
    {"cuped", "control{n,sum_y,sum_yy,sum_x,sum_xx,sum_xy}, treatment{...}, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const auto control = COVEY_TRY(sums(in, "control", 'y', 'x', "xy"));
       const auto treatment = COVEY_TRY(sums(in, "treatment", 'y', 'x', "xy"));
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       const Adjusted a = COVEY_TRY(cuped(control, treatment, alpha));
       Out out = with(a.status);
       out["theta"] = number(a.theta);
       out["diff"] = number(a.diff);
       out["se"] = number(a.se);
       out["df"] = number(a.df);
       out["p_value"] = number(a.p_value);
       put(out, "ci_low", "ci_high", a.interval);
       out["variance_ratio"] = number(a.variance_ratio);
       out["lift"] = number(a.lift);
       out["lift_se"] = number(a.lift_se);
       return out;
     }},
    {"ratio_metric", "control{n,sum_m,sum_mm,sum_d,sum_dd,sum_md}, treatment{...}, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const auto control = COVEY_TRY(sums(in, "control", 'm', 'd', "md"));
       const auto treatment = COVEY_TRY(sums(in, "treatment", 'm', 'd', "md"));
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       const RatioDifference r = COVEY_TRY(ratio_metric(control, treatment, alpha));
       Out out = with(r.status);
       out["ratio_control"] = number(r.ratio_control);
       out["ratio_treatment"] = number(r.ratio_treatment);
       out["diff"] = number(r.diff);
       out["se"] = number(r.se);
       out["df"] = number(r.df);
       out["p_value"] = number(r.p_value);
       put(out, "ci_low", "ci_high", r.interval);
       out["lift"] = number(r.lift);
       out["lift_se"] = number(r.lift_se);
       return out;
     }},
    {"asympcs_two_sided", "estimate, se, n, alpha, n_tune",
     [](const json& input) { return sequence(asympcs_two_sided, input); }},
    {"asympcs_one_sided", "estimate, se, n, alpha, n_tune",
     [](const json& input) { return sequence(asympcs_one_sided, input); }},
    {"normal_mixture", "s, v, alpha, v_opt, alpha_opt, one_sided",
     [](const json& input) -> Answer {
       In in(input);
       const double s = in.number("s");
       const double v = in.number("v");
       const double alpha = in.level();
       const double v_opt = in.number("v_opt");
       const double alpha_opt = in.number("alpha_opt", alpha);
       const bool one_sided = in.flag("one_sided", false);
       COVEY_TRY_VOID(in.verdict());
       const auto m = COVEY_TRY(normal_mixture(s, v, alpha, v_opt, alpha_opt, one_sided));
       Out out = ok();
       out["rho"] = number(m.rho);
       out["log_mixture"] = number(m.log_mixture);
       out["bound"] = number(m.bound);
       return out;
     }},
    {"msprt_normal", "estimate, variance, tau2, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const double estimate = in.number("estimate");
       const double variance = in.number("variance");
       const double tau2 = in.number("tau2");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       const Msprt m = COVEY_TRY(msprt_normal(estimate, variance, tau2, alpha));
       Out out = ok();
       out["log_lr"] = number(m.log_lr);
       out["p_value"] = number(m.p_value);
       out["halfwidth"] = number(m.halfwidth);
       put(out, "ci_low", "ci_high", m.interval);
       return out;
     }},
    {"bernoulli_cs_howard", "successes, trials, alpha, t_opt, alpha_opt",
     [](const json& input) -> Answer {
       In in(input);
       const Count count = in.count("successes", "trials");
       const double alpha = in.level();
       const double t_opt = in.number("t_opt");
       const double alpha_opt = in.number("alpha_opt", alpha);
       COVEY_TRY_VOID(in.verdict());
       return bernoulli_interval(bernoulli_cs_howard(count, alpha, t_opt, alpha_opt));
     }},
    {"bernoulli_cs_beta", "successes, trials, alpha, a, b",
     [](const json& input) -> Answer {
       In in(input);
       const Count count = in.count("successes", "trials");
       const double alpha = in.level();
       const double a = in.number("a", 0.5);
       const double b = in.number("b", 0.5);
       COVEY_TRY_VOID(in.verdict());
       return bernoulli_interval(bernoulli_cs_beta(count, alpha, a, b));
     }},
    {"bernoulli_one_sided_e", "successes, trials, p0, direction (above|below), a?, b?",
     [](const json& input) -> Answer {
       In in(input);
       const Count count = in.count("successes", "trials");
       const double p0 = in.number("p0");
       const auto a = in.maybe("a");
       const auto b = in.maybe("b");
       const std::string direction = in.word("direction", "above");
       COVEY_TRY_VOID(in.verdict());
       if (direction != "above" && direction != "below") {
         return fail(Errc::kRejected, "input.direction must be above or below");
       }
       const double log_e = COVEY_TRY(bernoulli_one_sided_e(
           count, p0, direction == "above" ? Direction::kAbove : Direction::kBelow, a, b));
       Out out = ok();
       out["log_e_value"] = number(log_e);
       out["p_value"] = number(anytime_p_value(log_e));
       return out;
     }},
    {"proportion_ci", "successes, trials, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const Count count = in.count("successes", "trials");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       const auto ci = COVEY_TRY(proportion_ci(count, alpha));
       Out out = with(ci.status);
       put(out, "wilson_low", "wilson_high", ci.wilson);
       put(out, "cp_low", "cp_high", ci.clopper_pearson);
       return out;
     }},
    {"proportion_diff", "x_control, n_control, x_treatment, n_treatment, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const Count control = in.count("x_control", "n_control");
       const Count treatment = in.count("x_treatment", "n_treatment");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       const auto d = COVEY_TRY(proportion_diff(control, treatment, alpha));
       Out out = with(d.status);
       out["diff"] = number(d.diff);
       put(out, "newcombe_low", "newcombe_high", d.newcombe);
       out["z_pooled"] = number(d.z_pooled);
       out["p_value"] = number(d.p_value);
       return out;
     }},
    {"quantile_order_stat_ci", "n, q, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const std::int64_t n = in.whole("n");
       const double q = in.number("q");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       const auto ranks = COVEY_TRY(quantile_order_stat_ci(n, q, alpha));
       Out out = with(ranks.status);
       out["lower_rank"] = number(ranks.lower_rank);
       out["upper_rank"] = number(ranks.upper_rank);
       out["coverage"] = ranks.status == Status::kOk ? number(ranks.coverage) : Out(nullptr);
       return out;
     }},
    {"quantile_histogram_ci", "lower_edge, upper_edges[], counts[], q, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const double lower = in.number("lower_edge", 0);
       const auto edges = in.numbers("upper_edges");
       const auto counts = in.wholes("counts");
       const double q = in.number("q");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       const auto h = COVEY_TRY(quantile_histogram_ci(lower, edges, counts, q, alpha));
       Out out = with(h.status);
       out["n"] = h.n;
       out["lower_rank"] = number(h.lower_rank);
       out["upper_rank"] = number(h.upper_rank);
       out["point_bucket_low"] = number(h.point_low);
       out["point_bucket_high"] = number(h.point_high);
       out["ci_low"] = number(h.ci_low);
       out["ci_high"] = number(h.ci_high);
       return out;
     }},
    {"mann_whitney", "x[], y[]",
     [](const json& input) -> Answer {
       In in(input);
       const auto x = in.numbers("x");
       const auto y = in.numbers("y");
       COVEY_TRY_VOID(in.verdict());
       const auto u = COVEY_TRY(mann_whitney(x, y));
       Out out = with(u.status);
       out["u1"] = u.status == Status::kNoData ? Out(nullptr) : number(u.u1);
       out["p_asymptotic"] = number(u.p_asymptotic);
       out["p_exact"] = number(u.p_exact);
       out["cles"] = number(u.cles);
       return out;
     }},
    {"ks_two_sample", "x[], y[]",
     [](const json& input) {
       return kolmogorov(input, [](In& in) -> Result<KolmogorovSmirnov> {
         const auto x = in.numbers("x");
         const auto y = in.numbers("y");
         COVEY_TRY_VOID(in.verdict());
         return ks_two_sample(x, y);
       });
     }},
    {"ks_uniform", "p_values[]",
     [](const json& input) {
       return kolmogorov(input, [](In& in) -> Result<KolmogorovSmirnov> {
         const auto p = in.numbers("p_values");
         COVEY_TRY_VOID(in.verdict());
         return ks_uniform(p);
       });
     }},
    {"multiple_testing", "p_values[], alpha",
     [](const json& input) -> Answer {
       In in(input);
       const auto p = in.numbers("p_values");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       const auto m = COVEY_TRY(multiple_testing(p, alpha));
       Out out = ok();
       for (const auto& [key, answer] :
            {std::pair<std::string, const AdjustedP&>{"bonferroni", m.bonferroni},
             {"holm", m.holm},
             {"bh", m.bh},
             {"by", m.by}}) {
         out[key] = answer.p;
         out[key + "_reject"] = adjusted(answer.reject);
       }
       return out;
     }},
    {"power_two_sample", "effect, sd, n_control, n_treatment, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const double effect = in.number("effect");
       const double sd = in.number("sd");
       const double n_control = in.number("n_control");
       const double n_treatment = in.number("n_treatment");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       Out out = ok();
       out["power"] = COVEY_TRY(power_two_sample(effect, sd, n_control, n_treatment, alpha));
       return out;
     }},
    {"sample_size_mean", "baseline_mean, sd, relative_mde, alpha, power, ratio",
     [](const json& input) -> Answer {
       In in(input);
       const double mean = in.number("baseline_mean");
       const double sd = in.number("sd");
       const double change = in.number("relative_mde");
       const double alpha = in.level();
       const double power = in.number("power", 0.8);
       const double ratio = in.number("ratio", 1);
       COVEY_TRY_VOID(in.verdict());
       return sample_size(COVEY_TRY(sample_size_mean(mean, sd, change, alpha, power, ratio)));
     }},
    {"sample_size_proportion", "baseline, relative_mde, alpha, power, ratio",
     [](const json& input) -> Answer {
       In in(input);
       const double baseline = in.number("baseline");
       const double change = in.number("relative_mde");
       const double alpha = in.level();
       const double power = in.number("power", 0.8);
       const double ratio = in.number("ratio", 1);
       COVEY_TRY_VOID(in.verdict());
       return sample_size(COVEY_TRY(sample_size_proportion(baseline, change, alpha, power, ratio)));
     }},
    {"mde", "baseline_mean, sd, n_control, n_treatment, alpha, power",
     [](const json& input) -> Answer {
       In in(input);
       const double mean = in.number("baseline_mean");
       const double sd = in.number("sd");
       const double n_control = in.number("n_control");
       const double n_treatment = in.number("n_treatment");
       const double alpha = in.level();
       const double power = in.number("power", 0.8);
       COVEY_TRY_VOID(in.verdict());
       const auto effect = COVEY_TRY(mde(mean, sd, n_control, n_treatment, alpha, power));
       Out out = ok();
       out["absolute"] = number(effect.absolute);
       out["relative"] = number(effect.relative);
       return out;
     }},
    {"winsorize", "values[], lower_q?, upper_q?",
     [](const json& input) -> Answer {
       In in(input);
       const auto values = in.numbers("values");
       const auto lower = in.maybe("lower_q");
       const auto upper = in.maybe("upper_q");
       COVEY_TRY_VOID(in.verdict());
       const auto w = COVEY_TRY(winsorize(values, lower, upper));
       Out out = with(w.status);
       out["lower"] = number(w.lower);
       out["upper"] = number(w.upper);
       out["n_clipped"] = w.n_clipped;
       out["mean"] = number(w.mean);
       out["var"] = number(w.var);
       return out;
     }},
    {"classifier_metrics", "labels[], scores[], threshold, bins",
     [](const json& input) -> Answer {
       In in(input);
       const auto labels = in.wholes("labels");
       const auto scores = in.numbers("scores");
       const double threshold = in.number("threshold", 0.5);
       const std::int64_t bins = in.whole("bins", std::int64_t{10});
       COVEY_TRY_VOID(in.verdict());
       const auto m = COVEY_TRY(classifier_metrics(labels, scores, threshold, bins));
       Out out = with(m.status);
       out["auc"] = number(m.auc);
       out["average_precision"] = number(m.average_precision);
       out["brier"] = number(m.brier);
       out["log_loss"] = number(m.log_loss);
       out["ece"] = number(m.ece);
       out["tp"] = m.tp;
       out["fp"] = m.fp;
       out["fn"] = m.fn;
       out["tn"] = m.tn;
       out["accuracy"] = number(m.accuracy);
       out["precision"] = number(m.precision);
       out["recall"] = number(m.recall);
       return out;
     }},
    {"moments", "values[]",
     [](const json& input) -> Answer {
       In in(input);
       const auto values = in.numbers("values");
       COVEY_TRY_VOID(in.verdict());
       const MomentsOf m = COVEY_TRY(moments(values));
       Out out = with(m.n == 0 ? Status::kNoData : Status::kOk);
       out["n"] = m.n;
       out["mean"] = number(m.mean);
       out["var"] = number(m.var);
       return out;
     }},
    {"group_sequential_bounds", "information[], alpha, sides, spending (obf|power), phi?",
     [](const json& input) -> Answer {
       In in(input);
       const auto information = in.numbers("information");
       const double alpha = in.level();
       const std::int64_t sides = in.whole("sides", std::int64_t{2});
       const std::string spending = in.word("spending", "obf");
       const double phi = in.number("phi", 1.0);
       COVEY_TRY_VOID(in.verdict());
       if (spending != "obf" && spending != "power") {
         return fail(Errc::kRejected, "input.spending must be obf or power");
       }
       const auto bounds = COVEY_TRY(group_sequential_bounds(
           information, alpha, static_cast<int>(std::clamp<std::int64_t>(sides, 0, 3)),
           spending == "obf" ? Spending::kObrienFleming : Spending::kPower, phi));
       Out out = ok();
       out["z_bounds"] = Out::array();
       for (const double z : bounds) out["z_bounds"].push_back(number(z));
       return out;
     }},
    {"mid_experiment_power",
     "control{n,mean,var}, treatment{...}, alpha, relative_mde, scaling, sequential, n_tune",
     [](const json& input) -> Answer {
       In in(input);
       const Sample control = in.sample("control");
       const Sample treatment = in.sample("treatment");
       const double alpha = in.level();
       const double change = in.number("relative_mde");
       const double scaling = in.number("scaling", 0.0);
       const bool sequential = in.flag("sequential", false);
       const double n_tune = sequential ? in.number("n_tune") : 1;
       COVEY_TRY_VOID(in.verdict());
       const auto p = COVEY_TRY(
           mid_experiment_power(control, treatment, alpha, change, scaling, sequential, n_tune));
       Out out = with(p.status);
       out["power"] = number(p.power);
       out["halfwidth"] = number(p.halfwidth);
       return out;
     }},
    {"annual_impact",
     "control{n,mean,var}, treatment{...}, alpha, units_in_experiment, traffic_fraction, days",
     [](const json& input) -> Answer {
       In in(input);
       const Sample control = in.sample("control");
       const Sample treatment = in.sample("treatment");
       const double alpha = in.level();
       const double units = in.number("units_in_experiment");
       const double fraction = in.number("traffic_fraction");
       const double days = in.number("days");
       COVEY_TRY_VOID(in.verdict());
       const auto a = COVEY_TRY(annual_impact(control, treatment, alpha, units, fraction, days));
       Out out = with(a.status);
       out["impact"] = number(a.impact);
       put(out, "ci_low", "ci_high", a.interval);
       return out;
     }},
    {"intervention_uplift",
     "x_holdout, n_holdout, x_treated, n_treated, alpha, population, value_per_save, "
     "cost_per_contact",
     [](const json& input) -> Answer {
       In in(input);
       const Count holdout = in.count("x_holdout", "n_holdout");
       const Count treated = in.count("x_treated", "n_treated");
       const double alpha = in.level();
       const double population = in.number("population");
       const double value = in.number("value_per_save");
       const double cost = in.number("cost_per_contact");
       COVEY_TRY_VOID(in.verdict());
       const auto u =
           COVEY_TRY(intervention_uplift(holdout, treated, alpha, population, value, cost));
       Out out = with(u.status);
       out["uplift"] = number(u.uplift);
       put(out, "ci_low", "ci_high", u.interval);
       out["net_value"] = number(u.net_value);
       put(out, "net_value_low", "net_value_high", u.net_interval);
       return out;
     }},
    // Gates.
    {"rate_gate", "successes, trials, limit, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const Count count = in.count("successes", "trials");
       const double limit = in.number("limit");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       return gate(COVEY_TRY(rate_gate(count, limit, alpha)));
     }},
    {"requests_to_pass", "rate, limit, alpha",
     [](const json& input) -> Answer {
       In in(input);
       const double rate = in.number("rate");
       const double limit = in.number("limit");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       Out out = ok();
       out["requests"] = number(COVEY_TRY(requests_to_pass(rate, limit, alpha)));
       return out;
     }},
    {"comparison_gate", "stages[]{candidate_failures, baseline_failures, share}, margin, alpha",
     [](const json& input) -> Answer {
       In in(input);
       std::vector<ComparisonStage> stages;
       for (In& part : in.objects("stages")) {
         const Count failures = part.count("candidate_failures", "baseline_failures");
         stages.push_back({failures.successes, failures.trials, part.number("share")});
         in.take(part);
       }
       const double margin = in.number("margin", 0.0);
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       return gate(COVEY_TRY(comparison_gate(stages, margin, alpha)));
     }},
    {"non_inferiority_gate",
     "stages[]{control{n,mean,var}, treatment{...}, control_events, treatment_events}, margin, "
     "alpha, n_tune",
     [](const json& input) -> Answer {
       In in(input);
       std::vector<MeanStage> stages;
       for (In& part : in.objects("stages")) {
         const Sample control = part.sample("control");
         const Sample treatment = part.sample("treatment");
         stages.push_back(
             {control, treatment, part.number("control_events"), part.number("treatment_events")});
         in.take(part);
       }
       const double margin = in.number("margin");
       const double alpha = in.level();
       const double n_tune = in.number("n_tune");
       COVEY_TRY_VOID(in.verdict());
       return gate(COVEY_TRY(non_inferiority_gate(stages, margin, alpha, n_tune)));
     }},
    {"spread_gate", "segments[]{successes, trials} (bad requests), limit, alpha, requests_min?",
     [](const json& input) -> Answer {
       In in(input);
       std::vector<Count> segments;
       for (In& part : in.objects("segments")) {
         segments.push_back(part.count("successes", "trials"));
         in.take(part);
       }
       const double limit = in.number("limit");
       const double alpha = in.level();
       const std::int64_t requests_min = in.whole("requests_min", std::int64_t{100});
       COVEY_TRY_VOID(in.verdict());
       const auto spread = COVEY_TRY(spread_gate(segments, limit, alpha, requests_min));
       Out out = gate(spread);
       out.erase("ci_low");
       out.erase("ci_high");
       out.erase("more_needed");
       out["judged"] = adjusted(spread.judged);
       out["widest"] =
           spread.widest ? Out::array({spread.widest->first, spread.widest->second}) : Out(nullptr);
       return out;
     }},
    {"e_bh", "log_e_values[], alpha",
     [](const json& input) -> Answer {
       In in(input);
       const auto log_e = in.numbers("log_e_values");
       const double alpha = in.level();
       COVEY_TRY_VOID(in.verdict());
       if (!(alpha > 0 && alpha < 1)) return fail(Errc::kRejected, "alpha must lie in (0, 1)");
       Out out = ok();
       out["reject"] = adjusted(e_bh(log_e, alpha));
       return out;
     }},
};

Out bad_input(std::string message) {
  return {{"status", "bad_input"}, {"message", std::move(message)}};
}

}  // namespace

const std::vector<StatsFunction>& stats_functions() {
  return kFunctions;
}

Out answer_stats(std::string_view line) {
  const json question = json::parse(line, nullptr, false);
  if (question.is_discarded()) return bad_input("not a line of JSON");
  if (!question.is_object() || !question.contains("function") ||
      !question["function"].is_string()) {
    return bad_input(R"(expected {"function": NAME, "input": {...}})");
  }
  const auto& wanted = question["function"].get_ref<const std::string&>();
  const auto found = std::ranges::find(kFunctions, wanted, &StatsFunction::name);
  if (found == kFunctions.end()) {
    std::vector<std::string_view> names;
    for (const auto& function : kFunctions) names.push_back(function.name);
    return bad_input(fmt::format("no function \"{}\"{}; covey stats --list shows them all", wanted,
                                 did_you_mean(wanted, names)));
  }
  static const json kNoInput;
  const auto input = question.find("input");
  auto answer = found->call(input == question.end() ? kNoInput : *input);
  return answer ? std::move(*answer) : bad_input(answer.error().message);
}

}  // namespace covey::app

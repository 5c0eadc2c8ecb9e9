#include "plan/check.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "config/units.h"
#include "stats/gates.h"

namespace covey::plan {
namespace {

using stats::Count;

double seconds(Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

/// Requests of every segment until the spread gate passes, if all of them are alike and have half
/// the limit's bad requests; by doubling, then halving.
std::optional<double> spread_needs(std::size_t segments, double limit, double alpha) {
  const auto passes = [&](double n) {
    const auto trials = static_cast<std::int64_t>(n);
    const auto bad = static_cast<std::int64_t>(std::ceil(n * limit * kAssumedOfLimit));
    const std::vector<Count> all(segments, Count{.successes = bad, .trials = trials});
    const auto gate = stats::spread_gate(all, limit, alpha);
    return gate && gate->verdict == stats::Verdict::kPass;
  };
  double high = 128;
  while (!passes(high)) {
    high *= 2;
    if (high > 1e9) return std::nullopt;
  }
  double low = high / 2;
  while (high - low > 0.02 * high) {
    const double middle = (low + high) / 2;
    (passes(middle) ? high : low) = middle;
  }
  return std::ceil(high) * static_cast<double>(segments);
}

/// What decide() needs of a stage or a monitoring phase.
struct Phase {
  const std::string& name;
  BasisPoints share;
  Duration length, max_extend;
};

/// What spread_needs() said of a limit: phases often share one.
using SpreadNeeds = std::map<double, std::optional<double>>;

Decidability decide(const Plan& plan, const Phase& stage, const Rule& criterion,
                    SpreadNeeds& known) {
  using enum Decidability::Verdict;
  Decidability out;
  out.stage = stage.name;
  out.criterion = criterion;
  const double rate = plan.traffic.requests_per_second * stage.share / kEveryone;
  // A criterion that counts from later on has less to go by.
  const Duration counted = std::max(Duration{}, stage.length - criterion.from);
  out.expected = std::floor(rate * seconds(counted));
  out.expected_extended = std::floor(rate * seconds(counted + stage.max_extend));
  switch (kind_of(criterion.measure)) {
    case Kind::kGauge:
      out.note = "a level: its mean over the window is read";
      return out;
    case Kind::kCount:
      out.note = "counted";
      return out;
    case Kind::kImpact:
      out.note = stage.share == kEveryone
                     ? "an interval, against what the baseline showed before the stage"
                     : "an interval, between the two arms";
      return out;
    case Kind::kEvidence:
      break;
  }
  if (criterion.measure == Measure::kSegmentSpread) {
    if (plan.segments.size() < 2) {
      out.verdict = kCannot;
      out.note = "fewer than two segments are named";
      return out;
    }
    const auto [at, fresh] = known.try_emplace(criterion.limit);
    if (fresh) at->second = spread_needs(plan.segments.size(), criterion.limit, plan.alpha);
    out.needed = at->second;
    out.note = "if segments are of equal size";
  } else {
    const double limit = limit_rate(criterion);
    const auto needed = stats::requests_to_pass(limit * kAssumedOfLimit, limit, plan.alpha);
    if (needed) out.needed = *needed;
  }
  if (!out.needed || *out.needed > out.expected_extended) {
    out.verdict = kCannot;
  } else if (*out.needed * 2 > out.expected) {
    out.verdict = kTight;
  } else {
    out.verdict = kDecides;
  }
  return out;
}

void people_decide(const std::string& phase, const Gate& gate, Checked& out) {
  for (const std::string& text : gate.criteria) {
    Decidability one;
    one.stage = phase;
    one.criterion.text = text;
    one.note = fmt::format("{}: nothing here measures it; {} decide on a report, {}", gate.name,
                           fmt::join(gate.approvals, ", "), format_time(gate.at).substr(0, 10));
    out.gates.push_back(std::move(one));
  }
}

}  // namespace

bool Checked::decidable() const {
  return std::ranges::none_of(gates, [](const Decidability& gate) {
    return gate.verdict == Decidability::Verdict::kCannot;
  });
}

Checked check(const Plan& plan) {
  Checked out;
  SpreadNeeds known;
  for (const Stage& stage : plan.stages) {
    for (const Rule& criterion : stage.criteria) {
      out.gates.push_back(decide(plan, {stage.name, stage.share, stage.length, stage.max_extend},
                                 criterion, known));
    }
    if (stage.approvals.empty()) {
      out.warnings.push_back(
          fmt::format("{}: nobody approves it; it begins by itself", stage.name));
    }
    const bool watches = std::ranges::any_of(
        stage.criteria, [](const Rule& rule) { return kind_of(rule.measure) == Kind::kEvidence; });
    if (!watches) {
      out.warnings.push_back(fmt::format(
          "{}: no criterion counts requests, so only silence could roll it back", stage.name));
    }
    if (stage.breached_for < plan.window) {
      out.warnings.push_back(fmt::format(
          "{}: breached_for {} is shorter than the window of {} it is seen in: one bad window "
          "rolls back",
          stage.name, config::format_duration(stage.breached_for),
          config::format_duration(plan.window)));
    }
  }
  for (std::size_t i = 1; i < plan.stages.size(); ++i) {
    const Stage &a = plan.stages[i - 1], &b = plan.stages[i];
    if (a.start + a.length + a.max_extend > b.start) {
      out.warnings.push_back(fmt::format(
          "{}: extended to its end it runs into {}, which then begins later", a.name, b.name));
    }
  }
  for (const Monitoring& phase : plan.monitoring) {
    // Its share is the last stage's, and it may run as long again while it is undecided.
    const Phase as{phase.name, plan.stages.back().share, phase.length, phase.length};
    for (const Rule& criterion : phase.criteria) {
      out.gates.push_back(decide(plan, as, criterion, known));
    }
    for (const Gate& gate : phase.gates) people_decide(phase.name, gate, out);
  }
  for (const Work& work : plan.work) {
    for (const Gate& gate : work.gates) people_decide(work.name, gate, out);
  }
  if (plan.channels.empty()) {
    out.warnings.emplace_back("no channels: alerts stay in the journal and on the dashboard");
  }
  return out;
}

}  // namespace covey::plan

#include "rollout/measure.h"

#include <algorithm>
#include <cmath>

namespace covey::rollout {
namespace {

using plan::Kind;
using plan::Measure;
using plan::Rule;
using stats::Count;
using telemetry::Arm;
using telemetry::Counts;
using telemetry::Sums;

Duration latency_of(const Rule& rule) {
  return Duration(std::llround(rule.limit * 1e6));
}

bool is_latency(const Rule& rule) {
  return rule.measure == Measure::kP99 || rule.measure == Measure::kP95;
}

Count count(std::uint64_t bad, std::uint64_t all) {
  return {static_cast<std::int64_t>(bad), static_cast<std::int64_t>(all)};
}

Count rate(const Rule& rule, const Counts& counts, const telemetry::Shape& shape) {
  switch (rule.measure) {
    case Measure::kAvailability:
      return count(counts.unanswered, counts.sent);
    case Measure::kP99:
    case Measure::kP95:
      return count(counts.slow[shape.limit(latency_of(rule))], counts.answered());
    default:
      return count(counts.wrong, counts.answered());
  }
}

/// Latency beyond which a request is not good: the phase's own P99 limit, else any is quick enough.
std::optional<std::size_t> good_within(const std::vector<Rule>& criteria,
                                       const telemetry::Shape& shape) {
  for (const Rule& rule : criteria) {
    if (rule.measure == Measure::kP99) return shape.limit(latency_of(rule));
  }
  return std::nullopt;
}

std::optional<double> level(const Rule& rule, const telemetry::Levels& levels) {
  const auto mean = [&](std::uint64_t sum, std::uint64_t of, double unit) -> std::optional<double> {
    if (of == 0) return std::nullopt;
    return static_cast<double>(sum) / static_cast<double>(of) / unit;
  };
  switch (rule.measure) {
    case Measure::kCpu:
      return mean(levels.cpu, levels.samples, 1e6);
    case Measure::kMemory:
      return mean(levels.memory, levels.samples, 1e6);
    case Measure::kNetwork:
      return mean(levels.network, levels.network_samples, 1e6);
    default:
      return mean(levels.cache_hits, levels.lookups, 1);
  }
}

Readings readings(const Rule& rule, const telemetry::Levels& levels, std::uint64_t expected) {
  const bool network = rule.measure == Measure::kNetwork;
  return {expected, levels.samples, network ? levels.network_samples : levels.samples};
}

/// Sums of a stretch, and how many slots of it are known.
struct Stretch {
  std::optional<Sums> sums;
  std::uint64_t slots = 0;
};
Stretch stretch(const telemetry::History& history, Time from, Time to) {
  Stretch out{history.between(from, to)};
  const auto narrowed = history.narrowed(from, to);
  if (out.sums && narrowed) {
    const Duration known = narrowed->to - narrowed->from - out.sums->missing;
    out.slots = static_cast<std::uint64_t>(std::max(Duration{}, known) / history.slot());
  }
  return out;
}

struct Reader {
  const telemetry::Shape& shape;
  std::optional<std::size_t> good;

  Measured read(const Rule& rule, const Stretch& seen) const {
    Measured out;
    const std::optional<Sums>& sums = seen.sums;
    if (!sums) return out;
    switch (plan::kind_of(rule.measure)) {
      case Kind::kEvidence:
        if (rule.measure == Measure::kSegmentSpread) {
          for (std::size_t s = 0; s < sums->segments(); ++s) {
            const Counts counts = sums->counts(Arm::kCandidate, s);
            if (counts.sent == 0) continue;
            const std::uint64_t bad = good ? counts.bad[*good] : counts.unanswered + counts.wrong;
            out.segments.push_back(count(bad, counts.sent));
          }
          return out;
        }
        out.candidate = rate(rule, sums->counts(Arm::kCandidate), shape);
        out.baseline = rate(rule, sums->counts(Arm::kBaseline), shape);
        return out;
      case Kind::kGauge:
        out.value = level(rule, sums->levels(Arm::kCandidate));
        out.readings = readings(rule, sums->levels(Arm::kCandidate), seen.slots);
        return out;
      case Kind::kCount:
      case Kind::kImpact:
        return out;
    }
    return out;
  }
};

}  // namespace

telemetry::Shape telemetry_shape(const plan::Plan& plan) {
  std::vector<Duration> latencies;
  const auto take = [&](const Rule& rule) {
    if (is_latency(rule)) latencies.push_back(latency_of(rule));
  };
  for (const plan::Stage& stage : plan.stages) {
    for (const Rule& rule : stage.criteria) take(rule);
    for (const Rule& rule : stage.warnings) take(rule);
    for (const plan::Reaction& reaction : stage.reactions) take(reaction.when);
  }
  for (const plan::Monitoring& phase : plan.monitoring) {
    for (const Rule& rule : phase.criteria) take(rule);
  }
  return telemetry::Shape::of(plan.segments, std::move(latencies));
}

Telemetry measure(const plan::Plan& plan, const State& state, const telemetry::History& history,
                  Time now) {
  Telemetry out;
  const auto last = history.last_complete();
  out.silence = last ? std::max(Duration{}, now - *last) : Duration::max() / 2;
  if (const auto newest = history.last()) {
    if (const auto slot = history.between(*newest - history.slot(), *newest)) {
      out.candidate_requests = slot->counts(Arm::kCandidate).sent;
    }
  }
  if (const auto sliding = history.between(now - plan.window, now)) {
    const auto of = [&](Arm arm) {
      const Counts counts = sliding->counts(arm);
      return Figures{counts.sent, counts.unanswered, counts.wrong, {}};
    };
    out.candidate = of(Arm::kCandidate);
    out.baseline = of(Arm::kBaseline);
  }
  const auto index = watched_phase(state);
  if (!index || !state.phases[*index].began) return out;
  const PhaseView phase = phase_view(plan, *index);
  const Time began = *state.phases[*index].began;
  const Reader reader{history.shape(), good_within(phase.criteria(), history.shape())};

  const Stretch window = stretch(history, began, now);
  const Stretch recent = stretch(history, std::max(began, now - plan.window), now);
  if (window.sums) out.missing = window.sums->missing;
  for (const Rule& rule : phase.criteria()) {
    Reading reading;
    if (rule.from.count() > 0) {
      reading.window = reader.read(rule, stretch(history, began + rule.from, now));
    } else {
      reading.window = reader.read(rule, window);
    }
    reading.recent = reader.read(rule, recent);
    out.criteria.push_back(std::move(reading));
  }
  if (phase.stage == nullptr) return out;
  for (const Rule& rule : phase.stage->warnings) out.warnings.push_back(reader.read(rule, recent));
  for (const plan::Reaction& reaction : phase.stage->reactions) {
    out.reactions.push_back(reader.read(reaction.when, recent));
  }
  return out;
}

}  // namespace covey::rollout

#include "rehearsal/plain.h"

#include <algorithm>
#include <cmath>

#include "base/result.h"

namespace covey::rehearsal {
namespace {

using plan::Measure;
using telemetry::Arm;

double log_term(std::uint64_t k, std::uint64_t n, double p) {
  const auto choose = [](double m, double of) {
    return std::lgamma(m + 1) - std::lgamma(of + 1) - std::lgamma(m - of + 1);
  };
  const auto count = static_cast<double>(n), hits = static_cast<double>(k);
  return choose(count, hits) + hits * std::log(p) + (count - hits) * std::log1p(-p);
}

/// Bad requests that a rule at its limit would have, as a share of all.
double limit_of(const plan::Rule& rule) {
  if (rule.measure == Measure::kP99) return 0.01;
  if (rule.measure == Measure::kP95) return 0.05;
  return rule.measure == Measure::kAvailability ? 1 - rule.limit : rule.limit;
}

double share(const std::pair<std::uint64_t, std::uint64_t>& of) {
  return static_cast<double>(of.first) / static_cast<double>(of.second);
}

}  // namespace

double log_lower_tail(std::uint64_t k, std::uint64_t n, double p) {
  COVEY_CHECK(k <= n && p > 0 && p < 1);
  if (static_cast<double>(k) >= static_cast<double>(n) * p) return 0;
  // Each term below is smaller than the one above it by a ratio that only shrinks.
  double sum = 0, term = 1;
  for (std::uint64_t i = k; term > 1e-17 * sum; --i) {
    sum += term;
    if (i == 0) break;
    term *= static_cast<double>(i) * (1 - p) / (static_cast<double>(n - i + 1) * p);
  }
  return log_term(k, n, p) + std::log(sum);
}

double log_upper_tail(std::uint64_t k, std::uint64_t n, double p) {
  COVEY_CHECK(k <= n && p > 0 && p < 1);
  if (static_cast<double>(k) <= static_cast<double>(n) * p) return 0;
  double sum = 0, term = 1;
  for (std::uint64_t i = k; term > 1e-17 * sum; ++i) {
    sum += term;
    if (i == n) break;
    term *= static_cast<double>(n - i) * p / (static_cast<double>(i + 1) * (1 - p));
  }
  return log_term(k, n, p) + std::log(sum);
}

void Plain::add(const plan::Rule& rule, const telemetry::Sums& slot, const telemetry::Shape& shape,
                std::optional<std::size_t> good_within, std::uint64_t covers) {
  slots += covers;
  segments.resize(slot.segments());
  const telemetry::Levels levels = slot.levels(Arm::kCandidate);
  readings += levels.samples;
  const auto take = [&](std::uint64_t sum, std::uint64_t of) {
    level += sum;
    level_of += of;
  };
  switch (rule.measure) {
    case Measure::kCpu:
      take(levels.cpu, levels.samples * 1'000'000);
      return;
    case Measure::kMemory:
      take(levels.memory, levels.samples * 1'000'000);
      return;
    case Measure::kNetwork:
      take(levels.network, levels.network_samples * 1'000'000);
      return;
    case Measure::kCacheHits:
      take(levels.cache_hits, levels.lookups);
      return;
    default:
      break;
  }
  std::size_t limit = 0;
  if (rule.measure == Measure::kP99 || rule.measure == Measure::kP95) {
    const plan::Duration slower(std::llround(rule.limit * 1e6));
    while (limit < shape.slower_than.size() && shape.slower_than[limit] != slower) ++limit;
    COVEY_CHECK(limit < shape.slower_than.size());
  }
  for (std::size_t s = 0; s < slot.segments(); ++s) {
    const telemetry::Counts c = slot.counts(Arm::kCandidate, s);
    switch (rule.measure) {
      case Measure::kErrorRate:
        bad += c.wrong;
        all += c.sent - c.unanswered;
        break;
      case Measure::kAvailability:
        bad += c.unanswered;
        all += c.sent;
        break;
      case Measure::kP99:
      case Measure::kP95:
        bad += c.slow[limit];
        all += c.sent - c.unanswered;
        break;
      case Measure::kSegmentSpread:
        segments[s].first += good_within ? c.bad[*good_within] : c.unanswered + c.wrong;
        segments[s].second += c.sent;
        break;
      default:
        break;
    }
  }
}

bool plainly_may_hold(const plan::Rule& rule, const Plain& c, double alpha) {
  switch (plan::kind_of(rule.measure)) {
    case plan::Kind::kGauge:
      return c.level_of > 0 && 10 * c.readings >= 8 * c.slots &&
             plan::satisfies(rule, static_cast<double>(c.level) / static_cast<double>(c.level_of));
    case plan::Kind::kEvidence:
      break;
    default:
      return true;  // counted elsewhere
  }
  if (rule.measure != Measure::kSegmentSpread) {
    return c.all > 0 && log_lower_tail(c.bad, c.all, limit_of(rule)) <= std::log(alpha);
  }
  double low = 1, high = 0;
  int judged = 0;
  for (const auto& segment : c.segments) {
    if (segment.second < 100) continue;
    low = std::min(low, share(segment));
    high = std::max(high, share(segment));
    ++judged;
  }
  return judged >= 2 && high - low < rule.limit;
}

bool plainly_broken(const plan::Rule& rule, const Plain& c) {
  switch (plan::kind_of(rule.measure)) {
    case plan::Kind::kGauge:
      return c.level_of > 0 &&
             !plan::satisfies(rule, static_cast<double>(c.level) / static_cast<double>(c.level_of));
    case plan::Kind::kEvidence:
      break;
    default:
      return false;
  }
  if (rule.measure != Measure::kSegmentSpread) {
    return c.all > 0 && log_upper_tail(c.bad, c.all, limit_of(rule)) < std::log(1e-12);
  }
  // The worst against the best: both ends far from where they would have to be.
  for (const auto& a : c.segments) {
    for (const auto& b : c.segments) {
      if (a.second < 1'000 || b.second < 1'000) continue;
      const auto variance = [](const auto& of) {
        // One more of each kind, so that a spotless segment is not taken to be certain.
        const double part = static_cast<double>(of.first + 1) / static_cast<double>(of.second + 2);
        return part * (1 - part) / static_cast<double>(of.second);
      };
      if (share(a) - share(b) - rule.limit > 12 * std::sqrt(variance(a) + variance(b))) return true;
    }
  }
  return false;
}

}  // namespace covey::rehearsal

#include "load/compare.h"

#include <algorithm>

namespace covey::load {
namespace {

/// Cumulated counts of one block's histogram, so that a resample adds rows and searches.
using Counts = std::vector<std::uint64_t>;

double quantile_us(const std::vector<const Counts*>& drawn, double q,
                   std::vector<std::uint64_t>& room) {
  std::size_t width = 0;
  for (const Counts* c : drawn) width = std::max(width, c->size());
  room.assign(width, 0);
  std::uint64_t total = 0;
  for (const Counts* c : drawn) {
    for (std::size_t i = 0; i < c->size(); ++i) {
      room[i] += (*c)[i];
      total += (*c)[i];
    }
  }
  if (total == 0) return 0;
  const auto rank = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(q * static_cast<double>(total) + 0.999999));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < width; ++i) {
    seen += room[i];
    if (seen >= rank) return static_cast<double>(telemetry::Histogram::middle(i).count());
  }
  return 0;
}

}  // namespace

Comparison compare(const std::vector<Pair>& pairs, Kind kind, double q, std::uint64_t seed) {
  Comparison out;
  out.pairs = pairs.size();
  out.q = q;
  std::vector<const Counts*> a, b;
  for (const Pair& pair : pairs) {
    a.push_back(&pair.a.of(kind).latency.buckets());
    b.push_back(&pair.b.of(kind).latency.buckets());
  }
  std::vector<std::uint64_t> room;
  const double of_a = quantile_us(a, q, room), of_b = quantile_us(b, q, room);
  if (of_a > 0) out.a_ms = of_a / 1e3;
  if (of_b > 0) out.b_ms = of_b / 1e3;
  if (!(of_a > 0) || !(of_b > 0)) return out;
  out.ratio = of_b / of_a;
  if (pairs.size() < kPairsMin) return out;
  Random random = Random(seed).fork("bootstrap");
  std::vector<double> ratios;
  std::vector<const Counts*> some_a(pairs.size()), some_b(pairs.size());
  for (std::size_t i = 0; i < kResamples; ++i) {
    for (std::size_t p = 0; p < pairs.size(); ++p) {
      const std::size_t drawn = random.below(pairs.size());
      some_a[p] = a[drawn];
      some_b[p] = b[drawn];
    }
    const double below = quantile_us(some_a, q, room), above = quantile_us(some_b, q, room);
    if (below > 0) ratios.push_back(above / below);
  }
  if (ratios.empty()) return out;
  std::ranges::sort(ratios);
  const auto at = [&](double share) {
    return ratios[static_cast<std::size_t>(share * static_cast<double>(ratios.size() - 1) + 0.5)];
  };
  out.interval = {at(0.025), at(0.975)};
  return out;
}

}  // namespace covey::load

#include "telemetry/latencies.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace covey::telemetry {
namespace {

constexpr std::uint64_t kExact = 128;  ///< below it a bucket is one microsecond
constexpr std::uint64_t kParts = 64;   ///< of each doubling above
constexpr std::uint64_t kLongest = std::uint64_t{1} << 32;  ///< 71 min; longer counts as this

constexpr std::size_t kHoursMax = 10'000;

/// End of the part of the clock that `end` closes or lies in.
Time part_of(Time end, Duration grain) {
  const auto since = end.time_since_epoch() - Duration(1);
  return Time(since - since % grain + grain);
}

}  // namespace

std::size_t Histogram::bucket(Duration latency) {
  const auto us = std::clamp<std::uint64_t>(
      static_cast<std::uint64_t>(std::max<Duration::rep>(0, latency.count())), 0, kLongest - 1);
  if (us < kExact) return us;
  const auto doubling = static_cast<std::uint64_t>(std::bit_width(us) - 1);  // >= 7
  const std::uint64_t width = (std::uint64_t{1} << doubling) / kParts;
  return kExact + (doubling - 7) * kParts + (us - (std::uint64_t{1} << doubling)) / width;
}

Duration Histogram::middle(std::size_t i) {
  if (i < kExact) return Duration(i);
  const std::uint64_t doubling = 7 + (i - kExact) / kParts;
  const std::uint64_t width = (std::uint64_t{1} << doubling) / kParts;
  const std::uint64_t low = (std::uint64_t{1} << doubling) + (i - kExact) % kParts * width;
  return Duration(low + width / 2);
}

void Histogram::add(Duration latency, std::uint64_t times) {
  const std::size_t at = bucket(latency);
  if (at >= buckets_.size()) buckets_.resize(at + 1);
  buckets_[at] += times;
  count_ += times;
}

void Histogram::operator+=(const Histogram& other) {
  if (other.buckets_.size() > buckets_.size()) buckets_.resize(other.buckets_.size());
  for (std::size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
}

std::optional<Duration> Histogram::quantile(double q) const {
  if (count_ == 0) return std::nullopt;
  const auto rank = std::clamp<std::uint64_t>(
      static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_))), 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) return middle(i);
  }
  return middle(buckets_.size() - 1);
}

Latencies::Packed Latencies::packed(const Histogram& from) {
  const auto& buckets = from.buckets_;
  const auto first = std::ranges::find_if(buckets, [](std::uint64_t n) { return n > 0; });
  Packed out{static_cast<std::uint32_t>(first - buckets.begin()), {}};
  out.counts.reserve(static_cast<std::size_t>(buckets.end() - first));
  for (auto at = first; at != buckets.end(); ++at) {
    out.counts.push_back(static_cast<std::uint32_t>(
        std::min<std::uint64_t>(*at, std::numeric_limits<std::uint32_t>::max())));
  }
  return out;
}

void Latencies::add_to(Histogram& sum, const Packed& what) {
  if (what.counts.empty()) return;
  const std::size_t end = what.first + what.counts.size();
  if (end > sum.buckets_.size()) sum.buckets_.resize(end);
  for (std::size_t i = 0; i < what.counts.size(); ++i) {
    sum.buckets_[what.first + i] += what.counts[i];
    sum.count_ += what.counts[i];
  }
}

// Moves whole parts that ended before `before` to the next coarser grain.
void Latencies::merge(std::size_t from, Duration grain, Time before) {
  auto& fine = grains_[from];
  while (!fine.empty()) {
    const Time end = part_of(fine.front().end, grain);
    if (end > before) return;
    ArmHistograms sums;
    for (; !fine.empty() && fine.front().end <= end; fine.pop_front()) {
      for (std::size_t a = 0; a < kArms; ++a) add_to(sums[a], fine.front().arms[a]);
    }
    auto& coarse = grains_[from - 1];
    coarse.push_back({end, {}});
    for (std::size_t a = 0; a < kArms; ++a) coarse.back().arms[a] = packed(sums[a]);
  }
}

void Latencies::add(Time end, const ArmHistograms& slot) {
  grains_[2].push_back({end, {}});
  for (std::size_t a = 0; a < kArms; ++a) grains_[2].back().arms[a] = packed(slot[a]);
  merge(2, std::chrono::minutes(1), end - retention_.fine);
  merge(1, std::chrono::hours(1), end - retention_.minutes);
  while (grains_[0].size() > kHoursMax) grains_[0].pop_front();
}

Histogram Latencies::between(Time from, Time to, Arm arm) const {
  Histogram out;
  for (const auto& stretches : grains_) {
    const auto begin = std::ranges::upper_bound(stretches, from, {}, &Stretch::end);
    for (auto at = begin; at != stretches.end() && at->end <= to; ++at) {
      add_to(out, at->arms[static_cast<std::size_t>(arm)]);
    }
  }
  return out;
}

}  // namespace covey::telemetry

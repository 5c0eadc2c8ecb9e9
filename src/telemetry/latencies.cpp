#include "telemetry/latencies.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace covey::telemetry {
namespace {

constexpr std::uint64_t kExact = 128;  ///< below it a bucket is one microsecond
constexpr std::uint64_t kParts = 64;   ///< of each doubling above
constexpr std::uint64_t kLongest = std::uint64_t{1} << 32;  ///< 71 min; longer counts as this

constexpr Duration kMinute = std::chrono::minutes(1);

Time minute_of(Time end) {
  const auto since = end.time_since_epoch() - Duration(1);
  return Time(since - since % kMinute + kMinute);
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

void Histogram::add(Duration latency, std::uint32_t times) {
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

void Latencies::add(Time end, const ArmHistograms& slot) {
  slots_.push_back({end, slot});
  while (end - slots_.front().end >= retention_.fine) {
    Stretch& oldest = slots_.front();
    const Time minute = minute_of(oldest.end);
    if (minutes_.empty() || minutes_.back().end != minute) {
      minutes_.push_back({minute, std::move(oldest.arms)});
    } else {
      for (std::size_t a = 0; a < kArms; ++a) minutes_.back().arms[a] += oldest.arms[a];
    }
    slots_.pop_front();
  }
  while (!minutes_.empty() && end - minutes_.front().end >= retention_.minutes) {
    minutes_.pop_front();
  }
}

Histogram Latencies::between(Time from, Time to, Arm arm) const {
  Histogram out;
  for (const auto* stretches : {&minutes_, &slots_}) {
    const auto begin = std::ranges::upper_bound(*stretches, from, {}, &Stretch::end);
    for (auto at = begin; at != stretches->end() && at->end <= to; ++at) {
      out += at->arms[static_cast<std::size_t>(arm)];
    }
  }
  return out;
}

}  // namespace covey::telemetry

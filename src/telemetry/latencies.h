#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/time.h"
#include "telemetry/history.h"

namespace covey::telemetry {

/// Latencies counted in buckets that grow with them: of one microsecond up to 128, then 64 to each
/// doubling, so that a quantile read off is within 0.8 % of a latency that was measured.
///
/// For reading only: gates count requests beyond their limit exactly (Shape::slower_than).
class Histogram {
 public:
  void add(Duration latency, std::uint32_t times = 1);
  void operator+=(const Histogram& other);
  std::uint64_t count() const { return count_; }
  /// Of the answers counted, the latency that a fraction `q` in [0, 1] did not exceed; nothing
  /// where there was none.
  std::optional<Duration> quantile(double q) const;
  /// Per bucket, up to the highest used.
  const std::vector<std::uint32_t>& buckets() const { return buckets_; }
  /// Bucket `i`'s middle.
  static Duration middle(std::size_t i);

 private:
  static std::size_t bucket(Duration latency);
  std::vector<std::uint32_t> buckets_;
  std::uint64_t count_ = 0;
};

using ArmHistograms = std::array<Histogram, kArms>;

/// Latencies of what was answered lately: slots for an hour, minutes for two days. At most 5 kB an
/// arm and stretch, 36 MB in all. One thread.
class Latencies {
 public:
  explicit Latencies(Retention retention = {}) : retention_(retention) {}
  /// Of the slot that ends at `end`; slots come in order.
  void add(Time end, const ArmHistograms& slot);
  /// Of the stretches that end within (from, to].
  Histogram between(Time from, Time to, Arm arm) const;

 private:
  struct Stretch {
    Time end;
    ArmHistograms arms;
  };
  Retention retention_;
  std::deque<Stretch> minutes_, slots_;
};

}  // namespace covey::telemetry

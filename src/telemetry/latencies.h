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
  void add(Duration latency, std::uint64_t times = 1);
  void operator+=(const Histogram& other);
  std::uint64_t count() const { return count_; }
  /// Of the answers counted, the latency that a fraction `q` in [0, 1] did not exceed; nothing
  /// where there was none.
  std::optional<Duration> quantile(double q) const;
  /// Per bucket, up to the highest used.
  const std::vector<std::uint64_t>& buckets() const { return buckets_; }
  /// Bucket `i`'s middle.
  static Duration middle(std::size_t i);

 private:
  friend class Latencies;
  static std::size_t bucket(Duration latency);
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
};

using ArmHistograms = std::array<Histogram, kArms>;

/// Latencies of what was answered: slots for an hour, minutes for two days, hours for the rest of
/// the plan. Merged a whole minute, or hour, at a time, so that a window whose edges History keeps
/// is told whole.
///
/// Memory: 4 bytes a bucket in use, of which a service's latencies take some 500: 2 kB an arm and
/// stretch, at most 7 kB. Two arms in slots of 5 s are 11 MB for two days and 80 kB a day beyond
/// (Latencies.TakesBoundedMemory measures it); after 10,000 hours the oldest go. Not by segment:
/// nine of them would be ten times as much, for what segments are compared by is counted exactly
/// (Counts::bad). One thread.
class Latencies {
 public:
  explicit Latencies(Retention retention = {}) : retention_(retention) {}
  /// Of the slot that ends at `end`; slots come in order.
  void add(Time end, const ArmHistograms& slot);
  /// Of the stretches that end within (from, to].
  Histogram between(Time from, Time to, Arm arm) const;

 private:
  /// A histogram at rest: its buckets from the first in use on.
  struct Packed {
    std::uint32_t first = 0;
    std::vector<std::uint32_t> counts;  ///< 2^32 - 1 where there were more
  };
  static Packed packed(const Histogram& from);
  static void add_to(Histogram& sum, const Packed& what);
  struct Stretch {
    Time end;
    std::array<Packed, kArms> arms;
  };
  void merge(std::size_t from, Duration grain, Time before);
  Retention retention_;
  std::array<std::deque<Stretch>, 3> grains_;  ///< hours, minutes, slots; oldest first
};

}  // namespace covey::telemetry

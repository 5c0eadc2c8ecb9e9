#pragma once

#include <chrono>

#include "base/time.h"

namespace covey {

/// Where time comes from. app/ owns the only real one; tests hold a clock they move by hand.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Monotonic, for durations and time-outs; means nothing after a reboot.
  virtual std::chrono::nanoseconds now() const = 0;
  /// For anything written down or compared with an event's time.
  virtual Time wall() const = 0;
};

/// A clock that stands until it is moved. For tests and for "as of T".
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Time wall) : wall_(wall) {}
  std::chrono::nanoseconds now() const override { return now_; }
  Time wall() const override { return wall_; }
  void advance(std::chrono::microseconds by) {
    now_ += by;
    wall_ += by;
  }

 private:
  std::chrono::nanoseconds now_{0};
  Time wall_;
};

}  // namespace covey

#pragma once

#include "base/clock.h"

namespace covey::app {

/// The one clock that ticks by itself.
class RealClock final : public Clock {
 public:
  std::chrono::nanoseconds now() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  Time wall() const override {
    return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
};

}  // namespace covey::app

#pragma once

#include <cstddef>
#include <functional>

namespace covey {

/// Runs independent tasks. app/ owns the threads; everything below only describes work.
///
/// How many threads run must never change a result: callers cut work into tasks of a fixed size
/// and combine them in task order.
class Parallel {
 public:
  virtual ~Parallel() = default;
  /// How many tasks may run at once, >= 1.
  virtual unsigned width() const = 0;
  /// Calls `task(i)` once for each i in [0, count), in any order, and returns when all have
  /// returned. Tasks must not throw and must not call run() themselves.
  virtual void run(std::size_t count, const std::function<void(std::size_t)>& task) = 0;
};

/// Runs everything on the calling thread.
class Serial final : public Parallel {
 public:
  unsigned width() const override { return 1; }
  void run(std::size_t count, const std::function<void(std::size_t)>& task) override {
    for (std::size_t i = 0; i < count; ++i) task(i);
  }
};

}  // namespace covey

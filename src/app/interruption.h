#pragma once

#include <atomic>

#include "load/generator.h"

namespace covey::app {

/// Whether SIGINT or SIGTERM came since `stop_on_signals`.
extern std::atomic<bool> interrupted;

/// From now on these signals end nothing but the load that runs; the command then reports what it
/// has.
void stop_on_signals();

/// While it lives, a signal stops this load; one that came before stops it at once.
class Stoppable {
 public:
  explicit Stoppable(load::Generator& generator);
  ~Stoppable();
  Stoppable(const Stoppable&) = delete;
  Stoppable& operator=(const Stoppable&) = delete;
};

}  // namespace covey::app

#pragma once

#include <chrono>
#include <thread>

namespace covey::testing {

/// Waits until `holds()`; false when it did not within `within`. For what another thread or process
/// does in its own time: a test must not guess how long.
template <typename Holds>
bool eventually(Holds holds, std::chrono::milliseconds within = std::chrono::seconds(15),
                std::chrono::milliseconds every = std::chrono::milliseconds(10)) {
  for (const auto end = std::chrono::steady_clock::now() + within;
       std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(every)) {
    if (holds()) return true;
  }
  return holds();
}

}  // namespace covey::testing

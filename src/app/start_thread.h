#pragma once

#include <exception>
#include <thread>
#include <utility>

namespace covey::app {

/// A thread that does `work`. Where the system gives none, the process ends with a message (main's
/// terminate handler): to throw would be to wait, while unwinding, for threads that were started
/// before and that nobody has told to stop.
template <typename Work>
std::jthread start_thread(Work&& work) noexcept {
  try {
    return std::jthread(std::forward<Work>(work));
  } catch (...) {
    std::terminate();  // from here, so that the handler sees what was thrown
  }
}

}  // namespace covey::app

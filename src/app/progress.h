#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/text.h"

namespace covey::app {

/// A bar on stderr for whatever takes longer than two seconds on a terminal; off a terminal a line
/// every ten seconds. Nothing for short work.
class Progress {
 public:
  Progress(const Clock& clock, std::string what);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total`, 0 where that has no end; `note` stands behind the bar ("3.1 M rows, 820
  /// k/s").
  void update(std::uint64_t done, std::uint64_t total, std::string_view note);
  /// Ends the line.
  void finish();

 private:
  const Clock& clock_;
  std::string what_;
  std::chrono::nanoseconds started_, last_{0};
  bool terminal_, drawn_ = false;
};

}  // namespace covey::app

#include "app/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

namespace covey::app {

namespace {
constexpr std::chrono::milliseconds kQuiet{300};
constexpr std::chrono::milliseconds kFrame{100};
constexpr std::chrono::seconds kLine{10};
constexpr int kWidth = 30;
}  // namespace

Progress::Progress(const Clock& clock, std::string what)
    : clock_(clock), what_(std::move(what)), started_(clock.now()), terminal_(isatty(2) == 1) {}

void Progress::update(std::uint64_t done, std::uint64_t total, std::string_view note) {
  const auto now = clock_.now();
  const auto since = now - started_;
  if (terminal_ ? since < kQuiet || now - last_ < kFrame : since < kLine || now - last_ < kLine) {
    return;
  }
  last_ = now;
  drawn_ = true;
  if (total == 0) {
    const char* const form = terminal_ ? "\r{}: {} ({})\x1b[K" : "{}: {} ({})\n";
    fmt::print(stderr, fmt::runtime(form), what_, grouped(done), note);
    std::fflush(stderr);
    return;
  }
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  if (!terminal_) {
    fmt::print(stderr, "{}: {:.0f} % ({})\n", what_, share * 100, note);
    return;
  }
  std::string bar;
  const int full = static_cast<int>(share * kWidth + 0.5);
  for (int i = 0; i < kWidth; ++i) bar += i < full ? "█" : "░";
  const double seconds = std::chrono::duration<double>(since).count();
  const std::string left =
      share > 0.02 ? fmt::format(", {:.0f} s left", seconds / share * (1 - share)) : "";
  fmt::print(stderr, "\r{} {} {:3.0f} %  {}{}\x1b[K", what_, bar, share * 100, note, left);
  std::fflush(stderr);
}

void Progress::finish() {
  if (drawn_ && terminal_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

}  // namespace covey::app

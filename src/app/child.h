#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace covey::app {

/// A process of our own, which ends with us whatever becomes of us: killed with its owner, by pid,
/// and by the kernel where we are killed ourselves. Of a group of its own, so that Ctrl-C reaches
/// it through us alone. One thread, which must outlive it.
class Child {
 public:
  /// Standard input and output are `in` and `out` where those are not -1 (and stay the caller's to
  /// close), else nothing; standard error goes to the file `err`. kFailed.
  static Result<Child> start(std::vector<std::string> arguments, int in, int out,
                             const std::string& err);
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  void signal(int number);
  struct End {
    int code = 0;                     ///< 128 + signal where it was killed
    std::chrono::microseconds cpu{};  ///< user and system time
  };
  /// How it ended; nothing while it runs.
  std::optional<End> ended();

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  void end();
  pid_t pid_ = 0;
  std::optional<End> end_;
};

}  // namespace covey::app

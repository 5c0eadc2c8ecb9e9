#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/parallel.h"

namespace covey::app {

/// Threads for Parallel. The caller of run() works too, so width 1 has no thread of its own.
/// run() may be called from several threads; the second waits for the first.
class ThreadPool final : public Parallel {
 public:
  /// @param niceness  of its own threads, not of whoever calls run()
  explicit ThreadPool(unsigned width, int niceness = 0);
  ~ThreadPool() override;
  unsigned width() const override { return static_cast<unsigned>(threads_.size()) + 1; }
  void run(std::size_t count, const std::function<void(std::size_t)>& task) override;

 private:
  void work();
  void take_tasks();

  std::mutex callers_;
  std::mutex mutex_;
  std::condition_variable started_, finished_;
  const std::function<void(std::size_t)>* task_ = nullptr;
  std::size_t count_ = 0, next_ = 0, active_ = 0;
  std::uint64_t round_ = 0;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace covey::app

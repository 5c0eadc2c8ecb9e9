#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/parallel.h"

namespace covey::cohorts::given {

/// A few threads that take tasks in whatever order they come by: what discovery must not notice.
class Threads final : public Parallel {
 public:
  explicit Threads(unsigned width) {
    for (unsigned i = 1; i < width; ++i) threads_.emplace_back([this] { serve(); });
  }
  ~Threads() override {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }
  unsigned width() const override { return static_cast<unsigned>(threads_.size()) + 1; }

  void run(std::size_t count, const std::function<void(std::size_t)>& task) override {
    std::unique_lock lock(mutex_);
    task_ = &task;
    next_ = 0;
    count_ = count;
    wake_.notify_all();
    take(lock);
    done_.wait(lock, [this] { return busy_ == 0; });
    task_ = nullptr;
  }

 private:
  void take(std::unique_lock<std::mutex>& lock) {
    ++busy_;
    while (next_ < count_) {
      const std::size_t i = next_++;
      const auto* task = task_;
      lock.unlock();
      (*task)(i);
      lock.lock();
    }
    if (--busy_ == 0) done_.notify_all();
  }
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return over_ || (task_ != nullptr && next_ < count_); });
      if (over_) return;
      take(lock);
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(std::size_t)>* task_ = nullptr;
  std::size_t next_ = 0, count_ = 0, busy_ = 0;
  bool over_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace covey::cohorts::given

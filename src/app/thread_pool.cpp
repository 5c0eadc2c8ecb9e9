#include "app/thread_pool.h"

#include "app/start_thread.h"
#include "base/scheduling.h"

namespace covey::app {

ThreadPool::ThreadPool(unsigned width, int niceness) {
  for (unsigned i = 1; i < width; ++i) {
    threads_.push_back(start_thread([this, niceness] {
      step_back(niceness);
      work();
    }));
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  started_.notify_all();
}

void ThreadPool::run(std::size_t count, const std::function<void(std::size_t)>& task) {
  if (threads_.empty() || count <= 1) {
    for (std::size_t i = 0; i < count; ++i) task(i);
    return;
  }
  const std::lock_guard one_at_a_time(callers_);
  {
    const std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    next_ = 0;
    ++round_;
  }
  started_.notify_all();
  take_tasks();
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [this] { return active_ == 0; });
  task_ = nullptr;
}

void ThreadPool::take_tasks() {
  std::unique_lock lock(mutex_);
  if (task_ == nullptr) return;  // woke after the round was over
  ++active_;
  while (next_ < count_) {
    const std::size_t mine = next_++;
    const auto& task = *task_;
    lock.unlock();
    task(mine);
    lock.lock();
  }
  if (--active_ == 0) finished_.notify_all();
}

void ThreadPool::work() {
  std::uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      started_.wait(lock, [&] { return stopping_ || round_ != seen; });
      if (stopping_) return;
      seen = round_;
    }
    take_tasks();
  }
}

}  // namespace covey::app

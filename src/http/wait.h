#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <memory>
#include <utility>

#include "http/server.h"

namespace covey::http {

/// Suspends the coroutine until `begin`'s argument is called, from whatever thread, then resumes
/// it on its own executor.
template <typename Begin>
Task<void> wait_for(Begin begin) {
  const Executor executor = co_await asio::this_coro::executor;
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
      [executor, &begin](auto handler) {
        auto kept = std::make_shared<decltype(handler)>(std::move(handler));
        // The guard keeps the io_context running while nothing of ours is queued in it.
        begin([kept, executor, guard = asio::make_work_guard(executor)] {
          asio::post(executor, [kept] { std::move (*kept)(); });
        });
      },
      kAwait);
}

}  // namespace covey::http

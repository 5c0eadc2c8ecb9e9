#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "http/server.h"

namespace covey::service {

/// What goes wrong on purpose.
struct Drill {
  std::chrono::microseconds latency{};  ///< added to each answer
  double errors = 0;                    ///< fraction answered 500
  std::string segment;                  ///< only requests with this X-Segment; empty: all

  /// "latency=300ms errors=20% segment=europe"; any of them, in any order; empty: nothing. Only
  /// requests under /v1/ are touched. kRejected names the word.
  static Result<Drill> parse(std::string_view text);
};

/// Stands before a handler and makes it misbehave, so that people can see what their rollout does
/// about a candidate that goes bad. Nothing happens until set() says so.
class Driller final : public http::Handler {
 public:
  explicit Driller(http::Handler& handler) : handler_(handler) {}

  /// From any thread.
  void set(Drill drill);

  std::optional<std::size_t> admit(const http::Request& q, http::Response& r) override {
    return handler_.admit(q, r);
  }
  http::Task<void> handle(http::Request& q, http::Response& r) override;
  void finished(const http::Request& q, const http::Response& r,
                std::chrono::nanoseconds took) noexcept override {
    handler_.finished(q, r, took);
  }

 private:
  http::Handler& handler_;
  std::atomic<bool> on_{false};
  std::atomic<std::uint64_t> asked_{0};
  std::mutex mutex_;
  std::shared_ptr<const Drill> drill_;
};

}  // namespace covey::service

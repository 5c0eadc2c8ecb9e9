#include "service/drill.h"

#include <boost/asio/steady_timer.hpp>

#include <fmt/format.h>

#include "base/hash.h"
#include "config/units.h"

namespace covey::service {

Result<Drill> Drill::parse(std::string_view text) {
  Drill out;
  while (!text.empty()) {
    const std::size_t begin = text.find_first_not_of(" \t\r\n");
    if (begin == text.npos) break;
    text.remove_prefix(begin);
    const std::size_t end = std::min(text.find_first_of(" \t\r\n"), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(end);
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string_view key = word.substr(0, equals);
    const std::string_view value = word.substr(std::min(equals + 1, word.size()));
    if (key == "latency") {
      out.latency = COVEY_TRY(config::parse_duration(value));
    } else if (key == "errors") {
      out.errors = COVEY_TRY(config::parse_percent(value));
    } else if (key == "segment") {
      out.segment = value;
    } else {
      return fail(Errc::kRejected,
                  fmt::format("a drill has latency=, errors= and segment=, not '{}'", word));
    }
  }
  return out;
}

void Driller::set(Drill drill) {
  const bool on = drill.latency.count() > 0 || drill.errors > 0;
  {
    const std::lock_guard lock(mutex_);
    drill_ = std::make_shared<const Drill>(std::move(drill));
  }
  on_ = on;
}

http::Task<void> Driller::handle(http::Request& q, http::Response& r) {
  if (!on_.load(std::memory_order_relaxed) || !q.target().starts_with("/v1/")) {
    co_await handler_.handle(q, r);
    co_return;
  }
  std::shared_ptr<const Drill> drill;
  {
    const std::lock_guard lock(mutex_);
    drill = drill_;
  }
  const bool hit = drill->segment.empty() || q.field("X-Segment") == drill->segment;
  if (hit && drill->latency.count() > 0) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, drill->latency);
    co_await timer.async_wait(boost::asio::use_awaitable_t<http::Executor>{});
  }
  constexpr std::uint64_t kParts = 1'000'000;
  const std::uint64_t number = asked_.fetch_add(1, std::memory_order_relaxed);
  const auto chance = static_cast<double>(hash64(std::to_string(number)) % kParts) / kParts;
  if (hit && chance < drill->errors) {
    r.problem(500, "drill", "this error is made on purpose: --drill", q.target());
    co_return;
  }
  co_await handler_.handle(q, r);
}

}  // namespace covey::service

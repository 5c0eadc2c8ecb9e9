#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "haproxy/line.h"
#include "http/server.h"
#include "telemetry/collector.h"

namespace covey::haproxy {

/// Takes the balancer's lines off its sockets and hands on slots as they close.
///
/// A connection is believed from its first readable line on: from then on what can't be read is a
/// line lost, so its slot is incomplete. One that never brought a readable line is closed and
/// changes nothing. The io_context must be run by one thread.
class Receiver {
 public:
  struct Handlers {
    std::function<void(std::vector<telemetry::ClosedSlot>)> slots;
    /// Of a request that the split decided; the id as in a URL.
    std::function<void(std::string_view learner)> served;
  };
  Receiver(boost::asio::io_context& io, http::Acceptor acceptor, const telemetry::Shape& shape,
           telemetry::Duration slot, const Clock& clock, Handlers handlers);
  ~Receiver();

  void start();
  /// Closes every socket; the io_context runs out of work by itself.
  void stop();

  struct Counters {
    std::atomic<std::uint64_t> lines{0}, garbage{0}, refused{0}, lost{0}, late{0};
    std::atomic<std::uint64_t> connections{0};  ///< open
  };
  const Counters& counters() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace covey::haproxy

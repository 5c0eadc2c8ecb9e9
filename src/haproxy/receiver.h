#pragma once

#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "haproxy/line.h"
#include "http/server.h"
#include "telemetry/collector.h"

namespace covey::haproxy {

/// A socket in a file: whoever may not enter its folder can't reach it.
using LineAcceptor =
    boost::asio::basic_socket_acceptor<boost::asio::local::stream_protocol, http::Executor>;
/// Listens at `path`, which only this user may open (mode 0600 from its first moment on). A socket
/// that a process before this one left there is replaced. kRejected: something else lies there, or
/// the path is too long for a socket (107 bytes). kFailed: the rest.
Result<LineAcceptor> listen_for_lines(boost::asio::io_context& io, const std::string& path);

/// Takes the balancer's lines off its socket and hands on slots as they close.
///
/// A connection must come from a process of `owner`, say in each line the process id that the
/// kernel gives for its other end, and bring its first such line soon. From that line on it is
/// believed: what can't be read is a line lost, so its slot is incomplete. Any other is closed and
/// changes nothing; one that never brought a line makes room for whoever comes, so that idle
/// strangers can't keep the balancer out. Memory: at most 80 kB a connection. The io_context must
/// be run by one thread.
class Receiver {
 public:
  struct Limits {
    std::uint32_t owner = 0;  ///< user id of the balancer's process
    std::size_t connections_max = 16;
    /// From being accepted to the first line. The balancer's comes with the next probe.
    std::chrono::milliseconds first_line{10'000};
    /// `trouble` is told at most so often, with how much there was since.
    std::chrono::milliseconds told_every{10'000};
  };
  struct Handlers {
    std::function<void(std::vector<telemetry::ClosedSlot>)> slots;
    /// Of a request that the split decided; both as in a URL, "-" where unknown.
    std::function<void(std::string_view learner, std::string_view segment)> served;
    /// In words, for the log: strangers, garbage.
    std::function<void(const std::string&)> trouble;
  };
  Receiver(boost::asio::io_context& io, LineAcceptor acceptor, const telemetry::Shape& shape,
           telemetry::Duration slot, const Clock& clock, Limits limits, Handlers handlers);
  ~Receiver();

  void start();
  /// Closes every socket; the io_context runs out of work by itself.
  void stop();

  struct Counters {
    std::atomic<std::uint64_t> lines{0}, garbage{0}, lost{0}, late{0};
    /// Connections: of another user, without a line in time, or beyond the most there may be.
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> connections{0};  ///< open
  };
  const Counters& counters() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace covey::haproxy

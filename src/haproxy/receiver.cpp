#include "haproxy/receiver.h"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <list>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

namespace covey::haproxy {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Socket = asio::basic_stream_socket<asio::local::stream_protocol, http::Executor>;
using std::chrono::nanoseconds;
constexpr auto kTuple = asio::as_tuple(http::kAwait);
/// How often slots are looked at: what a decision waits for at most, beyond the grace.
constexpr std::chrono::milliseconds kLookEvery{50};
constexpr std::chrono::milliseconds kPaused{500};

}  // namespace

Result<LineAcceptor> listen_for_lines(asio::io_context& io, const std::string& path) {
  const auto failed = [&](const std::string& why) {
    return fail(Errc::kFailed,
                fmt::format("cannot take the balancer's lines at {}: {}", path, why));
  };
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return fail(Errc::kRejected, fmt::format("{} is too long for a socket's path: choose a journal "
                                             "folder nearer to the root",
                                             path));
  }
  struct stat found{};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) {
      return fail(Errc::kRejected, fmt::format("{} is there and is no socket: move it away", path));
    }
    if (::unlink(path.c_str()) != 0) return failed(std::strerror(errno));
  }
  ErrorCode error;
  LineAcceptor acceptor(io.get_executor());
  acceptor.open(asio::local::stream_protocol(), error);
  // Before it is bound, so that there is no moment at which others could connect.
  if (!error && ::fchmod(acceptor.native_handle(), 0600) != 0) {
    return failed(std::strerror(errno));
  }
  if (!error) acceptor.bind(asio::local::stream_protocol::endpoint(path), error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return failed(error.message());
  return acceptor;
}

struct Receiver::State : std::enable_shared_from_this<Receiver::State> {
  State(asio::io_context& context, LineAcceptor from, const telemetry::Shape& s,
        telemetry::Duration slot, const Clock& time, Limits most, Handlers to)
      : io(context),
        acceptor(std::move(from)),
        timer(context),
        shape(s),
        collector(s, slot),
        clock(time),
        limits(most),
        handlers(std::move(to)),
        told_at(time.now() - most.told_every) {}

  struct Peer {
    Socket socket;
    std::uint32_t process = 0;  ///< of its other end, as the kernel says
    nanoseconds since{0};
    bool believed = false, closed = false;
  };
  using Place = std::list<Peer>::iterator;

  void accept_next() {
    if (stopped) return;
    acceptor.async_accept(io, [self = shared_from_this()](ErrorCode error, Socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error) self->admit(std::move(socket));
      self->accept_next();
    });
  }

  void admit(Socket socket) {
    ucred other{};
    socklen_t length = sizeof other;
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &other, &length) != 0 ||
        other.uid != limits.owner) {
      return refuse(fmt::format("a process of user {} is not the balancer", other.uid));
    }
    if (static_cast<std::size_t>(std::ranges::count(peers, false, &Peer::closed)) >=
        limits.connections_max) {
      // The oldest of those that never said anything; whoever is believed stays.
      const auto idle = std::ranges::find_if(
          peers, [](const Peer& peer) { return !peer.believed && !peer.closed; });
      if (idle == peers.end()) return refuse("too many connections");
      refuse("a connection without a line made room for another");
      close(*idle);
    }
    peers.push_back({std::move(socket), static_cast<std::uint32_t>(other.pid), clock.now()});
    ++counters.connections;
    asio::co_spawn(io.get_executor(), read(shared_from_this(), std::prev(peers.end())),
                   asio::detached);
  }

  static void close(Peer& peer) {
    ErrorCode ignored;
    peer.closed = true;
    peer.socket.close(ignored);
  }

  static http::Task<void> read(std::shared_ptr<State> self, Place peer) {
    bool nonsense = false;
    Frames frames([&](std::string_view text) { self->take(text, *peer, nonsense); });
    std::array<char, 65536> bytes;
    while (!peer->closed) {
      auto [error, got] = co_await peer->socket.async_read_some(asio::buffer(bytes), kTuple);
      if (error || got == 0) break;
      const bool framed = frames.take({bytes.data(), got}).has_value();
      if (!framed) self->garbage(*peer, "no frame");
      if (!framed || nonsense) break;
    }
    self->peers.erase(peer);
    --self->counters.connections;
  }

  void refuse(const std::string& why) {
    ++counters.refused;
    tell(why);
  }
  void garbage(const Peer& peer, const std::string& why) {
    ++counters.garbage;
    if (peer.believed) collector.add_garbage(clock.wall());
    tell(fmt::format("what process {} sends is not read: {}", peer.process, why));
  }
  /// A flood must not become a flood of the log.
  void tell(const std::string& why) {
    ++untold;
    const nanoseconds now = clock.now();
    if (now - told_at < limits.told_every) return;
    told_at = now;
    if (handlers.trouble) {
      handlers.trouble(
          fmt::format("telemetry: {} ({} such since last told)", why, std::exchange(untold, 0)));
    }
  }

  void take(std::string_view text, Peer& peer, bool& nonsense) {
    auto line = parse_line(text);
    if (line && line->process != peer.process) {
      line = fail(Errc::kRejected, "it names another process");
    }
    if (!line) {
      garbage(peer, line.error().message);
      nonsense = nonsense || !peer.believed;
      return;
    }
    peer.believed = true;
    counters.lines.fetch_add(1, std::memory_order_relaxed);
    collector.add(to_request(*line, shape));
    handlers.served(line->learner, line->segment);
  }

  void look() {
    timer.expires_after(kLookEvery);
    timer.async_wait([self = shared_from_this(), armed = clock.now()](ErrorCode error) {
      // A timer that is already due hears nothing of its being cancelled.
      if (error || self->stopped) return;
      // After a pause of the whole process, what waits in the sockets is read before any slot is
      // closed without it.
      const nanoseconds now = self->clock.now();
      if (now - armed > kPaused) return self->look();
      for (Peer& peer : self->peers) {
        if (peer.believed || peer.closed || now - peer.since < self->limits.first_line) continue;
        self->refuse(fmt::format("process {} was connected and sent no line", peer.process));
        close(peer);
      }
      auto slots = self->collector.close(self->clock.wall());
      self->counters.lost = self->collector.lost();
      self->counters.late = self->collector.late();
      if (!slots.empty()) self->handlers.slots(std::move(slots));
      self->look();
    });
  }

  asio::io_context& io;
  LineAcceptor acceptor;
  asio::steady_timer timer;
  telemetry::Shape shape;
  telemetry::Collector collector;
  const Clock& clock;
  Limits limits;
  Handlers handlers;
  Counters counters;
  std::list<Peer> peers;  ///< oldest first
  nanoseconds told_at;
  std::uint64_t untold = 0;
  bool stopped = false;
};

Receiver::Receiver(asio::io_context& io, LineAcceptor acceptor, const telemetry::Shape& shape,
                   telemetry::Duration slot, const Clock& clock, Limits limits, Handlers handlers)
    : state_(std::make_shared<State>(io, std::move(acceptor), shape, slot, clock, limits,
                                     std::move(handlers))) {}
Receiver::~Receiver() = default;

void Receiver::start() {
  state_->accept_next();
  state_->look();
}

void Receiver::stop() {
  asio::post(state_->io, [state = state_] {
    ErrorCode ignored;
    state->stopped = true;
    state->acceptor.close(ignored);
    state->timer.cancel();
    for (State::Peer& peer : state->peers) State::close(peer);
  });
}

const Receiver::Counters& Receiver::counters() const {
  return state_->counters;
}

}  // namespace covey::haproxy

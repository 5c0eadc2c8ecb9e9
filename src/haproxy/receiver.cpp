#include "haproxy/receiver.h"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <set>

namespace covey::haproxy {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Socket = asio::basic_stream_socket<asio::ip::tcp, http::Executor>;
constexpr auto kTuple = asio::as_tuple(http::kAwait);
constexpr std::size_t kConnectionsMax = 16;
/// How often slots are looked at: what a decision waits for at most, beyond the grace.
constexpr std::chrono::milliseconds kLookEvery{50};
constexpr std::chrono::milliseconds kPaused{500};

}  // namespace

struct Receiver::State : std::enable_shared_from_this<Receiver::State> {
  State(asio::io_context& context, http::Acceptor from, const telemetry::Shape& s,
        telemetry::Duration slot, const Clock& time, Handlers to)
      : io(context),
        acceptor(std::move(from)),
        timer(context),
        shape(s),
        collector(s, slot),
        clock(time),
        handlers(std::move(to)) {}

  void accept_next() {
    if (stopped) return;
    acceptor.async_accept(io, [self = shared_from_this()](ErrorCode error, Socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error) {
        if (self->sockets.size() < kConnectionsMax) {
          asio::co_spawn(self->io.get_executor(), read(self, std::move(socket)), asio::detached);
        } else {
          ++self->counters.refused;
        }
      }
      self->accept_next();
    });
  }

  static http::Task<void> read(std::shared_ptr<State> self, Socket socket) {
    if (self->stopped) co_return;
    self->sockets.insert(&socket);
    ++self->counters.connections;
    bool believed = false, nonsense = false;
    Frames frames([&](std::string_view text) { self->take(text, believed, nonsense); });
    std::array<char, 65536> bytes;
    for (;;) {
      auto [error, got] = co_await socket.async_read_some(asio::buffer(bytes), kTuple);
      if (error || got == 0) break;
      const bool framed = frames.take({bytes.data(), got}).has_value();
      if (!framed) self->garbage(believed);
      if (!framed || nonsense) break;
    }
    self->sockets.erase(&socket);
    --self->counters.connections;
  }

  void garbage(bool believed) {
    ++counters.garbage;
    if (believed) collector.add_garbage(clock.wall());
  }

  void take(std::string_view text, bool& believed, bool& nonsense) {
    const auto line = parse_line(text);
    if (!line) {
      garbage(believed);
      nonsense = nonsense || !believed;
      return;
    }
    believed = true;
    counters.lines.fetch_add(1, std::memory_order_relaxed);
    collector.add(to_request(*line, shape));
    handlers.served(line->learner);
  }

  void look() {
    timer.expires_after(kLookEvery);
    timer.async_wait([self = shared_from_this(), armed = clock.now()](ErrorCode error) {
      // A timer that is already due hears nothing of its being cancelled.
      if (error || self->stopped) return;
      // After a pause of the whole process, what waits in the sockets is read before any slot is
      // closed without it.
      if (self->clock.now() - armed > kPaused) return self->look();
      auto slots = self->collector.close(self->clock.wall());
      self->counters.lost = self->collector.lost();
      self->counters.late = self->collector.late();
      if (!slots.empty()) self->handlers.slots(std::move(slots));
      self->look();
    });
  }

  asio::io_context& io;
  http::Acceptor acceptor;
  asio::steady_timer timer;
  telemetry::Shape shape;
  telemetry::Collector collector;
  const Clock& clock;
  Handlers handlers;
  Counters counters;
  std::set<Socket*> sockets;
  bool stopped = false;
};

Receiver::Receiver(asio::io_context& io, http::Acceptor acceptor, const telemetry::Shape& shape,
                   telemetry::Duration slot, const Clock& clock, Handlers handlers)
    : state_(std::make_shared<State>(io, std::move(acceptor), shape, slot, clock,
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
    for (Socket* socket : state->sockets) socket->close(ignored);
  });
}

const Receiver::Counters& Receiver::counters() const {
  return state_->counters;
}

}  // namespace covey::haproxy

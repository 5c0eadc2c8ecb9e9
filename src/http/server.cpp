#include "http/server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <iterator>
#include <limits>
#include <mutex>
#include <unordered_set>

#include "base/memory.h"
#include "http/problem.h"

namespace covey::http {
namespace {

namespace wire = boost::beast::http;
using ErrorCode = boost::system::error_code;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
constexpr auto kTuple = asio::as_tuple(kAwait);

constexpr std::size_t kReadBytes = std::size_t{64} << 10;
constexpr std::size_t kSmallReadBytes = std::size_t{4} << 10;
// Of a buffer, between requests: a thousand connections may be idle at a time, and nobody counts
// what they hold.
constexpr std::size_t kRoomKept = std::size_t{16} << 10;
constexpr std::size_t kCopiedBodyMax = std::size_t{16}
                                       << 10;  // above it a body is written in place
constexpr int kAnswersInARow = 64;             // then other connections get the thread
constexpr std::size_t kRefusalsMax = 128;  // connections beyond the cap that still get an answer
constexpr std::size_t kFieldsMax = 128;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

Method method_of(wire::verb verb) {
  switch (verb) {
    case wire::verb::get:
      return Method::kGet;
    case wire::verb::head:
      return Method::kHead;
    case wire::verb::post:
      return Method::kPost;
    case wire::verb::put:
      return Method::kPut;
    case wire::verb::patch:
      return Method::kPatch;
    case wire::verb::delete_:
      return Method::kDelete;
    case wire::verb::options:
      return Method::kOptions;
    default:
      return Method::kOther;
  }
}

// "http://host:port/path?query" -> "/path?query": RFC 9112 3.2.2 has servers accept it.
std::string_view origin_form(std::string_view target) {
  if (target.empty() || target.front() == '/') return target;
  const std::size_t scheme = target.find("://");
  if (scheme == target.npos || scheme > 5) return target;
  const std::size_t path = target.find_first_of("/?", scheme + 3);
  return path == target.npos ? std::string_view("/") : target.substr(path);
}

std::string http_date(std::chrono::sys_seconds time) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  return fmt::format(
      "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[std::chrono::weekday{day}.c_encoding()],
      static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
      static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
      clock.seconds().count());
}

}  // namespace

std::vector<std::string> ServerLimits::validate() const {
  std::vector<std::string> faults;
  const auto need = [&](bool good, const char* text) {
    if (!good) faults.emplace_back(text);
  };
  need(header_bytes_max >= 1024 && header_bytes_max <= (std::size_t{1} << 20),
       "header_bytes_max must be 1 KiB to 1 MiB");
  need(target_bytes_max >= 64 && target_bytes_max <= header_bytes_max,
       "target_bytes_max must be 64 B to header_bytes_max");
  need(body_bytes_in_flight_max > 0, "body_bytes_in_flight_max must be above 0");
  need(connections_max > 0, "connections_max must be above 0");
  need(header_timeout.count() > 0, "header_timeout must be above 0");
  need(idle_timeout.count() > 0, "idle_timeout must be above 0");
  need(progress_timeout.count() > 0, "progress_timeout must be above 0");
  need(linger_timeout.count() > 0, "linger_timeout must be above 0");
  return faults;
}

std::string_view name(Method method) {
  static constexpr std::array<std::string_view, kMethods> kNames = {
      "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"};
  return kNames[static_cast<std::size_t>(method)];
}

std::string_view Request::field(std::string_view wanted) const {
  const std::string_view head = head_;
  for (const Field& f : fields_) {
    if (same_name(head.substr(f.name_begin, f.name_end - f.name_begin), wanted)) {
      return head.substr(f.name_end, f.value_end - f.name_end);
    }
  }
  return {};
}

void Request::drop_body() {
  body_.clear();
  if (body_.capacity() > kRoomKept) let_go(body_);
  if (reserved_ > 0) reserved_total_->fetch_sub(reserved_);
  reserved_ = 0;
}

void Response::field(std::string_view field_name, std::string_view value) {
  fields_ += field_name;
  fields_ += ": ";
  for (const char c : value) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) fields_ += c;
  }
  fields_ += "\r\n";
}

void Response::problem(unsigned code, std::string_view type, std::string_view detail,
                       std::string_view instance, std::string_view members) {
  status = code;
  problem_type = type;
  content_type = kProblemContentType;
  body.clear();
  append_problem(body, code, type, detail, instance, members);
}

void Response::clear() {
  status = 200;
  content_type = "application/json";
  body.clear();
  if (body.capacity() > kRoomKept) let_go(body);
  fields_.clear();
  close = false;
  tag = 0;
  problem_type = {};
  stream = nullptr;
}

Result<Acceptor> listen(asio::io_context& io, const std::string& host, std::uint16_t port) {
  const std::string where = fmt::format("{}:{}", host, port);
  ErrorCode error;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  if (error) {
    return fail(Errc::kRejected, "cannot listen on " + where +
                                     ": the host must be an IP address, such as 127.0.0.1 or ::1");
  }
  const asio::ip::tcp::endpoint endpoint(address, port);
  Acceptor acceptor(io.get_executor());
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return fail(Errc::kFailed, "cannot listen on " + where + ": " + error.message() +
                                   "; choose another port or stop what holds it");
  }
  return acceptor;
}

class Connection;

// Where a connection stands, for the sweeper and for stop(): what may be cut, and how.
enum class Phase : std::uint8_t {
  kIdle,
  kHeader,
  kBody,
  kHandling,
  kWriting,
  kStreaming,
  kLingering
};

struct HttpServer::State : std::enable_shared_from_this<HttpServer::State> {
  State(asio::io_context& context, Acceptor from, Handler& to, const Clock& time,
        const ServerLimits& most)
      : io(context),
        acceptor(std::move(from)),
        sweeper(context.get_executor()),
        handler(to),
        clock(time),
        limits(most) {
    const auto shortest = std::min({limits.header_timeout, limits.idle_timeout,
                                    limits.progress_timeout, limits.linger_timeout});
    sweep_every = std::clamp(shortest / 8, milliseconds(5), milliseconds(500));
  }

  void accept_next();
  void accepted(ErrorCode error, Socket socket);
  void sweep_later();
  void sweep();
  void join(Connection* connection);
  void leave(Connection* connection);

  asio::io_context& io;
  std::mutex mutex;  // guards acceptor, sweeper, connections: never held while a handler runs
  Acceptor acceptor;
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>, Executor>
      sweeper;
  std::unordered_set<Connection*> connections;
  bool sweeping = false;
  Handler& handler;
  const Clock& clock;
  const ServerLimits limits;
  milliseconds sweep_every;
  std::atomic<bool> stopping{false};
  std::atomic<std::int64_t> cut_at_ns{std::numeric_limits<std::int64_t>::max()};
  ServerCounters counters;
};

/// One client. A single chain of operations, so it needs no strand; the sweeper only sets atomics
/// and shuts the socket down, which the kernel allows from any thread while the socket is listed.
class Connection {
 public:
  using State = HttpServer::State;
  Connection(std::shared_ptr<State> state, Socket socket, bool served)
      : state_(std::move(state)), socket_(std::move(socket)), served_(served) {
    request_.reserved_total_ = &state_->counters.body_bytes_in_flight;
    state_->join(this);
  }
  ~Connection() {
    state_->leave(this);  // first: after it nobody touches the socket but us
    request_.drop_body();
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Task<void> run();
  Task<void> refuse();

 private:
  friend class HttpServer;
  friend class Stream;
  enum class Read : std::uint8_t { kReady, kGone, kRefused };

  /// Beast's grammar, our storage: no allocation per field, and the room is reused.
  class Parser final : public wire::basic_parser<true> {
   public:
    Parser(Request& request, const ServerLimits& limits) : request_(request), limits_(limits) {
      header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
      body_limit(boost::none);  // the route's own limit is kept below
      request_.head_.clear();
      request_.fields_.clear();
      request_.target_.clear();
      request_.method = Method::kOther;
    }
    std::size_t body_max = 0;
    bool body_too_long = false, target_too_long = false, too_many_fields = false;
    unsigned hosts = 0;
    int version = 11;  // major * 10 + minor
    bool continue_wanted = false, strange_expectation = false;

   private:
    using View = boost::beast::string_view;
    void on_request_impl(wire::verb verb, View, View target, int spoken,
                         ErrorCode& error) override {
      version = spoken;
      request_.method = method_of(verb);
      if (target.size() > limits_.target_bytes_max) {
        target_too_long = true;
        error = wire::error::header_limit;
        return;
      }
      request_.target_ = origin_form({target.data(), target.size()});
    }
    void on_field_impl(wire::field known, View name, View value, ErrorCode& error) override {
      // Fields behind a chunked body come too late to change what the request means.
      if (headers_done_) return;
      if (request_.fields_.size() == kFieldsMax) {
        too_many_fields = true;
        error = wire::error::header_limit;
        return;
      }
      if (known == wire::field::host) ++hosts;
      if (known == wire::field::expect) {
        (same_name({value.data(), value.size()}, "100-continue") ? continue_wanted
                                                                 : strange_expectation) = true;
      }
      const auto at = [&] { return static_cast<std::uint32_t>(request_.head_.size()); };
      Request::Field f{at(), 0, 0};
      request_.head_.append(name.data(), name.size());
      f.name_end = at();
      request_.head_.append(value.data(), value.size());
      f.value_end = at();
      request_.fields_.push_back(f);
    }
    void on_response_impl(int, View, int, ErrorCode&) override {}
    void on_header_impl(ErrorCode&) override { headers_done_ = true; }
    void on_body_init_impl(const boost::optional<std::uint64_t>& length, ErrorCode&) override {
      if (length) request_.body_.reserve(static_cast<std::size_t>(*length));
    }
    std::size_t on_body_impl(View bytes, ErrorCode& error) override {
      if (bytes.size() > body_max - request_.body_.size()) {
        body_too_long = true;
        error = wire::error::body_limit;
        return 0;
      }
      request_.body_.append(bytes.data(), bytes.size());
      return bytes.size();
    }
    void on_chunk_header_impl(std::uint64_t, View, ErrorCode&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, View bytes, ErrorCode& error) override {
      return on_body_impl(bytes, error);
    }
    void on_finish_impl(ErrorCode&) override {}

    Request& request_;
    const ServerLimits& limits_;
    bool headers_done_ = false;
  };

  Task<Read> read_head();
  Task<Read> read_body(std::size_t most);
  Task<bool> send(bool keep);
  Task<bool> send_rest(std::size_t sent);
  Task<void> stream();
  Task<void> linger();
  void format_head(bool keep);
  Read refuse_with(unsigned status, std::string_view type, std::string_view detail);
  bool reserve(std::size_t bytes);
  void enter(Phase phase, milliseconds most) {
    phase_.store(phase);
    deadline_ns_.store((state_->clock.now() + nanoseconds(most)).count(),
                       std::memory_order_relaxed);
  }
  void enter_untimed(Phase phase) {
    phase_.store(phase);
    deadline_ns_.store(std::numeric_limits<std::int64_t>::max(), std::memory_order_relaxed);
  }

  const std::shared_ptr<State> state_;
  Socket socket_;
  const bool served_;  // false: over the cap, gets its refusal and goes
  std::atomic<Phase> phase_{Phase::kIdle};
  std::atomic<std::int64_t> deadline_ns_{std::numeric_limits<std::int64_t>::max()};
  std::atomic<bool> timed_out_{false};
  boost::beast::flat_buffer in_;
  std::optional<Parser> parser_;
  Request request_;
  Response response_;
  std::string out_;
  bool body_copied_ = false;  // the answer's body stands in out_ already
  std::int64_t date_second_ = -1;
  std::string date_;
  nanoseconds began_{0};
};

void HttpServer::State::join(Connection* connection) {
  if (connection->served_) ++counters.connections;
  const std::lock_guard lock(mutex);
  connections.insert(connection);
}

void HttpServer::State::leave(Connection* connection) {
  const std::lock_guard lock(mutex);
  connections.erase(connection);
  if (connection->served_) --counters.connections;
  if (stopping && connections.empty()) sweeper.cancel();
}

void HttpServer::State::accept_next() {
  const std::lock_guard lock(mutex);
  if (stopping || !acceptor.is_open()) return;
  acceptor.async_accept(io, [self = shared_from_this()](ErrorCode error, Socket socket) {
    self->accepted(error, std::move(socket));
  });
}

void HttpServer::State::accepted(ErrorCode error, Socket socket) {
  if (stopping) return;
  if (error) {
    // Out of descriptors, mostly: waiting a moment lets others close theirs; spinning would not.
    auto timer = std::make_shared<decltype(sweeper)>(io.get_executor(), sweep_every);
    timer->async_wait([self = shared_from_this(), timer](ErrorCode) { self->accept_next(); });
    return;
  }
  ErrorCode ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.non_blocking(true, ignored);
  const bool served = counters.connections < limits.connections_max;
  bool answered = true;
  if (served) {
    ++counters.accepted;
  } else {
    ++counters.refused;
    const std::lock_guard lock(mutex);
    answered = connections.size() < limits.connections_max + kRefusalsMax;
  }
  if (answered) {
    auto connection = std::make_unique<Connection>(shared_from_this(), std::move(socket), served);
    asio::co_spawn(
        io.get_executor(),
        [](std::unique_ptr<Connection> owned, bool serve) -> Task<void> {
          if (serve) {
            co_await owned->run();
          } else {
            co_await owned->refuse();
          }
        }(std::move(connection), served),
        asio::detached);
  }
  accept_next();
}

void HttpServer::State::sweep_later() {
  // Under the mutex.
  sweeper.expires_after(stopping ? milliseconds(5) : sweep_every);
  sweeper.async_wait([self = shared_from_this()](ErrorCode) { self->sweep(); });
}

void HttpServer::State::sweep() {
  const std::int64_t now = clock.now().count();
  const std::lock_guard lock(mutex);
  if (stopping && connections.empty()) return;
  const bool cut_all = now >= cut_at_ns;
  for (Connection* c : connections) {
    if (!cut_all && now < c->deadline_ns_.load(std::memory_order_relaxed)) continue;
    c->deadline_ns_.store(std::numeric_limits<std::int64_t>::max(), std::memory_order_relaxed);
    const Phase phase = c->phase_;
    if (!cut_all && phase != Phase::kLingering) {
      c->timed_out_ = true;
      ++counters.timeouts;
    }
    // Closing only our reading side wakes a reader and still lets it answer 408.
    const bool reading = phase == Phase::kIdle || phase == Phase::kHeader || phase == Phase::kBody;
    ::shutdown(c->socket_.native_handle(), !cut_all && reading ? SHUT_RD : SHUT_RDWR);
  }
  sweep_later();
}

Connection::Read Connection::refuse_with(unsigned status, std::string_view type,
                                         std::string_view detail) {
  if (status < 500 && status != 429 && status != 408) ++state_->counters.malformed;
  response_.problem(status, type, detail, {});
  if (status == 429 || status == 503) response_.field("Retry-After", "1");
  response_.close = true;
  return Read::kRefused;
}

bool Connection::reserve(std::size_t bytes) {
  auto& total = state_->counters.body_bytes_in_flight;
  if (total.fetch_add(bytes) + bytes > state_->limits.body_bytes_in_flight_max) {
    total.fetch_sub(bytes);
    return false;
  }
  request_.reserved_ += bytes;
  return true;
}

Task<Connection::Read> Connection::read_head() {
  const ServerLimits& limits = state_->limits;
  parser_.emplace(request_, limits);
  bool begun = false;
  std::size_t consumed = 0;
  // stop() looks at the phase after it has set `stopping`, we the other way round: one sees.
  enter(Phase::kIdle, limits.idle_timeout);
  if (state_->stopping && in_.size() == 0) co_return Read::kGone;
  for (;;) {
    if (in_.size() > 0) {
      if (!begun) {
        begun = true;
        enter(Phase::kHeader, limits.header_timeout);
        began_ = state_->clock.now();
      }
      ErrorCode error;
      const std::size_t used = parser_->put(in_.data(), error);
      in_.consume(used);
      consumed += used;
      if (!error && parser_->is_header_done()) co_return Read::kReady;
      if (parser_->target_too_long) {
        co_return refuse_with(414, "target-too-long", "the request target is too long");
      }
      if (error == wire::error::header_limit || parser_->too_many_fields ||
          consumed + in_.size() > limits.header_bytes_max) {
        co_return refuse_with(431, "header-too-large", "the request's header is too large");
      }
      if (error == wire::error::bad_version) {
        co_return refuse_with(505, "http-version", "only HTTP/1.0 and HTTP/1.1 are spoken here");
      }
      if (error && error != wire::error::need_more) {
        co_return refuse_with(400, "malformed-request",
                              "the request is not valid HTTP: " + error.message());
      }
    }
    auto [error, bytes] = co_await socket_.async_read_some(in_.prepare(kSmallReadBytes), kTuple);
    if (error || bytes == 0) {
      if (begun && timed_out_) {
        co_return refuse_with(408, "request-timeout", "the header did not arrive in time");
      }
      co_return Read::kGone;
    }
    in_.commit(bytes);
  }
}

Task<Connection::Read> Connection::read_body(std::size_t most) {
  const ServerLimits& limits = state_->limits;
  const auto length = parser_->content_length();
  if (length && *length > most) {
    co_return refuse_with(
        413, "body-too-large",
        fmt::format("the body has {} bytes, at most {} are taken here: split it", *length, most));
  }
  static constexpr std::string_view kBusy =
      "too many bytes of request bodies are in flight: send again a little later";
  if (!reserve(length ? static_cast<std::size_t>(*length) : 0)) {
    co_return refuse_with(429, "bodies-in-flight", kBusy);
  }
  enter(Phase::kBody, limits.progress_timeout);
  if (parser_->continue_wanted && parser_->version >= 11 && in_.size() == 0) {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    ErrorCode error;
    // A fresh socket has room for 25 bytes; one that has not is a client that does not read.
    if (socket_.write_some(asio::buffer(kContinue), error) != kContinue.size()) {
      co_return Read::kGone;
    }
  }
  parser_->eager(true);
  parser_->body_max = most;
  std::size_t received = in_.size(), mark = 0;
  for (;;) {
    while (in_.size() > 0 && !parser_->is_done()) {
      ErrorCode error;
      const std::size_t used = parser_->put(in_.data(), error);
      in_.consume(used);
      if (parser_->body_too_long) {
        co_return refuse_with(
            413, "body-too-large",
            fmt::format("the body has more than the {} bytes taken here: split it", most));
      }
      if (error && error != wire::error::need_more) {
        co_return refuse_with(400, "malformed-request",
                              "the request body is not valid HTTP: " + error.message());
      }
      if (error || used == 0) break;
    }
    if (!length && request_.body_.size() > request_.reserved_ &&
        !reserve(request_.body_.size() - request_.reserved_)) {
      co_return refuse_with(429, "bodies-in-flight", kBusy);
    }
    if (parser_->is_done()) co_return Read::kReady;
    if (in_.size() >= kReadBytes) {
      co_return refuse_with(400, "malformed-request", "a chunk's header is too long");
    }
    if (received - mark >= limits.progress_bytes_min) {
      mark = received;
      enter(Phase::kBody, limits.progress_timeout);
    }
    auto [error, bytes] = co_await socket_.async_read_some(in_.prepare(kReadBytes), kTuple);
    if (error || bytes == 0) {
      if (timed_out_) {
        co_return refuse_with(408, "request-timeout", "the body did not arrive in time");
      }
      co_return Read::kGone;
    }
    in_.commit(bytes);
    received += bytes;
  }
}

void Connection::format_head(bool keep) {
  const auto second = std::chrono::floor<std::chrono::seconds>(state_->clock.wall());
  if (second.time_since_epoch().count() != date_second_) {
    date_second_ = second.time_since_epoch().count();
    date_ = http_date(second);
  }
  out_.clear();
  if (response_.status == 200) {
    out_ += "HTTP/1.1 200 OK\r\nServer: covey\r\nDate: ";
  } else {
    fmt::format_to(std::back_inserter(out_),
                   "HTTP/1.1 {} {}\r\nServer: covey\r\nDate: ", response_.status,
                   reason_phrase(response_.status));
  }
  out_ += date_;
  out_ += "\r\nContent-Type: ";
  out_ += response_.content_type;
  // An answer is what its type says: JSON with markup in it must not be read as a page.
  out_ += "\r\nX-Content-Type-Options: nosniff\r\n";
  if (!response_.stream) {
    out_ += "Content-Length: ";
    out_ += fmt::format_int(response_.body.size()).c_str();
    out_ += "\r\n";
  }
  out_ += response_.fields_;
  if (!keep) {
    out_ += "Connection: close\r\n";
  } else if (parser_ && parser_->version < 11) {
    out_ += "Connection: keep-alive\r\n";
  }
  out_ += "\r\n";
  const bool head_only = request_.method == Method::kHead;
  body_copied_ = head_only || response_.body.size() <= kCopiedBodyMax;
  if (!head_only && body_copied_) out_ += response_.body;
}

Task<bool> Connection::send(bool keep) {
  format_head(keep);
  enter(Phase::kWriting, state_->limits.progress_timeout);
  // An answer nearly always fits the socket's buffer: one call, and no trip through the reactor.
  ErrorCode error;
  const std::array<asio::const_buffer, 2> buffers = {
      asio::buffer(out_), body_copied_ ? asio::const_buffer() : asio::buffer(response_.body)};
  const std::size_t sent = socket_.write_some(buffers, error);
  if (!error && sent == buffers[0].size() + buffers[1].size()) co_return true;
  if (error && error != asio::error::would_block && error != asio::error::try_again)
    co_return false;
  co_return co_await send_rest(error ? 0 : sent);
}

Task<bool> Connection::send_rest(std::size_t sent) {
  const std::size_t total = out_.size() + (body_copied_ ? 0 : response_.body.size());
  std::size_t mark = sent;
  while (sent < total) {
    const bool in_head = sent < out_.size();
    const asio::const_buffer rest =
        in_head ? asio::buffer(out_) + sent : asio::buffer(response_.body) + (sent - out_.size());
    auto [error, bytes] = co_await socket_.async_write_some(rest, kTuple);
    if (error) co_return false;
    sent += bytes;
    if (sent - mark >= state_->limits.progress_bytes_min) {
      mark = sent;
      enter(Phase::kWriting, state_->limits.progress_timeout);
    }
  }
  co_return true;
}

Task<void> Connection::stream() {
  enter_untimed(Phase::kStreaming);
  Stream pieces(*this);
  try {
    co_await response_.stream(pieces);
  } catch (const std::exception&) {
    // The head is out already: all that is left to say is the end of the connection.
  }
}

Task<bool> Stream::write(std::string_view piece) {
  Connection& c = connection_;
  c.enter(Phase::kWriting, c.state_->limits.progress_timeout);
  while (!piece.empty()) {
    auto [error, bytes] =
        co_await c.socket_.async_write_some(asio::buffer(piece.data(), piece.size()), kTuple);
    if (error) co_return false;
    piece.remove_prefix(bytes);
  }
  c.enter_untimed(Phase::kStreaming);
  co_return true;
}

bool Stream::stopping() const {
  return connection_.state_->stopping;
}

Task<void> Connection::linger() {
  request_.drop_body();
  ErrorCode ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
  enter(Phase::kLingering, state_->limits.linger_timeout);
  in_.clear();
  for (;;) {
    auto [error, bytes] = co_await socket_.async_read_some(in_.prepare(kSmallReadBytes), kTuple);
    if (error || bytes == 0) co_return;
  }
}

Task<void> Connection::refuse() {
  began_ = state_->clock.now();
  response_.clear();
  refuse_with(503, "too-many-connections", "the server has as many connections as it takes");
  // Not `if (co_await send()) co_await linger();`: g++ 12 makes code of it that crashes.
  const bool sent = co_await send(false);
  state_->handler.finished(request_, response_, state_->clock.now() - began_);
  if (sent) {
    co_await linger();
  }
}

Task<void> Connection::run() {
  Handler& handler = state_->handler;
  for (int in_a_row = 0;; ++in_a_row) {
    response_.clear();
    request_.drop_body();
    if (in_.size() == 0) {
      in_a_row = 0;
      if (in_.capacity() >= kReadBytes) in_.shrink_to_fit();
    } else if (in_a_row >= kAnswersInARow) {
      in_a_row = 0;
      co_await asio::post(socket_.get_executor(), kAwait);
    }

    Read read = co_await read_head();
    if (read == Read::kGone) co_return;
    if (read == Read::kReady) {
      enter_untimed(Phase::kHandling);
      if (parser_->version >= 11 && parser_->hosts != 1) {
        read = refuse_with(400, "malformed-request", "HTTP/1.1 asks for one Host field");
      } else if (parser_->strange_expectation) {
        read = refuse_with(417, "expectation", "the only expectation known is 100-continue");
      }
    }
    if (read == Read::kReady) {
      const auto most = handler.admit(request_, response_);
      if (most && !parser_->is_done()) {
        read = co_await read_body(*most);
      }
      if (read == Read::kGone) co_return;
      if (!most) read = Read::kRefused;
    }
    if (read == Read::kReady) {
      enter_untimed(Phase::kHandling);
      bool threw = false;
      try {
        co_await handler.handle(request_, response_);
      } catch (const std::exception&) {
        threw = true;
      }
      if (threw) {
        response_.clear();
        response_.problem(500, "internal", "the server failed to answer this request",
                          request_.target());
        response_.close = true;
      }
    }
    const bool whole = parser_->is_header_done() && parser_->is_done();
    const bool keep = whole && parser_->keep_alive() && !response_.close && !response_.stream &&
                      !state_->stopping;
    const bool sent = co_await send(keep);
    if (sent && response_.stream && request_.method != Method::kHead) {
      co_await stream();
    }
    handler.finished(request_, response_, state_->clock.now() - began_);
    if (!sent) co_return;
    if (!keep) {
      co_await linger();
      co_return;
    }
  }
}

HttpServer::HttpServer(asio::io_context& io, Acceptor acceptor, Handler& handler,
                       const Clock& clock, const ServerLimits& limits)
    : state_(std::make_shared<State>(io, std::move(acceptor), handler, clock, limits)) {
  COVEY_CHECK(limits.validate().empty());
}

HttpServer::~HttpServer() {
  stop(milliseconds(0));
}

void HttpServer::start() {
  {
    const std::lock_guard lock(state_->mutex);
    COVEY_CHECK(!state_->sweeping);
    state_->sweeping = true;
    state_->sweep_later();
  }
  state_->accept_next();
}

void HttpServer::stop(milliseconds grace) {
  const std::int64_t cut_at = (state_->clock.now() + nanoseconds(grace)).count();
  const std::lock_guard lock(state_->mutex);
  state_->stopping = true;
  if (cut_at < state_->cut_at_ns) state_->cut_at_ns = cut_at;
  ErrorCode ignored;
  if (state_->acceptor.is_open()) state_->acceptor.close(ignored);
  for (Connection* c : state_->connections) {
    if (c->phase_ == Phase::kIdle) ::shutdown(c->socket_.native_handle(), SHUT_RD);
  }
  state_->sweeper.cancel();
}

std::uint16_t HttpServer::port() const {
  const std::lock_guard lock(state_->mutex);
  ErrorCode error;
  return state_->acceptor.local_endpoint(error).port();
}

const ServerCounters& HttpServer::counters() const {
  return state_->counters;
}

}  // namespace covey::http

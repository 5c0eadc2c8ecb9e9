#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace covey::http {

namespace asio = boost::asio;

// The executor is named rather than erased: an erased one costs an allocation per operation.
using Executor = asio::io_context::executor_type;
template <typename T>
using Task = asio::awaitable<T, Executor>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;
inline constexpr asio::use_awaitable_t<Executor> kAwait;

struct ServerLimits {
  std::size_t header_bytes_max = std::size_t{16} << 10;  ///< request line and fields together
  std::size_t target_bytes_max = std::size_t{8} << 10;
  /// Request bodies being received or handled, of all connections; a body of known length counts
  /// in full from its headers on.
  std::size_t body_bytes_in_flight_max = std::size_t{256} << 20;
  std::size_t connections_max = 1024;
  std::chrono::milliseconds header_timeout{10'000};  ///< from a request's first byte to its headers
  std::chrono::milliseconds idle_timeout{60'000};    ///< between requests
  /// Time in which a body, or an answer, must move on by `progress_bytes_min` or end.
  std::chrono::milliseconds progress_timeout{30'000};
  std::size_t progress_bytes_min = std::size_t{16} << 10;
  /// How long a client may go on sending what will not be read, so that it sees the answer
  /// rather than a reset.
  std::chrono::milliseconds linger_timeout{2'000};
  std::vector<std::string> validate() const;  ///< every fault, in words
};

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete, kOptions, kOther };
inline constexpr std::size_t kMethods = 8;
std::string_view name(Method method);  ///< "GET"; kOther: "other"

/// One request as it came. Views live until the handler has returned.
class Request {
 public:
  Method method = Method::kOther;
  /// Path and query as sent, still encoded; the scheme and host of an absolute target are cut.
  std::string_view target() const { return target_; }
  /// Value of a field, names compared without case; empty when absent. The first one counts.
  std::string_view field(std::string_view name) const;
  std::string_view body() const { return body_; }
  /// Frees the body and its share of the limit, for a handler that waits long after reading it.
  void drop_body();

 private:
  friend class Connection;
  struct Field {
    std::uint32_t name_begin, name_end, value_end;
  };
  std::string head_;  // names and values, one after the other
  std::vector<Field> fields_;
  std::string target_, body_;
  std::atomic<std::size_t>* reserved_total_ = nullptr;
  std::size_t reserved_ = 0;
};

class Connection;

/// Sends the pieces of an answer that goes on: one that has no length and ends with the connection.
class Stream {
 public:
  /// False: the client has gone, or reads nothing for `progress_timeout`. End then.
  Task<bool> write(std::string_view piece);
  /// The server is to stop: say what must be said, and end. Look at least every half second.
  bool stopping() const;

 private:
  friend class Connection;
  explicit Stream(Connection& connection) : connection_(connection) {}
  Connection& connection_;
};

/// What a handler answers. Reused from request to request, so a small body's room is kept.
class Response {
 public:
  unsigned status = 200;
  std::string_view content_type = "application/json";  ///< must outlive the answer
  std::string body;
  bool close = false;     ///< close the connection after this answer
  std::uint32_t tag = 0;  ///< the handler's own, for finished(); set by admit(), kept for handle()
  std::string_view problem_type;  ///< of problem(), for finished(); empty when it is none
  /// Set by handle(): runs after the head was sent, with `body` as its first piece.
  std::function<Task<void>(Stream&)> stream;

  /// Adds a field. Bytes that could end the field are dropped from `value`.
  void field(std::string_view name, std::string_view value);
  /// RFC 9457 answer, see append_problem(); `instance` is the request's target. `type` must be a
  /// literal.
  void problem(unsigned code, std::string_view type, std::string_view detail,
               std::string_view instance, std::string_view members = {});
  void clear();

 private:
  friend class Connection;
  std::string fields_;
};

/// What the server calls; one object for all connections, from every I/O thread at once.
class Handler {
 public:
  virtual ~Handler() = default;
  /// Called with the headers alone. Answers the longest body it will take, in bytes; or nothing,
  /// having filled `response`: then no byte of a body is read.
  virtual std::optional<std::size_t> admit(const Request& request, Response& response) = 0;
  /// Answers the request. May suspend; must not block its thread.
  virtual Task<void> handle(Request& request, Response& response) = 0;
  /// After every answer was written or given up, the server's own (bad request, time-out, limit)
  /// too; those have tag 0.
  virtual void finished(const Request& request, const Response& response,
                        std::chrono::nanoseconds took) noexcept = 0;
};

struct ServerCounters {
  std::atomic<std::uint64_t> accepted{0}, refused{0}, timeouts{0}, malformed{0};
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> body_bytes_in_flight{0};
};

/// Binds and listens. Port 0 takes a free one: ask the acceptor. kRejected: no such address;
/// kFailed: in use or not permitted, with the address in the message.
Result<Acceptor> listen(asio::io_context& io, const std::string& host, std::uint16_t port);

/// An HTTP/1.1 server: keep-alive, answers in order of requests, time-outs, limits, graceful stop.
///
/// Hides sockets, parsing, time-outs and back-pressure; knows nothing of what is served. One
/// coroutine a connection; run the io_context on as many threads as you like. `handler` and
/// `clock` must outlive the io_context's run. Every error of its own is a problem document.
///
/// After stop() the io_context runs out of work by itself once the last connection is gone.
class HttpServer {
 public:
  HttpServer(asio::io_context& io, Acceptor acceptor, Handler& handler, const Clock& clock,
             const ServerLimits& limits);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Begins to accept. Once.
  void start();
  /// Accepts no more, closes idle connections, lets requests in flight end; what is left after
  /// `grace` is cut. From any thread, returns at once; a second call can only shorten the grace.
  void stop(std::chrono::milliseconds grace);

  std::uint16_t port() const;
  const ServerCounters& counters() const;

 private:
  friend class Connection;
  struct State;
  std::shared_ptr<State> state_;  // shared with connections, which may outlive us in the io_context
};

}  // namespace covey::http

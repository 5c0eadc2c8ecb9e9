#include "http/client.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <optional>

#include <fmt/format.h>

#include "http/target.h"

namespace covey::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using std::chrono::milliseconds;

Result<Url> host_and_port(std::string_view text, std::uint16_t port, std::string_view whole) {
  const auto bad = [&](std::string_view why) {
    return fail(Errc::kRejected, fmt::format("'{}' {}", whole, why));
  };
  Url out;
  out.port = port;
  std::string_view host = text;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == text.npos) return bad("has a '[' without its ']'");
    host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && text.front() != ':') return bad("has something behind the ']'");
  } else if (const std::size_t colon = text.find(':'); colon != text.npos) {
    host = text.substr(0, colon);
    text.remove_prefix(colon);
  } else {
    text = {};
  }
  if (!text.empty()) {
    const auto number = parse_number(text.substr(1), "the port", 1, 65'535);
    if (!number) return bad("has no port from 1 to 65535 behind its colon");
    out.port = static_cast<std::uint16_t>(*number);
  }
  if (host.empty()) return bad("names no host");
  out.host = host;
  return out;
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (text.starts_with("https://")) {
    return fail(Errc::kRejected,
                fmt::format("'{}': https is not spoken; let Alertmanager or a TLS proxy on this "
                            "machine stand between",
                            text));
  }
  if (!text.starts_with(kScheme)) {
    return fail(Errc::kRejected, fmt::format("'{}' does not begin with http://", text));
  }
  std::string_view rest = text.substr(kScheme.size());
  const std::size_t slash = std::min(rest.find_first_of("/?"), rest.size());
  Url out = COVEY_TRY(host_and_port(rest.substr(0, slash), 80, text));
  rest.remove_prefix(slash);
  if (!rest.empty()) out.target = rest.front() == '?' ? "/" + std::string(rest) : std::string(rest);
  return out;
}

Result<Url> parse_host_port(std::string_view text) {
  Url out = COVEY_TRY(host_and_port(text, 0, text));
  if (out.port == 0) {
    return fail(Errc::kRejected, fmt::format("'{}' names no port: write HOST:PORT", text));
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool bare = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      std::string_view("-._~").find(c) != std::string_view::npos;
    out += bare ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

struct Client::State {
  explicit State(Url to) : server(std::move(to)) {}

  asio::awaitable<void> connect(milliseconds patience) {
    std::vector<asio::ip::tcp::endpoint> found;
    boost::system::error_code named;
    const auto address = asio::ip::make_address(server.host, named);
    if (!named) {  // nothing to look up, for which there would be one more thread
      found.emplace_back(address, server.port);
    } else {
      asio::ip::tcp::resolver resolver(io);
      const auto results = co_await resolver.async_resolve(server.host, std::to_string(server.port),
                                                           asio::use_awaitable);
      for (const auto& entry : results) found.push_back(entry.endpoint());
    }
    stream.emplace(io);
    stream->expires_after(patience);
    co_await stream->async_connect(found, asio::use_awaitable);
    stream->socket().set_option(asio::ip::tcp::no_delay(true));
    buffer.clear();
  }

  asio::awaitable<Answer> exchange(const Ask& what, milliseconds patience, std::size_t body_max) {
    beast::http::request<beast::http::string_body> request;
    request.version(11);
    request.method_string({what.method.data(), what.method.size()});
    request.target({what.target.data(), what.target.size()});
    request.set(beast::http::field::host, fmt::format("{}:{}", server.host, server.port));
    request.set(beast::http::field::user_agent, "covey");
    for (const auto& [name, value] : what.fields) {
      request.set(beast::string_view(name.data(), name.size()),
                  beast::string_view(value.data(), value.size()));
    }
    if (!what.body.empty() || what.method != "GET") {
      request.set(beast::http::field::content_type,
                  beast::string_view(what.content_type.data(), what.content_type.size()));
      request.body() = what.body;
      request.prepare_payload();
    }
    stream->expires_after(patience);
    co_await beast::http::async_write(*stream, request, asio::use_awaitable);
    beast::http::response_parser<beast::http::string_body> parser;
    parser.body_limit(body_max);
    if (what.method == "HEAD") parser.skip(true);
    co_await beast::http::async_read(*stream, buffer, parser, asio::use_awaitable);
    auto response = parser.release();
    if (!response.keep_alive()) stream.reset();
    Answer out{response.result_int(), std::move(response.body()), {}, {}};
    out.content_type = std::string(response[beast::http::field::content_type]);
    out.retry_after = std::string(response[beast::http::field::retry_after]);
    co_return out;
  }

  asio::awaitable<Answer> ask(const Ask& what, milliseconds patience, std::size_t body_max) {
    const bool kept = stream.has_value();
    if (!kept) co_await connect(patience);
    bool closed_meanwhile = false;
    try {
      co_return co_await exchange(what, patience, body_max);
    } catch (const boost::system::system_error& error) {
      stream.reset();
      // A kept connection that ends before any byte of an answer was closed while it lay idle; the
      // server has not begun on the request.
      closed_meanwhile = kept && (error.code() == beast::http::error::end_of_stream ||
                                  error.code() == asio::error::connection_reset ||
                                  error.code() == asio::error::broken_pipe);
      if (!closed_meanwhile) throw;
    }
    co_await connect(patience);
    co_return co_await exchange(what, patience, body_max);
  }

  Url server;
  asio::io_context io{1};
  std::optional<beast::tcp_stream> stream;
  beast::flat_buffer buffer;
};

Client::Client(const Url& server) : state_(std::make_unique<State>(server)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Result<Answer> Client::ask(const Ask& what, milliseconds patience, std::size_t body_max) {
  std::exception_ptr failure;
  Answer out;
  // Asio and Beast report by exceptions inside of coroutines; they end here.
  asio::co_spawn(state_->io, state_->ask(what, patience, body_max),
                 [&](std::exception_ptr error, Answer answer) {
                   failure = error;
                   out = std::move(answer);
                 });
  state_->io.restart();
  state_->io.run();
  if (!failure) return out;
  state_->stream.reset();
  std::string why = "unknown";
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    why = error.code() == beast::error::timeout
              ? fmt::format("no answer within {} ms", patience.count())
              : error.code().message();
  } catch (const std::exception& error) {
    why = error.what();
  }
  return fail(Errc::kRetryLater,
              fmt::format("{}:{}: {}", state_->server.host, state_->server.port, why));
}

}  // namespace covey::http

#include "load/generator.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "base/hash.h"

namespace covey::load {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using std::chrono::nanoseconds;

telemetry::Duration us(nanoseconds ns) {
  return std::chrono::duration_cast<telemetry::Duration>(ns);
}

}  // namespace

std::vector<std::string> Settings::validate() const {
  std::vector<std::string> faults;
  if (!(requests_per_second > 0)) faults.emplace_back("the rate must be above 0");
  if (connections == 0) faults.emplace_back("at least one connection is needed");
  if (learners.empty() && path.find("{learner}") != std::string::npos) {
    faults.emplace_back("learners are missing: a file with an id a line");
  }
  return faults;
}

Generator::Generator(Settings settings, const Clock& clock)
    : settings_(std::move(settings)), clock_(clock) {}
Generator::Generator(Generator&& other) noexcept
    : settings_(std::move(other.settings_)), clock_(other.clock_) {}

Result<Generator> Generator::make(Settings settings, const Clock& clock) {
  if (const auto faults = settings.validate(); !faults.empty()) {
    return fail(Errc::kRejected, fmt::format("{}", fmt::join(faults, "; ")));
  }
  return Generator(std::move(settings), clock);
}

struct Generator::State {
  Generator& self;
  const Settings& settings;
  asio::io_context io{1};
  asio::ip::tcp::resolver::results_type server{};
  Random arrivals, choice;
  nanoseconds begun{0}, next{0};
  Totals totals{};

  State(Generator& g, Random random)
      : self(g),
        settings(g.settings_),
        arrivals(random.fork("arrivals")),
        choice(random.fork("learners")) {}

  nanoseconds now() const { return self.clock_.now(); }

  /// When the next request is due; nothing once the load is over.
  std::optional<nanoseconds> take() {
    if (self.stopping_) return std::nullopt;
    const nanoseconds due = next;
    if (settings.duration.count() > 0 && due - begun >= settings.duration) return std::nullopt;
    next += nanoseconds(
        static_cast<std::int64_t>(arrivals.exponential() / settings.requests_per_second * 1e9));
    return due;
  }

  std::string request() {
    std::string path = settings.path, fields;
    if (!settings.learners.empty()) {
      const std::string& learner = settings.learners[choice.below(settings.learners.size())];
      if (const std::size_t at = path.find("{learner}"); at != std::string::npos) {
        path.replace(at, 9, http::percent_encode(learner));
      }
      fields += "X-Learner-Id: " + learner + "\r\n";
      if (!settings.segments.empty()) {
        fields +=
            "X-Segment: " + settings.segments[hash64(learner) % settings.segments.size()] + "\r\n";
      }
    }
    return fmt::format("GET {} HTTP/1.1\r\nHost: {}:{}\r\n{}\r\n", path, settings.target.host,
                       settings.target.port, fields);
  }

  void count(unsigned status) {
    ++(status < 400 ? totals.ok : status < 500 ? totals.client_errors : totals.server_errors);
    if (status >= 500) ++self.failed_;
  }
  void count(const boost::system::error_code& error) {
    ++self.failed_;
    ++(error == beast::error::timeout             ? totals.timed_out
       : error == asio::error::connection_refused ? totals.refused
                                                  : totals.cut);
  }

  asio::awaitable<void> connection() {
    asio::steady_timer timer(io);
    std::optional<beast::tcp_stream> stream;
    beast::flat_buffer buffer;
    while (const auto due = take()) {
      nanoseconds lag{0};
      if (const nanoseconds wait = *due - now(); wait.count() > 0) {
        timer.expires_after(wait);
        co_await timer.async_wait(asio::use_awaitable);
        lag = now() - *due;
      }
      ++totals.sent;
      ++self.sent_;
      totals.lag.add(us(lag));
      boost::system::error_code failure;
      try {
        if (!stream) {
          stream.emplace(io);
          stream->expires_after(settings.patience);
          co_await stream->async_connect(server, asio::use_awaitable);
          stream->socket().set_option(asio::ip::tcp::no_delay(true));
          buffer.clear();
        }
        const std::string text = request();
        stream->expires_after(settings.patience);
        co_await asio::async_write(*stream, asio::buffer(text), asio::use_awaitable);
        beast::http::response<beast::http::string_body> answer;
        co_await beast::http::async_read(*stream, buffer, answer, asio::use_awaitable);
        totals.latency.add(us(now() - *due));
        count(answer.result_int());
        if (!answer.keep_alive()) stream.reset();
      } catch (const boost::system::system_error& error) {
        failure = error.code();
      }
      if (failure) {
        count(failure);
        totals.latency.add(us(now() - *due));
        stream.reset();
        // A server that refuses answers at once: without a pause the generator would only spin.
        timer.expires_after(std::chrono::milliseconds(20));
        co_await timer.async_wait(asio::use_awaitable);
      }
    }
  }
};

Totals Generator::run() {
  State state(*this, Random(settings_.seed));
  boost::system::error_code error;
  asio::ip::tcp::resolver resolver(state.io);
  state.server =
      resolver.resolve(settings_.target.host, std::to_string(settings_.target.port), error);
  state.begun = state.next = state.now();
  for (std::size_t i = 0; i < settings_.connections; ++i) {
    asio::co_spawn(state.io, state.connection(), asio::detached);
  }
  state.io.run();
  state.totals.took = state.now() - state.begun;
  return std::move(state.totals);
}

}  // namespace covey::load

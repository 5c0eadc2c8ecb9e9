// Load on a running `covey serve`: batches of events, look-ups, discoveries, each as asked for.
//
//   http_load --port 8080 --learners 1000000 --events 1000000 --connections 8
//   http_load --port 8080 --learners 1000000 --lookups 5000 --seconds 20 --ingest 100000 --discover
//
// Look-ups are open-loop: each has an instant at which it is meant to start, and its latency counts
// from there, so a stall is felt by all that should have run meanwhile. One thread a connection,
// blocking; bodies are made beforehand. Prints one line of JSON.

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/random.h"
#include "population/population.h"

namespace {

using namespace covey;
using std::chrono::steady_clock;

struct Options {
  std::uint16_t port = 0;
  population::Spec spec;
  std::string end;
  std::uint64_t events = 0;  // posted in all; with --seconds and --ingest: as many as due
  std::uint32_t batch = 1'000, connections = 8, lookup_connections = 32;
  double ingest = 0;    // events a second; 0: as fast as answers come
  double lookups = 0;   // a second
  double seconds = 10;  // for look-ups, paced ingest and discoveries
  bool discover = false;
};

/// A blocking HTTP/1.1 connection to loopback.
class Connection {
 public:
  explicit Connection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fine_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The status; 0 when the connection broke. Afterwards body() holds the answer's.
  int exchange(std::string_view request) {
    while (fine_ && !request.empty()) {
      const ssize_t sent = ::send(socket_, request.data(), request.size(), MSG_NOSIGNAL);
      if (sent <= 0)
        fine_ = false;
      else
        request.remove_prefix(static_cast<std::size_t>(sent));
    }
    held_.clear();
    body_at_ = 0;
    std::size_t head = std::string::npos;
    while ((head = held_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return 0;
    }
    std::string fields = held_.substr(0, head);
    std::ranges::transform(fields, fields.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    const std::size_t at = fields.find("content-length:");
    std::size_t length = 0;
    if (at != std::string::npos) {
      const char* digits = fields.data() + at + 15;
      while (*digits == ' ') ++digits;
      std::from_chars(digits, fields.data() + fields.size(), length);
    }
    body_at_ = head + 4;
    while (held_.size() < body_at_ + length) {
      if (!more()) return 0;
    }
    int status = 0;
    std::from_chars(held_.data() + 9, held_.data() + 12, status);
    return status;
  }
  std::string_view body() const { return std::string_view(held_).substr(body_at_); }

 private:
  bool more() {
    char piece[65'536];
    const ssize_t got = fine_ ? ::recv(socket_, piece, sizeof piece, 0) : -1;
    if (got <= 0) return fine_ = false;
    held_.append(piece, static_cast<std::size_t>(got));
    return true;
  }
  int socket_;
  bool fine_;
  std::string held_;
  std::size_t body_at_ = 0;
};

double ms(steady_clock::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

nlohmann::json spread(std::vector<double>& values) {
  if (values.empty()) return nullptr;
  std::ranges::sort(values);
  // The nearest rank: the smallest value that at least a share q of all lie at or below.
  const auto at = [&](double q) {
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
    return values[std::max<std::size_t>(rank, 1) - 1];
  };
  return {{"p50", at(.5)},
          {"p90", at(.9)},
          {"p99", at(.99)},
          {"p999", at(.999)},
          {"max", values.back()}};
}

class Load {
 public:
  explicit Load(const Options& options) : options_(options) {}

  int run() {
    make_bodies();
    start_ = steady_clock::now() + std::chrono::milliseconds(20);
    const auto length = std::chrono::duration_cast<steady_clock::duration>(
        std::chrono::duration<double>(options_.seconds));
    end_ = start_ + length;
    {
      std::vector<std::jthread> threads;
      if (!bodies_.empty()) {
        for (unsigned i = 0; i < options_.connections; ++i)
          threads.emplace_back([this] { post(); });
      }
      if (options_.lookups > 0) {
        for (unsigned i = 0; i < options_.lookup_connections; ++i) {
          threads.emplace_back([this, i] { look_up(i); });
        }
      }
      if (options_.discover) threads.emplace_back([this] { discover(); });
    }
    nlohmann::json out;
    if (!bodies_.empty()) {
      const double took = std::chrono::duration<double>(last_post_ - start_).count();
      out["ingest"] = {{"events", posted_events_},
                       {"batches", post_ms_.size()},
                       {"seconds", took},
                       {"events_per_second", static_cast<double>(posted_events_) / took},
                       {"errors", post_errors_},
                       {"ms", spread(post_ms_)}};
    }
    if (options_.lookups > 0) {
      out["lookups"] = {{"count", lookup_ms_.size()},
                        {"per_second", options_.lookups},
                        {"errors", lookup_errors_},
                        {"with_cohort", with_cohort_},
                        {"ms", spread(lookup_ms_)}};
    }
    if (options_.discover) {
      out["discoveries"] = {{"count", discover_ms_.size()},
                            {"errors", discover_errors_},
                            {"ms", spread(discover_ms_)}};
    }
    if (!first_error_.empty()) out["first_error"] = first_error_;
    std::cout << out.dump() << "\n";
    return first_error_.empty() ? 0 : 1;
  }

 private:
  void make_bodies() {
    std::uint64_t wanted = options_.events;
    if (options_.ingest > 0) {
      wanted = static_cast<std::uint64_t>(options_.ingest * options_.seconds);
    }
    if (wanted == 0) return;
    const population::Population population(options_.spec);
    std::string body;
    std::uint64_t made = 0;
    const auto close = [&] {
      bodies_.push_back(
          "POST /v1/events HTTP/1.1\r\nHost: localhost\r\n"
          "Content-Type: application/x-ndjson\r\nContent-Length: " +
          std::to_string(body.size()) + "\r\n\r\n" + body);
      body.clear();
    };
    // Stopped by an error of our own once there are enough.
    std::ignore = population.generate([&](std::span<const population::Drawn> part) -> Result<void> {
      for (const auto& drawn : part) {
        population.append_ndjson(drawn, body);
        if (++made % options_.batch == 0) close();
        if (made == wanted) return fail(Errc::kFull, "enough");
      }
      return {};
    });
    if (!body.empty()) close();
    if (made < wanted) {
      std::fprintf(stderr, "http_load: %u learners make %zu events only; raise --learners\n",
                   options_.spec.learners, static_cast<std::size_t>(made));
      std::exit(2);
    }
    events_ = made;
  }

  void note(const std::string& what) {
    const std::lock_guard lock(mutex_);
    if (first_error_.empty()) first_error_ = what;
  }

  void post() {
    Connection connection(options_.port);
    std::vector<double> took;
    std::uint64_t errors = 0, events = 0;
    std::this_thread::sleep_until(start_);
    for (std::size_t i = 0; (i = next_body_.fetch_add(1)) < bodies_.size();) {
      auto began = steady_clock::now();
      if (options_.ingest > 0) {
        const auto due =
            start_ +
            std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(
                static_cast<double>(i) * options_.batch / options_.ingest));
        std::this_thread::sleep_until(due);
        began = due;
      }
      const int status = connection.exchange(bodies_[i]);
      took.push_back(ms(steady_clock::now() - began));
      const std::size_t in_it =
          i + 1 < bodies_.size() ? options_.batch : events_ - i * options_.batch;
      // Counted only if the answer says that all of them were new and are stored.
      const auto answer = nlohmann::json::parse(connection.body(), nullptr, false);
      if (status == 200 && answer.is_object() && answer.value("accepted", 0u) == in_it) {
        events += in_it;
      } else {
        ++errors;
        note("POST /v1/events: status " + std::to_string(status) + ": " +
             std::string(connection.body().substr(0, 300)));
        if (status == 0) break;
      }
    }
    const auto now = steady_clock::now();
    const std::lock_guard lock(mutex_);
    last_post_ = std::max(last_post_, now);
    post_ms_.insert(post_ms_.end(), took.begin(), took.end());
    post_errors_ += errors;
    posted_events_ += events;
  }

  void look_up(unsigned number) {
    ::prctl(PR_SET_TIMERSLACK, 1);  // else each start is up to 50 us late
    Connection connection(options_.port);
    Random random = Random(options_.spec.seed).fork("look-up", number);
    std::vector<double> took;
    std::uint64_t errors = 0, with_cohort = 0;
    for (std::uint64_t i = number;; i += options_.lookup_connections) {
      const auto due =
          start_ + std::chrono::duration_cast<steady_clock::duration>(
                       std::chrono::duration<double>(static_cast<double>(i) / options_.lookups));
      if (due >= end_) break;
      char request[128];
      const int length = std::snprintf(
          request, sizeof request, "GET /v1/learners/sim-%07u HTTP/1.1\r\nHost: localhost\r\n\r\n",
          static_cast<unsigned>(random.below(options_.spec.learners)));
      std::this_thread::sleep_until(due);
      const int status =
          connection.exchange(std::string_view(request, static_cast<std::size_t>(length)));
      took.push_back(ms(steady_clock::now() - due));
      if (status == 200) {
        with_cohort += connection.body().find("\"archetype\"") != std::string_view::npos ? 1 : 0;
        continue;
      }
      ++errors;
      note("GET /v1/learners: status " + std::to_string(status) + ": " +
           std::string(connection.body().substr(0, 300)));
      if (status == 0) break;
    }
    const std::lock_guard lock(mutex_);
    lookup_ms_.insert(lookup_ms_.end(), took.begin(), took.end());
    lookup_errors_ += errors;
    with_cohort_ += with_cohort;
  }

  void discover() {
    Connection connection(options_.port);
    std::this_thread::sleep_until(start_);
    while (steady_clock::now() < end_) {
      const auto began = steady_clock::now();
      const int status = connection.exchange(
          "POST /v1/discover HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
          "Content-Length: 2\r\n\r\n{}");
      if (status == 409) {  // the service's own run: as good as ours
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        continue;
      }
      discover_ms_.push_back(ms(steady_clock::now() - began));
      if (status == 200) continue;
      ++discover_errors_;
      note("POST /v1/discover: status " + std::to_string(status) + ": " +
           std::string(connection.body().substr(0, 300)));
      if (status == 0) break;
    }
  }

  const Options& options_;
  std::vector<std::string> bodies_;
  std::uint64_t events_ = 0;
  std::atomic<std::size_t> next_body_{0};
  steady_clock::time_point start_, end_, last_post_;
  std::mutex mutex_;
  std::vector<double> post_ms_, lookup_ms_, discover_ms_;
  std::uint64_t post_errors_ = 0, posted_events_ = 0, lookup_errors_ = 0, with_cohort_ = 0;
  std::uint64_t discover_errors_ = 0;
  std::string first_error_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Load on a running `covey serve`; look-ups are open-loop");
  app.add_option("--port", options.port)->required();
  app.add_option("--learners", options.spec.learners,
                 "Of the store; events and look-ups are theirs");
  app.add_option("--events-per-learner", options.spec.events_per_learner);
  app.add_option("--seed", options.spec.seed);
  app.add_option("--days", options.spec.days);
  app.add_option("--end", options.end, "Where the events end");
  app.add_option("--id-prefix", options.spec.id_prefix, "Of event ids: new ones need a new one");
  app.add_option("--events", options.events, "Events to post");
  app.add_option("--batch", options.batch)->check(CLI::PositiveNumber);
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 256));
  app.add_option("--ingest", options.ingest, "Events a second; 0: as fast as answers come");
  app.add_option("--lookups", options.lookups, "A second");
  app.add_option("--lookup-connections", options.lookup_connections)->check(CLI::Range(1, 256));
  app.add_option("--seconds", options.seconds)->check(CLI::PositiveNumber);
  app.add_flag("--discover", options.discover, "Discover again and again meanwhile");
  CLI11_PARSE(app, argc, argv);
  if (!options.end.empty()) {
    const auto end = parse_time(options.end);
    if (!end) {
      std::fprintf(stderr, "http_load: --end: %s\n", end.error().message.c_str());
      return 2;
    }
    options.spec.end = *end;
  }
  if (const auto faults = options.spec.validate(); !faults.empty()) {
    for (const auto& fault : faults) std::fprintf(stderr, "http_load: %s\n", fault.c_str());
    return 2;
  }
  return Load(options).run();
}

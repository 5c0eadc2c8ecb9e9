#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/analyzer.h"
#include "analyzer/past.h"
#include "base/clock.h"
#include "base/parallel.h"
#include "base/result.h"
#include "cohorts/discovery.h"
#include "events/xapi.h"
#include "http/server.h"
#include "service/experiments.h"

namespace covey::service {

using http::Request;
using http::Response;
using http::ServerCounters;
using http::Task;

/// Where the analyzer appears once it has recovered; until then, how far that has come. The
/// service listens from the first moment, so that a prober sees "not yet" and not "nothing there".
class Door {
 public:
  /// For Analyzer::open's `report`; from any thread.
  void report(const analyzer::Progress& progress);
  /// `analyzer` must outlive every request.
  void open(analyzer::Analyzer& analyzer) { analyzer_.store(&analyzer); }
  /// From now on /readyz says no, so that a balancer sends no more; all else is served on.
  void drain() { draining_.store(true); }

  analyzer::Analyzer* analyzer() const { return analyzer_.load(std::memory_order_acquire); }
  bool draining() const { return draining_.load(); }
  /// {"what":"log","done":1,"total":9}
  std::string progress_json() const;

 private:
  std::atomic<analyzer::Analyzer*> analyzer_{nullptr};
  std::atomic<bool> draining_{false};
  std::atomic<bool> log_phase_{false};
  std::atomic<std::uint64_t> done_{0}, total_{0};
};

struct ApiConfig {
  /// Unlike that of any other process, past ones too: names the rows of requests that bring no
  /// Idempotency-Key. A random one of 64 bits will do.
  std::string instance;
  std::string version;                  ///< of the program, for GET /
  std::string effective_config = "{}";  ///< JSON, served at /config as it stands
  events::XapiMapping xapi = events::XapiMapping::builtin();
  std::size_t batch_bytes_max = std::size_t{64} << 20;  ///< of one POST /v1/events
  /// Of one POST /xapi/statements: less, since reading a document takes ten times its size.
  std::size_t statements_bytes_max = std::size_t{16} << 20;
  /// What the machine's links can carry together, for /metrics; 0: as the kernel says, if it does.
  double link_bytes_per_second = 0;
  cohorts::Options discovery;  ///< defaults of POST /v1/discover and rediscover()
  analyzer::PastLimits past;   ///< of one reading of the log for a learner's history or events
  std::vector<std::string> validate() const;
};

struct RouteInfo {
  std::string_view path;                  ///< as in openapi.json: "/v1/learners/{id}"
  std::vector<std::string_view> methods;  ///< without HEAD, which goes wherever GET does
};

/// The analyzer over HTTP: routes, answers, refusals. Described by openapi.json, docs/http.md.
///
/// Look-ups are answered on the I/O thread that read them and never wait for work: whatever takes
/// longer than a few of them runs elsewhere.
class Api final : public http::Handler {
 public:
  /// Runs each function once, off the I/O threads, one at a time at least.
  using Background = std::function<void(std::function<void()>)>;
  struct Elsewhere {
    Background discovery;
    Background readers;  ///< of the whole log, for one learner: who looks about delays no discovery
    Background parsers;  ///< of bodies with events
  };
  /// Everything given by reference must outlive the Api. Before the io_context is destroyed the
  /// analyzer must have answered every submit(), and `elsewhere` have run everything.
  Api(ApiConfig config, Door& door, const Clock& clock, Parallel& parallel, Elsewhere elsewhere);
  ~Api() override;

  std::optional<std::size_t> admit(const Request& request, Response& response) override;
  Task<void> handle(Request& request, Response& response) override;
  void finished(const Request& request, const Response& response,
                std::chrono::nanoseconds took) noexcept override;

  /// What /v1/experiments serves; filled by whoever analyses.
  Experiments& experiments();

  /// Lets /metrics show the server's own counters.
  void watch(const ServerCounters& counters);

  /// Discovers with the configured options, on the calling thread, and counts it. For app/'s
  /// timer. kRetryLater: not recovered yet, or a run is under way.
  Result<std::shared_ptr<const cohorts::Discovery>> rediscover();

  static std::span<const RouteInfo> routes();
  static std::string_view openapi();  ///< the document served at /openapi.json

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace covey::service

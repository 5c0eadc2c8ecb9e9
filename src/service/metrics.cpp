#include "service/metrics.h"

#include <algorithm>
#include <utility>

#include "http/exposition.h"
#include "service/machine.h"

namespace covey::service {
namespace {

// Every status the service can send; the last place catches what is forgotten here.
constexpr std::array<unsigned, 20> kStatuses = {200, 400, 404, 405, 408, 409, 410, 413, 414, 415,
                                                417, 422, 429, 431, 500, 501, 503, 505, 204, 0};
// Problem types by which a client is turned away though its request may be good.
constexpr std::array<std::string_view, 9> kReasons = {
    "queue-full",           "store-full",        "not-ready",
    "bodies-in-flight",     "body-too-large",    "request-timeout",
    "too-many-connections", "malformed-request", "discovery-running"};

using Counter = std::atomic<std::uint64_t>;

template <std::size_t kBounds>
struct Histogram {
  std::array<Counter, kBounds + 1> bucket{};
  Counter sum_ns{0};

  void observe(const std::array<double, kBounds>& bounds, double value, std::uint64_t ns) {
    const auto at = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
    bucket[static_cast<std::size_t>(at)].fetch_add(1, std::memory_order_relaxed);
    sum_ns.fetch_add(ns, std::memory_order_relaxed);
  }
  // `scale` turns nanoseconds into the unit of the bounds.
  void write(http::Exposition& out, std::string_view name, std::string_view help,
             const std::array<double, kBounds>& bounds, double scale,
             http::Exposition::Labels labels = {}) const {
    std::array<std::uint64_t, kBounds + 1> counts;
    std::ranges::transform(bucket, counts.begin(), [](const Counter& c) { return c.load(); });
    out.histogram(name, help, bounds, counts, static_cast<double>(sum_ns.load()) * scale,
                  std::move(labels));
  }
  bool empty() const {
    return std::ranges::all_of(bucket, [](const Counter& c) { return c == 0; });
  }
};

std::size_t status_index(unsigned status) {
  const auto at = std::find(kStatuses.begin(), kStatuses.end() - 1, status);
  return static_cast<std::size_t>(at - kStatuses.begin());
}

double number(const Counter& counter) {
  return static_cast<double>(counter.load(std::memory_order_relaxed));
}

void write_split(http::Exposition& out, const analyzer::Activity& activity, std::uint32_t split) {
  constexpr std::string_view kPractice = "covey_split_practice_events_total";
  constexpr std::string_view kPracticeHelp =
      "Practice events of learners below and above the split.";
  constexpr std::string_view kRevenue = "covey_split_revenue_total";
  constexpr std::string_view kRevenueHelp = "Amounts paid by learners below and above the split.";
  const std::pair<const char*, analyzer::Activity::Sums> sides[] = {
      {"below", activity.of(0, split)},
      {"above", activity.of(split, analyzer::Activity::kBuckets)}};
  for (const auto& [side, sums] : sides) {
    out.counter(kPractice, kPracticeHelp, static_cast<double>(sums.practice), {{"side", side}});
  }
  for (const auto& [side, sums] : sides) {
    for (const auto& [currency, amount] : sums.revenue) {
      out.counter(kRevenue, kRevenueHelp, amount, {{"side", side}, {"currency", currency}});
    }
  }
}

}  // namespace

struct Metrics::State {
  struct Route {
    std::string name;
    std::array<std::array<Counter, kStatuses.size()>, kMethods> requests{};
    Histogram<kSeconds.size()> duration;
  };
  std::vector<std::unique_ptr<Route>> routes;
  std::array<Counter, kReasons.size()> refused{};
  Counter known{0}, unknown{0}, hits{0}, misses{0};
  Histogram<kMilliseconds.size()> discovery;
  Time started;
  double link_bytes_per_second = 0;
};

Metrics::Metrics(std::vector<std::string> routes, Time started, double link_bytes_per_second)
    : state_(std::make_unique<State>()) {
  for (std::string& route : routes) {
    state_->routes.push_back(std::make_unique<State::Route>());
    state_->routes.back()->name = std::move(route);
  }
  state_->started = started;
  state_->link_bytes_per_second = link_bytes_per_second;
}

Metrics::~Metrics() = default;

void Metrics::request(std::size_t route, Method method, unsigned status,
                      std::chrono::nanoseconds took) noexcept {
  State::Route& r = *state_->routes[route];
  r.requests[static_cast<std::size_t>(method)][status_index(status)].fetch_add(
      1, std::memory_order_relaxed);
  r.duration.observe(kSeconds, std::chrono::duration<double>(took).count(),
                     static_cast<std::uint64_t>(took.count()));
}

void Metrics::refused(std::string_view problem_type) noexcept {
  const auto at = std::ranges::find(kReasons, problem_type);
  if (at == kReasons.end()) return;
  state_->refused[static_cast<std::size_t>(at - kReasons.begin())].fetch_add(
      1, std::memory_order_relaxed);
}

void Metrics::lookup(bool known, bool coverable, bool covered) noexcept {
  (known ? state_->known : state_->unknown).fetch_add(1, std::memory_order_relaxed);
  if (covered) {
    state_->hits.fetch_add(1, std::memory_order_relaxed);
  } else if (coverable) {
    state_->misses.fetch_add(1, std::memory_order_relaxed);
  }
}

void Metrics::discovery(std::chrono::duration<double, std::milli> took) noexcept {
  state_->discovery.observe(kMilliseconds, took.count(),
                            static_cast<std::uint64_t>(took.count() * 1e6));
}

std::string Metrics::text(const analyzer::Analyzer* analyzer, const ServerCounters* server,
                          std::optional<std::uint32_t> split) const {
  http::Exposition out;
  const auto count = [&](std::string_view name, std::string_view help, double value) {
    out.counter(name, help, value);
  };
  const auto gauge = [&](std::string_view name, std::string_view help, double value) {
    out.gauge(name, help, value);
  };

  constexpr std::string_view kRequests = "covey_http_requests_total";
  constexpr std::string_view kRequestsHelp = "Requests answered.";
  out.family(kRequests, kRequestsHelp, true);
  for (const auto& route : state_->routes) {
    for (std::size_t m = 0; m < kMethods; ++m) {
      for (std::size_t s = 0; s < kStatuses.size(); ++s) {
        const double n = number(route->requests[m][s]);
        if (n == 0) continue;
        out.counter(
            kRequests, kRequestsHelp, n,
            {{"route", route->name},
             {"method", std::string(name(static_cast<Method>(m)))},
             {"code", kStatuses[s] == 0 ? std::string("other") : std::to_string(kStatuses[s])}});
      }
    }
    if (route->duration.empty()) continue;
    route->duration.write(out, "covey_http_request_duration_seconds",
                          "From a request's first byte to its answer's last.", kSeconds, 1e-9,
                          {{"route", route->name}});
  }
  for (std::size_t i = 0; i < kReasons.size(); ++i) {
    out.counter("covey_requests_refused_total", "Requests turned away, by problem type.",
                number(state_->refused[i]), {{"reason", std::string(kReasons[i])}});
  }
  for (const auto& [result, value] :
       {std::pair{"known", &state_->known}, std::pair{"unknown", &state_->unknown}}) {
    out.counter("covey_learner_lookups_total", "Look-ups of a learner, by what was found.",
                number(*value), {{"result", result}});
  }
  count("cohort_cache_hits_total", "Look-ups answered with a cohort of the published discovery.",
        number(state_->hits));
  count("cohort_cache_misses_total",
        "Look-ups of an active learner that no published discovery could give a cohort.",
        number(state_->misses));
  state_->discovery.write(out, "cohort_discovery_latency_ms", "Runs of discovery, milliseconds.",
                          kMilliseconds, 1e-6);

  if (server != nullptr) {
    gauge("covey_http_connections", "Open connections.",
          static_cast<double>(server->connections.load()));
    count("covey_http_connections_total", "Connections accepted.", number(server->accepted));
    count("covey_http_connections_refused_total", "Connections beyond the cap.",
          number(server->refused));
    count("covey_http_timeouts_total", "Connections that were waited for in vain, idle ones too.",
          number(server->timeouts));
    gauge("covey_http_body_bytes", "Request bodies in flight, bytes.",
          static_cast<double>(server->body_bytes_in_flight.load()));
  }

  const ProcessUse process = process_use();
  const auto part = [&](const char* label, double bytes) {
    out.gauge("covey_memory_bytes", "Memory in use, by part.", bytes, {{"part", label}});
  };
  part("process_rss", process.resident_bytes);
  if (analyzer != nullptr) {
    const analyzer::Counters& c = analyzer->counters();
    count("covey_events_accepted_total", "Rows stored since the start.", number(c.accepted));
    count("covey_events_duplicate_total", "Rows recognised as stored before.",
          number(c.duplicates));
    count("covey_events_rejected_total", "Rows sent to the quarantine.", number(c.rejected));
    count("covey_practice_events_total", "Practice events stored since the start.",
          number(c.practice));
    out.family("covey_revenue_total", "Amounts of purchases stored since the start.", true);
    for (const auto& [currency, amount] : c.revenue.all()) {
      out.counter("covey_revenue_total", "Amounts of purchases stored since the start.", amount,
                  {{"currency", currency}});
    }
    if (split) write_split(out, c.activity, *split);
    count("covey_ingest_groups_total", "Groups stored, one fsync each.", number(c.groups));
    count("covey_ingest_refused_total", "Batches refused because a limit was reached.",
          number(c.refused));
    gauge("covey_ingest_queue_bytes", "Batches waiting to be parsed and stored, bytes.",
          number(c.queued_bytes));
    gauge("covey_ingest_lag_seconds",
          "Age of the oldest batch that is not acknowledged yet; 0 when none waits.",
          std::chrono::duration<double>(analyzer->ingest_lag()).count());
    gauge("covey_newest_event_timestamp_seconds", "Time of the newest event, since 1970.",
          static_cast<double>(c.newest_event_us.load(std::memory_order_relaxed)) * 1e-6);
    count("covey_snapshots_total", "Snapshots written.", number(c.snapshots));
    count("covey_snapshot_failures_total", "Snapshots that failed.", number(c.snapshot_failures));

    const learners::MemoryUse engine = analyzer->engine().memory();
    const log::Sizes log = analyzer->log().sizes();
    part("engine", static_cast<double>(engine.bytes + engine.rooms));
    part("log", static_cast<double>(log.memory_bytes));
    const double learners = static_cast<double>(analyzer->engine().learners());
    gauge("covey_learners", "Learners ever heard of.", learners);
    gauge("covey_memory_bytes_per_learner", "Engine memory over learners, bytes.",
          learners == 0 ? 0 : static_cast<double>(engine.bytes) / learners);
    gauge("covey_log_disk_bytes", "The store on disk, bytes.", static_cast<double>(log.disk_bytes));
    gauge("covey_log_records", "Records in the log.", static_cast<double>(log.records));
    count("covey_log_fsyncs_total", "Waits for the disk.", static_cast<double>(log.fsyncs));
    gauge("covey_id_index_entries", "Event ids that would be recognised.",
          static_cast<double>(log.id_index_entries));
    gauge("covey_id_index_bytes", "Memory of the id index, bytes.",
          static_cast<double>(log.id_index_bytes));
  }

  const Machine machine = read_machine();
  count("covey_machine_cpu_seconds_total", "Busy time of the machine's processors, seconds.",
        machine.cpu_seconds);
  gauge("covey_machine_cpus", "Processors of the machine.", machine.cpus);
  gauge("covey_machine_memory_bytes", "Memory of the machine, bytes.", machine.memory);
  gauge("covey_machine_memory_used_bytes", "Memory of the machine that is not available, bytes.",
        machine.memory_used);
  for (const Link& link : machine.links) {
    out.counter("covey_machine_network_received_bytes_total", "Bytes that came over a link.",
                link.received_bytes, {{"device", link.name}});
  }
  for (const Link& link : machine.links) {
    out.counter("covey_machine_network_sent_bytes_total", "Bytes that went over a link.",
                link.sent_bytes, {{"device", link.name}});
  }
  const auto network = network_use(machine.links, state_->link_bytes_per_second);
  out.gauge("covey_machine_network_speed_known",
            "1, with who knows what the links can carry: kernel, option (--link-speed), nobody.", 1,
            {{"by", std::string(network ? network->known_by : "nobody")}});
  if (network) {
    count("covey_machine_network_bytes_total",
          "Bytes over links of known speed, the larger of received and sent.", network->bytes);
    gauge("covey_machine_network_bytes_per_second", "What those links can carry, bytes a second.",
          network->bytes_per_second);
  }
  out.process(process, state_->started);

  return out.text();
}

}  // namespace covey::service

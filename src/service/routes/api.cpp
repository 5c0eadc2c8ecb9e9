#include "service/routes/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "analyzer/json.h"
#include "base/hash.h"
#include "events/ndjson.h"
#include "http/json.h"
#include "http/problem.h"
#include "http/target.h"
#include "http/wait.h"
#include "pages/pages.h"
#include "service/answers.h"
#include "service/metrics.h"
#include "service/openapi.h"
#include "service/target.h"

namespace covey::service {
namespace {

using http::append_json_string;
using http::append_problem;
using http::Method;
using http::parse_number;
using http::query_value;
using http::split_target;
using http::Target;
using http::wait_for;

using analyzer::Analyzer;
using analyzer::Receipt;

// Index into kRoutes and, as Response::tag, the label of a request; 0 is "no route".
enum Route : std::uint32_t {
  kNone,
  kRoot,
  kHealth,
  kReady,
  kMetrics,
  kConfig,
  kOpenapi,
  kEvents,
  kStatements,
  kLearner,
  kTraits,
  kHistory,
  kLearnerEvents,
  kCohorts,
  kCohort,
  kCohortLearners,
  kDiscover,
  kDiscoveries,
  kExperiments,
  kExperiment,
  kRoutesEnd,
};

const std::array<RouteInfo, kRoutesEnd>& table() {
  static const std::array<RouteInfo, kRoutesEnd> kTable = {{
      {"none", {}},
      {"/", {"GET"}},
      {"/healthz", {"GET"}},
      {"/readyz", {"GET"}},
      {"/metrics", {"GET"}},
      {"/config", {"GET"}},
      {"/openapi.json", {"GET"}},
      {"/v1/events", {"POST"}},
      {"/xapi/statements", {"POST"}},
      {"/v1/learners/{id}", {"GET"}},
      {"/v1/learners/{id}/traits", {"GET"}},
      {"/v1/learners/{id}/history", {"GET"}},
      {"/v1/learners/{id}/events", {"GET"}},
      {"/v1/cohorts", {"GET"}},
      {"/v1/cohorts/{id}", {"GET"}},
      {"/v1/cohorts/{id}/learners", {"GET"}},
      {"/v1/discover", {"POST"}},
      {"/v1/discoveries", {"GET"}},
      {"/v1/experiments", {"GET"}},
      {"/v1/experiments/{name}", {"GET"}},
  }};
  return kTable;
}

constexpr std::string_view kLearnersPrefix = "/v1/learners/";
constexpr std::string_view kCohortsPrefix = "/v1/cohorts/";
constexpr std::string_view kXapiVersion = "1.0.3";
constexpr std::string_view kExperimentsPrefix = "/v1/experiments/";
constexpr std::size_t kSmallBodyMax = std::size_t{64} << 10;
// What a parser has buffers for, whatever the length of a body.
constexpr std::size_t kSliceBytes = std::size_t{256} << 10;
// Bodies up to here are parsed where they were read. That takes a few tens of microseconds, about
// what waking another thread does, and a look-up on the same thread may have to wait for it.
constexpr std::size_t kParsedHereMax = std::size_t{16} << 10;
// A statement takes ten times as long, for its document.
constexpr std::size_t kStatementsHereMax = std::size_t{4} << 10;
constexpr std::size_t kKeyBytesMax = 128;
constexpr std::uint64_t kPageDefault = 100, kPageMax = 1000;
constexpr std::uint64_t kEventsDefault = 50, kEventsMax = 500;
constexpr std::uint64_t kWeeksDefault = 26, kWeeksMax = 104;
constexpr unsigned kReadingsMax = 4;  // of the log at once, one under way and the others waiting
constexpr unsigned kBusySeconds = 1, kFullSeconds = 30, kRecoveringSeconds = 2;

Route match(std::string_view path) {
  if (path.starts_with(kLearnersPrefix)) {
    static constexpr std::array<Route, 4> kOf = {kLearner, kTraits, kHistory, kLearnerEvents};
    return kOf[static_cast<std::size_t>(learner_part(path.substr(kLearnersPrefix.size())))];
  }
  if (path.starts_with(kCohortsPrefix)) {
    const std::string_view rest = path.substr(kCohortsPrefix.size());
    const std::size_t slash = rest.find('/');
    if (slash == rest.npos) return rest.empty() ? kNone : kCohort;
    return rest.substr(slash) == "/learners" ? kCohortLearners : kNone;
  }
  if (path.starts_with(kExperimentsPrefix) && path.size() > kExperimentsPrefix.size()) {
    return kExperiment;
  }
  for (std::uint32_t i = kRoot; i < kRoutesEnd; ++i) {
    if (table()[i].path == path) return static_cast<Route>(i);
  }
  if (pages::find(path) != nullptr) return kRoot;
  return kNone;
}

bool takes_post(Route route) {
  return route == kEvents || route == kStatements || route == kDiscover;
}
bool needs_analyzer(Route route) {
  return route >= kEvents && route < kExperiments;
}

// Media type without parameters, in lower case.
std::string media_type(std::string_view field) {
  std::string type(field.substr(0, field.find(';')));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  std::ranges::transform(type, type.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return type;
}

void problem(const Request& q, Response& r, unsigned status, std::string_view type,
             std::string_view detail, unsigned retry_after_s = 0, std::string_view members = {}) {
  r.problem(status, type, detail, q.target(), members);
  if (retry_after_s > 0) r.field("Retry-After", std::to_string(retry_after_s));
}

// What an error of the analyzer means to a client. kRetryLater differs by when it comes: before
// anything was taken the queue is the reason, afterwards the store is.
void problem_of(const Request& q, Response& r, const Error& error, bool before_queue) {
  switch (error.code) {
    case Errc::kRejected:
      return problem(q, r, 422, "rejected", error.message);
    case Errc::kNotFound:
      return problem(q, r, 404, "not-found", error.message);
    case Errc::kRetryLater:
    case Errc::kFull:
      if (before_queue && error.code == Errc::kRetryLater) {
        return problem(q, r, 429, "queue-full", error.message, kBusySeconds);
      }
      return problem(q, r, 503, "store-full", error.message,
                     error.code == Errc::kFull ? kFullSeconds : kBusySeconds);
    case Errc::kCorrupt:
    case Errc::kFailed:
      return problem(q, r, 500, "store-failed", error.message);
  }
}

// Two runs with the same answer may share a tag: their pages are the same too.
std::uint64_t run_tag(const cohorts::Discovery& run) {
  std::string bytes;
  const auto put = [&](auto value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  put(run.as_of.time_since_epoch().count());
  put(run.learners);
  put(run.seed);
  put(run.k);
  put(run.inertia);
  put(run.silhouette);
  for (const cohorts::Cohort& cohort : run.cohorts) {
    put(cohort.id);
    put(cohort.size);
    put(cohort.stability);
  }
  return hash64(bytes);
}

// Strict: a misspelt option that is silently ignored costs more than an error.
Result<void> read_discover(std::string_view body, cohorts::Options& options) {
  if (body.find_first_not_of(" \t\r\n") == body.npos) return {};
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (json.is_discarded() || !json.is_object()) {
    return fail(Errc::kRejected,
                R"(the body must be a JSON object such as {"k":"auto","seed":1}, or empty)");
  }
  for (const auto& [key, value] : json.items()) {
    if (key == "k") {
      if (value.is_string() && value.get_ref<const std::string&>() == "auto") {
        options.k.reset();
      } else if (value.is_number_unsigned() && value.get<std::uint64_t>() >= cohorts::kCohortsMin &&
                 value.get<std::uint64_t>() <= cohorts::kCohortsMax) {
        options.k = value.get<std::uint32_t>();
      } else {
        return fail(Errc::kRejected, fmt::format(R"("k" must be "auto" or a whole number {} to {})",
                                                 cohorts::kCohortsMin, cohorts::kCohortsMax));
      }
    } else if (key == "seed") {
      if (!value.is_number_unsigned()) {
        return fail(Errc::kRejected, R"("seed" must be a whole number of at least 0)");
      }
      options.seed = value.get<std::uint64_t>();
    } else {
      return fail(Errc::kRejected,
                  fmt::format(R"(unknown member "{}"; there are "k" and "seed")", key));
    }
  }
  return {};
}

struct PastAsk {
  std::string id;
  bool history = false;
  std::uint64_t limit = 0;                    ///< weeks, or events
  std::optional<analyzer::EventPlace> after;  ///< the page before ended with it
};

/// A body with events, as parse() of its format takes it.
struct Body {
  std::function<void(events::Parsed&)> parse;
  std::size_t here_max = 0;  ///< the longest that is parsed on the I/O thread
};

/// What became of it.
struct Taken {
  bool empty = false;   ///< it held nothing, so nothing was queued
  bool queued = false;  ///< else the refusal came from before the queue
  std::vector<RowError> errors;
  std::optional<Result<Receipt>> receipt;
  std::exception_ptr fault;
};

/// Whether there is a receipt; where not, says why, `nothing` of a body that was empty.
bool stored(const Request& q, Response& r, const Taken& taken, std::string_view nothing) {
  if (taken.empty) {
    problem(q, r, 400, "empty-body", nothing);
    return false;
  }
  if (!*taken.receipt) problem_of(q, r, taken.receipt->error(), !taken.queued);
  return taken.receipt->has_value();
}

std::vector<RowError> first_errors(const events::Parsed& parsed) {
  std::vector<RowError> errors;
  for (const events::Rejection& row : parsed.rejected) {
    if (errors.size() == kRowErrorsMax) break;
    errors.push_back({row.line, row.reason});
  }
  return errors;
}

}  // namespace

void Door::report(const analyzer::Progress& progress) {
  log_phase_ = progress.what == "log";
  done_ = progress.done;
  total_ = progress.total;
}

std::string Door::progress_json() const {
  return fmt::format(R"({{"what":"{}","done":{},"total":{}}})", log_phase_ ? "log" : "snapshot",
                     done_.load(), total_.load());
}

std::vector<std::string> ApiConfig::validate() const {
  std::vector<std::string> faults;
  if (instance.empty() || instance.size() > 64) {
    faults.emplace_back("instance must have 1 to 64 characters");
  }
  if (batch_bytes_max < 1024) faults.emplace_back("batch_bytes_max must be at least 1 KiB");
  if (statements_bytes_max < 1024) {
    faults.emplace_back("statements_bytes_max must be at least 1 KiB");
  }
  if (nlohmann::json::parse(effective_config, nullptr, false).is_discarded()) {
    faults.emplace_back("effective_config is not JSON");
  }
  for (std::string& fault : discovery.validate()) faults.push_back("discovery: " + fault);
  return faults;
}

struct Api::State {
  State(ApiConfig given, Door& to, const Clock& time, Parallel& workers, Elsewhere there)
      : config(std::move(given)),
        door(to),
        clock(time),
        parallel(workers),
        elsewhere(std::move(there)),
        xapi(config.xapi),
        metrics(labels(), time.wall(), config.link_bytes_per_second) {}

  static std::vector<std::string> labels() {
    std::vector<std::string> all;
    for (const RouteInfo& route : table()) all.emplace_back(route.path);
    return all;
  }

  void learner(const Request& q, Response& r, bool traits);
  std::optional<PastAsk> past_ask(const Request& q, Response& r, LearnerPart part) const;
  Result<std::string> read_past(const PastAsk& ask) const;
  Task<void> past(const Request& q, Response& r, LearnerPart part);
  void cohorts(const Request& q, Response& r);
  void cohort(const Request& q, Response& r, bool learners);
  void experiment(const Request& q, Response& r);
  void readyz(const Request& q, Response& r);
  void metrics_text(const Request& q, Response& r);
  void root(const Request& q, Response& r);
  void parse_events(const Request& q, events::Parsed& parsed);
  Task<void> events(Request& q, Response& r);
  void parse_statements(const Request& q, events::Parsed& parsed, std::string& ids);
  Task<void> statements(Request& q, Response& r);
  Task<void> discover(Request& q, Response& r);
  Task<void> take(Request& q, const Body& body, Taken& out);
  void parse_and_submit(Request& q, const Body& body, Analyzer::Place& place, Taken& out,
                        const std::function<void()>& resume);
  Result<std::shared_ptr<const cohorts::Discovery>> run_discovery(const cohorts::Options& options);
  std::string source_name(const Request& q);

  const ApiConfig config;
  Door& door;
  const Clock& clock;
  Parallel& parallel;
  const Elsewhere elsewhere;
  // Parsers keep large buffers, so they are lent out rather than made per request.
  std::unique_ptr<events::Ndjson> borrow();
  void give_back(std::unique_ptr<events::Ndjson> parser);
  std::mutex parsers_mutex;
  std::vector<std::unique_ptr<events::Ndjson>> parsers;
  std::mutex xapi_mutex;
  events::Xapi xapi;

  Experiments experiments;
  Metrics metrics;
  std::atomic<const ServerCounters*> server{nullptr};
  std::atomic<std::uint64_t> requests_named{0};
  std::atomic<bool> discovering{false};
  std::atomic<unsigned> readings{0};
};

std::unique_ptr<events::Ndjson> Api::State::borrow() {
  const std::lock_guard lock(parsers_mutex);
  if (parsers.empty()) return std::make_unique<events::Ndjson>();
  auto parser = std::move(parsers.back());
  parsers.pop_back();
  return parser;
}

void Api::State::give_back(std::unique_ptr<events::Ndjson> parser) {
  static constexpr std::size_t kParsersKept = 8;
  const std::lock_guard lock(parsers_mutex);
  if (parsers.size() < kParsersKept) parsers.push_back(std::move(parser));
}

std::string Api::State::source_name(const Request& q) {
  const std::string_view key = q.field("Idempotency-Key");
  if (!key.empty()) return fmt::format("http:{}", key);
  return fmt::format("request:{}-{}", config.instance, requests_named.fetch_add(1));
}

/// On whatever thread; says by `resume` that it is done, and from then on all else that was given
/// may be gone.
void Api::State::parse_and_submit(Request& q, const Body& body, Analyzer::Place& place, Taken& out,
                                  const std::function<void()>& resume) {
  try {
    events::Parsed parsed;
    body.parse(parsed);
    q.drop_body();
    out.empty = parsed.batch.rows() == 0 && parsed.rejected.empty();
    if (out.empty) return resume();
    out.errors = first_errors(parsed);
    out.queued = true;
    const Result<void> taken = door.analyzer()->submit(std::move(place), std::move(parsed),
                                                       [&out, resume](Result<Receipt> receipt) {
                                                         out.receipt = std::move(receipt);
                                                         resume();
                                                       });
    if (taken) return;
    out.queued = false;
    out.receipt = std::unexpected(taken.error());
  } catch (...) {
    out.fault = std::current_exception();
  }
  resume();
}

/// Parses a body and stores its events, or refuses it unread: under overload most bodies are
/// refused, and reading them must not take the time of those that are not.
Task<void> Api::State::take(Request& q, const Body& body, Taken& out) {
  // Until it is parsed it takes its length. Once it is, a few short rows may take more.
  auto place = door.analyzer()->place(q.body().size());
  if (!place) {
    out.receipt = std::unexpected(place.error());
    co_return;
  }
  co_await wait_for([&](auto resume) {
    if (q.body().size() <= body.here_max) return parse_and_submit(q, body, *place, out, resume);
    elsewhere.parsers([this, &q, &body, &place, &out, resume] {
      parse_and_submit(q, body, *place, out, resume);
    });
  });
  if (out.fault) std::rethrow_exception(out.fault);
}

/// The page's files too: to metrics they are one thing.
void Api::State::root(const Request& q, Response& r) {
  if (const pages::Asset* asset = pages::find(split_target(q.target()).path)) {
    return pages::answer(*asset, q, r);
  }
  if (pages::wants_page(q)) return pages::answer(pages::assets().front(), q, r);
  r.field("Vary", "Accept");
  nlohmann::ordered_json links = nlohmann::ordered_json::array();
  for (std::uint32_t i = kHealth; i < kRoutesEnd; ++i) {
    links.push_back(fmt::format("{} {}", table()[i].methods.front(), table()[i].path));
  }
  r.body = analyzer::dump({{"name", "covey"},
                           {"version", config.version},
                           {"openapi", "/openapi.json"},
                           {"routes", std::move(links)}},
                          false);
}

void Api::State::experiment(const Request& q, Response& r) {
  const Target target = split_target(q.target());
  const auto name = http::percent_decode(target.path.substr(kExperimentsPrefix.size()));
  if (!name) return problem(q, r, 400, "bad-target", name.error().message);
  const auto view = experiments.find(*name);
  if (!view) {
    return problem(q, r, 404, "unknown-experiment",
                   "this service was told of no such experiment: GET /v1/experiments lists them");
  }
  if (view->json.empty()) {
    const std::string why = view->fault.empty() ? "its first analysis is under way" : view->fault;
    return problem(q, r, 503, "not-analysed", why, kRecoveringSeconds);
  }
  const auto format = query_value(target.query, "format");
  if (!format || (*format && **format != "html" && **format != "json")) {
    return problem(q, r, 400, "bad-target", "format is json or html");
  }
  if (!*format || **format == "json") {
    r.body = view->json;
    return;
  }
  r.content_type = "text/html; charset=utf-8";
  r.body = view->html;
  pages::as_document(r);
}

void Api::State::metrics_text(const Request& q, Response& r) {
  std::optional<std::uint32_t> split;
  const auto text = query_value(http::split_target(q.target()).query, "split");
  if (!text) return problem(q, r, 400, "bad-target", text.error().message);
  if (*text) {
    const auto number = parse_number(**text, "split", 0, analyzer::Activity::kBuckets);
    if (!number) return problem(q, r, 400, "bad-target", number.error().message);
    split = static_cast<std::uint32_t>(*number);
  }
  r.content_type = "text/plain; version=0.0.4; charset=utf-8";
  r.body = metrics.text(door.analyzer(), server.load(), split);
}

void Api::State::readyz(const Request& q, Response& r) {
  if (door.draining()) {
    return problem(q, r, 503, "draining", "this process is stopping: send requests elsewhere",
                   kBusySeconds, R"("ready":false)");
  }
  if (door.analyzer() == nullptr) {
    return problem(q, r, 503, "not-ready", "this process is reading its store: try again shortly",
                   kRecoveringSeconds,
                   fmt::format(R"("ready":false,"recovering":{})", door.progress_json()));
  }
  // Look-ups are answered; until the known ids are read, events wait in the queue.
  r.body =
      door.analyzer()->takes_events() ? R"({"ready":true})" : R"({"ready":true,"events":"queued"})";
}

void Api::State::learner(const Request& q, Response& r, bool traits) {
  const Target target = split_target(q.target());
  const auto path = parse_learner_path(target.path.substr(kLearnersPrefix.size()));
  if (!path) return problem(q, r, 400, "bad-target", path.error().message);
  const Analyzer& a = *door.analyzer();
  const std::optional<analyzer::Answer> answer = a.find(path->id);
  metrics.lookup(answer.has_value(),
                 answer && answer->facts.state == learners::LearnerState::kActive,
                 answer && answer->cohort.has_value());
  if (!answer) {
    return problem(q, r, 404, "unknown-learner", "no event of this learner was ever accepted");
  }
  if (traits) {
    append_traits(r.body, *answer);
  } else {
    append_learner(r.body, *answer, a.engine().name());
  }
}

/// What is asked of a learner's past; nothing, having answered, where that can't be told.
std::optional<PastAsk> Api::State::past_ask(const Request& q, Response& r, LearnerPart part) const {
  const auto refuse = [&](std::string_view type, std::string_view detail) {
    problem(q, r, 400, type, detail);
    return std::nullopt;
  };
  const Target target = split_target(q.target());
  auto path = parse_learner_path(target.path.substr(kLearnersPrefix.size()));
  if (!path) return refuse("bad-target", path.error().message);
  PastAsk ask;
  ask.id = std::move(path->id);
  ask.history = part == LearnerPart::kHistory;
  ask.limit = ask.history ? kWeeksDefault : kEventsDefault;
  const auto wanted = query_value(target.query, ask.history ? "weeks" : "limit");
  if (!wanted) return refuse("bad-target", wanted.error().message);
  if (*wanted) {
    const auto number = ask.history ? parse_number(**wanted, "weeks", 1, kWeeksMax)
                                    : parse_number(**wanted, "limit", 1, kEventsMax);
    if (!number) return refuse("bad-target", number.error().message);
    ask.limit = *number;
  }
  if (ask.history) return ask;
  const auto text = query_value(target.query, "cursor");
  if (!text) return refuse("bad-target", text.error().message);
  if (*text) {
    const auto cursor = decode_event_cursor(**text);
    if (!cursor) return refuse("bad-cursor", cursor.error().message);
    if (cursor->learner != hash64(ask.id)) {
      return refuse("bad-cursor", "this cursor belongs to another learner");
    }
    ask.after = cursor->last;
  }
  return ask;
}

/// Reads the log: on a thread of `elsewhere.readers`.
Result<std::string> Api::State::read_past(const PastAsk& ask) const {
  const Analyzer& a = *door.analyzer();
  const Time as_of = a.as_of();
  const auto past = COVEY_TRY(analyzer::read_past(a.log(), ask.id, as_of, config.past, clock));
  std::string body;
  if (ask.history) {
    std::vector<analyzer::PastFacts> weeks;
    if (past.scan.complete()) {
      weeks = analyzer::facts_over_time(past, ask.id, as_of, static_cast<std::uint32_t>(ask.limit));
    }
    append_history(body, ask.id, past, weeks);
    return body;
  }
  std::size_t from = 0;
  while (ask.after && from < past.newest.size() && past.newest[from] >= *ask.after) ++from;
  std::string next;
  if (past.newest.size() - from > ask.limit) {
    next = encode(EventCursor{hash64(ask.id), past.newest[from + ask.limit - 1]});
  }
  append_events(body, ask.id, past, from, ask.limit, next);
  return body;
}

/// A learner's history or events.
Task<void> Api::State::past(const Request& q, Response& r, LearnerPart part) {
  const std::optional<PastAsk> ask = past_ask(q, r, part);
  if (!ask) co_return;
  // Nobody reads the whole log to say that there is nothing.
  if (!door.analyzer()->find(ask->id)) {
    problem(q, r, 404, "unknown-learner", "no event of this learner was ever accepted");
    co_return;
  }
  if (readings.fetch_add(1) >= kReadingsMax) {
    --readings;
    problem(q, r, 429, "log-busy",
            "as many readings of the log as may wait are waiting: try again shortly", kBusySeconds);
    co_return;
  }
  std::optional<Result<std::string>> body;
  co_await wait_for([&](auto resume) {
    elsewhere.readers([this, &body, &ask, resume] {
      body = read_past(*ask);
      --readings;
      resume();
    });
  });
  if (!*body) {
    problem_of(q, r, body->error(), false);
    co_return;
  }
  r.body += **body;
}

void Api::State::cohorts(const Request& q, Response& r) {
  const Analyzer& a = *door.analyzer();
  const auto run = a.discovery();
  if (!run) {
    return problem(q, r, 404, "no-discovery",
                   "no cohorts were discovered yet: POST /v1/discover runs a discovery");
  }
  nlohmann::ordered_json json = analyzer::to_json(*run);
  json["engine"] = a.engine().name();
  r.body = analyzer::dump(json, false);
}

void Api::State::cohort(const Request& q, Response& r, bool learners) {
  const Analyzer& a = *door.analyzer();
  const Target target = split_target(q.target());
  std::string_view text = target.path.substr(kCohortsPrefix.size());
  text = text.substr(0, text.find('/'));
  const auto id = parse_number(text, "a cohort's id", 0, 0xffffffff);
  if (!id) return problem(q, r, 400, "bad-target", id.error().message);
  const auto run = a.discovery();
  if (!run) {
    return problem(q, r, 404, "no-discovery",
                   "no cohorts were discovered yet: POST /v1/discover runs a discovery");
  }
  std::uint64_t limit = kPageDefault;
  PageCursor page{run_tag(*run), static_cast<std::uint32_t>(*id), 0};
  if (learners) {
    const auto limit_text = query_value(target.query, "limit");
    const auto cursor_text = query_value(target.query, "cursor");
    if (!limit_text || !cursor_text) {
      return problem(q, r, 400, "bad-target",
                     (!limit_text ? limit_text : cursor_text).error().message);
    }
    if (*limit_text) {
      const auto number = parse_number(**limit_text, "limit", 1, kPageMax);
      if (!number) return problem(q, r, 400, "bad-target", number.error().message);
      limit = *number;
    }
    if (*cursor_text) {
      const auto cursor = decode_cursor(**cursor_text);
      if (!cursor) return problem(q, r, 400, "bad-cursor", cursor.error().message);
      if (cursor->cohort != page.cohort) {
        return problem(q, r, 400, "bad-cursor", "this cursor belongs to another cohort");
      }
      if (cursor->run != page.run) {
        return problem(q, r, 410, "discovery-replaced",
                       "a newer discovery has replaced the one this cursor pages through: begin "
                       "again without a cursor");
      }
      page.next = cursor->next;
    }
  }
  const auto found = std::ranges::find(run->cohorts, page.cohort, &cohorts::Cohort::id);
  if (found == run->cohorts.end()) {
    return problem(q, r, 404, "unknown-cohort",
                   "the latest discovery has no cohort of this id: GET /v1/cohorts lists them");
  }
  if (!learners) {
    nlohmann::ordered_json json = analyzer::to_json(*found);
    json["as_of"] = format_time(run->as_of);
    json["engine"] = a.engine().name();
    r.body = analyzer::dump(json, false);
    return;
  }
  // One more than asked for tells whether there is a next page.
  auto ids = a.cohort_learners(*run, page.cohort, page.next, limit + 1);
  if (!ids) return problem_of(q, r, ids.error(), false);
  const bool more = ids->size() > limit;
  if (more) ids->resize(limit);
  fmt::format_to(std::back_inserter(r.body), R"({{"cohort":{},"as_of":"{}","learners":[)",
                 page.cohort, format_time(run->as_of));
  for (std::size_t i = 0; i < ids->size(); ++i) {
    if (i > 0) r.body += ',';
    append_json_string(r.body, (*ids)[i]);
  }
  r.body += R"(],"next":)";
  if (more) {
    page.next += limit;
    append_json_string(r.body, encode(page));
  } else {
    r.body += "null";
  }
  r.body += '}';
}

void Api::State::parse_events(const Request& q, events::Parsed& parsed) {
  events::Source source{source_name(q), 1, door.analyzer()->latest_acceptable()};
  std::string_view rest = q.body();
  auto parser = borrow();
  while (!rest.empty()) {
    std::size_t cut = rest.size();
    if (cut > kSliceBytes) {
      cut = rest.rfind('\n', kSliceBytes - 1);
      if (cut == rest.npos) cut = rest.find('\n', kSliceBytes);
      cut = cut == rest.npos ? rest.size() : cut + 1;
    }
    const std::string_view slice = rest.substr(0, cut);
    parser->parse(slice, source, parsed);
    rest.remove_prefix(cut);
    source.first_line += static_cast<std::uint64_t>(std::ranges::count(slice, '\n'));
  }
  give_back(std::move(parser));
}

Task<void> Api::State::events(Request& q, Response& r) {
  const Body body{.parse = [&](events::Parsed& parsed) { parse_events(q, parsed); },
                  .here_max = kParsedHereMax};
  Taken taken;
  co_await take(q, body, taken);
  if (!stored(q, r, taken, "the body holds no events: send one JSON object per line")) co_return;
  const Result<Receipt>& receipt = *taken.receipt;
  std::string members;
  append_receipt_members(members, *receipt, taken.errors);
  if (receipt->accepted + receipt->duplicates == 0) {
    problem(q, r, 422, "all-rows-rejected",
            "every row was rejected; they are kept in the quarantine, to be replayed once mended",
            0, members);
    co_return;
  }
  r.body += '{';
  r.body += members;
  r.body += '}';
}

void Api::State::parse_statements(const Request& q, events::Parsed& parsed, std::string& ids) {
  const events::Source source{source_name(q), 1, door.analyzer()->latest_acceptable()};
  if (q.body().size() <= kStatementsHereMax) {
    const std::lock_guard lock(xapi_mutex);
    xapi.parse(q.body(), source, parsed);
  } else {
    // With a parser of its own: nobody on an I/O thread may wait for this one.
    events::Xapi(config.xapi).parse(q.body(), source, parsed);
  }
  ids = "[";
  for (std::uint32_t row = 0; row < parsed.batch.size(); ++row) {
    if (parsed.batch.part(row) != events::RowPart::kWhole) continue;
    if (ids.size() > 1) ids += ',';
    append_json_string(ids, parsed.batch.id(row));
  }
  ids += ']';
}

Task<void> Api::State::statements(Request& q, Response& r) {
  std::string ids;
  const Body body{.parse = [&](events::Parsed& parsed) { parse_statements(q, parsed, ids); },
                  .here_max = kStatementsHereMax};
  Taken taken;
  co_await take(q, body, taken);
  if (!stored(q, r, taken, "the body holds no statements: send one, or an array")) co_return;
  const Result<Receipt>& receipt = *taken.receipt;
  if (receipt->rejected > 0) {
    std::string members;
    append_receipt_members(members, *receipt, taken.errors);
    problem(q, r, 400, "statements-rejected",
            fmt::format("{} statements were rejected; the other {} are stored all the same and "
                        "need not be sent again",
                        receipt->rejected, receipt->accepted + receipt->duplicates),
            0, members);
    co_return;
  }
  r.body += ids;
}

Result<std::shared_ptr<const cohorts::Discovery>> Api::State::run_discovery(
    const cohorts::Options& options) {
  const auto begun = clock.now();
  auto run = door.analyzer()->discover(options, parallel, true);
  if (run) metrics.discovery(clock.now() - begun);
  return run;
}

Task<void> Api::State::discover(Request& q, Response& r) {
  cohorts::Options options = config.discovery;
  if (const auto read = read_discover(q.body(), options); !read) {
    problem(q, r, 400, "bad-body", read.error().message);
    co_return;
  }
  if (discovering.exchange(true)) {
    problem(q, r, 409, "discovery-running", "a discovery is under way: wait for it, then try again",
            kBusySeconds);
    co_return;
  }
  std::optional<Result<std::shared_ptr<const cohorts::Discovery>>> run;
  co_await wait_for([&](auto resume) {
    elsewhere.discovery([this, &run, &options, resume] {
      run = run_discovery(options);
      discovering = false;
      resume();
    });
  });
  if (!*run) {
    if (run->error().code == Errc::kRetryLater) {
      problem(q, r, 409, "discovery-running", run->error().message, kBusySeconds);
    } else {
      problem_of(q, r, run->error(), false);
    }
    co_return;
  }
  nlohmann::ordered_json json = analyzer::to_json(***run);
  json["engine"] = door.analyzer()->engine().name();
  r.body = analyzer::dump(json, false);
}

Api::Api(ApiConfig config, Door& door, const Clock& clock, Parallel& parallel, Elsewhere elsewhere)
    : state_(
          std::make_unique<State>(std::move(config), door, clock, parallel, std::move(elsewhere))) {
  COVEY_CHECK(state_->config.validate().empty());
}

Api::~Api() = default;

std::optional<std::size_t> Api::admit(const Request& q, Response& r) {
  const Route route = match(split_target(q.target()).path);
  r.tag = route;
  if (route == kNone) {
    problem(q, r, 404, "no-such-route", "there is nothing here; /openapi.json lists what there is");
    return std::nullopt;
  }
  const bool post = takes_post(route);
  if (post ? q.method != Method::kPost : q.method != Method::kGet && q.method != Method::kHead) {
    problem(q, r, 405, "method", "this method is not offered here; see the Allow field");
    r.field("Allow", post ? "POST" : "GET, HEAD");
    return std::nullopt;
  }
  if (route == kStatements) {
    r.field("X-Experience-API-Version", kXapiVersion);
    const std::string_view version = q.field("X-Experience-API-Version");
    if (version != "1.0" && !(version.starts_with("1.0.") && version.size() > 4)) {
      problem(q, r, 400, "xapi-version",
              "send the field X-Experience-API-Version: 1.0.3 (any 1.0.x is understood)");
      return std::nullopt;
    }
  }
  if (needs_analyzer(route) && state_->door.analyzer() == nullptr) {
    problem(q, r, 503, "not-ready", "this process is reading its store: try again shortly",
            kRecoveringSeconds, fmt::format(R"("recovering":{})", state_->door.progress_json()));
    return std::nullopt;
  }
  if (!post) return kSmallBodyMax;

  const std::string type = media_type(q.field("Content-Type"));
  const bool known_type =
      type.empty() || type == "application/json" ||
      (route == kEvents &&
       (type == "application/x-ndjson" || type == "application/ndjson" || type == "text/plain")) ||
      // What command-line clients send unless told otherwise; the body decides.
      (route != kStatements && type == "application/x-www-form-urlencoded");
  if (!known_type) {
    problem(q, r, 415, "media-type",
            route == kEvents ? "send application/x-ndjson: one JSON object per line"
                             : "send application/json");
    return std::nullopt;
  }
  const std::string coding = media_type(q.field("Content-Encoding"));
  if (!coding.empty() && coding != "identity") {
    problem(q, r, 415, "content-encoding", "send the body as it is, without Content-Encoding");
    r.field("Accept-Encoding", "identity");
    return std::nullopt;
  }
  const std::string_view key = q.field("Idempotency-Key");
  const bool printable = std::ranges::all_of(key, [](char c) { return c >= 0x20 && c < 0x7f; });
  if (key.size() > kKeyBytesMax || !printable) {
    problem(
        q, r, 400, "idempotency-key",
        fmt::format("Idempotency-Key takes at most {} printable ASCII characters", kKeyBytesMax));
    return std::nullopt;
  }
  if (route == kDiscover) return kSmallBodyMax;
  return route == kEvents ? state_->config.batch_bytes_max : state_->config.statements_bytes_max;
}

Task<void> Api::handle(Request& q, Response& r) {
  State& s = *state_;
  switch (static_cast<Route>(r.tag)) {
    case kLearner:
      s.learner(q, r, false);
      break;
    case kTraits:
      s.learner(q, r, true);
      break;
    case kEvents:
      co_await s.events(q, r);
      break;
    case kStatements:
      co_await s.statements(q, r);
      break;
    case kHistory:
      co_await s.past(q, r, LearnerPart::kHistory);
      break;
    case kLearnerEvents:
      co_await s.past(q, r, LearnerPart::kEvents);
      break;
    case kDiscoveries:
      r.body = analyzer::dump(analyzer::to_json(*s.door.analyzer()->runs()), false);
      break;
    case kCohorts:
      s.cohorts(q, r);
      break;
    case kCohort:
      s.cohort(q, r, false);
      break;
    case kCohortLearners:
      s.cohort(q, r, true);
      break;
    case kDiscover:
      co_await s.discover(q, r);
      break;
    case kExperiments:
      r.body = s.experiments.list();
      break;
    case kExperiment:
      s.experiment(q, r);
      break;
    case kRoot:
      s.root(q, r);
      break;
    case kHealth:
      r.body = R"({"up":true})";
      break;
    case kReady:
      s.readyz(q, r);
      break;
    case kMetrics:
      s.metrics_text(q, r);
      break;
    case kConfig:
      r.body = s.config.effective_config;
      break;
    case kOpenapi:
      r.body = openapi();
      break;
    case kNone:
    case kRoutesEnd:
      COVEY_CHECK(false);
  }
}

void Api::finished(const Request& q, const Response& r, std::chrono::nanoseconds took) noexcept {
  state_->metrics.request(r.tag, q.method, r.status, took);
  if (!r.problem_type.empty()) state_->metrics.refused(r.problem_type);
}

Experiments& Api::experiments() {
  return state_->experiments;
}

void Api::watch(const ServerCounters& counters) {
  state_->server = &counters;
}

Result<std::shared_ptr<const cohorts::Discovery>> Api::rediscover() {
  if (state_->door.analyzer() == nullptr) {
    return fail(Errc::kRetryLater, "the store is still being read");
  }
  if (state_->discovering.exchange(true)) {
    return fail(Errc::kRetryLater, "a discovery is under way");
  }
  auto run = state_->run_discovery(state_->config.discovery);
  state_->discovering = false;
  return run;
}

std::span<const RouteInfo> Api::routes() {
  return std::span(table()).subspan(kRoot);
}

std::string_view Api::openapi() {
  return kOpenapiDocument;
}

}  // namespace covey::service

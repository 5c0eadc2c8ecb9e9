#include "control/api.h"

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "control/openapi.h"
#include "control/report.h"
#include "http/exposition.h"
#include "http/target.h"
#include "http/wait.h"
#include "rollout/json.h"

namespace covey::control {
namespace {

namespace asio = boost::asio;
using http::kAwait;
using http::Method;
using http::Request;
using http::Response;
using http::Task;
using rollout::Command;

constexpr std::size_t kBodyMax = std::size_t{64} << 10;
constexpr std::string_view kIncidents = "/v1/rollout/incidents/";
constexpr std::string_view kImpacts = "/v1/rollout/impacts/";
constexpr std::chrono::milliseconds kStreamEvery{250};
constexpr std::chrono::seconds kStreamKeepAlive{15};

const std::vector<RouteInfo>& table() {
  static const std::vector<RouteInfo> kTable = {
      {"/", {"GET"}, false},
      {"/healthz", {"GET"}, false},
      {"/readyz", {"GET"}, false},
      {"/metrics", {"GET"}, false},
      {"/config", {"GET"}, false},
      {"/openapi.json", {"GET"}, false},
      {"/v1/rollout", {"GET"}, false},
      {"/v1/rollout/events", {"GET"}, false},
      {"/v1/rollout/telemetry", {"GET"}, false},
      {"/v1/rollout/journal", {"GET"}, false},
      {"/v1/rollout/report", {"GET"}, false},
      {"/v1/rollout/commands", {"POST"}, true},
      {"/v1/rollout/approvals", {"POST"}, true},
      {"/v1/rollout/incidents", {"POST"}, true},
      {"/v1/rollout/incidents/{id}/acknowledge", {"POST"}, true},
      {"/v1/rollout/incidents/{id}/resolve", {"POST"}, true},
      {"/v1/rollout/work", {"POST"}, true},
      {"/v1/rollout/impacts/{measure}", {"PUT"}, true},
  };
  return kTable;
}

const RouteInfo* match(std::string_view path) {
  std::string pattern(path);
  if (path.starts_with(kIncidents)) {
    const std::string_view rest = path.substr(kIncidents.size());
    const std::size_t slash = rest.find('/');
    if (slash == rest.npos || slash == 0) return nullptr;
    pattern = fmt::format("{}{{id}}{}", kIncidents, rest.substr(slash));
  } else if (path.starts_with(kImpacts) && path.size() > kImpacts.size()) {
    pattern = fmt::format("{}{{measure}}", kImpacts);
  }
  for (const RouteInfo& route : table()) {
    if (route.path == pattern) return &route;
  }
  return nullptr;
}

void problem(const Request& q, Response& r, unsigned status, std::string_view type,
             std::string_view detail) {
  r.problem(status, type, detail, q.target());
}

void answer(Response& r, const Json& json) {
  r.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Members of a body, read strictly: one that nobody asked for is a fault.
class Body {
 public:
  explicit Body(std::string_view text) : json_(Json::parse(text, nullptr, false)) {
    if (!json_.is_object()) fault_ = "the body must be a JSON object";
  }
  std::string text(const char* key, bool required) {
    const Json* value = find(key, required);
    if (value == nullptr) return {};
    if (!value->is_string()) return note(fmt::format("\"{}\" must be a string", key)), "";
    return value->get<std::string>();
  }
  std::optional<double> number(const char* key, bool required) {
    const Json* value = find(key, required);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) return note(fmt::format("\"{}\" must be a number", key)), std::nullopt;
    return value->get<double>();
  }
  bool flag(const char* key) {
    const Json* value = find(key, false);
    if (value != nullptr && !value->is_boolean())
      note(fmt::format("\"{}\" must be true or false", key));
    return value != nullptr && value->is_boolean() && value->get<bool>();
  }
  std::optional<Time> time(const char* key) {
    const std::string text = this->text(key, false);
    if (text.empty()) return std::nullopt;
    const auto at = parse_time(text);
    if (!at) return note(fmt::format("\"{}\": {}", key, at.error().message)), std::nullopt;
    return *at;
  }
  void note(std::string fault) {
    if (fault_.empty()) fault_ = std::move(fault);
  }
  /// The first fault; empty: none.
  std::string fault() {
    if (fault_.empty()) {
      for (const auto& [key, value] : json_.items()) {
        if (std::ranges::find(asked_, key) == asked_.end()) {
          return fmt::format("\"{}\" means nothing here; known: {}", key, fmt::join(asked_, ", "));
        }
      }
    }
    return fault_;
  }

 private:
  const Json* find(const char* key, bool required) {
    asked_.emplace_back(key);
    if (!json_.is_object()) return nullptr;
    const auto at = json_.find(key);
    if (at != json_.end() && !at->is_null()) return &*at;
    if (required) note(fmt::format("\"{}\" is missing", key));
    return nullptr;
  }
  Json json_;
  std::vector<std::string> asked_;
  std::string fault_;
};

std::optional<Command::Kind> command_kind(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames = {"hold",  "resume", "reduce",
                                                      "abort", "start",  "reschedule"};
  const auto at = std::ranges::find(kNames, name);
  if (at == kNames.end()) return std::nullopt;
  return static_cast<Command::Kind>(at - kNames.begin());
}

/// Nothing, with a fault noted, where the path or body is no input.
std::optional<rollout::What> input_of(std::string_view path, Body& body, const Identity& who) {
  if (path == "/v1/rollout/commands") {
    Command out;
    const std::string kind = body.text("command", true);
    const auto known = command_kind(kind);
    if (known) {
      out.kind = *known;
    } else {
      body.note("\"command\" is hold, resume, reduce, abort, start or reschedule");
    }
    out.role = who.role;
    out.person = who.person;
    out.reason = body.text("reason", false);
    out.stage = body.text("stage", false);
    out.start = body.time("start");
    const auto share = body.number("share", known == Command::Kind::kReduce);
    if (share) {
      // Written as a fraction, like every share of the API.
      const double points = *share * plan::kEveryone;
      if (!(points >= 0 && points <= plan::kEveryone)) {
        body.note("\"share\" is a fraction from 0 to 1: 0.05 for 5 %");
      } else {
        out.share = static_cast<plan::BasisPoints>(points + 0.5);
      }
    }
    return out;
  }
  if (path == "/v1/rollout/approvals") {
    const std::string stage = body.text("stage", true), reason = body.text("reason", false);
    if (!body.flag("override")) return rollout::Approve{stage, who.role, who.person};
    if (reason.empty()) body.note("an override needs its \"reason\"");
    return rollout::Override{stage, who.role, who.person, reason};
  }
  if (path == "/v1/rollout/incidents") {
    constexpr std::array<std::string_view, 4> kSeverities = {"critical", "high", "medium", "low"};
    const std::string severity = body.text("severity", true);
    const auto at = std::ranges::find(kSeverities, severity);
    if (at == kSeverities.end()) body.note("\"severity\" is critical, high, medium or low");
    const std::string title = body.text("title", true);
    std::string key = body.text("key", false);
    if (key.empty()) key = "reported/" + title;
    return rollout::ReportIncident{static_cast<plan::Severity>(at - kSeverities.begin()),
                                   std::move(key), title, who.person};
  }
  if (path.starts_with(kIncidents)) {
    std::string_view rest = path.substr(kIncidents.size());
    const std::size_t slash = rest.find('/');
    const auto id = http::parse_number(rest.substr(0, slash), "the incident", 1, UINT64_MAX);
    if (!id) {
      body.note(id.error().message);
      return std::nullopt;
    }
    if (rest.substr(slash) == "/acknowledge") return rollout::Acknowledge{*id, who.person};
    return rollout::Resolve{*id, who.person};
  }
  return rollout::WorkDone{body.text("name", true), who.person};
}

}  // namespace

Api::Api(ApiConfig config, Controller& controller, const Journal& journal, const Tokens& tokens,
         const Clock& clock)
    : config_(std::move(config)),
      controller_(controller),
      journal_(journal),
      tokens_(tokens),
      clock_(clock) {}

std::span<const RouteInfo> Api::routes() {
  return table();
}
std::string_view Api::openapi() {
  return kOpenapiDocument;
}

std::optional<std::size_t> Api::admit(const Request& q, Response& r) {
  const RouteInfo* route = match(http::split_target(q.target()).path);
  if (route == nullptr) {
    problem(q, r, 404, "no-route", "there is nothing here; /openapi.json lists every route");
    return std::nullopt;
  }
  const Method method = q.method == Method::kHead ? Method::kGet : q.method;
  if (std::ranges::find(route->methods, http::name(method)) == route->methods.end()) {
    const std::string allowed = fmt::format("{}", fmt::join(route->methods, ", "));
    problem(q, r, 405, "method", fmt::format("here only {} is answered", allowed));
    r.field("Allow", allowed);
    return std::nullopt;
  }
  if (!route->token) return 0;
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view given = q.field("Authorization");
  const auto who =
      given.starts_with(kBearer) ? tokens_.find(given.substr(kBearer.size())) : std::nullopt;
  if (!who) {
    ++refused_tokens_;
    problem(q, r, 401, "token",
            given.empty() ? "this needs a token: Authorization: Bearer TOKEN"
                          : "this token is not known here");
    r.field("WWW-Authenticate", "Bearer");
    return std::nullopt;
  }
  return kBodyMax;
}

Task<void> Api::handle(Request& q, Response& r) {
  r.tag = 1;
  ++requests_;
  const std::string_view path = http::split_target(q.target()).path;
  const RouteInfo* route = match(path);
  if (route != nullptr && route->token) {
    // admit() let it in by the same field.
    const auto who = tokens_.find(q.field("Authorization").substr(7));
    if (who) co_await act(q, r, *who);
    co_return;
  }
  co_await read(q, r);
}

Task<void> Api::put(rollout::What what, Request& q, Response& r) {
  Result<Controller::Decisions> done = fail(Errc::kFailed, "not answered");
  co_await http::wait_for([&](auto resume) {
    controller_.submit(std::move(what), [&done, resume](const Result<Controller::Decisions>& d) {
      done = d;
      resume();
    });
  });
  if (!done) {
    problem(q, r, 503, done.error().code == Errc::kFull ? "busy" : "journal", done.error().message);
    r.field("Retry-After", "1");
    co_return;
  }
  Json decisions = Json::array();
  for (const rollout::Decision& decision : *done) {
    if (decision.what == "refused") {
      problem(q, r, 409, "refused", decision.cause);
      co_return;
    }
    decisions.push_back(rollout::to_json(decision));
  }
  answer(r, {{"decisions", std::move(decisions)}});
}

Task<void> Api::act(Request& q, Response& r, const Identity& who) {
  const std::string path(http::split_target(q.target()).path);
  Body body(q.body().empty() ? "{}" : q.body());
  if (path.starts_with(kImpacts)) {
    const std::string name = path.substr(kImpacts.size());
    constexpr std::array kMeasures = {plan::Measure::kRevenue, plan::Measure::kChurn,
                                      plan::Measure::kEngagement};
    const auto at = std::ranges::find(kMeasures, name, [](auto m) { return plan::name(m); });
    if (at == kMeasures.end()) {
      problem(q, r, 404, "no-measure", "an impact is of revenue, churn or engagement");
      co_return;
    }
    const double estimate = body.number("estimate", true).value_or(0);
    const double low = body.number("low", true).value_or(0);
    const double high = body.number("high", true).value_or(0);
    if (!(low <= estimate && estimate <= high)) body.note("it must be low <= estimate <= high");
    if (const std::string fault = body.fault(); !fault.empty()) {
      problem(q, r, 422, "rejected", fault);
      co_return;
    }
    Result<void> kept;
    co_await http::wait_for([&](auto resume) {
      controller_.set_impact(*at, {estimate, {low, high}}, who.person,
                             [&kept, resume](const Result<void>& done) {
                               kept = done;
                               resume();
                             });
    });
    if (!kept) {
      problem(q, r, 503, "journal", kept.error().message);
      co_return;
    }
    answer(r, {{"measure", name}, {"by", who.person}});
    co_return;
  }
  auto what = input_of(path, body, who);
  if (const std::string fault = body.fault(); !fault.empty() || !what) {
    problem(q, r, 422, "rejected", fault);
    co_return;
  }
  co_await put(std::move(*what), q, r);
}

Task<void> Api::read(Request& q, Response& r) {
  const http::Target target = http::split_target(q.target());
  const std::string_view path = target.path;
  const auto query = [&](std::string_view name) {
    const auto value = http::query_value(target.query, name);
    return value && *value ? **value : std::string();
  };
  if (path == "/v1/rollout") {
    r.body = controller_.view()->status;
  } else if (path == "/v1/rollout/events") {
    stream(r);
    if (!r.stream) problem(q, r, 503, "streams", "as many streams as allowed are open");
  } else if (path == "/v1/rollout/telemetry" || path == "/v1/rollout/report") {
    const bool report = path.ends_with("/report");
    Result<std::string> made = fail(Errc::kRejected, "");
    const std::string from = query("from"), to = query("to"), steps = query("steps"),
                      kind = query("kind"), subject = query("subject"), format = query("format");
    co_await http::wait_for([&](auto resume) {
      const bool posted = controller_.with_books([&, resume](const Books& books) {
        made = [&]() -> Result<std::string> {
          if (report) {
            constexpr int kKinds = 7;
            for (int i = 0; i < kKinds; ++i) {
              const auto k = static_cast<rollout::ReportKind>(i);
              if (rollout::name(k) != kind) continue;
              const Report made_report = make_report(books, {k, subject});
              return format == "html" ? to_html(made_report) : to_markdown(made_report);
            }
            return fail(Errc::kRejected,
                        "kind is checkpoint, stage, incident, briefing, hand-over, "
                        "work or executive");
          }
          const Time end = to.empty() ? books.now : COVEY_TRY(parse_time(to));
          const Time begin = from.empty() ? end - books.plan.window : COVEY_TRY(parse_time(from));
          if (begin >= end) return fail(Errc::kRejected, "from must lie before to");
          if (!steps.empty()) {
            const auto n = COVEY_TRY(http::parse_number(steps, "steps", 1, 1'000));
            return series(books, begin, end, n).dump();
          }
          const auto window = figures(books, begin, end);
          if (!window) return fail(Errc::kNotFound, "no telemetry of this time is kept");
          return to_json(*window, books.history.shape()).dump();
        }();
        resume();
      });
      if (!posted) {
        made = fail(Errc::kRetryLater, "the controller is stopping");
        resume();
      }
    });
    if (!made && made.error().code == Errc::kRetryLater) {
      problem(q, r, 503, "stopping", made.error().message);
      co_return;
    }
    if (!made) {
      const bool none = made.error().code == Errc::kNotFound;
      problem(q, r, none ? 404 : 422, none ? "no-telemetry" : "rejected", made.error().message);
      co_return;
    }
    r.body = std::move(*made);
    if (report) r.content_type = format == "html" ? "text/html; charset=utf-8" : "text/markdown";
  } else if (path == "/v1/rollout/journal") {
    std::uint64_t after = 0, limit = 1'000;
    if (const std::string text = query("after"); !text.empty()) {
      std::from_chars(text.data(), text.data() + text.size(), after);
    }
    if (const std::string text = query("limit"); !text.empty()) {
      std::from_chars(text.data(), text.data() + text.size(), limit);
    }
    limit = std::clamp<std::uint64_t>(limit, 1, 10'000);
    const bool ticks = query("ticks") == "yes";
    std::string lines;
    const auto done = journal_.records(after, [&](const Record& record) {
      // A tick that decided nothing says what was measured: thousands an hour.
      const bool silent = !ticks && record.text.find("\"kind\":\"tick\"") != record.text.npos &&
                          record.text.find("\"decisions\":") == record.text.npos;
      if (silent) return true;
      lines += fmt::format("{{\"number\":{},\"chain\":\"{}\",{}\n", record.number, record.chain,
                           std::string_view(record.text).substr(1));
      return --limit > 0;
    });
    if (!done) {
      problem(q, r, 500, "journal", done.error().message);
      co_return;
    }
    r.content_type = "application/x-ndjson";
    r.body = std::move(lines);
  } else if (path == "/healthz" || path == "/readyz") {
    r.body = R"({"status":"ok"})";
  } else if (path == "/metrics") {
    http::Exposition own;
    own.counter("covey_control_tokens_refused_total", "Requests with a wrong token or none.",
                static_cast<double>(refused_tokens_.load()));
    r.content_type = http::Exposition::kContentType;
    r.body = controller_.view()->metrics + config_.more_metrics() + own.text();
  } else if (path == "/config") {
    r.body = config_.effective_config;
  } else if (path == "/openapi.json") {
    r.body = kOpenapiDocument;
  } else {
    answer(r, {{"name", "covey control"},
               {"version", config_.version},
               {"status", "/v1/rollout"},
               {"events", "/v1/rollout/events"},
               {"openapi", "/openapi.json"}});
  }
}

void Api::stream(Response& r) {
  if (streams_.fetch_add(1) >= config_.streams_max) {
    --streams_;
    return;
  }
  // Counts itself out however the stream ends, even one that never begins.
  const std::shared_ptr<void> open(nullptr, [this](void*) { --streams_; });
  r.content_type = "text/event-stream";
  r.field("Cache-Control", "no-store");
  r.body = "retry: 1000\n\n";
  r.stream = [this, open](http::Stream& out) -> Task<void> {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    std::uint64_t seen = 0;
    auto last = clock_.now();
    while (!out.stopping()) {
      const auto view = controller_.view();
      std::string piece;
      if (view->version != seen) {
        seen = view->version;
        piece = fmt::format("id: {}\nevent: rollout\ndata: {}\n\n", seen, view->status);
      } else if (clock_.now() - last > kStreamKeepAlive) {
        piece = ": still here\n\n";
      }
      if (!piece.empty()) {
        last = clock_.now();
        const bool sent = co_await out.write(piece);
        if (!sent) co_return;
      }
      timer.expires_after(kStreamEvery);
      co_await timer.async_wait(asio::use_awaitable_t<http::Executor>{});
    }
  };
}

void Api::finished(const Request&, const Response&, std::chrono::nanoseconds) noexcept {}

}  // namespace covey::control

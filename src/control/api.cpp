#include "control/api.h"

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "control/archive.h"
#include "control/calendar.h"
#include "control/openapi.h"
#include "control/report.h"
#include "http/exposition.h"
#include "http/fields.h"
#include "http/target.h"
#include "http/wait.h"
#include "pages/pages.h"
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
constexpr std::string_view kSession = "/v1/session", kCookie = "covey_session";
constexpr std::string_view kIncidents = "/v1/rollout/incidents/";
constexpr std::string_view kReports = "/v1/rollout/reports/";
constexpr std::string_view kImpacts = "/v1/rollout/impacts/";
constexpr std::chrono::milliseconds kStreamEvery{250};
constexpr std::uint64_t kJournalPiece = 200;  ///< records read before others have their turn
// A page that has heard nothing for about twice as long takes its connection for dead.
constexpr std::chrono::seconds kStreamKeepAlive{5};
// Response::tag: whose answer it is, for RequestCounts. Routes have their number in table() + 1.
constexpr std::uint32_t kNoRoute = 0, kPage = UINT32_MAX;

const std::vector<RouteInfo>& table() {
  static const std::vector<RouteInfo> kTable = {
      {"/", {"GET"}, false},
      {"/healthz", {"GET"}, false},
      {"/readyz", {"GET"}, false},
      {"/metrics", {"GET"}, false},
      {"/config", {"GET"}, false},
      {"/openapi.json", {"GET"}, false},
      {kSession, {"GET", "POST", "DELETE"}, false},
      {"/v1/rollout", {"GET"}, false},
      {"/v1/rollout/plan", {"GET"}, false},
      {"/v1/rollout/events", {"GET"}, false},
      {"/v1/rollout/telemetry", {"GET"}, false},
      {"/v1/rollout/history", {"GET"}, false},
      {"/v1/rollout/journal", {"GET"}, false},
      {"/v1/rollout/report", {"GET"}, false},
      {"/v1/rollout/reports", {"GET"}, false},
      {"/v1/rollout/reports/{number}", {"GET"}, false},
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
  } else if (path.starts_with(kReports) && path.size() > kReports.size()) {
    pattern = fmt::format("{}{{number}}", kReports);
  } else if (path.starts_with(kImpacts) && path.size() > kImpacts.size()) {
    pattern = fmt::format("{}{{measure}}", kImpacts);
  }
  for (const RouteInfo& route : table()) {
    if (route.path == pattern) return &route;
  }
  return nullptr;
}

std::string_view label(std::uint32_t tag) {
  return tag == kNoRoute ? "none" : tag == kPage ? "page" : table()[tag - 1].path;
}

void problem(const Request& q, Response& r, unsigned status, std::string_view type,
             std::string_view detail) {
  r.problem(status, type, detail, q.target());
}

/// The controller could not be asked.
void unavailable(const Request& q, Response& r, const Error& error) {
  problem(q, r, 503, error.code == Errc::kFull ? "busy" : "stopping", error.message);
}

void answer(Response& r, const Json& json) {
  r.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Whether a page of this very origin asks. Browsers of the last years say so themselves; an older
/// one tells the origin, which then has to be the host asked.
bool same_origin(const Request& q) {
  if (const std::string_view site = q.field("Sec-Fetch-Site"); !site.empty()) {
    return site == "same-origin";
  }
  const std::string_view origin = q.field("Origin");
  const std::size_t scheme = origin.find("://");
  return scheme != origin.npos && origin.substr(scheme + 3) == q.field("Host");
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

std::optional<plan::Measure> impact_of(std::string_view name) {
  constexpr std::array kMeasures = {plan::Measure::kRevenue, plan::Measure::kChurn,
                                    plan::Measure::kEngagement};
  const auto at = std::ranges::find(kMeasures, name, [](auto m) { return plan::name(m); });
  if (at == kMeasures.end()) return std::nullopt;
  return *at;
}

rollout::SetImpact read_impact(plan::Measure measure, Body& body, const Identity& who) {
  rollout::SetImpact out;
  out.measure = measure;
  out.estimate = body.number("estimate", true).value_or(0);
  out.interval.low = body.number("low", true).value_or(0);
  out.interval.high = body.number("high", true).value_or(0);
  if (!(out.interval.low <= out.estimate && out.estimate <= out.interval.high)) {
    body.note("it must be low <= estimate <= high");
  }
  out.source = body.text("source", true);
  if (out.source.empty()) body.note("\"source\" names the experiment and its analysis");
  const auto as_of = body.time("as_of");
  if (!as_of) body.note("\"as_of\" is missing: up to when its events count");
  out.as_of = as_of.value_or(Time{});
  const auto valid = body.number("valid_for_s", false);
  // Nobody means more than a year; beyond it microseconds would no longer fit.
  if (valid && !(*valid > 0 && *valid <= 366 * 86'400.0)) {
    body.note("\"valid_for_s\" is a number of seconds, of a year at most");
  } else if (valid) {
    out.valid_for = plan::Duration(static_cast<std::int64_t>(*valid * 1e6));
  }
  out.role = who.role;
  out.person = who.person;
  return out;
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
    const bool instead = body.flag("override"), back = body.flag("withdraw");
    const std::string report = body.text("report", false);
    const auto number = body.number("attempt", false);
    if (number && !(*number >= 1 && *number < 1e9 && *number == std::floor(*number))) {
      body.note("\"attempt\" is a whole number: that of the status");
      return std::nullopt;
    }
    const auto attempt = static_cast<std::uint64_t>(number.value_or(0));
    if (instead && back) body.note("either \"override\" or \"withdraw\"");
    if (back) return rollout::Withdraw{stage, who.role, who.person, reason, attempt};
    if (!instead) return rollout::Approve{stage, who.role, who.person, attempt, report};
    if (reason.empty()) body.note("an override needs its \"reason\"");
    return rollout::Override{stage, who.role, who.person, reason, attempt};
  }
  if (path.starts_with(kImpacts)) {
    if (const auto measure = impact_of(path.substr(kImpacts.size()))) {
      return read_impact(*measure, body, who);
    }
    return std::nullopt;
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
      clock_(clock),
      sessions_(config_.random, clock),
      started_(clock.wall()) {}

std::span<const RouteInfo> Api::routes() {
  return table();
}
std::string_view Api::openapi() {
  return kOpenapiDocument;
}

std::optional<std::size_t> Api::admit(const Request& q, Response& r) {
  const std::string_view path = http::split_target(q.target()).path;
  const bool reads = q.method == Method::kGet || q.method == Method::kHead;
  if (reads && pages::find(path) != nullptr) {
    r.tag = kPage;
    return 0;
  }
  const RouteInfo* route = match(path);
  if (route == nullptr) {
    problem(q, r, 404, "no-route", "there is nothing here; /openapi.json lists every route");
    return std::nullopt;
  }
  r.tag = static_cast<std::uint32_t>(route - table().data()) + 1;
  const Method method = q.method == Method::kHead ? Method::kGet : q.method;
  if (std::ranges::find(route->methods, http::name(method)) == route->methods.end()) {
    const std::string allowed = fmt::format("{}", fmt::join(route->methods, ", "));
    problem(q, r, 405, "method", fmt::format("here only {} is answered", allowed));
    r.field("Allow", allowed);
    return std::nullopt;
  }
  if (!route->token) return route->path == kSession ? kBodyMax : 0;
  if (!authenticate(q)) {
    ++refused_tokens_;
    const bool nothing =
        q.field("Authorization").empty() && http::cookie(q.field("Cookie"), kCookie).empty();
    problem(q, r, 401, "token",
            nothing ? "this needs a token: Authorization: Bearer TOKEN"
                    : "this token, or session, is not known here; sign in again");
    r.field("WWW-Authenticate", "Bearer");
    return std::nullopt;
  }
  return kBodyMax;
}

Task<void> Api::handle(Request& q, Response& r) {
  const std::string_view path = http::split_target(q.target()).path;
  const RouteInfo* route = match(path);
  if (route != nullptr && route->token) {
    // admit() let it in; a session may have ended since.
    if (const auto who = authenticate(q)) {
      co_await act(q, r, *who);
    } else {
      problem(q, r, 401, "token", "the session has ended; sign in again");
    }
    co_return;
  }
  if (path == kSession) {
    session(q, r);
    co_return;
  }
  co_await read(q, r);
}

std::optional<Identity> Api::authenticate(const Request& q) {
  constexpr std::string_view kBearer = "Bearer ";
  if (const std::string_view given = q.field("Authorization"); !given.empty()) {
    return given.starts_with(kBearer) ? tokens_.find(given.substr(kBearer.size())) : std::nullopt;
  }
  // Whatever site sends the browser here, it sends the cookie along; only our own page may act.
  if (!same_origin(q)) return std::nullopt;
  return sessions_.find(http::cookie(q.field("Cookie"), kCookie));
}

void Api::session(const Request& q, Response& r) {
  const std::string_view id = http::cookie(q.field("Cookie"), kCookie);
  const auto set = [&](std::string_view value, std::chrono::seconds life) {
    // A proxy that ends TLS in front of us says so.
    const bool secure = q.field("X-Forwarded-Proto") == "https";
    r.field("Set-Cookie", fmt::format("{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{}",
                                      kCookie, value, life.count(), secure ? "; Secure" : ""));
  };
  r.field("Cache-Control", "no-store");
  if (q.method == Method::kPost) {
    Body body(q.body().empty() ? "{}" : q.body());
    const std::string token = body.text("token", true);
    if (const std::string fault = body.fault(); !fault.empty()) {
      problem(q, r, 422, "rejected", fault);
      return;
    }
    const auto who = tokens_.find(token);
    // Also a stranger's page that would sign somebody in as somebody else.
    if (!who || !same_origin(q)) {
      ++refused_tokens_;
      problem(q, r, who ? 403 : 401, who ? "origin" : "token",
              who ? "only the page of this address may sign in"
                  : "this token is not known here; `covey control token` makes one");
      return;
    }
    sessions_.close(id);
    set(sessions_.open(*who), Sessions::kLife);
    answer(r, {{"person", who->person}, {"role", who->role}});
    return;
  }
  if (q.method == Method::kDelete) {
    if (!same_origin(q)) {
      problem(q, r, 403, "origin", "only the page of this address may sign out");
      return;
    }
    sessions_.close(id);
    set("", std::chrono::seconds(0));
    answer(r, {{"person", nullptr}, {"role", nullptr}});
    return;
  }
  const auto who = sessions_.find(id);
  answer(r,
         {{"person", who ? Json(who->person) : Json()}, {"role", who ? Json(who->role) : Json()}});
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
  if (path.starts_with(kImpacts) && !impact_of(path.substr(kImpacts.size()))) {
    problem(q, r, 404, "no-measure", "an impact is of revenue, churn or engagement");
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
    if (!r.stream) {
      problem(q, r, 503, "streams",
              fmt::format("{} watch already, as many as may", config_.streams_max));
      r.field("Retry-After", "5");
    }
  } else if (path == "/v1/rollout/plan") {
    Result<Json> made = Json();
    co_await http::wait_for([&](auto resume) {
      const auto posted = controller_.with_books([&, resume](const Books& books) {
        made = calendar(books.plan);
        resume();
      });
      if (!posted) {
        made = std::unexpected(posted.error());
        resume();
      }
    });
    if (!made) {
      unavailable(q, r, made.error());
      co_return;
    }
    answer(r, *made);
  } else if (path == "/v1/rollout/telemetry" || path == "/v1/rollout/report" ||
             path == "/v1/rollout/history") {
    const bool report = path.ends_with("/report"), past = path.ends_with("/history");
    Result<std::string> made = fail(Errc::kRejected, "");
    const std::string from = query("from"), to = query("to"), steps = query("steps"),
                      kind = query("kind"), subject = query("subject"), format = query("format"),
                      most = query("limit");
    co_await http::wait_for([&](auto resume) {
      const auto posted = controller_.with_books([&, resume](const Books& books) {
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
          const Time usual = end - books.plan.window;
          const Time begin = !from.empty() ? COVEY_TRY(parse_time(from))
                             : past        ? std::min(books.plan.begin(), usual)
                                           : usual;
          if (begin >= end) return fail(Errc::kRejected, "from must lie before to");
          if (past) {
            const auto limit =
                most.empty() ? 200 : COVEY_TRY(http::parse_number(most, "limit", 1, 1'000));
            return history(books, begin, end, limit)
                .dump(-1, ' ', false, Json::error_handler_t::replace);
          }
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
        made = std::unexpected(posted.error());
        resume();
      }
    });
    if (!made && (made.error().code == Errc::kRetryLater || made.error().code == Errc::kFull)) {
      unavailable(q, r, made.error());
      co_return;
    }
    if (!made) {
      const bool none = made.error().code == Errc::kNotFound;
      problem(q, r, none ? 404 : 422, none ? "no-telemetry" : "rejected", made.error().message);
      co_return;
    }
    r.body = std::move(*made);
    if (report) {
      r.content_type = format == "html" ? "text/html; charset=utf-8" : "text/markdown";
      pages::as_document(r);
    }
  } else if (path == "/v1/rollout/journal") {
    const auto asked = [&]() -> Result<std::pair<std::uint64_t, std::uint64_t>> {
      const std::string from = query("after"), most = query("limit");
      return std::pair{
          from.empty() ? 0 : COVEY_TRY(http::parse_number(from, "after", 0, UINT64_MAX / 2)),
          most.empty() ? 1'000 : COVEY_TRY(http::parse_number(most, "limit", 1, 10'000))};
    }();
    if (!asked) {
      problem(q, r, 422, "rejected", asked.error().message);
      co_return;
    }
    auto [after, limit] = *asked;
    const bool ticks = query("ticks") == "yes";
    // A piece at a time: this thread also takes in the balancer's lines.
    for (std::uint64_t seen = kJournalPiece; seen == kJournalPiece && limit > 0;) {
      seen = 0;
      const auto see = [&](const Record& record) {
        r.body += fmt::format("{{\"number\":{},\"chain\":\"{}\",{}\n", record.number, record.chain,
                              std::string_view(record.text).substr(1));
        after = record.number;
        return --limit > 0 && ++seen < kJournalPiece;
      };
      const auto done = ticks ? journal_.records(after, see) : journal_.loud_records(after, see);
      if (!done) {
        problem(q, r, 500, "journal", done.error().message);
        co_return;
      }
      co_await asio::post(co_await asio::this_coro::executor,
                          asio::use_awaitable_t<http::Executor>{});
    }
    r.content_type = "application/x-ndjson";
  } else if (path == "/v1/rollout/reports" || path.starts_with(kReports)) {
    reports(q, r);
  } else if (path == "/healthz" || path == "/readyz") {
    r.body = R"({"status":"ok"})";
  } else if (path == "/metrics") {
    co_await own_metrics(r);
    if (r.body.empty()) problem(q, r, 503, "stopping", "the controller is stopping");
  } else if (path == "/config") {
    r.body = config_.effective_config;
  } else if (path == "/openapi.json") {
    r.body = kOpenapiDocument;
  } else if (const pages::Asset* asset = pages::find(path)) {
    pages::answer(*asset, q, r);
  } else if (pages::wants_page(q)) {
    pages::answer(pages::assets().front(), q, r);
  } else {
    r.field("Vary", "Accept");
    answer(r, {{"name", "covey control"},
               {"version", config_.version},
               {"status", "/v1/rollout"},
               {"events", "/v1/rollout/events"},
               {"openapi", "/openapi.json"}});
  }
}

/// Reports as written at their time. Small files, read on this thread.
void Api::reports(const Request& q, Response& r) {
  const http::Target target = http::split_target(q.target());
  if (config_.reports.empty()) {
    problem(q, r, 404, "no-reports", "this process writes no reports: start it with --reports");
    return;
  }
  if (!target.path.starts_with(kReports)) {
    const auto list = archived_reports(journal_, config_.reports);
    if (!list) return problem(q, r, 500, "reports", list.error().message);
    return answer(r, *list);
  }
  const auto number =
      http::parse_number(target.path.substr(kReports.size()), "a report's number", 1, UINT64_MAX);
  if (!number) return problem(q, r, 404, "no-report", number.error().message);
  const auto format = http::query_value(target.query, "format");
  if (!format || (*format && **format != "html" && **format != "markdown")) {
    return problem(q, r, 422, "rejected", "format is html or markdown");
  }
  const bool html = *format && **format == "html";
  auto text = archived_report(journal_, config_.reports, *number, html);
  if (!text) {
    const bool none = text.error().code == Errc::kNotFound;
    return problem(q, r, none ? 404 : 500, none ? "no-report" : "report-changed",
                   text.error().message);
  }
  r.body = std::move(*text);
  r.content_type = html ? "text/html; charset=utf-8" : "text/markdown";
  pages::as_document(r);
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
        // An event, not a comment: a page does not get to see those.
        piece = "event: alive\ndata: {}\n\n";
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

Task<void> Api::own_metrics(Response& r) {
  // Made when asked for, from the books of this moment: an age that stood still between two slots
  // would say nothing on the day when no slot comes any more.
  Result<std::string> made = std::string();
  co_await http::wait_for([&](auto resume) {
    const auto posted = controller_.with_books([&, resume](const Books& books) {
      made = metrics(books, started_);
      resume();
    });
    if (!posted) {
      made = std::unexpected(posted.error());
      resume();
    }
  });
  if (!made) {
    r.problem(503, made.error().code == Errc::kFull ? "busy" : "stopping", made.error().message,
              "/metrics");
    co_return;
  }
  http::Exposition own;
  own.counter("covey_control_tokens_refused_total", "Requests with a wrong token or none.",
              static_cast<double>(refused_tokens_.load()));
  requests_.write(own);
  own.gauge("covey_control_streams",
            "Open streams of events: dashboards, and programs that follow.",
            static_cast<double>(streams_.load()));
  own.process(process_use(), started_);
  r.content_type = http::Exposition::kContentType;
  r.body = *made + config_.more_metrics() + own.text();
}

void Api::finished(const Request& q, const Response& r, std::chrono::nanoseconds) noexcept {
  requests_.add(label(r.tag), q.method, r.status);
}

}  // namespace covey::control

#include "control/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "control/kit.h"
#include "http/client.h"
#include "http/harness.h"

namespace covey::control {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// The API on a port, with a controller that runs.
struct ApiTest : ::testing::Test {
  Desk desk;
  http::test::TickingClock clock;
  std::string vera, paul;
  Tokens tokens;
  unsigned char sessions = 0;
  std::unique_ptr<Api> api;
  std::unique_ptr<http::test::Running> server;
  std::thread controller;
  std::unique_ptr<http::Client> client;

  void SetUp() override {
    std::array<unsigned char, 32> bytes{};
    vera = "Bearer " + token_text(bytes);
    bytes[0] = 1;
    paul = "Bearer " + token_text(bytes);
    tokens = Tokens::parse("t.yaml",
                           "tokens:\n" + token_line({"Vera", "vp"}, vera.substr(7)) +
                               token_line({"Paul", "product"}, paul.substr(7)),
                           desk.plan)
                 .value();
    ApiConfig config{.version = "test"};
    config.reports = desk.dir.path();
    config.random = [this](std::span<unsigned char> room) { std::ranges::fill(room, ++sessions); };
    api = std::make_unique<Api>(std::move(config), *desk.controller, *desk.journal, tokens, clock);
    server = std::make_unique<http::test::Running>(*api, http::ServerLimits{}, clock);
    controller = std::thread([this] { EXPECT_TRUE(desk.controller->run().has_value()); });
    client = std::make_unique<http::Client>(http::Url{"127.0.0.1", server->port(), "/"});
  }
  void TearDown() override {
    server.reset();
    desk.controller->stop();
    controller.join();
  }
  http::Answer get(std::string_view target) { return client->ask({.target = target}, 5s).value(); }
  http::Answer post(std::string_view target, std::string_view body, std::string_view token = {}) {
    http::Ask ask{.method = "POST", .target = target, .body = body};
    if (!token.empty()) ask.fields = {{"Authorization", token}};
    return client->ask(ask, 5s).value();
  }
};

// Goal: nobody acts without a token, and whoever has one acts in its role alone.
TEST_F(ApiTest, WhoMayActTable) {
  struct Case {
    const char* name;
    std::string token;
    const char* target;
    const char* body;
    unsigned status;
    const char* says;
  };
  const Case kCases[] = {
      {"control", vera, "/v1/rollout/approvals", R"({"stage":"canary"})", 200,
       "Vera (vp) approves"},
      {"replayed", vera, "/v1/rollout/approvals", R"({"stage":"canary"})", 409, "already"},
      {"of an attempt to come", vera, "/v1/rollout/approvals", R"({"stage":"ramp","attempt":2})",
       409, "this is attempt 1"},
      {"of half an attempt", vera, "/v1/rollout/approvals", R"({"stage":"ramp","attempt":1.5})",
       422, "whole number"},
      {"in advance", vera, "/v1/rollout/approvals", R"({"stage":"ramp","attempt":1})", 200,
       "in advance"},
      {"withdrawn", vera, "/v1/rollout/approvals",
       R"({"stage":"ramp","attempt":1,"withdraw":true,"reason":"not yet"})", 200, "withdraws"},
      {"neither nor", vera, "/v1/rollout/approvals",
       R"({"stage":"ramp","withdraw":true,"override":true,"reason":"x"})", 422, "either"},
      {"no token", "", "/v1/rollout/approvals", R"({"stage":"canary"})", 401, "needs a token"},
      {"wrong token", "Bearer covey_x", "/v1/rollout/commands", R"({"command":"abort"})", 401,
       "not known"},
      {"no bearer", vera.substr(7), "/v1/rollout/commands", R"({"command":"abort"})", 401, ""},
      {"role does not decide", paul, "/v1/rollout/approvals",
       R"({"stage":"ramp","override":true,"reason":"now"})", 409, "does not decide"},
      {"override without reason", vera, "/v1/rollout/approvals",
       R"({"stage":"ramp","override":true})", 422, "reason"},
      {"not asked for", paul, "/v1/rollout/approvals", R"({"stage":"ramp"})", 409, "not among"},
      {"no such stage", vera, "/v1/rollout/approvals", R"({"stage":"x"})", 409, "no stage"},
      {"somebody else's name", vera, "/v1/rollout/approvals", R"({"stage":"ramp","person":"Paul"})",
       422, "person"},
      {"unknown command", vera, "/v1/rollout/commands", R"({"command":"explode"})", 422, "hold"},
      {"share of 5", vera, "/v1/rollout/commands", R"({"command":"reduce","share":5})", 422,
       "fraction"},
      {"no JSON", vera, "/v1/rollout/commands", "hold", 422, "JSON object"},
      {"hold", paul, "/v1/rollout/commands", R"({"command":"hold","reason":"lunch"})", 200, "Paul"},
      {"resume", paul, "/v1/rollout/commands", R"({"command":"resume"})", 200, "Paul"},
      {"start nothing", vera, "/v1/rollout/commands", R"({"command":"start","stage":"canary"})",
       409, "nothing was stopped"},
      {"abort", paul, "/v1/rollout/commands", R"({"command":"abort","reason":"smoke"})", 200,
       "smoke"},
      {"start without deciding", paul, "/v1/rollout/commands",
       R"({"command":"start","stage":"canary"})", 409, "does not decide"},
      {"no such incident", vera, "/v1/rollout/incidents/99/acknowledge", "", 409, "99"},
      {"an incident of letters", vera, "/v1/rollout/incidents/x/acknowledge", "", 422,
       "whole number"},
      {"no such task", vera, "/v1/rollout/work", R"({"name":"x"})", 409, "no task"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const auto answer = post(c.target, c.body, c.token);
    EXPECT_EQ(answer.status, c.status) << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(c.says));
    EXPECT_EQ(answer.content_type == "application/problem+json", answer.status >= 400);
  }
  // Everything that got as far as the core is in the journal under the name of who did it.
  const auto journal = get("/v1/rollout/journal").body;
  EXPECT_THAT(journal, HasSubstr("\"person\":\"Paul\""));
  EXPECT_THAT(journal, HasSubstr("smoke"));
  EXPECT_THAT(get("/metrics").body, HasSubstr("covey_control_tokens_refused_total 3"));
}

TEST_F(ApiTest, IncidentsFromReportToResolution) {
  EXPECT_EQ(post("/v1/rollout/incidents", R"({"severity":"high","title":"odd"})", paul).status,
            200u);
  Json status = Json::parse(get("/v1/rollout").body);
  ASSERT_EQ(status["incidents"].size(), 1u);
  const auto id = std::to_string(status["incidents"][0]["id"].get<int>());
  EXPECT_EQ(post("/v1/rollout/incidents/" + id + "/acknowledge", "", paul).status, 200u);
  EXPECT_EQ(post("/v1/rollout/incidents/" + id + "/resolve", "", vera).status, 200u);
  status = Json::parse(get("/v1/rollout").body);
  EXPECT_EQ(status["incidents"][0]["acknowledged_by"], "Paul");
  EXPECT_EQ(status["incidents"][0]["resolved_by"], "Vera");
}

// Goal: it stays known who was called, by whom on duty then, whoever is on duty by now.
TEST_F(ApiTest, IncidentsSayWhoWasCalled) {
  ASSERT_EQ(post("/v1/rollout/incidents", R"({"severity":"high","title":"odd"})", vera).status,
            200u);
  ASSERT_EQ(post("/v1/rollout/incidents", R"({"severity":"low","title":"later"})", vera).status,
            200u);
  const Json status = Json::parse(get("/v1/rollout").body);
  ASSERT_EQ(status["incidents"].size(), 2u);
  const Json& odd = status["incidents"][1];
  ASSERT_EQ(odd["calls"].size(), 1u) << odd.dump();
  EXPECT_EQ(odd["calls"][0]["at"], odd["opened"]);
  EXPECT_EQ(odd["calls"][0]["person"], status["on_call"]["people"][0]);
  EXPECT_EQ(status["incidents"][0]["calls"], Json::array()) << "nobody is called for a low one";
}

// Goal: the reports of their time can be read, whole and unchanged, and nothing else of any folder.
TEST_F(ApiTest, ReportsAsTheyWereWritten) {
  EXPECT_EQ(Json::parse(get("/v1/rollout/reports").body)["reports"], Json::array());
  // An abort writes one of its incident.
  ASSERT_EQ(
      post("/v1/rollout/commands", R"({"command":"abort","reason":"<b>smoke</b>"})", vera).status,
      200u);
  const Json list = Json::parse(get("/v1/rollout/reports").body)["reports"];
  ASSERT_EQ(list.size(), 1u) << list.dump();
  EXPECT_EQ(list[0]["kind"], "incident");
  EXPECT_EQ(list[0]["subject"], "1");
  const std::string path = "/v1/rollout/reports/" + list[0]["number"].dump();
  const auto page = get(path + "?format=html");
  EXPECT_EQ(page.status, 200u);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("&lt;b&gt;smoke"));
  EXPECT_THAT(get(path).body, HasSubstr("# Incident #1"));
  EXPECT_EQ(get(path + "?format=markdown").content_type, "text/markdown");

  std::ofstream(desk.dir / "secret") << "secret";
  std::ofstream(desk.dir / "000099-planted.html") << "planted";
  const struct {
    const char* rest;
    unsigned status;
  } kStrange[] = {
      {"?format=pdf", 422},
      {"/../secret", 404},
      {"/..%2fsecret", 404},
      {"/%2e%2e/secret", 404},
      {"/", 404},
      {"/..", 404},
      {"/%2e%2e", 404},
      {"/%2e%2e%2fsecret", 404},
      {"/../../../../etc/passwd", 404},
      {"/secret", 404},
      {"/0", 404},
      {"/-1", 404},
      {"/1.html", 404},
      {"/99", 404},
      {"/18446744073709551616", 404},
      {"/1%00", 404},
  };
  for (const auto& c : kStrange) {
    SCOPED_TRACE(c.rest);
    const std::string target =
        c.rest[0] == '?' ? path + c.rest : "/v1/rollout/reports" + std::string(c.rest);
    const auto answer = get(target);
    EXPECT_EQ(answer.status, c.status);
    EXPECT_EQ(answer.content_type, "application/problem+json");
    EXPECT_EQ(answer.body.find("secret\n"), std::string::npos);
  }
  EXPECT_EQ(Json::parse(get("/v1/rollout/reports").body)["reports"], list)
      << "the planted one is none";
}

// Goal: an impact is told by whom the plan lets, with its source and time, and no otherwise.
TEST_F(ApiTest, ImpactsTable) {
  const std::string at = R"("as_of":"2025-10-31T11:59:00Z")", from = R"("source":"ab-revenue")";
  const std::string six = R"("estimate":0.06,"low":0.05,"high":0.07)";
  struct Case {
    const char* name;
    std::string token, target, body;
    unsigned status;
    const char* says;
  };
  const Case kCases[] = {
      {"control", vera, "revenue", six + "," + from + "," + at, 200, "told by Vera (VP)"},
      {"with its validity", vera, "churn",
       R"("estimate":-0.04,"low":-0.05,"high":-0.03,"valid_for_s":3600,)" + from + "," + at, 200,
       "-4.0pp"},
      {"another role", paul, "revenue", six + "," + from + "," + at, 409, "not by product"},
      {"no token", "", "revenue", six + "," + from + "," + at, 401, "needs a token"},
      {"no source", vera, "revenue", six + "," + at, 422, "source"},
      {"an empty source", vera, "revenue", six + R"(,"source":"",)" + at, 422, "source"},
      {"no time", vera, "revenue", six + "," + from, 422, "as_of"},
      {"of tomorrow", vera, "revenue", six + "," + from + R"(,"as_of":"2025-11-01T12:00:00Z")", 409,
       "yet to come"},
      {"of last week", vera, "revenue", six + "," + from + R"(,"as_of":"2025-10-24T12:00:00Z")",
       409, "valid until"},
      {"older than what is known", vera, "revenue",
       six + "," + from + R"(,"as_of":"2025-10-31T11:00:00Z")", 409, "newer"},
      {"no interval", vera, "revenue",
       R"("estimate":0.06,"low":0.08,"high":0.09,)" + from + "," + at, 422, "it must be low"},
      {"valid for nothing", vera, "revenue", six + R"(,"valid_for_s":0,)" + from + "," + at, 422,
       "valid_for_s"},
      {"valid for ever", vera, "revenue", six + R"(,"valid_for_s":1e300,)" + from + "," + at, 422,
       "valid_for_s"},
      {"no such measure", vera, "weather", six + "," + from + "," + at, 404, "revenue, churn"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const std::string target = "/v1/rollout/impacts/" + c.target, body = "{" + c.body + "}";
    http::Ask ask{.method = "PUT", .target = target, .body = body};
    if (!c.token.empty()) ask.fields = {{"Authorization", c.token}};
    const auto answer = client->ask(ask, 5s).value();
    EXPECT_EQ(answer.status, c.status) << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(c.says));
  }
  const Json status = Json::parse(get("/v1/rollout").body);
  EXPECT_EQ(status["impacts"].size(), 2u);
}

// Goal: the document and the routes say the same, and every GET answers.
TEST_F(ApiTest, DescribesItself) {
  const Json document = Json::parse(Api::openapi());
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::set<std::string> told, served;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, what] : methods.items()) {
      told.insert(method + " " + path);
      // Signing in and out shows its token itself.
      const bool open = method == "get" || path == "/v1/session";
      EXPECT_EQ(what.contains("security"), !open) << path;
    }
  }
  for (const RouteInfo& route : Api::routes()) {
    for (const std::string_view method : route.methods) {
      std::string name(method);
      std::ranges::transform(name, name.begin(), [](char c) { return static_cast<char>(c + 32); });
      served.insert(name + " " + std::string(route.path));
      EXPECT_EQ(route.token, method != "GET" && route.path != "/v1/session");
      if (method == "GET" && route.path != "/v1/rollout/events") {
        const unsigned status = get(route.path).status;
        // No telemetry yet, a report of no kind, and one of no number.
        const std::map<std::string_view, unsigned> kNotYet = {
            {"/v1/rollout/telemetry", 404u},
            {"/v1/rollout/report", 422u},
            {"/v1/rollout/reports/{number}", 404u}};
        const auto other = kNotYet.find(route.path);
        EXPECT_EQ(status, other == kNotYet.end() ? 200u : other->second) << route.path;
      }
    }
  }
  EXPECT_EQ(told, served);
  EXPECT_EQ(get("/nowhere").status, 404u);
  EXPECT_EQ(post("/v1/rollout", "").status, 405u);
  EXPECT_EQ(get("/v1/rollout/report?kind=executive").status, 200u);
}

/// A request written by hand, for its fields.
std::string by_hand(std::string_view method, std::string_view target, std::string_view fields,
                    std::string_view body = {}) {
  return fmt::format("{} {} HTTP/1.1\r\nHost: covey.test\r\n{}Content-Length: {}\r\n\r\n{}", method,
                     target, fields, body.size(), body);
}

// Goal: a cookie acts for who showed the token, from our own page only, until it ends.
TEST_F(ApiTest, SessionsTable) {
  const std::string sign_in = fmt::format("{{\"token\":\"{}\"}}", paul.substr(7));
  const auto ask = [&](std::string_view method, std::string_view target, std::string_view fields,
                       std::string_view body = {}) {
    http::test::Client browser(server->port());
    EXPECT_TRUE(browser.send(by_hand(method, target, fields, body)));
    return browser.receive();
  };
  constexpr std::string_view kOurs = "Sec-Fetch-Site: same-origin\r\n";
  struct Case {
    const char* name;
    std::string fields, body;
    int status;
  };
  const Case kSignIns[] = {
      {"wrong token", std::string(kOurs), R"({"token":"covey_x"})", 401},
      {"no token", std::string(kOurs), "{}", 422},
      {"too much", std::string(kOurs), R"({"token":"x","role":"vp"})", 422},
      {"another site's page", "Sec-Fetch-Site: cross-site\r\n", sign_in, 403},
      {"a page of another port", "Sec-Fetch-Site: same-site\r\n", sign_in, 403},
      {"an old browser, another origin", "Origin: http://evil.test\r\n", sign_in, 403},
      {"nobody says from where", "", sign_in, 403},
      {"an old browser, ours", "Origin: http://covey.test\r\n", sign_in, 200},
  };
  for (const Case& c : kSignIns) {
    SCOPED_TRACE(c.name);
    const auto answer = ask("POST", "/v1/session", c.fields, c.body);
    EXPECT_EQ(answer.status, c.status) << answer.body;
    EXPECT_EQ(answer.field("Set-Cookie").empty(), c.status != 200);
  }

  const auto opened = ask("POST", "/v1/session", kOurs, sign_in);
  EXPECT_EQ(opened.body, R"({"person":"Paul","role":"product"})");
  const std::string set = opened.field("Set-Cookie");
  EXPECT_THAT(set, HasSubstr("; HttpOnly; SameSite=Strict; Max-Age=43200"));
  EXPECT_EQ(set.find("Secure"), set.npos);
  EXPECT_THAT(
      ask("POST", "/v1/session", std::string(kOurs) + "X-Forwarded-Proto: https\r\n", sign_in)
          .field("Set-Cookie"),
      HasSubstr("; Secure"));
  const std::string jar = "Cookie: other=1; " + set.substr(0, set.find(';')) + "\r\n";
  EXPECT_THAT(ask("GET", "/v1/session", jar).body, HasSubstr("Paul"));
  EXPECT_THAT(ask("GET", "/v1/session", "").body, HasSubstr("null"));

  const std::string hold = R"({"command":"hold","reason":"tea"})";
  const std::string target = "/v1/rollout/commands";
  EXPECT_EQ(ask("POST", target, jar, hold).status, 401);
  EXPECT_EQ(ask("POST", target, jar + "Sec-Fetch-Site: cross-site\r\n", hold).status, 401);
  EXPECT_EQ(ask("POST", target, jar + "Origin: null\r\n", hold).status, 401);
  EXPECT_EQ(ask("POST", target, "Cookie: covey_session=x\r\n" + std::string(kOurs), hold).status,
            401);
  const auto held = ask("POST", target, jar + std::string(kOurs), hold);
  EXPECT_EQ(held.status, 200) << held.body;
  EXPECT_THAT(held.body, HasSubstr("Paul"));

  EXPECT_EQ(ask("DELETE", "/v1/session", jar).status, 403);
  EXPECT_EQ(ask("DELETE", "/v1/session", jar + std::string(kOurs)).status, 200);
  EXPECT_EQ(ask("POST", target, jar + std::string(kOurs), hold).status, 401);
}

TEST(Sessions, EndAfterAShiftAndWhenThereAreTooMany) {
  ManualClock clock(Time{});
  std::uint32_t made = 0;
  Sessions sessions(
      [&](std::span<unsigned char> room) {
        ++made;
        std::memcpy(room.data(), &made, sizeof made);
      },
      clock);
  const std::string first = sessions.open({"Vera", "vp"});
  clock.advance(std::chrono::hours(1));
  const std::string second = sessions.open({"Paul", "product"});
  EXPECT_EQ(sessions.find(first)->person, "Vera");
  clock.advance(Sessions::kLife - std::chrono::hours(1));
  EXPECT_FALSE(sessions.find(first));
  EXPECT_EQ(sessions.find(second)->person, "Paul");
  for (std::size_t i = 0; i < Sessions::kMax; ++i) sessions.open({"Olga", "operations"});
  EXPECT_FALSE(sessions.find(second)) << "the oldest makes room";
  EXPECT_FALSE(sessions.find(""));
}

// Goal: a browser gets the page, a program the JSON, and neither can be confused by the other.
TEST_F(ApiTest, BrowsersGetThePage) {
  http::test::Client browser(server->port());
  ASSERT_TRUE(browser.send(by_hand("GET", "/", "Accept: text/html,*/*;q=0.8\r\n")));
  const auto page = browser.receive();
  EXPECT_EQ(page.field("Content-Type"), "text/html; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("<title>Covey"));
  const std::string policy = page.field("Content-Security-Policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'; script-src 'self';"));
  EXPECT_EQ(policy.find("unsafe"), policy.npos);
  EXPECT_THAT(get("/").body, HasSubstr("covey control"));
  EXPECT_EQ(get("/app.js").content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(post("/app.js", "").status, 404u);
  ASSERT_TRUE(browser.send(by_hand("GET", "/app.js", "Accept-Encoding: gzip, br\r\n")));
  const auto packed = browser.receive();
  EXPECT_EQ(packed.field("Content-Encoding"), "gzip");
  EXPECT_EQ(packed.body.substr(0, 2), "\x1f\x8b");
}

// Goal: no answer is taken for what it is not, and a report's page can be led nowhere else.
TEST_F(ApiTest, AnswersSayWhatABrowserMayDoWithThem) {
  const auto ask = [&](std::string_view target, std::string_view fields = "") {
    http::test::Client browser(server->port());
    EXPECT_TRUE(browser.send(by_hand("GET", target, fields)));
    return browser.receive();
  };
  for (const char* target :
       {"/v1/rollout", "/v1/rollout/telemetry", "/v1/rollout/journal", "/metrics", "/openapi.json",
        "/nowhere", "/v1/rollout/commands", "/app.js", "/v1/rollout/report?kind=executive"}) {
    const auto answer = ask(target);
    EXPECT_EQ(answer.field("X-Content-Type-Options"), "nosniff") << target;
    EXPECT_EQ(answer.head.find("nosniff"), answer.head.rfind("nosniff")) << target;
  }
  const auto report = ask("/v1/rollout/report?kind=executive&format=html");
  const std::string policy = report.field("Content-Security-Policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, HasSubstr("base-uri 'none'"));
  EXPECT_THAT(policy, HasSubstr("form-action 'none'"));
  // Opened from a folder a report has no header: it says the same itself.
  EXPECT_THAT(report.body, HasSubstr("base-uri 'none'; form-action 'none'\">"));
}

// Goal: an alert's link opens at its runbook, in a browser that runs no script.
TEST_F(ApiTest, ServesTheRunbooks) {
  const auto page = get("/runbooks");
  EXPECT_EQ(page.status, 200u);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("<h3 id=\"coveyrollback\">CoveyRollBack</h3>"));
  EXPECT_EQ(page.body.find("<script"), page.body.npos);
  EXPECT_EQ(get("/runbooks.css").status, 200u);
}

// Goal: whoever watches the control plane itself sees what it answered and what it takes.
TEST_F(ApiTest, CountsItsOwnAnswers) {
  const auto value = [&](std::string_view series) {
    const std::string text = "\n" + get("/metrics").body, key = fmt::format("\n{} ", series);
    const std::size_t at = text.find(key);
    return at == text.npos ? -1.0 : std::atof(text.c_str() + at + key.size());
  };
  // An answer is counted after it was written, so a count may come a moment later.
  const auto becomes = [&](std::string_view series, double wanted) {
    for (int i = 0; i < 500 && value(series) != wanted; ++i) std::this_thread::sleep_for(2ms);
    EXPECT_EQ(value(series), wanted) << series;
  };
  const std::string count = "covey_control_requests_total";
  EXPECT_EQ(value(count + R"({route="/v1/rollout",method="GET",code="200"})"), -1);
  get("/v1/rollout");
  get("/v1/rollout");
  get("/nowhere");
  get("/app.js");
  post("/v1/rollout", "");
  post("/v1/rollout/commands", "{}");
  post("/v1/rollout/incidents/7/resolve", "", vera);
  becomes(count + R"({route="/v1/rollout",method="GET",code="200"})", 2);
  becomes(count + R"({route="/v1/rollout",method="POST",code="405"})", 1);
  becomes(count + R"({route="/v1/rollout/commands",method="POST",code="401"})", 1);
  becomes(count + R"({route="/v1/rollout/incidents/{id}/resolve",method="POST",code="409"})", 1);
  becomes(count + R"({route="none",method="GET",code="404"})", 1);
  becomes(count + R"({route="page",method="GET",code="200"})", 1);
  EXPECT_EQ(value("covey_control_streams"), 0);
  {
    http::test::Client reader(server->port());
    ASSERT_TRUE(reader.send(http::test::get("/v1/rollout/events")));
    EXPECT_EQ(reader.receive().status, 200);
    EXPECT_EQ(value("covey_control_streams"), 1);
  }
  // One whose reader has gone is noticed when there is something to say.
  for (int i = 0; i < 200 && value("covey_control_streams") > 0; ++i) {
    post("/v1/rollout/incidents", fmt::format(R"({{"severity":"low","title":"{}"}})", i), vera);
    std::this_thread::sleep_for(50ms);
  }
  EXPECT_EQ(value("covey_control_streams"), 0);
  EXPECT_GT(value("process_cpu_seconds_total"), 0);
  EXPECT_GT(value("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(value("process_open_fds"), 3);
  EXPECT_GE(value("process_max_fds"), value("process_open_fds"));
  EXPECT_GT(value("process_start_time_seconds"), 1.6e9);
}

// Goal: a reader of the stream sees a change within its quarter second, and the stream ends with
// the server.
TEST_F(ApiTest, StreamsEachChange) {
  http::test::Client reader(server->port());
  ASSERT_TRUE(reader.send(http::test::get("/v1/rollout/events")));
  const auto head = reader.receive();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.field("Content-Type"), "text/event-stream");
  EXPECT_EQ(head.field("Content-Length"), "");
  EXPECT_EQ(
      post("/v1/rollout/incidents", R"({"severity":"low","title":"seen by readers"})", vera).status,
      200u);
  const std::string seen = reader.read_until("seen by readers");
  EXPECT_THAT(seen, HasSubstr("event: rollout\ndata: {"));
}

// Goal: a page can tell a quiet rollout from a dead connection, and is told why it may not watch.
TEST_F(ApiTest, StreamsSayThatTheyAreAlive) {
  const std::size_t most = ApiConfig{}.streams_max;
  std::vector<std::unique_ptr<http::test::Client>> readers;
  for (std::size_t i = 0; i < most; ++i) {
    readers.push_back(std::make_unique<http::test::Client>(server->port()));
    ASSERT_TRUE(readers.back()->send(http::test::get("/v1/rollout/events")));
    EXPECT_EQ(readers.back()->receive().status, 200);
  }
  http::test::Client another(server->port());
  ASSERT_TRUE(another.send(http::test::get("/v1/rollout/events")));
  const auto refused = another.receive();
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.json_problem());
  EXPECT_THAT(refused.body, HasSubstr(fmt::format("{} watch already", most)));
  EXPECT_EQ(refused.field("Retry-After"), "5");
  EXPECT_THAT(readers.front()->read_until("event: alive\n"),
              HasSubstr("event: alive\ndata: {}\n\n"));
}

/// An open page, as far as the server knows: a stream that it reads, or does not.
class Viewer {
 public:
  explicit Viewer(std::uint16_t port, int room = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (room > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    const std::string ask = http::test::get("/v1/rollout/events");
    EXPECT_EQ(::send(fd_, ask.data(), ask.size(), MSG_NOSIGNAL), std::ssize(ask));
  }
  ~Viewer() { ::close(fd_); }
  Viewer(const Viewer&) = delete;
  Viewer& operator=(const Viewer&) = delete;

  int fd() const { return fd_; }
  /// Takes what has come, without waiting. False: the connection has ended.
  bool read() {
    char room[65536];
    ssize_t n = 0;
    while ((n = ::recv(fd_, room, sizeof room, MSG_DONTWAIT)) > 0) {
      in_.append(room, static_cast<std::size_t>(n));
    }
    const bool open = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    for (std::size_t end; (end = in_.find("\n\n")) != in_.npos; in_.erase(0, end + 2)) {
      const std::string_view event = std::string_view(in_).substr(0, end);
      const std::size_t id = event.find("id: "), data = event.find("\ndata: ");
      if (id == event.npos || data == event.npos) continue;
      seen.emplace_back(std::strtoull(event.data() + id + 4, nullptr, 10),
                        std::hash<std::string_view>()(event.substr(data)));
      last = event.substr(data);
    }
    return open;
  }
  std::vector<std::pair<std::uint64_t, std::size_t>> seen;  ///< number and hash of each status
  std::string last;

 private:
  int fd_;
  std::string in_;
};

/// Reads all of them until the newest status of each has `text`. False: one ended, or 20 s passed.
bool all_see(std::span<const std::unique_ptr<Viewer>> viewers, std::string_view text) {
  const auto behind = [&](const auto& v) { return v->last.find(text) == std::string::npos; };
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (std::ranges::any_of(viewers, behind)) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::vector<pollfd> waiting;
    for (const auto& v : viewers) {
      if (behind(v)) waiting.push_back({v->fd(), POLLIN, 0});
    }
    ::poll(waiting.data(), waiting.size(), 100);
    for (const auto& v : viewers) {
      if (!v->read()) return false;
    }
  }
  return true;
}

// Goal: with as many dashboards open as a launch brings, each sees every status, in order, and all
// see the same.
TEST_F(ApiTest, SixtyViewersSeeEveryStatusInOrder) {
  std::vector<std::unique_ptr<Viewer>> viewers;
  for (int i = 0; i < 60; ++i) viewers.push_back(std::make_unique<Viewer>(server->port()));
  constexpr int kStatuses = 12;
  for (int i = 0; i < kStatuses; ++i) {
    const std::string title = fmt::format("status {}!", i);
    ASSERT_EQ(post("/v1/rollout/incidents",
                   fmt::format(R"({{"severity":"low","title":"{}"}})", title), vera)
                  .status,
              200u);
    ASSERT_TRUE(all_see(viewers, title)) << title;
  }
  std::map<std::uint64_t, std::size_t> statuses;
  for (const auto& viewer : viewers) {
    ASSERT_GE(viewer->seen.size(), static_cast<std::size_t>(kStatuses));
    for (std::size_t i = 0; i < viewer->seen.size(); ++i) {
      const auto& [number, hash] = viewer->seen[i];
      if (i > 0) {
        EXPECT_EQ(number, viewer->seen[i - 1].first + 1) << "none skipped, none twice";
      }
      EXPECT_EQ(statuses.emplace(number, hash).first->second, hash) << "status " << number;
    }
  }
}

// Goal: one who stops reading costs the others nothing, and is let go rather than waited for.
// Method: statuses far larger than the kernel buffers for a socket.
TEST_F(ApiTest, AStalledViewerIsDroppedAndHoldsUpNobody) {
  http::ServerLimits limits;
  limits.progress_timeout = 5s;
  server = std::make_unique<http::test::Running>(*api, limits, clock);
  client = std::make_unique<http::Client>(http::Url{"127.0.0.1", server->port(), "/"});
  const Viewer stalled(server->port(), 4096);
  std::vector<std::unique_ptr<Viewer>> viewers;
  for (int i = 0; i < 5; ++i) viewers.push_back(std::make_unique<Viewer>(server->port()));
  const std::string filler(50'000, 'x');
  const auto tell = [&](const std::string& title) {
    return post("/v1/rollout/incidents",
                fmt::format(R"({{"severity":"low","title":"{}"}})", title + filler), vera)
        .status;
  };
  const auto& open = server->server().counters().connections;
  for (int i = 0; i < 16; ++i) {
    const std::string title = fmt::format("status {}!", i);
    ASSERT_EQ(tell(title), 200u);
    ASSERT_TRUE(all_see(viewers, title)) << title;
  }
  // The viewers and our own client stay; the one who does not read goes.
  const std::size_t rest = viewers.size() + 1;
  for (int i = 0; i < 2'000 && open.load() != rest; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(open.load(), rest);
  EXPECT_EQ(server->server().counters().timeouts.load(), 1u);
  ASSERT_EQ(tell("afterwards!"), 200u);
  EXPECT_TRUE(all_see(viewers, "afterwards!"));
}

}  // namespace
}  // namespace covey::control

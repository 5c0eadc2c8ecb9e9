#include "control/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
    api = std::make_unique<Api>(ApiConfig{.version = "test"}, *desk.controller, *desk.journal,
                                tokens, clock);
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

TEST_F(ApiTest, ImpactsAreCheckedAndKept) {
  const auto put = [&](std::string_view target, std::string_view body) {
    return client
        ->ask(
            {.method = "PUT", .target = target, .body = body, .fields = {{"Authorization", vera}}},
            5s)
        ->status;
  };
  EXPECT_EQ(put("/v1/rollout/impacts/revenue", R"({"estimate":0.06,"low":0.05,"high":0.07})"),
            200u);
  EXPECT_EQ(put("/v1/rollout/impacts/revenue", R"({"estimate":0.06,"low":0.08,"high":0.09})"),
            422u);
  EXPECT_EQ(put("/v1/rollout/impacts/weather", R"({"estimate":0,"low":0,"high":0})"), 404u);
}

// Goal: the document and the routes say the same, and every GET answers.
TEST_F(ApiTest, DescribesItself) {
  const Json document = Json::parse(Api::openapi());
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::set<std::string> told, served;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, what] : methods.items()) {
      told.insert(method + " " + path);
      EXPECT_EQ(what.contains("security"), method != "get") << path;
    }
  }
  for (const RouteInfo& route : Api::routes()) {
    for (const std::string_view method : route.methods) {
      std::string name(method);
      std::ranges::transform(name, name.begin(), [](char c) { return static_cast<char>(c + 32); });
      served.insert(name + " " + std::string(route.path));
      EXPECT_EQ(route.token, method != "GET");
      if (method == "GET" && route.path != "/v1/rollout/events") {
        const unsigned status = get(route.path).status;
        // No telemetry yet, and a report of no kind.
        const bool asks =
            route.path == "/v1/rollout/telemetry" || route.path == "/v1/rollout/report";
        EXPECT_EQ(status, asks ? (route.path.ends_with("report") ? 422u : 404u) : 200u)
            << route.path;
      }
    }
  }
  EXPECT_EQ(told, served);
  EXPECT_EQ(get("/nowhere").status, 404u);
  EXPECT_EQ(post("/v1/rollout", "").status, 405u);
  EXPECT_EQ(get("/v1/rollout/report?kind=executive").status, 200u);
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

}  // namespace
}  // namespace covey::control

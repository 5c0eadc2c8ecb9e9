#include "http/client.h"

#include <gtest/gtest.h>

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <string>

#include "http/harness.h"

namespace covey::http {
namespace {

using namespace std::chrono_literals;

class Answers final : public Handler {
 public:
  std::optional<std::size_t> admit(const Request&, Response&) override { return 1 << 20; }
  Task<void> handle(Request& q, Response& r) override {
    if (q.target() == "/slow") {
      asio::steady_timer timer(co_await asio::this_coro::executor, 500ms);
      co_await timer.async_wait(asio::use_awaitable_t<Executor>{});
    }
    if (q.target() == "/close") r.close = true;
    if (q.target() == "/ticks") {
      r.content_type = "text/event-stream";
      r.stream = [](Stream& out) -> Task<void> {
        for (int i = 0; i < 3; ++i) {
          const std::string piece = "data: " + std::to_string(i) + "\n\n";
          const bool sent = co_await out.write(piece);
          if (!sent) co_return;
        }
      };
    }
    r.body = r.stream ? ": hello\n\n"
                      : std::string(name(q.method)) + " " + std::string(q.target()) + " " +
                            std::string(q.field("X-Mark")) + " " + std::string(q.body());
    co_return;
  }
  void finished(const Request&, const Response&, std::chrono::nanoseconds) noexcept override {}
};

Url at(std::uint16_t port) {
  return {"127.0.0.1", port, "/"};
}

TEST(HttpClient, AsksAndKeepsItsConnection) {
  Answers handler;
  test::TickingClock clock;
  test::Running server(handler, ServerLimits{}, clock);
  Client client(at(server.port()));
  const auto first =
      client.ask({.method = "POST", .target = "/a", .body = "b", .fields = {{"X-Mark", "m"}}}, 5s);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(first->status, 200u);
  EXPECT_EQ(first->body, "POST /a m b");
  EXPECT_EQ(client.ask({.target = "/b"}, 5s)->body, "GET /b  ");
  EXPECT_EQ(server.server().counters().accepted.load(), 1u);
  // One that the server closed is opened again.
  EXPECT_TRUE(client.ask({.target = "/close"}, 5s).has_value());
  EXPECT_TRUE(client.ask({.target = "/c"}, 5s).has_value());
  EXPECT_EQ(server.server().counters().accepted.load(), 2u);
}

TEST(HttpClient, SaysWhyNoAnswerCame) {
  Answers handler;
  test::TickingClock clock;
  test::Running server(handler, ServerLimits{}, clock);
  Client client(at(server.port()));
  const auto slow = client.ask({.target = "/slow"}, 50ms);
  ASSERT_FALSE(slow.has_value());
  EXPECT_EQ(slow.error().code, Errc::kRetryLater);
  EXPECT_NE(slow.error().message.find("within 50 ms"), std::string::npos) << slow.error().message;
  EXPECT_FALSE(client.ask({.target = "/long"}, 5s, 4).has_value()) << "longer than asked for";
  EXPECT_TRUE(client.ask({.target = "/well"}, 5s).has_value()) << "a failure must not stay";
  Client nobody(at(1));
  const auto refused = nobody.ask({}, 1s);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::kRetryLater);
}

TEST(HttpServer, StreamsPiecesToTheEnd) {
  Answers handler;
  test::TickingClock clock;
  test::Running server(handler, ServerLimits{}, clock);
  Client client(at(server.port()));
  const auto all = client.ask({.target = "/ticks"}, 5s);
  ASSERT_TRUE(all.has_value()) << all.error().message;
  EXPECT_EQ(all->body, ": hello\n\ndata: 0\n\ndata: 1\n\ndata: 2\n\n");
  EXPECT_EQ(all->content_type, "text/event-stream");
}

TEST(Url, Table) {
  struct Case {
    const char* text;
    const char* host;  // null: refused
    int port;
    const char* target;
  };
  const Case kCases[] = {
      {"http://a:80/b?c=d", "a", 80, "/b?c=d"},
      {"http://a", "a", 80, "/"},
      {"http://127.0.0.1:9093", "127.0.0.1", 9093, "/"},
      {"http://[::1]:8/x", "::1", 8, "/x"},
      {"http://a?b", "a", 80, "/?b"},
      {"https://a", nullptr, 0, ""},
      {"a:1", nullptr, 0, ""},
      {"http://", nullptr, 0, ""},
      {"http://a:0", nullptr, 0, ""},
      {"http://a:65536", nullptr, 0, ""},
      {"http://a:b", nullptr, 0, ""},
      {"http://[::1", nullptr, 0, ""},
      {"", nullptr, 0, ""},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    const auto url = parse_url(c.text);
    ASSERT_EQ(url.has_value(), c.host != nullptr);
    if (!url) continue;
    EXPECT_EQ(url->host, c.host);
    EXPECT_EQ(url->port, c.port);
    EXPECT_EQ(url->target, c.target);
  }
  EXPECT_EQ(parse_host_port("h:7")->port, 7);
  EXPECT_FALSE(parse_host_port("h").has_value());
  EXPECT_EQ(percent_encode("a b/ü~"), "a%20b%2F%C3%BC~");
}

}  // namespace
}  // namespace covey::http

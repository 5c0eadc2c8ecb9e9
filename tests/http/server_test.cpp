#include "http/server.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <thread>

#include "http/harness.h"

namespace covey::http::test {
namespace {

using namespace std::chrono_literals;

// "/echo" gives the body back, "/mark" the field X-Mark, "/slow" waits, "/big" is larger than any
// socket buffer, "/throw" throws, "/refused" is turned away before its body is read; anything else
// says its target. "/held" says how much the connection holds of requests and answers before.
class Echo final : public Handler {
 public:
  std::optional<std::size_t> admit(const Request& q, Response& r) override {
    if (q.target() == "/refused") {
      r.problem(415, "media-type", "no", q.target());
      return std::nullopt;
    }
    return body_max;
  }
  Task<void> handle(Request& q, Response& r) override {
    r.tag = 1;
    if (q.target() == "/echo") {
      r.body = q.body();
    } else if (q.target() == "/slow") {
      ++slow_begun;
      asio::steady_timer timer(co_await asio::this_coro::executor, slow);
      co_await timer.async_wait(asio::use_awaitable_t<Executor>{});
      r.body = "slow";
    } else if (q.target() == "/big") {
      r.body.assign(big, 'b');
    } else if (q.target() == "/mark") {
      r.body = "mark=" + std::string(q.field("x-MARK"));
    } else if (q.target() == "/held") {
      // A string without room on the heap lies in the object.
      const auto* body = reinterpret_cast<const std::byte*>(q.body().data());
      const auto* own = reinterpret_cast<const std::byte*>(&q);
      const bool held = std::less<>()(body, own) || std::less<>()(own + sizeof q, body);
      r.body = fmt::format("{} {}", held ? "a body" : "no body", r.body.capacity() >> 10);
    } else if (q.target() == "/throw") {
      throw std::runtime_error("secret");
    } else {
      r.body = q.target();
    }
    co_return;
  }
  void finished(const Request&, const Response& r,
                std::chrono::nanoseconds took) noexcept override {
    ++answered;
    if (r.tag == 0) ++own_answers;
    if (took.count() < 0) ++own_answers;
  }
  std::size_t body_max = 1 << 20;
  std::size_t big = 20 << 20;
  std::chrono::milliseconds slow{300};
  std::atomic<int> slow_begun{0}, answered{0}, own_answers{0};
};

ServerLimits quick() {
  ServerLimits limits;
  limits.header_timeout = 150ms;
  limits.idle_timeout = 300ms;
  limits.progress_timeout = 150ms;
  limits.linger_timeout = 200ms;
  return limits;
}

class HttpServerTest : public testing::Test {
 protected:
  Running& up(const ServerLimits& limits = {}) {
    running_ = std::make_unique<Running>(echo_, limits, clock_);
    return *running_;
  }
  TickingClock clock_;
  Echo echo_;
  std::unique_ptr<Running> running_;
};

// Goal: whatever a client writes gets the answer HTTP asks for, and the connection survives
// exactly where the next request's beginning is certain.
TEST_F(HttpServerTest, AnswersByTheBook) {
  const std::string many_fields = [] {
    std::string fields;
    for (int i = 0; i < 200; ++i) fields += "X-" + std::to_string(i) + ": 1\r\n";
    return fields;
  }();
  struct Case {
    const char* what;
    std::string request;
    int status;
    bool survives;
    std::string body;  // expected; empty: a problem document
  };
  const std::string ten = "0123456789";
  const Case kCases[] = {
      {"plain", get("/x"), 200, true, "/x"},
      {"query kept", get("/x?a=%20"), 200, true, "/x?a=%20"},
      {"absolute target", get("http://host:1/y?z"), 200, true, "/y?z"},
      {"absolute target without path", get("http://host"), 200, true, "/"},
      {"POST", post("/echo", ten), 200, true, ten},
      {"POST without body", post("/echo", ""), 200, true, ""},
      {"chunked",
       "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: "
       "chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n"
       "0\r\nTrailer: t\r\n\r\n",
       200, true, "abcdefg"},
      {"field", get("/mark", "X-Mark:  a b \r\n"), 200, true, "mark=a b"},
      {"field behind the body counts for nothing",
       "POST /mark HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
       "X-Mark: late\r\n\r\n",
       200, true, "mark="},
      {"close asked", get("/x", "Connection: close\r\n"), 200, false, "/x"},
      {"HTTP/1.0", "GET /x HTTP/1.0\r\n\r\n", 200, false, "/x"},
      {"HTTP/1.0 keep-alive", "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, true, "/x"},
      {"unknown method", "BREW /x HTTP/1.1\r\nHost: t\r\n\r\n", 200, true, "/x"},
      {"HTTP/3.0", "GET /x HTTP/3.0\r\nHost: t\r\n\r\n", 505, false, ""},
      {"no host", "GET /x HTTP/1.1\r\n\r\n", 400, false, ""},
      {"two hosts", get("/x", "Host: u\r\n"), 400, false, ""},
      {"not HTTP", "hello\r\n\r\n", 400, false, ""},
      {"space in a field's name", get("/x", "A b: c\r\n"), 400, false, ""},
      {"length and chunked",
       "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
       "0\r\n\r\n",
       400, false, ""},
      {"two lengths",
       "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400,
       false, ""},
      {"negative length", "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", 400,
       false, ""},
      {"bad chunk", "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       400, false, ""},
      {"long header", get("/x", "A: " + std::string(20'000, 'a') + "\r\n"), 431, false, ""},
      {"many fields", get("/x", many_fields), 431, false, ""},
      {"long target", get("/" + std::string(9'000, 'a')), 414, false, ""},
      {"strange expectation", get("/x", "Expect: tea\r\n"), 417, false, ""},
      {"length beyond the limit",
       "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1048577\r\n\r\n", 413, false, ""},
      {"refused with its body unread", post("/refused", std::string(300'000, 'a')), 415, false, ""},
      {"refused without a body", get("/refused"), 415, true, ""},
      {"handler throws", get("/throw"), 500, false, ""},
  };
  Running& running = up();
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.what);
    Client client(running.port());
    const Reply reply = client.ask(c.request);
    EXPECT_EQ(reply.status, c.status) << reply.head << reply.body;
    EXPECT_EQ(reply.field("Server"), "covey");
    EXPECT_EQ(reply.field("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(reply.field("Connection") == "close", !c.survives);
    if (c.status == 200) {
      EXPECT_EQ(reply.body, c.body);
    } else {
      EXPECT_TRUE(reply.json_problem());
      EXPECT_NE(reply.body.find("\"status\":" + std::to_string(c.status)), std::string::npos);
      EXPECT_EQ(reply.body.find("secret"), std::string::npos);
    }
    if (c.survives) {
      EXPECT_EQ(client.ask(get("/next")).body, "/next");
    } else {
      EXPECT_TRUE(client.ended());
    }
  }
}

// A chunked body has no length to refuse by, so it is cut where it passes the limit.
TEST_F(HttpServerTest, CutsAChunkedBodyAtTheLimit) {
  Running& running = up();
  Client client(running.port());
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'c') + "\r\n";
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(client.send(chunk));
  client.send("1\r\nx\r\n");
  EXPECT_EQ(client.receive().status, 413);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  Running& running = up();
  Client client(running.port());
  echo_.slow = 50ms;
  std::string all = get("/slow");
  for (int i = 0; i < 500; ++i) {
    all += i % 3 == 0 ? post("/echo", "/" + std::to_string(i)) : get("/" + std::to_string(i));
  }
  client.send(all);
  EXPECT_EQ(client.receive().body, "slow");
  for (int i = 0; i < 500; ++i) ASSERT_EQ(client.receive().body, "/" + std::to_string(i));
}

// Goal: where a request is cut into segments must not matter.
TEST_F(HttpServerTest, ReadsARequestByteByByte) {
  Running& running = up();
  Client client(running.port());
  for (const std::string& request :
       {get("/x"), post("/echo", "/x"),
        std::string("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "1\r\n/\r\n1\r\nx\r\n0\r\n\r\n")}) {
    for (const char c : request) ASSERT_TRUE(client.send({&c, 1}));
    EXPECT_EQ(client.receive().body, "/x");
  }
}

TEST_F(HttpServerTest, HeadHasTheLengthButNoBody) {
  Running& running = up();
  Client client(running.port());
  const Reply reply = client.ask("HEAD /12345 HTTP/1.1\r\nHost: t\r\n\r\n", true);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.field("Content-Length"), "6");
  EXPECT_EQ(client.ask(get("/y")).body, "/y");
  EXPECT_EQ(client.ask("HEAD /refused HTTP/1.1\r\nHost: t\r\n\r\n", true).status, 415);
  EXPECT_EQ(client.ask(get("/y")).body, "/y");
}

TEST_F(HttpServerTest, InvitesABodyOnlyWhenItWillBeRead) {
  Running& running = up();
  Client client(running.port());
  const std::string head = "POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n";
  EXPECT_EQ(client.ask(head + "Content-Length: 3\r\n\r\n").status, 100);
  EXPECT_EQ(client.ask("abc").body, "abc");
  EXPECT_EQ(client.ask(head + "Content-Length: 2000000\r\n\r\n").status, 413);
}

TEST_F(HttpServerTest, WritesAnAnswerLargerThanTheSocketsBuffer) {
  Running& running = up();
  Client client(running.port());
  client.send(get("/big"));
  std::this_thread::sleep_for(50ms);  // let the socket's buffer fill
  EXPECT_EQ(client.receive().body.size(), echo_.big);
  EXPECT_EQ(client.ask(get("/y")).body, "/y");
}

// Goal: a client that stops in the middle, anywhere, costs a bounded time and is told where HTTP
// has a word for it.
TEST_F(HttpServerTest, WaitsOnlySoLong) {
  struct Case {
    const char* what;
    std::string sent;
    int status;  // 0: closed without an answer
  };
  const Case kCases[] = {
      {"nothing sent", "", 0},
      {"half a header", "GET /x HTTP/1.1\r\nHo", 408},
      {"half a body", "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc", 408},
      {"half a chunk",
       "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", 408},
  };
  Running& running = up(quick());
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.what);
    Client client(running.port());
    client.send(c.sent);
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_EQ(client.receive().status, c.status);
    EXPECT_TRUE(client.ended());
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  }
  EXPECT_EQ(running.server().counters().timeouts, 4);
}

// A byte now and then is not progress: neither in a header nor in a body.
TEST_F(HttpServerTest, CutsOffWhoTrickles) {
  for (const std::string& head :
       {std::string("GET /x HTTP/1.1\r\nHost: t\r\nX: "),
        std::string("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 99999\r\n\r\n")}) {
    SCOPED_TRACE(head);
    Running& running = up(quick());
    Client client(running.port());
    client.send(head);
    std::atomic<bool> over{false};
    std::thread dripping([&] {
      while (!over && client.send("a")) std::this_thread::sleep_for(10ms);
    });
    EXPECT_EQ(client.receive().status, 408);
    over = true;
    dripping.join();
  }
}

// A client that asks for much and reads nothing must not hold the connection for ever.
TEST_F(HttpServerTest, CutsOffWhoDoesNotRead) {
  Running& running = up(quick());
  Client client(running.port());
  ASSERT_EQ(client.ask(get("/x")).status, 200);
  for (int i = 0; i < 4; ++i) client.send(get("/big"));
  const auto begun = std::chrono::steady_clock::now();
  while (running.server().counters().connections > 0) {
    ASSERT_LT(std::chrono::steady_clock::now() - begun, 10s);
    std::this_thread::sleep_for(10ms);
  }
}

TEST_F(HttpServerTest, OutlivesClientsThatVanish) {
  Running& running = up();
  const std::string requests[] = {
      "G",          "GET /x HTTP/1.1\r\nHost",
      get("/x"),    get("/big"),
      get("/slow"), "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 500000\r\n\r\nabc"};
  echo_.slow = 20ms;
  for (int round = 0; round < 30; ++round) {
    for (const std::string& request : requests) {
      Client client(running.port());
      client.send(request);
    }
  }
  EXPECT_EQ(Client(running.port()).ask(get("/y")).body, "/y");
  const auto begun = std::chrono::steady_clock::now();
  while (running.server().counters().connections > 0) {
    ASSERT_LT(std::chrono::steady_clock::now() - begun, 10s);
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(running.server().counters().body_bytes_in_flight, 0u);
}

// Goal: memory for bodies has a ceiling over all connections, and one that is refused learns it
// before it has sent anything, however much it was going to send.
TEST_F(HttpServerTest, RefusesBodiesBeyondTheShare) {
  ServerLimits limits;
  limits.body_bytes_in_flight_max = 1'000'000;
  Running& running = up(limits);
  Client holder(running.port());
  holder.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 700000\r\n\r\nabc");
  while (running.server().counters().body_bytes_in_flight == 0) std::this_thread::sleep_for(1ms);

  Client refused(running.port());
  const Reply reply = refused.ask(post("/echo", std::string(700'000, 'x')));
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.field("Retry-After"), "1");
  EXPECT_TRUE(refused.ended());

  Client chunked(running.port());
  chunked.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'c') + "\r\n";
  for (int i = 0; i < 5; ++i) chunked.send(chunk);
  EXPECT_EQ(chunked.receive().status, 429);

  EXPECT_EQ(Client(running.port()).ask(post("/echo", "small")).body, "small");
  EXPECT_TRUE(holder.send(std::string(700'000 - 3, 'y')));
  EXPECT_EQ(holder.receive().body.size(), 700'000u);
  EXPECT_EQ(holder.ask(get("/y")).status, 200);
  EXPECT_EQ(running.server().counters().body_bytes_in_flight, 0u);
}

// Goal: a connection that waits holds no large body of what it asked before, nor of the answer.
TEST_F(HttpServerTest, HoldsNoLargeBodyBetweenRequests) {
  Client client(up().port());
  const std::string large(1 << 20, 'x');
  ASSERT_EQ(client.ask(post("/echo", large)).body.size(), large.size());
  EXPECT_EQ(client.ask(get("/held")).body, "no body 0");
}

TEST_F(HttpServerTest, CapsConnections) {
  ServerLimits limits;
  limits.connections_max = 8;
  Running& running = up(limits);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Client>(running.port()));
    ASSERT_EQ(clients.back()->ask(get("/x")).status, 200);
  }
  Client over(running.port());
  const Reply reply = over.ask(get("/x"));
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.field("Retry-After"), "1");
  EXPECT_TRUE(over.ended());
  for (auto& client : clients) EXPECT_EQ(client->ask(get("/z")).body, "/z");
  clients.clear();
  while (running.server().counters().connections > 0) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(Client(running.port()).ask(get("/x")).status, 200);
  EXPECT_EQ(running.server().counters().refused, 1u);
}

TEST_F(HttpServerTest, ServesManyAtOnce) {
  Running& running = up();
  constexpr int kThreads = 8, kClients = 25, kRounds = 20;
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::unique_ptr<Client>> clients;
      for (int c = 0; c < kClients; ++c) {
        clients.push_back(std::make_unique<Client>(running.port()));
      }
      for (int round = 0; round < kRounds; ++round) {
        const auto mark = [&](int c) {
          return "/" + std::to_string(t) + "-" + std::to_string(c) + "-" + std::to_string(round);
        };
        for (int c = 0; c < kClients; ++c) {
          clients[c]->send(c % 2 == 0 ? get(mark(c)) : post("/echo", mark(c)));
        }
        for (int c = 0; c < kClients; ++c) right += clients[c]->receive().body == mark(c);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, kThreads * kClients * kRounds);
  EXPECT_EQ(running.server().counters().accepted, kThreads * kClients);
}

// Goal: stopping loses no request in flight, keeps no idle client waiting, takes nobody new, and
// the io_context then ends by itself.
TEST_F(HttpServerTest, StopsGracefully) {
  Running& running = up();
  Client idle(running.port()), busy(running.port());
  ASSERT_EQ(idle.ask(get("/x")).status, 200);
  busy.send(get("/slow") + get("/after"));
  while (echo_.slow_begun == 0) std::this_thread::sleep_for(1ms);
  running.server().stop(10s);
  EXPECT_TRUE(idle.ended());
  const Reply reply = busy.receive();
  EXPECT_EQ(reply.body, "slow");
  EXPECT_EQ(reply.field("Connection"), "close");
  EXPECT_TRUE(busy.ended());
  EXPECT_FALSE(Client(running.port()).connected());
  busy.close();
  const auto begun = std::chrono::steady_clock::now();
  running.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
}

// A request whose body is under way when the stop comes is in flight as well.
TEST_F(HttpServerTest, StopsOnlyAfterBodiesUnderWay) {
  Running& running = up();
  Client client(running.port());
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nabc");
  while (running.server().counters().body_bytes_in_flight == 0) std::this_thread::sleep_for(1ms);
  running.server().stop(10s);
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(client.ask("def").body, "abcdef");
  EXPECT_TRUE(client.ended());
}

TEST_F(HttpServerTest, CutsWhatOutlastsTheGrace) {
  Running& running = up();
  Client body(running.port()), unread(running.port());
  body.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc");
  unread.send(get("/big"));
  while (running.server().counters().body_bytes_in_flight == 0) std::this_thread::sleep_for(1ms);
  const auto begun = std::chrono::steady_clock::now();
  running.server().stop(100ms);
  running.join();
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(took, 100ms);
  EXPECT_LT(took, 5s);
  EXPECT_EQ(body.receive().status, 0);
}

TEST_F(HttpServerTest, TellsTheHandlerOfEveryAnswer) {
  Running& running = up();
  Client(running.port()).ask(get("/x", "Connection: close\r\n"));
  Client(running.port()).ask("rubbish\r\n\r\n");
  const auto begun = std::chrono::steady_clock::now();
  while (echo_.answered < 2 && std::chrono::steady_clock::now() - begun < 5s) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(echo_.answered, 2);
  EXPECT_EQ(echo_.own_answers, 1);
}

TEST(Listen, SaysWhatIsWrong) {
  asio::io_context io;
  EXPECT_EQ(listen(io, "no such host", 0).error().code, Errc::kRejected);
  auto first = listen(io, "127.0.0.1", 0);
  ASSERT_TRUE(first.has_value());
  const std::uint16_t port = first->local_endpoint().port();
  const auto second = listen(io, "127.0.0.1", port);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Errc::kFailed);
  EXPECT_NE(second.error().message.find("127.0.0.1:" + std::to_string(port)), std::string::npos);
}

TEST(ResponseField, CannotBeSplit) {
  // A value that carries a line end must not become a field of its own.
  class Splitter final : public Handler {
   public:
    std::optional<std::size_t> admit(const Request&, Response&) override { return 0; }
    Task<void> handle(Request&, Response& r) override {
      r.field("X-Test", "a\r\nInjected: yes");
      co_return;
    }
    void finished(const Request&, const Response&, std::chrono::nanoseconds) noexcept override {}
  } handler;
  const TickingClock clock;
  const Running running(handler, {}, clock);
  const Reply reply = Client(running.port()).ask(get("/"));
  EXPECT_EQ(reply.field("X-Test"), "aInjected: yes");
  EXPECT_EQ(reply.field("Injected"), "");
}

}  // namespace
}  // namespace covey::http::test

// Events sent to a service that answers as services do: in time, too busy, not ready, not at all.

#include "app/event_sender.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "app/real_clock.h"

namespace covey::app {
namespace {

using namespace std::chrono_literals;

std::string answer(const char* status, const char* body, const char* field = "") {
  return fmt::format(
      "HTTP/1.1 {}\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", status,
      field, std::string_view(body).size(), body);
}

/// Gives one answer after the other, each to a request of its own connection; an empty one is a
/// connection closed without a word. Keeps the bodies.
class Script {
 public:
  explicit Script(std::vector<std::string> answers) : answers_(std::move(answers)) {
    listening_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (::bind(listening_, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
        ::listen(listening_, 8) != 0 ||
        ::getsockname(listening_, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(at.sin_port);
    thread_ = std::jthread([this] { serve(); });
  }
  ~Script() {
    ::shutdown(listening_, SHUT_RDWR);
    thread_.join();
    ::close(listening_);
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  const std::vector<std::string>& bodies() const { return bodies_; }

 private:
  void serve() {
    for (const std::string& text : answers_) {
      const int peer = ::accept(listening_, nullptr, nullptr);
      if (peer < 0) return;
      std::string request;
      std::size_t head = std::string::npos, length = 0;
      char piece[4'096];
      while (head == std::string::npos || request.size() < head + 4 + length) {
        const auto got = ::recv(peer, piece, sizeof piece, 0);
        if (got <= 0) break;
        request.append(piece, static_cast<std::size_t>(got));
        head = request.find("\r\n\r\n");
        const std::size_t field = request.find("Content-Length: ");
        if (head != std::string::npos && field < head) {
          length = std::strtoul(request.c_str() + field + 16, nullptr, 10);
        }
      }
      bodies_.push_back(head == std::string::npos ? "" : request.substr(head + 4));
      std::ignore = ::send(peer, text.data(), text.size(), MSG_NOSIGNAL);
      ::close(peer);
    }
  }
  std::vector<std::string> answers_, bodies_;
  int listening_ = -1;
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

const char* const kTwo = R"({"accepted":2,"duplicates":0,"rejected":0})";

// Goal: whatever came between, every batch is stored once, in order, and counted.
TEST(EventSenderTest, WaitsAndSendsAgainUntilItIsStored) {
  const RealClock clock;
  Script service({answer("429 Too Many Requests", "{}", "Retry-After: 1\r\n"),
                  answer("503 Service Unavailable", "{}", "Retry-After: soon\r\n"), "",
                  answer("200 OK", kTwo),
                  answer("200 OK", R"({"accepted":0,"duplicates":1,"rejected":0})")});
  auto sender = EventSender::open(service.url(), {.batch = 2}, clock);
  ASSERT_TRUE(sender) << sender.error().message;
  const auto began = clock.now();
  const auto sent = sender->send("a\nb\nc\n");
  ASSERT_TRUE(sent) << sent.error().message;
  const auto ended = sender->finish();
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_TRUE(sender->finish());
  EXPECT_GE(clock.now() - began, 3s);
  EXPECT_EQ(sender->accepted(), 2u);
  EXPECT_EQ(sender->duplicates(), 1u);
  EXPECT_EQ(sender->waits(), 3u);
  EXPECT_EQ(service.bodies(),
            (std::vector<std::string>{"a\nb\n", "a\nb\n", "a\nb\n", "a\nb\n", "c\n"}));
}

TEST(EventSenderTest, EndsWithWhatIsWrong) {
  const RealClock clock;
  struct Row {
    const char* what;
    std::string answer;
    const char* says;
  };
  const Row rows[] = {
      {"a refusal", answer("422 Unprocessable Entity", R"({"title":"no rows"})"), "answers 422"},
      {"not Covey", answer("200 OK", "hello"), "not as Covey does"},
      {"a count that is none",
       answer("200 OK", R"({"accepted":1e300,"duplicates":0,"rejected":0})"), "not as Covey does"},
      {"rejected rows", answer("200 OK", R"({"accepted":1,"duplicates":0,"rejected":1})"),
       "rejects rows"},
      {"no patience", answer("503 Service Unavailable", "{}"), "The same command again goes on"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Script service({row.answer});
    auto sender = EventSender::open(service.url(), {.batch = 2, .patience = 0s}, clock);
    ASSERT_TRUE(sender);
    const auto sent = sender->send("a\nb\n");
    ASSERT_FALSE(sent);
    EXPECT_NE(sent.error().message.find(row.says), std::string::npos) << sent.error().message;
  }
  EXPECT_FALSE(EventSender::open("ftp://here", {}, clock));
}

}  // namespace
}  // namespace covey::app

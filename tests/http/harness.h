#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/server.h"

// A server in this process on a free loopback port, and a client that writes bytes by hand: what
// is tested is what travels, so no HTTP library stands between.
namespace covey::http::test {

class TickingClock final : public Clock {
 public:
  std::chrono::nanoseconds now() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  Time wall() const override {
    return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
};

struct Reply {
  int status = 0;  ///< 0: the connection ended before an answer
  std::string head, body;
  bool json_problem() const {
    return head.find("Content-Type: application/problem+json\r\n") != head.npos;
  }
  std::string field(std::string_view name) const {
    const std::string key = "\r\n" + std::string(name) + ": ";
    const std::size_t at = head.find(key);
    if (at == head.npos) return {};
    const std::size_t begin = at + key.size();
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{20, 0};  // a hang fails the test instead of the suite
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  /// False once the server has closed or reset.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// One answer. `head_only`: it answers HEAD, so no body follows.
  Reply receive(bool head_only = false) {
    Reply reply;
    std::size_t end = 0;
    while ((end = in_.find("\r\n\r\n")) == in_.npos) {
      if (!more()) return reply;
    }
    reply.head = in_.substr(0, end + 4);
    in_.erase(0, end + 4);
    reply.status = std::atoi(reply.head.c_str() + 9);
    const std::size_t length =
        static_cast<std::size_t>(std::atoll(("0" + reply.field("Content-Length")).c_str()));
    if (head_only || reply.status == 100) return reply;
    while (in_.size() < length) {
      if (!more()) return Reply{};
    }
    reply.body = in_.substr(0, length);
    in_.erase(0, length);
    return reply;
  }
  Reply ask(std::string_view bytes, bool head_only = false) {
    send(bytes);
    return receive(head_only);
  }
  /// What comes until `text` has; all there was where it never did.
  std::string read_until(std::string_view text) {
    while (in_.find(text) == in_.npos && more()) {
    }
    return in_;
  }
  /// True once the server has ended the connection and nothing more was sent.
  bool ended() {
    if (!in_.empty()) return false;
    return !more() && in_.empty();
  }

 private:
  bool more() {
    char room[65536];
    const ssize_t n = ::recv(fd_, room, sizeof room, 0);
    if (n <= 0) return false;
    in_.append(room, static_cast<std::size_t>(n));
    return true;
  }
  int fd_;
  bool connected_ = false;
  std::string in_;
};

inline std::string get(std::string_view target, std::string_view fields = {}) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: t\r\n" + std::string(fields) + "\r\n";
}
inline std::string post(std::string_view target, std::string_view body,
                        std::string_view fields = {}) {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: t\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

/// Runs `handler` behind a server on two threads until it goes out of scope.
class Running {
 public:
  Running(Handler& handler, const ServerLimits& limits, const Clock& clock) {
    auto acceptor = listen(io_, "127.0.0.1", 0);
    if (!acceptor) std::abort();
    server_ = std::make_unique<HttpServer>(io_, std::move(*acceptor), handler, clock, limits);
    port_ = server_->port();
    server_->start();
    for (int i = 0; i < 2; ++i) {
      threads_.emplace_back([this] { io_.run(); });
    }
  }
  ~Running() {
    server_->stop(std::chrono::milliseconds(200));
    join();
  }
  void join() {
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  std::uint16_t port() const { return port_; }
  HttpServer& server() { return *server_; }

 private:
  asio::io_context io_;
  std::unique_ptr<HttpServer> server_;
  std::uint16_t port_ = 0;
  std::vector<std::thread> threads_;
};

/// Compares with tests/service/golden/`name`; COVEY_UPDATE_GOLDEN=1 rewrites it.
inline void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(COVEY_SOURCE_DIR) + "/tests/service/golden/" + name;
  if (std::getenv("COVEY_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << text << '\n';
    return;
  }
  std::ifstream in(path, std::ios::binary);
  std::ostringstream kept;
  kept << in.rdbuf();
  EXPECT_EQ(kept.str(), text + '\n') << path << " (COVEY_UPDATE_GOLDEN=1 rewrites it)";
}

}  // namespace covey::http::test

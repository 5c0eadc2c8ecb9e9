#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "haproxy/configuration.h"
#include "haproxy/line.h"
#include "haproxy/runtime.h"
#include "http_client.h"
#include "plan/sample.h"
#include "process.h"

namespace covey::haproxy {

/// A loopback server: accepts, and serves each connection on a thread of its own.
class Listener {
 public:
  explicit Listener(unsigned short port = 0) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    COVEY_CHECK(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    COVEY_CHECK(::listen(socket_, 512) == 0);
    socklen_t length = sizeof address;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  virtual ~Listener() { stop(); }
  unsigned short port() const { return port_; }

  void start() {
    accepting_ = std::jthread([this] {
      for (;;) {
        const int peer = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
        if (peer < 0) return;
        const std::lock_guard lock(mutex_);
        if (stopped_) {
          ::close(peer);
          return;
        }
        peers_.push_back(peer);
        serving_.emplace_back([this, peer] { serve(peer); });
      }
    });
  }
  /// As kill -9 would: nothing more is accepted, and every connection is cut.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(stopped_, true)) return;
      for (const int peer : peers_) ::shutdown(peer, SHUT_RDWR);
    }
    ::shutdown(socket_, SHUT_RDWR);
    if (accepting_.joinable()) accepting_.join();
    serving_.clear();  // joins
    for (const int peer : peers_) ::close(peer);
    ::close(socket_);
  }

 protected:
  virtual void serve(int peer) = 0;

 private:
  int socket_ = -1;
  unsigned short port_ = 0;
  std::mutex mutex_;
  bool stopped_ = false;
  std::vector<int> peers_;
  std::list<std::jthread> serving_;
  std::jthread accepting_;
};

/// An analyzer of which only the name matters.
class Backend final : public Listener {
 public:
  explicit Backend(std::string name) : name_(std::move(name)) { start(); }
  ~Backend() override { stop(); }
  std::atomic<int> status = 200;
  std::atomic<int> delay_ms = 0;
  /// Takes a request and cuts the connection instead of answering.
  std::atomic<bool> cuts = false;
  std::atomic<int> asked = 0;  ///< requests but for health checks
  /// Of those requests, as they came.
  std::string heads() const {
    const std::lock_guard lock(heads_mutex_);
    return heads_;
  }

 private:
  void serve(int peer) override {
    const int one = 1;
    ::setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    std::string in;
    char piece[8192];
    for (;;) {
      const ssize_t got = ::recv(peer, piece, sizeof piece, 0);
      if (got <= 0) return;
      in.append(piece, static_cast<std::size_t>(got));
      std::size_t end;
      while ((end = in.find("\r\n\r\n")) != std::string::npos) {
        const bool health = in.starts_with("GET /readyz");
        if (!health) {
          ++asked;
          const std::lock_guard lock(heads_mutex_);
          heads_ += in.substr(0, end);
        }
        in.erase(0, end + 4);
        if (!health && cuts) {
          ::shutdown(peer, SHUT_RDWR);
          return;
        }
        if (!health && delay_ms > 0) {
          std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
        }
        const std::string out = fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n{}",
                                            health ? 200 : status.load(), name_.size(), name_);
        if (::send(peer, out.data(), out.size(), MSG_NOSIGNAL) < 0) return;
      }
    }
  }
  std::string name_;
  mutable std::mutex heads_mutex_;
  std::string heads_;
};

/// Takes the balancer's lines.
class LineSink final : public Listener {
 public:
  LineSink() { start(); }
  ~LineSink() override { stop(); }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(lines_mutex_);
    return lines_;
  }
  std::vector<std::string> wait_for(std::size_t count) const {
    for (int i = 0; i < 200 && lines().size() < count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    return lines();
  }
  std::atomic<bool> refused = false;

 private:
  void serve(int peer) override {
    Frames frames([this](std::string_view line) {
      const std::lock_guard lock(lines_mutex_);
      lines_.emplace_back(line);
    });
    char piece[65536];
    for (;;) {
      const ssize_t got = ::recv(peer, piece, sizeof piece, 0);
      if (got <= 0) return;
      if (!frames.take({piece, static_cast<std::size_t>(got)})) refused = true;
    }
  }
  mutable std::mutex lines_mutex_;
  std::vector<std::string> lines_;
};

inline unsigned short free_port() {
  struct Nobody final : Listener {
    ~Nobody() override { stop(); }
    void serve(int) override {}
  };
  return Nobody().port();
}

/// HAProxy between two backends, as a plan would have it.
struct Rig {
  testing::TempDir dir;
  std::unique_ptr<Backend> baseline = std::make_unique<Backend>("baseline");
  std::unique_ptr<Backend> candidate = std::make_unique<Backend>("candidate");
  LineSink sink;
  plan::Plan plan = plan::platform_plan();
  Settings settings;
  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<testing::Process> balancer;
  unsigned short port = free_port();

  explicit Rig(std::vector<std::string> trusted = {}) {
    plan.listen = fmt::format("127.0.0.1:{}", port);
    plan.baseline.address = fmt::format("127.0.0.1:{}", baseline->port());
    plan.candidate.address = fmt::format("127.0.0.1:{}", candidate->port());
    settings.files = {dir / "admin.sock", dir / "split.map"};
    settings.collector = fmt::format("127.0.0.1:{}", sink.port());
    settings.threads = 2;
    std::ofstream(settings.files.split_map) << "threshold 0\n";
    settings.trusted = std::move(trusted);
    std::ofstream(dir / "haproxy.cfg") << configuration(plan, settings);
    runtime = std::make_unique<Runtime>(settings.files, std::chrono::milliseconds(1'000));
    start();
  }
  void start() {
    balancer = std::make_unique<testing::Process>(
        std::vector<std::string>{"/usr/sbin/haproxy", "-db", "-f", dir / "haproxy.cfg"});
    for (int i = 0; i < 200; ++i) {
      if (const auto share = runtime->share(); share && testing::HttpClient(port).get("/")) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    ADD_FAILURE() << "haproxy does not start: " << balancer->err();
  }
};

}  // namespace covey::haproxy

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "eventually.h"
#include "http_client.h"
#include "process.h"

// The control plane as a process, with HAProxy, and nobody behind it.
namespace covey::app {
namespace {

using covey::testing::eventually;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;
using tcp = boost::asio::ip::tcp;

/// A port that nobody has, below those the kernel gives to outgoing connections.
unsigned short free_port() {
  static Random random(static_cast<std::uint64_t>(::getpid()) + 77);
  boost::asio::io_context io;
  for (;;) {
    const auto port = static_cast<unsigned short>(15'000 + random.below(15'000));
    tcp::acceptor probe(io);
    boost::system::error_code error;
    probe.open(tcp::v4());
    probe.bind({boost::asio::ip::make_address("127.0.0.1"), port}, error);
    if (!error) return port;
  }
}

/// Takes messages and keeps their heads and bodies.
class Hook {
 public:
  explicit Hook(unsigned short port) : acceptor_(io_) {
    acceptor_.open(tcp::v4());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind({boost::asio::ip::make_address("127.0.0.1"), port});
    acceptor_.listen();
    thread_ = std::thread([this] {
      for (;;) {
        boost::system::error_code error;
        tcp::socket peer(io_);
        acceptor_.accept(peer, error);
        if (error || stopping_) return;
        serve(peer);
      }
    });
  }
  ~Hook() {
    stopping_ = true;
    tcp::socket wake(io_);
    boost::system::error_code ignored;
    wake.connect(acceptor_.local_endpoint(), ignored);
    thread_.join();
  }
  /// By their keys, how often each came.
  std::map<std::string, int> taken() const {
    const std::lock_guard lock(mutex_);
    return taken_;
  }
  std::string bodies() const {
    const std::lock_guard lock(mutex_);
    return bodies_;
  }

 private:
  void serve(tcp::socket& peer) {
    namespace http = boost::beast::http;
    boost::system::error_code error;
    boost::beast::flat_buffer buffer;
    http::request<http::string_body> request;
    http::read(peer, buffer, request, error);
    if (error) return;
    {
      const std::lock_guard lock(mutex_);
      ++taken_[std::string(request["Idempotency-Key"])];
      bodies_ += request.body() + "\n";
    }
    http::response<http::empty_body> answer{http::status::no_content, 11};
    answer.keep_alive(false);
    http::write(peer, answer, error);
  }
  boost::asio::io_context io_;
  tcp::acceptor acceptor_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::map<std::string, int> taken_;
  std::string bodies_;
  std::thread thread_;
};

struct ControlPlane : ::testing::Test {
  testing::TempDir dir;
  unsigned short api = free_port(), balancer = free_port(), hook = free_port();
  std::string token;
  std::unique_ptr<testing::Process> control;

  void SetUp() override {
    std::ofstream(dir / "plan.yaml") << fmt::format(
        R"(plan: small
services:
  baseline: {{address: "127.0.0.1:{}"}}
  candidate: {{address: "127.0.0.1:{}"}}
balancer: {{listen: "127.0.0.1:{}"}}
traffic: {{requests_per_second: 1000, learners: 10000}}
roles:
  vp: {{title: VP, people: [Vera], decides: yes}}
roster:
  acknowledge_within: 5m
  shifts:
    - {{name: day, from: "06:00", to: "18:00", people: [Olga]}}
    - {{name: night, from: "18:00", to: "06:00", people: [Nils]}}
channels:
  hook: {{kind: webhook, url: "http://127.0.0.1:{}/x"}}
stages:
  - name: canary
    start: 2035-10-31T12:00:00Z
    share: 1%
    length: 10m
    checkpoints: [10m]
    criteria: [error_rate < 1%]
    breached_for: 3m
    approvals: [vp]
)",
        free_port(), free_port(), balancer, hook);
    const auto made = testing::run_covey(
        {"control", "token", "--plan", dir / "plan.yaml", "--person", "Vera", "--role", "vp"});
    ASSERT_EQ(made.code, 0) << made.err;
    token = made.out.substr(0, made.out.find('\n'));
    std::ofstream(dir / "tokens.yaml") << "tokens:\n" << made.err.substr(made.err.find("  - {"));
    start();
  }
  void start() {
    control = std::make_unique<testing::Process>(std::vector<std::string>{
        testing::covey_binary(), "control", "--plan", dir / "plan.yaml", "--journal",
        dir / "journal", "--tokens", dir / "tokens.yaml", "--reports", dir / "reports", "--listen",
        fmt::format("127.0.0.1:{}", api)});
    ASSERT_TRUE(control->wait_for("ready:")) << control->err();
  }
  void kill() {
    control->kill(SIGKILL);
    control->wait();
  }
  void TearDown() override {
    control.reset();
    std::ifstream pid_file(dir / "journal/haproxy/haproxy.pid");
    for (int pid = 0; pid_file >> pid;) ::kill(pid, SIGKILL);
  }
  unsigned post(const std::string& what, const Json& body) {
    testing::HttpClient client(api);
    const auto answer = client.request(boost::beast::http::verb::post, "/v1/rollout/" + what,
                                       body.dump(), {{"Authorization", "Bearer " + token}});
    return answer ? answer->status : 0;
  }
};

// Goal: what people must hear reaches them though its channel was dead and the controller was
// killed; and never twice but with the same key.
TEST_F(ControlPlane, AMessageOutlivesAKill) {
  ASSERT_EQ(post("incidents", {{"severity", "high"}, {"title", "the cache burns"}}), 200u);
  kill();
  start();
  ASSERT_EQ(post("incidents", {{"severity", "high"}, {"title", "and the disk"}}), 200u);
  // Stopped as by a service manager, not killed: the same holds.
  control->kill(SIGTERM);
  control->wait();
  start();
  const Hook taken(hook);
  ASSERT_TRUE(eventually(
      [&] {
        const std::string bodies = taken.bodies();
        return bodies.find("the cache burns") != std::string::npos &&
               bodies.find("and the disk") != std::string::npos;
      },
      60s))
      << taken.bodies() << control->err();
  for (const auto& [key, times] : taken.taken()) EXPECT_EQ(times, 1) << key;
  const auto before = taken.taken();
  kill();
  start();
  ASSERT_EQ(post("incidents", {{"severity", "high"}, {"title", "the last"}}), 200u);
  ASSERT_TRUE(
      eventually([&] { return taken.bodies().find("the last") != std::string::npos; }, 60s));
  // At most the one that was taken as the process died, and it has its old key.
  int again = 0;
  for (const auto& [key, times] : taken.taken()) again += before.contains(key) && times > 1;
  EXPECT_LE(again, 1);
}

}  // namespace
}  // namespace covey::app

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "base/time.h"
#include "eventually.h"
#include "http_client.h"
#include "process.h"

// A rollout between real processes: HAProxy, two analyzers, a control plane, learners at 2,000
// requests a second. Scaled like plans/demo.yaml, and shorter.
namespace covey::app {
namespace {

using covey::testing::eventually;

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using testing::Process;

constexpr int kRate = 2'000;
constexpr const char* kPlan = R"(plan: live
services:
  baseline: {{address: "127.0.0.1:{baseline}", health: /readyz}}
  candidate: {{address: "127.0.0.1:{candidate}", health: /readyz}}
balancer: {{listen: "127.0.0.1:{balancer}"}}
traffic: {{requests_per_second: {rate}, learners: 500}}
slot: 500ms
window: 3s
segments: [north, south]
roles:
  vp: {{title: VP, people: [Vera], decides: yes}}
roster:
  acknowledge_within: 5m
  shifts:
    - {{name: day, from: "06:00", to: "18:00", people: [Olga]}}
    - {{name: night, from: "18:00", to: "06:00", people: [Nils]}}
stages:
  - name: canary
    start: 2025-10-31T12:00:02Z
    share: 5%
    length: {length}s
    max_extend: 60s
    preflight:
      at: 2025-10-31T12:00:00Z
      checks: [baseline_healthy, candidate_healthy, split_reads_back, telemetry_flows, same_answers]
    checkpoints: [4s, {length}s]
    criteria: [error_rate < 5%, p95 < 1s, availability > 95%]
    breached_for: {breached}
    reactions: [{{when: critical_incidents > 0, share: 0%}}]
    approvals: [vp]
    on_pass: ramp
  - name: ramp
    start: {ramp}
    share: 25%
    length: {length}s
    max_extend: 60s
    checkpoints: [4s, {length}s]
    criteria: [error_rate < 2%, p95 < 1s, availability > 98%, segment_spread < 10%]
    breached_for: {breached}
    reactions: [{{when: critical_incidents > 0, share: 0%}}]
    on_fail: {{share: 0%}}
    approvals: [vp]
    on_pass: rollout
  - name: rollout
    start: {rollout}
    share: 100%
    length: {length}s
    max_extend: 60s
    checkpoints: [4s, {length}s]
    criteria: [error_rate < 1%, p95 < 1s, availability > 99%, segment_spread < 5%]
    breached_for: {breached}
    reactions: [{{when: critical_incidents > 0, share: 0%}}]
    on_fail: {{share: 0%}}
    approvals: [vp]
)";

/// A port that nobody has, below those the kernel gives to outgoing connections: one of those might
/// take it while its owner is being started again.
unsigned short free_port() {
  static Random random(static_cast<std::uint64_t>(::getpid()));
  boost::asio::io_context io;
  for (;;) {
    const auto port = static_cast<unsigned short>(15'000 + random.below(15'000));
    boost::asio::ip::tcp::acceptor probe(io);
    boost::system::error_code error;
    probe.open(boost::asio::ip::tcp::v4());
    probe.bind({boost::asio::ip::make_address("127.0.0.1"), port}, error);
    if (!error) return port;
  }
}

class Live : public ::testing::Test {
 protected:
  testing::TempDir dir;
  std::unique_ptr<testing::Server> baseline, candidate;
  std::unique_ptr<Process> control, learners;
  unsigned short balancer = free_port(), api = free_port();
  std::string token;
  Json load;

  /// @param length  of each stage
  void start(const char* breached = "3s", std::chrono::seconds length = 12s) {
    {
      std::ofstream events(dir / "events.ndjson"), ids(dir / "learners");
      for (int i = 0; i < 500; ++i) {
        ids << "Learner/" << i << "\n";
        for (int e = 0; e < 8; ++e) {
          events << fmt::format(
              R"({{"id":"{}-{}","learner":"Learner/{}","time":"2025-0{}-1{}T10:00:00Z","type":"practice","capability":"c{}","domain":"d{}"}})"
              "\n",
              i, e, i, 1 + e % 4, e, (i * 7 + e) % 20, i % 3);
        }
      }
    }
    for (const char* name : {"b", "c"}) {
      const auto imported = testing::run_covey(
          {"import", "--data", dir / name, "--format", "ndjson", dir / "events.ndjson"});
      ASSERT_EQ(imported.code, 0) << imported.err;
    }
    baseline = std::make_unique<testing::Server>(
        dir / "b", std::vector<std::string>{"--engine", "baseline", "--as-of", "latest"});
    candidate = std::make_unique<testing::Server>(
        dir / "c", std::vector<std::string>{"--as-of", "latest", "--drill", dir / "drill"});
    ASSERT_NE(baseline->port(), 0);
    ASSERT_NE(candidate->port(), 0);
    const Time canary = parse_time("2025-10-31T12:00:02Z").value();
    std::ofstream(dir / "plan.yaml") << fmt::format(
        fmt::runtime(kPlan), fmt::arg("baseline", baseline->port()),
        fmt::arg("candidate", candidate->port()), fmt::arg("balancer", balancer),
        fmt::arg("rate", kRate), fmt::arg("breached", breached), fmt::arg("length", length.count()),
        fmt::arg("ramp", format_time(canary + length + 1s)),
        fmt::arg("rollout", format_time(canary + 2 * (length + 1s))));
    const auto made = testing::run_covey(
        {"control", "token", "--plan", dir / "plan.yaml", "--person", "Vera", "--role", "vp"});
    ASSERT_EQ(made.code, 0) << made.err;
    token = made.out.substr(0, made.out.find('\n'));
    std::ofstream(dir / "tokens.yaml") << "tokens:\n" << made.err.substr(made.err.find("  - {"));
    start_control();
    learners = std::make_unique<Process>(std::vector<std::string>{
        testing::covey_binary(), "load", fmt::format("http://127.0.0.1:{}", balancer), "--rate",
        std::to_string(kRate), "--for", "0s", "--connections", "64", "--learners", dir / "learners",
        "--segments", "north,south", "--json"});
    for (const char* stage : {"canary", "ramp", "rollout"}) {
      ASSERT_EQ(post("approvals", {{"stage", stage}}), 200u);
    }
  }
  void start_control() {
    control = std::make_unique<Process>(std::vector<std::string>{
        testing::covey_binary(), "control", "--plan", dir / "plan.yaml", "--journal",
        dir / "journal", "--tokens", dir / "tokens.yaml", "--reports", dir / "reports", "--begin",
        "now", "--listen", fmt::format("127.0.0.1:{}", api), "--compares-per-second", "20"});
    ASSERT_TRUE(control->wait_for("ready:")) << control->err();
  }
  void stop_load() {
    if (!learners) return;
    learners->kill(SIGTERM);
    learners->wait();
    load = Json::parse(learners->out(), nullptr, false);
    learners.reset();
  }
  void TearDown() override {
    stop_load();
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
  Json get(const std::string& target) const {
    testing::HttpClient client(api);
    const auto answer = client.get(target);
    if (!answer || answer->status != 200) return Json::object();
    return Json::parse(answer->body, nullptr, false);
  }
  Json status() const { return get("/v1/rollout"); }
  std::string situation() const { return status().value("situation", "away"); }
  /// Every decision of the journal with the wall clock's time at which it was durable,
  /// microseconds.
  std::vector<std::pair<Json, std::int64_t>> decisions() const {
    std::vector<std::pair<Json, std::int64_t>> out;
    testing::HttpClient client(api);
    const auto answer = client.get("/v1/rollout/journal?limit=10000");
    if (!answer) return out;
    std::istringstream lines(answer->body);
    for (std::string line; std::getline(lines, line);) {
      const Json record = Json::parse(line);
      for (const Json& d : record.value("decisions", Json::array())) {
        out.emplace_back(d, record.at("written").get<std::int64_t>());
      }
    }
    return out;
  }
  bool running(const char* phase, double seconds) {
    return eventually(
        [&] {
          const Json s = status();
          if (!s.contains("phases") || s["phase"] != phase) return false;
          for (const Json& p : s["phases"]) {
            if (p["name"] == phase) return p.value("elapsed_s", -1.0) >= seconds;
          }
          return false;
        },
        120s);
  }
  std::string trouble() const { return status().dump(1).substr(0, 6'000) + control->err(); }
  /// What was decided, without what depends on the moment.
  std::vector<std::string> story() const {
    static const std::set<std::string> kTold = {"open", "begin",     "pass",
                                                "fail", "roll_back", "finished"};
    std::vector<std::string> out;
    for (const auto& [d, written] : decisions()) {
      if (kTold.contains(d.value("decision", ""))) {
        out.push_back(d.value("phase", "") + " " + d.value("decision", ""));
      }
    }
    return out;
  }
};

const std::vector<std::string> kPassed = {"canary open",  "canary begin",  "canary pass",
                                          "ramp open",    "ramp begin",    "ramp pass",
                                          "rollout open", "rollout begin", "rollout pass"};

TEST_F(Live, PassesFromCanaryToEveryone) {
  start();
  ASSERT_TRUE(eventually([&] { return situation() == "finished"; }, 150s)) << trouble();
  auto told = story();
  std::erase_if(told, [](const std::string& s) { return s.ends_with("finished"); });
  EXPECT_EQ(told, kPassed);
  EXPECT_DOUBLE_EQ(status()["share"]["seen"].get<double>(), 1.0);
  stop_load();
  ASSERT_TRUE(load.is_object());
  EXPECT_EQ(load["server_errors"], 0);
  EXPECT_EQ(load["unavailable"], 0);
  EXPECT_EQ(load["cut"], 0);
  EXPECT_GE(load["requests_per_second"].get<double>(), 0.95 * kRate);
  std::set<std::string> reports;
  for (const auto& file : std::filesystem::directory_iterator(dir / "reports")) {
    reports.insert(file.path().filename().string().substr(7));
  }
  for (const char* name : {"stage-canary.md", "stage-rollout.html", "executive-live.md"}) {
    EXPECT_TRUE(reports.contains(name)) << name;
  }
  // The balancer told of every request: none was missing, in no phase.
  testing::HttpClient client(api);
  EXPECT_THAT(client.get("/metrics")->body, HasSubstr("\ncovey_telemetry_lines_lost_total 0\n"));
}

struct Bad {
  const char* name;
  const char* drill;  ///< or
  int signal;
};
void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.name;
}

class LiveBad : public Live, public ::testing::WithParamInterface<Bad> {
 protected:
  /// Requests that the candidate's server was given, as HAProxy counts.
  std::int64_t sent_to_candidate() const {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = dir / "journal/haproxy/admin.sock";
    std::memcpy(address.sun_path, path.data(), path.size());
    std::string text;
    if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      constexpr std::string_view kAsk = "show stat\n";
      if (::write(socket, kAsk.data(), kAsk.size()) > 0) {
        char piece[8192];
        for (ssize_t got; (got = ::read(socket, piece, sizeof piece)) > 0;) {
          text.append(piece, static_cast<std::size_t>(got));
        }
      }
    }
    ::close(socket);
    const std::size_t at = text.find("\ncandidate,candidate,");
    if (at == text.npos) return -1;
    // stot is the eighth field.
    std::size_t field = at;
    for (int i = 0; i < 7; ++i) field = text.find(',', field + 1);
    return std::atoll(text.c_str() + field + 1);
  }
};

// Goal: whatever way a candidate goes bad, it is rolled back; within a second of the journal's
// decision the last request has reached it, and no learner's answer is lost by the roll back.
TEST_P(LiveBad, IsRolledBackWithinASecondOfTheDecision) {
  start();
  ASSERT_TRUE(running("ramp", 2)) << trouble();
  std::atomic<bool> over = false;
  std::int64_t last_sent_us = 0;
  std::thread watcher([&] {
    std::int64_t before = -1;
    while (!over) {
      const std::int64_t now = sent_to_candidate();
      if (now > before) {
        last_sent_us = std::chrono::duration_cast<std::chrono::microseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
        before = now;
      }
      std::this_thread::sleep_for(10ms);
    }
  });
  const Bad& bad = GetParam();
  if (bad.drill != nullptr) {
    std::ofstream(dir / "drill") << bad.drill;
  } else {
    candidate->process().kill(bad.signal);
  }
  const bool back = eventually([&] { return situation() == "rolled back"; }, 60s);
  std::this_thread::sleep_for(1s);
  over = true;
  watcher.join();
  if (bad.signal == SIGSTOP) candidate->process().kill(SIGCONT);
  ASSERT_TRUE(back) << trouble();
  std::int64_t decided_us = 0;
  std::string cause;
  for (const auto& [d, written] : decisions()) {
    if (d["decision"] == "roll_back") {
      decided_us = written;
      cause = d["cause"];
    }
  }
  ASSERT_GT(decided_us, 0);
  const double late_s = static_cast<double>(last_sent_us - decided_us) * 1e-6;
  fmt::print("{}: {}; last request on the candidate {:+.3f} s after the decision\n", bad.name,
             cause, late_s);
  EXPECT_LT(late_s, 1.0);
  const Json s = status();
  EXPECT_EQ(s["share"]["seen"], 0.0);
  EXPECT_FALSE(s["roll_back"]["verified"].is_null());
  stop_load();
  ASSERT_TRUE(load.is_object());
  if (bad.signal == SIGKILL) {
    // Asked again of the baseline; only what was in mid-answer can be cut.
    EXPECT_EQ(load["server_errors"], 0);
    EXPECT_EQ(load["unavailable"], 0);
    EXPECT_LE(load["cut"].get<int>(), 16);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ways, LiveBad,
    ::testing::Values(Bad{"slow", "latency=1500ms", 0}, Bad{"erring", "errors=30%", 0},
                      Bad{"wrong_in_one_segment", "errors=40% segment=south", 0},
                      Bad{"killed", nullptr, SIGKILL}, Bad{"silent", nullptr, SIGSTOP}),
    [](const auto& way) { return std::string(way.param.name); });

// Goal: a controller that is killed again and again follows the same plan to the same end. Method:
// stages so long that twenty kills fall within them, three and a half seconds apart on average.
TEST_F(Live, AControllerKilledTwentyTimesEndsAsIfItHadNotBeen) {
  start("8s", 24s);
  Random random(20);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1'500 + random.below(2'500)));
    ASSERT_NE(situation(), "finished") << "after " << i << " kills: too few to say anything";
    control->kill(SIGKILL);
    control->wait();
    start_control();
    if (HasFatalFailure()) return;
  }
  ASSERT_TRUE(eventually([&] { return situation() == "finished"; }, 240s)) << trouble();
  auto told = story();
  std::erase_if(told, [](const std::string& s) { return s.ends_with("finished"); });
  EXPECT_EQ(told, kPassed);
  stop_load();
  EXPECT_EQ(load["server_errors"], 0);
  EXPECT_EQ(load["unavailable"], 0);
  EXPECT_EQ(load["cut"], 0);
}

/// Takes the balancer's lines in the controller's place, and loses them.
class Thief {
 public:
  explicit Thief(std::string path) : path_(std::move(path)) {
    std::filesystem::rename(path_, path_ + ".own");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(listening_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listening_, 8), 0);
    thread_ = std::thread([this] {
      for (int peer; (peer = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
        peer_ = peer;
        char piece[65'536];
        for (ssize_t got; (got = ::read(peer, piece, sizeof piece)) > 0;) stolen_ += got;
        ::close(peer);
      }
    });
  }
  /// Puts the controller's own socket back, to which the balancer then connects.
  ~Thief() {
    std::filesystem::rename(path_ + ".own", path_);
    ::shutdown(listening_, SHUT_RDWR);
    ::shutdown(peer_, SHUT_RDWR);
    thread_.join();
    ::close(listening_);
  }
  Thief(const Thief&) = delete;
  Thief& operator=(const Thief&) = delete;
  std::int64_t stolen() const { return stolen_; }  ///< bytes

 private:
  std::string path_;
  int listening_ = -1;
  std::atomic<int> peer_ = -1;
  std::atomic<std::int64_t> stolen_ = 0;
  std::thread thread_;
};

// Goal: a balancer that dies is started again with the share it had; lines that never come make
// nothing pass, and what passes later had its whole window without them. Method: the balancer is
// killed, and from then on speaks for ten seconds to somebody else.
TEST_F(Live, SurvivesABalancerThatDiesAndLinesThatNeverCome) {
  start("30s");
  ASSERT_TRUE(running("canary", 3)) << trouble();
  const auto kill_balancer = [&] {
    std::ifstream pid_file(dir / "journal/haproxy/haproxy.pid");
    int pid = 0;
    ASSERT_TRUE(pid_file >> pid);
    ::kill(pid, SIGKILL);
  };
  kill_balancer();
  ASSERT_TRUE(control->wait_for("haproxy was gone: started again")) << control->err();
  ASSERT_TRUE(eventually([&] { return status()["share"]["seen"] == 0.05; }, 30s)) << trouble();
  ASSERT_TRUE(running("ramp", 6)) << trouble();

  const auto missing_s = [&] {
    const Json now = status();
    for (const Json& phase : now["phases"]) {
      if (phase["name"] == "ramp") return phase.value("missing_s", 0.0);
    }
    return 0.0;
  };
  const auto before = story();
  const double missing_before = missing_s();
  {
    const Thief thief(dir / "journal/haproxy/lines.sock");
    kill_balancer();
    ASSERT_TRUE(eventually([&] { return thief.stolen() > 0; }, 30s)) << control->err();
    // The gate, which would have come within these ten seconds, does not pass on what is missing.
    std::this_thread::sleep_for(10s);
    EXPECT_EQ(story(), before) << "decided on time that nobody saw";
    EXPECT_GT(thief.stolen(), 10 * kRate / 2 * 100) << "no traffic went on meanwhile";
  }
  EXPECT_TRUE(eventually([&] { return missing_s() >= missing_before + 10; }, 20s)) << trouble();
  ASSERT_TRUE(eventually([&] { return situation() == "finished"; }, 240s)) << trouble();
  auto told = story();
  std::erase_if(told, [](const std::string& s) { return s.ends_with("finished"); });
  EXPECT_EQ(told, kPassed);
  // The ramp's window, without what is missing, is its length.
  Time began{}, passed{};
  for (const auto& [d, written] : decisions()) {
    if (d.value("phase", "") != "ramp") continue;
    if (d["decision"] == "begin") began = parse_time(d["at"].get<std::string>()).value();
    if (d["decision"] == "pass") passed = parse_time(d["at"].get<std::string>()).value();
  }
  EXPECT_GE(passed - began, 12s + 10s);
}

}  // namespace
}  // namespace covey::app

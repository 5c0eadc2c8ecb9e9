#include "service/routes/api.h"

#include <fmt/format.h>

#include <cctype>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/random.h"
#include "experiment/assignment.h"
#include "http/harness.h"

namespace covey::service::test {

using namespace http::test;  // the harness
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// Real time for time-outs, one fixed day for everything that is answered.
class FixedDay final : public Clock {
 public:
  std::chrono::nanoseconds now() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }
  Time wall() const override { return parse_time("2026-03-01T12:00:00Z").value(); }
};

// The log's contract in memory, with a switch for a disk that is full.
class MemoryLog final : public log::Log {
 public:
  std::atomic<bool> full{false};

  std::uint32_t partitions() const override { return 1; }
  Result<std::vector<log::Appended>> append(std::span<log::Record> group) override {
    const std::lock_guard lock(mutex_);
    if (full) return fail(Errc::kFull, "the disk is full: make room");
    std::vector<log::Appended> done;
    for (log::Record& record : group) {
      std::vector<std::uint8_t> duplicate;
      log::Appended appended;
      for (const Hash128& id : record.ids) {
        duplicate.push_back(ids_.insert(id).second ? 0 : 1);
        appended.duplicates += duplicate.back();
      }
      if (std::string bytes = record.encode(duplicate); !bytes.empty()) {
        appended.position = log::Position{0, records_.size()};
        records_.push_back(std::move(bytes));
      }
      for (auto& [key, value] : record.puts) values_[key] = value;
      for (const std::string& key : record.erases) values_.erase(key);
      done.push_back(appended);
    }
    return done;
  }
  Result<log::Cursor> read(const log::Cursor& from, const Visitor& visit) const override {
    const std::lock_guard lock(mutex_);
    for (std::uint64_t i = from.next.empty() ? 0 : from.next[0]; i < records_.size(); ++i) {
      COVEY_TRY_VOID(visit({0, i}, records_[i]));
    }
    return log::Cursor{{records_.size()}};
  }
  log::Cursor end() const override {
    const std::lock_guard lock(mutex_);
    return log::Cursor{{records_.size()}};
  }
  Result<std::unique_ptr<SnapshotWriter>> begin_snapshot() override {
    return fail(Errc::kFailed, "no snapshots here");
  }
  Result<Snapshot> open_snapshot() const override { return fail(Errc::kNotFound, "none"); }
  Result<std::optional<std::string>> get(std::string_view key) const override {
    const std::lock_guard lock(mutex_);
    const auto at = values_.find(std::string(key));
    if (at == values_.end()) return std::nullopt;
    return at->second;
  }
  Result<void> scan(
      std::string_view prefix, std::string_view after,
      const std::function<bool(std::string_view, std::string_view)>& see) const override {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, value] : values_) {
      if (key.starts_with(prefix) && key > after && !see(key, value)) break;
    }
    return {};
  }
  log::Sizes sizes() const override { return {.records = records_.size()}; }

 private:
  mutable std::mutex mutex_;
  std::set<Hash128> ids_;
  std::deque<std::string> records_;
  std::map<std::string, std::string> values_;
};

// The whole service over real sockets: everything but the disk is what users get.
class ApiTest : public testing::Test {
 protected:
  ApiTest() {
    background_ = [this](std::function<void()> task) {
      const std::lock_guard lock(tasks_mutex_);
      tasks_.emplace_back([this, task = std::move(task)] {
        {
          std::unique_lock wait(gate_mutex_);
          gate_.wait(wait, [this] { return gate_open_; });
        }
        task();
      });
    };
  }
  ~ApiTest() override {
    open_gate(true);
    running_.reset();
    if (analyzer_) analyzer_->stop();
    if (ingest_.joinable()) ingest_.join();
    for (std::thread& task : tasks_) task.join();
  }
  void open_gate(bool open) {
    {
      const std::lock_guard lock(gate_mutex_);
      gate_open_ = open;
    }
    gate_.notify_all();
  }

  void listen_only() {
    ApiConfig config;
    config.instance = "test";
    config.version = "9.9.9";
    config.effective_config = R"({"engine":"fast"})";
    config.discovery.restarts = 4;
    config.discovery.bootstraps = 2;
    config.past = past_;
    api_ = std::make_unique<Api>(
        std::move(config), door_, clock_, parallel_,
        Api::Elsewhere{.discovery = background_, .readers = background_, .parsers = background_});
    running_ = std::make_unique<Running>(*api_, http::ServerLimits{}, clock_);
    api_->watch(running_->server().counters());
  }
  void recover(const analyzer::Limits& limits = {}, bool ingest = true) {
    analyzer::Analyzer::Config config;
    config.engine = "fast";
    config.limits = limits;
    auto opened = analyzer::Analyzer::open(config, log_, clock_, parallel_,
                                           [this](const auto& p) { door_.report(p); });
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    analyzer_ = std::move(*opened);
    if (ingest) start_ingest();
    door_.open(*analyzer_);
  }
  void start_ingest() {
    ingest_ = std::thread([this] { EXPECT_TRUE(analyzer_->run_ingest()); });
  }
  void up() {
    listen_only();
    recover();
  }
  Reply ask(std::string_view request, bool head_only = false) {
    return Client(running_->port()).ask(request, head_only);
  }
  // Learners of three kinds, well apart, as NDJSON.
  static std::string many_events(int learners, std::uint64_t seed) {
    Random random(seed);
    std::string out;
    for (int l = 0; l < learners; ++l) {
      const int kind = l % 3;
      const int events = kind == 0 ? 6 : kind == 1 ? 20 : 40;
      for (int e = 0; e < events; ++e) {
        const auto day = kind == 2 ? 28 - e % 28 : 1 + static_cast<int>(random.below(28));
        out += fmt::format(
            R"({{"id":"{}-{}","learner":"l{}","time":"2026-02-{:02}T10:00:00Z","type":"practice",)"
            R"("capability":"c{}","domain":"d{}"}})"
            "\n",
            l, e, l, day, kind == 1 ? e % 3 : random.below(30), kind == 1 ? 0 : random.below(6));
      }
    }
    return out;
  }

  FixedDay clock_;
  Serial parallel_;
  MemoryLog log_;
  Door door_;
  Api::Background background_;
  analyzer::PastLimits past_;
  std::unique_ptr<analyzer::Analyzer> analyzer_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<Running> running_;
  std::thread ingest_;
  std::mutex tasks_mutex_, gate_mutex_;
  std::condition_variable gate_;
  bool gate_open_ = true;
  std::vector<std::thread> tasks_;
};

constexpr std::string_view kGood =
    R"({"id":"1","learner":"AAA/1","time":"2026-02-01T10:00:00Z","type":"practice","capability":"c","domain":"d"})";
constexpr std::string_view kAlsoGood =
    R"({"id":"2","learner":"AAA/1","time":"2026-02-02T10:00:00Z","type":"feedback","acted_on":true})";
constexpr std::string_view kBad = R"({"learner":"AAA/1","type":"practice"})";

std::string lines(std::initializer_list<std::string_view> rows) {
  std::string all;
  for (const std::string_view row : rows) all += std::string(row) + "\n";
  return all;
}

// Goal: a prober can tell "starting", "ready", "stopping" apart from the first moment on.
TEST_F(ApiTest, SaysWhetherItIsReady) {
  listen_only();
  EXPECT_EQ(ask(get("/healthz")).status, 200);
  door_.report({"log", 3, 9});
  const Reply early = ask(get("/readyz"));
  EXPECT_EQ(early.status, 503);
  EXPECT_EQ(json::parse(early.body)["recovering"],
            (json{{"what", "log"}, {"done", 3}, {"total", 9}}));
  for (const char* target : {"/v1/learners/x", "/v1/learners/x/traits", "/v1/cohorts"}) {
    const Reply reply = ask(get(target));
    EXPECT_EQ(reply.status, 503) << target;
    EXPECT_NE(reply.field("Retry-After"), "");
  }
  EXPECT_EQ(ask(post("/v1/events", kGood)).status, 503);
  EXPECT_EQ(ask(get("/metrics")).status, 200);
  recover();
  EXPECT_EQ(ask(get("/readyz")).status, 200);
  EXPECT_EQ(ask(get("/v1/learners/x")).status, 404);
  door_.drain();
  EXPECT_EQ(ask(get("/readyz")).status, 503);
  EXPECT_EQ(ask(get("/v1/learners/x")).status, 404);
}

// Goal: every row is accounted for, by line, and what was acknowledged can be looked up at once.
TEST_F(ApiTest, StoresEvents) {
  up();
  const Reply mixed = ask(post("/v1/events", lines({kGood, kBad, kAlsoGood}),
                               "Content-Type: application/x-ndjson\r\n"));
  ASSERT_EQ(mixed.status, 200) << mixed.body;
  json body = json::parse(mixed.body);
  EXPECT_EQ(body["accepted"], 2);
  EXPECT_EQ(body["duplicates"], 0);
  EXPECT_EQ(body["rejected"], 1);
  ASSERT_EQ(body["errors"].size(), 1u);
  EXPECT_EQ(body["errors"][0]["line"], 2);
  EXPECT_NE(body["errors"][0]["reason"], "");
  EXPECT_EQ(body["errors_omitted"], 0);

  const json learner = json::parse(ask(get("/v1/learners/AAA%2F1")).body);
  EXPECT_EQ(learner["learner"], "AAA/1");
  EXPECT_EQ(learner["practice_events"], 1);
  EXPECT_EQ(learner["feedback"], (json{{"received", 1}, {"acted_on", 1}}));
  EXPECT_EQ(learner["engine"], "fast");

  body = json::parse(ask(post("/v1/events", lines({kGood, kAlsoGood}))).body);
  EXPECT_EQ(body["accepted"], 0);
  EXPECT_EQ(body["duplicates"], 2);

  const Reply all_bad = ask(post("/v1/events", lines({kBad, kBad})));
  EXPECT_EQ(all_bad.status, 422);
  EXPECT_TRUE(all_bad.json_problem());
  EXPECT_EQ(json::parse(all_bad.body)["rejected"], 2);
  EXPECT_EQ(ask(post("/v1/events", "")).status, 400);
  EXPECT_EQ(ask(post("/v1/events", " \n\n")).status, 400);
}

// The id of a row that brings none is the key and the line: a repeated request is recognised, two
// requests without a key are not the same however equal their rows.
TEST_F(ApiTest, RepeatsAreKnownByTheIdempotencyKey) {
  up();
  const std::string_view row = R"({"learner":"a","time":"2026-02-01T10:00:00Z","type":"session"})";
  const auto accepted = [&](std::string_view fields) {
    return json::parse(ask(post("/v1/events", row, fields)).body)["accepted"].get<int>();
  };
  EXPECT_EQ(accepted("Idempotency-Key: k1\r\n"), 1);
  EXPECT_EQ(accepted("Idempotency-Key: k1\r\n"), 0);
  EXPECT_EQ(accepted("Idempotency-Key: k2\r\n"), 1);
  EXPECT_EQ(accepted(""), 1);
  EXPECT_EQ(accepted(""), 1);
  EXPECT_EQ(
      ask(post("/v1/events", row, "Idempotency-Key: " + std::string(129, 'k') + "\r\n")).status,
      400);
}

// A body larger than a slice is cut only between lines, and lines keep their numbers.
TEST_F(ApiTest, LargeBodiesKeepTheirLineNumbers) {
  up();
  std::string body;
  std::set<int> bad;
  constexpr int kRows = 12'000;  // about 1.2 MiB
  for (int i = 1; i <= kRows; ++i) {
    if (i % 997 == 0) {
      bad.insert(i);
      body += "{nonsense\n";
    } else {
      body += fmt::format(
          R"({{"learner":"l{}","time":"2026-02-01T10:00:00Z","type":"session","attributes":{{"n":"{:040}"}}}})"
          "\n",
          i, i);
    }
  }
  const Reply reply = ask(post("/v1/events", body));
  ASSERT_EQ(reply.status, 200) << reply.body.substr(0, 500);
  const json answer = json::parse(reply.body);
  EXPECT_EQ(answer["accepted"], kRows - static_cast<int>(bad.size()));
  std::set<int> told;
  for (const json& error : answer["errors"]) told.insert(error["line"].get<int>());
  EXPECT_EQ(told, bad);
}

TEST_F(ApiTest, RefusesWhatItCannotStore) {
  up();
  log_.full = true;
  const Reply full = ask(post("/v1/events", kGood));
  EXPECT_EQ(full.status, 503);
  EXPECT_NE(full.field("Retry-After"), "");
  EXPECT_NE(full.body.find("urn:covey:problem:store-full"), std::string::npos) << full.body;
  EXPECT_EQ(ask(get("/v1/learners/AAA%2F1")).status, 404);
  log_.full = false;
  EXPECT_EQ(ask(post("/v1/events", kGood)).status, 200);
}

TEST_F(ApiTest, SaysThatMemoryIsAtItsCeiling) {
  listen_only();
  analyzer::Limits limits;
  limits.memory_bytes_max = 1;
  recover(limits);
  Reply full = ask(post("/v1/events", kGood));  // nothing takes nothing yet
  for (int tries = 0; full.status == 200 && tries < 1'000; ++tries) {
    full = ask(post("/v1/events", kGood));
  }
  EXPECT_EQ(full.status, 503) << full.body;
  EXPECT_EQ(full.field("Retry-After"), "30");
  EXPECT_NE(full.body.find("raise --memory"), std::string::npos) << full.body;
}

TEST_F(ApiTest, PushesBackWhenTheQueueIsFull) {
  listen_only();
  analyzer::Limits limits;
  limits.queue_bytes_max = 1 << 20;
  limits.group_bytes_max = 256 << 10;
  recover(limits, false);
  std::string body;
  for (int i = 0; i < 2000; ++i) {
    body +=
        fmt::format(R"({{"id":"{}","learner":"l","time":"2026-02-01T10:00:00Z","type":"session"}})"
                    "\n",
                    i);
  }
  std::vector<std::unique_ptr<Client>> waiting;
  std::atomic<bool> refused{false};
  for (int i = 0; i < 50 && !refused; ++i) {
    const std::string request = post("/v1/events", body);
    auto client = std::make_unique<Client>(running_->port());
    client->send(request);
    waiting.push_back(std::move(client));
    std::this_thread::sleep_for(2ms);
    refused = analyzer_->counters().refused > 0;
  }
  // They are sent; a slow build may still be reading them.
  for (int i = 0; i < 6'000 && !refused; ++i) {
    std::this_thread::sleep_for(10ms);
    refused = analyzer_->counters().refused > 0;
  }
  // Refused unread: read, both of these would be 400, for nothing is in them.
  const std::string nothing(32 * body.size(), ' ');
  EXPECT_EQ(ask(post("/v1/events", nothing)).status, 429);
  EXPECT_EQ(ask(post("/xapi/statements", nothing, "X-Experience-API-Version: 1.0.3\r\n")).status,
            429);
  start_ingest();
  ASSERT_TRUE(refused);
  int stored = 0, pushed_back = 0;
  for (const auto& client : waiting) {
    const Reply reply = client->receive();
    stored += reply.status == 200;
    pushed_back += reply.status == 429 && reply.field("Retry-After") == "1";
  }
  EXPECT_GT(stored, 0);
  EXPECT_GT(pushed_back, 0);
  EXPECT_EQ(stored + pushed_back, static_cast<int>(waiting.size()));
}

// Goal: a look-up waits for no body that is parsed; and bodies that wait to be parsed stand in the
// line that has an end.
TEST_F(ApiTest, ParsesLargeBodiesElsewhere) {
  listen_only();
  analyzer::Limits limits;
  limits.queue_bytes_max = 1 << 20;
  recover(limits);
  ASSERT_EQ(ask(post("/v1/events", kGood)).status, 200);
  EXPECT_TRUE(tasks_.empty()) << "a small one is parsed where it was read";
  open_gate(false);
  // Mostly spaces: what is queued of it is small, so that once parsed none is refused.
  const auto large = [](int number) {
    return fmt::format(
        R"({{"id":"{}","learner":"l","time":"2026-02-01T10:00:00Z","type":"session"{:600000}}})"
        "\n",
        number, "");
  };
  // Its length is reckoned for each, so there is room for one.
  const auto waits = [&](std::size_t tasks) {
    for (int tries = 0; tries < 5'000; ++tries) {
      const std::lock_guard lock(tasks_mutex_);
      if (tasks_.size() == tasks) return true;
      std::this_thread::sleep_for(1ms);
    }
    return false;
  };
  Client events(running_->port()), statements(running_->port());
  events.send(post("/v1/events", large(1)));
  ASSERT_TRUE(waits(1));
  statements.send(
      post("/xapi/statements", std::string(300'000, ' '), "X-Experience-API-Version: 1.0.3\r\n"));
  ASSERT_TRUE(waits(2));
  EXPECT_EQ(ask(get("/v1/learners/AAA%2F1")).status, 200);
  EXPECT_EQ(ask(post("/v1/events", kAlsoGood)).status, 200);
  EXPECT_EQ(ask(post("/v1/events", large(2))).status, 429);
  EXPECT_GE(analyzer_->counters().queued_bytes.load(), 900'000u);
  EXPECT_GT(analyzer_->ingest_lag().count(), 0) << "who hangs here is seen to";
  open_gate(true);
  EXPECT_EQ(events.receive().status, 200);
  EXPECT_EQ(statements.receive().status, 400) << "nothing is in it";
  for (int tries = 0; tries < 5'000 && analyzer_->counters().queued_bytes > 0; ++tries) {
    std::this_thread::sleep_for(1ms);  // what was answered may not be counted out yet
  }
  EXPECT_EQ(analyzer_->counters().queued_bytes.load(), 0u);
  EXPECT_EQ(ask(post("/v1/events", large(3))).status, 200) << "there is room again";
}

TEST_F(ApiTest, AnswersByRoute) {
  up();
  ASSERT_EQ(ask(post("/v1/events", kGood)).status, 200);
  struct Case {
    std::string request;
    int status;
    const char* type;  // of the problem; null: none
  };
  const Case kCases[] = {
      {get("/"), 200, nullptr},
      {get("/config"), 200, nullptr},
      {get("/openapi.json"), 200, nullptr},
      {get("/v1/learners/AAA/1"), 200, nullptr},
      {get("/v1/learners/AAA/1?x=y"), 200, nullptr},
      {get("/v1/learners/AAA%2F1/traits"), 200, nullptr},
      {get("/v1/learners/AAA%2F1%2Ftraits"), 404, "unknown-learner"},
      {get("/v1/learners/nobody"), 404, "unknown-learner"},
      {get("/v1/learners/"), 400, "bad-target"},
      {get("/v1/learners/%zz"), 400, "bad-target"},
      {get("/v1/learners"), 404, "no-such-route"},
      {get("/v1/learners/AAA/1/history"), 200, nullptr},
      {get("/v1/learners/AAA/1/history?weeks=104"), 200, nullptr},
      {get("/v1/learners/AAA/1/history?weeks=105"), 400, "bad-target"},
      {get("/v1/learners/AAA/1/history?weeks=0"), 400, "bad-target"},
      {get("/v1/learners/AAA/1/history?weeks=%zz"), 400, "bad-target"},
      {get("/v1/learners/nobody/history"), 404, "unknown-learner"},
      {get("/v1/learners/%zz/history"), 400, "bad-target"},
      {get("/v1/learners/AAA%2F1/events?limit=500"), 200, nullptr},
      {get("/v1/learners/AAA%2F1/events?limit=501"), 400, "bad-target"},
      {get("/v1/learners/AAA%2F1/events?limit=-1"), 400, "bad-target"},
      {get("/v1/learners/AAA%2F1/events?cursor=abc"), 400, "bad-cursor"},
      {get("/v1/learners/nobody/events"), 404, "unknown-learner"},
      {post("/v1/learners/AAA%2F1/events", ""), 405, "method"},
      {get("/v1/discoveries"), 200, nullptr},
      {get("/v1/discoveries/1"), 404, "no-such-route"},
      {get("/v1/cohorts"), 404, "no-discovery"},
      {get("/v1/cohorts/1"), 404, "no-discovery"},
      {get("/v1/cohorts/x"), 400, "bad-target"},
      {get("/v1/cohorts/1/other"), 404, "no-such-route"},
      {get("/v1/experiments"), 200, nullptr},
      {get("/v1/experiments/"), 404, "no-such-route"},
      {get("/v1/experiments/none"), 404, "unknown-experiment"},
      {get("/v1/experiments/%zz"), 400, "bad-target"},
      {get("/nothing"), 404, "no-such-route"},
      {get("/v1/events"), 405, "method"},
      {post("/v1/cohorts", ""), 405, "method"},
      {"DELETE /v1/learners/a HTTP/1.1\r\nHost: t\r\n\r\n", 405, "method"},
      {post("/v1/events", kGood, "Content-Encoding: gzip\r\n"), 415, "content-encoding"},
      {post("/v1/events", kGood, "Content-Type: image/png\r\n"), 415, "media-type"},
      {post("/v1/events", kGood, "Content-Type: TEXT/plain; charset=utf-8\r\n"), 200, nullptr},
      {post("/v1/discover", R"({"k":2})"), 400, "bad-body"},
      {post("/v1/discover", R"({"K":3})"), 400, "bad-body"},
      {post("/v1/discover", R"({"seed":-1})"), 400, "bad-body"},
      {post("/v1/discover", R"([])"), 400, "bad-body"},
      {post("/v1/discover", "{"), 400, "bad-body"},
      {post("/xapi/statements", "{}"), 400, "xapi-version"},
      {post("/xapi/statements", "{}", "X-Experience-API-Version: 0.9\r\n"), 400, "xapi-version"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.request);
    const Reply reply = ask(c.request);
    EXPECT_EQ(reply.status, c.status) << reply.body;
    EXPECT_EQ(reply.json_problem(), c.type != nullptr);
    const json body = json::parse(reply.body, nullptr, false);
    ASSERT_FALSE(body.is_discarded());
    if (c.type != nullptr) {
      EXPECT_EQ(body["type"], "urn:covey:problem:" + std::string(c.type));
      EXPECT_EQ(body["status"], c.status);
      EXPECT_TRUE(body.contains("detail") && body.contains("instance"));
    }
    if (c.status == 405) {
      EXPECT_NE(reply.field("Allow"), "");
    }
  }
  EXPECT_EQ(json::parse(ask(get("/config")).body)["engine"], "fast");
  const Reply head = ask("HEAD /v1/learners/AAA%2F1 HTTP/1.1\r\nHost: t\r\n\r\n", true);
  EXPECT_EQ(head.status, 200);
  EXPECT_NE(head.field("Content-Length"), "0");
}

// Goal: an experiment is known from the start, has an answer once it was analysed, and keeps it
// when a later analysis fails.
TEST_F(ApiTest, ServesExperiments) {
  up();
  service::ExperimentView view;
  view.name = "ab <1>";
  view.question = "which?";
  api_->experiments().put(view);
  json all = json::parse(ask(get("/v1/experiments")).body);
  ASSERT_EQ(all["experiments"].size(), 1u);
  EXPECT_EQ(all["experiments"][0]["name"], "ab <1>");
  EXPECT_TRUE(all["experiments"][0]["verdict"].is_null());
  const std::string path = "/v1/experiments/ab%20%3C1%3E";
  const Reply early = ask(get(path));
  EXPECT_EQ(early.status, 503);
  EXPECT_NE(early.field("Retry-After"), "");

  view.decision = "win";
  view.verdict = "B it is";
  view.json = R"({"verdict":"B it is"})";
  view.html = "<!doctype html><p>B it is";
  view.made = clock_.wall();
  api_->experiments().put(view);
  view.fault = "the disk is gone";
  api_->experiments().put(view);
  all = json::parse(ask(get("/v1/experiments")).body);
  ASSERT_EQ(all["experiments"].size(), 1u);
  EXPECT_EQ(all["experiments"][0]["decision"], "win");
  EXPECT_EQ(all["experiments"][0]["fault"], "the disk is gone");
  EXPECT_EQ(json::parse(ask(get(path)).body)["verdict"], "B it is");
  const Reply page = ask(get(path + "?format=html"));
  EXPECT_EQ(page.field("Content-Type"), "text/html; charset=utf-8");
  EXPECT_NE(page.field("Content-Security-Policy").find("default-src 'none'"), std::string::npos);
  EXPECT_NE(page.field("Content-Security-Policy").find("form-action 'none'"), std::string::npos);
  EXPECT_EQ(ask(get(path + "?format=pdf")).status, 400);
}

// Goal: a browser gets the page, a program the JSON.
TEST_F(ApiTest, BrowsersGetThePage) {
  listen_only();
  const Reply page = ask("GET / HTTP/1.1\r\nHost: t\r\nAccept: text/html\r\n\r\n");
  EXPECT_EQ(page.field("Content-Type"), "text/html; charset=utf-8");
  EXPECT_NE(page.body.find("<title>Covey"), std::string::npos);
  EXPECT_EQ(json::parse(ask(get("/")).body)["name"], "covey");
  EXPECT_EQ(ask(get("/app.css")).field("Content-Type"), "text/css; charset=utf-8");
}

// Goal: paging gives every member of a cohort once, and never mixes two discoveries.
TEST_F(ApiTest, DiscoversAndPages) {
  up();
  ASSERT_EQ(ask(post("/v1/events", many_events(90, 1))).status, 200);
  const Reply found = ask(post("/v1/discover", R"({"k":3,"seed":5})"));
  ASSERT_EQ(found.status, 200) << found.body;
  const json run = json::parse(found.body);
  EXPECT_EQ(run["k"], 3);
  EXPECT_EQ(run["learners"], 90);
  EXPECT_EQ(run["cohorts"].size(), 3u);
  json listed = json::parse(ask(get("/v1/cohorts")).body);
  EXPECT_EQ(listed, run);

  std::set<std::string> seen;
  std::string cursor_of_first;
  for (const json& cohort : run["cohorts"]) {
    const std::string path = "/v1/cohorts/" + std::to_string(cohort["id"].get<int>());
    EXPECT_EQ(json::parse(ask(get(path)).body)["size"], cohort["size"]);
    std::string query = "?limit=7";
    std::size_t members = 0;
    for (;;) {
      const Reply reply = ask(get(path + "/learners" + query));
      ASSERT_EQ(reply.status, 200) << reply.body;
      const json page = json::parse(reply.body);
      for (const json& id : page["learners"]) {
        ++members;
        EXPECT_TRUE(seen.insert(id.get<std::string>()).second) << id;
        const json learner = json::parse(ask(get("/v1/learners/" + id.get<std::string>())).body);
        EXPECT_EQ(learner["cohort"]["id"], cohort["id"]);
      }
      if (page["next"].is_null()) break;
      EXPECT_EQ(page["learners"].size(), 7u);
      if (cursor_of_first.empty()) cursor_of_first = page["next"].get<std::string>();
      query = "?limit=7&cursor=" + page["next"].get<std::string>();
    }
    EXPECT_EQ(members, cohort["size"].get<std::size_t>());
  }
  EXPECT_EQ(seen.size(), 90u);
  ASSERT_FALSE(cursor_of_first.empty());

  const auto path_of = [&](std::size_t i) {
    return "/v1/cohorts/" + std::to_string(run["cohorts"][i]["id"].get<int>()) + "/learners";
  };
  EXPECT_EQ(ask(get(path_of(1) + "?cursor=" + cursor_of_first)).status, 400);
  EXPECT_EQ(ask(get(path_of(0) + "?cursor=abc")).status, 400);
  EXPECT_EQ(ask(get(path_of(0) + "?limit=0")).status, 400);
  EXPECT_EQ(ask(get(path_of(0) + "?limit=1001")).status, 400);
  EXPECT_EQ(ask(get("/v1/cohorts/999999")).status, 404);
  EXPECT_EQ(ask(get("/v1/cohorts/999999/learners")).status, 404);

  ASSERT_EQ(ask(post("/v1/events", many_events(120, 2))).status, 200);
  ASSERT_EQ(ask(post("/v1/discover", R"({"k":3,"seed":5})")).status, 200);
  const Reply gone = ask(get(path_of(0) + "?cursor=" + cursor_of_first));
  EXPECT_EQ(gone.status, 410) << gone.body;
}

// Goal: every saved run is there to compare, with who came from where; whatever is counted adds up.
TEST_F(ApiTest, ComparesDiscoveries) {
  up();
  EXPECT_EQ(json::parse(ask(get("/v1/discoveries")).body),
            (json{{"runs", json::array()}, {"kept", 20}}));
  ASSERT_EQ(ask(post("/v1/events", many_events(90, 1))).status, 200);
  const json first = json::parse(ask(post("/v1/discover", R"({"k":3,"seed":5})")).body);
  // The same again, as the clock stands: not another run, but one of twice.
  ASSERT_EQ(ask(post("/v1/discover", R"({"k":3,"seed":5})")).status, 200);
  ASSERT_EQ(ask(post("/v1/events", many_events(120, 2))).status, 200);
  const json last = json::parse(ask(post("/v1/discover", R"({"k":3,"seed":5})")).body);
  json all;
  for (int i = 0; i < 500; ++i) {  // seen once durable, which an answer does not wait for
    all = json::parse(ask(get("/v1/discoveries")).body);
    if (all["runs"].size() == 2) break;
    std::this_thread::sleep_for(2ms);
  }
  ASSERT_EQ(all["runs"].size(), 2u) << all.dump();
  EXPECT_EQ(all["runs"][0]["times"], 2);
  EXPECT_EQ(all["runs"][0]["flows"], json::array());
  EXPECT_EQ(all["runs"][1]["number"], 2);
  EXPECT_EQ(all["runs"][1]["made"], "2026-03-01T12:00:00Z");
  EXPECT_EQ(all["runs"][1]["cohorts"], last["cohorts"]);
  EXPECT_EQ(all["runs"][1]["adjusted_rand_index"], last["adjusted_rand_index"]);
  std::map<int, int> before, after;
  int came = 0;
  for (const json& flow : all["runs"][1]["flows"]) {
    const int learners = flow["learners"].get<int>();
    if (!flow["from"].is_null()) before[flow["from"].get<int>()] += learners;
    if (!flow["to"].is_null()) after[flow["to"].get<int>()] += learners;
    if (flow["from"].is_null()) came += learners;
  }
  for (const json& c : first["cohorts"]) EXPECT_EQ(before[c["id"].get<int>()], c["size"]) << c;
  for (const json& c : last["cohorts"]) EXPECT_EQ(after[c["id"].get<int>()], c["size"]) << c;
  EXPECT_EQ(came, 30);
}

// Goal: a learner's past as the log has it: each event once, newest first, however it is paged and
// whatever comes in meanwhile; traits over time that end where a look-up is.
TEST_F(ApiTest, TellsALearnersPast) {
  up();
  std::string rows;
  for (int day = 1; day <= 28; ++day) {
    rows += fmt::format(
        R"({{"id":"p{0}","learner":"AAA/1","time":"2026-02-{0:02}T10:00:00Z","type":"practice","capability":"c<{1}>","domain":"d"}})"
        "\n"
        R"({{"id":"x{0}","learner":"AAA/12","time":"2026-02-{0:02}T10:00:00Z","type":"session"}})"
        "\n",
        day, day % 7);
  }
  ASSERT_EQ(ask(post("/v1/events", rows)).status, 200);
  // Late, and of one instant with another event.
  ASSERT_EQ(
      ask(post(
              "/v1/events",
              R"({"id":"f","learner":"AAA/1","time":"2026-02-03T10:00:00Z","type":"feedback","acted_on":true})"))
          .status,
      200);
  std::vector<std::string> seen;
  std::string query = "?limit=5";
  for (int page = 0; page < 20; ++page) {
    const Reply reply = ask(get("/v1/learners/AAA%2F1/events" + query));
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json body = json::parse(reply.body);
    EXPECT_TRUE(body["log"]["complete"]);
    EXPECT_TRUE(body["note"].is_null());
    for (const json& event : body["events"]) seen.push_back(event["id"].get<std::string>());
    if (page == 0) {
      EXPECT_EQ(body["found"], 29);
      EXPECT_EQ(body["events"][0]["capability"], "c<0>");
      // Newer ones do not move the pages behind.
      ASSERT_EQ(
          ask(post(
                  "/v1/events",
                  R"({"id":"new","learner":"AAA/1","time":"2026-03-01T10:00:00Z","type":"session"})"))
              .status,
          200);
    }
    if (body["next"].is_null()) break;
    EXPECT_EQ(body["events"].size(), 5u);
    query = "?limit=5&cursor=" + body["next"].get<std::string>();
    const std::string other = "/v1/learners/AAA%2F12/events" + query;
    EXPECT_EQ(ask(get(other)).status, 400) << "a cursor of somebody else";
  }
  std::vector<std::string> wanted;
  for (int day = 28; day >= 1; --day) {
    if (day == 3) wanted.emplace_back("f");
    wanted.push_back(fmt::format("p{}", day));
  }
  EXPECT_EQ(seen, wanted);

  const json history = json::parse(ask(get("/v1/learners/AAA%2F1/history?weeks=6")).body);
  ASSERT_EQ(history["weeks"].size(), 6u);
  EXPECT_EQ(history["events"], 30);
  EXPECT_EQ(history["weeks"][0]["as_of"], "2026-01-25T12:00:00Z");
  EXPECT_TRUE(history["weeks"][0]["state"].is_null());
  EXPECT_TRUE(history["weeks"][0]["traits"].is_null());
  EXPECT_EQ(history["weeks"][1]["state"], "new");
  EXPECT_EQ(history["weeks"][5]["practice_events"], 28);
  const json now = json::parse(ask(get("/v1/learners/AAA%2F1")).body);
  for (const auto& [trait, value] : now["traits"].items()) {
    EXPECT_NEAR(history["weeks"][5]["traits"][trait].get<double>(), value.get<double>(), 1e-6)
        << trait;
  }
}

// Goal: a log too long to be read in time is said to be, and no figure is made of part of it; and
// whoever asks too often is turned away, while everything else goes on.
TEST_F(ApiTest, ReadsTheLogWithinItsLimits) {
  past_.time_max = std::chrono::milliseconds(-1);
  up();
  ASSERT_EQ(ask(post("/v1/events", kGood)).status, 200);
  const json events = json::parse(ask(get("/v1/learners/AAA%2F1/events")).body);
  EXPECT_FALSE(events["log"]["complete"]);
  EXPECT_EQ(events["log"]["records"], 1);
  EXPECT_EQ(events["log"]["scanned"], 0);
  EXPECT_NE(events["note"].get<std::string>().find("0 of 1 records"), std::string::npos);
  const json history = json::parse(ask(get("/v1/learners/AAA%2F1/history")).body);
  EXPECT_EQ(history["weeks"], json::array());
  EXPECT_NE(history["note"].get<std::string>().find("need all of them"), std::string::npos);

  open_gate(false);
  std::vector<std::unique_ptr<Client>> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.push_back(std::make_unique<Client>(running_->port()));
    waiting.back()->send(get("/v1/learners/AAA%2F1/events"));
  }
  for (int i = 0; i < 5'000; ++i) {
    const std::lock_guard lock(tasks_mutex_);
    if (tasks_.size() == 6) break;  // two are done
    std::this_thread::sleep_for(1ms);
  }
  const Reply more = ask(get("/v1/learners/AAA%2F1/history"));
  EXPECT_EQ(more.status, 429) << more.body;
  EXPECT_EQ(more.field("Retry-After"), "1");
  EXPECT_EQ(ask(get("/v1/learners/AAA%2F1")).status, 200);
  EXPECT_EQ(ask(post("/v1/events", kAlsoGood)).status, 200);
  open_gate(true);
  for (const auto& client : waiting) EXPECT_EQ(client->receive().status, 200);
  EXPECT_EQ(ask(get("/v1/learners/AAA%2F1/history")).status, 200);
}

// One discovery at a time; look-ups go on meanwhile.
TEST_F(ApiTest, RefusesASecondDiscovery) {
  up();
  ASSERT_EQ(ask(post("/v1/events", many_events(60, 3))).status, 200);
  open_gate(false);
  Client first(running_->port());
  first.send(post("/v1/discover", ""));
  const auto begun = std::chrono::steady_clock::now();
  Reply second;
  do {
    second = ask(post("/v1/discover", R"({"k":7777})"));  // 400 whether or not one is running
    std::this_thread::sleep_for(1ms);
    const std::lock_guard lock(tasks_mutex_);
    if (!tasks_.empty()) break;
  } while (std::chrono::steady_clock::now() - begun < 5s);
  second = ask(post("/v1/discover", ""));
  EXPECT_EQ(second.status, 409);
  EXPECT_EQ(second.field("Retry-After"), "1");
  EXPECT_EQ(api_->rediscover().error().code, Errc::kRetryLater);
  EXPECT_EQ(ask(get("/v1/learners/l1")).status, 200);
  open_gate(true);
  EXPECT_EQ(first.receive().status, 200);
  EXPECT_TRUE(api_->rediscover().has_value());
}

TEST_F(ApiTest, TakesStatements) {
  up();
  const std::string_view version =
      "X-Experience-API-Version: 1.0.1\r\nContent-Type: application/json\r\n";
  const auto statement = [](int n) {
    return fmt::format(
        R"({{"id":"00000000-0000-4000-8000-{:012}","actor":{{"account":{{"homePage":"https://example.org","name":"ada"}}}},)"
        R"("verb":{{"id":"http://adlnet.gov/expapi/verbs/completed"}},)"
        R"("object":{{"id":"https://example.org/course/1","definition":{{"type":"http://adlnet.gov/expapi/activities/course"}}}},)"
        R"("timestamp":"2026-02-01T10:00:00Z"}})",
        n);
  };
  const Reply one = ask(post("/xapi/statements", statement(1), version));
  ASSERT_EQ(one.status, 200) << one.body;
  EXPECT_EQ(one.field("X-Experience-API-Version"), "1.0.3");
  EXPECT_EQ(json::parse(one.body).size(), 1u);
  const Reply two =
      ask(post("/xapi/statements", "[" + statement(2) + "," + statement(3) + "]", version));
  ASSERT_EQ(two.status, 200) << two.body;
  EXPECT_EQ(json::parse(two.body).size(), 2u);
  const Reply partly = ask(post("/xapi/statements", "[" + statement(4) + ",{}]", version));
  EXPECT_EQ(partly.status, 400);
  EXPECT_EQ(json::parse(partly.body)["accepted"], 1);
  EXPECT_EQ(json::parse(partly.body)["errors"][0]["line"], 2);
}

// Goal: the document describes what is served, all of it and nothing else.
TEST_F(ApiTest, OpenapiMatchesTheRoutes) {
  const json document = json::parse(Api::openapi());
  std::set<std::string> served, described;
  for (const RouteInfo& route : Api::routes()) {
    for (const std::string_view method : route.methods) {
      served.insert(fmt::format("{} {}", method, route.path));
    }
  }
  for (const auto& [path, operations] : document["paths"].items()) {
    for (const auto& [method, operation] : operations.items()) {
      std::string upper = method;
      for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      described.insert(upper + " " + path);
      EXPECT_TRUE(operation.contains("operationId") && operation["responses"].contains("200"))
          << path;
    }
  }
  EXPECT_EQ(served, described);

  const std::function<void(const json&)> resolve = [&](const json& node) {
    if (node.is_object() && node.contains("$ref")) {
      const std::string ref = node["$ref"].get<std::string>();
      EXPECT_TRUE(ref.starts_with("#/") && document.contains(json::json_pointer(ref.substr(1))))
          << ref;
    }
    for (const json& child : node) {
      if (child.is_structured()) resolve(child);
    }
  };
  resolve(document);
}

TEST_F(ApiTest, CountsWhatHappens) {
  up();
  ask(post("/v1/events", lines({kGood, kBad})));
  ask(post("/v1/events", kGood));
  ask(get("/v1/learners/AAA%2F1"));
  ask(get("/v1/learners/nobody"));
  ask(get("/nothing"));
  const auto value = [&](std::string_view series) {
    const std::string text = "\n" + ask(get("/metrics")).body;
    const std::string key = "\n" + std::string(series) + " ";
    const std::size_t at = text.find(key);
    return at == text.npos ? -1.0 : std::atof(text.c_str() + at + key.size());
  };
  // An answer is counted after it was written, so a count may come a moment later.
  const auto becomes = [&](std::string_view series, double wanted) {
    for (int i = 0; i < 500 && value(series) != wanted; ++i) std::this_thread::sleep_for(2ms);
    EXPECT_EQ(value(series), wanted) << series;
  };
  becomes(R"(covey_http_requests_total{route="/v1/events",method="POST",code="200"})", 2);
  becomes(R"(covey_http_requests_total{route="/v1/learners/{id}",method="GET",code="404"})", 1);
  becomes(R"(covey_http_requests_total{route="none",method="GET",code="404"})", 1);
  becomes(R"(covey_http_request_duration_seconds_count{route="/v1/events"})", 2);
  becomes("covey_events_accepted_total", 1);
  becomes("covey_events_duplicate_total", 1);
  becomes("covey_events_rejected_total", 1);
  becomes(R"(covey_learner_lookups_total{result="known"})", 1);
  becomes(R"(covey_learner_lookups_total{result="unknown"})", 1);
  becomes("covey_learners", 1);
  becomes("covey_ingest_lag_seconds", 0);
  EXPECT_GT(value(R"(covey_memory_bytes{part="process_rss"})"), 1e6);
  EXPECT_GT(value("process_open_fds"), 3);
  // Rates of a link need no speed; a machine without any has the loopback, which carries this.
  EXPECT_GT(value(R"(covey_machine_network_received_bytes_total{device="lo"})"), 0);
  EXPECT_GT(value(R"(covey_machine_network_sent_bytes_total{device="lo"})"), 0);
  EXPECT_EQ(value("cohort_discovery_latency_ms_count"), 0);
  ASSERT_EQ(ask(post("/v1/discover", "")).status, 200);
  becomes("cohort_discovery_latency_ms_count", 1);
  // Amounts add up per currency; one sent twice counts once.
  const char* kBought =
      R"({"id":"b1","learner":"ada","time":"2025-10-01T10:00:00Z","type":"purchase","amount":19.5,"currency":"EUR"}
{"id":"b2","learner":"ada","time":"2025-10-01T10:01:00Z","type":"purchase","amount":0.5,"currency":"EUR"})";
  ASSERT_EQ(ask(post("/v1/events", kBought)).status, 200);
  ASSERT_EQ(ask(post("/v1/events", kBought)).status, 200);
  becomes(R"(covey_revenue_total{currency="EUR"})", 20);

  // Told apart by the balancer's split, exactly at its edge.
  EXPECT_EQ(ask(get("/metrics")).body.find("covey_split_"), std::string::npos) << "nobody asked";
  const std::uint32_t ada = experiment::bucket("ada", experiment::kTrafficSeed);
  const std::uint32_t practiser = experiment::bucket("AAA/1", experiment::kTrafficSeed);
  for (const auto& [split, below] : {std::pair{ada, 0.0}, {ada + 1, 20.0}}) {
    const std::string text = ask(get(fmt::format("/metrics?split={}", split))).body;
    EXPECT_NE(text.find(fmt::format("covey_split_revenue_total{{side=\"below\",currency=\"EUR\"}} "
                                    "{:g}\n",
                                    below)),
              std::string::npos)
        << text;
    EXPECT_NE(text.find(fmt::format("covey_split_revenue_total{{side=\"above\",currency=\"EUR\"}} "
                                    "{:g}\n",
                                    20 - below)),
              std::string::npos);
    EXPECT_NE(text.find(fmt::format("covey_split_practice_events_total{{side=\"below\"}} {}\n",
                                    practiser < split ? 1 : 0)),
              std::string::npos);
  }
  for (const char* bad : {"10001", "-1", "x", ""}) {
    EXPECT_EQ(ask(get(fmt::format("/metrics?split={}", bad))).status, 400) << bad;
  }
}

}  // namespace
}  // namespace covey::service::test

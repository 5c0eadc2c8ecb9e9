// The service as a process: what it promises across start, stop and trouble.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "http_client.h"
#include "process.h"
#include "sanitized.h"

namespace covey {
namespace {

using nlohmann::json;
using testing::HttpClient;
using testing::run_covey;
using testing::Server;
using testing::TempDir;

std::string practice(std::string_view id, std::string_view learner, int day, int capability) {
  return fmt::format(R"({{"id":"{}","learner":"{}","time":"2024-01-{:02}T10:00:00Z",)"
                     R"("type":"practice","capability":"c{}","domain":"d{}"}})"
                     "\n",
                     id, learner, day, capability, capability % 3);
}

TEST(Serve, WhatIsAcknowledgedIsSeenAtOnceAndAfterARestart) {
  const TempDir dir;
  {
    Server server(dir.path(), {"--as-of", "2024-02-01T00:00:00Z"});
    ASSERT_NE(server.port(), 0) << server.process().err();
    HttpClient client(server.port());
    const auto posted =
        client.post("/v1/events", practice("1", "ada", 20, 1) + "{broken\n" +
                                      practice("2", "ada", 21, 2) + practice("1", "ada", 20, 1));
    ASSERT_TRUE(posted);
    EXPECT_EQ(posted->status, 200u) << posted->body;
    const json receipt = json::parse(posted->body);
    EXPECT_EQ(receipt.at("accepted"), 2);
    EXPECT_EQ(receipt.at("duplicates"), 1);
    EXPECT_EQ(receipt.at("rejected"), 1);
    EXPECT_EQ(receipt.at("errors").at(0).at("line"), 2);
    const auto found = client.get("/v1/learners/ada");
    ASSERT_TRUE(found);
    EXPECT_EQ(json::parse(found->body).at("practice_events"), 2);
    server.process().kill(SIGTERM);
    EXPECT_EQ(server.process().wait(), 0) << server.process().err();
    EXPECT_NE(server.process().err().find("stopped"), std::string::npos);
  }
  Server server(dir.path(), {"--as-of", "2024-02-01T00:00:00Z"});
  ASSERT_NE(server.port(), 0) << server.process().err();
  HttpClient client(server.port());
  EXPECT_EQ(json::parse(client.get("/v1/learners/ada")->body).at("practice_events"), 2);
  EXPECT_EQ(client.get("/v1/learners/eve")->status, 404u);
}

// Goal: the same bytes of events give the same answers by both engines, over HTTP too.
TEST(Serve, BothEnginesAnswerAlike) {
  std::string body;
  for (int i = 0; i < 2'000; ++i) {
    body += practice(fmt::format("e{}", i), fmt::format("l{}", i * i % 67), 1 + i * 7 % 28,
                     i * 13 % 50);
  }
  std::vector<std::vector<json>> answers;
  for (const std::string engine : {"fast", "baseline"}) {
    const TempDir dir;
    Server server(dir.path(), {"--engine", engine, "--as-of", "2024-02-01T00:00:00Z"});
    ASSERT_NE(server.port(), 0) << server.process().err();
    HttpClient client(server.port());
    ASSERT_EQ(client.post("/v1/events", body)->status, 200u);
    auto& mine = answers.emplace_back();
    for (int i = 0; i < 67; ++i) {
      mine.push_back(json::parse(client.get(fmt::format("/v1/learners/l{}/traits", i))->body));
    }
  }
  for (std::size_t i = 0; i < answers[0].size(); ++i) {
    for (const char* trait : {"learning_velocity", "domain_affinity", "interaction_frequency",
                              "feedback_responsiveness", "retention_strength"}) {
      const json &fast = answers[0][i], &plain = answers[1][i];
      ASSERT_EQ(fast.contains(trait), plain.contains(trait)) << fast << plain;
      if (fast.contains(trait) && fast.at(trait).is_number()) {
        ASSERT_NEAR(fast.at(trait).get<double>(), plain.at(trait).get<double>(), 1e-6) << fast;
      }
    }
  }
}

// Goal: what is simulated arrives whole at a service that turns it away again and again, and what
// is sent twice counts once.
TEST(Serve, TakesASimulatedPopulation) {
  const TempDir dir;
  Server server(dir.path(), {"--as-of", "2024-07-01T00:00:00Z", "--rediscover", "0"});
  ASSERT_NE(server.port(), 0) << server.process().err();
  const std::string url = fmt::format("http://127.0.0.1:{}", server.port());
  const std::vector<std::string> simulate = {"simulate", "--learners", "2000", "--to", url};
  const testing::Finished first = run_covey(simulate), again = run_covey(simulate);
  ASSERT_EQ(first.code, 0) << first.err;
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_NE(first.err.find(", 0 known already"), std::string::npos) << first.err;
  EXPECT_NE(again.err.find(": 0 new, "), std::string::npos) << again.err;
  HttpClient client(server.port());
  EXPECT_EQ(client.get("/v1/learners/sim-0001999")->status, 200u);
  const testing::Finished nobody =
      run_covey({"simulate", "--learners", "10", "--to", url + "/v1/cohorts"});
  EXPECT_EQ(nobody.code, 2);
  EXPECT_NE(nobody.err.find("answers 4"), std::string::npos) << nobody.err;
}

TEST(Serve, DiscoversListsAndPages) {
  const TempDir dir;
  ASSERT_EQ(run_covey({"import", "--data", dir.path(), "--format", "oulad",
                       COVEY_SOURCE_DIR "/data/oulad"})
                .code,
            0);
  Server server(dir.path(), {"--as-of", "2014-02-01T12:00:00Z", "--rediscover", "0"});
  ASSERT_NE(server.port(), 0) << server.process().err();
  HttpClient client(server.port());
  const auto found = client.post("/v1/discover", R"({"k":4,"seed":7})");
  ASSERT_TRUE(found);
  // The discovery at start may be under way: then we are told so, and when to come back.
  std::optional<testing::Answered> run = found;
  for (int i = 0; i < 600 && run && run->status == 409; ++i) {
    EXPECT_FALSE(run->retry_after.empty());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    run = client.post("/v1/discover", R"({"k":4,"seed":7})");
  }
  ASSERT_TRUE(run);
  ASSERT_EQ(run->status, 200u) << run->body;
  const json discovery = json::parse(run->body);
  ASSERT_EQ(discovery.at("cohorts").size(), 4u);
  std::size_t listed = 0;
  for (const auto& cohort : discovery.at("cohorts")) {
    const std::string base =
        fmt::format("/v1/cohorts/{}/learners?limit=250", cohort.at("id").get<int>());
    std::string cursor;
    std::set<std::string> members;
    do {
      const auto page = client.get(cursor.empty() ? base : base + "&cursor=" + cursor);
      ASSERT_TRUE(page);
      ASSERT_EQ(page->status, 200u) << page->body;
      const json answer = json::parse(page->body);
      for (const auto& learner : answer.at("learners")) {
        EXPECT_TRUE(members.insert(learner).second) << "listed twice: " << learner;
      }
      cursor = answer.at("next").is_null() ? "" : answer.at("next").get<std::string>();
    } while (!cursor.empty());
    EXPECT_EQ(members.size(), cohort.at("size").get<std::size_t>());
    listed += members.size();
    // And a member's own page names that cohort.
    const auto one = client.get("/v1/learners/" + *members.begin());
    ASSERT_TRUE(one);
    EXPECT_EQ(json::parse(one->body).at("cohort").at("id"), cohort.at("id")) << one->body;
  }
  EXPECT_EQ(listed, discovery.at("learners").get<std::size_t>());
  const auto metrics = client.get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_NE(metrics->body.find("cohort_discovery_latency_ms_bucket"), std::string::npos);
  // `--rediscover 0`: the one at start (or ours in its place) and ours, and no more.
  const auto runs = metrics->body.find("\ncohort_discovery_latency_ms_count ");
  ASSERT_NE(runs, std::string::npos);
  EXPECT_LE(std::stoi(metrics->body.substr(metrics->body.find(' ', runs))), 2) << metrics->body;
  EXPECT_NE(metrics->body.find("covey_learners 2150"), std::string::npos) << metrics->body;
}

TEST(Serve, AStoreHasOneWriterAndTheNextIsTold) {
  const TempDir dir;
  Server server(dir.path());
  ASSERT_NE(server.port(), 0);
  const auto second = run_covey({"serve", "--data", dir.path(), "--listen", "127.0.0.1:0"});
  EXPECT_EQ(second.code, 1);
  EXPECT_NE(second.err.find("another process"), std::string::npos) << second.err;
  // Reading beside it is allowed.
  HttpClient client(server.port());
  ASSERT_EQ(client.post("/v1/events", practice("1", "ada", 20, 1))->status, 200u);
  const auto traits =
      run_covey({"traits", "--data", dir.path(), "--as-of", "2024-02-01T00:00:00Z", "--csv"});
  EXPECT_EQ(traits.code, 0) << traits.err;
  EXPECT_NE(traits.out.find("ada"), std::string::npos) << traits.out;
}

TEST(Serve, APortInUseIsNamed) {
  const TempDir one, two;
  Server server(one.path());
  ASSERT_NE(server.port(), 0);
  const auto second = run_covey(
      {"serve", "--data", two.path(), "--listen", fmt::format("127.0.0.1:{}", server.port())});
  EXPECT_NE(second.code, 0);
  EXPECT_NE(second.err.find(std::to_string(server.port())), std::string::npos) << second.err;
}

// Goal: wherever a command runs out of threads, it ends, and says what limits them. A stack of 1
// GiB for each, and room for n of them, is that limit where ulimit -u does not bind (root). RocksDB
// opens its files by threads of its own, so there must be some.
TEST(Serve, SaysWhatLimitsItsThreads) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer takes more addresses than this leaves";
  constexpr std::uint64_t kStack = std::uint64_t{1} << 30;
  constexpr std::uint64_t kProgram = std::uint64_t{600} << 20;
  const TempDir dir;
  const std::string events = dir / "events.ndjson";
  std::ofstream(events) << practice("1", "ada", 20, 1);
  const std::vector<std::string> import_it = {"import", "--data",    dir / "store", "--format",
                                              "ndjson", "--threads", "2",           events};
  ASSERT_EQ(run_covey(import_it).code, 0);
  const std::vector<std::string> serve = {"serve",    "--data",      dir / "store",
                                          "--listen", "127.0.0.1:0", "--rediscover",
                                          "0",        "--threads",   "2"};
  // Where nobody answers, by a name: to look that up is a thread, too.
  const std::vector<std::string> status = {"rollout", "status", "--url", "http://localhost:1"};
  for (const auto& command : {import_it, serve, status}) {
    SCOPED_TRACE(command.front());
    std::uint64_t n = 0, told = 0;
    for (bool done = false; !done && n <= 64; ++n) {
      SCOPED_TRACE(n);
      std::vector<std::string> args = {"/usr/bin/prlimit", fmt::format("--stack={0}:{0}", kStack),
                                       fmt::format("--as={0}:{0}", kProgram + n * kStack),
                                       testing::covey_binary()};
      args.insert(args.end(), command.begin(), command.end());
      testing::Process process(std::move(args));
      const bool ready = process.wait_for("ready: ", std::chrono::seconds(180)).has_value();
      process.kill(ready ? SIGTERM : SIGKILL);  // unless ready it has ended, or it hangs
      const int code = process.wait();
      done = code == 0 || (code == 1 && process.err().find("refused") != std::string::npos);
      if (done) continue;
      EXPECT_EQ(code, 1) << process.err();
      const bool of_threads = process.err().find("no further thread") != std::string::npos;
      EXPECT_TRUE(of_threads || process.err().find("out of memory") != std::string::npos)
          << process.err();
      told += of_threads ? 1 : 0;
    }
    EXPECT_GT(told, 0u);
    EXPECT_LT(n, 64u) << "it never had enough";
  }
}

// What the kernel was told of a process's threads.
struct Wishes {
  std::map<int, int> threads;  // by niceness, above this process's
  int short_slices = 0;
  bool told = false;  // of slices at all: since Linux 6.12
};

Wishes wishes_of(int pid) {
  Wishes out;
  const int own = ::getpriority(PRIO_PROCESS, 0);
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    const auto id = static_cast<id_t>(std::stoul(task.path().filename()));
    std::array<std::uint64_t, 6> attributes{};  // the kernel's struct sched_attr
    if (!name.starts_with("covey") ||           // RocksDB's, or gone meanwhile
        ::syscall(SYS_sched_getattr, id, attributes.data(), sizeof attributes, 0) != 0) {
      continue;
    }
    ++out.threads[::getpriority(PRIO_PROCESS, id) - own];
    out.told = out.told || attributes[3] > 0;
    out.short_slices += attributes[3] == 100'000 ? 1 : 0;
  }
  return out;
}

// Goal: where cores are short, who asks comes first, then events, last discovery.
TEST(Serve, TellsTheKernelWhoComesFirst) {
  if (::getpriority(PRIO_PROCESS, 0) > 0) GTEST_SKIP() << "niceness ends at 19";
  const TempDir dir;
  Server server(dir.path(), {"--threads", "3"});
  ASSERT_NE(server.port(), 0) << server.process().err();
  Wishes found;
  for (int tries = 0; tries < 1'000; ++tries) {  // a thread that was made need not have run yet
    found = wishes_of(server.process().pid());
    if (found.threads[8] == 6 && found.threads[19] == 3 && found.short_slices == 3) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (!found.told && tries > 100) break;
  }
  EXPECT_EQ(found.threads[8], 6) << "two of the pool, ingest, and three that parse";
  EXPECT_EQ(found.threads[19], 3) << "one of discovery's pool, background and readers";
  EXPECT_GE(found.threads[0], 3);
  if (found.told) {
    EXPECT_EQ(found.short_slices, 3) << "those that answer";
  }
}

// Goal: more than it can take is refused in time with Retry-After, look-ups go on, and whatever
// was acknowledged is there. Two bodies of this size do not fit the queue together, so one of two
// that come at a time is refused, however fast they are read and stored.
TEST(Serve, RefusesRatherThanGrows) {
  constexpr int kClients = 8, kBatches = 6, kEvents = 12'000;
  const TempDir dir;
  Server server(dir.path(), {"--queue", "1", "--as-of", "2024-02-01T00:00:00Z"});
  ASSERT_NE(server.port(), 0) << server.process().err();
  std::string body;
  std::atomic<int> taken{0}, refused{0}, other{0};
  {
    std::vector<std::jthread> writers;
    for (int w = 0; w < kClients; ++w) {
      writers.emplace_back([&, w] {
        std::optional<HttpClient> client;
        for (int n = 0; n < kBatches; ++n) {
          std::string batch;
          for (int i = 0; i < kEvents; ++i) {
            batch += practice(fmt::format("{}-{}-{}", w, n, i), fmt::format("w{}", w), 5, i % 9);
          }
          if (!client || !client->ok()) client.emplace(server.port());
          const auto answer = client->post("/v1/events", batch);
          if (answer && answer->status == 200) {
            ++taken;
          } else if (answer && (answer->status == 429 || answer->status == 503)) {
            EXPECT_FALSE(answer->retry_after.empty());
            ++refused;
          } else {
            ++other;
          }
        }
      });
    }
    HttpClient reader(server.port());
    for (int i = 0; i < 50; ++i) {
      const auto answer = reader.get("/healthz");
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->status, 200u);
    }
  }
  EXPECT_GT(taken, 0);
  EXPECT_GT(refused, 0);
  HttpClient client(server.port());
  std::uint64_t there = 0;
  for (int w = 0; w < kClients; ++w) {
    const auto answer = client.get(fmt::format("/v1/learners/w{}", w));
    ASSERT_TRUE(answer);
    if (answer->status == 200) {
      there += json::parse(answer->body).at("practice_events").get<std::uint64_t>();
    }
  }
  EXPECT_EQ(there, static_cast<std::uint64_t>(taken) * kEvents);
}

}  // namespace
}  // namespace covey

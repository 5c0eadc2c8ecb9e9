// `covey load` and `covey scale-test` as processes, on services of their own.

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "http_client.h"
#include "process.h"
#include "sanitized.h"

namespace covey {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::Finished;
using testing::run_covey;
using testing::Server;
using testing::TempDir;

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class LoadCommand : public ::testing::Test {
 protected:
  TempDir dir;
  std::unique_ptr<Server> server;
  std::string url;

  void SetUp() override {
    const std::string events = dir / "events.ndjson";
    ASSERT_EQ(
        run_covey({"simulate", "--learners", "500", "--events-per-learner", "12", "--out", events})
            .code,
        0);
    ASSERT_EQ(run_covey({"import", "--data", dir / "store", "--format", "ndjson", events}).code, 0);
    server = std::make_unique<Server>(
        dir / "store", std::vector<std::string>{"--as-of", "latest", "--rediscover", "0"});
    ASSERT_NE(server->port(), 0) << server->process().err();
    url = fmt::format("http://127.0.0.1:{}", server->port());
  }
};

TEST_F(LoadCommand, MixesKindsAndTellsThemApart) {
  // There are no cohorts before the first discovery, and it gives way to whoever else works on
  // this machine: a minute was seen.
  const auto deadline = std::chrono::steady_clock::now() + 180s;
  testing::HttpClient client(server->port());
  while (client.get("/v1/cohorts").value_or(testing::Answered{}).status != 200) {
    ASSERT_TRUE(client.ok()) << server->process().err();
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "no discovery";
    std::this_thread::sleep_for(50ms);
  }
  const Finished done = run_covey({"load",
                                   url,
                                   "--rate",
                                   "200",
                                   "--ingest",
                                   "2000",
                                   "--batch",
                                   "100",
                                   "--cohorts",
                                   "10",
                                   "--discover",
                                   "max",
                                   "--population",
                                   "500",
                                   "--events-per-learner",
                                   "12",
                                   "--for",
                                   "2s",
                                   "--patience",
                                   "180s",
                                   "--expect",
                                   R"("learner":"{learner}")",
                                   "--profile",
                                   "step:0.5,1.5",
                                   "--report",
                                   dir / "load.html",
                                   "--json"});
  EXPECT_EQ(done.code, 0) << done.err;
  const json told = json::parse(done.out);
  ASSERT_EQ(told["kinds"].size(), 4u) << done.out;
  for (const char* kind : {"lookups", "ingest", "cohorts", "discover"}) {
    SCOPED_TRACE(kind);
    ASSERT_GT(told["kinds"][kind]["ok"], 0) << done.out;
    EXPECT_EQ(told["kinds"][kind]["error_rate"], 0) << done.out;
    EXPECT_GT(told["kinds"][kind]["latency_ms"]["p50"], 0);
  }
  EXPECT_EQ(told["kinds"]["discover"]["loop"], "closed");
  EXPECT_EQ(told["kinds"]["ingest"]["events_acknowledged"],
            100 * told["kinds"]["ingest"]["ok"].get<int>());
  EXPECT_GE(told["kinds"]["lookups"]["series"]["steps"].size(), 2u);
  const std::string page = slurp(dir / "load.html");
  EXPECT_NE(page.find("<svg"), page.npos);
  EXPECT_EQ(page.find("http://www"), page.npos) << "nothing is loaded from elsewhere";
}

TEST_F(LoadCommand, LimitsDecideTheExitCode) {
  const std::vector<std::string> base = {"load", url,     "--rate", "300",    "--population",
                                         "500",  "--for", "1s",     "--limit"};
  const auto with = [&](const char* limit) {
    auto args = base;
    args.emplace_back(limit);
    return run_covey(args);
  };
  const Finished held = with("p50=10s,errors=50%");
  EXPECT_EQ(held.code, 0) << held.out << held.err;
  EXPECT_NE(held.out.find("held  p50=10s"), std::string::npos) << held.out;
  EXPECT_EQ(with("p50=1us").code, 3);
  const Finished few = with("errors=0.0001%");
  EXPECT_EQ(few.code, 3) << "300 answers don't show a millionth";
  EXPECT_NE(few.out.find("NOT MEASURED"), std::string::npos) << few.out;
  EXPECT_EQ(with("p98=1ms").code, 2);
  EXPECT_EQ(with("ingest.p99=1s").code, 2) << "no such requests are sent";
  EXPECT_EQ(run_covey({"load", "http://127.0.0.1:1", "--path", "/", "--for", "300ms"}).code, 1);
}

TEST_F(LoadCommand, ComparesTwoTargetsInTurn) {
  const Server other(dir / "empty");
  ASSERT_NE(other.port(), 0);
  const Finished done = run_covey(
      {"load", url, "--against", fmt::format("http://127.0.0.1:{}", other.port()), "--path",
       "/healthz", "--rate", "500", "--for", "4s", "--block", "300ms", "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  const json told = json::parse(done.out);
  const json& medians = told["comparison"]["lookups"][0];
  EXPECT_EQ(medians["pairs_of_blocks"], 6);
  EXPECT_GT(medians["ratio"], 0);
  ASSERT_EQ(medians["interval_95"].size(), 2u);
  EXPECT_LE(medians["interval_95"][0], medians["ratio"]);
  EXPECT_GE(medians["interval_95"][1], medians["ratio"]);
  // The same arrivals for both.
  EXPECT_EQ(told["requests"], told["against"]["requests"]);
}

// Goal: the scale test itself, whole: it loads, serves, kills, overloads, judges, and leaves
// nothing behind. Whether this machine is quick enough today is not asked; that figures are there,
// and nothing acknowledged was lost, is.
TEST(ScaleTest, MeasuresFiftyThousandLearners) {
  if (kSanitized) GTEST_SKIP() << "figures of a sanitized service judge nothing";
  const TempDir dir;
  const Finished done =
      run_covey({"scale-test", "--learners", "20K,50K", "--events-per-learner", "8", "--rate",
                 "500", "--ingest", "5000", "--phase", "3s", "--out", dir / "report", "--json"});
  ASSERT_TRUE(done.code == 0 || done.code == 3) << done.err;
  const json told = json::parse(done.out);
  EXPECT_EQ(told["passed"], done.code == 0);
  ASSERT_EQ(told["sizes"].size(), 2u);
  for (const json& size : told["sizes"]) {
    EXPECT_EQ(size["failures"], json::array()) << done.err;
    EXPECT_GT(size["events"], 7 * size["learners"].get<int>());
    EXPECT_GT(size["resident_bytes"], 0);
    EXPECT_GT(size["discovery_cpu_s"], 0);
    EXPECT_GT(size["recovery"]["ledger"]["events_acknowledged"], 0);
    EXPECT_EQ(size["recovery"]["learners_off"], 0);
    EXPECT_GT(size["recovery"]["learners_checked"], 10);
    EXPECT_GT(size["serving"]["kinds"]["discover"]["ok"], 0);
    EXPECT_GT(size["overload"]["sustained_events_per_s"], 0);
  }
  const std::set<std::string> kNeverMissed = {"loaded", "kept", "counted", "overload_kept"};
  std::set<std::string> seen;
  for (const json& criterion : told["criteria"]) {
    const std::string id = criterion["id"];
    seen.insert(id);
    if (kNeverMissed.contains(id)) {
      EXPECT_EQ(criterion["state"], "held") << criterion;
    }
    if (id == "geography") {
      EXPECT_EQ(criterion["state"], "out of reach");
    }
  }
  for (const char* id : {"errors", "lookup_p99", "kept", "ready", "turned_away", "back", "memory",
                         "linear_memory", "linear_cpu_discovery", "geography"}) {
    EXPECT_TRUE(seen.contains(id)) << id;
  }
  std::set<std::string> left;
  for (const auto& file : std::filesystem::directory_iterator(dir / "report")) {
    left.insert(file.path().filename().string());
  }
  EXPECT_TRUE(left.contains("scale.md"));
  EXPECT_TRUE(left.contains("scale.html"));
  EXPECT_TRUE(left.contains("scale.json"));
  EXPECT_TRUE(left.contains("scale-1.svg"));
  for (const std::string& name : left) {
    EXPECT_EQ(name.find("scale-test"), name.npos);
    EXPECT_TRUE(name.starts_with("scale.") || name.ends_with(".svg")) << "left behind: " << name;
  }
}

// Goal: interrupted, it ends all that it started and takes its stores away.
TEST(ScaleTest, AnInterruptEndsAllItStarted) {
  const TempDir dir;
  testing::Process process({testing::covey_binary(), "scale-test", "--learners", "20K", "--rate",
                            "100", "--ingest", "1000", "--phase", "60s", "--out", dir / "report"});
  ASSERT_TRUE(process.wait_for("starting: done")) << process.err();
  // Its children: whoever has it for a parent.
  const auto children = [&] {
    return slurp(fmt::format("/proc/{0}/task/{0}/children", process.pid()));
  };
  std::istringstream before(children());
  int child = 0;
  ASSERT_TRUE(before >> child) << "a service runs";
  process.kill(SIGINT);
  EXPECT_EQ(process.wait(), 1);
  EXPECT_NE(process.err().find("interrupted"), std::string::npos) << process.err();
  EXPECT_NE(::kill(child, 0), 0) << "the service has ended";
  EXPECT_TRUE(std::filesystem::is_empty(dir / "report"));
}

}  // namespace
}  // namespace covey

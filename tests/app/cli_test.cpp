// The command line as its users meet it: real processes on the real OULAD package.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "process.h"
#include "sanitized.h"

namespace covey {
namespace {

using nlohmann::json;
using testing::Finished;
using testing::run_covey;
using testing::TempDir;

const std::string kOulad = COVEY_SOURCE_DIR "/data/oulad";

void write_file(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// learner -> column name -> value
using Table = std::map<std::string, std::map<std::string, double>>;
Table read_table(std::istream& in) {
  Table table;
  std::string line, name;
  std::getline(in, line);
  std::vector<std::string> columns;
  for (std::stringstream cells(line); std::getline(cells, name, ',');) columns.push_back(name);
  while (std::getline(in, line)) {
    std::stringstream cells(line);
    std::string learner, value;
    std::getline(cells, learner, ',');
    for (std::size_t i = 1; std::getline(cells, value, ','); ++i) {
      table[learner][columns[i]] = std::stod(value);
    }
  }
  return table;
}

/// The package, imported once for all tests of this file.
class OnOulad : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new TempDir();
    imported_ = new Finished(
        run_covey({"import", "--data", dir_->path(), "--format", "oulad", kOulad, "--json"}));
  }
  static void TearDownTestSuite() {
    delete imported_;
    delete dir_;
  }
  static TempDir* dir_;
  static Finished* imported_;
};
TempDir* OnOulad::dir_ = nullptr;
Finished* OnOulad::imported_ = nullptr;

TEST_F(OnOulad, ImportCountsRowsAndKnowsThemAgain) {
  ASSERT_EQ(imported_->code, 0) << imported_->err;
  const json first = json::parse(imported_->out);
  EXPECT_EQ(first.at("accepted"), 771114);
  EXPECT_EQ(first.at("duplicates"), 0);
  EXPECT_EQ(first.at("rejected"), 0);
  EXPECT_EQ(first.at("learners"), 2515);
  EXPECT_GT(first.at("seconds"), 0);

  const Finished again =
      run_covey({"import", "--data", dir_->path(), "--format", "oulad", kOulad, "--json"});
  ASSERT_EQ(again.code, 0) << again.err;
  const json second = json::parse(again.out);
  EXPECT_EQ(second.at("accepted"), 0);
  EXPECT_EQ(second.at("duplicates"), 771114);
  EXPECT_EQ(second.at("learners"), 2515);
}

TEST_F(OnOulad, TraitsOfBothEnginesEqualThePandasReference) {
  for (const std::string date : {"2013-06-01", "2014-02-01", "2015-02-01"}) {
    std::ifstream file(COVEY_SOURCE_DIR "/tests/fixtures/oulad_traits_" + date + ".csv");
    const Table expected = read_table(file);
    ASSERT_GT(expected.size(), 300u);
    for (const std::string engine : {"fast", "baseline"}) {
      SCOPED_TRACE(date + " " + engine);
      const Finished got = run_covey({"traits", "--data", dir_->path(), "--engine", engine,
                                      "--as-of", date + "T12:00:00Z", "--csv"});
      ASSERT_EQ(got.code, 0) << got.err;
      std::stringstream text(got.out);
      const Table table = read_table(text);
      ASSERT_EQ(table.size(), expected.size());
      for (const auto& [learner, row] : expected) {
        ASSERT_TRUE(table.contains(learner)) << learner;
        for (const char* column : {"learning_velocity", "domain_affinity", "interaction_frequency",
                                   "feedback_responsiveness", "retention_strength"}) {
          ASSERT_NEAR(table.at(learner).at(column), row.at(column), 1e-6)
              << learner << " " << column;
        }
      }
    }
  }
}

TEST_F(OnOulad, DiscoverReachesTheReferenceAndRepeatsToTheByte) {
  const auto discover = [&](const std::string& threads) {
    const Finished got =
        run_covey({"discover", "--data", dir_->path(), "--as-of", "2013-06-01T12:00:00Z", "--k",
                   "5", "--seed", "1", "--threads", threads, "--json"});
    EXPECT_EQ(got.code, 0) << got.err;
    json out = json::parse(got.out);
    EXPECT_TRUE(out.contains("timing_ms"));
    out.erase("timing_ms");
    return out;
  };
  const json one = discover("1"), two = discover("2");
  EXPECT_EQ(one.dump(), two.dump());
  EXPECT_EQ(one.at("learners"), 1501);
  EXPECT_EQ(one.at("k"), 5);
  EXPECT_LE(one.at("inertia").get<double>(), 625.95);
  EXPECT_GT(one.at("inertia").get<double>(), 625.0);  // less would be another yardstick
  std::uint64_t members = 0;
  std::set<std::string> archetypes;
  for (const auto& cohort : one.at("cohorts")) {
    members += cohort.at("size").get<std::uint64_t>();
    archetypes.insert(cohort.at("archetype"));
    EXPECT_FALSE(cohort.at("sentence").get<std::string>().empty());
    EXPECT_GT(cohort.at("stability").get<double>(), 0);
    EXPECT_EQ(cohort.at("centroid").size(), 5u);
  }
  EXPECT_EQ(members, 1501u);
  EXPECT_EQ(archetypes.size(), 5u);
}

TEST_F(OnOulad, SavedRunsKeepTheirCohortIds) {
  const auto ids = [](const json& run) {
    std::map<int, int> sizes;
    for (const auto& c : run.at("cohorts")) sizes[c.at("id")] = c.at("size");
    return sizes;
  };
  const auto run = [&](const std::string& seed, bool save) {
    std::vector<std::string> args = {
        "discover", "--data", dir_->path(), "--as-of", "2014-02-01T12:00:00Z",
        "--k",      "4",      "--seed",     seed,      "--json"};
    if (save) args.push_back("--save");
    const Finished got = run_covey(args);
    EXPECT_EQ(got.code, 0) << got.err;
    return json::parse(got.out);
  };
  const json first = run("1", true);
  EXPECT_TRUE(first.at("adjusted_rand_index").is_null());
  const json second = run("99", false);
  EXPECT_GT(second.at("adjusted_rand_index").get<double>(), .9);
  for (const auto& [id, size] : ids(second)) {
    ASSERT_TRUE(ids(first).contains(id));
    EXPECT_NEAR(size, ids(first).at(id), 25);
  }
}

TEST_F(OnOulad, NowSaysWhyThereIsNothing) {
  const Finished got = run_covey({"discover", "--data", dir_->path()});
  EXPECT_EQ(got.code, 1);
  EXPECT_NE(got.err.find("--as-of latest"), std::string::npos) << got.err;
  const Finished latest = run_covey({"discover", "--data", dir_->path(), "--as-of", "latest"});
  EXPECT_EQ(latest.code, 0) << latest.err;
  EXPECT_NE(latest.out.find("cohorts as of 2015-"), std::string::npos) << latest.out;
}

// Goal: whoever errs learns the place and the way out, and the exit code tells a script.
TEST(Cli, MistakesAreNamed) {
  const TempDir dir;
  write_file(dir / "bad.csv", "learner,tiem,type\nx,2024-01-01T00:00:00Z,session\n");
  write_file(dir / "not.zst", "plain text");
  write_file(dir / "packed.ndjson", "\x1f\x8b and more");
  struct Case {
    std::vector<std::string> args;
    int code;
    std::string says;
  };
  const std::string store = dir / "store";
  const Case cases[] = {
      {{"--version"}, 0, ""},
      {{"help"}, 2, ""},
      {{}, 2, "subcommand"},
      {{"import"}, 2, "--data"},
      {{"import", "--data", store, "--format", "oulad", dir / "nowhere"}, 2, "not a folder"},
      {{"import", "--data", store, "--format", "ndjson", dir / "nowhere"}, 2, "No such file"},
      {{"import", "--data", store, "--format", "parquet", dir / "bad.csv"}, 2, "ndjson"},
      {{"import", "--data", store, "--format", "csv", dir / "bad.csv"}, 2, "time"},
      {{"import", "--data", store, "--format", "ndjson", dir / "not.zst"}, 2, "zstd"},
      {{"import", "--data", store, "--format", "ndjson", dir / "packed.ndjson"}, 2, "with gunzip"},
      {{"import", "--data", store, "--format", "ndjson", dir.path()}, 2, "folder"},
      {{"import", "--data", store, "--format", "ndjson", "-"}, 2, "--source"},
      {{"import", "--data", store, dir / "bad.csv"}, 2, "time"},
      {{"import", "--data", store, dir / "not.zst"}, 2, "add --format ndjson or csv"},
      {{"import", "--data", store, dir / "nowhere"}, 2, "No such file"},
      {{"import", "--data", store, dir.path()}, 2, "no OULAD package"},
      {{"import", "--data", store, "-"}, 2, "standard input"},
      {{"import", "--date", store, "events.csv"}, 2, "import; did you mean '--data'?"},
      {{"quarantine", "list", "--limits=3"}, 2, "covey quarantine list; did you mean '--limit'?"},
      {{"traits", "--data", dir / "none"}, 2, dir / "none"},
      {{"traits", "--data", store, "--as-of", "yesterday"}, 2, "2014-02-01T12:00:00Z"},
      {{"discover", "--data", store, "--k", "1"}, 2, "--k"},
      {{"discover", "--data", store, "--engine", "slow"}, 2, "baseline"},
      {{"serve", "--data", store, "--listen", "nonsense"}, 2, "HOST:PORT"},
      {{"serve", "--data", store, "--snapshot-events", "0"}, 2, "0 is not a number above 0"},
      {{"quarantine", "drop", "--data", store}, 2, "--all"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(fmt::format("covey {}", fmt::join(c.args, " ")));
    const Finished got = run_covey(c.args);
    EXPECT_EQ(got.code, c.code) << got.out << got.err;
    EXPECT_NE((got.out + got.err).find(c.says), std::string::npos) << got.out << got.err;
  }
}

TEST(Cli, AFewRejectedRowsAreShownAndTheRestCounted) {
  const TempDir dir;
  std::string rows = R"({"learner":"a","time":"2024-01-01T00:00:00Z","type":"session"})";
  for (int i = 0; i < 5; ++i) rows += "\n{}";
  write_file(dir / "five.ndjson", rows);
  const Finished five =
      run_covey({"import", "--data", dir / "a", "--format", "ndjson", dir / "five.ndjson"});
  EXPECT_EQ(five.code, 0) << five.err;
  EXPECT_NE(five.err.find("five.ndjson:6: "), std::string::npos) << five.err;
  EXPECT_EQ(five.err.find("are above"), std::string::npos) << five.err;
  write_file(dir / "six.ndjson", rows + "\n{}");
  const Finished six =
      run_covey({"import", "--data", dir / "b", "--format", "ndjson", dir / "six.ndjson"});
  EXPECT_EQ(six.err.find("six.ndjson:7: "), std::string::npos) << six.err;
  EXPECT_NE(six.err.find("The first 5 of 6 are above. Rejected rows are kept"), std::string::npos)
      << six.err;
}

TEST(Cli, RejectedRowsAreKeptListedAndReplayedAfterTheMappingIsMended) {
  const TempDir dir;
  const std::string store = dir / "store", odd = "https://example.org/verbs/pondered";
  const std::string statement =
      R"({"id":"0b4d8f36-7d6f-4a6b-9a3b-1f4ad1f0a001","actor":{"account":{"homePage":)"
      R"("https://lms.example.org","name":"ada"}},"verb":{"id":")" +
      odd +
      R"("},"object":{"id":"https://lms.example.org/riddle/1"},"timestamp":"2024-03-01T10:00:00Z"})";
  write_file(dir / "statements.json", statement);
  const Finished imported =
      run_covey({"import", "--data", store, "--format", "xapi", dir / "statements.json", "--json"});
  EXPECT_EQ(imported.code, 2) << imported.err;  // nothing at all was taken
  EXPECT_EQ(json::parse(imported.out).at("rejected"), 1);
  EXPECT_NE(imported.err.find(odd), std::string::npos) << imported.err;

  const Finished listed = run_covey({"quarantine", "list", "--data", store, "--json"});
  ASSERT_EQ(listed.code, 0) << listed.err;
  const json entry = json::parse(listed.out);
  EXPECT_EQ(entry.at("line"), 1);
  EXPECT_NE(entry.at("source").get<std::string>().find("statements.json"), std::string::npos);
  EXPECT_NE(entry.at("reason").get<std::string>().find(odd), std::string::npos);

  // Replayed without mending: still there.
  const Finished in_vain = run_covey({"quarantine", "replay", "--data", store, "--json"});
  EXPECT_EQ(json::parse(in_vain.out).at("rejected"), 1) << in_vain.err;

  std::ifstream table(COVEY_SOURCE_DIR "/deploy/xapi-mapping.csv");
  std::stringstream text;
  text << table.rdbuf();
  std::string header;
  std::istringstream lines(text.str());
  while (std::getline(lines, header) && (header.empty() || header[0] == '#')) {
  }
  std::string row;
  std::stringstream columns(header);
  for (std::string column; std::getline(columns, column, ',');) {
    const std::string cell = column == "verb"            ? odd
                             : column == "activity_type" ? "*"
                             : column == "event"         ? "practice"
                             : column == "capability"    ? "object.id"
                             : column == "domain"        ? "=riddles"
                                                         : "";
    row += (row.empty() ? "" : ",") + cell;
  }
  write_file(dir / "mine.csv", header + "\n" + row + "\n");
  const Finished replayed = run_covey(
      {"quarantine", "replay", "--data", store, "--xapi-map", dir / "mine.csv", "--json"});
  ASSERT_EQ(replayed.code, 0) << replayed.err;
  EXPECT_EQ(json::parse(replayed.out).at("accepted"), 1) << replayed.out << replayed.err;
  EXPECT_EQ(run_covey({"quarantine", "list", "--data", store, "--json"}).out, "");
  const Finished traits =
      run_covey({"traits", "--data", store, "--as-of", "2024-03-02T00:00:00Z", "--csv"});
  EXPECT_NE(traits.out.find("ada"), std::string::npos) << traits.out << traits.err;
}

TEST(Cli, NdjsonAndCsvOfTheSameEventsGiveTheSameTraits) {
  const TempDir dir;
  std::string ndjson, csv = "id,learner,time,type,capability,domain,acted_on\n";
  for (int i = 0; i < 300; ++i) {
    const std::string learner = fmt::format("ann {}", i % 7);
    const std::string time =
        fmt::format("2024-0{}-{:02}T1{}:00:00Z", 1 + i % 3, 1 + i % 28, i % 10);
    if (i % 11 == 0) {
      ndjson +=
          fmt::format(R"({{"id":"e{}","learner":"{}","time":"{}","type":"feedback","acted_on":{}}})"
                      "\n",
                      i, learner, time, i % 2 == 0);
      csv += fmt::format("e{},{},{},feedback,,,{}\n", i, learner, time, i % 2 == 0);
    } else {
      ndjson += fmt::format(R"({{"id":"e{}","learner":"{}","time":"{}","type":"practice",)"
                            R"("capability":"c,{}","domain":"d{}"}})"
                            "\n",
                            i, learner, time, i % 40, i % 5);
      csv += fmt::format("e{},{},{},practice,\"c,{}\",d{},\n", i, learner, time, i % 40, i % 5);
    }
  }
  write_file(dir / "a.ndjson", ndjson);
  write_file(dir / "a.csv", csv);
  std::vector<std::string> traits;
  for (const std::string format : {"ndjson", "csv"}) {
    const std::string store = dir / format;
    const Finished got =
        run_covey({"import", "--data", store, "--format", format, dir / ("a." + format), "--json"});
    ASSERT_EQ(got.code, 0) << got.err;
    EXPECT_EQ(json::parse(got.out).at("accepted"), 300) << got.err;
    const Finished again = run_covey({"import", "--data", store, dir / ("a." + format), "--json"});
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(json::parse(again.out).at("duplicates"), 300) << "the name says the format";
    traits.push_back(run_covey({"traits", "--data", store, "--as-of", "2024-04-01", "--csv"}).out);
  }
  EXPECT_EQ(traits[0], traits[1]);
  EXPECT_EQ(std::ranges::count(traits[0], '\n'), 8);
}

// The door that scripts use: every case of the fixtures through the program itself, in order, with
// lines between them that nobody can answer.
TEST(Stats, AnswersEveryLineInOrder) {
  TempDir dir;
  const json fixtures =
      json::parse(std::ifstream(COVEY_SOURCE_DIR "/tests/fixtures/statistics.json"));
  std::string questions;
  for (const json& c : fixtures.at("cases")) {
    questions += json{{"function", c.at("function")}, {"input", c.at("input")}}.dump() + "\n";
    questions += "{\"function\": \"none\"}\nno json\n\n";
  }
  write_file(dir.path() + "/questions", questions);
  testing::Process process(
      {"/bin/sh", "-c",
       "exec " + testing::covey_binary() + " stats < " + dir.path() + "/questions"});
  ASSERT_EQ(process.wait(), 0) << process.err();
  std::istringstream answers(process.out());
  std::string line;
  for (const json& c : fixtures.at("cases")) {
    ASSERT_TRUE(std::getline(answers, line));
    const json answer = json::parse(line);
    for (const auto& [key, expected] : c.at("expected").items()) {
      ASSERT_TRUE(answer.contains(key)) << c.at("name") << " " << key;
      if (!expected.is_number()) continue;
      const json& tolerance = c.at("tolerance");
      EXPECT_NEAR(answer.at(key).get<double>(), expected.get<double>(),
                  tolerance.at("abs").get<double>() +
                      tolerance.at("rel").get<double>() * std::abs(expected.get<double>()))
          << c.at("name") << " " << key;
    }
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(std::getline(answers, line));
      EXPECT_EQ(json::parse(line).at("status"), "bad_input");
      EXPECT_FALSE(json::parse(line).at("message").get<std::string>().empty());
    }
  }
  EXPECT_FALSE(std::getline(answers, line));
}

// The whole way of an experiment, as its page tells it: plant, import, analyse, read.
TEST(Experiment, FindsWhatWasPlantedAndNothingInEqualArms) {
  const std::string ab = COVEY_SOURCE_DIR "/examples/ab-revenue.yaml";
  const std::string aa = COVEY_SOURCE_DIR "/examples/aa.yaml";
  TempDir dir;
  const std::string store = dir.path() + "/store";
  const std::string events = dir.path() + "/events.ndjson";
  const Finished checked = run_covey({"experiment", "check", ab, aa});
  EXPECT_EQ(checked.code, 0) << checked.err;
  ASSERT_EQ(run_covey({"simulate", "--experiment", ab, "--out", events, "--truth",
                       dir.path() + "/truth.json"})
                .code,
            0);
  const json truth = json::parse(std::ifstream(dir.path() + "/truth.json"));
  EXPECT_EQ(truth.at("revenue_lift"), 0.058);
  ASSERT_EQ(run_covey({"import", "--data", store, "--format", "ndjson", events}).code, 0);

  const Finished told = run_covey({"experiment", "analyze", ab, "--data", store, "--json"});
  ASSERT_EQ(told.code, 0) << told.err;
  const json a = json::parse(told.out);
  EXPECT_EQ(a.at("verdict"), "win");
  EXPECT_LE(a.at("interval").at(0), 0.058);
  EXPECT_GE(a.at("interval").at(1), 0.058);
  EXPECT_FALSE(a.at("srm").at("alarm"));
  EXPECT_EQ(a.at("segments").size(), 10u);
  const json& churn = a.at("metrics").at(1).at("fixed_horizon").at("diff_interval");
  EXPECT_LE(churn.at(0), -0.03);
  EXPECT_GE(churn.at(1), -0.03);

  const std::string page = dir.path() + "/aa.html";
  const Finished quiet =
      run_covey({"experiment", "analyze", aa, "--data", store, "--json", "--report", page});
  ASSERT_EQ(quiet.code, 0) << quiet.err;
  EXPECT_EQ(json::parse(quiet.out).at("verdict"), "aa_ok");
  std::ostringstream html;
  html << std::ifstream(page).rdbuf();
  EXPECT_NE(html.str().find("<svg"), std::string::npos);

  // Two experiments that split the same buckets at the same time.
  write_file(dir.path() + "/other.yaml",
             "experiment: other\nsalt: ab-revenue\nstart: 2025-11-05\nmetrics:\n"
             "  visits: {kind: mean, event: session, role: primary}\n");
  const Finished clash = run_covey({"experiment", "check", ab, dir.path() + "/other.yaml"});
  EXPECT_EQ(clash.code, 3);
  EXPECT_NE(clash.out.find("split the same buckets"), std::string::npos) << clash.out;

  write_file(dir.path() + "/wrong.yaml", "experiment: other\nstrat: 2025-11-05\n");
  const Finished wrong = run_covey({"experiment", "check", dir.path() + "/wrong.yaml"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("wrong.yaml:2:1: strat: unknown key; did you mean 'start'?"),
            std::string::npos)
      << wrong.err;
  EXPECT_EQ(run_covey({"experiment", "analyze", ab, "--data", dir.path() + "/none"}).code, 2);
}

// A population from end to end: fitted, simulated, held against the real, found again.
TEST(Simulate, FitsComparesAndKnowsTheTruth) {
  const TempDir dir;
  const std::string preset = dir.path() + "/preset.yaml";
  const Finished fitted = run_covey({"simulate", "--fit", kOulad, "--out", preset});
  ASSERT_EQ(fitted.code, 0) << fitted.err;
  const Finished compared =
      run_covey({"simulate", "--preset", preset, "--learners", "2000", "--compare", kOulad,
                 "--plots", dir.path() + "/plots", "--json"});
  ASSERT_EQ(compared.code, 0) << compared.err;
  const json apart = json::parse(compared.out).at("distance");
  EXPECT_EQ(apart.size(), 5u);
  for (const auto& [what, distance] : apart.items()) EXPECT_LT(distance.get<double>(), .13) << what;
  for (const char* plot : {"events", "capabilities", "gaps", "weeks", "active"}) {
    std::ostringstream svg;
    svg << std::ifstream(fmt::format("{}/plots/{}.svg", dir.path(), plot)).rdbuf();
    EXPECT_NE(svg.str().find("simulated"), std::string::npos) << plot;
  }

  const std::string events = dir.path() + "/events.ndjson", truth = dir.path() + "/truth.csv";
  const std::string store = dir.path() + "/store", members = dir.path() + "/members.csv";
  ASSERT_EQ(run_covey({"simulate", "--learners", "3000", "--out", events, "--truth", truth}).code,
            0);
  ASSERT_EQ(run_covey({"import", "--data", store, "--format", "ndjson", events}).code, 0);
  const Finished found = run_covey({"discover", "--data", store, "--as-of", "2024-07-01T00:00:00Z",
                                    "--truth", truth, "--members", members, "--json"});
  ASSERT_EQ(found.code, 0) << found.err;
  const json run = json::parse(found.out);
  EXPECT_GT(run.at("truth").at("adjusted_rand_index").get<double>(), .2);
  EXPECT_EQ(run.at("truth").at("archetypes"), 5);
  EXPECT_EQ(run.at("truth").at("learners"), run.at("learners"));
  std::ifstream rows(members);
  EXPECT_EQ(std::count(std::istreambuf_iterator<char>(rows), {}, '\n'),
            run.at("learners").get<long>() + 1);

  struct Wrong {
    std::vector<std::string> args;
    const char* says;
  };
  write_file(dir.path() + "/bad.ndjson", "{\"learner\":\"ada\"}\n");
  const Wrong wrong[] = {
      {{"simulate", "--learners", "10"}, "--out FILE"},
      {{"simulate", "--preset", "ouladd", "--out", "-"}, "the only preset built in is oulad"},
      {{"simulate", "--preset", "oulad", "--days", "100", "--out", "-"}, "the longest stay"},
      {{"simulate", "--preset", "oulad", "--events-per-learner", "9", "--out", "-"}, "excludes"},
      {{"simulate", "--growth", "1", "--out", "-"}, "requires"},
      {{"simulate", "--fit", dir.path() + "/bad.ndjson"}, "bad.ndjson:1: "},
      {{"simulate", "--fit", events + "x"}, "cannot read"},
      {{"simulate", "--to", "https://example.org"}, "https"},
      {{"discover", "--data", store, "--as-of", "latest", "--truth", members}, "members.csv:1: "},
  };
  for (const Wrong& row : wrong) {
    const Finished got = run_covey(row.args);
    EXPECT_EQ(got.code, 2) << row.says << ": " << got.err;
    EXPECT_NE(got.err.find(row.says), std::string::npos) << got.err;
  }
}

// The whole calendar as its page shows it: check, draw, rehearse, with and without a fault.
TEST(Plan, IsCheckedDrawnAndRehearsed) {
  const std::string plan = COVEY_SOURCE_DIR "/plans/learner-platform.yaml";
  const TempDir dir;
  const Finished checked = run_covey({"plan", "check", plan, "--json"});
  ASSERT_EQ(checked.code, 0) << checked.err;
  EXPECT_TRUE(json::parse(checked.out).at("decidable").get<bool>());

  const std::string svg = dir.path() + "/gantt.svg";
  const Finished shown = run_covey({"plan", "show", plan, "--svg", svg});
  ASSERT_EQ(shown.code, 0) << shown.err;
  EXPECT_NE(shown.out.find("standard-monitoring"), std::string::npos);
  EXPECT_TRUE(std::filesystem::file_size(svg) > 1'000);

  // Under sanitizers in slots of a minute: the figures asked for below are the same.
  std::string rehearsed = plan;
  if (kSanitized) {
    std::ostringstream yaml;
    yaml << std::ifstream(plan).rdbuf();
    std::string text = yaml.str();
    text.replace(text.find("slot: 5s"), 8, "slot: 1m");
    rehearsed = dir.path() + "/coarse.yaml";
    std::ofstream(rehearsed) << text;
  }
  const Finished calm = run_covey({"plan", "rehearse", rehearsed, "--seed", "1", "--json"});
  ASSERT_EQ(calm.code, 0) << calm.err;
  const json story = json::parse(calm.out);
  ASSERT_EQ(story.at("phases").size(), 11u);
  for (const json& phase : story.at("phases")) {
    EXPECT_EQ(phase.at("outcome"), "passed") << phase;
    EXPECT_TRUE(phase.at("decided_at").is_string());
  }
  EXPECT_EQ(story.at("phases").at(2).at("share_final"), 1);
  EXPECT_FALSE(story.at("phases").at(2).at("evidence").empty());
  EXPECT_EQ(story.at("invariants").at("broken"), 0);
  EXPECT_GT(story.at("invariants").at("checked"), 0);
  EXPECT_GT(story.at("virtual_hours"), 2'880);

  const Finished drift =
      run_covey({"plan", "rehearse", plan, "--faults",
                 COVEY_SOURCE_DIR "/examples/faults/latency-drift.yaml", "--json"});
  EXPECT_EQ(drift.code, 3) << drift.err;
  const json told = json::parse(drift.out);
  EXPECT_EQ(told.at("phases").at(1).at("outcome"), "rolled_back");
  EXPECT_EQ(told.at("share_final"), 0);
  bool caused = false;
  for (const json& decision : told.at("decisions")) {
    if (decision.at("decision") != "roll_back") continue;
    EXPECT_NE(decision.at("cause").get<std::string>().find("p99"), std::string::npos);
    EXPECT_FALSE(decision.at("evidence").empty());
    caused = true;
  }
  EXPECT_TRUE(caused);
}

TEST(Plan, MistakesAreToldWithTheirPlaces) {
  const TempDir dir;
  const std::string file = dir.path() + "/p.yaml";
  std::ofstream(file) << "plan: x\nstagse: []\n";
  const Finished checked = run_covey({"plan", "check", file});
  EXPECT_EQ(checked.code, 2);
  EXPECT_NE(checked.err.find(file + ":2:1: stagse: unknown key; did you mean 'stages'?"),
            std::string::npos)
      << checked.err;
  EXPECT_EQ(run_covey({"plan", "rehearse", dir.path() + "/none.yaml"}).code, 2);
}

// The options compiled in reach the allocator: without them an import is a sixth slower, and
// nothing else would tell.
TEST(Program, AsksItsAllocatorForHugePages) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer brings its own allocator";
  ::setenv("MALLOC_CONF", "stats_print:true", 1);  // the environment adds to what is compiled in
  const Finished version = run_covey({"--version"});
  ::unsetenv("MALLOC_CONF");
  for (const char* option :
       {"opt.thp: \"always\"", "opt.dirty_decay_ms: -1 ", "opt.muzzy_decay_ms: -1 "}) {
    EXPECT_NE(version.err.find(option), std::string::npos) << option << version.err.substr(0, 4000);
  }
}

}  // namespace
}  // namespace covey

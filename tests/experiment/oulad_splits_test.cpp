// Goal: on real, skewed activity a test at alpha raises false alarms at the rate alpha.
// Method: 10,000 splits of the learners of data/oulad by salts of their own; Welch's test of their
// events, clipped at the .99 quantile as a mean metric is.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zstd.h>

#include "experiment/assignment.h"
#include "stats/means.h"

namespace covey::experiment {
namespace {

std::string unpacked(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream raw;
  raw << in.rdbuf();
  const std::string packed = raw.str();
  std::string out;
  ZSTD_DStream* stream = ZSTD_createDStream();
  ZSTD_inBuffer input{packed.data(), packed.size(), 0};
  std::string room(1 << 20, '\0');
  while (input.pos < input.size) {
    ZSTD_outBuffer output{room.data(), room.size(), 0};
    if (ZSTD_isError(ZSTD_decompressStream(stream, &output, &input))) break;
    out.append(room, 0, output.pos);
  }
  ZSTD_freeDStream(stream);
  return out;
}

/// Rows of each learner, by id.
std::map<std::string, double> activity() {
  std::map<std::string, double> rows;
  for (const char* run : {"AAA-2013J", "AAA-2014J", "BBB-2013B"}) {
    std::istringstream lines(
        unpacked(std::string(COVEY_SOURCE_DIR) + "/data/oulad/events_" + run + ".csv.zst"));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      std::vector<std::string> cells;
      std::istringstream in(line);
      for (std::string cell; std::getline(in, cell, ',');) cells.push_back(cell);
      if (cells.size() > 4) rows[cells[2] + "/" + cells[3]] += cells[4] == "click";
    }
  }
  return rows;
}

TEST(OuladSplits, RejectionsAreAsOftenAsAlphaSays) {
  std::vector<double> values;
  std::vector<std::string> names;
  for (const auto& [name, rows] : activity()) {
    names.push_back(name);
    values.push_back(rows);
  }
  ASSERT_GT(names.size(), 2'000u);
  const double clip = *stats::winsorize(values, {}, 0.99).value().upper;
  for (double& value : values) value = std::min(value, clip);
  constexpr int kSplits = 10'000;
  int rejected = 0;
  Assignment assignment;
  for (int split = 0; split < kSplits; ++split) {
    assignment.seed = seed_of("aa-" + std::to_string(split));
    stats::Moments arms[2];
    for (std::size_t i = 0; i < names.size(); ++i) {
      arms[static_cast<std::size_t>(assignment.arm(names[i]))].add(values[i]);
    }
    const auto test = stats::welch_diff(arms[0].sample(), arms[1].sample(), 0.05).value();
    rejected += *test.p_value < 0.05;
  }
  const double rate = static_cast<double>(rejected) / kSplits;
  std::printf("A/A splits of %zu real learners: %.4f rejected at 0.05\n", names.size(), rate);
  if (const char* file = std::getenv("COVEY_CALIBRATION")) {
    std::ofstream(file, std::ios::app)
        << "| A/A splits | 10,000 splits of " << names.size()
        << " OULAD learners, Welch on their events | " << rate << " | 0.05 |\n";
  }
  EXPECT_NEAR(rate, 0.05, 4 * std::sqrt(0.05 * 0.95 / kSplits));
}

}  // namespace
}  // namespace covey::experiment

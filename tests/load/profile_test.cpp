#include "load/profile.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace covey::load {
namespace {

using namespace std::chrono_literals;

std::vector<double> arrivals(const Profile& profile, double rate, std::uint64_t seed,
                             double until = 1e9) {
  Arrivals arrivals(rate, profile, Random(seed));
  std::vector<double> out;
  while (const auto at = arrivals.next()) {
    const double s = std::chrono::duration<double>(*at).count();
    if (s > until) break;
    out.push_back(s);
  }
  return out;
}

// Goal: in every piece of a profile as many arrive as its rate says. Counts are Poisson, so five
// standard deviations are left by chance once in a million.
void expect_counts(const Profile& profile, double rate, double length, std::uint64_t seed) {
  const auto all = arrivals(profile, rate, seed);
  EXPECT_TRUE(std::ranges::is_sorted(all));
  constexpr int kBins = 24;
  for (int bin = 0; bin < kBins; ++bin) {
    const double from = length * bin / kBins, to = length * (bin + 1) / kBins;
    double expected = 0;
    constexpr int kCuts = 200;
    for (int i = 0; i < kCuts; ++i) {
      const double at = from + (to - from) * (i + .5) / kCuts;
      expected += rate * (to - from) / kCuts *
                  profile.factor(std::chrono::nanoseconds(static_cast<std::int64_t>(at * 1e9)));
    }
    const auto seen = static_cast<double>(
        std::ranges::count_if(all, [&](double at) { return at >= from && at < to; }));
    EXPECT_NEAR(seen, expected, 5 * std::sqrt(expected + 1)) << "piece " << bin;
  }
}

TEST(Profile, ArrivalsFollowTheRate) {
  expect_counts(Profile::parse("step:0.5,0,2", 24s).value(), 2'000, 24, 1);
  expect_counts(Profile::parse("ramp:0..2", 24s).value(), 2'000, 24, 2);
  expect_counts(Profile::parse("ramp:3..0.5", 24s).value(), 2'000, 24, 3);
  std::string day = "hour,requests\n";
  for (int hour = 0; hour < 24; ++hour) {
    day += std::to_string(hour) + "," + std::to_string(100 + 40 * (hour % 12)) + "\n";
  }
  const Profile daily = Profile::daily(day, 24s).value();
  EXPECT_NEAR(daily.mean(), 1, 1e-12);
  EXPECT_NEAR(daily.factor(11s) / daily.factor(0s), 540.0 / 100, 1e-9);
  expect_counts(daily, 2'000, 24, 4);
}

TEST(Profile, ConstantIsAPoissonProcess) {
  const auto all = arrivals(Profile(), 1'000, 7, 20);
  EXPECT_NEAR(static_cast<double>(all.size()), 20'000, 5 * std::sqrt(20'000));
  // Gaps of a Poisson process have a standard deviation equal to their mean.
  double sum = 0, square = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    const double gap = all[i] - all[i - 1];
    sum += gap;
    square += gap * gap;
  }
  const auto n = static_cast<double>(all.size() - 1);
  const double mean = sum / n, sd = std::sqrt(square / n - mean * mean);
  EXPECT_NEAR(sd / mean, 1, 0.05);
}

TEST(Profile, TheSameSeedArrivesAtTheSameInstants) {
  const Profile ramp = Profile::parse("ramp:0.1..2", 5s).value();
  EXPECT_EQ(arrivals(ramp, 500, 9), arrivals(ramp, 500, 9));
  EXPECT_NE(arrivals(ramp, 500, 9), arrivals(ramp, 500, 10));
}

TEST(Profile, MeanAndHighest) {
  const Profile step = Profile::parse("step:0.5,1,3", 6s).value();
  EXPECT_DOUBLE_EQ(step.mean(), 1.5);
  EXPECT_DOUBLE_EQ(step.highest(), 3);
  EXPECT_DOUBLE_EQ(step.factor(1999ms), 0.5);
  EXPECT_DOUBLE_EQ(step.factor(2000ms), 1);
  EXPECT_DOUBLE_EQ(step.factor(7s), 0);
  const Profile ramp = Profile::parse("ramp:1..2", 4s).value();
  EXPECT_DOUBLE_EQ(ramp.factor(1s), 1.25);
  EXPECT_DOUBLE_EQ(ramp.mean(), 1.5);
}

TEST(Profile, RefusesWhatIsNone) {
  for (const char* text : {"", "sine", "step:", "step:1,,2", "step:-1", "step:nan", "step:0,0",
                           "ramp:1", "ramp:1..2..3", "ramp:a..b", "step:1e9"}) {
    EXPECT_FALSE(Profile::parse(text, 1s)) << text;
  }
  EXPECT_FALSE(Profile::parse("ramp:1..2", 0s));
  std::string day;
  for (int hour = 0; hour < 23; ++hour) day += "5\n";
  EXPECT_FALSE(Profile::daily(day, 1s)) << "an hour lacks";
  EXPECT_TRUE(Profile::daily(day + "# the last\n\n7\r\n", 1s));
  EXPECT_FALSE(Profile::daily(day + "x\n", 1s));
  EXPECT_FALSE(Profile::daily(day + "5\n", 0s));
}

}  // namespace
}  // namespace covey::load

#include "config/units.h"

#include <gtest/gtest.h>

namespace covey::config {
namespace {

using namespace std::chrono_literals;

TEST(Units, DurationsOfEveryUnitAddUp) {
  EXPECT_EQ(parse_duration("200ms").value(), 200ms);
  EXPECT_EQ(parse_duration("5s").value(), 5s);
  EXPECT_EQ(parse_duration("1h30m").value(), 90min);
  EXPECT_EQ(parse_duration("1h 30m").value(), 90min);
  EXPECT_EQ(parse_duration("1.5h").value(), 90min);
  EXPECT_EQ(parse_duration("14d").value(), std::chrono::days(14));
  EXPECT_EQ(parse_duration("4w").value(), std::chrono::weeks(4));
  for (const char* wrong : {"", "5", "s", "5 x", "-5s", "5s 3", "nan s", "1e9999s", "500000w"}) {
    EXPECT_FALSE(parse_duration(wrong)) << wrong;
  }
}

TEST(Units, DurationsReadBackAsWritten) {
  for (const auto d :
       {0us, 1us, 1'000us, 90'000'000us, 86'400'000'000us, 604'800'000'000us, 694'861'001'001us}) {
    EXPECT_EQ(parse_duration(format_duration(d)).value(), d) << format_duration(d);
  }
  EXPECT_EQ(format_duration(90min), "1h 30m");
  EXPECT_EQ(format_duration(std::chrono::days(14)), "2w");
  EXPECT_EQ(format_duration(std::chrono::days(10)), "10d");
}

TEST(Units, PercentagesNeedTheirSign) {
  EXPECT_DOUBLE_EQ(parse_percent("0.5%").value(), 0.005);
  EXPECT_DOUBLE_EQ(parse_percent("50 %").value(), 0.5);
  for (const char* wrong : {"", "%", "5", "5%%", "x%", "inf%"}) {
    EXPECT_FALSE(parse_percent(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace covey::config

#include "base/time.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace covey {
namespace {

// Goal: every RFC 3339 form people send is read to the microsecond, and nothing else is.
struct Good {
  std::string_view text;
  std::int64_t us;
};
constexpr std::int64_t kNoon = 1'391'256'000'000'000;  // 2014-02-01T12:00:00Z, date -u +%s
const Good kGood[] = {
    {"2014-02-01T12:00:00Z", kNoon},
    {"2014-02-01t12:00:00z", kNoon},
    {"2014-02-01 12:00:00Z", kNoon},
    {"2014-02-01T12:00:00.5Z", kNoon + 500'000},
    {"2014-02-01T12:00:00.123456Z", kNoon + 123'456},
    {"2014-02-01T12:00:00.123456789Z", kNoon + 123'456},
    {"2014-02-01T14:30:00+02:30", kNoon},
    {"2014-02-01T07:00:00-05:00", kNoon},
    {"2014-02-01", kNoon - 12 * 3'600'000'000},
    {"2014-02-01T11:59:60Z", kNoon},  // a leap second is the second after, as in POSIX
    {"1969-12-31T23:59:59.999999Z", -1},
    {"2016-02-29T00:00:00Z", 1'456'704'000'000'000},
    {"1900-01-01T00:00:00Z", -2'208'988'800'000'000},
};

TEST(Time, ReadsWhatRfc3339Allows) {
  for (const auto& [text, us] : kGood) {
    SCOPED_TRACE(text);
    const auto parsed = parse_time(text);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->time_since_epoch().count(), us);
  }
}

const std::string_view kBad[] = {
    "",
    "now",
    "2014",
    "2014-2-1",
    "2014-02-30T00:00:00Z",
    "2015-02-29",
    "2014-13-01",
    "2014-00-01",
    "2014-02-01T",
    "2014-02-01T24:00:00Z",
    "2014-02-01T12:60:00Z",
    "2014-02-01T12:00:61Z",
    "2014-02-01T12:00:00",
    "2014-02-01T12:00:00.Z",
    "2014-02-01T12:00:00+2",
    "2014-02-01T12:00:00+02:60",
    "2014-02-01T12:00:00Z ",
    "2014-02-01T12:00Z",
    "1899-12-31T23:59:59Z",
    "2200-01-01T00:00:00Z",
    "2014-02-01T12:00:00+0200",
    "+2014-02-01T12:00:00Z",
    "２014-02-01T12:00:00Z",
};

TEST(Time, RefusesTheRestAndQuotesIt) {
  for (const auto text : kBad) {
    SCOPED_TRACE(text);
    const auto parsed = parse_time(text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, Errc::kRejected);
    EXPECT_NE(parsed.error().message.find(text.substr(0, 64)), std::string::npos);
  }
}

TEST(Time, WritesWhatItReads) {
  Random random(7);
  const std::int64_t span = (latest_time() - earliest_time()).count();
  for (int i = 0; i < 10'000; ++i) {
    std::int64_t us = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(span)));
    if (i % 2 == 0) us -= us % 1'000'000;
    const Time t = earliest_time() + std::chrono::microseconds(us);
    const auto back = parse_time(format_time(t));
    ASSERT_TRUE(back) << format_time(t);
    EXPECT_EQ(*back, t) << format_time(t);
  }
}

TEST(Time, WeeksBeginOnMonday) {
  const auto week = [](std::string_view day) { return week_of(parse_time(day).value()); };
  EXPECT_EQ(week("1970-01-01"), 0);
  EXPECT_EQ(week("1970-01-04"), 0);  // Sunday
  EXPECT_EQ(week("1970-01-05"), 1);
  EXPECT_EQ(week("1969-12-29"), 0);
  EXPECT_EQ(week("1969-12-28"), -1);
  EXPECT_EQ(week("2026-11-23T00:00:00Z"), week("2026-11-29T23:59:59.999999Z"));
  EXPECT_EQ(week("2026-11-22T23:59:59.999999Z") + 1, week("2026-11-23"));
  EXPECT_EQ(week("1900-01-01") + 1, week("1900-01-08"));  // a Monday
  EXPECT_EQ(week("1900-01-07"), week("1900-01-01"));
}

}  // namespace
}  // namespace covey

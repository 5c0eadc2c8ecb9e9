#include "http/exposition.h"

#include <gtest/gtest.h>

namespace covey::http {
namespace {

// Goal: what Prometheus reads is what was said: one heading a name, label values of any text.
TEST(Exposition, WritesOneHeadingAName) {
  Exposition out;
  out.gauge("up", "Whether it is.", 1, {{"who", "a \"quoted\\\nname\""}});
  out.counter("asked_total", "Questions.", 3);
  out.gauge("up", "Whether it is.", 0, {{"who", "b"}});
  EXPECT_EQ(out.text(),
            "# HELP up Whether it is.\n"
            "# TYPE up gauge\n"
            "up{who=\"a \\\"quoted\\\\\\nname\\\"\"} 1\n"
            "up{who=\"b\"} 0\n"
            "# HELP asked_total Questions.\n"
            "# TYPE asked_total counter\n"
            "asked_total 3\n");
}

// Goal: buckets are given each for itself and written as Prometheus sums them.
TEST(Exposition, HistogramBucketsAreSummed) {
  Exposition out;
  constexpr double kBounds[] = {0.1, 1};
  constexpr std::uint64_t kCounts[] = {2, 3, 4};
  out.histogram("took_seconds", "Time.", kBounds, kCounts, 12.5);
  EXPECT_EQ(out.text(),
            "# HELP took_seconds Time.\n"
            "# TYPE took_seconds histogram\n"
            "took_seconds_count 9\n"
            "took_seconds_sum 12.5\n"
            "took_seconds_bucket{le=\"0.1\"} 2\n"
            "took_seconds_bucket{le=\"1\"} 5\n"
            "took_seconds_bucket{le=\"+Inf\"} 9\n");
}

}  // namespace
}  // namespace covey::http

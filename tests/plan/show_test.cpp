#include "plan/show.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/sample.h"

namespace covey::plan {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(PlanShow, TimelineIsInOrderWithTasksBelowTheirWork) {
  const auto rows = timeline(platform_plan());
  EXPECT_EQ(rows.size(), 3u + 2u + 6u + 9u);
  Time last{};
  for (const Row& row : rows) {
    if (row.kind == Row::Kind::kTask) continue;
    EXPECT_GE(row.start, last) << row.name;
    last = row.start;
  }
  const auto work = std::ranges::find(rows, "features", &Row::name);
  ASSERT_NE(work, rows.end());
  EXPECT_EQ((work + 1)->name, "multi-segment-cohorts");
  EXPECT_EQ((work + 1)->kind, Row::Kind::kTask);
}

TEST(PlanShow, TellsWhatPeopleDecide) {
  const std::string table = timeline_table(platform_plan());
  EXPECT_THAT(table, HasSubstr("scale-go-no-go on 2025-12-27, by VP Engineering, Product lead"));
  EXPECT_THAT(table, HasSubstr("baseline-confirmed on 2025-11-15"));
  EXPECT_THAT(table, HasSubstr("8 regions, report 2026-02-06"));
}

TEST(PlanShow, DrawsEveryPhaseAndEscapesWhatPeopleWrote) {
  const Plan plan = parse_plan("p.yaml", replaced(platform_yaml(), "title: The fast analyzer",
                                                  "title: <script>alert(1)</script> & more"))
                        .value();
  const std::string svg = timeline_svg(plan);
  EXPECT_THAT(svg, Not(HasSubstr("<script>")));
  EXPECT_THAT(svg, HasSubstr("&lt;script&gt;"));
  for (const Row& row : timeline(plan)) EXPECT_THAT(svg, HasSubstr(row.name));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

}  // namespace
}  // namespace covey::plan

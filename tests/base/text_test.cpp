#include "base/text.h"

#include <gtest/gtest.h>

namespace covey {
namespace {

TEST(Text, NumbersAreGroupedByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'000), "1,000");
  EXPECT_EQ(grouped(18'446'744'073'709'551'615u), "18,446,744,073,709,551,615");
}

TEST(Text, WhatIsCountedIsOneOrMany) {
  EXPECT_EQ(counted(0, "row"), "0 rows");
  EXPECT_EQ(counted(1, "row"), "1 row");
  EXPECT_EQ(counted(1'234, "row"), "1,234 rows");
}

TEST(Text, EntitiesStandForWhatMarkupMeans) {
  EXPECT_EQ(escaped("<a b=\"c\">&'d'"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;d&#39;");
  EXPECT_EQ(escaped_angles("<a b=\"c\">&'d'"), "&lt;a b=\"c\"&gt;&amp;'d'");
}

}  // namespace
}  // namespace covey

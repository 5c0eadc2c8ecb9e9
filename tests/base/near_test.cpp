#include "base/near.h"

#include <gtest/gtest.h>

namespace covey {
namespace {

TEST(Near, MatchesAreNearOnly) {
  constexpr std::string_view kKnown[] = {"learner", "time", "type", "capability"};
  EXPECT_EQ(near_match("lerner", kKnown), "learner");
  EXPECT_EQ(near_match("laerner", kKnown), "learner");
  EXPECT_EQ(near_match("tiem", kKnown), "time");
  EXPECT_EQ(near_match("capabilty", kKnown), "capability");
  EXPECT_EQ(near_match("zebra", kKnown), "");
  EXPECT_EQ(near_match("x", kKnown), "");
  EXPECT_EQ(near_match(std::string(500, 'x'), kKnown), "");
}

}  // namespace
}  // namespace covey

#include "service/target.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "service/answers.h"

namespace covey::service {
namespace {

// Goal: an id as a client may write it names the learner it means, or nothing.
TEST(LearnerPath, ReadsIdsWithSlashesBothWays) {
  struct Case {
    std::string rest;
    const char* id;  // null: refused
    bool traits;
  };
  const Case kCases[] = {
      {"ada", "ada", false},
      {"AAA-2013J/11391", "AAA-2013J/11391", false},
      {"AAA-2013J%2F11391", "AAA-2013J/11391", false},
      {"AAA-2013J%2f11391/traits", "AAA-2013J/11391", true},
      {"AAA-2013J/11391/traits", "AAA-2013J/11391", true},
      {"a%2Ftraits", "a/traits", false},
      {"a/traits/traits", "a/traits", true},
      {"traits", "traits", false},
      {"/traits", "/traits", false},
      {"a+b", "a+b", false},
      {"%C3%A9", "\xC3\xA9", false},
      {"a%25b", "a%b", false},
      {"", nullptr, false},
      {"a%", nullptr, false},
      {"a%4", nullptr, false},
      {"a%zz", nullptr, false},
      {"a%00b", nullptr, false},
      {std::string(128, 'a'), "", false},
      {std::string(129, 'a'), nullptr, false},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.rest);
    const auto path = parse_learner_path(c.rest);
    ASSERT_EQ(path.has_value(), c.id != nullptr);
    if (!path) {
      EXPECT_EQ(path.error().code, Errc::kRejected);
      continue;
    }
    if (*c.id != '\0') {
      EXPECT_EQ(path->id, c.id);
    }
    EXPECT_EQ(path->traits, c.traits);
  }
}

// Goal: a cursor survives the trip, and no single changed character passes for another place.
TEST(PageCursor, RoundTripsAndNoticesDamage) {
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    const PageCursor cursor{random.next(), static_cast<std::uint32_t>(random.next()),
                            random.next()};
    std::string text = encode(cursor);
    const auto back = decode_cursor(text);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(*back, cursor);
    char& c = text[random.below(text.size())];
    c = c == '0' ? '1' : '0';
    EXPECT_FALSE(decode_cursor(text).has_value()) << text;
  }
  for (const char* bad : {"", "0", "zz", "../../etc/passwd"}) {
    EXPECT_FALSE(decode_cursor(bad).has_value());
  }
}

TEST(Receipt, ShowsTheFirstThousandErrors) {
  std::vector<RowError> errors(1000, {3, "bad"});
  std::string out;
  append_receipt_members(out, {5, 6, 1234}, errors);
  EXPECT_TRUE(out.starts_with(
      R"("accepted":5,"duplicates":6,"rejected":1234,"errors":[{"line":3,"reason":"bad"},)"));
  EXPECT_TRUE(out.ends_with(R"(],"errors_omitted":234)"));
  out.clear();
  append_receipt_members(out, {1, 0, 0}, {});
  EXPECT_EQ(out, R"("accepted":1,"duplicates":0,"rejected":0,"errors":[],"errors_omitted":0)");
}

}  // namespace
}  // namespace covey::service

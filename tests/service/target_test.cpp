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
    LearnerPart part = LearnerPart::kFacts;
  };
  const Case kCases[] = {
      {"ada", "ada"},
      {"AAA-2013J/11391", "AAA-2013J/11391"},
      {"AAA-2013J%2F11391", "AAA-2013J/11391"},
      {"AAA-2013J%2f11391/traits", "AAA-2013J/11391", LearnerPart::kTraits},
      {"AAA-2013J/11391/traits", "AAA-2013J/11391", LearnerPart::kTraits},
      {"a%2Ftraits", "a/traits"},
      {"a/traits/traits", "a/traits", LearnerPart::kTraits},
      {"traits", "traits"},
      {"/traits", "/traits"},
      {"ada/history", "ada", LearnerPart::kHistory},
      {"AAA/1/events", "AAA/1", LearnerPart::kEvents},
      {"a%2Fevents", "a/events"},
      {"events/history", "events", LearnerPart::kHistory},
      {"a/eventses", "a/eventses"},
      {"history", "history"},
      {"a+b", "a+b"},
      {"%C3%A9", "\xC3\xA9"},
      {"a%25b", "a%b"},
      {"", nullptr},
      {"a%", nullptr},
      {"a%4", nullptr},
      {"a%zz", nullptr},
      {"a%00b", nullptr},
      {std::string(128, 'a'), ""},
      {std::string(129, 'a'), nullptr},
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
    EXPECT_EQ(path->part, c.part);
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

TEST(EventCursor, RoundTripsAndNoticesDamage) {
  Random random(8);
  for (int i = 0; i < 200; ++i) {
    const EventCursor cursor{random.next(),
                             {static_cast<std::int64_t>(random.next()),
                              {static_cast<std::uint32_t>(random.next()), random.next()},
                              static_cast<std::uint32_t>(random.next())}};
    std::string text = encode(cursor);
    const auto back = decode_event_cursor(text);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(*back, cursor);
    EXPECT_FALSE(decode_cursor(text).has_value()) << "nor is it one of the other kind";
    char& c = text[random.below(text.size())];
    c = c == '0' ? '1' : '0';
    EXPECT_FALSE(decode_event_cursor(text).has_value()) << text;
  }
  for (const char* bad : {"", "0", "zz", "../../etc/passwd"}) {
    EXPECT_FALSE(decode_event_cursor(bad).has_value());
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

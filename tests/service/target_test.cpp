#include "service/target.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "service/answers.h"
#include "service/json.h"
#include "service/problem.h"

namespace covey::service {
namespace {

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

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

TEST(Query, FindsAParameter) {
  const auto value = [](std::string_view query, std::string_view name) {
    return query_value(query, name).value().value_or("-");
  };
  EXPECT_EQ(value("limit=5&cursor=ab", "limit"), "5");
  EXPECT_EQ(value("limit=5&cursor=ab", "cursor"), "ab");
  EXPECT_EQ(value("xlimit=5", "limit"), "-");
  EXPECT_EQ(value("limit", "limit"), "");
  EXPECT_EQ(value("&&limit=a%26b+c&", "limit"), "a&b c");
  EXPECT_EQ(value("limit=1&limit=2", "limit"), "1");
  EXPECT_EQ(value("", "limit"), "-");
  EXPECT_FALSE(query_value("limit=%x", "limit").has_value());
}

TEST(Number, IsStrict) {
  EXPECT_EQ(parse_number("1000", "limit", 1, 1000), 1000u);
  for (const char* bad :
       {"", "0", "1001", "-1", "+1", "1 ", "1.0", "0x1", "99999999999999999999999"}) {
    SCOPED_TRACE(bad);
    EXPECT_FALSE(parse_number(bad, "limit", 1, 1000).has_value());
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

TEST(JsonString, EscapesWhatMustBe) {
  struct Case {
    std::string text, json;
  };
  const Case kCases[] = {
      {"plain", R"("plain")"},
      {"", R"("")"},
      {"q\"b\\", R"("q\"b\\")"},
      {"\n\r\t\x01\x7f", R"("\n\r\t\u0001\u007f")"},
      {"</script>&", R"("\u003c/script\u003e\u0026")"},
      {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
      {"a\xFFz", R"("a\ufffdz")"},
      {"\xC3", R"("\ufffd")"},
      {"\xC0\xAF", R"("\ufffd\ufffd")"},
      {"\xED\xA0\x80", R"("\ufffd\ufffd\ufffd")"},
      {"\xF4\x90\x80\x80", R"("\ufffd\ufffd\ufffd\ufffd")"},
      {std::string("\0", 1), R"("\u0000")"},
  };
  for (const Case& c : kCases) EXPECT_EQ(json_string(c.text), c.json);
}

TEST(Problem, IsADocument) {
  std::string body;
  append_problem(body, 429, "queue-full", "say \"when\"", "/v1/<x>", R"("a":1)");
  EXPECT_EQ(body,
            R"({"type":"urn:covey:problem:queue-full","title":"Too Many Requests","status":429,)"
            R"("detail":"say \"when\"","instance":"/v1/\u003cx\u003e","a":1})");
  body.clear();
  append_problem(body, 400, "malformed-request", "no", "");
  EXPECT_EQ(body,
            R"({"type":"urn:covey:problem:malformed-request","title":"Bad Request","status":400,)"
            R"("detail":"no"})");
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

#include "http/target.h"

#include <gtest/gtest.h>

#include <string>

#include "http/json.h"
#include "http/problem.h"

namespace covey::http {
namespace {

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
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

}  // namespace
}  // namespace covey::http

#include "http/fields.h"

#include <gtest/gtest.h>

namespace covey::http {
namespace {

TEST(Fields, CookieTable) {
  struct Case {
    const char *field, *value;
  };
  const Case kCases[] = {{"a=1", "1"},     {"b=2; a=1", "1"}, {"b=2;a=1", "1"},  {"aa=1", ""},
                         {"a", ""},        {"", ""},          {"a=", ""},        {"b=a=1", ""},
                         {"a=1=2", "1=2"}, {";;; a=1;", "1"}, {"a=1; a=2", "1"}, {"A=1", ""}};
  for (const Case& c : kCases) EXPECT_EQ(cookie(c.field, "a"), c.value) << c.field;
}

TEST(Fields, ListsTable) {
  struct Case {
    const char* field;
    bool takes;
  };
  const Case kCases[] = {{"gzip", true},
                         {"br, gzip", true},
                         {"br,gzip;q=0.5", true},
                         {"gzip ; q=1", true},
                         {"gzip;q=0", false},
                         {"gzip;q=0.000", false},
                         {"gzip; q=0.001", true},
                         {"gzip;x=0", true},
                         {"xgzip, gzipx", false},
                         {"br;q=gzip", false},
                         {"", false},
                         {",,;,", false},
                         {"identity, *;q=0", false}};
  for (const Case& c : kCases) EXPECT_EQ(lists(c.field, "gzip"), c.takes) << c.field;
}

}  // namespace
}  // namespace covey::http

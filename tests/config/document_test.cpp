#include "config/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace covey::config {
namespace {

using testing::HasSubstr;

/// Everything wrong with a file that asks for `name` and `share`.
std::string faults(std::string_view yaml) {
  const auto document = Document::parse("f.yaml", yaml);
  if (!document) return document.error().message;
  Table top = document->top();
  if (const auto name = top.require("name", "what it is called")) name->text();
  if (const auto share = top.get("share")) share->percent(0, 1);
  if (const auto list = top.get("list")) {
    for (const Value& value : list->list()) value.integer(0, 9);
  }
  top.done();
  const auto verdict = document->verdict();
  return verdict ? "" : verdict.error().message;
}

TEST(Document, SaysWhereAndWhatToDo) {
  struct Row {
    const char* what;
    const char* yaml;
    const char* message;  // empty: no fault
  };
  const Row kRows[] = {
      {"all right", "name: a\nshare: 5%\nlist: [1, 2]\n", ""},
      {"missing", "share: 5%\n", "f.yaml:1:1: `name` is missing: what it is called"},
      {"unknown, with a near match", "name: a\nshaer: 5%\n",
       "f.yaml:2:1: shaer: unknown key; did you mean 'share'?"},
      {"unknown, with none", "name: a\nzzz: 5%\n", "f.yaml:2:1: zzz: unknown key"},
      {"twice", "name: a\nname: b\n", "f.yaml:2:1: name: given twice"},
      {"no percent sign", "name: a\nshare: 5\n", "f.yaml:2:1: share: '5' is no percentage"},
      {"too much", "name: a\nshare: 101%\n", "share: 101% must lie between 0% and 100%"},
      {"a list in a list", "name: a\nlist: [1, [2]]\n", "f.yaml:2:11: list[1]: a whole number"},
      {"out of range", "name: a\nlist: [1, 10]\n", "list[1]: '10' is no whole number from 0 to 9"},
      {"no list", "name: a\nlist: 3\n", "list: a list is wanted here"},
      {"empty", "name:\n", "name: a text is wanted here"},
      {"no mapping", "- a\n", "a table of `key: value` lines is wanted"},
      {"nothing", "", "a table of `key: value` lines is wanted"},
      {"no YAML", "name: [a\n", "f.yaml:"},
      {"anchors", "name: &x a\n", "f.yaml:1:7: anchors"},
      {"aliases", "name: &x a\nshare: *x\n", "anchors"},
      {"tags", "name: !!binary a\n", "tags"},
      {"two documents", "name: a\n---\nname: b\n", "a second document"},
      {"a key that is a list", "name: a\n[1]: 2\n", "a key must be a plain text"},
  };
  for (const Row& row : kRows) {
    const std::string said = faults(row.yaml);
    if (*row.message == 0) {
      EXPECT_EQ(said, "") << row.what;
    } else {
      EXPECT_THAT(said, HasSubstr(row.message)) << row.what;
    }
  }
}

TEST(Document, FindsAllFaultsAtOnceInOrderOfPlace) {
  EXPECT_EQ(faults("shaer: 5%\nlist: [x]\n"),
            "f.yaml:1:1: shaer: unknown key; did you mean 'share'?\n"
            "f.yaml:1:1: `name` is missing: what it is called\n"
            "f.yaml:2:8: list[0]: 'x' is no whole number from 0 to 9");
}

// A required key that was mistyped is one mistake, not two.
TEST(Document, AMistypedKeyIsNotMissingToo) {
  EXPECT_EQ(faults("nmae: x\n"), "f.yaml:1:1: nmae: unknown key; did you mean 'name'?");
}

TEST(Document, DeepNestingAndSizeAreRefused) {
  std::string deep = "name: ";
  for (int i = 0; i < 100; ++i) deep += "[";
  for (int i = 0; i < 100; ++i) deep += "]";
  EXPECT_THAT(faults(deep), HasSubstr("nested too deep"));
  EXPECT_THAT(faults(std::string(2 << 20, '#')), HasSubstr("more than 1 MiB"));
  EXPECT_THAT(faults(std::string(200'000, '[')), HasSubstr("f.yaml"));
}

}  // namespace
}  // namespace covey::config

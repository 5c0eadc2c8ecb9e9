#include "control/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/kit.h"

namespace covey::control {
namespace {

using ::testing::HasSubstr;

std::string file_of(std::initializer_list<std::pair<Identity, std::string>> entries) {
  std::string out = "tokens:\n";
  for (const auto& [who, token] : entries) out += token_line(who, token);
  return out;
}

TEST(Tokens, KnowWhoHasThem) {
  std::array<unsigned char, 32> bytes{};
  const std::string vera = token_text(bytes);
  bytes[0] = 1;
  const std::string paul = token_text(bytes);
  EXPECT_EQ(vera.size(), 6 + 43u);
  EXPECT_NE(vera, paul);
  const auto tokens = Tokens::parse(
      "t.yaml", file_of({{{"Vera", "vp"}, vera}, {{"Paul", "product"}, paul}}), small_plan());
  ASSERT_TRUE(tokens.has_value()) << tokens.error().message;
  EXPECT_EQ(tokens->find(vera)->person, "Vera");
  EXPECT_EQ(tokens->find(paul)->role, "product");
  EXPECT_FALSE(tokens->find("").has_value());
  EXPECT_FALSE(tokens->find(vera + "x").has_value());
  EXPECT_FALSE(tokens->find(vera.substr(1)).has_value());
  EXPECT_EQ(file_of({{{"Vera", "vp"}, vera}}).find(vera), std::string::npos) << "not at rest";
}

TEST(Tokens, TellEveryFaultAtOnce) {
  const auto tokens = Tokens::parse("t.yaml", R"(tokens:
  - {person: Paul, role: vp, sha256: "00"}
  - {person: Vera, role: boss, sha256: "zz", colour: red}
)",
                                    small_plan());
  ASSERT_FALSE(tokens.has_value());
  const std::string& all = tokens.error().message;
  EXPECT_THAT(all, HasSubstr("Paul does not hold the role vp"));
  EXPECT_THAT(all, HasSubstr("64 hexadecimal digits"));
  EXPECT_THAT(all, HasSubstr("no role 'boss'"));
  EXPECT_THAT(all, HasSubstr("colour"));
}

}  // namespace
}  // namespace covey::control

#include "haproxy/configuration.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/sample.h"

namespace covey::haproxy {
namespace {

using testing::HasSubstr;

// HAProxy itself is the judge of its configuration.
TEST(Configuration, HaproxyAcceptsIt) {
  const std::filesystem::path dir = std::filesystem::temp_directory_path() / "covey-haproxy-test";
  std::filesystem::create_directories(dir);
  std::ofstream(dir / "split.map") << "threshold 0\n";
  Settings settings;
  settings.files = {dir / "admin.sock", dir / "split.map"};
  settings.collector = "unix@" + (dir / "lines.sock").string();
  settings.trusted = {"10.1.0.0/16", "::1"};
  std::ofstream(dir / "haproxy.cfg") << configuration(plan::platform_plan(), settings);
  const std::string command =
      "PATH=$PATH:/usr/sbin haproxy -c -f " + (dir / "haproxy.cfg").string() + " 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string said;
  char piece[512];
  while (std::fgets(piece, sizeof piece, pipe) != nullptr) said += piece;
  EXPECT_EQ(::pclose(pipe), 0) << said;
  EXPECT_THAT(said, HasSubstr("Configuration file is valid"));
  EXPECT_EQ(said.find("WARNING"), std::string::npos) << said;
  std::filesystem::remove_all(dir);
}

// What is trusted becomes words of the configuration: nothing else may ride along.
TEST(Configuration, TrustsOnlyWhatIsAnAddress) {
  Settings settings;
  settings.trusted = {"127.0.0.1", "2001:db8::/32", "10.0.0.0/8"};
  EXPECT_TRUE(settings.validate().empty());
  settings.trusted = {"localhost", "127.0.0.1 }", "", "1.2.3.4\n", std::string(65, '1')};
  EXPECT_EQ(settings.validate().size(), settings.trusted.size());
}

}  // namespace
}  // namespace covey::haproxy

#include "service/machine.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "process.h"

namespace covey::service {
namespace {

constexpr std::string_view kDev =
    R"(Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3267      29    0    0    0     0          0         0     3268      29    0    0    0     0       0          0
  eth0: 340493059    7250    0    0    0     0          0         0   365492    4598    0    0    0     0       0          0
docker0: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0
)";

/// /proc and /sys of a machine that is not this one.
struct Elsewhere {
  testing::TempDir dir;
  void put(const std::string& path, std::string_view text) const {
    const std::filesystem::path file = dir / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
};

TEST(Machine, ReadsWhatTheKernelSays) {
  const Elsewhere there;
  there.put("proc/net/dev", kDev);
  there.put("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n");
  there.put("proc/stat", "cpu  100 0 200 5000 7 0 0 0\n");
  there.put("sys/class/net/eth0/speed", "1000\n");
  there.put("sys/class/net/eth0/device/vendor", "0x1af4\n");
  there.put("sys/class/net/docker0/speed", "-1\n");
  const Machine machine = read_machine(there.dir.path());
  EXPECT_EQ(machine.memory, 1'024'000);
  EXPECT_EQ(machine.memory_used, 768'000);
  EXPECT_GT(machine.cpu_seconds, 0);
  ASSERT_EQ(machine.links.size(), 3u);
  EXPECT_EQ(machine.links[0].name, "lo");
  EXPECT_EQ(machine.links[0].sent_bytes, 3268);
  EXPECT_FALSE(machine.links[0].bytes_per_second);
  EXPECT_EQ(machine.links[1].received_bytes, 340'493'059);
  EXPECT_EQ(machine.links[1].bytes_per_second, 125e6);
  EXPECT_TRUE(machine.links[1].device);
  EXPECT_EQ(machine.links[2].name, "docker0");
  EXPECT_FALSE(machine.links[2].bytes_per_second) << "-1 is no speed";
  EXPECT_TRUE(read_machine("/nowhere").links.empty());
}

// Goal: a level exists only where somebody knows the speed, and counts no byte twice.
TEST(Machine, NetworkUseTable) {
  const Link lo{"lo", 900, 900, {}, false};
  const Link card{"eth0", 100, 40, 125e6, true}, silent{"eth1", 30, 70, {}, true};
  const Link bridge{"docker0", 100, 100, 1.25e9, false}, inside{"eth0", 5, 9, {}, false};
  struct Case {
    const char* name;
    std::vector<Link> links;
    double given;
    double bytes, bytes_per_second;
    const char* by;  ///< null: not known
  };
  const Case kCases[] = {
      {"control", {lo, card}, 0, 100, 125e6, "kernel"},
      {"only those whose speed is known", {lo, card, silent}, 0, 100, 125e6, "kernel"},
      {"a virtual machine", {lo, silent}, 0, 0, 0, nullptr},
      {"nothing but the loopback", {lo}, 0, 0, 0, nullptr},
      {"told", {lo, silent}, 1e6, 70, 1e6, "option"},
      {"told, two cards and a bridge", {lo, card, silent, bridge}, 2e6, 170, 2e6, "option"},
      {"told, in a container", {lo, inside}, 1e6, 9, 1e6, "option"},
      {"told, but no link", {lo}, 1e6, 0, 0, nullptr},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const auto use = network_use(c.links, c.given);
    ASSERT_EQ(use.has_value(), c.by != nullptr);
    if (!use) continue;
    EXPECT_EQ(use->bytes, c.bytes);
    EXPECT_EQ(use->bytes_per_second, c.bytes_per_second);
    EXPECT_EQ(use->known_by, c.by);
  }
}

}  // namespace
}  // namespace covey::service

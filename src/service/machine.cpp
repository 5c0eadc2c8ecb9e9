#include "service/machine.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace covey::service {
namespace {

constexpr std::string_view kLoopback = "lo";

std::vector<Link> read_links(const std::string& root) {
  std::vector<Link> out;
  std::ifstream links(root + "/proc/net/dev");
  for (std::string line; std::getline(links, line);) {
    const std::size_t colon = line.find(':'), begin = line.find_first_not_of(' ');
    if (colon == line.npos) continue;  // the two lines of headings
    Link link;
    link.name = line.substr(begin, colon - begin);
    std::istringstream numbers(line.substr(colon + 1));
    double field[9] = {};
    for (double& f : field) numbers >> f;
    link.received_bytes = field[0];
    link.sent_bytes = field[8];
    const std::string at = root + "/sys/class/net/" + link.name;
    std::ifstream speed(at + "/speed");
    double megabits = 0;  // -1, or not readable, where there is none
    if (speed >> megabits && megabits > 0) link.bytes_per_second = megabits * 1e6 / 8;
    std::error_code error;
    link.device = std::filesystem::exists(at + "/device", error);
    out.push_back(std::move(link));
  }
  return out;
}

}  // namespace

Machine read_machine(const std::string& root) {
  Machine out;
  const double tick = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  out.cpus = static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  std::string name;
  std::ifstream stat(root + "/proc/stat");
  double user = 0, nice = 0, system = 0, idle = 0, io_wait = 0, irq = 0, soft_irq = 0;
  stat >> name >> user >> nice >> system >> idle >> io_wait >> irq >> soft_irq;
  out.cpu_seconds = (user + nice + system + irq + soft_irq) * tick;

  std::ifstream info(root + "/proc/meminfo");
  double available = 0, kib = 0;
  for (std::string unit; info >> name >> kib; std::getline(info, unit)) {
    if (name == "MemTotal:") out.memory = kib * 1024;
    if (name == "MemAvailable:") available = kib * 1024;
  }
  out.memory_used = out.memory - available;
  out.links = read_links(root);
  return out;
}

std::optional<NetworkUse> network_use(const std::vector<Link>& links, double given) {
  NetworkUse out;
  const bool cards = std::ranges::any_of(links, &Link::device);
  bool any = false;
  for (const Link& link : links) {
    if (given > 0 ? (cards ? !link.device : link.name == kLoopback) : !link.bytes_per_second) {
      continue;
    }
    any = true;
    out.bytes += std::max(link.received_bytes, link.sent_bytes);
    out.bytes_per_second += link.bytes_per_second.value_or(0);
  }
  if (!any) return std::nullopt;
  if (given > 0) out.bytes_per_second = given;
  out.known_by = given > 0 ? "option" : "kernel";
  return out;
}

}  // namespace covey::service

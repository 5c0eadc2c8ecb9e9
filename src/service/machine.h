#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace covey::service {

/// A network link, since the machine's start.
struct Link {
  std::string name;
  double received_bytes = 0, sent_bytes = 0;
  std::optional<double> bytes_per_second;  ///< what it can carry, where the kernel knows
  bool device = false;                     ///< a card, real or virtual, and no bridge or tunnel
};

/// What the whole machine does, so that a level means the same for every service on it.
struct Machine {
  double cpu_seconds = 0, cpus = 0;    ///< busy time of all processors; how many there are
  double memory_used = 0, memory = 0;  ///< bytes; used is what is not available
  std::vector<Link> links;             ///< the loopback, too
};

/// Reads /proc and /sys below `root`. What can't be read stays 0.
Machine read_machine(const std::string& root = "");

/// How much of what they can carry the links carry.
struct NetworkUse {
  double bytes = 0;             ///< the larger of received and sent: a link carries both at once
  double bytes_per_second = 0;  ///< what those links can carry together
  std::string_view known_by;    ///< "kernel" or "option"
};
/// @param given  bytes a second that the machine's links can carry together, as the operator says;
///     0: as the kernel says, of the links whose speed it knows.
/// Nothing: nobody knows a speed. Links of virtual machines and containers mostly have none. With
/// `given`, the cards count; where there is none (a container), every link but the loopback.
std::optional<NetworkUse> network_use(const std::vector<Link>& links, double given);

}  // namespace covey::service

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plan/plan.h"

namespace covey::haproxy {

/// Where the balancer's things lie. Paths must have no spaces: HAProxy splits its lines there.
struct Files {
  std::string admin_socket;  ///< of the Runtime API
  std::string split_map;     ///< one line: `threshold N`, N buckets of 10,000
};

struct Settings {
  Files files;
  std::string collector;  ///< takes a line per request: unix@PATH
  unsigned threads = 1;
  unsigned connections_max = 4'000;
  /// Addresses, or networks in CIDR notation, from which the field X-Covey-Arm (`b` or `c`) puts a
  /// request on an arm; from anywhere else it says nothing, and it is never passed on. None by
  /// default: behind a proxy on the same machine every learner comes from loopback.
  std::vector<std::string> trusted = {};
  /// Every fault, in words.
  std::vector<std::string> validate() const;
};

/// HAProxy's configuration for a plan: the split by learner, health checks, a line per request.
///
/// A learner is the field X-Learner-Id, else the query parameter `learner`, else the path segment
/// of /v1/learners/ID; its bucket is xxh32 of that, lower-cased, with seed 7, modulo 10,000, which
/// is what experiment::Assignment computes. Whoever names no learner is in the last bucket: with
/// the baseline until everyone is on the candidate. At share 0 nobody is on the candidate, forced
/// or not: a roll back leaves nobody there. Written for HAProxy 2.6.
std::string configuration(const plan::Plan& plan, const Settings& settings);

/// The line format of configuration(), as the head of what line.h reads.
inline constexpr std::string_view kLineVersion = "covey1";

}  // namespace covey::haproxy

#pragma once

#include <string>

#include "plan/plan.h"

namespace covey::haproxy {

/// Where the balancer's things lie. Paths must have no spaces: HAProxy splits its lines there.
struct Files {
  std::string admin_socket;  ///< of the Runtime API
  std::string split_map;     ///< one line: `threshold N`, N buckets of 10,000
  std::string forced_map;    ///< `LEARNER b` or `LEARNER c`, a line each
};

struct Settings {
  Files files;
  std::string collector;  ///< HOST:PORT that takes a line per request
  unsigned threads = 1;
  unsigned connections_max = 4'000;
  /// From here the field X-Covey-Arm (`b` or `c`) is honoured; it is deleted on the way from
  /// anywhere.
  std::string trusted = "127.0.0.0/8";
};

/// HAProxy's configuration for a plan: the split by learner, health checks, a line per request.
///
/// A learner is the field X-Learner-Id, else the query parameter `learner`, else the path segment
/// of /v1/learners/ID; its bucket is xxh32 of that, lower-cased, with seed 7, modulo 10,000, which
/// is what experiment::Assignment computes. Whoever names no learner is in the last bucket: with
/// the baseline until everyone is on the candidate. Written for HAProxy 2.6.
std::string configuration(const plan::Plan& plan, const Settings& settings);

/// The line format of configuration(), as the head of what line.h reads.
inline constexpr std::string_view kLineVersion = "covey1";

}  // namespace covey::haproxy

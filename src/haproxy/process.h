#pragma once

#include <string>

#include "base/result.h"
#include "haproxy/configuration.h"

namespace covey::haproxy {

/// How the balancer came to run with our configuration.
enum class Running { kAdopted, kReplaced, kStarted };

struct Program {
  std::string path = "/usr/sbin/haproxy";
  std::string folder;  ///< of haproxy.cfg and haproxy.pid
};

/// Sees to it that HAProxy runs with configuration(plan, settings), in the background: it carries
/// the learners, so it outlives the controller.
///
/// One that answers with the same configuration is adopted as it is. One with another is replaced
/// by a process that takes over its port while the old one ends its requests. Else it is started;
/// it begins with the share of the map file, 0 where there is none.
/// kRejected: HAProxy refuses the configuration (its words are in the message). kFailed: it cannot
/// be run. Blocks for as long as HAProxy takes to start.
Result<Running> ensure_running(const plan::Plan& plan, const Settings& settings,
                               const Program& program);

}  // namespace covey::haproxy

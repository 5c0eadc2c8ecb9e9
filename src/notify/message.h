#pragma once

#include <cstdint>
#include <string>

#include "plan/plan.h"
#include "rollout/effect.h"

namespace covey::notify {

/// One thing to tell, whatever the channel.
struct Message {
  std::string id;  ///< the same for every attempt: receivers that keep ids drop what came twice
  std::uint64_t effect = 0;  ///< of the rollout, that asked for it; 0: none
  /// Tells again of an open incident: of no use twice in a queue.
  bool renewal = false;
  Time at{};
  std::string plan;
  rollout::Notify what;
  std::string link;  ///< of the control plane's page; empty: none
};

/// Path behind the channel's URL: Alertmanager has its own.
std::string target(const plan::Channel& channel, std::string_view path);
std::string_view content_type(plan::Channel::Kind kind);

/// The body a channel takes.
///
/// kAlertmanager: POST /api/v2/alerts, a list of one alert; what is for information only is not
///   sent to it (empty), since an alert without an end would fire for ever. The label `incident`
///   joins an alert with its resolution.
/// kSlack: {"text"} with Slack's mark-up escaped (<, >, &).
/// kCloudEvents: structured mode of CloudEvents 1.0, type "covey.rollout.notification".
/// kWebhook: the members by their names.
std::string body(plan::Channel::Kind kind, const Message& message);

}  // namespace covey::notify

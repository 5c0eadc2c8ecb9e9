#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "plan/plan.h"
#include "rollout/gate.h"

namespace covey::rollout {

struct SetShare {
  BasisPoints share = 0;
};
struct RunCheck {
  std::string stage;
  plan::Check check = plan::Check::kBaselineHealthy;
};
struct Notify {
  std::optional<Severity> severity;  ///< nothing: for information
  std::string title, text;
  std::vector<std::string> people;  ///< to be called; empty: the channel only
  std::uint64_t incident = 0;       ///< 0: none
  bool resolved = false;
};
enum class ReportKind : std::uint8_t {
  kCheckpoint,
  kStage,
  kIncident,
  kBriefing,
  kHandOver,
  kWork,
  kExecutive
};
std::string_view name(ReportKind kind);
struct WriteReport {
  ReportKind kind = ReportKind::kCheckpoint;
  std::string subject;  ///< phase, incident number, shift
};

using Act = std::variant<SetShare, RunCheck, Notify, WriteReport>;

/// What the shell shall do. Doing it twice must be as good as once: after a crash it is done again.
struct Effect {
  std::uint64_t id = 0;  ///< counts up from 1
  std::string cause;     ///< never empty
  Act act;
};

/// What was decided and on what evidence: for the journal, the dashboard and the reports.
struct Decision {
  Time at{};
  std::string phase, what;  ///< what: "begin", "continue", "hold", "abort", "pass", ...
  BasisPoints share = 0;    ///< wanted from here on
  std::string cause;
  std::vector<Evidence> evidence;
};

}  // namespace covey::rollout

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plan/plan.h"

namespace covey::rehearsal {

enum class FaultKind : std::uint8_t {
  kErrorSpike,           ///< the candidate answers wrongly at `rate`
  kLatencyDrift,         ///< its latencies grow to `times` over `over`
  kBadSegment,           ///< wrong answers at `rate` in one segment
  kTelemetryGap,         ///< no slot arrives
  kBalancerUnreachable,  ///< its socket does not answer; it keeps its share
  kControllerCrash,      ///< killed, and started again at once
  kRevenueDrop,          ///< `lift` in place of the world's
  kNobodyApproves,       ///< of one stage
  kRegionDown,           ///< a segment goes unanswered, on both arms
  kCriticalIncident,     ///< somebody reports one
  kLevelsMissing,        ///< the candidate tells nothing of its machine and cache
};
inline constexpr std::size_t kFaultKinds = 11;
std::string_view name(FaultKind kind);

struct Fault {
  FaultKind kind = FaultKind::kErrorSpike;
  std::string in;            ///< stage or monitoring phase
  plan::Duration after{};    ///< its planned start
  plan::Duration lasting{};  ///< 0: to the end
  plan::Duration over{};     ///< until it is at its full size
  double size = 0;           ///< rate, times or lift
  std::string segment;
  Time begins(const plan::Plan& plan) const;
  bool active(const plan::Plan& plan, Time at) const;
  /// 0 before it begins, growing to 1 over `over`; 0 after its end.
  double strength(const plan::Plan& plan, Time at) const;
};

/// Reads a list of faults. kRejected: everything wrong in it, with line and column.
Result<std::vector<Fault>> parse_faults(std::string file, std::string_view yaml,
                                        const plan::Plan& plan);

}  // namespace covey::rehearsal

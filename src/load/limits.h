#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "load/generator.h"

namespace covey::load {

/// What a load must keep to: a quantile of latency, or a share of errors.
struct Limit {
  std::string text;          ///< as it was written
  std::optional<Kind> kind;  ///< nothing: the first kind that is sent
  double quantile = 0;       ///< of latency; 0: a limit on errors
  telemetry::Duration longest{};
  double share = 0;  ///< of requests that were not answered well, 429 and 503 among them
};
/// Reads "p99=50ms,errors=0.1%" with p50, p90, p95, p99, p999 and max; a kind may stand before it,
/// as in "ingest.p99=2s". kRejected.
Result<std::vector<Limit>> parse_limits(std::string_view text);

struct Verdict {
  std::string limit, measured;
  /// Nothing: it could not be measured, which is no pass; `measured` says why.
  std::optional<bool> held;
};
/// A latency within its limit counts however loaded the generator was, since nothing it does makes
/// an answer look quicker; one beyond it counts only where the generator was not the cause: it
/// had neither lateness nor a busy thread, and connections enough or answers too slow from the
/// sending.
std::vector<Verdict> judge(const std::vector<Limit>& limits, const Settings& settings,
                           const Totals& totals);

}  // namespace covey::load

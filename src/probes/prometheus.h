#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/client.h"
#include "plan/plan.h"
#include "telemetry/collector.h"

namespace covey::probes {

/// One series of an instant vector, as far as it matters here.
struct Series {
  telemetry::Arm arm = telemetry::Arm::kBaseline;
  std::string segment;  ///< empty: it has no such label
  double value = 0;
};
/// Reads the answer of GET /api/v1/query. kRejected: no success, no vector, or a series without the
/// label `arm` (`baseline` or `candidate`).
Result<std::vector<Series>> read_vector(std::string_view body);

/// Telemetry from Prometheus, for those whose balancer is another: the plan's queries give counters
/// by arm and segment, and what they grew by from one slot's end to the next is the slot.
///
/// Not PromQL's increase(): that extrapolates to the window's edges and gives fractions of
/// requests, and gates count. A slot is incomplete where a query fails, a counter fell (its process
/// began anew), or nothing at all grew: a Prometheus that scrapes nobody looks just so.
class Prometheus {
 public:
  using Slots = std::function<void(std::vector<telemetry::ClosedSlot>)>;
  /// kRejected: the plan's URL can't be used. The plan must have `prometheus`.
  static Result<std::unique_ptr<Prometheus>> make(const plan::Plan& plan,
                                                  const telemetry::Shape& shape, const Clock& clock,
                                                  Slots slots);

  /// Asks at the end of each slot, until stop(); on a thread of its own.
  void run();
  void stop();
  /// One slot that ends at `end`; nothing at the first, with which counting begins.
  std::optional<telemetry::ClosedSlot> slot(Time end);

  /// What was wrong with the last slot; empty: nothing.
  std::string trouble() const;

 private:
  Prometheus(const plan::Plan& plan, const telemetry::Shape& shape, const Clock& clock, Slots slots,
             http::Url url);
  using Cell = std::pair<telemetry::Arm, std::size_t>;
  using Counters = std::map<Cell, std::vector<double>>;  ///< sent, unanswered, wrong, slower...
  Result<Counters> read(Time at);
  Result<void> read_one(const std::string& query, Time at, std::size_t place, Counters& out);
  bool grown(const Counters& now, telemetry::Sums& sums);

  const plan::PrometheusSource& source_;
  telemetry::Duration slot_;
  telemetry::Shape shape_;
  const Clock& clock_;
  Slots slots_;
  http::Client client_;
  std::string path_;
  std::optional<Counters> before_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string trouble_;
  bool stopping_ = false;
};

}  // namespace covey::probes

#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "http/client.h"
#include "plan/plan.h"
#include "rollout/input.h"

namespace covey::probes {

/// Reads an analyzer's answer to GET /v1/experiments/NAME for the metrics that the plan names.
///
/// Only intervals that hold at every look are taken (`sequential` of each metric): a gate looks
/// whenever its time has come. Revenue and engagement are the lift, churn the difference of shares.
/// A metric whose interval is not there yet is left out. kRejected: no such answer, a metric that
/// the experiment has not, an A/A experiment, or one whose arms are not as planned, of which
/// nothing can be believed.
Result<std::vector<rollout::SetImpact>> read_impacts(const plan::ImpactSource& source,
                                                     std::string_view body);

/// Asks the analyzer that the plan names what its experiment says, again and again, and hands over
/// what is new. The controller takes it like anything that is told to it, so that it is in the
/// journal with its source.
class Impacts {
 public:
  using Input = std::function<void(rollout::What)>;
  /// An analyzer that has not answered as it should for this many questions is an incident.
  static constexpr int kTroublesTold = 3;
  /// @param over  takes the key of the incident once it answers again
  /// kRejected: the address can't be used. The plan must have an experiment.
  static Result<std::unique_ptr<Impacts>> make(const plan::Plan& plan, const Clock& clock,
                                               Input input, std::function<void(std::string)> over);

  /// Asks until stop(); on a thread of its own, for an analyzer may be slow to answer.
  void run();
  void stop();
  /// One question. What has been handed over before is not again.
  void ask();

  /// What was wrong with the last answer; empty: nothing.
  std::string trouble() const;

 private:
  Impacts(const plan::ImpactSource& source, const Clock& clock, Input input,
          std::function<void(std::string)> over, http::Url url);

  const plan::ImpactSource& source_;
  const Clock& clock_;
  Input input_;
  std::function<void(std::string)> over_;
  http::Client client_;
  std::string target_;
  std::vector<std::pair<plan::Measure, Time>> told_;  ///< as of
  int troubles_ = 0;                                  ///< in a row

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string trouble_;
  bool stopping_ = false;
};

}  // namespace covey::probes

#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "http/client.h"
#include "plan/plan.h"
#include "probes/answers.h"
#include "rollout/input.h"

namespace covey::probes {

struct Settings {
  /// What is asked of both services and compared; {learner} stands for an id, encoded.
  std::string compare = "/v1/learners/{learner}/traits";
  double compares_per_second = 2;  ///< at most; 0: none
  std::chrono::milliseconds patience{2'000};
  std::size_t samples_max = 256;  ///< learners waiting to be compared
  /// Of the last `window` comparisons, so many that differ open a critical incident.
  std::size_t window = 50, differing_max = 3;
};

/// Asks things of the running services that their own traffic does not tell: a request through the
/// balancer in every slot, the levels of both machines, whether both answer the same learner alike,
/// and the checks before a stage.
///
/// run() and run_probe() on threads of their own, since every question blocks, and a service that
/// does not answer must not keep the probe from its slot; the rest from any.
class Prober {
 public:
  struct Ports {
    std::function<void(telemetry::Arm, const telemetry::Levels&)> levels;
    std::function<void(rollout::What)> input;
    /// The share that the balancer holds and the one that is wanted, for split_reads_back.
    std::function<Result<std::pair<plan::BasisPoints, plan::BasisPoints>>()> shares;
    /// Whether every slot of the sliding window came, in words where not.
    std::function<std::optional<std::string>()> telemetry_gap;
    /// Names of dead channels.
    std::function<std::vector<std::string>()> dead_channels;
  };
  /// kRejected: an address of the plan can't be used.
  static Result<std::unique_ptr<Prober>> make(const plan::Plan& plan, Settings settings,
                                              Ports ports, const Clock& clock);

  /// A learner who was served just now, id encoded as in a URL. Most are dropped.
  void sample(std::string_view learner);
  void check(std::string stage, plan::Check check);
  void run();
  void run_probe();
  void stop();

  struct Counters {
    std::uint64_t probes = 0, probes_failed = 0, compared = 0, differed = 0;
  };
  Counters counters() const;

 private:
  Prober(const plan::Plan& plan, Settings settings, Ports ports, const Clock& clock,
         http::Url balancer, http::Url baseline, http::Url candidate);
  struct Asked {
    std::string stage;
    plan::Check check;
  };
  /// Alike, different (with the sentence), or not to be told: one did not answer or knows no such
  /// learner.
  enum class Outcome { kAlike, kDifferent, kUnknown };
  Outcome compare(const std::string& learner, std::string& why);
  void probe();
  void scrape();
  void compare_one();
  void note(bool different, const std::string& learner, const std::string& why);
  rollout::CheckResult answer(const Asked& asked);
  rollout::CheckResult same_answers(rollout::CheckResult result);

  const plan::Plan& plan_;
  Settings settings_;
  Ports ports_;
  const Clock& clock_;
  http::Client balancer_, baseline_, candidate_;
  struct Scraped {
    std::optional<Gauges> gauges;
    std::chrono::nanoseconds at{0};
  };
  Scraped scraped_[telemetry::kArms];
  std::deque<bool> differed_;
  std::optional<std::string>
      again_;  ///< a learner who differed once: an event may have been on its way
  std::chrono::nanoseconds again_at_{0};
  bool reported_ = false;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::string> samples_;
  std::deque<Asked> checks_;
  Counters counters_;
  bool stopping_ = false;
};

}  // namespace covey::probes

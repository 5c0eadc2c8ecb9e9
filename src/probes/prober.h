#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
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
  double compares_per_second = 2;  ///< at most; 0: none but those of the check same_answers
  std::chrono::milliseconds patience{2'000};
  std::size_t samples_max = 256;  ///< learners waiting to be compared
  /// Of the last `window` comparisons, all of them or a segment's, so many that differ open a
  /// critical incident.
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
    /// The share of learners who are on the candidate now; nothing: not known.
    std::function<std::optional<plan::BasisPoints>()> share;
    /// Names of dead channels.
    std::function<std::vector<std::string>()> dead_channels;
  };
  /// kRejected: an address of the plan can't be used.
  static Result<std::unique_ptr<Prober>> make(const plan::Plan& plan, Settings settings,
                                              Ports ports, const Clock& clock);

  /// A learner who was served just now; id and segment encoded as in a URL, "-" where unknown. Most
  /// are dropped.
  void sample(std::string_view learner, std::string_view segment);
  /// Answers by an input. same_answers waits until learners are served, at most the plan's
  /// window and ten seconds.
  void check(std::string stage, plan::Check check);
  void run();
  void run_probe();
  void stop();

  struct Compared {
    std::uint64_t compared = 0, differed = 0;
  };
  struct Counters {
    std::uint64_t probes = 0, probes_failed = 0, compared = 0, differed = 0;
    /// By the plan's segments; "other" has the rest.
    std::map<std::string, Compared> segments;
  };
  Counters counters() const;

 private:
  Prober(const plan::Plan& plan, Settings settings, Ports ports, const Clock& clock,
         http::Url balancer, http::Url baseline, http::Url candidate);
  struct Asked {
    std::string stage;
    plan::Check check;
    std::chrono::nanoseconds until;  ///< what a check needs is waited for so long
  };
  /// Alike, different (with the sentence), or not to be told: one did not answer or knows no such
  /// learner.
  enum class Outcome { kAlike, kDifferent, kUnknown };
  struct Sample {
    std::string learner, segment;  ///< as in a URL
  };
  /// The newest comparisons; whether too many differed was reported.
  struct Window {
    std::deque<bool> differed;
    bool reported = false;
  };
  Outcome compare(const Sample& sample, std::string& why);
  std::string segment_of(const Sample& sample) const;
  /// The first check that need not wait any longer; nothing: none. Call with mutex_ held.
  std::optional<Asked> next_check(std::chrono::nanoseconds now);
  void probe();
  void scrape();
  void compare_one();
  void note(bool different, const Sample& sample, const std::string& why);
  void judge(Window& window, bool different, const std::string& segment, const std::string& says);
  rollout::CheckResult answer(const Asked& asked);
  rollout::CheckResult same_answers(rollout::CheckResult result);

  const plan::Plan& plan_;
  Settings settings_;
  Ports ports_;
  const Clock& clock_;
  http::Client balancer_, baseline_, candidate_;
  struct Scraped {
    std::optional<Gauges> gauges;
    std::optional<plan::BasisPoints> split;  ///< that the learners' doings were told apart by
    std::chrono::nanoseconds at{0};
  };
  Scraped scraped_[telemetry::kArms];
  Window all_;
  std::map<std::string, Window> by_segment_;
  /// A learner who differed once: an event may have been on its way.
  std::optional<Sample> again_;
  std::chrono::nanoseconds again_at_{0};

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Sample> samples_;
  std::deque<Asked> checks_;
  Counters counters_;
  bool stopping_ = false;
};

}  // namespace covey::probes

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace covey::population {

/// What the treatment does, beyond doubt.
struct Effect {
  double revenue = 0.058;    ///< factor of every amount, less 1
  double churn = -0.03;      ///< added to the share of learners who withdraw
  double completion = 0.07;  ///< added to the share of learners who complete
};

/// Learners of an experiment whose truth is known: what an analysis must find.
///
/// Learners differ in how much they spend (log-normal) and how often (Poisson), before as after;
/// many spend nothing. All of it but the effect is independent of the arm. Drawn from a stream per
/// learner, so the output depends on the Spec alone.
class Trial {
 public:
  struct Spec {
    std::uint32_t learners = 20'000;
    std::uint64_t seed = 1;
    Time start{};                    ///< of the experiment
    std::uint32_t days = 42;         ///< it runs
    std::uint32_t window_days = 14;  ///< after exposure, when the effect shows
    std::uint32_t pre_days = 28;
    std::string currency = "EUR";
    double activity = 1;  ///< factor of how often they come and buy
    Effect effect;
    std::function<bool(std::string_view)> treated;  ///< by learner
    /// Every fault, in words.
    std::vector<std::string> validate() const;
  };
  static constexpr double kChurn = 0.20, kCompletion = 0.40;  ///< of the control
  /// The activity at which learners have about so many events each; at least 3.
  static double activity_for(double events_per_learner, const Spec& spec);

  /// COVEY_CHECKs that spec.validate() is empty.
  explicit Trial(Spec spec);

  std::string learner_name(std::uint32_t learner) const;
  /// One learner's events as NDJSON, in order of time; returns how many.
  std::uint32_t append_ndjson(std::uint32_t learner, std::string& out) const;

 private:
  Spec spec_;
};

}  // namespace covey::population

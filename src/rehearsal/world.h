#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "rehearsal/faults.h"
#include "rollout/driver.h"
#include "rollout/measure.h"
#include "telemetry/history.h"

namespace covey::rehearsal {

/// How one arm answers when nothing is wrong with it.
struct ArmModel {
  double wrong = 0.0002, unanswered = 0.00001;  ///< rates
  /// Latency is log-normal.
  plan::Duration median = std::chrono::milliseconds(12);
  double sigma = 0.45;
  double cpu = 0.45, memory = 0.55, network = 0.3;  ///< levels at the expected traffic
};

/// What is true in the simulated world: stated, so that a rehearsal's decisions can be held against
/// it. The candidate is better than every limit of the calendar, with room.
struct Truth {
  ArmModel baseline{};
  ArmModel candidate{.wrong = 0.0001,
                     .unanswered = 0.00001,
                     .median = std::chrono::milliseconds(8),
                     .sigma = 0.45,
                     .cpu = 0.40,
                     .memory = 0.5,
                     .network = 0.3};
  double revenue_lift = 0.095, churn_difference = -0.045, engagement_lift = 0.095;
  /// How much latencies, errors and lifts differ from the above by the hour of the day and by
  /// segment: busy hours are slower and err more, the plan's later segments are farther away. Means
  /// over a day and over requests are as stated. 0: the same everywhere, always.
  double by_hour = 0.3, by_segment = 0.3;
  double revenue_per_request = 0.002;  ///< of the baseline, in the plan's currency
  double cache_cold = 0.3, cache_warm = 0.92;
  plan::Duration cache_warms_in = std::chrono::minutes(35);  ///< time constant
};

/// A crash of the controller: thrown where it strikes, caught by the rehearsal, which starts the
/// controller again. Nothing of the product catches it.
struct Died {};

/// Counts the points at which a controller may die: before and after every effect and every
/// journal record. Remembers those of effects and of records that ask for any: a record of a mere
/// tick is like any other.
struct Fate {
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  std::uint64_t points = 0, fatal = kNever;
  std::vector<std::uint64_t> of_effects;
  void point(bool of_effect) {
    if (of_effect) of_effects.push_back(points);
    if (points++ == fatal) throw Died{};
  }
};

/// The journal of a rehearsal: the newest state with the inputs since, as after a snapshot.
class MemoryJournal final : public rollout::Journal {
 public:
  explicit MemoryJournal(const plan::Plan& plan, Fate& fate)
      : fate_(fate), base_(rollout::initial(plan)) {}
  Result<void> append(const rollout::Entry& entry) override;
  rollout::State base(const plan::Plan&) const override { return base_; }
  Result<void> replay(const std::function<void(const rollout::Input&)>& visit) const override;
  /// Offers a state to replay from, that after every input so far. Taken once in a while, and used
  /// a while later, so that every restart replays something.
  void offer(const rollout::State& state);

  std::uint64_t inputs_of(std::size_t kind) const { return kinds_[kind]; }
  bool holds(std::uint64_t effect) const { return effect < next_effect_; }
  std::vector<rollout::Decision> decisions;

 private:
  Fate& fate_;
  rollout::State base_, next_base_;
  std::vector<rollout::Input> since_;  ///< base_
  std::size_t next_at_ = 0;            ///< of since_ lead to next_base_; 0: none is taken
  std::array<std::uint64_t, std::variant_size_v<rollout::What>> kinds_{};
  std::uint64_t next_effect_ = 1;
};

class Invariants;

/// Learners, two analyzers, a balancer, channels: everything the controller sees and acts upon.
class World final : public rollout::Outside {
 public:
  World(const plan::Plan& plan, Truth truth, std::vector<Fault> faults, std::uint64_t seed,
        Fate& fate, Invariants& invariants);

  /// Lets time pass up to `now`, the end of a slot: draws its requests and, unless telemetry is
  /// away, adds them to the history.
  void advance(Time now, const rollout::State& state);

  const telemetry::History& history() const { return history_; }
  rollout::BasisPoints share_now() const { return share_; }
  bool reachable() const;
  bool silent() const { return silent_; }
  const std::vector<Fault>& faults() const { return faults_; }
  /// Answers of checks since the last call.
  std::vector<rollout::CheckResult> check_results();
  /// What the experiment says, since the last call: an analysis an hour.
  std::vector<rollout::SetImpact> impacts();
  /// Whom the controller called about which incident.
  const std::map<std::uint64_t, std::string>& called() const { return called_; }
  std::uint64_t notified() const { return notified_; }
  std::uint64_t reports() const { return reports_; }

  Result<rollout::BasisPoints> share() override;
  Result<void> set_share(rollout::BasisPoints share, const rollout::Effect& effect) override;
  void run_check(const rollout::RunCheck& check, const rollout::Effect& effect) override;
  Result<void> notify(const rollout::Notify& notify, const rollout::Effect& effect) override;
  Result<void> write_report(const rollout::WriteReport& report,
                            const rollout::Effect& effect) override;

 private:
  using BasisPoints = rollout::BasisPoints;
  void draw_arm(telemetry::Arm arm, const ArmModel& model, double requests, std::int64_t slots,
                telemetry::Sums& out);
  void draw_impacts(const rollout::State& state);
  double traffic_at(Time at) const;  ///< of the expected, 1 on average over a week
  double evening(Time at) const;     ///< 1 in the busiest hour, -1 in the quietest
  double fault_size(FaultKind kind, std::string_view segment = {}) const;
  void done(const rollout::Effect& effect);

  const plan::Plan& plan_;
  Truth truth_;
  std::vector<Fault> faults_;
  Fate& fate_;
  Invariants& invariants_;
  Random requests_, learners_;
  telemetry::History history_;
  std::vector<double> parts_;     ///< of the requests, by segment
  std::vector<double> distance_;  ///< of a segment against the mean, -1 to 1 or so
  std::vector<rollout::SetImpact> impacts_;
  BasisPoints share_ = 0;
  Time now_{};
  bool silent_ = false;
  std::optional<Time> candidate_since_;
  /// Learners seen on the candidate since a phase began, with the sums of their values.
  struct Sample {
    std::optional<Time> began;
    double learners = 0;
    std::array<double, 3> noise{}, baseline{};
    double lift = 0;  ///< summed over learners, of the stated one
    std::optional<Time> analysed;
  } sample_;
  std::vector<rollout::CheckResult> results_;
  std::map<std::uint64_t, std::string> called_;
  std::uint64_t notified_ = 0, reports_ = 0;
};

}  // namespace covey::rehearsal

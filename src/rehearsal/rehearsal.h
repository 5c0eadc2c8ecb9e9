#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rehearsal/world.h"

namespace covey::rehearsal {

/// What somebody who decides does at a given time, beside what people always do (rehearse()).
struct Deed {
  enum class Kind : std::uint8_t { kHold, kResume, kReduce, kAbort, kStart, kOverride, kNoGo };
  static constexpr std::size_t kKinds = 7;
  Time at{};
  Kind kind = Kind::kHold;
  std::string stage;               ///< kOverride, kNoGo; kStart begins where it was stopped
  rollout::BasisPoints share = 0;  ///< kReduce
};

struct Options {
  std::uint64_t seed = 1;
  Truth truth{};
  std::vector<Fault> faults;
  std::vector<Deed> deeds;  ///< in order of time
  /// The controller dies at this point of Fate's count, once.
  std::uint64_t fatal_point = Fate::kNever;
  /// Ends when the rollout is decided, without the work phases that follow.
  bool rollout_only = false;
  /// Steps while nothing has been decided for an hour and no fault is near; 0: slots, as ever. A
  /// run of thousands leaves out what happens by chance alone in between.
  plan::Duration calm_tick{};
  /// Told how far the calendar is, in [0, 1].
  std::function<void(double)> progress;
};

struct PhaseOutcome {
  std::string name;
  std::string outcome;  ///< passed, failed, rolled_back, held, skipped
  rollout::BasisPoints share_final = 0;
  std::optional<Time> decided_at;
  std::vector<rollout::Evidence> evidence;
};

struct Rehearsed {
  std::vector<PhaseOutcome> phases;  ///< stages, monitoring, work
  std::vector<rollout::Decision> decisions;
  std::uint64_t invariants_checked = 0;
  std::vector<std::string> broken;
  double virtual_hours = 0;
  std::uint64_t ticks = 0, crashes = 0, notified = 0, reports = 0;
  std::vector<std::uint64_t> effect_points;  ///< where the controller may die: see Fate
  rollout::BasisPoints share_final = 0;      ///< what the balancer holds at the end
  bool passed = false;                       ///< every stage and monitoring phase
};

/// Runs the whole calendar in the simulated world: the production core and driver, over a journal
/// in memory, a simulated balancer and simulated people.
///
/// People approve a quarter of an hour after the pre-flight, take incidents they are called for
/// within three minutes, finish their tasks an hour before the end, and let a reduced share up
/// again when nothing has been breached for half an hour. Nobody starts again after a roll back,
/// unless a deed says so. The same plan, faults and seed give the same outcome. O(ticks).
Rehearsed rehearse(const plan::Plan& plan, const Options& options);

}  // namespace covey::rehearsal

#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rehearsal/plain.h"
#include "rollout/driver.h"
#include "telemetry/history.h"

namespace covey::rehearsal {

class MemoryJournal;

/// Watches a rollout from outside and holds it to the seven invariants of ARCHITECTURE.md.
///
/// Draws its own conclusions: it follows decisions and acts, keeps its own account of what the plan
/// allows, counts the world's slots itself (plain.h), and asks neither the controller's state nor
/// its gates what should be.
class Invariants {
 public:
  Invariants(const plan::Plan& plan) : plan_(plan) {}
  void observe(const MemoryJournal& journal) { journal_ = &journal; }

  // What happens, as it happens.
  void began();  ///< the controller was (re)started
  void read_back() { read_back_ = true; }
  void share_set(Time now, rollout::BasisPoints share);
  void performed(const rollout::Effect& effect);
  void approved(const std::string& stage, const std::string& role);
  void overridden(const std::string& stage);
  void withdrawn(const std::string& stage, const std::string& role);
  void told(const rollout::SetImpact& impact);
  /// Before each tick: what the world did up to `now`, and whether it is known. A slot that has
  /// come ends the silence for what is decided on it.
  /// @param slots  that it covers
  void ticks(Time now, const telemetry::Sums& did, const telemetry::Shape& shape,
             std::int64_t slots, bool silent);
  /// After each tick, with whether telemetry and the balancer were there at all.
  void ticked(Time now, rollout::BasisPoints share, bool silent, bool reachable);

  std::uint64_t checked() const { return checked_; }
  const std::vector<std::string>& broken() const { return broken_; }

 private:
  void catch_up();
  void follow(const rollout::Decision& decision);
  void rolled_back(const rollout::Decision& decision);
  void begin_window(Time at);
  /// Own counts of the sliding window.
  Plain recent(const plan::Rule& rule, Time now) const;
  std::optional<std::size_t> good_within(const std::vector<plan::Rule>& criteria) const;
  rollout::BasisPoints most() const;  ///< that may be on the candidate now
  void passed(const rollout::Decision& decision);
  void decided_gate(const rollout::Decision& decision);
  void check(bool holds, int invariant, Time now, std::string what);

  const plan::Plan& plan_;
  const MemoryJournal* journal_ = nullptr;
  std::size_t seen_decisions_ = 0;
  rollout::BasisPoints allowed_ = 0;
  std::size_t phase_ = 0;                        ///< the one opened last
  bool running_ = false;                         ///< and not yet decided
  bool stopped_ = false;                         ///< rolled back, nobody has started again
  std::optional<Time> window_;                   ///< since the balancer confirmed the share
  std::optional<Time> whole_;                    ///< the same, and never reduced since
  std::optional<rollout::BasisPoints> reduced_;  ///< until somebody resumes
  std::optional<Time> stopped_at_;
  bool quiet_ = false, verified_ = false;
  Time blind_{};  ///< when telemetry or the balancer was last away
  std::vector<std::optional<Time>> broken_since_;
  /// What the world did: in the window, by criterion, and slot by slot lately.
  struct Slot {
    Time end;
    telemetry::Sums sums;
    std::uint64_t covers;
  };
  std::vector<Plain> counted_;
  std::deque<Slot> lately_;
  const telemetry::Shape* shape_ = nullptr;
  std::uint64_t candidate_requests_ = 0;  ///< in the last slot that came
  std::optional<Time> levels_at_;         ///< when the candidate last told of its machine
  std::vector<Time> criticals_;           ///< incidents, when they were opened
  std::map<plan::Measure, rollout::SetImpact> impacts_;
  std::optional<Time> silent_since_;
  plan::Duration lost_{};  ///< slots missing in the window
  std::map<std::string, std::set<std::string>> approvals_;
  std::set<std::string> overridden_;
  std::set<std::string> go_, passed_;  ///< gates of people; phases
  bool read_back_ = false;
  Time last_tick_{};
  std::uint64_t checked_ = 0;
  std::vector<std::string> broken_;
};

}  // namespace covey::rehearsal

#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rollout/driver.h"
#include "rollout/measure.h"

namespace covey::rehearsal {

class MemoryJournal;

/// Watches a rollout from outside and holds it to the seven invariants of ARCHITECTURE.md.
///
/// Draws its own conclusions: it follows decisions and acts, keeps its own account of what the plan
/// allows, and never asks the controller's state what it should be.
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
  /// Before each tick: a slot that has come ends the silence for what is decided on it.
  void ticks(bool silent) {
    if (!silent) silent_since_.reset();
  }
  /// After each tick, with what telemetry said and whether it and the balancer were there at all.
  void ticked(Time now, const rollout::Telemetry& telemetry, rollout::BasisPoints share,
              bool silent, bool reachable);

  std::uint64_t checked() const { return checked_; }
  const std::vector<std::string>& broken() const { return broken_; }

 private:
  void follow(const rollout::Decision& decision);
  void passed(const rollout::Decision& decision);
  void check(bool holds, int invariant, Time now, std::string what);

  const plan::Plan& plan_;
  const MemoryJournal* journal_ = nullptr;
  std::size_t seen_decisions_ = 0;
  rollout::BasisPoints allowed_ = 0;
  std::size_t phase_ = 0;       ///< the one opened last
  bool running_ = false;        ///< and not yet decided
  bool stopped_ = false;        ///< rolled back, nobody has started again
  std::optional<Time> window_;  ///< since the balancer confirmed the share
  std::optional<Time> stopped_at_;
  bool verified_ = false;
  Time blind_{};  ///< when telemetry or the balancer was last away
  std::vector<std::optional<Time>> breached_;
  std::optional<Time> silent_since_;
  plan::Duration lost_{};  ///< slots missing in the window
  std::map<std::string, std::set<std::string>> approvals_;
  std::set<std::string> overridden_;
  rollout::Telemetry last_;
  bool read_back_ = false;
  Time last_tick_{};
  std::uint64_t checked_ = 0;
  std::vector<std::string> broken_;
};

}  // namespace covey::rehearsal

#include "rehearsal/invariants.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "config/units.h"
#include "rehearsal/world.h"

namespace covey::rehearsal {
namespace {

std::size_t index_of(const plan::Plan& plan, const std::string& phase) {
  for (std::size_t i = 0; i < rollout::phase_count(plan); ++i) {
    if (rollout::phase_view(plan, i).name() == phase) return i;
  }
  return rollout::phase_count(plan);
}

}  // namespace

void Invariants::check(bool holds, int invariant, Time now, std::string what) {
  ++checked_;
  if (holds || broken_.size() >= 100) return;
  broken_.push_back(fmt::format("{} invariant {}: {}", format_time(now), invariant, what));
}

rollout::BasisPoints Invariants::most() const {
  return std::min(allowed_, reduced_.value_or(plan::kEveryone));
}

void Invariants::began() {
  read_back_ = false;
}

void Invariants::share_set(Time now, rollout::BasisPoints share) {
  catch_up();  // the decision that allows it is in the journal before the act
  check(read_back_, 5, now, "the share is set before the balancer's own was read back");
  check(
      share <= most(), 1, now,
      fmt::format("{} set where {} is allowed", plan::share_text(share), plan::share_text(most())));
  check(!stopped_ || share == 0, 4, now,
        fmt::format("{} set after a roll back", plan::share_text(share)));
}

void Invariants::performed(const rollout::Effect& effect) {
  check(journal_ != nullptr && journal_->holds(effect.id), 7, last_tick_,
        fmt::format("effect {} is not in the journal", effect.id));
  check(!effect.cause.empty(), 7, last_tick_, fmt::format("effect {} has no cause", effect.id));
}

void Invariants::approved(const std::string& stage, const std::string& role) {
  catch_up();
  approvals_[stage].insert(role);
}
void Invariants::overridden(const std::string& stage) {
  catch_up();
  overridden_.insert(stage);
}
void Invariants::withdrawn(const std::string& stage, const std::string& role) {
  catch_up();
  approvals_[stage].erase(role);
  const plan::Role* held = plan_.role(role);
  if (held != nullptr && held->decides) overridden_.erase(stage);
}
void Invariants::told(const rollout::SetImpact& impact) {
  catch_up();
  impacts_.insert_or_assign(impact.measure, impact);
}

void Invariants::catch_up() {
  while (journal_ != nullptr && seen_decisions_ < journal_->decisions.size()) {
    follow(journal_->decisions[seen_decisions_++]);
  }
}

std::optional<std::size_t> Invariants::good_within(const std::vector<plan::Rule>& criteria) const {
  for (const plan::Rule& rule : criteria) {
    if (rule.measure != plan::Measure::kP99) continue;
    return shape_->limit(plan::Duration(std::llround(rule.limit * 1e6)));
  }
  return std::nullopt;
}

void Invariants::ticks(Time now, const telemetry::Sums& did, const telemetry::Shape& shape,
                       std::int64_t slots, bool silent) {
  shape_ = &shape;
  if (silent) return;
  silent_since_.reset();
  const auto covers = static_cast<std::uint64_t>(slots);
  candidate_requests_ = did.counts(telemetry::Arm::kCandidate).sent;
  if (did.levels(telemetry::Arm::kCandidate).samples > 0) levels_at_ = now;
  lately_.push_back({now, did, covers});
  while (lately_.front().end <= now - plan_.window) lately_.pop_front();
  if (!window_) return;
  const auto& criteria = rollout::phase_view(plan_, phase_).criteria();
  for (std::size_t i = 0; i < counted_.size(); ++i) {
    if (now - slots * plan_.slot < *window_ + criteria[i].from) continue;
    counted_[i].add(criteria[i], did, shape, good_within(criteria), covers);
  }
}

Plain Invariants::recent(const plan::Rule& rule, Time now) const {
  Plain out;
  const auto good = good_within(rollout::phase_view(plan_, phase_).criteria());
  for (const Slot& slot : lately_) {
    const Time from = slot.end - static_cast<std::int64_t>(slot.covers) * plan_.slot;
    if (from < now - plan_.window || (window_ && from < *window_)) continue;
    out.add(rule, slot.sums, *shape_, good, slot.covers);
  }
  return out;
}

void Invariants::begin_window(Time at) {
  whole_ = window_ = at;
  lost_ = {};
  const std::size_t criteria = rollout::phase_view(plan_, phase_).criteria().size();
  counted_.assign(criteria, {});
  broken_since_.assign(criteria, {});
}

void Invariants::follow(const rollout::Decision& decision) {
  if (decision.what == "open") {
    phase_ = index_of(plan_, decision.phase);
    running_ = true;
    window_.reset();
    whole_.reset();
    lost_ = {};
    counted_.clear();
    broken_since_.clear();
    allowed_ = std::max(allowed_, rollout::phase_share(plan_, phase_));
    check(!stopped_, 4, decision.at, decision.phase + " is opened after a roll back");
    if (phase_ < plan_.stages.size()) {
      const plan::Stage& stage = plan_.stages[phase_];
      check(decision.at >= stage.start, 2, decision.at, stage.name + " is opened before its time");
      const bool in = std::ranges::all_of(stage.approvals, [&](const std::string& role) {
        return approvals_[stage.name].contains(role);
      });
      check(in || overridden_.contains(stage.name), 2, decision.at,
            stage.name + " is opened without its approvals");
    } else {
      begin_window(decision.at);  // its share is there already
    }
  } else if (decision.what == "begin") {
    begin_window(decision.at);
  } else if (decision.what == "pass") {
    passed(decision);
    running_ = false;
  } else if (decision.what == "fail") {
    running_ = false;
    allowed_ = phase_ < plan_.stages.size() ? plan_.stages[phase_].fail_share : 0;
  } else if (decision.what == "roll_back") {
    rolled_back(decision);
    running_ = false;
    stopped_ = true;
    quiet_ = verified_ = false;
    stopped_at_ = decision.at;
    allowed_ = 0;
  } else if (decision.what == "quiet") {
    quiet_ = true;
    check(candidate_requests_ == 0, 3, decision.at,
          "a roll back is said to be quiet while the candidate receives requests");
  } else if (decision.what == "verified") {
    verified_ = true;
    check(quiet_, 3, decision.at, "a roll back is verified before the candidate was seen quiet");
    check(candidate_requests_ == 0, 3, decision.at,
          "a roll back is verified while the candidate receives requests");
  } else if (decision.what == "start") {
    stopped_ = false;
    stopped_at_.reset();
    reduced_.reset();
    impacts_.clear();
    const auto forget = [&](const std::string& name) {
      approvals_.erase(name);
      overridden_.erase(name);
      go_.erase(name);
    };
    for (const plan::Stage& stage : plan_.stages) forget(stage.name);
    for (const plan::Monitoring& phase : plan_.monitoring) {
      for (const plan::Gate& gate : phase.gates) forget(gate.name);
    }
    const std::size_t from = index_of(plan_, decision.phase);
    allowed_ = from == 0 ? 0 : rollout::phase_share(plan_, from - 1);
  } else if (decision.what == "incident") {
    if (decision.cause.find(" critical: ") != std::string::npos) criticals_.push_back(decision.at);
  } else if (decision.what == "gate") {
    decided_gate(decision);
  } else if (decision.what == "work_passed") {
    for (const plan::Work& work : plan_.work) {
      if (!decision.cause.starts_with(work.title + ":")) continue;
      for (const std::string& need : work.needs) {
        check(passed_.contains(need), 2, decision.at, work.name + " passes before " + need);
      }
      for (const plan::Gate& gate : work.gates) {
        check(go_.contains(gate.name), 2, decision.at, work.name + " passes without " + gate.name);
      }
      passed_.insert(work.name);
    }
  } else if (decision.what == "reduce") {
    reduced_ = decision.share;
    whole_.reset();
  } else if (decision.what == "resume") {
    reduced_.reset();
  } else if (decision.what == "continue") {
    check(!silent_since_, 6, decision.at, "a checkpoint goes on without telemetry");
  }
}

void Invariants::decided_gate(const rollout::Decision& decision) {
  const auto look = [&](const std::vector<plan::Gate>& gates) {
    for (const plan::Gate& gate : gates) {
      if (!decision.cause.starts_with("GO at " + gate.name + ":")) continue;
      const bool in = std::ranges::all_of(gate.approvals, [&](const std::string& role) {
        return approvals_[gate.name].contains(role);
      });
      check(in || overridden_.contains(gate.name), 2, decision.at,
            gate.name + " is decided without those who decide it");
      check(decision.at >= gate.at, 2, decision.at, gate.name + " is decided before its time");
      go_.insert(gate.name);
    }
  };
  for (const plan::Monitoring& phase : plan_.monitoring) look(phase.gates);
  for (const plan::Work& work : plan_.work) look(work.gates);
}

void Invariants::passed(const rollout::Decision& decision) {
  passed_.insert(decision.phase);
  if (phase_ >= plan_.stages.size()) {
    for (const plan::Gate& gate : plan_.monitoring[phase_ - plan_.stages.size()].gates) {
      check(go_.contains(gate.name), 2, decision.at,
            decision.phase + " passes without " + gate.name);
    }
  }
  const rollout::PhaseView phase = rollout::phase_view(plan_, phase_);
  check(!silent_since_, 6, decision.at, decision.phase + " passes without telemetry");
  check(whole_ && decision.at - *whole_ >= phase.length() + lost_, 2, decision.at,
        decision.phase + " passes before its window is over, all of it at its share");
  check(counted_.size() == phase.criteria().size(), 2, decision.at,
        decision.phase + " passes before anything of it was counted");
  if (!whole_) return;
  for (std::size_t i = 0; i < counted_.size(); ++i) {
    const plan::Rule& rule = phase.criteria()[i];
    const std::string what =
        fmt::format("{} passes though {} does not hold", decision.phase, rule.text);
    if (plan::kind_of(rule.measure) == plan::Kind::kCount) {
      const bool none = std::ranges::none_of(criticals_, [&](Time at) { return at >= *whole_; });
      check(none, 2, decision.at, what + ": an incident was opened in its window");
    } else if (plan::kind_of(rule.measure) == plan::Kind::kImpact) {
      const auto told = impacts_.find(rule.measure);
      const bool counts = told != impacts_.end() && told->second.as_of > *whole_ &&
                          decision.at - told->second.as_of <= plan_.impacts.valid_for &&
                          plan::satisfies(rule, told->second.interval.low) &&
                          plan::satisfies(rule, told->second.interval.high);
      check(counts, 2, decision.at, what + ", by what the experiment said last");
    } else {
      const Plain& c = counted_[i];
      check(plainly_may_hold(rule, c, plan_.alpha), 2, decision.at,
            fmt::format("{}: {} bad of {}, {} readings of {}", what, c.bad, c.all, c.readings,
                        c.slots));
    }
  }
}

// A roll back for a breach was one: what the sliding window shows is unlikely within the limit.
void Invariants::rolled_back(const rollout::Decision& decision) {
  if (!running_ || decision.cause.find(" breached for ") == std::string::npos) return;
  for (const plan::Rule& rule : rollout::phase_view(plan_, phase_).criteria()) {
    if (!decision.cause.starts_with(rule.text + " breached for ")) continue;
    if (plan::kind_of(rule.measure) != plan::Kind::kEvidence) continue;
    if (rule.measure == plan::Measure::kSegmentSpread) continue;
    const Plain c = recent(rule, decision.at);
    const double limit = rule.measure == plan::Measure::kAvailability ? 1 - rule.limit
                         : rule.measure == plan::Measure::kP99        ? 0.01
                         : rule.measure == plan::Measure::kP95        ? 0.05
                                                                      : rule.limit;
    check(c.all > 0 && log_upper_tail(c.bad, c.all, limit) <= std::log(plan_.alpha), 3, decision.at,
          fmt::format("{}, though {} bad of {} are no breach", decision.cause, c.bad, c.all));
  }
}

void Invariants::ticked(Time now, rollout::BasisPoints share, bool silent, bool reachable) {
  const plan::Duration tick = now - std::exchange(last_tick_, now);
  catch_up();
  // What can't be reached can't be set: the balancer keeps what it has.
  if (reachable) {
    check(share <= most(), 1, now,
          fmt::format("{} on the candidate where {} is allowed", plan::share_text(share),
                      plan::share_text(most())));
    check(!stopped_ || share == 0, 4, now, "learners on the candidate after a roll back");
  }

  const rollout::PhaseView phase = rollout::phase_view(plan_, phase_);
  const bool guarded = !stopped_ && window_ && allowed_ > 0;
  if (silent && guarded && share > 0) {
    if (!silent_since_) silent_since_ = now - tick;
    lost_ += tick;
    // Seen at the second missing slot; counted from the first.
    check(now - *silent_since_ < phase.breached_for() + 3 * plan_.slot, 6, now,
          "no telemetry for longer than a breach may last, and no roll back");
  } else {
    silent_since_.reset();
  }
  // In a long step the sliding window is not told apart: the controller sees none either.
  const bool judged = running_ && guarded && !silent && tick <= 4 * plan_.slot && window_ != now &&
                      broken_since_.size() == phase.criteria().size();
  bool reads_levels = false;
  for (std::size_t i = 0; i < broken_since_.size(); ++i) {
    const plan::Rule& rule = phase.criteria()[i];
    const bool due = judged && now >= *window_ + rule.from;
    reads_levels |= due && plan::kind_of(rule.measure) == plan::Kind::kGauge;
    if (!due || !plainly_broken(rule, recent(rule, now))) {
      broken_since_[i].reset();
      continue;
    }
    if (!broken_since_[i]) broken_since_[i] = now;
    check(now - *broken_since_[i] < phase.patience(rule) + plan_.slot, 3, now,
          fmt::format("{} is plainly broken for longer than {}, and no roll back", rule.text,
                      config::format_duration(phase.patience(rule))));
  }
  if (reads_levels && levels_at_) {
    const Time since = std::max({*levels_at_, *window_, blind_});
    check(now - since <= plan_.window + phase.breached_for() + 3 * plan_.slot, 6, now,
          "no level is read for longer than a breach may last, and no roll back");
  }
  // A long step of the rehearsal sees no more than silence does.
  if (silent || !reachable || tick > 4 * plan_.slot) blind_ = now;
  if (stopped_ && !quiet_) {
    // From when it can be seen at all.
    const Time since = std::max(*stopped_at_, blind_);
    check(now - since <= std::chrono::seconds(60) + 4 * plan_.slot, 3, now,
          "a roll back is not seen to be quiet");
  }
}

}  // namespace covey::rehearsal

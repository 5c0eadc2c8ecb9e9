#include "rehearsal/invariants.h"

#include <algorithm>

#include <fmt/format.h>

#include "rehearsal/world.h"
#include "rollout/gate.h"

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

void Invariants::began() {
  read_back_ = false;
}

void Invariants::share_set(Time now, rollout::BasisPoints share) {
  // The decision that allows it is in the journal before the act.
  while (journal_ != nullptr && seen_decisions_ < journal_->decisions.size()) {
    follow(journal_->decisions[seen_decisions_++]);
  }
  check(read_back_, 5, now, "the share is set before the balancer's own was read back");
  check(share <= allowed_, 1, now,
        fmt::format("{} set where {} is allowed", plan::share_text(share),
                    plan::share_text(allowed_)));
  check(!stopped_ || share == 0, 4, now,
        fmt::format("{} set after a roll back", plan::share_text(share)));
}

void Invariants::performed(const rollout::Effect& effect) {
  check(journal_ != nullptr && journal_->holds(effect.id), 7, last_tick_,
        fmt::format("effect {} is not in the journal", effect.id));
  check(!effect.cause.empty(), 7, last_tick_, fmt::format("effect {} has no cause", effect.id));
}

void Invariants::approved(const std::string& stage, const std::string& role) {
  approvals_[stage].insert(role);
}
void Invariants::overridden(const std::string& stage) {
  overridden_.insert(stage);
}

void Invariants::follow(const rollout::Decision& decision) {
  if (decision.what == "open") {
    phase_ = index_of(plan_, decision.phase);
    running_ = true;
    window_.reset();
    lost_ = {};
    breached_.assign(rollout::phase_view(plan_, phase_).criteria().size(), {});
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
      window_ = decision.at;  // its share is there already
    }
  } else if (decision.what == "begin") {
    window_ = decision.at;
    lost_ = {};
  } else if (decision.what == "pass") {
    passed(decision);
    running_ = false;
  } else if (decision.what == "fail") {
    running_ = false;
    allowed_ = phase_ < plan_.stages.size() ? plan_.stages[phase_].fail_share : 0;
  } else if (decision.what == "roll_back") {
    running_ = false;
    stopped_ = true;
    verified_ = false;
    stopped_at_ = decision.at;
    allowed_ = 0;
  } else if (decision.what == "verified") {
    verified_ = true;
    check(last_.candidate_requests == 0, 3, decision.at,
          "a roll back is verified while the candidate receives requests");
  } else if (decision.what == "start") {
    stopped_ = false;
    stopped_at_.reset();
    approvals_.clear();
    overridden_.clear();
    const std::size_t from = index_of(plan_, decision.phase);
    allowed_ = from == 0 ? 0 : rollout::phase_share(plan_, from - 1);
  } else if (decision.what == "continue") {
    check(!silent_since_, 6, decision.at, "a checkpoint goes on without telemetry");
  }
}

void Invariants::passed(const rollout::Decision& decision) {
  const rollout::PhaseView phase = rollout::phase_view(plan_, phase_);
  check(!silent_since_, 6, decision.at, decision.phase + " passes without telemetry");
  check(window_ && decision.at - *window_ >= phase.length() + lost_, 2, decision.at,
        decision.phase + " passes before its window is over");
  check(last_.criteria.size() == phase.criteria().size(), 2, decision.at,
        decision.phase + " passes on another phase's telemetry");
  if (last_.criteria.size() != phase.criteria().size()) return;
  const rollout::GateLevels levels{plan_.alpha, plan_.margin,
                                   std::max<std::size_t>(1, phase.criteria().size())};
  for (std::size_t i = 0; i < phase.criteria().size(); ++i) {
    const plan::Rule& rule = phase.criteria()[i];
    if (plan::kind_of(rule.measure) == plan::Kind::kCount) continue;
    const auto evidence = rollout::judge(rule, last_.criteria[i].window, levels);
    check(evidence.verdict == stats::Verdict::kPass, 2, decision.at,
          fmt::format("{} passes though {} is {}: {}", decision.phase, rule.text,
                      stats::name(evidence.verdict), evidence.text));
  }
}

void Invariants::ticked(Time now, const rollout::Telemetry& telemetry, rollout::BasisPoints share,
                        bool silent, bool reachable) {
  last_ = telemetry;
  const plan::Duration tick = now - std::exchange(last_tick_, now);
  while (journal_ != nullptr && seen_decisions_ < journal_->decisions.size()) {
    follow(journal_->decisions[seen_decisions_++]);
  }
  // What can't be reached can't be set: the balancer keeps what it has.
  if (reachable) {
    check(share <= allowed_, 1, now,
          fmt::format("{} on the candidate where {} is allowed", plan::share_text(share),
                      plan::share_text(allowed_)));
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
  const bool judged = running_ && guarded && !silent &&
                      telemetry.criteria.size() == phase.criteria().size() &&
                      breached_.size() == phase.criteria().size();
  if (judged) {
    const rollout::GateLevels levels{plan_.alpha, plan_.margin,
                                     std::max<std::size_t>(1, phase.criteria().size())};
    for (std::size_t i = 0; i < phase.criteria().size(); ++i) {
      const plan::Rule& rule = phase.criteria()[i];
      if (now < *window_ + rule.from ||
          !rollout::breached(rule, telemetry.criteria[i].recent, levels)) {
        breached_[i].reset();
        continue;
      }
      if (!breached_[i]) breached_[i] = now;
      check(now - *breached_[i] < phase.patience(rule) + plan_.slot, 3, now,
            fmt::format("{} is breached for longer than {}", rule.text, rule.text));
    }
  }
  // A long step of the rehearsal sees no more than silence does.
  if (silent || !reachable || tick > 4 * plan_.slot) blind_ = now;
  if (stopped_ && !verified_) {
    // From when it can be seen at all.
    const Time since = std::max(*stopped_at_, blind_);
    check(now - since <= std::chrono::seconds(60) + 4 * plan_.slot, 3, now,
          "a roll back is not verified");
  }
}

}  // namespace covey::rehearsal

#include "rollout/driver.h"

#include <deque>

namespace covey::rollout {

Result<std::unique_ptr<Driver>> Driver::open(const plan::Plan& plan, Journal& journal,
                                             Outside& outside, Time now) {
  std::unique_ptr<Driver> out(new Driver(plan, journal, outside));
  out->state_ = journal.base(plan);
  COVEY_TRY_VOID(journal.replay(
      [&](const Input& input) { out->state_ = step(plan, std::move(out->state_), input).state; }));
  // The balancer kept running while nobody watched: what it does is asked before anything is done,
  // and a share that is no longer wanted is replaced, not repeated.
  COVEY_TRY_VOID(out->read_back(now, true));
  const auto undone = out->state_.pending;  // performing changes it
  for (const auto& [id, effect] : undone) {
    if (!out->state_.pending.contains(id)) continue;
    if (const auto outcome = out->perform(effect)) {
      COVEY_TRY_VOID(out->settle({now, *outcome}));
    }
  }
  return out;
}

Result<void> Driver::take(Input input) {
  if (std::holds_alternative<Tick>(input.what)) COVEY_TRY_VOID(read_back(input.at, false));
  return settle(std::move(input));
}

Result<void> Driver::read_back(Time now, bool always) {
  const auto share = outside_.share();
  ReadBack seen;
  if (share) seen.share = *share;
  if (!always && seen.share == state_.seen) return {};
  return settle({now, seen});
}

Result<void> Driver::settle(Input first) {
  std::deque<Input> inputs;
  inputs.push_back(std::move(first));
  while (!inputs.empty()) {
    Entry entry;
    entry.input = std::move(inputs.front());
    inputs.pop_front();
    Step done = step(plan_, std::move(state_), entry.input);
    state_ = std::move(done.state);
    entry.effects = std::move(done.effects);
    entry.decisions = std::move(done.decisions);
    COVEY_TRY_VOID(journal_.append(entry));
    for (const Effect& effect : entry.effects) {
      // An earlier one of the same step may have made it void.
      if (!state_.pending.contains(effect.id)) continue;
      if (auto outcome = perform(effect)) inputs.push_back({entry.input.at, std::move(*outcome)});
    }
  }
  return {};
}

std::optional<Outcome> Driver::perform(const Effect& effect) {
  Result<void> done;
  if (const auto* set = std::get_if<SetShare>(&effect.act)) {
    done = outside_.set_share(set->share, effect);
  } else if (const auto* check = std::get_if<RunCheck>(&effect.act)) {
    outside_.run_check(*check, effect);
    return std::nullopt;
  } else if (const auto* notify = std::get_if<Notify>(&effect.act)) {
    done = outside_.notify(*notify, effect);
  } else {
    done = outside_.write_report(std::get<WriteReport>(effect.act), effect);
  }
  return Outcome{effect.id, done.has_value(), done ? "" : done.error().message};
}

}  // namespace covey::rollout

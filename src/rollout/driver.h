#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "rollout/state.h"

namespace covey::rollout {

/// What one step read, asked for and decided: the journal's record.
struct Entry {
  Input input;
  std::vector<Effect> effects;
  std::vector<Decision> decisions;
};

/// The controller's memory: inputs in the order they were taken. control/ keeps it on disk.
class Journal {
 public:
  virtual ~Journal() = default;
  /// Returns once the entry would survive a power cut. An error is final: nothing is done of what
  /// the entry asks for, and the journal must be opened again.
  virtual Result<void> append(const Entry& entry) = 0;
  /// State to begin the replay with; a journal that keeps snapshots answers a later one.
  virtual State base(const plan::Plan& plan) const { return initial(plan); }
  /// Every input since base(), oldest first.
  virtual Result<void> replay(const std::function<void(const Input&)>& visit) const = 0;
};

/// What the controller acts upon. Every act may come twice, with the same effect id.
class Outside {
 public:
  virtual ~Outside() = default;
  /// The balancer's real share, read back. kRetryLater: it does not answer.
  virtual Result<BasisPoints> share() = 0;
  virtual Result<void> set_share(BasisPoints share, const Effect& effect) = 0;
  /// Answers later by a CheckResult.
  virtual void run_check(const RunCheck& check, const Effect& effect) = 0;
  /// Hands over to a queue of its own; retries are that queue's affair.
  virtual Result<void> notify(const Notify& notify, const Effect& effect) = 0;
  virtual Result<void> write_report(const WriteReport& report, const Effect& effect) = 0;
};

/// Runs the core: input and intended effects are durable before anything is done, and what came of
/// it is an input again. After a crash: replay, read the balancer back, do what was left undone.
/// One thread.
class Driver {
 public:
  /// Replays the journal. What it borrows must outlive it.
  static Result<std::unique_ptr<Driver>> open(const plan::Plan& plan, Journal& journal,
                                              Outside& outside, Time now);

  /// Takes one input and does what it asks for. A tick reads the balancer's share back first. An
  /// error is final: open() anew.
  Result<void> take(Input input);

  const State& state() const { return state_; }

 private:
  Driver(const plan::Plan& plan, Journal& journal, Outside& outside)
      : plan_(plan), journal_(journal), outside_(outside) {}
  Result<void> read_back(Time now, bool always);
  Result<void> settle(Input input);
  /// Nothing for effects that answer by themselves.
  std::optional<Outcome> perform(const Effect& effect);

  const plan::Plan& plan_;
  Journal& journal_;
  Outside& outside_;
  State state_;
};

}  // namespace covey::rollout

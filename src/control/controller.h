#pragma once

#include <array>
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
#include "control/books.h"
#include "control/journal.h"
#include "control/outbox.h"
#include "rollout/driver.h"
#include "telemetry/collector.h"

namespace covey::control {

/// The balancer, as far as the controller needs it.
class Balancer {
 public:
  virtual ~Balancer() = default;
  virtual Result<plan::BasisPoints> share() = 0;
  virtual Result<void> set_share(plan::BasisPoints share) = 0;
};

/// Pre-flight checks: asked for here, answered by Controller::submit(CheckResult) from elsewhere.
class Checks {
 public:
  virtual ~Checks() = default;
  virtual void run(const std::string& stage, plan::Check check) = 0;
};

/// Hands messages to the channels' queues. Never blocks.
class Channels {
 public:
  virtual ~Channels() = default;
  virtual std::vector<std::string> names() const = 0;
  /// The same note may come again. Whoever took it, or gave it up, calls Controller::gone().
  virtual void post(const Note& note) = 0;
  /// An incident that is still open, for channels on which an alert ends unless it is renewed.
  virtual void renew(const rollout::Notify& notify, Time at) = 0;
};

/// What readers see: made anew after each change, never changed.
struct View {
  std::uint64_t version = 0;
  std::string status;
  std::optional<plan::BasisPoints> share_seen;
};

/// Follows the plan on live traffic: takes slots of telemetry and what people say, runs the core,
/// keeps the journal, and does what the core asks for.
///
/// run() owns everything on one thread; all else may be called from any. Whatever is slow (HTTP,
/// checks, channels) happens elsewhere and comes back as an input.
class Controller final : private rollout::Outside {
 public:
  struct Config {
    std::string reports;  ///< folder; empty: reports are refused with a reason
    /// What is wrong with the source of telemetry, in words, for the status; empty: nothing. Called
    /// on run()'s thread.
    std::function<std::string()> telemetry_trouble = {};
    std::size_t inbox_max = 10'000;      ///< then submit() answers kFull
    std::size_t decisions_max = 10'000;  ///< kept for readers; the journal has all
  };
  /// Everything borrowed must outlive it.
  Controller(const plan::Plan& plan, Config config, Journal& journal, Balancer& balancer,
             Channels& channels, Checks& checks, const Clock& clock);
  ~Controller() override;

  /// Replays the journal and reads the balancer back. Before run().
  Result<void> recover();
  /// Until stop(). An error is final: the process must be started again, and replays.
  Result<void> run();
  void stop();
  /// Instead of run(), on its thread: does what has been posted so far.
  Result<void> settle();

  using Decisions = std::vector<rollout::Decision>;
  using Answer = std::function<void(const Result<Decisions>&)>;
  /// `answer` is called on run()'s thread, once, with what was decided. kFull at once.
  void submit(rollout::What what, Answer answer = {});
  /// The channel took this effect's message, or gave it up: it need not be sent after a restart.
  void gone(std::string channel, std::uint64_t effect);
  /// Resolves the open incident of this key, if there is one.
  void resolve(std::string key, std::string by);
  /// Slots come in order, each `plan.slot` after the last; the newest makes the core look.
  void add_slots(std::vector<telemetry::ClosedSlot> slots);
  /// Levels of an arm's machine; they count in the next slot.
  void add_levels(telemetry::Arm arm, const telemetry::Levels& levels);
  /// Calls `read` on run()'s thread with the books as they are; or at once an error: kFull, too
  /// many wait; kRetryLater, it is stopping.
  Result<void> with_books(std::function<void(const Books&)> read);

  std::shared_ptr<const View> view() const;
  const telemetry::Shape& shape() const { return shape_; }

 private:
  struct Said {
    rollout::What what;
    Answer answer;
  };
  using Post = std::function<Result<void>()>;
  bool post(Post post);
  Result<void> room() const;
  Result<void> take(rollout::What what, Decisions* decided);
  Result<void> look(std::vector<telemetry::ClosedSlot> slots);
  Books books() const;
  void publish();
  Time time_now() const;
  void renew_alerts();

  // rollout::Outside
  Result<rollout::BasisPoints> share() override;
  Result<void> set_share(rollout::BasisPoints share, const rollout::Effect& effect) override;
  void run_check(const rollout::RunCheck& check, const rollout::Effect& effect) override;
  Result<void> notify(const rollout::Notify& notify, const rollout::Effect& effect) override;
  Result<void> write_report(const rollout::WriteReport& report,
                            const rollout::Effect& effect) override;

  const plan::Plan& plan_;
  Config config_;
  Journal& journal_;
  Balancer& balancer_;
  Channels& channels_;
  Checks& checks_;
  const Clock& clock_;
  telemetry::Shape shape_;
  telemetry::History history_;
  telemetry::Latencies latencies_;
  std::array<telemetry::Levels, telemetry::kArms> levels_ = {};
  Outbox outbox_;
  std::map<std::uint64_t, Time> renewed_;  ///< open incidents, when they were last told again
  std::unique_ptr<rollout::Driver> driver_;
  rollout::State nothing_;  ///< shown before recover()
  std::deque<Json> decisions_;
  std::optional<Error> failed_;   ///< the journal's; then nothing is taken in any more
  Decisions* decided_ = nullptr;  ///< collects what the input under way decides

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Post> inbox_;
  std::shared_ptr<const View> view_;
  bool stopping_ = false;
};

}  // namespace covey::control

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "base/result.h"
#include "base/time.h"
#include "events/batch.h"
#include "learners/traits.h"

namespace covey::learners {

/// A learner's place in one engine, dense per shard. Stable while the engine lives.
enum class LearnerRef : std::uint64_t {};

/// All that is known about one learner as of an instant.
struct LearnerFacts {
  std::string learner;
  LearnerState state = LearnerState::kDormant;
  Traits traits;  ///< zeros when dormant
  double domain_entropy_bits = 0;
  bool specialist = false;
  std::uint32_t practice_events = 0;
  std::uint32_t feedback_received = 0;
  std::uint32_t feedback_acted_on = 0;
  std::optional<std::int32_t> first_active_day;  ///< days since 1970; none before any activity
  std::optional<std::int32_t> last_active_day;
  std::vector<std::pair<std::string, std::string>> attributes;  ///< sorted by key
};

/// Traits of every learner that has some, as columns: what clustering reads.
struct TraitColumns {
  Time as_of{};
  std::vector<LearnerRef> learner;                ///< only kNew and kActive learners
  std::array<std::vector<float>, kTraits> trait;  ///< each learner.size() long
  std::vector<std::uint8_t> clusterable;          ///< 1: kActive, may join a cohort
  std::size_t size() const { return learner.size(); }
};

struct MemoryUse {
  std::size_t learners = 0;
  std::size_t bytes = 0;  ///< everything the engine holds of learners, slack included
  /// Kept from one apply() to the next, some tens of MiB at most; the only figure here that depends
  /// on the number of threads and their pace.
  std::size_t rooms = 0;
  // Of which, where an engine tells them apart:
  std::size_t rows = 0;        ///< a learner's sums
  std::size_t names = 0;       ///< learners' ids
  std::size_t index = 0;       ///< from an id to its row
  std::size_t blocks = 0;      ///< capabilities and domains of learners
  std::size_t attributes = 0;  ///< of learners
};

/// Learners and their traits, fed by events in any order: late, early, shuffled.
///
/// Two of these exist and must agree to 1e-6: Baseline keeps the whole history and computes what
/// docs/traits.md says, word for word; Fast keeps what is needed and updates it per event.
/// Duplicates are the log's business: what is applied counts.
///
/// One thread calls apply(); any number may call the const members meanwhile.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;

  /// Folds the events of all batches. The work is split over `parallel` by learner, and each
  /// learner's events are applied in the order given, so the width changes no bit of the state.
  virtual void apply(std::span<const events::Batch* const> batches, Parallel& parallel) = 0;

  // Exact for every `as_of` at or after the latest event applied; the caller sees to that.

  /// Nothing if the learner was never heard of.
  virtual std::optional<LearnerFacts> find(std::string_view learner, Time as_of) const = 0;
  /// In an order that depends on the events alone. O(learners).
  virtual TraitColumns traits(Time as_of, Parallel& parallel) const = 0;
  /// Facts of every learner, dormant ones too, in the same order as traits().
  virtual void visit(Time as_of, const std::function<void(const LearnerFacts&)>& see) const = 0;
  virtual std::string learner(LearnerRef ref) const = 0;

  /// Learners ever heard of.
  virtual std::size_t learners() const = 0;
  virtual MemoryUse memory() const = 0;

  /// Writes the whole state as chunks of bytes, or nothing where an engine keeps no snapshot
  /// (then recovery replays the log). Called by the thread that calls apply().
  virtual bool save(const std::function<Result<void>(std::string_view)>& sink,
                    Result<void>& status) const = 0;
  /// Takes back what save() wrote into a fresh engine. kCorrupt: unusable, start afresh and
  /// replay the log. `next` is called from any thread of `parallel`, but by one at a time.
  virtual Result<void> load(const std::function<Result<std::optional<std::string>>()>& next,
                            Parallel& parallel) = 0;
};

std::unique_ptr<Engine> make_baseline();
std::unique_ptr<Engine> make_fast();

}  // namespace covey::learners

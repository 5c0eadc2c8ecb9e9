#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "events/batch.h"
#include "experiment/definition.h"

namespace covey::experiment {

/// When the running interval is drawn: up to this many instants between start and now.
inline constexpr std::size_t kInstants = 28;

/// The learners of an experiment and what each of them did, gathered in two passes over all
/// events, which may come in any order: the first finds when each learner was exposed, the second
/// adds up what lies within each one's windows. Nothing depends on the order of events but the last
/// bits of sums.
///
/// Memory is bounded by the learners exposed, not by the events: about
/// 60 + 16 metrics + 10 segments bytes each, and the first primary metric's steps over time.
class Collection {
 public:
  /// Events after `as_of` are as if they had not happened; nothing: the newest event decides.
  Collection(const Experiment& experiment, std::optional<Time> as_of);
  ~Collection();
  Collection(const Collection&) = delete;
  Collection& operator=(const Collection&) = delete;

  using Batches = std::span<const events::Batch* const>;
  void find_exposures(Batches batches, Parallel& parallel);
  /// Once find_exposures() has seen every event; sees every event again.
  void add_values(Batches batches, Parallel& parallel);

  /// A metric's numbers of one learner.
  struct Values {
    double y = 0;  ///< the metric, or a ratio's numerator
    double x = 0;  ///< the same before exposure, or a ratio's denominator
  };
  static constexpr std::uint16_t kUnknown = 0;  ///< a segment's value nobody told before exposure

  /// A 64th of the learners, as columns of the same length.
  struct Part {
    std::vector<std::uint8_t> arm;         ///< Arm
    std::vector<std::int64_t> exposed_us;  ///< kNever: seen, but never exposed
    std::vector<Values> values;            ///< learners x metrics
    std::vector<std::uint16_t> segment;    ///< learners x attributes()
    std::vector<std::uint8_t> excluded;
    struct Step {
      std::uint32_t learner;
      std::uint16_t instant;
      double y;
    };
    /// What the first primary metric gained by which instant, by learner and instant; empty of a
    /// ratio.
    std::vector<Step> steps;
  };
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  /// Settles exclusions. Once, when all events have been seen twice.
  void finish(Parallel& parallel);

  std::size_t parts() const;
  const Part& part(std::size_t index) const;
  /// Segments, then attributes that exclude; one column of Part::segment each.
  const std::vector<std::string>& attributes() const;
  /// The values of an attribute by number; [kUnknown] is "unknown".
  const std::vector<std::string>& values_of(std::size_t attribute) const;

  Time as_of() const;                         ///< once find_exposures() has seen every event
  const std::vector<Time>& instants() const;  ///< ascending; the last is as_of() or the end
  std::uint64_t events() const;               ///< seen in a pass
  std::uint64_t other_currency() const;       ///< amounts left out for their currency
  std::size_t bytes() const;                  ///< of memory held

  /// The place among metrics of the first primary one.
  static std::size_t first_primary(const Experiment& experiment);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace covey::experiment

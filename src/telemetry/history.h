#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace covey::telemetry {

using Duration = std::chrono::microseconds;

inline double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

enum class Arm : std::uint8_t { kBaseline, kCandidate };
inline constexpr std::size_t kArms = 2;
std::string_view name(Arm arm);  ///< "baseline", "candidate"

/// What became of a request that was not simply answered. A client's error is the client's: its
/// answer is right.
enum class Fault : std::uint8_t {
  kNone,
  kClientError,  ///< 4xx
  kError500,
  kError502,
  kError503,
  kError504,
  kErrorOther,  ///< another 5xx
  kConnection,  ///< refused, or cut before an answer
  kTimeOut,
  kRetried,  ///< failed at first; another try, or the other arm, answered
};
inline constexpr std::size_t kFaults = 9;  ///< without kNone
std::string_view name(Fault fault);        ///< "client_error", "500", ..., "retried"

/// What is told apart: segments, and the latencies requests are counted against. The limits of a
/// plan are counted exactly, so that a gate on P99 is a statement on counts, not on a histogram.
struct Shape {
  std::vector<std::string> segments;  ///< the last one, "other", takes what names none of them
  std::vector<Duration> slower_than;  ///< ascending

  static Shape of(std::vector<std::string> segments, std::vector<Duration> slower_than);
  /// Place of a latency limit. COVEY_CHECKs that it is one.
  std::size_t limit(Duration slower) const;
};

/// Requests of one arm and segment.
struct Counts {
  std::uint64_t sent = 0;
  std::uint64_t unanswered = 0;           ///< connection failed, timed out, refused by the balancer
  std::uint64_t wrong = 0;                ///< answered with 5xx or failing validation
  std::span<const std::uint64_t> slow;    ///< per limit: answered, but slower
  std::span<const std::uint64_t> bad;     ///< per limit: unanswered, wrong or slow
  std::span<const std::uint64_t> faults;  ///< per Fault but kNone; 0 where the source tells none

  std::uint64_t answered() const { return sent - unanswered; }
};

/// Levels of one arm's machines: sums over samples, so that means can be taken of any window.
struct Levels {
  static constexpr std::size_t kNumbers = 12;
  std::uint64_t samples = 0;
  std::uint64_t cpu = 0, memory = 0, network = 0;  ///< used parts per million, summed
  std::uint64_t cache_hits = 0, lookups = 0;
  std::uint64_t network_samples = 0;  ///< apart: few machines know what their link can carry
  /// What the arm's learners did, as it came in: paid, in millionths of the plan's currency, and
  /// practised.
  std::uint64_t revenue = 0, practice = 0;
  std::uint64_t activity_samples = 0;  ///< readings of those two
  /// Complete slots in which the arm was asked: with an answer, and with none at all.
  std::uint64_t slots_up = 0, slots_down = 0;

  void operator+=(const Levels& other);
};

/// Sums over a stretch of time: a slot as it comes in, or what History answers.
class Sums {
 public:
  explicit Sums(const Shape& shape);

  Counts counts(Arm arm, std::size_t segment) const;
  Counts counts(Arm arm) const;  ///< over segments; its spans live as long as this object
  Levels levels(Arm arm) const;
  std::size_t segments() const { return segments_; }
  /// Time within the stretch of which nothing is known.
  Duration missing{};

  /// One request. `latency` is looked at only if it was answered.
  void add(Arm arm, std::size_t segment, bool answered, bool right, Duration latency,
           std::span<const Duration> limits, Fault fault = Fault::kNone);
  /// Many at once, for a simulated world: `slow` and `bad` per limit.
  void add(Arm arm, std::size_t segment, std::uint64_t sent, std::uint64_t unanswered,
           std::uint64_t wrong, std::span<const std::uint64_t> slow,
           std::span<const std::uint64_t> bad);
  void add(Arm arm, const Levels& levels);

  void operator+=(const Sums& other);
  void operator-=(const Sums& other);

  /// All counters in one fixed order, for keeping them. Their number follows from the shape.
  std::span<const std::uint64_t> numbers() const { return sums_; }
  std::span<std::uint64_t> numbers() { return sums_; }

 private:
  friend class History;
  std::uint64_t* cell(Arm arm, std::size_t segment);
  const std::uint64_t* cell(Arm arm, std::size_t segment) const;
  std::size_t counters() const;  ///< of a cell
  std::size_t segments_, limits_;
  std::vector<std::uint64_t> sums_;  ///< (arm × segment × counters), then (arm × levels)
  mutable std::array<std::vector<std::uint64_t>, kArms> over_segments_;
};

/// How long each grain is kept.
struct Retention {
  Duration fine = std::chrono::hours(1);      ///< every slot
  Duration minutes = std::chrono::hours(48);  ///< a boundary a minute; a boundary an hour beyond
};

/// What was measured since the plan began, in slots.
///
/// Keeps running totals at slot boundaries, so the sums of any window are one subtraction, and
/// older time is merged by forgetting boundaries. Memory: 8 bytes × counters × boundaries; with
/// 9 segments and 3 limits about 13 MB for a plan of 17 days.
///
/// A slot that never came, or came marked incomplete, is missing time: it is never read as zero
/// requests. One thread.
class History {
 public:
  History(Shape shape, Duration slot, Retention retention = {});

  const Shape& shape() const { return shape_; }
  Duration slot() const { return slot_; }

  /// Adds the slot that ends at `end`, a multiple of the slot's length after the last; what lies
  /// between is missing. Slots at or before the last end are dropped (they were counted already).
  /// @param complete  false: lines were lost, so its counts stand but its time is missing
  /// @param slots     how many it covers: more than one where nobody needs the grain
  void add(Time end, const Sums& slot, bool complete, std::int64_t slots = 1);

  /// Sums of (from, to], narrowed to kept boundaries: `from` is rounded up and `to` down, so
  /// nothing from outside comes in. Nothing before the first slot. Time before the first slot and
  /// after the last counts as missing.
  std::optional<Sums> between(Time from, Time to) const;
  /// What between() answers for: (from, to] narrowed. Its length less `missing` is known time.
  struct Stretch {
    Time from, to;
  };
  std::optional<Stretch> narrowed(Time from, Time to) const;
  /// How far apart the boundaries at and after `from` are that are kept for sure.
  Duration grain(Time from) const;
  std::optional<Time> last() const;           ///< end of the newest slot
  std::optional<Time> last_complete() const;  ///< of the newest complete one
  std::size_t boundaries() const;

 private:
  struct Boundary {
    Time at;
    Sums total;
  };
  void merge();
  const Boundary* at_or_before(Time t) const;
  const Boundary* at_or_after(Time t) const;

  Shape shape_;
  Duration slot_;
  Retention retention_;
  /// Oldest first within each, and each older than the next: hours, minutes, slots. The newest
  /// boundary is always in the last.
  std::array<std::deque<Boundary>, 3> grains_;
  Time first_{};
  std::optional<Time> last_complete_;
};

}  // namespace covey::telemetry

#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/runs.h"
#include "base/clock.h"
#include "base/parallel.h"
#include "base/result.h"
#include "cohorts/discovery.h"
#include "events/codec.h"
#include "experiment/assignment.h"
#include "learners/engine.h"
#include "log/log.h"

namespace covey::analyzer {

struct Limits {
  /// Batches waiting to be parsed, as text, and to be stored.
  std::size_t queue_bytes_max = std::size_t{256} << 20;
  std::size_t group_bytes_max = std::size_t{64} << 20;  ///< stored with one fsync
  std::size_t memory_bytes_max = 0;          ///< engine + log ceiling; 0: none. Above it: kFull
  std::uint64_t quarantine_max = 1'000'000;  ///< rows kept; beyond it ingest of bad rows is kFull
  /// A snapshot is taken after this many events since the last one; with millions of learners,
  /// after as many for each million.
  std::uint64_t snapshot_events = 5'000'000;
  std::vector<std::string> validate() const;
};

/// What became of one submission. rows = accepted + duplicates + rejected.
struct Receipt {
  std::uint64_t accepted = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t rejected = 0;
};

/// One learner as a caller sees it.
struct Answer {
  learners::LearnerFacts facts;
  Time as_of{};
  /// The cohort whose centroid is nearest, by the latest discovery; none for new and dormant
  /// learners and before the first discovery.
  std::optional<cohorts::Cohort> cohort;
};

struct Progress {
  std::string_view what;              ///< "snapshot" or "log"
  std::uint64_t done = 0, total = 0;  ///< bytes or records
};

/// Amounts of the purchases stored since the start, by currency. From any thread.
class Revenue {
 public:
  using ByCurrency = std::map<std::string, double, std::less<>>;
  void add(std::string_view currency, double amount);
  ByCurrency all() const;

 private:
  mutable std::mutex mutex_;
  ByCurrency amounts_;
};

/// What learners did since the start, by the balancer's bucket (experiment::bucket with
/// kTrafficSeed): so that whoever knows the split can tell the arms' learners apart, whichever
/// service their events came to. From any thread.
///
/// Memory: 80 kB, and as much for each of the first 16 currencies; amounts in others are not told
/// apart.
class Activity {
 public:
  static constexpr std::uint32_t kBuckets = experiment::kBuckets;
  struct Sums {
    std::uint64_t practice = 0;
    Revenue::ByCurrency revenue;
  };
  void practised(std::uint32_t bucket) {
    practice_[bucket].fetch_add(1, std::memory_order_relaxed);
  }
  void purchased(std::uint32_t bucket, std::string_view currency, double amount);
  /// Of the buckets in [begin, end). O(end - begin) for each currency.
  Sums of(std::uint32_t begin, std::uint32_t end) const;

 private:
  std::vector<std::atomic<std::uint64_t>> practice_ =
      std::vector<std::atomic<std::uint64_t>>(kBuckets);
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<double>, std::less<>> revenue_;
};

struct Counters {
  std::atomic<std::uint64_t> accepted{0}, duplicates{0}, rejected{0}, groups{0}, refused{0};
  std::atomic<std::uint64_t> queued_bytes{0};
  std::atomic<std::int64_t> newest_event_us{0};
  std::atomic<std::uint64_t> snapshots{0}, snapshot_failures{0};
  std::atomic<std::uint64_t> practice{0};  ///< practice events stored
  Revenue revenue;
  Activity activity;
};

/// The one door to the analyzer: events in, durable; traits and cohorts out.
///
/// Hides the order of things: queue -> log (one fsync a group) -> engine -> acknowledgement;
/// snapshots; recovery; which run of discovery is published. Threads: place(), submit(), find() and
/// the other const members from anywhere; run_ingest() on one thread of its own; discover() on any
/// one thread at a time (a second caller gets kRetryLater). find() never waits for either.
class Analyzer {
 public:
  struct Config {
    std::string engine = "fast";  ///< or "baseline"
    std::optional<Time> as_of;    ///< pins T; none: the clock
    Limits limits;
    bool use_snapshot = true;
  };

  /// Recovers: snapshot, then the log behind it. Ports must outlive the analyzer. `report` may come
  /// from any thread of `parallel`, one at a time.
  static Result<std::unique_ptr<Analyzer>> open(const Config& config, log::Log& log,
                                                const Clock& clock, Parallel& parallel,
                                                const std::function<void(const Progress&)>& report);
  ~Analyzer();

  /// Queues parsed rows. `done` is called once, on the ingest thread, after everything accepted is
  /// durable and visible to find(). Rejected rows go to the quarantine in the same atomic step.
  /// kFull / kRetryLater: the queue or memory is at its limit, nothing was taken, try again later.
  /// `erases` are keys of the store that go in the same step (replayed quarantine entries).
  Result<void> submit(events::Parsed parsed, std::function<void(Result<Receipt>)> done,
                      std::vector<std::string> erases = {});

  /// A place in the queue for rows that are still to be parsed: what goes away without them frees
  /// it.
  class Place {
   public:
    Place(Place&&) noexcept;
    Place& operator=(Place&&) noexcept;
    ~Place();

   private:
    friend class Analyzer;
    struct Held;
    explicit Place(std::unique_ptr<Held> held);
    std::unique_ptr<Held> held_;
  };
  /// Counted as `bytes`, and as old, as if they were queued. kFull / kRetryLater: as of submit().
  /// No place may outlive the analyzer.
  Result<Place> place(std::size_t bytes);
  /// Queues rows in their place. kRetryLater: they take more than that, and there is no room for
  /// it.
  Result<void> submit(Place place, events::Parsed parsed, std::function<void(Result<Receipt>)> done,
                      std::vector<std::string> erases = {});

  /// Stores and folds what is queued; returns when nothing is and stop() was called. Takes
  /// snapshots on its way. An error: the log can't be written to at all; what is queued and what
  /// is submitted later is answered with it.
  Result<void> run_ingest();
  /// Whether run_ingest() stores what comes at once; before that it waits in the queue.
  bool takes_events() const;
  /// No further submit() is taken; run_ingest() finishes what is queued, then returns.
  void stop();

  /// Pins T at or after the newest event folded. Before run_ingest() and look-ups begin.
  void pin(Time as_of);
  /// T of every answer: pinned, or the clock's now.
  Time as_of() const;
  /// The engine and latest discovery answer; never waits. Nothing: never heard of the learner.
  std::optional<Answer> find(std::string_view learner) const;

  /// Runs a discovery as of as_of() and publishes it. `remember` stores it, so that the ids of
  /// the next run, in this process or another, match.
  Result<std::shared_ptr<const cohorts::Discovery>> discover(const cohorts::Options& options,
                                                             Parallel& parallel, bool remember);
  /// The last kRunsKept runs that were remembered, oldest first, those of earlier processes too; of
  /// this one once they are durable. Never null.
  std::shared_ptr<const std::vector<PastRun>> runs() const;
  /// The latest published run; null before the first.
  std::shared_ptr<const cohorts::Discovery> discovery() const;
  /// Ids of a cohort's learners, as of its discovery, from index `from` on, at most `limit`.
  /// kNotFound: no such cohort in this run.
  Result<std::vector<std::string>> cohort_learners(const cohorts::Discovery& run,
                                                   std::uint32_t cohort_id, std::size_t from,
                                                   std::size_t limit) const;

  /// Writes a snapshot now. Only when run_ingest() is not running.
  Result<void> snapshot();

  const learners::Engine& engine() const;
  const log::Log& log() const;
  const Counters& counters() const;
  /// Age of the oldest submission that is not acknowledged yet, waiting or being stored; 0 when
  /// there is none. Grows while the disk hangs, which a figure of finished groups could not.
  std::chrono::nanoseconds ingest_lag() const;
  /// Instant after which a late-arriving event is refused: the clock + 5 min.
  Time latest_acceptable() const;

 private:
  struct State;
  explicit Analyzer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace covey::analyzer

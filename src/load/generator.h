#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/parallel.h"
#include "base/random.h"
#include "base/result.h"
#include "http/client.h"
#include "load/profile.h"
#include "load/requests.h"
#include "load/tally.h"

namespace covey::load {

/// One kind of request, and how it is sent.
struct Lane {
  double per_second = 0;  ///< arrivals, where the profile's factor is 1; ingest: batches. 0: none
  /// A closed loop: each connection sends again as soon as it has its answer, at no rate of its
  /// own. Says how much a server carries; its latencies hide every stall but the answers in flight.
  bool one_after_another = false;
  std::size_t connections = 0;     ///< over all threads
  std::size_t pipeline = 1;        ///< requests written ahead on a connection; 1: none
  std::uint64_t requests_max = 0;  ///< 0: no end but the load's
  bool used() const { return per_second > 0 || one_after_another; }
};

struct Settings {
  http::Url target;
  std::chrono::microseconds duration{};  ///< 0: until stop(), or until requests_max are answered
  std::array<Lane, kKinds> lanes{};
  Profile profile;
  /// For an answer, counted from when the request was due: then its learner has gone.
  std::chrono::milliseconds patience{10'000};
  std::string path = "/v1/learners/{learner}";  ///< of look-ups
  std::string expect;  ///< text that a look-up's answer has where it is right; empty: any
  Learners learners;
  Batches::Spec batches;
  std::uint64_t seed = 1;
  /// Threads send one kind each, as far as there are threads: where a batch of events takes a tenth
  /// of a millisecond to write, a look-up that is due does not wait for it. Otherwise each thread
  /// has its share of all.
  bool kinds_apart = false;

  Lane& lane(Kind kind) { return lanes[static_cast<std::size_t>(kind)]; }
  const Lane& lane(Kind kind) const { return lanes[static_cast<std::size_t>(kind)]; }
  std::vector<std::string> validate() const;
};

/// Which part of a kind's connections and rate a thread has: part `number` of `of`; of 0, none.
struct Part {
  unsigned number = 0, of = 0;
};
/// `kind` indexes Settings::lanes, and is used; threads count from 0.
Part part_of(const Settings& settings, std::size_t kind, unsigned thread, unsigned threads);

/// What one thread of the generator had to do.
struct ThreadUse {
  double cpu = 0;             ///< processor time over the load's length
  double busiest_second = 0;  ///< the same of the second that had most
};

struct Totals {
  std::array<Tally, kKinds> kinds;
  std::vector<ThreadUse> threads;
  std::chrono::duration<double> took{};
  std::uint64_t connects = 0;  ///< connections opened, those reopened too
  const Tally& of(Kind kind) const { return kinds[static_cast<std::size_t>(kind)]; }
  Tally all() const;
  /// Adds another thread's.
  void operator+=(const Totals& other);
  /// Adds those of a load by as many threads that began `later`.
  void append(const Totals& other, std::chrono::seconds later);
};

/// What a thread has used of a processor so far: of the calling one.
using ThreadCpu = std::function<std::chrono::nanoseconds()>;

/// A load on one service: open-loop, arrivals are a Poisson process of the given rate, whatever the
/// server does.
///
/// Requests wait for a free connection in order of arrival, and their waiting counts. Each thread
/// has its part of the connections and of the rate (part_of()). One thread calls run(); stop(),
/// sent() and failed() may be called from any.
class Generator {
 public:
  /// kRejected: every fault of the settings. `cpu` may be empty: then nothing is known of it.
  static Result<Generator> make(Settings settings, const Clock& clock, ThreadCpu cpu = {});
  Generator(Generator&& other) noexcept;  ///< before prepare() and run() only
  ~Generator();

  /// Makes the events that run() on as many threads will send; run() does it itself otherwise.
  void prepare(Parallel& threads);
  /// Runs on all of `threads` at once, and returns when the last answer is in. Once.
  Totals run(Parallel& threads);
  Totals run();  ///< on the calling thread

  /// The batches of events that prepare() made.
  void planned(const Batches::Visit& visit) const;
  /// All that run() sent, and what became of each: what a service must know after any crash.
  void given(const Batches::Visit& visit);

  void stop() { stopping_ = true; }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t failed() const { return failed_; }
  const Settings& settings() const { return settings_; }

 private:
  Generator(Settings settings, const Clock& clock, ThreadCpu cpu);
  class Worker;
  Settings settings_;
  const Clock& clock_;
  ThreadCpu cpu_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> sent_{0}, failed_{0};
  std::array<std::atomic<std::uint64_t>, kKinds> taken_{};  // of requests_max
  struct Server;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

/// Why figures of a load may be the generator's own rather than the server's; empty: no sign of it.
struct OwnLimit {
  std::string cause;   ///< "late", "processor", "connections"
  std::string detail;  ///< a sentence with its figures
};
std::vector<OwnLimit> own_limits(const Settings& settings, const Totals& totals);

}  // namespace covey::load

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "http/client.h"
#include "load/tally.h"
#include "population/population.h"

namespace covey::load {

/// Whom look-ups ask for.
struct Learners {
  std::vector<std::string> names;  ///< these; or, where there are none,
  std::uint32_t simulated = 0;     ///< as many of population::Population
  /// A learner's segment, chosen by a hash of the name; sent as X-Segment. None: not sent.
  std::vector<std::string> segments;
  bool any() const { return !names.empty() || simulated > 0; }
};

/// Makes the bytes of look-ups.
class LookUps {
 public:
  /// In `path` and `expect` {learner} stands for the learner's name, in the path percent-encoded.
  LookUps(const http::Url& target, std::string_view path, std::string_view expect,
          const Learners& learners, Random random);
  /// Appends a request, and says whom it asks for.
  std::uint32_t append(std::string& out);
  /// Whether the answer to a request for `learner` is right: whether it has the text expected.
  bool right(std::uint32_t learner, std::string_view body) const;

 private:
  std::string name_of(std::uint32_t learner) const;
  const Learners& learners_;
  std::optional<population::Population> names_;  // of simulated learners
  std::vector<std::string> encoded_;
  std::string before_, after_, end_;  // of the path; of the head
  std::string expect_before_, expect_after_;
  bool asks_for_ = false, expects_learner_ = false;
  Random random_;
};

/// Batches of events for POST /v1/events, in order of the events' time, each id new.
///
/// Made beforehand, of whole learners drawn at random from the population. When they have all been
/// sent they come again with other ids, and are counted as that.
class Batches {
 public:
  struct Spec {
    population::Spec population;
    std::uint32_t events = 1'000;      ///< in a batch
    std::uint64_t batches_wanted = 0;  ///< as many are made as fit in `bytes_max`
    std::size_t bytes_max = std::size_t{256} << 20;
    /// Of every id: what tells this run, and this maker in it, from all others.
    std::string id_prefix;
  };
  Batches(const http::Url& target, const Spec& spec, Random random);
  struct Batch {
    std::string_view request;  ///< until the next call
    std::uint32_t events;
    std::uint32_t number;  ///< from 0, of those that next() gave
    bool again;
  };
  Batch next();
  /// What became of a batch that next() gave.
  enum class Fate : std::uint8_t {
    kInDoubt,       ///< sent or about to be, and no answer that says more
    kAcknowledged,  ///< all of it is stored
    kTurnedAway,    ///< 429 or 503: nothing of it is
  };
  void settle(std::uint32_t number, Fate fate) { fates_[number] = fate; }
  using Visit = std::function<void(std::string_view ndjson, std::uint32_t events, Fate fate)>;
  /// Every batch that next() gave, in order.
  void given(const Visit& visit);
  /// Those it will give at first, before any comes again.
  void planned(const Visit& visit) const;
  /// Whether the answer says that all of `events` were new and are stored.
  static bool right(std::uint32_t events, std::string_view body);

 private:
  struct Body {
    std::string request;
    std::vector<std::uint32_t> rounds;  // where in it the round of each id stands
    std::uint32_t lines_at = 0;         // where its head ends
    std::string_view lines() const { return std::string_view(request).substr(lines_at); }
  };
  Body& in_round(std::size_t number);
  std::vector<Body> bodies_;
  std::vector<Fate> fates_;
};

std::string cohorts_request(const http::Url& target);
std::string discover_request(const http::Url& target);
/// Whether `body` is a JSON object with cohorts in it.
bool has_cohorts(std::string_view body);

}  // namespace covey::load

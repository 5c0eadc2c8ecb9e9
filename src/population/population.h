#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "events/event.h"

namespace covey::population {

/// What kind of learner was simulated: hidden from the analyzer, written to the truth file.
enum class Kind : std::uint8_t {
  kFastLearner,       ///< takes up new capabilities, week after week
  kSpecialist,        ///< stays in one domain
  kPowerUser,         ///< comes nearly every day, acts on feedback
  kLongTermRetainer,  ///< uses again what it has
  kGeneralist,        ///< a bit of everything
};
inline constexpr std::size_t kKinds = 5;
std::string_view name(Kind kind);  ///< "Fast Learner", ...

struct Spec {
  std::uint32_t learners = 1'000;
  double events_per_learner = 50;  ///< mean; log-normal over learners (sigma 1), at least 3 each
  std::uint64_t seed = 1;
  std::uint32_t days = 90;  ///< whole UTC days, the last one ending at or before `end`
  Time end = Time(std::chrono::sys_days(std::chrono::year(2024) / 7 / 1));
  std::uint32_t domains = 16;
  std::uint32_t capabilities = 1'000;  ///< over all domains; Zipf within each
  std::string id_prefix{};  ///< of every event id, so that two runs over the same learners differ
  std::vector<std::string> validate() const;  ///< every fault, in words
};

/// One simulated event, 16 bytes; Population turns it into an Event or a line of NDJSON.
struct Drawn {
  std::uint32_t learner = 0;
  std::uint32_t sequence = 0;    ///< within the learner; the id is "<prefix><learner>-<sequence>"
  std::uint32_t second = 0;      ///< since the first day's midnight
  std::uint16_t capability = 0;  ///< practice; else the number of a domain
  std::uint8_t type = 0;         ///< events::EventType, high bit: acted_on
  std::uint8_t percent = 0;      ///< score, the amount's last digits, or the attributes
  events::EventType event_type() const { return static_cast<events::EventType>(type & 0x7f); }
  bool acted_on() const { return (type & 0x80) != 0; }
};
static_assert(sizeof(Drawn) == 16);

/// Simulated learners of five hidden kinds, which differ in how fast they take up capabilities,
/// how many domains they spread over, how regularly they come, whether they act on feedback and
/// how much they use again. Activity is skewed, days and weeks have a rhythm, some learners come
/// late and some leave.
///
/// Every learner is drawn from a stream of its own, so any of them can be made alone and the
/// output depends on the Spec only. The const members may be called from any thread.
class Population {
 public:
  /// COVEY_CHECKs that spec.validate() is empty.
  explicit Population(const Spec& spec);

  /// All events in order of time, as a real log has them, an hour a piece; stops at the first
  /// error of `sink`. Events of one second are in order of learner. About `at_once` events are held
  /// at a time, 16 to 32 bytes each; the learners are gone over as often as that takes.
  Result<void> generate(const std::function<Result<void>(std::span<const Drawn>)>& sink,
                        std::uint64_t at_once = 60'000'000) const;

  /// One learner's events, in order of time.
  void learner(std::uint32_t index, std::vector<Drawn>& out) const;

  Kind kind(std::uint32_t learner) const;
  std::string learner_name(std::uint32_t learner) const;

  // An event's two forms; they say the same.

  /// Room that an Event made by event() borrows from.
  struct Scratch {
    std::string id, learner;
    std::vector<events::Attribute> attributes;
  };
  events::Event event(const Drawn& drawn, Scratch& scratch) const;
  /// One line of NDJSON with its end.
  void append_ndjson(const Drawn& drawn, std::string& out) const;

  std::uint32_t domain_of(std::uint32_t capability) const;

 private:
  struct Habits;
  Habits habits(std::uint32_t learner, Random& random) const;
  Random stream(std::uint32_t learner) const;
  std::uint16_t draw_capability(const Habits& habits, Random& random) const;

  Spec spec_;
  Time first_;  // midnight
  std::uint32_t per_domain_;
  std::vector<std::uint16_t> zipf_;  // quantiles of the rank within a domain
  std::vector<std::string> dates_, domains_, capabilities_, domain_json_, capability_json_;
};

}  // namespace covey::population

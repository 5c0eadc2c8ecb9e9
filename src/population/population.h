#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parallel.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "events/event.h"
#include "population/preset.h"

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
  /// Learners who behave like those it was fitted to, in courses and time zones, who join and
  /// leave, and pay. It decides on events per learner.
  std::optional<Preset> preset{};
  // With a preset alone:
  std::uint32_t courses = 12;
  /// Learners join in the first so many days. 0: in all that leave everybody room for the longest
  /// stay; more, and who joins late is cut off at the end, as in the log of a live platform.
  std::uint32_t intake_days = 0;
  double growth = .5;                         ///< of the learners who join, in a year
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

class Lives;

/// What is really so with a learner: hidden from the analyzer, or told it by events alone.
struct Facts {
  Kind kind = Kind::kGeneralist;
  std::string region, time_zone, course;
  Time joined{};             ///< of its first event
  std::optional<Time> left;  ///< of its last event, where that is not for want of days
};

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
  ~Population();
  Population(Population&&) noexcept;
  Population& operator=(Population&&) noexcept;

  /// All events in order of time, as a real log has them, an hour a piece; stops at the first
  /// error of `sink`. Events of one second are in order of learner. About `at_once` events are held
  /// at a time, 16 to 32 bytes each; the learners are gone over as often as that takes.
  Result<void> generate(const std::function<Result<void>(std::span<const Drawn>)>& sink,
                        std::uint64_t at_once = 60'000'000) const;

  /// The same events as lines of NDJSON, an hour a piece, drawn and written by all threads.
  /// `sink` is called by one thread at a time, not always the same, beside the others' work.
  using Text = std::function<Result<void>(std::string_view ndjson, std::uint64_t events)>;
  Result<void> generate_ndjson(Parallel& parallel, const Text& sink,
                               std::uint64_t at_once = 60'000'000) const;

  /// About how many events generate() makes.
  double events_expected() const;

  /// One learner's events, in order of time.
  void learner(std::uint32_t index, std::vector<Drawn>& out) const;

  Kind kind(std::uint32_t learner) const;
  Facts facts(std::uint32_t learner) const;
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
  /// Calls `each_pass` with all events of some days, in slices of learners, by hour.
  using Hours = std::vector<std::vector<Drawn>>;
  Result<void> draw_passes(Parallel& parallel, std::uint64_t at_once,
                           const std::function<Result<void>(std::vector<Hours>& slices,
                                                            std::size_t hours)>& each_pass) const;

  Spec spec_;
  Time first_;  // midnight
  std::uint32_t per_domain_;
  std::vector<std::uint16_t> zipf_;  // quantiles of the rank within a domain
  std::vector<std::string> dates_, domains_, capabilities_, domain_json_, capability_json_;
  std::vector<std::string> courses_, course_json_;  // what is enrolled in: domains, or courses
  std::unique_ptr<const Lives> lives_;              // with a preset
};

}  // namespace covey::population

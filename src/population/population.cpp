#include "population/population.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/memory.h"
#include "population/lives.h"

namespace covey::population {
namespace {

using events::EventType;

constexpr std::uint8_t kActedOn = 0x80;
constexpr std::uint32_t kZipfSlots = 4'096;
constexpr std::size_t kIdPrefixMax = 64;
constexpr std::uint32_t kCoursesMax = 1'000;  // 5 bits of a profile are the time zone
constexpr std::uint32_t kSlices = 16;         // of learners: as many are drawn at once at most

constexpr std::array<std::string_view, 4> kAges = {"0-17", "18-34", "35-54", "55+"};
constexpr std::array<std::string_view, 3> kExperience = {"none", "some", "much"};
constexpr std::uint32_t kProfiles = kRegions.size() * kAges.size() * kExperience.size();

std::array<events::Attribute, 3> attributes_of(std::uint32_t profile) {
  return {{{"region", kRegions[profile % 6]},
           {"age_band", kAges[profile / 6 % 4]},
           {"experience", kExperience[profile / 24 % 3]}}};
}

static_assert(kAges.size() == kAgeBands && kExperience.size() == kExperiences);
std::array<events::Attribute, 5> attributes_of(const Drawn& profile,
                                               const std::vector<std::string>& courses) {
  const Zone& zone = zones()[Lives::zone_of(profile)];
  return {{{"region", zone.region},
           {"time_zone", zone.name},
           {"course", courses[Lives::course_of(profile)]},
           {"age_band", kAges[profile.percent % kAgeBands]},
           {"experience", kExperience[profile.percent / kAgeBands % kExperiences]}}};
}

/// How a kind of learner behaves on average; single learners vary around it.
struct Behaviour {
  double share;         // of the population
  double novelty;       // probability that a use is of something new
  double spread;        // domains drawn from
  double focus;         // probability of the main domain
  double events_a_day;  // on an active day: the fewer, the more regular
  double acts;          // probability of acting on feedback
};
constexpr std::array<Behaviour, kKinds> kBehaviours = {{
    {.20, .75, 4, .40, 4.0, .70},
    {.20, .20, 2, .93, 4.0, .60},
    {.20, .20, 4, .45, 1.0, .92},
    {.20, .04, 4, .50, 3.5, .60},
    {.20, .30, 12, .10, 5.0, .30},
}};

// What a visit brings, besides practice.
constexpr double kFeedback = .06, kSession = .03, kPurchase = .004, kComplete = .001;

/// Bell-shaped, mean 0, variance 1, within +-3.5: four uniforms cost a tenth of a true normal.
double bell(Random& random) {
  const double sum = random.uniform() + random.uniform() + random.uniform() + random.uniform();
  return (sum - 2) * 1.7320508075688772;
}

/// Writes into room that is known to suffice.
class Line {
 public:
  void text(std::string_view piece) {
    std::memcpy(end_, piece.data(), piece.size());
    end_ += piece.size();
  }
  void number(std::uint32_t value, int width_min) {
    char digits[10];
    int n = 0;
    for (; value > 0 || n < width_min; value /= 10)
      digits[n++] = static_cast<char>('0' + value % 10);
    while (n > 0) *end_++ = digits[--n];
  }
  std::string_view view() const { return {room_, static_cast<std::size_t>(end_ - room_)}; }

 private:
  char room_[512];  // the longest line, a profile, has about 220 and the prefix
  char* end_ = room_;
};

void put_name(Line& line, std::uint32_t learner) {
  line.text("sim-");
  line.number(learner, 7);
}

}  // namespace

std::string_view name(Kind kind) {
  constexpr std::array<std::string_view, kKinds> kNames = {
      "Fast Learner", "Specialist", "Power User", "Long-term Retainer", "Generalist"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::vector<std::string> Spec::validate() const {
  std::vector<std::string> faults;
  if (learners == 0) faults.emplace_back("learners must be at least 1");
  if (!(events_per_learner >= 3 && events_per_learner <= 10'000)) {
    faults.emplace_back("events per learner must be from 3 to 10000");
  }
  if (days == 0 || days > 3650) faults.emplace_back("days must be from 1 to 3650");
  if (domains == 0 || domains > 1000) faults.emplace_back("domains must be from 1 to 1000");
  if (capabilities < domains || capabilities >= kCapabilitiesMax) {
    faults.emplace_back("capabilities must be from the number of domains to 65535");
  }
  if (preset) {
    const std::uint32_t stay = preset->stay_max();
    if (days < stay + 3) {
      faults.push_back(fmt::format("days must be {} or more: the longest stay of the preset is {}",
                                   stay + 3, stay));
    } else if (intake_days > days - 2) {
      faults.push_back(
          fmt::format("the intake must end two days before the end, by day {}", days - 2));
    }
    if (courses == 0 || courses > kCoursesMax) {
      faults.push_back(fmt::format("courses must be from 1 to {}", kCoursesMax));
    }
    if (!(growth > -1 && growth <= 100)) {
      faults.emplace_back("growth must be above -1, where nobody joins any more, and at most 100");
    }
  }
  if (end >= latest_time() || end - std::chrono::days(3651) < earliest_time()) {
    faults.emplace_back("end must be from 1910 to 2200");
  }
  constexpr std::string_view kPlain =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.:";
  if (id_prefix.size() > kIdPrefixMax || id_prefix.find_first_not_of(kPlain) != std::string::npos) {
    faults.emplace_back("the prefix of ids must be at most 64 of A-Z a-z 0-9 - _ . :");
  }
  return faults;
}

struct Population::Habits {
  Kind kind = Kind::kGeneralist;
  std::uint32_t visits = 0;  // events besides the few of the life cycle
  double novelty = 0, focus = 0, events_a_day = 0, acts = 0;
  std::uint32_t spread = 1, main_domain = 0;
  std::uint32_t first_day = 0, last_day = 0;
  double hour = 0;  // of the day's middle
};

Population::Population(const Spec& spec)
    : spec_(spec),
      first_(std::chrono::floor<std::chrono::days>(spec.end) - std::chrono::days(spec.days)),
      per_domain_(spec.capabilities / spec.domains) {
  COVEY_CHECK(spec.validate().empty());

  double weight = 0;
  for (std::uint32_t rank = 1; rank <= per_domain_; ++rank) weight += 1.0 / rank;
  double below = 1;  // weight of the ranks up to `rank`, counted from 0
  std::uint16_t rank = 0;
  for (std::uint32_t slot = 0; slot < kZipfSlots; ++slot) {
    while (below < weight * (slot + .5) / kZipfSlots && rank + 1u < per_domain_) {
      below += 1.0 / (++rank + 1);
    }
    zipf_.push_back(rank);
  }
  for (std::uint32_t day = 0; day < spec.days; ++day) {
    dates_.push_back(format_time(first_ + std::chrono::days(day)).substr(0, 11));
  }
  for (std::uint32_t d = 0; d < spec.domains; ++d) {
    domains_.push_back(fmt::format("domain-{:02}", d));
    domain_json_.push_back(fmt::format(R"(,"domain":"{}")", domains_.back()));
  }
  for (std::uint32_t c = 0; c < per_domain_ * spec.domains; ++c) {
    capabilities_.push_back(fmt::format("capability-{:04}", c));
    capability_json_.push_back(
        fmt::format(R"(,"capability":"{}"{})", capabilities_.back(), domain_json_[domain_of(c)]));
  }
  courses_ = domains_;
  course_json_ = domain_json_;
  if (!spec.preset) return;
  lives_ = std::make_unique<const Lives>(spec, per_domain_, zipf_);
  courses_.clear();
  course_json_.clear();
  for (std::uint32_t c = 0; c < spec.courses; ++c) {
    courses_.push_back(fmt::format("course-{:02}", c));
    course_json_.push_back(fmt::format(R"(,"domain":"{}")", courses_.back()));
  }
}

Population::~Population() = default;
Population::Population(Population&&) noexcept = default;
Population& Population::operator=(Population&&) noexcept = default;

double Population::events_expected() const {
  return spec_.learners * (spec_.preset ? spec_.preset->events_mean() : spec_.events_per_learner);
}

std::uint32_t Population::domain_of(std::uint32_t capability) const {
  return capability / per_domain_;
}

Random Population::stream(std::uint32_t learner) const {
  return Random(spec_.seed).fork("learner", learner);
}

Population::Habits Population::habits(std::uint32_t learner, Random& random) const {
  Habits h;
  double u = random.uniform();
  std::size_t kind = 0;
  while (kind + 1 < kKinds && u >= kBehaviours[kind].share) u -= kBehaviours[kind++].share;
  h.kind = static_cast<Kind>(kind);
  const Behaviour& b = kBehaviours[kind];
  // Log-normal with sigma 1: a mean of M needs mu = ln M - 1/2. The life cycle's two events at the
  // start are part of the mean.
  const double drawn = std::exp(std::log(spec_.events_per_learner - 2) - .5 + random.normal());
  h.visits = std::clamp(static_cast<std::uint32_t>(std::lround(drawn)), 1u, kEventsMax);
  const auto vary = [&](double value, double by) {
    return std::clamp(value * std::exp(by * random.normal()), .005, .98);
  };
  h.novelty = vary(b.novelty, .25);
  h.focus = vary(b.focus, .1);
  h.acts = vary(b.acts, .1);
  h.events_a_day = std::max(1.0, b.events_a_day * std::exp(.2 * random.normal()));
  h.spread = static_cast<std::uint32_t>(
      std::clamp(b.spread + random.normal(), 1.0, static_cast<double>(spec_.domains)));
  h.main_domain = static_cast<std::uint32_t>(random.below(spec_.domains));
  h.last_day = spec_.days - 1;
  if (random.chance(.3)) h.first_day = static_cast<std::uint32_t>(random.below(spec_.days / 2 + 1));
  h.first_day = std::min(h.first_day, h.last_day);
  if (random.chance(.15)) {
    h.last_day = h.first_day + static_cast<std::uint32_t>(random.below(spec_.days - h.first_day));
  }
  h.hour = 15 + 3 * bell(random) + static_cast<double>(learner % 3) * 8;
  return h;
}

Kind Population::kind(std::uint32_t learner) const {
  Random random = stream(learner);
  if (lives_) return lives_->kind(random);
  return habits(learner, random).kind;
}

Facts Population::facts(std::uint32_t index) const {
  Facts out;
  std::vector<Drawn> drawn;
  bool left = false;
  if (lives_) {
    left = lives_->learner(index, stream(index), drawn);
  } else {
    learner(index, drawn);
    Random random = stream(index);
    left = habits(index, random).last_day + 1 < spec_.days;
  }
  const auto time = [&](const Drawn& d) { return first_ + std::chrono::seconds(d.second); };
  const Drawn& profile = drawn.front();
  out.kind = kind(index);
  out.joined = time(profile);
  if (lives_) {
    const Zone& zone = zones()[Lives::zone_of(profile)];
    out.region = zone.region;
    out.time_zone = zone.name;
  } else {
    // The middles of their days are thirds of a day apart: see habits().
    constexpr std::array<std::string_view, 3> kThirds = {"UTC+00:00", "UTC-08:00", "UTC+08:00"};
    out.region = attributes_of(profile.percent)[0].second;
    out.time_zone = kThirds[index % 3];
  }
  out.course = courses_[drawn[1].capability];
  if (left) out.left = time(drawn.back());
  return out;
}

std::uint16_t Population::draw_capability(const Habits& h, Random& random) const {
  const std::uint64_t domain = random.chance(h.focus)
                                   ? h.main_domain
                                   : (h.main_domain + random.below(h.spread)) % spec_.domains;
  return static_cast<std::uint16_t>(domain * per_domain_ + zipf_[random.below(kZipfSlots)]);
}

void Population::learner(std::uint32_t index, std::vector<Drawn>& out) const {
  Random random = stream(index);
  if (lives_) {
    lives_->learner(index, random, out);
    return;
  }
  const Habits h = habits(index, random);
  out.clear();

  // When: some days of the learner's span, fewer of them at weekends, around a time of day.
  const std::uint32_t span = h.last_day - h.first_day + 1;
  const auto wanted_days = static_cast<std::uint32_t>(
      std::clamp(std::lround(h.visits / h.events_a_day), 1L, static_cast<long>(span)));
  thread_local std::vector<std::uint32_t> days, seconds;
  days.clear();
  const auto draw_day = [&] {
    return h.first_day + static_cast<std::uint32_t>(random.below(span));
  };
  const std::int32_t first_day = day_of(first_);
  for (std::uint32_t i = 0; i < wanted_days; ++i) {
    std::uint32_t day = draw_day();
    const std::int32_t date = first_day + static_cast<std::int32_t>(day);
    const bool weekend = week_of_day(date) != week_of_day(date + 2);
    if (weekend && random.chance(.5)) day = draw_day();
    days.push_back(day);
  }
  seconds.clear();
  for (std::uint32_t i = 0; i < h.visits; ++i) {
    const double hour = std::fmod(h.hour + 2.5 * bell(random) + 48, 24);
    seconds.push_back(days[random.below(days.size())] * kDay +
                      static_cast<std::uint32_t>(hour * kHour));
  }
  std::ranges::sort(seconds);

  const auto add = [&](std::uint32_t second, EventType type, std::uint32_t what, bool acted,
                       std::uint64_t percent) {
    out.push_back(
        {index, static_cast<std::uint32_t>(out.size()), second, static_cast<std::uint16_t>(what),
         static_cast<std::uint8_t>(static_cast<std::uint8_t>(type) | (acted ? kActedOn : 0)),
         static_cast<std::uint8_t>(percent)});
  };
  add(seconds.front(), EventType::kProfile, 0, false, random.below(kProfiles));
  add(seconds.front(), EventType::kEnrol, h.main_domain, false, 0);

  // What: something new, or something used before, rather lately than long ago.
  thread_local std::vector<std::uint16_t> used;
  thread_local std::bitset<kCapabilitiesMax> known;
  used.clear();
  for (const std::uint32_t second : seconds) {
    double what = random.uniform();
    if ((what -= kFeedback) < 0) {
      add(second, EventType::kFeedback, 0, random.chance(h.acts), 0);
    } else if ((what -= kSession) < 0) {
      add(second, EventType::kSession, 0, false, 0);
    } else if ((what -= kPurchase) < 0) {
      add(second, EventType::kPurchase, 0, false, random.below(100));
    } else if ((what -= kComplete) < 0) {
      add(second, EventType::kComplete, h.main_domain, false, 0);
    } else {
      std::uint16_t capability = 0;
      if (used.empty() || random.chance(h.novelty)) {
        capability = draw_capability(h, random);
        // What many use is drawn again and again; a few more tries keep the new new.
        for (int more = 0; known[capability] && more < 4; ++more) {
          capability = draw_capability(h, random);
        }
        if (!known[capability]) {
          known.set(capability);
          used.push_back(capability);
        }
      } else {
        const double back = random.uniform() * random.uniform();
        capability = used[used.size() - 1 -
                          static_cast<std::size_t>(back * static_cast<double>(used.size()))];
      }
      add(second, EventType::kPractice, capability, false, 30 + random.below(71));
    }
  }
  for (const std::uint16_t capability : used) known.reset(capability);
  if (h.last_day + 1 < spec_.days && random.chance(.5)) {
    add(seconds.back(), EventType::kWithdraw, h.main_domain, false, 0);
  }
}

Result<void> Population::draw_passes(
    Parallel& parallel, std::uint64_t at_once,
    const std::function<Result<void>(std::vector<Hours>&, std::size_t)>& each_pass) const {
  COVEY_CHECK(at_once > 0);
  const auto passes = static_cast<std::uint32_t>(
      std::clamp(std::ceil(events_expected() / static_cast<double>(at_once)), 1.0,
                 static_cast<double>(spec_.days)));
  const std::uint64_t slices = parallel.width() > 1 ? kSlices : 1;
  std::vector<Hours> drawn(slices);
  for (std::uint32_t pass = 0; pass < passes; ++pass) {
    const std::uint32_t begin = spec_.days * pass / passes * kDay;
    const std::uint32_t end = spec_.days * (pass + 1) / passes * kDay;
    const std::size_t hours = (end - begin) / kHour;
    parallel.run(slices, [&](std::size_t slice) {
      drawn[slice].assign(hours, {});
      std::vector<Drawn> one;
      const auto last = static_cast<std::uint32_t>(spec_.learners * (slice + 1) / slices);
      for (auto l = static_cast<std::uint32_t>(spec_.learners * slice / slices); l < last; ++l) {
        learner(l, one);
        for (const Drawn& d : one) {
          if (d.second < begin || d.second >= end) continue;
          drawn[slice][(d.second - begin) / kHour].push_back(d);
        }
      }
    });
    COVEY_TRY_VOID(each_pass(drawn, hours));
  }
  return {};
}

namespace {

/// Takes an hour's events out of all slices, by second.
void merge_hour(std::vector<std::vector<std::vector<Drawn>>>& slices, std::size_t hour,
                std::vector<Drawn>& sorted) {
  // They came in order of learner and sequence; counting keeps that within a second.
  std::array<std::uint32_t, kHour + 1> at{};
  std::size_t count = 0;
  for (const auto& slice : slices) {
    for (const Drawn& d : slice[hour]) ++at[d.second % kHour + 1];
    count += slice[hour].size();
  }
  for (std::uint32_t s = 0; s < kHour; ++s) at[s + 1] += at[s];
  sorted.resize(count);
  for (auto& slice : slices) {
    for (const Drawn& d : slice[hour]) sorted[at[d.second % kHour]++] = d;
    let_go(slice[hour]);
  }
}

}  // namespace

Result<void> Population::generate(const std::function<Result<void>(std::span<const Drawn>)>& sink,
                                  std::uint64_t at_once) const {
  Serial serial;
  std::vector<Drawn> sorted;
  return draw_passes(serial, at_once,
                     [&](std::vector<Hours>& slices, std::size_t hours) -> Result<void> {
                       for (std::size_t hour = 0; hour < hours; ++hour) {
                         merge_hour(slices, hour, sorted);
                         if (!sorted.empty()) COVEY_TRY_VOID(sink(sorted));
                       }
                       return {};
                     });
}

Result<void> Population::generate_ndjson(Parallel& parallel, const Text& sink,
                                         std::uint64_t at_once) const {
  struct Piece {
    std::string text;
    std::uint64_t events = 0;
  };
  const std::size_t wave = 4 * std::size_t{parallel.width()};
  std::vector<Piece> made(wave), ready(wave);
  Result<void> written;
  const auto write_ready = [&] {
    for (Piece& piece : ready) {
      if (written && piece.events > 0) written = sink(piece.text, piece.events);
      piece.text.clear();
      piece.events = 0;
    }
  };
  COVEY_TRY_VOID(draw_passes(parallel, at_once,
                             [&](std::vector<Hours>& slices, std::size_t hours) -> Result<void> {
                               for (std::size_t from = 0; from < hours; from += wave) {
                                 const std::size_t some = std::min(wave, hours - from);
                                 // Writing the hours before is one of the tasks: the others go on
                                 // meanwhile.
                                 parallel.run(some + 1, [&](std::size_t task) {
                                   if (task == 0) {
                                     write_ready();
                                     return;
                                   }
                                   thread_local std::vector<Drawn> sorted;
                                   merge_hour(slices, from + task - 1, sorted);
                                   Piece& piece = made[task - 1];
                                   piece.events = sorted.size();
                                   for (const Drawn& d : sorted) append_ndjson(d, piece.text);
                                 });
                                 made.swap(ready);
                                 COVEY_TRY_VOID(written);
                               }
                               return {};
                             }));
  write_ready();
  return written;
}

std::string Population::learner_name(std::uint32_t learner) const {
  Line line;
  put_name(line, learner);
  return std::string(line.view());
}

events::Event Population::event(const Drawn& d, Scratch& s) const {
  Line line;
  line.text(spec_.id_prefix);
  put_name(line, d.learner);
  s.learner = line.view().substr(spec_.id_prefix.size());
  line.text("-");
  line.number(d.sequence, 1);
  s.id = line.view();
  events::Event event;
  event.id = s.id;
  event.learner = s.learner;
  event.time = first_ + std::chrono::seconds(d.second);
  event.type = d.event_type();
  switch (event.type) {
    case EventType::kPractice:
      event.capability = capabilities_[d.capability];
      event.domain = domains_[domain_of(d.capability)];
      event.score = d.percent / 100.0;
      break;
    case EventType::kFeedback:
      event.acted_on = d.acted_on();
      break;
    case EventType::kEnrol:
    case EventType::kComplete:
    case EventType::kWithdraw:
      event.domain = courses_[d.capability];
      break;
    case EventType::kPurchase:
      if (lives_) {
        event.amount = prices()[d.percent].cents / 100.0;
        event.currency = prices()[d.percent].currency;
        break;
      }
      event.amount = (50 + d.percent) / 10.0;
      event.currency = "EUR";
      break;
    case EventType::kProfile: {
      if (lives_) {
        const auto attributes = attributes_of(d, courses_);
        s.attributes.assign(attributes.begin(), attributes.end());
        event.attributes = s.attributes;
        break;
      }
      const auto attributes = attributes_of(d.percent);
      s.attributes.assign(attributes.begin(), attributes.end());
      event.attributes = s.attributes;
      break;
    }
    case EventType::kSession:
      break;
  }
  return event;
}

void Population::append_ndjson(const Drawn& d, std::string& out) const {
  Line line;
  line.text(R"({"id":")");
  line.text(spec_.id_prefix);
  put_name(line, d.learner);
  line.text("-");
  line.number(d.sequence, 1);
  line.text(R"(","learner":")");
  put_name(line, d.learner);
  line.text(R"(","time":")");
  line.text(dates_[d.second / kDay]);
  line.number(d.second % kDay / kHour, 2);
  line.text(":");
  line.number(d.second % kHour / 60, 2);
  line.text(":");
  line.number(d.second % 60, 2);
  line.text(R"(Z","type":")");
  line.text(events::name(d.event_type()));
  line.text("\"");
  switch (d.event_type()) {
    case EventType::kPractice:
      line.text(capability_json_[d.capability]);
      line.text(R"(,"score":)");
      line.number(d.percent / 100, 1);
      line.text(".");
      line.number(d.percent % 100, 2);
      break;
    case EventType::kFeedback:
      line.text(d.acted_on() ? R"(,"acted_on":true)" : R"(,"acted_on":false)");
      break;
    case EventType::kEnrol:
    case EventType::kComplete:
    case EventType::kWithdraw:
      line.text(course_json_[d.capability]);
      break;
    case EventType::kPurchase:
      line.text(R"(,"amount":)");
      if (lives_) {
        const Price& price = prices()[d.percent];
        line.number(price.cents / 100, 1);
        line.text(".");
        line.number(price.cents % 100, 2);
        line.text(R"(,"currency":")");
        line.text(price.currency);
        line.text("\"");
        break;
      }
      line.number((50u + d.percent) / 10, 1);
      line.text(".");
      line.number((50u + d.percent) % 10, 1);
      line.text(R"(,"currency":"EUR")");
      break;
    case EventType::kProfile: {
      std::string_view before = R"(,"attributes":{")";
      const auto put = [&](const events::Attribute& attribute) {
        line.text(before);
        line.text(attribute.first);
        line.text(R"(":")");
        line.text(attribute.second);
        before = R"(",")";
      };
      if (lives_) {
        std::ranges::for_each(attributes_of(d, courses_), put);
      } else {
        std::ranges::for_each(attributes_of(d.percent), put);
      }
      line.text("\"}");
      break;
    }
    case EventType::kSession:
      break;
  }
  line.text("}\n");
  out.append(line.view());
}

}  // namespace covey::population

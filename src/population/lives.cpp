#include "population/lives.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cmath>
#include <numbers>

namespace covey::population {
namespace {

using events::EventType;

constexpr std::uint32_t kHourSlots = 1'024;

constexpr std::array<Zone, 14> kZones = {{
    {"us-east", "UTC-05:00", -5 * 3'600, .15},
    {"us-east", "UTC-06:00", -6 * 3'600, .07},
    {"us-west", "UTC-07:00", -7 * 3'600, .04},
    {"us-west", "UTC-08:00", -8 * 3'600, .10},
    {"europe", "UTC+00:00", 0, .10},
    {"europe", "UTC+01:00", 3'600, .13},
    {"europe", "UTC+02:00", 7'200, .05},
    {"asia", "UTC+05:30", 19'800, .12},
    {"asia", "UTC+08:00", 8 * 3'600, .06},
    {"asia", "UTC+09:00", 9 * 3'600, .04},
    {"latam", "UTC-06:00", -6 * 3'600, .04},
    {"latam", "UTC-03:00", -3 * 3'600, .05},
    {"africa", "UTC+01:00", 3'600, .03},
    {"africa", "UTC+03:00", 3 * 3'600, .02},
}};

// Access and certificate, in the order of the regions below.
constexpr std::array<Price, 12> kPrices = {{{1'900, "USD"},
                                            {4'900, "USD"},
                                            {1'900, "USD"},
                                            {4'900, "USD"},
                                            {1'900, "EUR"},
                                            {4'900, "EUR"},
                                            {900, "USD"},
                                            {2'500, "USD"},
                                            {900, "USD"},
                                            {2'500, "USD"},
                                            {500, "USD"},
                                            {1'500, "USD"}}};
constexpr double kPayers = .25, kCertificate = .3;
constexpr std::uint32_t kMonth = 30;

// How much is going on at each hour of the learner's own clock: evenings lead, few are up at four.
constexpr std::array<double, 24> kHourWeights = {3, 2, 1, .6, .4, .6, 1.5, 3,  5,  7,  8, 8,
                                                 7, 7, 8, 8,  8,  8,  8,   10, 12, 12, 9, 6};
/// Share of active days that move from a weekend to the Friday or Monday beside it.
constexpr double kWeekendRest = .5;
/// A course starts anew so often; learners join around that day.
constexpr std::uint32_t kTerm = 28;
/// Who stays so much of the longest stay, and does not withdraw, has completed.
constexpr double kCompletion = .75;

/// Where a hidden kind stands among all learners, in deviations of a kind's own, and what no
/// preset knows of.
struct Leaning {
  double share, activity, novelty, regularity;
  double spread, focus, acts;
};
constexpr std::array<Leaning, kKinds> kLeanings = {{
    {.20, 1.5, 3, 0, 4, .40, .70},
    {.20, 0, 0, 0, 2, .93, .60},
    {.20, 2, 0, 3, 4, .45, .92},
    {.20, 0, -3, 0, 4, .50, .60},
    {.20, 0, 0, 0, 12, .10, .30},
}};

double normal_below(double z) {
  return .5 * std::erfc(-z / std::numbers::sqrt2);
}

/// How many of the learners one thinks of are of each kind.
using Shares = std::array<double, kKinds>;

Shares shares_of_all() {
  Shares out{};
  for (std::size_t k = 0; k < kKinds; ++k) out[k] = kLeanings[k].share;
  return out;
}

/// Among the learners whose draw of activity was `z`: what is drawn next must be uniform over
/// these, or the kinds would bend what depends on activity.
Shares shares_at(double z) {
  Shares out{};
  double sum = 0;
  for (std::size_t k = 0; k < kKinds; ++k) {
    const double away = z - kLeanings[k].activity;
    sum += out[k] = kLeanings[k].share * std::exp(-.5 * away * away);
  }
  // So far out nothing tells them apart any more.
  if (sum < 1e-200) return shares_of_all();
  for (double& share : out) share /= sum;
  return out;
}

/// The share of these learners whose draw is below `z`, which makes it uniform over all of them.
double share_below(double z, double Leaning::* mean, const Shares& shares) {
  double below = 0;
  for (std::size_t k = 0; k < kKinds; ++k)
    below += shares[k] * normal_below(z - kLeanings[k].*mean);
  return std::min(below, 1.0);
}

/// Days since the last Monday.
std::uint32_t weekday_of(std::int32_t day) {
  return static_cast<std::uint32_t>(day + 3 - 7 * week_of_day(day));
}

double odds(double p) {
  return p / (1 - p);
}

/// Probability of each kind to act on feedback: as far apart as in kLeanings, by odds, and over all
/// events what the preset says.
Shares acts_of(const Preset& preset) {
  Shares events{};  // of each kind, by rectangles
  for (std::size_t k = 0; k < kKinds; ++k) {
    for (double z = -4; z < 4; z += 1. / 16) {
      const double activity =
          share_below(kLeanings[k].activity + z, &Leaning::activity, shares_of_all());
      events[k] += kLeanings[k].share * std::exp(-.5 * z * z) * preset.events.at(activity);
    }
  }
  Shares out{};
  double low = 1e-6, high = 1e6;  // factors of the odds
  for (int halving = 0; halving < 100; ++halving) {
    const double factor = std::sqrt(low * high);
    double sum = 0, mean = 0;
    for (std::size_t k = 0; k < kKinds; ++k) {
      const double acts = factor * odds(kLeanings[k].acts);
      out[k] = acts / (1 + acts);
      mean += events[k] * out[k];
      sum += events[k];
    }
    (mean < sum * preset.acted_on ? low : high) = factor;
  }
  return out;
}

std::uint32_t rounded(double value, std::uint32_t least, std::uint32_t most) {
  return static_cast<std::uint32_t>(std::clamp(std::lround(value), long{least}, long{most}));
}

Kind draw_kind(Random& random) {
  double u = random.uniform();
  std::size_t kind = 0;
  while (kind + 1 < kKinds && u >= kLeanings[kind].share) u -= kLeanings[kind++].share;
  return static_cast<Kind>(kind);
}

std::uint32_t draw_zone(Random& random) {
  double u = random.uniform();
  std::uint32_t zone = 0;
  while (zone + 1 < kZones.size() && u >= kZones[zone].share) u -= kZones[zone++].share;
  return zone;
}

/// Moves days of rest to the working day beside them where nothing is yet. The first and the last
/// stay, so that stays remain what they are. `monday` is the number of days since a Monday.
void rest_at_weekends(std::vector<std::uint32_t>& days, std::uint32_t monday, Random& random) {
  for (std::size_t i = 1; i + 1 < days.size(); ++i) {
    const std::uint32_t weekday = (days[i] + monday) % 7;
    if (weekday < 5 || !random.chance(kWeekendRest)) continue;
    if (weekday == 5 && days[i] - 1 > days[i - 1]) {
      --days[i];
    } else if (weekday == 6 && days[i] + 1 < days[i + 1]) {
      ++days[i];
    }
  }
}

/// What a learner has used, and what of it lately: in the main domain and elsewhere.
class Memory {
 public:
  void clear() {
    for (const std::uint16_t capability : main_) known_.reset(capability);
    for (const std::uint16_t capability : other_) known_.reset(capability);
    main_.clear();
    other_.clear();
  }
  bool knows(std::uint32_t capability) const { return known_[capability]; }
  void learn(std::uint32_t capability, bool main) {
    known_.set(capability);
    (main ? main_ : other_).push_back(static_cast<std::uint16_t>(capability));
  }
  /// Rather what was used lately than long ago.
  std::uint32_t draw(bool main, Random& random) const {
    const auto& used = (main && !main_.empty()) || other_.empty() ? main_ : other_;
    const double back = random.uniform() * random.uniform();
    return used[used.size() - 1 -
                static_cast<std::size_t>(back * static_cast<double>(used.size()))];
  }

 private:
  std::bitset<kCapabilitiesMax> known_;
  std::vector<std::uint16_t> main_, other_;
};

}  // namespace

std::span<const Zone> zones() {
  return kZones;
}

std::span<const Price> prices() {
  return kPrices;
}

struct Lives::Plan {
  Kind kind = Kind::kGeneralist;
  std::uint32_t events = 0, practice = 0, capabilities = 0, active = 0, stay = 0;
  double focus = 0, acts = 0;
  std::uint32_t spread = 1, main_domain = 0;
  std::uint32_t zone = 0, course = 0, joined = 0;  // day
  std::uint32_t habit_s = 0;                       // how much later in the day than others
  bool pays = false, withdraws = false;
  bool idle() const { return events == 0; }
};

Lives::Lives(const Spec& spec, std::uint32_t per_domain, std::vector<std::uint16_t> zipf)
    : spec_(spec),
      preset_(*spec.preset),
      per_domain_(per_domain),
      stay_max_(preset_.stay_max()),
      intake_(spec.intake_days > 0 ? spec.intake_days : spec.days - 2 - stay_max_),
      monday_(weekday_of(day_of(spec.end) - static_cast<std::int32_t>(spec.days))),
      zipf_(std::move(zipf)),
      growth_a_day_(std::log1p(spec.growth) / 365.25),
      active_days_(preset_.unevenness, preset_.pace) {
  acts_ = acts_of(preset_);
  double weight = 0;
  for (const double w : kHourWeights) weight += w;
  std::uint32_t hour = 0;
  double below = 0;  // weight of the hours before
  for (std::uint32_t slot = 0; slot < kHourSlots; ++slot) {
    const double wanted = weight * (slot + .5) / kHourSlots;
    while (below + kHourWeights[hour] < wanted) below += kHourWeights[hour++];
    hours_.push_back(
        static_cast<std::uint32_t>((hour + (wanted - below) / kHourWeights[hour]) * kHour));
  }
  double sum = 0;
  for (std::uint32_t c = 0; c < spec.courses; ++c) {
    course_shares_.push_back(sum += std::pow(c + 1, -.7));
  }
  for (double& share : course_shares_) share /= sum;
}

Lives::Plan Lives::plan(Random& random) const {
  Plan p;
  p.kind = draw_kind(random);
  const Leaning& leaning = kLeanings[static_cast<std::size_t>(p.kind)];
  p.zone = draw_zone(random);
  p.course = static_cast<std::uint32_t>(std::ranges::lower_bound(course_shares_, random.uniform()) -
                                        course_shares_.begin());
  p.course = std::min(p.course, spec_.courses - 1);

  // Growth: the stream of those who join swells or dries up; a course gathers them at its starts.
  const double intake = intake_;
  const double swell = growth_a_day_ * intake;
  const double u = random.uniform();
  const double day =
      std::abs(swell) < 1e-9 ? u * intake : std::log1p(u * std::expm1(swell)) / growth_a_day_;
  const double phase = static_cast<double>(p.course * kTerm) / spec_.courses;
  const double start = std::round((day - phase) / kTerm) * kTerm + phase;
  p.joined = rounded(start + 4 * random.normal(), 0, intake_ - 1);

  const auto vary = [&](double value, double by) {
    return std::clamp(value * std::exp(by * random.normal()), .005, .98);
  };
  p.focus = vary(leaning.focus, .1);
  p.acts = vary(acts_[static_cast<std::size_t>(p.kind)], .05);
  p.spread = rounded(leaning.spread + random.normal(), 1, spec_.domains);
  p.main_domain = static_cast<std::uint32_t>(random.below(spec_.domains));
  p.habit_s = rounded(2 * kHour * random.normal() + kDay, 0, 2 * kDay);
  p.pays = random.chance(kPayers);

  if (random.chance(preset_.idle)) {
    p.withdraws = random.chance(preset_.idle_withdraw);
    p.stay = 1 + static_cast<std::uint32_t>(random.below(kMonth));
    return p;
  }
  const double drive = leaning.activity + random.normal();
  const Shares alike = shares_at(drive);
  const double activity = share_below(drive, &Leaning::activity, shares_of_all());
  const auto& band =
      preset_.bands[std::min(static_cast<std::size_t>(activity * kBands), kBands - 1)];
  p.events = rounded(preset_.events.at(activity), 1, 50'000);
  const double feedback = p.events * preset_.feedback;
  p.practice = p.events - rounded(feedback + .5 * random.normal(), 0, p.events / 2);
  p.stay = rounded(band.stay.at(random.uniform()), 1, stay_max_);
  if (p.practice == 1) p.stay = 1;
  const double regular =
      share_below(leaning.regularity + random.normal(), &Leaning::regularity, alike);
  p.active = rounded(p.practice / band.per_day.at(1 - regular), std::min(2u, p.stay),
                     std::min(p.practice, p.stay));
  const double novel = share_below(leaning.novelty + random.normal(), &Leaning::novelty, alike);
  p.capabilities = rounded(1 + band.novelty.at(novel) * (p.practice - 1), 1,
                           std::min(p.practice, per_domain_ * spec_.domains));
  p.withdraws = random.chance(preset_.withdraw[preset_.eighth_of(p.stay, stay_max_)]);
  return p;
}

Kind Lives::kind(Random random) const {
  return draw_kind(random);
}

bool Lives::learner(std::uint32_t index, Random random, std::vector<Drawn>& out) const {
  out.clear();
  const Plan p = plan(random);
  // A day ahead of the first, so that no time zone comes before it.
  const std::uint32_t midnight =
      (p.joined + 1) * kDay - static_cast<std::uint32_t>(kZones[p.zone].offset_s);
  const std::uint32_t end = spec_.days * kDay;
  const auto region = static_cast<std::uint32_t>(
      std::ranges::find(kRegions, kZones[p.zone].region) - kRegions.begin());
  bool cut_off = false;
  const auto add = [&](std::uint32_t second, EventType type, std::uint32_t what,
                       std::uint64_t percent = 0, bool acted = false) {
    if (second >= end) {
      cut_off = true;
      return;
    }
    out.push_back({index, static_cast<std::uint32_t>(out.size()), second,
                   static_cast<std::uint16_t>(what),
                   static_cast<std::uint8_t>(static_cast<std::uint8_t>(type) | (acted ? 0x80 : 0)),
                   static_cast<std::uint8_t>(percent)});
  };
  const auto begin_day = [&] { return (hours_[random.next() >> 54] + p.habit_s) % kDay; };
  const auto join = [&](std::uint32_t second) {
    add(second, EventType::kProfile, p.zone | p.course << 5,
        random.below(kAgeBands * kExperiences));
    add(second, EventType::kEnrol, p.course);
  };
  if (p.idle()) {
    join(midnight + begin_day());
    if (p.withdraws) add(midnight + p.stay * kDay, EventType::kWithdraw, p.course);
    return p.withdraws && !cut_off;
  }

  thread_local std::vector<std::uint32_t> days, on_day;
  thread_local Memory memory;
  active_days_.draw(p.active, p.stay, random, days);
  rest_at_weekends(days, p.joined + 1 + monday_, random);
  on_day.assign(days.size(), 1);
  for (std::uint32_t i = p.active; i < p.practice; ++i) ++on_day[random.below(p.active)];
  memory.clear();

  std::uint32_t uses_left = p.practice, new_left = p.capabilities;
  std::uint32_t feedback_left = p.events - p.practice;
  std::uint32_t month_paid = 0, second = 0;
  for (std::size_t i = 0; i < days.size(); ++i) {
    // One use after the other, within the day whatever their number.
    const std::uint32_t uses = on_day[i];
    const std::uint32_t start = std::min(begin_day(), kDay - 1 - std::min(20 * uses, kDay - 1));
    const std::uint32_t pause = std::clamp((kDay - 1 - start) / uses, 1u, 400u);
    second = midnight + days[i] * kDay + start;
    if (i == 0) join(second);
    if (p.pays && days[i] / kMonth >= month_paid) {
      month_paid = days[i] / kMonth + 1;
      add(second, EventType::kPurchase, 0, 2 * region);
    }
    for (std::uint32_t use = 0; use < uses; ++use) {
      const bool main = random.chance(p.focus);
      std::uint32_t capability = 0;
      // Chances that end in exactly so many new ones. The first is new, for nothing is known yet.
      if (new_left == p.capabilities || random.below(uses_left) < new_left) {
        capability = draw_new(p, main, random, [&](std::uint32_t c) { return memory.knows(c); });
        memory.learn(capability, capability / per_domain_ == p.main_domain);
        --new_left;
      } else {
        capability = memory.draw(main, random);
      }
      add(second, EventType::kPractice, capability, 30 + random.below(71));
      if (feedback_left > 0 && random.below(uses_left) < feedback_left) {
        --feedback_left;
        add(second, EventType::kFeedback, 0, 0, random.chance(p.acts));
      }
      --uses_left;
      second += static_cast<std::uint32_t>(random.below(pause));
    }
  }
  if (p.withdraws) {
    add(second, EventType::kWithdraw, p.course);
  } else if (p.stay >= kCompletion * stay_max_) {
    add(second, EventType::kComplete, p.course);
    if (p.pays && random.chance(kCertificate)) {
      add(second, EventType::kPurchase, 0, 2 * region + 1);
    }
  }
  return !cut_off;
}

template <typename Known>
std::uint32_t Lives::draw_new(const Plan& p, bool main, Random& random, Known&& known) const {
  std::uint64_t domain =
      main ? p.main_domain : (p.main_domain + random.below(p.spread)) % spec_.domains;
  std::uint32_t rank = 0;
  const auto here = [&] { return static_cast<std::uint32_t>(domain * per_domain_) + rank; };
  // What many use is drawn again and again; then the next that is new, here or next door.
  for (int tries = 0; tries < 4; ++tries) {
    rank = zipf_[random.next() % zipf_.size()];
    if (!known(here())) return here();
  }
  for (std::uint32_t domains = 0; domains <= spec_.domains; ++domains) {
    for (std::uint32_t i = 0; i < per_domain_; ++i) {
      rank = rank + 1 == per_domain_ ? 0 : rank + 1;
      if (!known(here())) return here();
    }
    domain = (domain + 1) % spec_.domains;
  }
  COVEY_CHECK(false);  // a plan has no more capabilities than there are
}

}  // namespace covey::population

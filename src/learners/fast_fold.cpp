#include <algorithm>
#include <bit>
#include <cmath>

#include "learners/fast_math.h"
#include "learners/fast_shard.h"

namespace covey::learners {
namespace {

using events::EventType;

constexpr std::uint32_t kDomainsSummed = 16;
constexpr std::size_t kTogether = 4;  // events of one learner from which that pays
constexpr std::size_t kPlaces = std::size_t{1} << 16;

// 1900 to 1970; the model takes no earlier time.
constexpr std::int32_t kDaysBefore1970 = 25'567;

/// What an event adds, by its kind: to practice, feedback received, feedback acted on; 16 bits
/// each.
constexpr auto kAdds = [] {
  std::array<std::uint64_t, Filed::kKinds> adds{};
  for (const bool acted_on : {false, true}) {
    adds[Filed::kind_of(EventType::kPractice, acted_on)] = 1;
    adds[Filed::kind_of(EventType::kFeedback, acted_on)] =
        (std::uint64_t{1} << 16) | (std::uint64_t{acted_on} << 32);
  }
  return adds;
}();

constexpr std::int32_t kWeeksBefore1970 = 4'082;  // more than there are, and a multiple of 26
static_assert(7 * kWeeksBefore1970 > kDaysBefore1970 && kWeeksBefore1970 % kWindowWeeks == 0);

// Without a branch, so that they are computed for several events at once:

/// week_of_day().
std::int32_t week_of_any_day(std::int32_t day) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(day + 3 + 7 * kWeeksBefore1970) / 7) -
         kWeeksBefore1970;
}

/// ring().
std::uint32_t ring_of_any_week(std::int32_t week) {
  return static_cast<std::uint32_t>(week + kWeeksBefore1970) % kWindowWeeks;
}

double weight_if(std::uint32_t yes, double weight) {
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(weight) & (std::uint64_t{0} - yes));
}

double domain_to_retention(double w) {
  // exp(0.05 x) from exp(0.01 x): one exponential an event instead of two, 5 ulp off at most.
  static_assert(kRetentionDecayPerDay == 5 * kDomainDecayPerDay);
  const double square = w * w;
  return square * square * w;
}

/// exp(kDomainDecayPerDay * x), x in days since the epoch's start, given as sixteenths.
double decay(std::int64_t sixteenths) {
  std::int64_t day = sixteenths / Sixteenths::kPerDay;
  std::int64_t within = sixteenths % Sixteenths::kPerDay;
  if (within < 0) {
    --day;
    within += Sixteenths::kPerDay;
  }
  return domain_decay(day, static_cast<double>(within) * Sixteenths::kDays);
}

double times_log2(double w) {
  // Weights that decayed to nothing take the long way, where a subnormal is no trap.
  if (w > 1e-300) return w * fast_log2(w);
  return w > 0 ? w * std::log2(w) : 0;
}

std::uint32_t largest_of(const FoldSheet::Column<std::uint32_t>& column, std::size_t n) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < n; ++i) largest = std::max(largest, column[i]);
  return largest;
}

std::int16_t epoch_of(std::int32_t day) {
  return static_cast<std::int16_t>(day >= 0 ? day / Row::kEpochDays
                                            : (day - Row::kEpochDays + 1) / Row::kEpochDays);
}

}  // namespace

void Shard::prefetch_row(std::uint32_t index) const {
  const char* bytes = reinterpret_cast<const char*>(&row(index));
  __builtin_prefetch(bytes, 1);
  __builtin_prefetch(bytes + 64, 1);
}

void Shard::prefetch_blocks(std::uint32_t index) const {
  const Row& r = row(index);
  if (r.capabilities_handle != 0) {
    const std::byte* block = blocks_.at(r.capabilities_handle);
    __builtin_prefetch(block, 1);
    __builtin_prefetch(block + 64, 1);
  }
  if (r.domains_handle != 0) {
    const std::byte* block = blocks_.at(r.domains_handle);
    __builtin_prefetch(block, 1);
    __builtin_prefetch(block + 64, 1);
  }
}

void Shard::fold(std::span<const Filed> events, FoldSheet& sheet) {
  // Where rows and blocks of events further on are asked for.
  std::size_t rows_ahead = 0, blocks_ahead = 0;
  for (std::size_t begin = 0; begin < events.size();) {
    for (; rows_ahead < std::min(begin + 2 * kLookahead, events.size()); ++rows_ahead) {
      if (rows_ahead == 0 || events[rows_ahead].learner != events[rows_ahead - 1].learner) {
        prefetch_row(events[rows_ahead].learner);
      }
    }
    for (; blocks_ahead < std::min(begin + kLookahead, events.size()); ++blocks_ahead) {
      if (blocks_ahead == 0 || events[blocks_ahead].learner != events[blocks_ahead - 1].learner) {
        prefetch_blocks(events[blocks_ahead].learner);
      }
    }
    std::size_t end = begin + 1;
    while (end < events.size() && events[end].learner == events[begin].learner) ++end;
    fold_learner(events.subspan(begin, end - begin), sheet);
    begin = end;
  }
}

/// Events of one learner, in the order they came.
void Shard::fold_learner(std::span<const Filed> events, FoldSheet& sheet) {
  Row& stored = row(events.front().learner);
  Row next = stored;
  const std::uint32_t practised = next.practice;
  for (std::size_t begin = 0; begin < events.size(); begin += FoldSheet::kEvents) {
    const auto part = events.subspan(begin, std::min(FoldSheet::kEvents, events.size() - begin));
    read_times(next, part, sheet);
    if (part.size() < kTogether || !practise_together(next, sheet)) {
      for (std::size_t i = 0; i < sheet.practised; ++i) practise(next, sheet.practice(i));
    }
  }
  // From the weights and not along the way, so that it is the same bits however the events were
  // cut into groups; a few logarithms a run instead of two an event.
  if (next.practice != practised && next.domains_count <= kDomainsSummed) sum_domains(next);
  write_row(stored, next);
}

/// Days of activity and feedback, and what is practice onto the sheet.
void Shard::read_times(Row& row, std::span<const Filed> events, FoldSheet& sheet) {
  std::array<std::int32_t, FoldSheet::kEvents> days;
  std::int32_t first = INT32_MAX, last = INT32_MIN;
  std::uint64_t added = 0;
  std::size_t practised = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Filed& event = events[i];
    const std::uint64_t whole = event.time / Sixteenths::kPerDay;
    const std::int32_t day = static_cast<std::int32_t>(whole) - kDaysBefore1970;
    days[i] = day;
    first = std::min(first, day);
    last = std::max(last, day);
    // Written in any case, counted if it is practice: which one is, no branch predictor knows.
    sheet.day[practised] = day;
    sheet.within[practised] = static_cast<std::int32_t>(event.time - whole * Sixteenths::kPerDay);
    sheet.capability[practised] = event.capability;
    sheet.domain[practised] = static_cast<std::uint32_t>(event.domain);
    const std::uint64_t adds = kAdds[event.kind];
    added += adds;
    practised += adds & 1;
  }
  sheet.practised = practised;
  row.received += static_cast<std::uint32_t>(added >> 16) & 0xffff;
  row.acted_on += static_cast<std::uint32_t>(added >> 32);
  if (row.first_day == Row::kNoDay) {
    row.first_day = first;
    row.last_day = last;
  }
  row.first_day = std::min(row.first_day, first);
  if (last > row.last_day) {
    const std::int32_t ahead = last - row.last_day;
    row.active = ahead < 32 ? row.active << ahead : 0;
    row.last_day = last;
  }
  for (std::size_t i = 0; i < events.size(); ++i) {
    const std::int32_t ago = std::min(row.last_day - days[i], 32);  // 32: out of sight
    row.active |= static_cast<std::uint32_t>(std::uint64_t{1} << ago);
  }
}

// ---- Practice, one after the other: any of them

void Shard::practise(Row& row, const Practice& p) {
  const std::int32_t week = week_of_day(p.day);
  const std::int16_t epoch = epoch_of(p.day);
  if (row.practice == 0) {
    begin_practice(row, epoch, week);
  } else {
    if (epoch > row.epoch) advance_epoch(row, epoch);
    row.first_week = std::min(row.first_week, static_cast<std::int16_t>(week));
    advance_week(row, week);
  }
  const std::int64_t day = p.day - std::int64_t{row.epoch} * Row::kEpochDays;
  const auto when = static_cast<std::int32_t>(
      std::max<std::int64_t>(day * Sixteenths::kPerDay + p.within, Row::kOldest));
  if (row.practice == 0) row.newest = when;
  ++row.practice;
  const double weight = domain_decay(day, static_cast<double>(p.within) * Sixteenths::kDays);
  use(row, p.capability, when, week, domain_to_retention(weight));
  weigh(row, p.domain, weight);
}

void Shard::begin_practice(Row& row, std::int16_t epoch, std::int32_t week) {
  row.epoch = epoch;
  row.first_week = row.last_week = static_cast<std::int16_t>(week);
}

void Shard::advance_week(Row& row, std::int32_t week) {
  if (week <= row.last_week) return;
  const std::int32_t gap = std::min(week - row.last_week, kWindowWeeks);
  for (std::int32_t i = 0; i < gap; ++i) row.adopted[ring(week - i)] = 0;
  row.last_week = static_cast<std::int16_t>(week);
}

void Shard::use(Row& row, std::uint32_t capability, std::int32_t when, std::int32_t week,
                double weight) {
  row.use_weight += weight;
  KeyedBlock used = capabilities(row);
  std::int32_t* const known = Capabilities::find(blocks_, used, capability);
  if (known == nullptr) {
    Capabilities::insert(blocks_, used, capability, when);
    set_capabilities(row, used);
    row.first_use_weight += weight;
    first_use(row, week);
  } else if (when < row.newest && when < *known) {  // else it can't be earlier than the first
    earlier_use(row, *known, when, week, weight);
  }
  row.newest = std::max(row.newest, when);
}

/// A late event of a capability whose first use so far was at `first`.
void Shard::earlier_use(Row& row, std::int32_t& first, std::int32_t when, std::int32_t week,
                        double weight) {
  const double was = domain_to_retention(decay(first));
  const std::int64_t first_day =
      (first - (Sixteenths::kPerDay - 1) * (first < 0)) / Sixteenths::kPerDay +
      std::int64_t{row.epoch} * Row::kEpochDays;
  const std::int32_t old_week = week_of_day(static_cast<std::int32_t>(first_day));
  row.first_use_weight += weight - was;
  first = when;
  if (old_week != week) {
    drop_first_use(row, old_week);
    first_use(row, week);
  }
}

void Shard::weigh(Row& row, std::uint32_t domain, double weight) {
  KeyedBlock seen = domains(row);
  double* const known = Domains::find(blocks_, seen, domain);
  double total = weight;
  if (known == nullptr) {
    COVEY_CHECK(seen.count < UINT16_MAX);
    if (seen.count == kDomainsSummed) sum_domains(row);  // from here on along the way
    Domains::insert(blocks_, seen, domain, weight);
    set_domains(row, seen);
    if (seen.count > kDomainsSummed) row.domain_weight_log += times_log2(weight);
  } else {
    total = *known + weight;
    if (seen.count > kDomainsSummed) {
      row.domain_weight_log += times_log2(total) - times_log2(*known);
    }
    *known = total;
  }
  row.domain_weight += weight;
  row.domain_weight_max = std::max(row.domain_weight_max, total);
}

void Shard::sum_domains(Row& row) const {
  double sum = 0;
  Domains::each(blocks_, domains(row),
                [&](std::uint32_t, double& weight) { sum += times_log2(weight); });
  row.domain_weight_log = sum;
}

// ---- Practice, many of one learner together: the same sums in the same order, to the last bit

// One after the other, an event mostly waits: for the search of its capability to end at a key that
// nobody could foresee, for the branch that adds it or not. Here a table over the numbers of
// capabilities, filled for the learner and emptied after it, says at once where one is, and what
// depends on a single event is a branch only where one way is rare: a late first use, a new domain.
//
// False, and nothing done, where that would not be the same: events of another epoch than the
// learner's, a week's counter that could overflow.
bool Shard::practise_together(Row& row, FoldSheet& sheet) {
  const std::size_t n = sheet.practised;
  if (n == 0) return true;
  const std::int16_t epoch = row.practice == 0 ? epoch_of(sheet.day[0]) : row.epoch;
  const std::int32_t epoch_day = std::int32_t{epoch} * Row::kEpochDays;
  static_assert((Row::kEpochDays & (Row::kEpochDays - 1)) == 0);
  std::uint32_t days = 0;  // all below a power of two, if their bits are
  for (std::size_t i = 0; i < n; ++i) days |= static_cast<std::uint32_t>(sheet.day[i] - epoch_day);
  constexpr std::uint8_t kAdoptedMax = 254 - FoldSheet::kEvents;
  std::uint8_t adopted = 0;
  for (const std::uint8_t week : row.adopted) adopted = std::max(adopted, week);
  if (days >= Row::kEpochDays || adopted > kAdoptedMax) return false;

  static_assert(detail::kDecayDays == Row::kEpochDays);
  for (std::size_t i = 0; i < n; ++i) {
    sheet.weight[i] = detail::kDecayTable[static_cast<std::uint32_t>(sheet.day[i] - epoch_day)];
  }
  for (std::size_t i = 0; i < n; ++i) {
    sheet.weight[i] *= decay_within_day(sheet.within[i] * Sixteenths::kDays);
    sheet.use_weight[i] = domain_to_retention(sheet.weight[i]);
  }
  std::int32_t first_week = INT32_MAX, last_week = INT32_MIN, newest = INT32_MIN;
  for (std::size_t i = 0; i < n; ++i) {
    sheet.when[i] = (sheet.day[i] - epoch_day) * static_cast<std::int32_t>(Sixteenths::kPerDay) +
                    sheet.within[i];
    sheet.week[i] = week_of_any_day(sheet.day[i]);
    first_week = std::min(first_week, sheet.week[i]);
    last_week = std::max(last_week, sheet.week[i]);
    newest = std::max(newest, sheet.when[i]);
  }
  if (row.practice == 0) {
    begin_practice(row, epoch, sheet.week[0]);
    row.newest = newest;
  }
  row.practice += static_cast<std::uint32_t>(n);
  row.first_week = std::min(row.first_week, static_cast<std::int16_t>(first_week));
  // To the end at once: a first use that would be forgotten on the way is not entered at all.
  advance_week(row, last_week);
  const std::int32_t forgotten = row.last_week - kWindowWeeks;
  for (std::size_t i = 0; i < n; ++i) {
    sheet.slot[i] = static_cast<std::uint8_t>(
        sheet.week[i] > forgotten ? ring_of_any_week(sheet.week[i]) : FoldSheet::kForgotten);
  }
  add_together(row, sheet);
  row.newest = std::max(row.newest, newest);
  return true;
}

/// First uses while a learner's events are added: of capabilities it had, then of new ones, in one
/// column, so that no event asks which it is.
class Shard::Uses {
 public:
  Uses(Shard& shard, Row& row, FoldSheet& sheet)
      : shard_(shard), row_(row), sheet_(sheet), used_(capabilities(row)) {
    sheet.capabilities.resize(kPlaces);
    if (largest_of(sheet.capability, sheet.practised) > Capabilities::kNarrowMax ||
        !Capabilities::tell_places(shard.blocks_, used_, 4 * sheet.practised, sheet.capabilities)) {
      return;
    }
    known_ = Capabilities::take_values(shard.blocks_, used_, first_.data());
    together_ = true;
  }
  bool together() const { return together_; }

  /// A local of the loop, which registers hold.
  struct Sums {
    double use_weight, first_use_weight;
    std::uint32_t added = 0;
  };
  Sums sums() const { return {row_.use_weight, row_.first_use_weight}; }

  // What is written as of a new one counts if it is one: arithmetic, for of a choice a compiler
  // makes a branch.
  [[gnu::always_inline]] void add(std::size_t i, Sums& sums) {
    const std::int32_t when = sheet_.when[i];
    const std::uint32_t capability = sheet_.capability[i];
    std::uint16_t& place = sheet_.capabilities[capability];
    const std::uint32_t fresh = place == 0 ? 1 : 0;
    new_key_[sums.added] = static_cast<std::uint16_t>(capability);
    first_[known_ + sums.added] = when;
    sums.added += fresh;
    const std::uint32_t at = place + ((0 - fresh) & (known_ + sums.added));
    place = static_cast<std::uint16_t>(at);
    adopted_[sheet_.slot[i]] += static_cast<std::uint8_t>(fresh);
    const double weight = sheet_.use_weight[i];
    sums.use_weight += weight;
    sums.first_use_weight += weight_if(fresh, weight);
    if (when < first_[at - 1]) [[unlikely]] {
      sums.first_use_weight = earlier(first_[at - 1], i, sums.first_use_weight);
    }
  }

  void store(const Sums& sums) {
    enter_adopted();
    row_.use_weight = sums.use_weight;
    row_.first_use_weight = sums.first_use_weight;
    if (earlier_) Capabilities::put_values(shard_.blocks_, used_, first_.data());
    Capabilities::forget_places(shard_.blocks_, used_, sheet_.capabilities);
    for (std::uint32_t i = 0; i < sums.added; ++i) sheet_.capabilities[new_key_[i]] = 0;
    Capabilities::append(shard_.blocks_, used_, std::span(new_key_).first(sums.added),
                         first_.data() + known_);
    set_capabilities(row_, used_);
  }

 private:
  static constexpr std::size_t kKnown = 4 * FoldSheet::kEvents;

  void enter_adopted() {
    for (std::size_t w = 0; w < row_.adopted.size(); ++w) row_.adopted[w] += adopted_[w];
    adopted_ = {};
  }
  [[gnu::noinline]] double earlier(std::int32_t& first, std::size_t i, double first_use_weight) {
    enter_adopted();
    row_.first_use_weight = first_use_weight;
    shard_.earlier_use(row_, first, sheet_.when[i], sheet_.week[i], sheet_.use_weight[i]);
    earlier_ = true;
    return row_.first_use_weight;
  }

  Shard& shard_;
  Row& row_;
  FoldSheet& sheet_;
  KeyedBlock used_;
  bool together_ = false, earlier_ = false;
  std::uint32_t known_ = 0;
  std::array<std::uint8_t, FoldSheet::kSlots> adopted_{};
  std::array<std::uint16_t, FoldSheet::kEvents + 1> new_key_;
  std::array<std::int32_t, kKnown + FoldSheet::kEvents + 1> first_;
};

/// Weights of domains, likewise.
class Shard::Weighs {
 public:
  Weighs(Shard& shard, Row& row, FoldSheet& sheet)
      : shard_(shard), row_(row), sheet_(sheet), seen_(domains(row)) {
    const std::size_t n = sheet.practised;
    FoldSheet::Places& places = sheet.domains;
    places.resize(kPlaces);
    if (largest_of(sheet.domain, n) > Domains::kNarrowMax || seen_.count > kDomainsSummed ||
        !Domains::tell_places(shard.blocks_, seen_, kDomainsSummed, places)) {
      return;
    }
    known_ = Domains::take_values(shard.blocks_, seen_, weight_.data());
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint32_t domain = sheet.domain[i];
      std::uint16_t& place = places[domain];
      // Few are new, so this branch is foreseen; without it each event of one domain would wait
      // for the one before it.
      if (place == 0) [[unlikely]] {
        new_key_[added_++] = static_cast<std::uint16_t>(domain);
        place = static_cast<std::uint16_t>(known_ + added_);
      }
      at_[i] = static_cast<std::uint8_t>(place - 1);
    }
    Domains::forget_places(shard.blocks_, seen_, places);
    for (std::uint32_t i = 0; i < added_; ++i) places[new_key_[i]] = 0;
    if (known_ + added_ > kDomainsSummed) return;
    std::fill_n(weight_.begin() + known_, added_, 0.0);
    together_ = true;
  }
  bool together() const { return together_; }

  struct Sums {
    double sum, largest;
  };
  Sums sums() const { return {row_.domain_weight, row_.domain_weight_max}; }

  [[gnu::always_inline]] void add(std::size_t i, Sums& sums) {
    const double weight = sheet_.weight[i];
    const double now = weight_[at_[i]] + weight;
    weight_[at_[i]] = now;
    sums.sum += weight;
    sums.largest = std::max(sums.largest, now);
  }

  void store(const Sums& sums) {
    row_.domain_weight = sums.sum;
    row_.domain_weight_max = sums.largest;
    Domains::put_values(shard_.blocks_, seen_, weight_.data());
    Domains::append(shard_.blocks_, seen_, std::span(new_key_).first(added_),
                    weight_.data() + known_);
    set_domains(row_, seen_);
  }

 private:
  Shard& shard_;
  Row& row_;
  FoldSheet& sheet_;
  KeyedBlock seen_;
  bool together_ = false;
  std::uint32_t known_ = 0, added_ = 0;
  std::array<std::uint8_t, FoldSheet::kEvents> at_;
  std::array<std::uint16_t, FoldSheet::kEvents + 1> new_key_;
  std::array<double, kDomainsSummed> weight_;
};

void Shard::add_together(Row& row, FoldSheet& sheet) {
  const std::size_t n = sheet.practised;
  Uses uses(*this, row, sheet);
  Weighs weighs(*this, row, sheet);
  auto used = uses.sums();
  auto weighed = weighs.sums();
  if (uses.together() && weighs.together()) {
    // In one loop: a sum waits for the one before it, and meanwhile the others go on.
    for (std::size_t i = 0; i < n; ++i) {
      uses.add(i, used);
      weighs.add(i, weighed);
    }
    uses.store(used);
    weighs.store(weighed);
    return;
  }
  if (uses.together()) {
    for (std::size_t i = 0; i < n; ++i) uses.add(i, used);
    uses.store(used);
  } else {
    for (std::size_t i = 0; i < n; ++i) {
      use(row, sheet.capability[i], sheet.when[i], sheet.week[i], sheet.use_weight[i]);
    }
  }
  if (weighs.together()) {
    for (std::size_t i = 0; i < n; ++i) weighs.add(i, weighed);
    weighs.store(weighed);
  } else {
    for (std::size_t i = 0; i < n; ++i) weigh(row, sheet.domain[i], sheet.weight[i]);
  }
}

// ---- Both ways

// The first event of a later epoch re-bases weights and times: once in 1,024 days.
void Shard::advance_epoch(Row& row, std::int16_t epoch) {
  const std::int64_t days = std::int64_t{epoch - row.epoch} * Row::kEpochDays;
  const double fade = std::exp(-kDomainDecayPerDay * static_cast<double>(days));
  const double fade_use = domain_to_retention(fade);
  const auto older = [&](std::int32_t& when) {
    when = static_cast<std::int32_t>(
        std::max<std::int64_t>(when - days * Sixteenths::kPerDay, Row::kOldest));
  };
  row.epoch = epoch;
  older(row.newest);
  Capabilities::each(blocks_, capabilities(row),
                     [&](std::uint32_t, std::int32_t& first) { older(first); });
  row.use_weight *= fade_use;
  row.first_use_weight *= fade_use;
  row.domain_weight = row.domain_weight_log = row.domain_weight_max = 0;
  Domains::each(blocks_, domains(row), [&](std::uint32_t, double& weight) {
    weight *= fade;
    row.domain_weight += weight;
    row.domain_weight_log += times_log2(weight);
    row.domain_weight_max = std::max(row.domain_weight_max, weight);
  });
}

void Shard::first_use(Row& row, std::int32_t week) {
  if (week <= row.last_week - kWindowWeeks) return;
  std::uint8_t& count = row.adopted[ring(week)];
  if (count < 255) ++count;
}

// Called when a late event showed an earlier first use, which the block holds already.
void Shard::drop_first_use(Row& row, std::int32_t week) {
  if (week <= row.last_week - kWindowWeeks) return;
  std::uint8_t& count = row.adopted[ring(week)];
  if (count < 255) {
    --count;
    return;
  }
  const std::int64_t monday = std::int64_t{week} * 7 - 3;  // see week_of_day
  const std::int64_t begin =
      (monday - std::int64_t{row.epoch} * Row::kEpochDays) * Sixteenths::kPerDay;
  std::uint32_t real = 0;  // the counter stopped at 255, so count again
  Capabilities::each(blocks_, capabilities(row), [&](std::uint32_t, std::int32_t& first) {
    real += first >= begin && first < begin + 7 * Sixteenths::kPerDay ? 1 : 0;
  });
  count = static_cast<std::uint8_t>(std::min(real, 255u));
}

}  // namespace covey::learners

#include <algorithm>
#include <cmath>

#include "learners/fast_math.h"
#include "learners/fast_shard.h"

namespace covey::learners {
namespace {

using events::EventType;

constexpr std::uint32_t kDomainsSummed = 16;
constexpr std::size_t kTogether = 4;  // events of one learner from which that pays
constexpr std::size_t kPlaces = std::size_t{1} << 16;
constexpr std::uint32_t kAdded = 0x8000;  // places from here are those of a sheet, not of a block

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

/// week_of_day() without a branch, so that it is computed for several days at once.
std::int32_t week_of_any_day(std::int32_t day) {
  constexpr std::int32_t kWeeks = 4'096;  // before 1970, more than there are
  static_assert(7 * kWeeks > kDaysBefore1970);
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(day + 3 + 7 * kWeeks) / 7) - kWeeks;
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
// capabilities, filled for the learner and emptied after it, says at once where one is, and nothing
// that depends on a single event is a branch.
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
  use_together(row, sheet);
  row.newest = std::max(row.newest, newest);
  weigh_together(row, sheet);
  return true;
}

void Shard::use_together(Row& row, FoldSheet& sheet) {
  const std::size_t n = sheet.practised;
  KeyedBlock used = capabilities(row);
  FoldSheet::Places& places = sheet.capabilities;
  places.resize(kPlaces);
  if (largest_of(sheet.capability, n) > Capabilities::kNarrowMax ||
      !Capabilities::tell_places(blocks_, used, 4 * n, places)) {
    for (std::size_t i = 0; i < n; ++i) {
      use(row, sheet.capability[i], sheet.when[i], sheet.week[i], sheet.use_weight[i]);
    }
    return;
  }
  std::int32_t* const known = Capabilities::values(blocks_, used);
  std::array<std::uint16_t, FoldSheet::kEvents> new_key;
  std::array<std::int32_t, FoldSheet::kEvents> new_first;
  std::uint32_t added = 0;
  const std::int32_t forgotten = row.last_week - kWindowWeeks;
  // Not in the row: a sum that is stored at each step waits for the step before.
  double use_weight = row.use_weight, first_use_weight = row.first_use_weight;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t capability = sheet.capability[i];
    const std::int32_t when = sheet.when[i], week = sheet.week[i];
    std::uint16_t& place = places[capability];
    const std::uint32_t fresh = place == 0 ? 1 : 0;
    new_key[added] = static_cast<std::uint16_t>(capability);
    new_first[added] = when;
    place = fresh != 0 ? static_cast<std::uint16_t>(kAdded + added) : place;
    added += fresh;
    std::int32_t& first = place >= kAdded ? new_first[place - kAdded] : known[place - 1];
    const double weight = sheet.use_weight[i];
    use_weight += weight;
    first_use_weight += fresh != 0 ? weight : 0.0;
    row.adopted[ring(week)] += static_cast<std::uint8_t>(fresh & (week > forgotten ? 1u : 0u));
    if (when < first) [[unlikely]] {
      row.first_use_weight = first_use_weight;
      earlier_use(row, first, when, week, weight);
      first_use_weight = row.first_use_weight;
    }
  }
  row.use_weight = use_weight;
  row.first_use_weight = first_use_weight;
  Capabilities::forget_places(blocks_, used, places);
  for (std::uint32_t i = 0; i < added; ++i) places[new_key[i]] = 0;
  Capabilities::append(blocks_, used, std::span(new_key).first(added), new_first.data());
  set_capabilities(row, used);
}

void Shard::weigh_together(Row& row, FoldSheet& sheet) {
  const std::size_t n = sheet.practised;
  KeyedBlock seen = domains(row);
  FoldSheet::Places& places = sheet.domains;
  places.resize(kPlaces);
  const auto one_by_one = [&] {
    for (std::size_t i = 0; i < n; ++i) weigh(row, sheet.domain[i], sheet.weight[i]);
  };
  if (largest_of(sheet.domain, n) > Domains::kNarrowMax || seen.count > kDomainsSummed ||
      !Domains::tell_places(blocks_, seen, 4 * n, places)) {
    return one_by_one();
  }
  std::array<std::uint16_t, FoldSheet::kEvents> new_key, at;
  std::uint32_t added = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t domain = sheet.domain[i];
    std::uint16_t& place = places[domain];
    const std::uint32_t fresh = place == 0 ? 1 : 0;
    new_key[added] = static_cast<std::uint16_t>(domain);
    place = fresh != 0 ? static_cast<std::uint16_t>(kAdded + added) : place;
    added += fresh;
    at[i] = place;
  }
  Domains::forget_places(blocks_, seen, places);
  for (std::uint32_t i = 0; i < added; ++i) places[new_key[i]] = 0;
  if (seen.count + added > kDomainsSummed) return one_by_one();
  double* const known = Domains::values(blocks_, seen);
  std::array<double, FoldSheet::kEvents> new_weight;
  std::fill_n(new_weight.begin(), added, 0.0);
  double domain_weight = row.domain_weight, domain_weight_max = row.domain_weight_max;
  for (std::size_t i = 0; i < n; ++i) {
    double& total = at[i] >= kAdded ? new_weight[at[i] - kAdded] : known[at[i] - 1];
    const double now = total + sheet.weight[i];
    total = now;
    domain_weight += sheet.weight[i];
    domain_weight_max = std::max(domain_weight_max, now);
  }
  row.domain_weight = domain_weight;
  row.domain_weight_max = domain_weight_max;
  Domains::append(blocks_, seen, std::span(new_key).first(added), new_weight.data());
  set_domains(row, seen);
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

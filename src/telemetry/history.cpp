#include "telemetry/history.h"

#include <algorithm>
#include <numeric>

#include "base/result.h"

namespace covey::telemetry {
namespace {

constexpr std::size_t kPlain = 3;  // sent, unanswered, wrong

std::size_t place(Arm arm) {
  return static_cast<std::size_t>(arm);
}

}  // namespace

std::string_view name(Arm arm) {
  return arm == Arm::kCandidate ? "candidate" : "baseline";
}

std::string_view name(Fault fault) {
  constexpr std::string_view kNames[] = {"none",     "client_error", "500",       "502",
                                         "503",      "504",          "other_5xx", "connection",
                                         "time_out", "retried"};
  return kNames[static_cast<std::size_t>(fault)];
}

Shape Shape::of(std::vector<std::string> segments, std::vector<Duration> slower_than) {
  segments.emplace_back("other");
  std::ranges::sort(slower_than);
  const auto repeated = std::ranges::unique(slower_than);
  slower_than.erase(repeated.begin(), repeated.end());
  return {std::move(segments), std::move(slower_than)};
}

std::size_t Shape::limit(Duration slower) const {
  const auto at = std::ranges::find(slower_than, slower);
  COVEY_CHECK(at != slower_than.end());
  return static_cast<std::size_t>(at - slower_than.begin());
}

void Levels::operator+=(const Levels& other) {
  samples += other.samples;
  cpu += other.cpu;
  memory += other.memory;
  network += other.network;
  cache_hits += other.cache_hits;
  lookups += other.lookups;
  network_samples += other.network_samples;
  revenue += other.revenue;
  practice += other.practice;
  activity_samples += other.activity_samples;
  slots_up += other.slots_up;
  slots_down += other.slots_down;
}

Sums::Sums(const Shape& shape)
    : segments_(shape.segments.size()),
      limits_(shape.slower_than.size()),
      sums_(kArms * segments_ * counters() + kArms * Levels::kNumbers) {}

std::size_t Sums::counters() const {
  return kPlain + 2 * limits_ + kFaults;
}

std::uint64_t* Sums::cell(Arm arm, std::size_t segment) {
  COVEY_CHECK(segment < segments_);
  return sums_.data() + (place(arm) * segments_ + segment) * counters();
}
const std::uint64_t* Sums::cell(Arm arm, std::size_t segment) const {
  return const_cast<Sums*>(this)->cell(arm, segment);
}

Counts Sums::counts(Arm arm, std::size_t segment) const {
  const std::uint64_t* at = cell(arm, segment);
  return {at[0],
          at[1],
          at[2],
          {at + kPlain, limits_},
          {at + kPlain + limits_, limits_},
          {at + kPlain + 2 * limits_, kFaults}};
}

Counts Sums::counts(Arm arm) const {
  auto& all = over_segments_[place(arm)];
  all.assign(counters(), 0);
  for (std::size_t s = 0; s < segments_; ++s) {
    const std::uint64_t* at = cell(arm, s);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += at[i];
  }
  return {all[0],
          all[1],
          all[2],
          {all.data() + kPlain, limits_},
          {all.data() + kPlain + limits_, limits_},
          {all.data() + kPlain + 2 * limits_, kFaults}};
}

Levels Sums::levels(Arm arm) const {
  const std::uint64_t* at =
      sums_.data() + kArms * segments_ * counters() + place(arm) * Levels::kNumbers;
  return {at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7], at[8], at[9], at[10], at[11]};
}

void Sums::add(Arm arm, std::size_t segment, bool answered, bool right, Duration latency,
               std::span<const Duration> limits, Fault fault) {
  COVEY_CHECK(limits.size() == limits_);
  std::uint64_t* at = cell(arm, segment);
  ++at[0];
  at[1] += !answered;
  at[2] += answered && !right;
  for (std::size_t i = 0; i < limits_; ++i) {
    const bool slow = answered && latency > limits[i];
    at[kPlain + i] += slow;
    at[kPlain + limits_ + i] += slow || !answered || !right;
  }
  if (fault != Fault::kNone) ++at[kPlain + 2 * limits_ + static_cast<std::size_t>(fault) - 1];
}

void Sums::add(Arm arm, std::size_t segment, std::uint64_t sent, std::uint64_t unanswered,
               std::uint64_t wrong, std::span<const std::uint64_t> slow,
               std::span<const std::uint64_t> bad) {
  COVEY_CHECK(slow.size() == limits_ && bad.size() == limits_);
  std::uint64_t* at = cell(arm, segment);
  at[0] += sent;
  at[1] += unanswered;
  at[2] += wrong;
  for (std::size_t i = 0; i < limits_; ++i) {
    at[kPlain + i] += slow[i];
    at[kPlain + limits_ + i] += bad[i];
  }
}

void Sums::add(Arm arm, const Levels& levels) {
  std::uint64_t* at = sums_.data() + kArms * segments_ * counters() + place(arm) * Levels::kNumbers;
  at[0] += levels.samples;
  at[1] += levels.cpu;
  at[2] += levels.memory;
  at[3] += levels.network;
  at[4] += levels.cache_hits;
  at[5] += levels.lookups;
  at[6] += levels.network_samples;
  at[7] += levels.revenue;
  at[8] += levels.practice;
  at[9] += levels.activity_samples;
  at[10] += levels.slots_up;
  at[11] += levels.slots_down;
}

void Sums::operator+=(const Sums& other) {
  COVEY_CHECK(sums_.size() == other.sums_.size());
  for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += other.sums_[i];
  missing += other.missing;
}

void Sums::operator-=(const Sums& other) {
  COVEY_CHECK(sums_.size() == other.sums_.size());
  for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] -= other.sums_[i];
  missing -= other.missing;
}

History::History(Shape shape, Duration slot, Retention retention)
    : shape_(std::move(shape)), slot_(slot), retention_(retention) {
  COVEY_CHECK(slot.count() > 0);
}

void History::add(Time end, const Sums& slot, bool complete, std::int64_t slots) {
  const Duration covers = slots * slot_;
  auto& fine = grains_.back();
  if (fine.empty()) {
    first_ = end - covers;
    fine.push_back({first_, Sums(shape_)});
  }
  if (end <= fine.back().at) return;
  const Duration hole = end - fine.back().at - covers;
  if (hole.count() > 0) {
    fine.push_back({end - covers, fine.back().total});
    fine.back().total.missing += hole;
  }
  fine.push_back({end, fine.back().total});
  Sums& total = fine.back().total;
  total += slot;
  if (complete) {
    last_complete_ = end;
  } else {
    total.missing += covers;
  }
  merge();
}

void History::merge() {
  const Time now = grains_.back().back().at;
  const std::array<Time, 3> oldest = {Time::min(), now - retention_.minutes, now - retention_.fine};
  const std::array<Duration, 3> grain = {std::chrono::hours(1), std::chrono::minutes(1), slot_};
  for (std::size_t g = grains_.size() - 1; g > 0; --g) {
    auto& from = grains_[g];
    while (from.size() > 1 && from.front().at < oldest[g]) {
      // Only what lies on the coarser grain's clock is kept.
      if (from.front().at.time_since_epoch() % grain[g - 1] == Duration::zero()) {
        grains_[g - 1].push_back(std::move(from.front()));
      }
      from.pop_front();
    }
  }
}

const History::Boundary* History::at_or_before(Time t) const {
  for (std::size_t g = grains_.size(); g-- > 0;) {
    const auto at = std::ranges::upper_bound(grains_[g], t, {}, &Boundary::at);
    if (at != grains_[g].begin()) return &*(at - 1);
  }
  return nullptr;
}

const History::Boundary* History::at_or_after(Time t) const {
  for (const auto& grain : grains_) {
    const auto at = std::ranges::lower_bound(grain, t, {}, &Boundary::at);
    if (at != grain.end()) return &*at;
  }
  return nullptr;
}

std::size_t History::boundaries() const {
  return grains_[0].size() + grains_[1].size() + grains_[2].size();
}

std::optional<Sums> History::between(Time from, Time to) const {
  const auto& fine = grains_.back();
  if (fine.empty() || to < from) return std::nullopt;
  const Boundary* last = at_or_before(to);
  const Boundary* first = at_or_after(from);
  if (last == nullptr || first == nullptr || first->at > last->at) return std::nullopt;
  Sums out = last->total;
  out -= first->total;
  out.missing += std::max(Duration{}, first_ - from);
  if (last == &fine.back() && to > last->at + slot_) out.missing += to - last->at;
  return out;
}

std::optional<History::Stretch> History::narrowed(Time from, Time to) const {
  const auto& fine = grains_.back();
  if (fine.empty() || to < from) return std::nullopt;
  const Boundary* last = at_or_before(to);
  const Boundary* first = at_or_after(from);
  if (last == nullptr || first == nullptr || first->at > last->at) return std::nullopt;
  // Before the first slot and after the last nothing is narrowed: that time is missing.
  return Stretch{from < first_ ? from : first->at,
                 last == &fine.back() && to > last->at + slot_ ? to : last->at};
}

Duration History::grain(Time from) const {
  if (grains_.back().empty()) return slot_;
  const Time now = grains_.back().back().at;
  if (from >= now - retention_.fine) return slot_;
  // Only boundaries of slots are ever kept, so that a grain is a common multiple with the slot.
  const Duration coarse = from >= now - retention_.minutes ? Duration(std::chrono::minutes(1))
                                                           : Duration(std::chrono::hours(1));
  return Duration(std::lcm(coarse.count(), slot_.count()));
}

std::optional<Time> History::last_complete() const {
  return last_complete_;
}

std::optional<Time> History::last() const {
  if (grains_.back().empty()) return std::nullopt;
  return grains_.back().back().at;
}

}  // namespace covey::telemetry

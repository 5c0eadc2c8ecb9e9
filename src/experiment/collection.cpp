#include "experiment/collection.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/hash.h"
#include "base/memory.h"

namespace covey::experiment {
namespace {

using events::Batch;
using events::EventType;
using std::chrono::microseconds;

constexpr std::size_t kParts = 64;
constexpr std::uint32_t kNobody = 0xffffffff;
constexpr std::size_t kLookahead = 32;
constexpr std::size_t kValuesMax = 60'000;  // of one attribute; more are "other"

/// Which learners of a part are where. Keys are 128-bit hashes, equal only of equal ids
/// (base/hash.h).
class Index {
 public:
  std::uint32_t find(const Hash128& key) const {
    if (slots_.empty()) return kNobody;
    for (std::size_t at = key.low & mask_;; at = (at + 1) & mask_) {
      const std::uint32_t slot = slots_[at];
      if (slot == 0) return kNobody;
      if (keys_[slot - 1] == key) return slot - 1;
    }
  }
  /// `key` must not be there yet.
  std::uint32_t add(const Hash128& key) {
    if ((keys_.size() + 1) * 4 > slots_.size() * 3) grow();
    keys_.push_back(key);
    put(static_cast<std::uint32_t>(keys_.size()));
    return static_cast<std::uint32_t>(keys_.size() - 1);
  }
  void prefetch(const Hash128& key) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[key.low & mask_]);
  }
  std::size_t bytes() const {
    return keys_.capacity() * sizeof(Hash128) + slots_.capacity() * sizeof(std::uint32_t);
  }

 private:
  void put(std::uint32_t slot) {
    std::size_t at = keys_[slot - 1].low & mask_;
    while (slots_[at] != 0) at = (at + 1) & mask_;
    slots_[at] = slot;
  }
  void grow() {
    const std::size_t size = std::max<std::size_t>(64, slots_.size() * 2);
    slots_.assign(size, 0);
    mask_ = size - 1;
    for (std::uint32_t slot = 1; slot <= keys_.size(); ++slot) put(slot);
  }
  std::vector<Hash128> keys_;
  std::vector<std::uint32_t> slots_;
  std::size_t mask_ = 0;
};

/// What an event of one type adds to: a metric's y or x, and when.
struct Use {
  std::size_t metric;
  bool denominator;
  Measure::Of of;
};

}  // namespace

struct Collection::State {
  const Experiment experiment;
  std::optional<std::int64_t> as_of_us;  // nothing until known
  std::int64_t newest_us = std::numeric_limits<std::int64_t>::min();
  std::vector<Time> instants;
  std::vector<std::string> attributes;
  std::vector<std::vector<std::string>> values;                        // by attribute, by number
  std::vector<std::unordered_map<std::string, std::uint16_t>> number;  // by attribute
  std::array<std::vector<Use>, events::kEventTypes> uses;
  std::array<bool, events::kEventTypes> exposes{};
  std::size_t stepping;  // the metric whose steps are kept; none: metrics.size()

  struct Shard {
    Index index;
    Part part;
    std::vector<std::int64_t> told_us;  // learners x attributes: when the value was told
    std::size_t steps_sorted = 0;
    std::uint64_t other_currency = 0;
  };
  std::array<Shard, kParts> shards;
  std::uint64_t events = 0;

  // A batch on its way to the shards.
  struct Told {
    std::uint16_t attribute;
    std::uint32_t value;  // the batch's number
  };
  struct Filed {
    std::uint32_t row;
    std::uint32_t learner;  // the batch's number within the shard
  };
  struct Prepared {
    const Batch* batch = nullptr;
    std::vector<Hash128> key;       // by shard
    std::vector<std::uint8_t> arm;  // likewise
    std::array<std::uint32_t, kParts + 1> first_learner{};
    std::vector<Filed> filed;  // by shard, else as they came
    std::array<std::uint32_t, kParts + 1> first_event{};
    // Of profiles, by row: where in `told` theirs begin. Values are numbered by the batch first.
    std::vector<std::pair<std::uint32_t, std::uint32_t>> told_begin;  // row, begin
    std::vector<Told> told;
    std::vector<events::Dictionary> told_names;           // by attribute
    std::vector<std::vector<std::uint16_t>> told_number;  // by attribute: batch's number to ours
  };

  State(const Experiment& e, std::optional<Time> as_of) : experiment(e) {
    if (as_of) as_of_us = as_of->time_since_epoch().count();

    attributes = experiment.segments;
    for (const Exclusion& exclusion : experiment.exclude) {
      if (std::ranges::find(attributes, exclusion.attribute) == attributes.end()) {
        attributes.push_back(exclusion.attribute);
      }
    }
    values.assign(attributes.size(), {"unknown"});
    number.resize(attributes.size());
    for (std::size_t type = 0; type < events::kEventTypes; ++type) {
      const auto matches = [&](const std::optional<EventType>& wanted) {
        return wanted ? static_cast<std::size_t>(*wanted) == type
                      : static_cast<EventType>(type) != EventType::kProfile;
      };
      exposes[type] = matches(experiment.exposure);
      for (std::size_t m = 0; m < experiment.metrics.size(); ++m) {
        const Metric& metric = experiment.metrics[m];
        if (matches(metric.what.event)) uses[type].push_back({m, false, metric.what.of});
        if (metric.kind == MetricKind::kRatio && matches(metric.per.event)) {
          uses[type].push_back({m, true, metric.per.of});
        }
      }
    }
    stepping = first_primary(experiment);
    if (experiment.metrics[stepping].kind == MetricKind::kRatio ||
        experiment.metrics[stepping].kind == MetricKind::kRetention) {
      stepping = experiment.metrics.size();
    }
  }

  /// Between the passes: nothing newer than what was seen can come.
  void settle() {
    if (!instants.empty()) return;
    const std::int64_t start = experiment.start.time_since_epoch().count();
    if (!as_of_us) as_of_us = std::max(newest_us, start);
    const std::int64_t last =
        experiment.end
            ? std::min(*as_of_us, std::int64_t{experiment.end->time_since_epoch().count()})
            : *as_of_us;
    const double span = static_cast<double>(std::max<std::int64_t>(0, last - start));
    for (std::size_t i = 1; i < kInstants; ++i) {
      instants.emplace_back(microseconds(
          start + std::llround(span * static_cast<double>(i) / static_cast<double>(kInstants))));
    }
    instants.emplace_back(microseconds(std::max(last, start)));
  }

  /// The last instant an event counts at is before this.
  std::int64_t end_us() const {
    const std::int64_t now = as_of_us ? *as_of_us + 1 : kNever;
    return experiment.end ? std::min(now, std::int64_t{experiment.end->time_since_epoch().count()})
                          : now;
  }

  std::uint16_t instant_of(std::int64_t time_us) const {
    const auto at = std::ranges::lower_bound(instants, Time(microseconds(time_us)));
    return static_cast<std::uint16_t>(
        std::min<std::ptrdiff_t>(at - instants.begin(), std::ssize(instants) - 1));
  }

  template <typename Wanted>
  void prepare(Prepared& out, bool profiles, const Wanted& wanted) const;
  void resolve(Shard& shard, const Prepared& p, std::size_t s, bool add,
               std::vector<std::uint32_t>& rows);
  void add_event(Shard& shard, std::uint32_t who, const Batch& batch, std::uint32_t row,
                 std::vector<events::Attribute>& room);
  void tell(Shard& shard, std::uint32_t who, std::int64_t time_us, const Prepared& p,
            std::uint32_t row);
  static void merge_steps(Shard& shard);
};

// Which learners of a batch are in the experiment, and its events of interest by shard.
template <typename Wanted>
void Collection::State::prepare(Prepared& out, bool profiles, const Wanted& wanted) const {
  const Batch& batch = *out.batch;
  const auto learner = batch.learner();
  const std::uint32_t learners = batch.learners().size();
  std::vector<std::uint8_t> shard(learners, static_cast<std::uint8_t>(kParts));
  std::vector<std::uint8_t> arm(learners);
  std::vector<Hash128> key(learners);
  std::array<std::uint32_t, kParts + 1> learners_in{};
  for (std::uint32_t i = 0; i < learners; ++i) {
    const std::string_view name = batch.learners()[i];
    const Arm a = experiment.assignment.arm(name);
    if (a == Arm::kNone) continue;
    arm[i] = static_cast<std::uint8_t>(a);
    key[i] = hash128(name);
    shard[i] = static_cast<std::uint8_t>(key[i].high % kParts);
    ++learners_in[shard[i] + 1];
  }
  for (std::size_t s = 0; s < kParts; ++s) learners_in[s + 1] += learners_in[s];
  out.first_learner = learners_in;
  out.key.resize(learners_in[kParts]);
  out.arm.resize(learners_in[kParts]);
  std::vector<std::uint32_t> place(learners);
  auto next = learners_in;
  for (std::uint32_t i = 0; i < learners; ++i) {
    if (shard[i] == kParts) continue;
    const std::uint32_t at = next[shard[i]]++;
    place[i] = at - out.first_learner[shard[i]];
    out.key[at] = key[i];
    out.arm[at] = arm[i];
  }
  std::array<std::uint32_t, kParts + 1> events_in{};
  const auto is_wanted = [&](std::uint32_t row) {
    return shard[learner[row]] != kParts && wanted(batch.type(row));
  };
  for (std::uint32_t row = 0; row < batch.size(); ++row) {
    if (is_wanted(row)) ++events_in[shard[learner[row]] + 1];
  }
  for (std::size_t s = 0; s < kParts; ++s) events_in[s + 1] += events_in[s];
  out.first_event = events_in;
  out.filed.resize(events_in[kParts]);
  std::vector<events::Attribute> room;
  out.told_names.resize(profiles ? attributes.size() : 0);
  for (std::uint32_t row = 0; row < batch.size(); ++row) {
    if (!is_wanted(row)) continue;
    out.filed[events_in[shard[learner[row]]]++] = {row, place[learner[row]]};
    if (!profiles || batch.type(row) != EventType::kProfile) continue;
    out.told_begin.emplace_back(row, static_cast<std::uint32_t>(out.told.size()));
    room.clear();
    for (const auto& [attribute, value] : batch.event(row, room).attributes) {
      const auto at = std::ranges::find(attributes, attribute);
      if (at == attributes.end()) continue;
      const auto which = static_cast<std::size_t>(at - attributes.begin());
      out.told.push_back({static_cast<std::uint16_t>(which), out.told_names[which].intern(value)});
    }
  }
}

void Collection::State::resolve(Shard& shard, const Prepared& p, std::size_t s, bool add,
                                std::vector<std::uint32_t>& rows) {
  rows.clear();
  const std::uint32_t begin = p.first_learner[s];
  const std::uint32_t end = p.first_learner[s + 1];
  for (std::uint32_t at = begin; at < end; ++at) {
    if (at + kLookahead < end) shard.index.prefetch(p.key[at + kLookahead]);
    std::uint32_t row = shard.index.find(p.key[at]);
    if (row == kNobody && add) {
      row = shard.index.add(p.key[at]);
      shard.part.arm.push_back(p.arm[at]);
      shard.part.exposed_us.push_back(kNever);
    }
    rows.push_back(row);
  }
}

void Collection::State::add_event(Shard& shard, std::uint32_t who, const Batch& batch,
                                  std::uint32_t row, std::vector<events::Attribute>& room) {
  const std::int64_t time = batch.time_us()[row];
  const std::int64_t exposed = shard.part.exposed_us[who];
  if (exposed == kNever || time >= end_us()) return;
  const std::size_t metrics = experiment.metrics.size();
  const std::int64_t window_end = experiment.window && exposed < kNever - experiment.window->count()
                                      ? exposed + experiment.window->count()
                                      : kNever;
  const bool during = time >= exposed && time < window_end;
  const bool before = time < exposed && time >= exposed - experiment.pre_period.count();
  events::Event full;
  bool is_full = false;
  for (const Use& use : uses[static_cast<std::size_t>(batch.type(row))]) {
    const Metric& metric = experiment.metrics[use.metric];
    Values& sum = shard.part.values[who * metrics + use.metric];
    const Measure& measure = use.denominator ? metric.per : metric.what;
    if (metric.kind == MetricKind::kRetention) {
      if (time >= exposed + metric.from.count() && time < exposed + metric.to.count()) sum.y = 1;
      if (before) sum.x = 1;
      continue;
    }
    if (!during && !before) continue;
    double amount = 1;
    if (use.of != Measure::Of::kCount) {
      if (!is_full) {
        room.clear();
        full = batch.event(row, room);
        is_full = true;
      }
      switch (use.of) {
        case Measure::Of::kAmount:
          if (full.currency != measure.currency) {
            if (during) ++shard.other_currency;
            continue;
          }
          amount = full.amount.value_or(0);
          break;
        case Measure::Of::kScore:
          amount = full.score.value_or(0);
          break;
        case Measure::Of::kDuration:
          amount = full.duration_s.value_or(0);
          break;
        case Measure::Of::kCount:
          break;
      }
    }
    switch (metric.kind) {
      case MetricKind::kRatio:
        if (during) (use.denominator ? sum.x : sum.y) += amount;
        break;
      case MetricKind::kProportion:
        if (during) {
          // Every event, for an earlier one may come later: the reader takes the first instant.
          if (use.metric == stepping) shard.part.steps.push_back({who, instant_of(time), 1});
          sum.y = 1;
        } else {
          sum.x = 1;
        }
        break;
      case MetricKind::kMean:
        (during ? sum.y : sum.x) += amount;
        if (during && use.metric == stepping && amount != 0) {
          shard.part.steps.push_back({who, instant_of(time), amount});
        }
        break;
      case MetricKind::kRetention:
        break;
    }
  }
}

void Collection::State::tell(Shard& shard, std::uint32_t who, std::int64_t time_us,
                             const Prepared& p, std::uint32_t row) {
  // What was told after exposure may be an effect of it, and must not choose the segment.
  if (shard.part.exposed_us[who] == kNever || time_us > shard.part.exposed_us[who]) return;
  const auto at = std::ranges::lower_bound(p.told_begin, row, {},
                                           &std::pair<std::uint32_t, std::uint32_t>::first);
  const std::size_t end =
      std::next(at) == p.told_begin.end() ? p.told.size() : std::next(at)->second;
  for (std::size_t i = at->second; i < end; ++i) {
    const std::uint16_t value = p.told_number[p.told[i].attribute][p.told[i].value];
    const std::size_t cell = who * attributes.size() + p.told[i].attribute;
    // Of two told at the same instant the larger number stays: the same whatever came first.
    if (shard.told_us[cell] > time_us) continue;
    if (shard.told_us[cell] == time_us && shard.part.segment[cell] >= value) continue;
    shard.told_us[cell] = time_us;
    shard.part.segment[cell] = value;
  }
}

void Collection::State::merge_steps(Shard& shard) {
  auto& steps = shard.part.steps;
  std::ranges::stable_sort(steps, {},
                           [](const Part::Step& s) { return std::pair(s.learner, s.instant); });
  std::size_t kept = 0;
  for (const Part::Step& step : steps) {
    if (kept > 0 && steps[kept - 1].learner == step.learner &&
        steps[kept - 1].instant == step.instant) {
      steps[kept - 1].y += step.y;
    } else {
      steps[kept++] = step;
    }
  }
  steps.resize(kept);
  shard.steps_sorted = kept;
}

Collection::Collection(const Experiment& experiment, std::optional<Time> as_of)
    : state_(std::make_unique<State>(experiment, as_of)) {}
Collection::~Collection() = default;

std::size_t Collection::first_primary(const Experiment& experiment) {
  const auto found = std::ranges::find(experiment.metrics, Role::kPrimary, &Metric::role);
  return found == experiment.metrics.end()
             ? 0
             : static_cast<std::size_t>(found - experiment.metrics.begin());
}

void Collection::find_exposures(Batches batches, Parallel& parallel) {
  State& state = *state_;
  std::vector<State::Prepared> prepared(batches.size());
  parallel.run(batches.size(), [&](std::size_t i) {
    prepared[i].batch = batches[i];
    state.prepare(prepared[i], false,
                  [&](EventType type) { return state.exposes[static_cast<std::size_t>(type)]; });
  });
  for (const Batch* batch : batches) {
    state.events += batch->size();
    state.newest_us =
        std::max(state.newest_us, std::int64_t{batch->newest().time_since_epoch().count()});
  }
  const std::int64_t start = state.experiment.start.time_since_epoch().count();
  const std::int64_t end = state.end_us();
  parallel.run(kParts, [&](std::size_t s) {
    State::Shard& shard = state.shards[s];
    std::vector<std::uint32_t> rows;
    for (const State::Prepared& p : prepared) {
      const auto time = p.batch->time_us();
      // Learners who are not exposed in this batch are not worth a row.
      bool any = false;
      for (std::uint32_t i = p.first_event[s]; i < p.first_event[s + 1] && !any; ++i) {
        any = time[p.filed[i].row] >= start && time[p.filed[i].row] < end;
      }
      if (!any) continue;
      state.resolve(shard, p, s, true, rows);
      for (std::uint32_t i = p.first_event[s]; i < p.first_event[s + 1]; ++i) {
        const std::int64_t at = time[p.filed[i].row];
        if (at < start || at >= end) continue;
        std::int64_t& exposed = shard.part.exposed_us[rows[p.filed[i].learner]];
        exposed = std::min(exposed, at);
      }
    }
  });
}

void Collection::add_values(Batches batches, Parallel& parallel) {
  State& state = *state_;
  state.settle();
  std::vector<State::Prepared> prepared(batches.size());
  const bool profiles = !state.attributes.empty();
  parallel.run(batches.size(), [&](std::size_t i) {
    prepared[i].batch = batches[i];
    state.prepare(prepared[i], profiles, [&](EventType type) {
      return type == EventType::kProfile ? profiles
                                         : !state.uses[static_cast<std::size_t>(type)].empty();
    });
  });
  // Values are numbered on this thread alone, in the order of the log, so numbers repeat.
  for (State::Prepared& p : prepared) {
    p.told_number.resize(p.told_names.size());
    for (std::size_t attribute = 0; attribute < p.told_names.size(); ++attribute) {
      auto& names = state.values[attribute];
      for (std::uint32_t i = 0; i < p.told_names[attribute].size(); ++i) {
        const auto [at, is_new] = state.number[attribute].try_emplace(
            std::string(p.told_names[attribute][i]),
            static_cast<std::uint16_t>(std::min(names.size(), kValuesMax)));
        if (is_new && names.size() <= kValuesMax) {
          names.push_back(names.size() < kValuesMax ? at->first : "other");
        }
        p.told_number[attribute].push_back(at->second);
      }
    }
  }
  parallel.run(kParts, [&](std::size_t s) {
    State::Shard& shard = state.shards[s];
    const std::size_t learners = shard.part.arm.size();
    shard.part.values.resize(learners * state.experiment.metrics.size());
    shard.part.segment.resize(learners * state.attributes.size());
    shard.told_us.resize(learners * state.attributes.size(),
                         std::numeric_limits<std::int64_t>::min());
    std::vector<std::uint32_t> rows;
    std::vector<events::Attribute> room;
    for (const State::Prepared& p : prepared) {
      if (p.first_event[s] == p.first_event[s + 1]) continue;
      state.resolve(shard, p, s, false, rows);
      for (std::uint32_t i = p.first_event[s]; i < p.first_event[s + 1]; ++i) {
        if (i + kLookahead / 2 < p.first_event[s + 1]) {
          const std::uint32_t ahead = rows[p.filed[i + kLookahead / 2].learner];
          if (ahead != kNobody) {
            __builtin_prefetch(&shard.part.exposed_us[ahead]);
            __builtin_prefetch(&shard.part.values[ahead * state.experiment.metrics.size()], 1);
          }
        }
        const State::Filed& filed = p.filed[i];
        const std::uint32_t who = rows[filed.learner];
        if (who == kNobody) continue;
        if (p.batch->type(filed.row) == EventType::kProfile) {
          state.tell(shard, who, p.batch->time_us()[filed.row], p, filed.row);
        } else {
          state.add_event(shard, who, *p.batch, filed.row, room);
        }
      }
    }
    // Bounded by learners x instants, whatever the events.
    if (shard.part.steps.size() > 2 * shard.steps_sorted + 65'536) State::merge_steps(shard);
  });
}

void Collection::finish(Parallel& parallel) {
  State& state = *state_;
  state.settle();
  parallel.run(kParts, [&](std::size_t s) {
    State::Shard& shard = state.shards[s];
    Part& part = shard.part;
    const std::size_t learners = part.arm.size();
    part.values.resize(learners * state.experiment.metrics.size());
    part.segment.resize(learners * state.attributes.size());
    part.excluded.assign(learners, 0);
    State::merge_steps(shard);
    for (const Exclusion& exclusion : state.experiment.exclude) {
      const auto attribute = static_cast<std::size_t>(
          std::ranges::find(state.attributes, exclusion.attribute) - state.attributes.begin());
      for (std::size_t i = 0; i < learners; ++i) {
        const auto& value =
            state.values[attribute][part.segment[i * state.attributes.size() + attribute]];
        if (std::ranges::find(exclusion.values, value) != exclusion.values.end()) {
          part.excluded[i] = 1;
        }
      }
    }
    let_go(shard.told_us);
  });
}

std::size_t Collection::parts() const {
  return kParts;
}
const Collection::Part& Collection::part(std::size_t index) const {
  return state_->shards[index].part;
}
const std::vector<std::string>& Collection::attributes() const {
  return state_->attributes;
}
const std::vector<std::string>& Collection::values_of(std::size_t attribute) const {
  return state_->values[attribute];
}
Time Collection::as_of() const {
  return Time(microseconds(state_->as_of_us.value_or(0)));
}
const std::vector<Time>& Collection::instants() const {
  return state_->instants;
}
std::uint64_t Collection::events() const {
  return state_->events;
}
std::uint64_t Collection::other_currency() const {
  std::uint64_t sum = 0;
  for (const auto& shard : state_->shards) sum += shard.other_currency;
  return sum;
}

std::size_t Collection::bytes() const {
  std::size_t sum = 0;
  for (const auto& shard : state_->shards) {
    const Part& p = shard.part;
    sum += shard.index.bytes() + p.arm.capacity() + p.exposed_us.capacity() * 8 +
           p.values.capacity() * sizeof(Values) + p.segment.capacity() * 2 + p.excluded.capacity() +
           p.steps.capacity() * sizeof(Part::Step) + shard.told_us.capacity() * 8;
  }
  return sum;
}

}  // namespace covey::experiment

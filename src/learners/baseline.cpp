// engine=baseline: the definition of docs/traits.md, word for word, over the whole history. Slow on
// purpose: nothing here is maintained, everything is computed when asked, so that it can be read
// beside the definition. The fast engine is held to it by tests/learners.

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include "learners/engine.h"

namespace covey::learners {
namespace {

using events::Batch;
using events::EventType;

/// What the definition needs of one event.
struct Seen {
  Time time;
  EventType type = EventType::kSession;
  bool acted_on = false;
  std::uint32_t capability = 0, domain = 0;
};

/// What a profile event said of one attribute.
struct Said {
  Time time;
  std::string value;
};

struct History {
  std::string learner;
  std::vector<Seen> events;
  std::map<std::string, Said> attributes;
};

std::int32_t age_in_weeks(Time as_of, Time event) {
  return week_of(as_of) - week_of(event);
}

std::vector<Seen> practice_of(const History& history) {
  std::vector<Seen> practice;
  for (const Seen& e : history.events) {
    if (e.type == EventType::kPractice) practice.push_back(e);
  }
  return practice;
}

/// The instant of each capability's first use ever.
std::map<std::uint32_t, Time> first_uses(const std::vector<Seen>& practice) {
  std::map<std::uint32_t, Time> first;
  for (const Seen& e : practice) {
    const auto [at, added] = first.emplace(e.capability, e.time);
    if (!added) at->second = std::min(at->second, e.time);
  }
  return first;
}

double learning_velocity(const std::vector<Seen>& practice, Time as_of) {
  std::map<std::int32_t, int> adopted;  // by age
  for (const auto& [capability, time] : first_uses(practice)) ++adopted[age_in_weeks(as_of, time)];
  std::int32_t oldest = 0;
  for (const Seen& e : practice) oldest = std::max(oldest, age_in_weeks(as_of, e.time));
  oldest = std::min(oldest, kWindowWeeks - 1);
  const std::int32_t newest = oldest >= 1 ? 1 : 0;  // T's own week only if that is the first
  double v = 0;
  for (std::int32_t age = oldest; age >= newest; --age) {
    const double r = 1 - std::exp(-adopted[age] / kAdoptionScale);
    v = age == oldest ? r : kVelocitySmoothing * r + (1 - kVelocitySmoothing) * v;
  }
  return v;
}

/// The newest practice: weights are taken relative to it, which cancels out of every share and
/// keeps the exponentials in range.
Time newest_of(const std::vector<Seen>& practice) {
  Time newest = practice.front().time;
  for (const Seen& e : practice) newest = std::max(newest, e.time);
  return newest;
}

double weight(double decay_per_day, Time time, Time newest) {
  return std::exp(decay_per_day * (fractional_day(time) - fractional_day(newest)));
}

struct DomainShares {
  double top = 0, entropy_bits = 0;
  std::size_t domains = 0;
};

DomainShares domain_shares(const std::vector<Seen>& practice) {
  const Time newest = newest_of(practice);
  std::map<std::uint32_t, double> by_domain;
  double total = 0;
  for (const Seen& e : practice) {
    const double w = weight(kDomainDecayPerDay, e.time, newest);
    by_domain[e.domain] += w;
    total += w;
  }
  DomainShares shares;
  shares.domains = by_domain.size();
  for (const auto& [domain, w] : by_domain) {
    const double p = w / total;
    shares.top = std::max(shares.top, p);
    if (p > 0) shares.entropy_bits -= p * std::log2(p);
  }
  return shares;
}

double domain_affinity(const DomainShares& shares) {
  const double spread =
      shares.domains > 1 ? shares.entropy_bits / std::log2(static_cast<double>(shares.domains)) : 0;
  return shares.top * (1 - kEntropyPenalty * spread);
}

double interaction_frequency(const History& history, Time as_of) {
  const std::int32_t today = day_of(as_of);
  std::int32_t first = today;
  std::set<std::int32_t> active;
  for (const Seen& e : history.events) {
    const std::int32_t day = day_of(e.time);
    first = std::min(first, day);
    if (day > today - kFrequencyDays) active.insert(day);
  }
  return static_cast<double>(active.size()) / std::min(kFrequencyDays, today - first + 1);
}

double retention_strength(const std::vector<Seen>& practice) {
  const Time newest = newest_of(practice);
  double all = 0, firsts = 0;
  for (const Seen& e : practice) all += weight(kRetentionDecayPerDay, e.time, newest);
  for (const auto& [capability, time] : first_uses(practice)) {
    firsts += weight(kRetentionDecayPerDay, time, newest);
  }
  return 1 - firsts / all;
}

LearnerFacts facts_of(const History& history, Time as_of) {
  LearnerFacts facts;
  facts.learner = history.learner;
  const std::vector<Seen> practice = practice_of(history);
  facts.practice_events = static_cast<std::uint32_t>(practice.size());
  for (const Seen& e : history.events) {
    const std::int32_t day = day_of(e.time);
    facts.first_active_day = std::min(facts.first_active_day.value_or(day), day);
    facts.last_active_day = std::max(facts.last_active_day.value_or(day), day);
    if (e.type != EventType::kFeedback) continue;
    ++facts.feedback_received;
    facts.feedback_acted_on += e.acted_on ? 1 : 0;
  }
  for (const auto& [key, said] : history.attributes) facts.attributes.emplace_back(key, said.value);

  const bool recent = std::ranges::any_of(
      practice, [&](const Seen& e) { return age_in_weeks(as_of, e.time) < kWindowWeeks; });
  if (!recent) return facts;  // dormant
  facts.state = practice.size() < kPracticeForCohort ? LearnerState::kNew : LearnerState::kActive;
  const DomainShares shares = domain_shares(practice);
  facts.domain_entropy_bits = std::max(0.0, shares.entropy_bits);
  facts.specialist =
      shares.entropy_bits < kSpecialistEntropyBits && shares.top > kSpecialistTopShare;
  facts.traits.learning_velocity = learning_velocity(practice, as_of);
  facts.traits.domain_affinity = std::clamp(domain_affinity(shares), 0.0, 1.0);
  facts.traits.interaction_frequency = interaction_frequency(history, as_of);
  facts.traits.feedback_responsiveness =
      (facts.feedback_acted_on + 1.0) / (facts.feedback_received + 2.0);
  facts.traits.retention_strength = std::clamp(retention_strength(practice), 0.0, 1.0);
  return facts;
}

class Baseline final : public Engine {
 public:
  std::string_view name() const override { return "baseline"; }

  void apply(std::span<const Batch* const> batches, Parallel&) override {
    for (const Batch* batch : batches) {
      std::vector<events::Attribute> attributes;
      for (std::uint32_t i = 0; i < batch->size(); ++i) {
        const events::Event event = batch->event(i, attributes);
        // Held for one event at a time, so that a look-up never waits for a batch.
        const std::unique_lock lock(mutex_);
        History& history = history_of(event.learner);
        if (event.type == EventType::kProfile) {
          for (const auto& [key, value] : event.attributes) {
            Said said{event.time, std::string(value)};
            const auto [at, added] = history.attributes.emplace(key, said);
            Said& known = at->second;
            // The last writer by time wins; of two at one instant the larger text, so that the
            // order of arrival does not matter.
            if (!added &&
                (said.time > known.time || (said.time == known.time && said.value > known.value))) {
              known = std::move(said);
            }
          }
          continue;
        }
        Seen seen{event.time, event.type, event.acted_on.value_or(false), 0, 0};
        if (event.type == EventType::kPractice) {
          seen.capability = number(event.capability);
          seen.domain = number(event.domain);
        }
        history.events.push_back(seen);
      }
    }
  }

  std::optional<LearnerFacts> find(std::string_view learner, Time as_of) const override {
    const std::shared_lock lock(mutex_);
    const auto found = by_name_.find(learner);
    if (found == by_name_.end()) return std::nullopt;
    return facts_of(histories_[found->second], as_of);
  }

  TraitColumns traits(Time as_of, Parallel&) const override {
    TraitColumns columns;
    columns.as_of = as_of;
    for (std::size_t i = 0; i < learners(); ++i) {
      const std::shared_lock lock(mutex_);
      const LearnerFacts facts = facts_of(histories_[i], as_of);
      if (facts.state == LearnerState::kDormant) continue;
      columns.learner.push_back(static_cast<LearnerRef>(i));
      columns.clusterable.push_back(facts.state == LearnerState::kActive ? 1 : 0);
      for (std::size_t t = 0; t < kTraits; ++t) {
        columns.trait[t].push_back(static_cast<float>(facts.traits.*kTraitFields[t]));
      }
    }
    return columns;
  }

  void visit(Time as_of, const std::function<void(const LearnerFacts&)>& see) const override {
    for (std::size_t i = 0; i < learners(); ++i) {
      LearnerFacts facts;
      {
        const std::shared_lock lock(mutex_);
        facts = facts_of(histories_[i], as_of);
      }
      see(facts);
    }
  }

  std::string learner(LearnerRef ref) const override {
    const std::shared_lock lock(mutex_);
    return histories_[static_cast<std::uint64_t>(ref)].learner;
  }

  std::size_t learners() const override {
    const std::shared_lock lock(mutex_);
    return histories_.size();
  }

  MemoryUse memory() const override {
    const std::shared_lock lock(mutex_);
    return {histories_.size(), bytes_};
  }

  // The history is the log's: recovery reads it there.
  bool save(const std::function<Result<void>(std::string_view)>&, Result<void>&) const override {
    return false;
  }
  Result<void> load(const std::function<Result<std::optional<std::string>>()>&,
                    Parallel&) override {
    return fail(Errc::kCorrupt, "the baseline engine keeps no snapshot");
  }

 private:
  History& history_of(std::string_view learner) {
    auto found = by_name_.find(learner);
    if (found == by_name_.end()) {
      found = by_name_.emplace(learner, histories_.size()).first;
      histories_.emplace_back().learner = learner;
      bytes_ += sizeof(History) + 2 * learner.size() + 64;
    }
    bytes_ += sizeof(Seen);
    return histories_[found->second];
  }

  std::uint32_t number(std::string_view text) {
    return names_.try_emplace(std::string(text), static_cast<std::uint32_t>(names_.size()))
        .first->second;
  }

  mutable std::shared_mutex mutex_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::vector<History> histories_;  // by first appearance
  std::map<std::string, std::uint32_t, std::less<>> names_;
  std::size_t bytes_ = 0;  // about
};

}  // namespace

std::unique_ptr<Engine> make_baseline() {
  return std::make_unique<Baseline>();
}

}  // namespace covey::learners

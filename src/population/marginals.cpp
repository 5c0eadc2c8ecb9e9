#include "population/marginals.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include <fmt/format.h>

#include "base/hash.h"
#include "stats/rank_tests.h"

namespace covey::population {
namespace {

constexpr std::int64_t kSlot = 900;  // seconds: no time zone is finer than a quarter of an hour
constexpr std::int64_t kSlotsADay = 86'400 / kSlot;

/// Different values, in room that is at most twice what they need.
template <typename T>
class Distinct {
 public:
  void add(T value) {
    values_.push_back(value);
    if (values_.size() >= limit_) {
      settle(values_);
      limit_ = std::max<std::size_t>(64, 2 * values_.size());
    }
  }
  std::vector<T> sorted() const {
    std::vector<T> out = values_;
    settle(out);
    return out;
  }

 private:
  static void settle(std::vector<T>& values) {
    std::ranges::sort(values);
    const auto rest = std::ranges::unique(values);
    values.erase(rest.begin(), rest.end());
  }
  std::vector<T> values_;
  std::size_t limit_ = 64;
};

/// UTC+05:30 -> slots; 0 where it is nothing of the kind.
std::int64_t zone_slots(std::string_view zone) {
  const auto digit = [&](std::size_t i) { return zone[i] >= '0' && zone[i] <= '9'; };
  if (zone.size() != 9 || !zone.starts_with("UTC") || zone[6] != ':') return 0;
  if (!digit(4) || !digit(5) || !digit(7) || !digit(8)) return 0;
  const auto two = [&](std::size_t i) { return (zone[i] - '0') * 10 + zone[i + 1] - '0'; };
  const std::int64_t slots = (two(4) * 3'600 + two(7) * 60) / kSlot;
  return zone[3] == '-' ? -slots : slots;
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

}  // namespace

struct Observer::State {
  struct Learner {
    std::uint32_t practice = 0, feedback = 0, acted_on = 0;
    Distinct<std::uint64_t> capabilities;  // hashes
    Distinct<std::int32_t> slots;          // with practice
    std::int64_t zone = 0;
    bool withdrew = false;
  };
  std::map<std::string, Learner, std::less<>> learners;
  Learner* last = nullptr;  // logs often have one learner's events together
  std::string last_name;
};

Observer::Observer() : state_(std::make_unique<State>()) {}
Observer::~Observer() = default;
Observer::Observer(Observer&&) noexcept = default;
Observer& Observer::operator=(Observer&&) noexcept = default;

void Observer::add(const events::Event& event) {
  State& s = *state_;
  if (s.last == nullptr || s.last_name != event.learner) {
    auto at = s.learners.find(event.learner);
    if (at == s.learners.end()) at = s.learners.emplace(event.learner, State::Learner{}).first;
    s.last = &at->second;
    s.last_name = event.learner;
  }
  State::Learner& learner = *s.last;
  switch (event.type) {
    case events::EventType::kPractice: {
      ++learner.practice;
      learner.capabilities.add(hash64(event.capability));
      const auto second =
          std::chrono::floor<std::chrono::seconds>(event.time).time_since_epoch().count();
      learner.slots.add(static_cast<std::int32_t>(floor_div(second, kSlot)));
      break;
    }
    case events::EventType::kFeedback:
      ++learner.feedback;
      if (event.acted_on.value_or(false)) ++learner.acted_on;
      break;
    case events::EventType::kWithdraw:
      learner.withdrew = true;
      break;
    case events::EventType::kProfile:
      for (const auto& [key, value] : event.attributes) {
        if (key == "time_zone") learner.zone = zone_slots(value);
      }
      break;
    case events::EventType::kSession:
    case events::EventType::kEnrol:
    case events::EventType::kComplete:
    case events::EventType::kPurchase:
      break;
  }
}

std::vector<Record> Observer::records() const {
  std::vector<Record> out;
  out.reserve(state_->learners.size());
  for (const auto& [name, learner] : state_->learners) {
    Record record{.practice = learner.practice,
                  .feedback = learner.feedback,
                  .acted_on = learner.acted_on,
                  .capabilities = static_cast<std::uint32_t>(learner.capabilities.sorted().size()),
                  .days = {},
                  .withdrew = learner.withdrew};
    for (const std::int32_t slot : learner.slots.sorted()) {
      const auto day = static_cast<std::int32_t>(floor_div(slot + learner.zone, kSlotsADay));
      if (record.days.empty() || record.days.back() != day) record.days.push_back(day);
    }
    out.push_back(std::move(record));
  }
  return out;
}

std::string_view name(Marginal marginal) {
  constexpr std::array<std::string_view, kMarginals> kNames = {
      "events per learner", "capabilities per learner", "days between active days", "weeks stayed"};
  return kNames[static_cast<std::size_t>(marginal)];
}

Marginals Marginals::of(const std::vector<Record>& records) {
  Marginals out;
  const auto sample = [&](Marginal m) -> std::vector<double>& {
    return out.samples[static_cast<std::size_t>(m)];
  };
  double practising = 0;
  for (const Record& record : records) {
    sample(Marginal::kEvents).push_back(record.events());
    if (record.days.empty()) continue;
    ++practising;
    sample(Marginal::kCapabilities).push_back(record.capabilities);
    sample(Marginal::kWeeks).push_back((record.stay() - 1) / 7);
    std::int32_t week_before = -1;
    for (std::size_t i = 0; i < record.days.size(); ++i) {
      if (i > 0) sample(Marginal::kGaps).push_back(record.days[i] - record.days[i - 1]);
      const std::int32_t week = (record.days[i] - record.days.front()) / 7;
      if (week == week_before) continue;
      week_before = week;
      const auto at = static_cast<std::size_t>(week);
      if (out.active.size() <= at) out.active.resize(at + 1);
      ++out.active[at];
    }
  }
  for (auto& values : out.samples) std::ranges::sort(values);
  for (double& share : out.active) share /= practising;
  return out;
}

Result<Distances> distances(const Marginals& a, const Marginals& b) {
  Distances out;
  for (std::size_t m = 0; m < kMarginals; ++m) {
    const auto ks = COVEY_TRY(stats::ks_two_sample(a.samples[m], b.samples[m]));
    if (!ks.d) {
      return fail(Errc::kRejected,
                  fmt::format("nobody has any {}; name files with practice on several days",
                              name(static_cast<Marginal>(m))));
    }
    out.ks[m] = *ks.d;
  }
  for (std::size_t week = 0; week < std::max(a.active.size(), b.active.size()); ++week) {
    const auto share = [&](const Marginals& m) {
      return week < m.active.size() ? m.active[week] : 0;
    };
    out.active = std::max(out.active, std::abs(share(a) - share(b)));
  }
  return out;
}

}  // namespace covey::population

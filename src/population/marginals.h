#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "events/event.h"

namespace covey::population {

/// What one learner did, as far as marginals and fits look.
struct Record {
  std::uint32_t practice = 0, feedback = 0, acted_on = 0;
  std::uint32_t capabilities = 0;  ///< different ones
  std::vector<std::int32_t> days;  ///< with practice, ascending, each once
  bool withdrew = false;
  std::uint32_t events() const { return practice + feedback; }
  /// Days from the first with practice to the last, both counted; 0 without any.
  std::uint32_t stay() const {
    return days.empty() ? 0 : static_cast<std::uint32_t>(days.back() - days.front() + 1);
  }
};

/// Makes records of events, whatever their order. A day is the learner's own where its profile has
/// a `time_zone` such as UTC+05:30, else that of UTC.
class Observer {
 public:
  Observer();
  ~Observer();
  Observer(Observer&&) noexcept;
  Observer& operator=(Observer&&) noexcept;
  void add(const events::Event& event);
  /// One of every learner seen, in no order that means anything but always the same.
  std::vector<Record> records() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

enum class Marginal : std::uint8_t {
  kEvents,        ///< practice and feedback of a learner
  kCapabilities,  ///< different ones a learner used; of those who practise
  kGaps,          ///< days from one day with practice to the next, of all learners together
  kWeeks,         ///< whole weeks from the first day with practice to the last
};
inline constexpr std::size_t kMarginals = 4;
std::string_view name(Marginal marginal);

/// The distributions that simulated learners are held against.
struct Marginals {
  std::array<std::vector<double>, kMarginals> samples;  ///< ascending
  /// Share of those who practise that did so in a week, counted from their own first day.
  std::vector<double> active;
  static Marginals of(const std::vector<Record>& records);
};

/// How far apart two sets of learners are, 0 to 1.
struct Distances {
  /// Kolmogorov-Smirnov: the largest distance of the distribution functions.
  std::array<double, kMarginals> ks{};
  double active = 0;  ///< the largest distance of the weekly shares
};
/// kRejected: a sample is empty.
Result<Distances> distances(const Marginals& a, const Marginals& b);

}  // namespace covey::population

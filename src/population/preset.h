#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace covey::population {

inline constexpr std::uint32_t kEventsMax = 50'000;  ///< of one learner

/// A distribution as its quantiles, equally far apart from the least to the largest; between them
/// it is a straight line.
struct Quantiles {
  std::vector<double> points;  ///< ascending, 2 at least
  static Quantiles of(std::vector<double> sample, std::size_t points);
  double at(double u) const;  ///< u in [0, 1]
  double largest() const { return points.back(); }
};

inline constexpr std::size_t kBands = 16;   ///< of learners by activity
inline constexpr std::size_t kEighths = 8;  ///< of a stay

/// How learners of one platform behave: all that `covey simulate --fit` finds in their events.
///
/// Events (practice and feedback) of a learner are drawn first; what else it does depends on the
/// band of that: the sixteenth of learners, by events, that it belongs to. So whatever depends on
/// activity does so here too, without an assumed form.
struct Preset {
  std::string fitted_to;                    ///< for people
  double idle = 0;                          ///< share who enrol and never practise
  double idle_withdraw = 0;                 ///< share of those who withdraw
  double feedback = 0;                      ///< share of feedback among events
  double acted_on = 0;                      ///< share of feedback acted upon
  double unevenness = 1;                    ///< of gaps: 1 is chance alone, more has longer breaks
  std::array<double, kEighths> pace{};      ///< gaps over the stay, 1 on average
  std::array<double, kEighths> withdraw{};  ///< share who withdraw, by eighth of the longest stay
  Quantiles events;                         ///< of those who practise
  struct Band {
    Quantiles stay;     ///< days from the first with practice to the last, both counted
    Quantiles per_day;  ///< practice events on an active day, mean of a learner
    Quantiles novelty;  ///< (capabilities - 1) / (practice events - 1)
  };
  std::array<Band, kBands> bands;

  std::uint32_t stay_max() const;
  /// Which element of `withdraw` is that of a stay.
  static std::size_t eighth_of(std::uint32_t stay, std::uint32_t stay_max) {
    return std::size_t{stay - 1} * kEighths / stay_max;
  }
  std::uint32_t events_max() const;
  double events_mean() const;  ///< over all learners, idle ones too

  /// A YAML file that parse() reads back.
  std::string text() const;
  /// kRejected with every fault, each with its place. `name` stands before the places.
  static Result<Preset> parse(std::string name, std::string_view text);
};

/// Of the three course runs in data/oulad, made by `covey simulate --fit data/oulad`.
const Preset& oulad_preset();

}  // namespace covey::population

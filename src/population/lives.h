#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "population/active_days.h"
#include "population/population.h"

namespace covey::population {

inline constexpr std::uint32_t kDay = 86'400, kHour = 3'600;  ///< seconds
inline constexpr std::uint32_t kCapabilitiesMax = 65'536;
inline constexpr std::array<std::string_view, 6> kRegions = {"us-east", "us-west", "europe",
                                                             "asia",    "latam",   "africa"};

/// Where learners are, and the clock they live by. Offsets are those of winter: no summer time.
struct Zone {
  std::string_view region, name;  ///< name as UTC+05:30
  std::int32_t offset_s;
  double share;  ///< of the learners
};
std::span<const Zone> zones();

/// What a purchase costs: a month of access, or a certificate, by region.
struct Price {
  std::uint32_t cents;
  std::string_view currency;
};
std::span<const Price> prices();

inline constexpr std::uint32_t kAgeBands = 4, kExperiences = 3;

/// What the learners of a preset do: Population's other half, for Specs that have one.
///
/// The hidden kind moves a learner within the distributions of the preset and never changes them:
/// a draw around the kind's place is taken as the share of *all* learners below it, and that share
/// of the fitted quantiles is the value.
class Lives {
 public:
  /// @param zipf  quantiles of the rank of a capability within its domain; as many as a power of 2
  Lives(const Spec& spec, std::uint32_t per_domain, std::vector<std::uint16_t> zipf);

  // `random` is always the learner's own stream, from its beginning.
  Kind kind(Random random) const;
  /// Whether it has left: nothing more of it would come after the simulated days.
  bool learner(std::uint32_t index, Random random, std::vector<Drawn>& out) const;

  // How a Drawn profile of these lives is read.
  static std::uint32_t zone_of(const Drawn& profile) { return profile.capability & 31u; }
  static std::uint32_t course_of(const Drawn& profile) { return profile.capability >> 5; }

 private:
  struct Plan;
  Plan plan(Random& random) const;
  template <typename Known>
  std::uint32_t draw_new(const Plan& plan, bool main, Random& random, Known&& known) const;

  Spec spec_;
  Preset preset_;
  std::uint32_t per_domain_, stay_max_, intake_;
  std::uint32_t monday_;  // days from a Monday to the first day
  std::vector<std::uint16_t> zipf_;
  double growth_a_day_;
  ActiveDays active_days_;
  std::array<double, kKinds> acts_{};  // probability to act on feedback, by kind
  std::vector<std::uint32_t> hours_;   // quantiles of the second of the day
  std::vector<double> course_shares_;  // cumulated
};

}  // namespace covey::population

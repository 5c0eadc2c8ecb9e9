#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace covey::experiment {

inline constexpr std::uint32_t kBuckets = 10'000;  ///< one is 0.01 % of learners

/// The bucket of a learner, 0..9999: xxh32 of the id in lower case (ASCII), modulo 10,000.
///
/// The load balancer computes the same with seed kTrafficSeed, so what it sent where can be told
/// afterwards from the id alone.
std::uint32_t bucket(std::string_view learner, std::uint32_t seed);
inline constexpr std::uint32_t kTrafficSeed = 7;

/// The seed of a salt: xxh32 of it. "traffic" is the balancer's own.
std::uint32_t seed_of(std::string_view salt);

enum class Arm : std::uint8_t { kControl = 0, kTreatment = 1, kNone = 2 };

/// Who is in which arm. A function of the id alone: the same for ever, on every machine.
///
/// Experiments of one layer share its buckets and own a range each, so nobody is in two of them;
/// those of different layers fall independently. The treatment takes its share from the low end of
/// the range and the control from the high end: as either grows, nobody changes arms.
struct Assignment {
  std::uint32_t seed = 0;   ///< of the layer, or of the experiment itself
  std::uint32_t begin = 0;  ///< range of buckets that is this experiment's
  std::uint32_t end = kBuckets;
  std::uint32_t control = kBuckets / 2;    ///< buckets
  std::uint32_t treatment = kBuckets / 2;  ///< control + treatment <= end - begin
  std::uint32_t holdout = 0;               ///< buckets of the salt "holdout": in no experiment

  Arm arm(std::string_view learner) const;
};

}  // namespace covey::experiment

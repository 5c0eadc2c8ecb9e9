#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace covey::learners {

/// The five traits, version 1 (docs/traits.md). All in [0,1].
struct Traits {
  double learning_velocity = 0;
  double domain_affinity = 0;
  double interaction_frequency = 0;
  double feedback_responsiveness = 0;
  double retention_strength = 0;
};

inline constexpr std::size_t kTraits = 5;
inline constexpr std::array<std::string_view, kTraits> kTraitNames = {
    "learning_velocity", "domain_affinity", "interaction_frequency", "feedback_responsiveness",
    "retention_strength"};
inline constexpr std::array<double Traits::*, kTraits> kTraitFields = {
    &Traits::learning_velocity, &Traits::domain_affinity, &Traits::interaction_frequency,
    &Traits::feedback_responsiveness, &Traits::retention_strength};

/// What a learner is as of T.
enum class LearnerState : std::uint8_t {
  kDormant,  ///< no practice in T's week or the 25 before it: no traits, no cohort
  kNew,      ///< fewer than kPracticeForCohort practice events in all: traits, no cohort
  kActive,
};
std::string_view name(LearnerState state);

// Constants of traits version 1, shared by both engines; the arithmetic is not.
inline constexpr int kWindowWeeks = 26;  ///< ages 0..25
inline constexpr std::uint32_t kPracticeForCohort = 5;
inline constexpr double kVelocitySmoothing = 0.3;
inline constexpr double kAdoptionScale = 5;  ///< r = 1 - exp(-a / 5)
inline constexpr double kDomainDecayPerDay = 0.01;
inline constexpr double kRetentionDecayPerDay = 0.05;
inline constexpr double kEntropyPenalty = 0.3;
inline constexpr int kFrequencyDays = 28;
inline constexpr double kSpecialistEntropyBits = 1.2;
inline constexpr double kSpecialistTopShare = 0.6;

}  // namespace covey::learners

#include "experiment/assignment.h"

#include <array>

#include "base/hash.h"

namespace covey::experiment {

std::uint32_t bucket(std::string_view learner, std::uint32_t seed) {
  std::array<char, 256> room;
  std::string longer;
  char* lower = room.data();
  if (learner.size() > room.size()) {
    longer.resize(learner.size());
    lower = longer.data();
  }
  for (std::size_t i = 0; i < learner.size(); ++i) {
    const char c = learner[i];
    lower[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return hash32({lower, learner.size()}, seed) % kBuckets;
}

std::uint32_t seed_of(std::string_view salt) {
  return salt == "traffic" ? kTrafficSeed : hash32(salt, 0);
}

Arm Assignment::arm(std::string_view learner) const {
  static const std::uint32_t kHoldoutSeed = seed_of("holdout");
  if (holdout > 0 && bucket(learner, kHoldoutSeed) < holdout) return Arm::kNone;
  const std::uint32_t own = bucket(learner, seed);
  if (own < begin || own >= end) return Arm::kNone;
  if (own < begin + treatment) return Arm::kTreatment;
  return own >= end - control ? Arm::kControl : Arm::kNone;
}

}  // namespace covey::experiment

#include "learners/fast_row.h"

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "learners/fast_math.h"

namespace covey::learners {
namespace {

/// r of every count a ring slot can hold.
const std::array<double, 256> kAdoptionRates = [] {
  std::array<double, 256> r;
  for (std::size_t a = 0; a < r.size(); ++a) {
    r[a] = 1 - std::exp(-static_cast<double>(a) / kAdoptionScale);
  }
  return r;
}();

/// What is left of v after so many weeks.
const std::array<double, kWindowWeeks + 1> kKept = [] {
  std::array<double, kWindowWeeks + 1> kept;
  kept[0] = 1;
  for (std::size_t i = 1; i < kept.size(); ++i) kept[i] = kept[i - 1] * (1 - kVelocitySmoothing);
  return kept;
}();

/// One bit a slot of the ring in which something was adopted.
std::uint32_t adopting_weeks(const Row& row) {
  static_assert(sizeof row.adopted == 26);
  const __m128i zero = _mm_setzero_si128();
  const auto idle = [&](std::size_t from) {
    const __m128i sixteen =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(row.adopted.data() + from));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(sixteen, zero)));
  };
  // Two overlapping halves: 0..15 and 10..25.
  return (~idle(0) & 0xffffu) | (~idle(10) & 0xffffu) << 10;
}

// v = 0.3 r + 0.7 v, week after week, is a sum of rates with weights known beforehand, and most
// weeks adopt nothing: only the others are visited.
double velocity(const Row& row, std::int32_t week) {
  const std::int32_t oldest = std::min(kWindowWeeks - 1, week - row.first_week);
  const std::int32_t newest = oldest >= 1 ? 1 : 0;
  double v = 0;
  for (std::uint32_t weeks = adopting_weeks(row); weeks != 0; weeks &= weeks - 1) {
    const auto slot = static_cast<std::size_t>(std::countr_zero(weeks));
    const auto since_last =
        static_cast<std::int32_t>((ring(row.last_week) + kWindowWeeks - slot) % kWindowWeeks);
    const std::int32_t age = week - row.last_week + since_last;
    if (age < newest || age > oldest) continue;
    const double part = age == oldest ? 1 : kVelocitySmoothing;
    v += part * kKept[static_cast<std::size_t>(age - newest)] * kAdoptionRates[row.adopted[slot]];
  }
  return v;
}

}  // namespace

LearnerState state_of(const Row& row, std::int32_t week) {
  if (row.practice == 0 || week - row.last_week >= kWindowWeeks) return LearnerState::kDormant;
  return row.practice < kPracticeForCohort ? LearnerState::kNew : LearnerState::kActive;
}

double entropy_bits(const Row& row) {
  if (row.domains_count <= 1 || row.domain_weight <= 0) return 0;
  return std::max(0.0, fast_log2(row.domain_weight) - row.domain_weight_log / row.domain_weight);
}

bool is_specialist(const Row& row, double entropy) {
  return entropy < kSpecialistEntropyBits &&
         row.domain_weight_max / row.domain_weight > kSpecialistTopShare;
}

Traits traits_of(const Row& row, std::int32_t day, std::int32_t week, double entropy) {
  Traits traits;
  traits.learning_velocity = velocity(row, week);

  const double spread =
      row.domains_count > 1 ? entropy / fast_log2(static_cast<double>(row.domains_count)) : 0;
  traits.domain_affinity = std::clamp(
      row.domain_weight_max / row.domain_weight * (1 - kEntropyPenalty * spread), 0.0, 1.0);

  const std::int32_t in_window =
      row.last_day - day + kFrequencyDays;  // bits of `active` that count
  const std::uint32_t mask = in_window <= 0 ? 0 : (1u << std::min(in_window, 31)) - 1;
  const std::int32_t possible = std::min(kFrequencyDays, day - row.first_day + 1);
  traits.interaction_frequency =
      static_cast<double>(std::popcount(row.active & mask)) / static_cast<double>(possible);

  traits.feedback_responsiveness = (row.acted_on + 1.0) / (row.received + 2.0);
  traits.retention_strength = std::clamp(1 - row.first_use_weight / row.use_weight, 0.0, 1.0);
  return traits;
}

}  // namespace covey::learners

#include "learners/fast_row.h"

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>

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

/// What the rate of a week adds to v, by its age: T's own week and those beyond the window nothing.
constexpr std::size_t kAges = 2 * kWindowWeeks + 1;
const std::array<double, kAges> kParts = [] {
  std::array<double, kAges> parts{};
  double kept = 1;
  for (std::size_t age = 1; age < kWindowWeeks; ++age) {
    parts[age] = kVelocitySmoothing * kept;
    kept *= 1 - kVelocitySmoothing;
  }
  return parts;
}();

/// The same of the first week, which v begins with.
const std::array<double, kWindowWeeks> kFirstParts = [] {
  std::array<double, kWindowWeeks> parts{1};
  double kept = 1;
  for (std::size_t age = 1; age < kWindowWeeks; ++age) {
    parts[age] = kept;
    kept *= 1 - kVelocitySmoothing;
  }
  return parts;
}();

/// One bit a slot of the ring in which something was adopted.
std::uint32_t adopting_weeks(const Row& row) {
  // Whole words, as a row is copied: a load that lies across two of them would wait for both.
  constexpr std::size_t kFrom = offsetof(Row, adopted) / 8;
  constexpr unsigned kBefore = offsetof(Row, adopted) % 8;
  static_assert(kFrom + 4 == kRowWords && kBefore + sizeof row.adopted <= 32);
  const auto* words = reinterpret_cast<const RowWord*>(&row) + kFrom;
  const auto idle = [](std::uint64_t low, std::uint64_t high) {
    const __m128i sixteen =
        _mm_set_epi64x(static_cast<std::int64_t>(high), static_cast<std::int64_t>(low));
    return static_cast<std::uint32_t>(
        _mm_movemask_epi8(_mm_cmpeq_epi8(sixteen, _mm_setzero_si128())));
  };
  const std::uint32_t busy = ~(idle(words[0], words[1]) | idle(words[2], words[3]) << 16);
  return busy >> kBefore & ((1u << kWindowWeeks) - 1);
}

// v = 0.3 r + 0.7 v, week after week, is a sum of rates with weights known beforehand, and most
// weeks adopt nothing: only the others are visited.
double velocity(const Row& row, std::int32_t week) {
  const auto last_slot = static_cast<std::int32_t>(ring(row.last_week));
  const std::int32_t idle = week - row.last_week;
  double v = 0;
  for (std::uint32_t weeks = adopting_weeks(row); weeks != 0; weeks &= weeks - 1) {
    const std::int32_t slot = std::countr_zero(weeks);
    const std::int32_t before_last = last_slot - slot + (slot > last_slot ? kWindowWeeks : 0);
    const std::size_t age = std::min(static_cast<std::uint32_t>(idle + before_last),
                                     static_cast<std::uint32_t>(kAges - 1));
    v += kParts[age] * kAdoptionRates[row.adopted[static_cast<std::size_t>(slot)]];
  }
  const std::int32_t oldest = std::min(kWindowWeeks - 1, week - row.first_week);
  if (oldest < 0) return v;  // asked for an instant before the first practice
  const auto age = static_cast<std::size_t>(oldest);
  return v + (kFirstParts[age] - kParts[age]) * kAdoptionRates[row.adopted[ring(week - oldest)]];
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

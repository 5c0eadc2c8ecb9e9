#include "cohorts/archetypes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

#include "cohorts/matching.h"

namespace covey::cohorts {
namespace {

enum Trait : std::size_t { kVelocity, kAffinity, kFrequency, kResponsiveness, kRetention };

// Below this many standard deviations a figure is not called unusual.
constexpr double kUnusual = 0.5;
constexpr double kVeryUnusual = 1.0;
// Responsiveness starts at one half when nothing is known; so near to it, it says nothing.
constexpr double kUnknownFeedback = 0.05;
// Above this many a week the saturating velocity no longer tells how many.
constexpr double kAdoptionsMax = 15;

std::string of_ten(double share, bool fine, std::string_view things) {
  if (fine) return fmt::format("{:.0f} % of {}", 100 * share, things);
  return fmt::format("{:.0f} of 10 {}", 10 * share, things);
}

std::string frequency(double share, bool fine) {
  if (!fine && share < 0.05) return "come by on fewer than 1 of 20 days";
  if (!fine && share >= 0.95) return "come by nearly every day";
  return "come by on " + of_ten(share, fine, "days");
}

// Velocity averages 1 - exp(-adoptions / 5) over weeks; its inverse is a pace per week.
std::string velocity(double value, bool fine) {
  const double pace = -learners::kAdoptionScale * std::log1p(-std::min(value, 1 - 1e-9));
  if (pace > kAdoptionsMax)
    return fmt::format("take up more than {:.0f} new capabilities a week", kAdoptionsMax);
  if (fine) return fmt::format("take up new capabilities at a pace of {:.2f} a week", pace);
  if (pace < 0.5) return "take up hardly anything new";
  return fmt::format("take up about {:.0f} new {} a week", pace,
                     std::round(pace) == 1 ? "capability" : "capabilities");
}

std::string affinity(double value, bool fine) {
  const std::string_view how = value >= 0.6   ? "keep mostly to one domain"
                               : value >= 0.4 ? "favour one domain among others"
                                              : "spread over several domains";
  return fine ? fmt::format("{} (affinity {:.2f})", how, value) : std::string(how);
}

std::string responsiveness(double share, bool fine) {
  return "act on about " + of_ten(share, fine, fine ? "feedback" : "pieces of feedback");
}

std::string retention(double share, bool fine) {
  if (!fine && share < 0.05) return "hardly ever return to what they used before";
  if (!fine && share >= 0.95) return "nearly always return to what they used before";
  return "return to what they used before in " + of_ten(share, fine, "recent uses");
}

std::string_view against_average(double z) {
  if (z >= kVeryUnusual) return ", far above average";
  if (z >= kUnusual) return ", above average";
  if (z <= -kVeryUnusual) return ", far below average";
  if (z <= -kUnusual) return ", below average";
  return "";
}

}  // namespace

std::string_view name(Archetype archetype) {
  switch (archetype) {
    case Archetype::kFastLearner:
      return "Fast Learner";
    case Archetype::kSpecialist:
      return "Specialist";
    case Archetype::kPowerUser:
      return "Power User";
    case Archetype::kLongTermRetainer:
      return "Long-term Retainer";
    case Archetype::kGeneralist:
      return "Generalist";
  }
  return "unknown";
}

std::array<double, kArchetypes> archetype_scores(const Standing& z) {
  const double power = (2 * z[kFrequency] + z[kResponsiveness]) / 3;
  const double stands_out = std::max({z[kVelocity], power, z[kRetention]});
  return {z[kVelocity], z[kAffinity], power, z[kRetention], -(z[kAffinity] + stands_out) / 2};
}

std::vector<Archetype> name_cohorts(const std::vector<Standing>& standing) {
  // Each archetype has a second seat at a price no score can pay, so it's taken only when every
  // first seat is.
  constexpr std::size_t kSeats = 2;
  constexpr double kSecondSeat = 1e6;
  std::vector<double> score;
  for (const Standing& z : standing) {
    const auto scores = archetype_scores(z);
    for (std::size_t seat = 0; seat < kSeats; ++seat)
      for (const double s : scores) score.push_back(s - (seat == 0 ? 0 : kSecondSeat));
  }
  std::vector<Archetype> result;
  for (const std::size_t seat : best_matching(score, standing.size(), kSeats * kArchetypes))
    result.push_back(static_cast<Archetype>(seat % kArchetypes));
  return result;
}

std::string describe(const learners::Traits& mean, const Standing& z, bool fine) {
  std::array<std::size_t, kDims> order{};
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>{}, [&](std::size_t d) { return std::abs(z[d]); });

  std::string sentence;
  for (const std::size_t d : order) {
    std::string clause;
    switch (d) {
      case kVelocity:
        clause = velocity(mean.learning_velocity, fine);
        break;
      case kAffinity:
        clause = affinity(mean.domain_affinity, fine);
        break;
      case kFrequency:
        clause = frequency(mean.interaction_frequency, fine);
        break;
      case kResponsiveness:
        if (std::abs(mean.feedback_responsiveness - 0.5) <= kUnknownFeedback) continue;
        clause = responsiveness(mean.feedback_responsiveness, fine);
        break;
      default:
        clause = retention(mean.retention_strength, fine);
        break;
    }
    clause += against_average(z[d]);
    if (!sentence.empty()) sentence += "; ";
    sentence += clause;
  }
  // All clauses open with a plain ASCII verb.
  sentence[0] = static_cast<char>(sentence[0] - 'a' + 'A');
  return sentence + ".";
}

std::vector<std::string> describe_all(const std::vector<learners::Traits>& mean,
                                      const std::vector<Standing>& standing) {
  std::vector<std::string> coarse;
  for (std::size_t j = 0; j < mean.size(); ++j)
    coarse.push_back(describe(mean[j], standing[j], false));
  std::vector<std::string> result = coarse;
  for (std::size_t j = 0; j < mean.size(); ++j)
    if (std::ranges::count(coarse, coarse[j]) > 1) result[j] = describe(mean[j], standing[j], true);
  return result;
}

}  // namespace covey::cohorts

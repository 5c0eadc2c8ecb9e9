#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace covey::plan {

/// Whether one criterion of one phase can be decided with the traffic that is expected.
struct Decidability {
  std::string stage;  ///< or monitoring or work phase
  Rule criterion;
  /// Requests to the candidate: what the stage brings, and what a pass takes of a candidate whose
  /// rate is half the limit's. Nothing for what is not decided by counting requests.
  double expected = 0;
  std::optional<double> needed;
  double expected_extended = 0;  ///< with all of `max_extend`
  enum class Verdict : std::uint8_t {
    kDecides,     ///< within the stage's length
    kTight,       ///< with less than twice what is needed, or only if extended
    kCannot,      ///< not even if extended: the stage would hold
    kNotCounted,  ///< a level, a count, an interval, or what people decide: see `note`
  } verdict = Verdict::kNotCounted;
  std::string note;
};

struct Checked {
  std::vector<Decidability> gates;  ///< in the order of phases and their criteria
  std::vector<std::string> warnings;
  bool decidable() const;  ///< no gate is kCannot
};

/// How likely a pass is taken to be true: a candidate with half the bad requests of the limit.
inline constexpr double kAssumedOfLimit = 0.5;

/// What the form of a plan can't show: whether its gates can decide, and what is odd. A stage's
/// gate passes with its `alpha`; see rollout/gate.h for how it is judged.
Checked check(const Plan& plan);

}  // namespace covey::plan

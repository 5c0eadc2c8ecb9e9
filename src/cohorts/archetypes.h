#pragma once

#include <array>
#include <string>
#include <vector>

#include "cohorts/discovery.h"
#include "cohorts/kernels.h"

namespace covey::cohorts {

/// A cohort's mean trait among all clustered learners, in standard deviations from their mean.
using Standing = std::array<double, kDims>;

/// How well each archetype describes a cohort; docs/cohorts.md has the formulas.
std::array<double, kArchetypes> archetype_scores(const Standing& standing);

/// One archetype per cohort, with the largest sum of scores. None twice while another is unused,
/// so repeats begin with the sixth cohort and none comes three times.
std::vector<Archetype> name_cohorts(const std::vector<Standing>& standing);

/// What a cohort's learners do, most unusual first, in figures of `mean` rounded to tenths; to
/// hundredths where `fine`.
std::string describe(const learners::Traits& mean, const Standing& standing, bool fine);

/// A sentence per cohort; those that would read alike get finer figures.
std::vector<std::string> describe_all(const std::vector<learners::Traits>& mean,
                                      const std::vector<Standing>& standing);

}  // namespace covey::cohorts

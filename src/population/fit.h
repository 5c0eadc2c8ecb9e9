#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "population/marginals.h"
#include "population/preset.h"

namespace covey::population {

/// Learners below this number say too little of sixteen bands of quantiles.
inline constexpr std::size_t kFitLearnersMin = 160;

/// The preset whose learners behave like those of `records`, but for the evenness of gaps exactly
/// their quantiles. Evenness is searched: the simulated gaps of the same stays and active days
/// shall be as near as can be to the real ones (Kolmogorov-Smirnov). The same records give the
/// same preset. kRejected: too few learners who practise.
Result<Preset> fit(const std::vector<Record>& records, std::string name);

}  // namespace covey::population

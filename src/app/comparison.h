#pragma once

#include <string>

#include "base/result.h"
#include "population/marginals.h"

namespace covey::app {

/// The distances of simulated learners from real ones as a table for people.
std::string comparison_table(const population::Distances& distances,
                             const population::Marginals& simulated,
                             const population::Marginals& real);

/// A plot of each marginal and of the weekly shares, simulated beside real, as SVG files in
/// `folder`, which is made where it is missing.
Result<void> write_comparison_plots(const std::string& folder,
                                    const population::Distances& distances,
                                    const population::Marginals& simulated,
                                    const population::Marginals& real);

}  // namespace covey::app

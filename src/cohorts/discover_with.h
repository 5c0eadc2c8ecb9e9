#pragma once

#include "cohorts/discovery.h"
#include "cohorts/kernels.h"

namespace covey::cohorts {

/// discover() with the instruction set named, so that a test can compare them.
Result<Discovery> discover_with(Kernel kernel, const learners::TraitColumns& columns,
                                const Options& options, const Previous* previous,
                                const std::function<std::uint64_t(std::size_t)>& key_of,
                                Parallel& parallel, const Clock& clock);

}  // namespace covey::cohorts

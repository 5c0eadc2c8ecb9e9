#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "cohorts/discovery.h"
#include "cohorts/rand_index.h"

namespace covey::cohorts {

/// Two cohorts of different runs may be one and the same from this Jaccard similarity on, taken
/// over the learners both runs know. Independent runs of eight cohorts reach 0.07 by chance.
inline constexpr double kSameCohort = 0.1;

/// Members shared by the cohorts of `previous` (rows) and this run (columns). Learner i of the
/// columns is clustered if clusterable[i]; `before` counts those ahead of each chunk of kChunk.
Overlap overlap(const Previous& previous, std::span<const std::uint8_t> clusterable,
                std::span<const std::size_t> before, std::span<const std::uint8_t> label,
                const std::function<std::uint64_t(std::size_t)>& key_of, Parallel& parallel);

/// The id each of this run's `k` cohorts carries on, 0 for a new one: the matching with the most
/// shared members among pairs of at least kSameCohort.
std::vector<std::uint32_t> inherit_ids(const Overlap& shared, std::span<const std::uint32_t> id,
                                       std::size_t k);

}  // namespace covey::cohorts

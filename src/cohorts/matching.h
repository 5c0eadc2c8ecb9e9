#pragma once

#include <cstddef>
#include <vector>

namespace covey::cohorts {

/// For each row the column it gets, every column used at most once, such that the sum of `score`
/// (rows x columns, rows <= columns, row-major) is largest. Deterministic. O(rows^2 columns).
///
/// Source: the Hungarian method in the shortest-augmenting-path form of Jonker and Volgenant,
/// "A shortest augmenting path algorithm for dense and sparse linear assignment problems",
/// Computing 38 (1987), without its heuristics: eight cohorts need none.
std::vector<std::size_t> best_matching(const std::vector<double>& score, std::size_t rows,
                                       std::size_t columns);

}  // namespace covey::cohorts

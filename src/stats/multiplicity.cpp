#include "stats/multiplicity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace covey::stats {
namespace {

std::vector<std::size_t> order_of(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return values[i]; });
  return order;
}

/// Benjamini and Hochberg with every p-value made `factor` times as large.
AdjustedP step_up(std::span<const double> p, const std::vector<std::size_t>& order, double alpha,
                  double factor) {
  const std::size_t m = p.size();
  AdjustedP out{std::vector<double>(m), std::vector<bool>(m, false)};
  double smallest = 1;
  bool rejecting = false;
  for (std::size_t rank = m; rank > 0; --rank) {
    const std::size_t i = order[rank - 1];
    const double share = static_cast<double>(rank) / static_cast<double>(m);
    smallest = std::min(smallest, p[i] / share * factor);
    rejecting |= p[i] <= share / factor * alpha;
    out.p[i] = smallest;
    out.reject[i] = rejecting;
  }
  return out;
}

}  // namespace

Result<MultipleTesting> multiple_testing(std::span<const double> p_values, double alpha) {
  Inputs in;
  in.level("alpha", alpha);
  for (const double p : p_values) {
    if (!(p >= 0 && p <= 1)) {
      in.require(false, "p_values must lie in [0, 1]");
      break;
    }
  }
  COVEY_TRY_VOID(in.verdict());
  const std::size_t m = p_values.size();
  const auto count = static_cast<double>(m);
  const auto order = order_of(p_values);
  MultipleTesting out;
  for (AdjustedP* adjusted : {&out.bonferroni, &out.holm}) {
    adjusted->p.resize(m);
    adjusted->reject.resize(m);
  }
  double largest = 0;
  bool rejecting = true;
  for (std::size_t rank = 0; rank < m; ++rank) {
    const std::size_t i = order[rank];
    const double p = p_values[i];
    const double left = count - static_cast<double>(rank);
    out.bonferroni.p[i] = std::min(1.0, p * count);
    out.bonferroni.reject[i] = p <= alpha / count;
    largest = std::max(largest, p * left);
    out.holm.p[i] = std::min(1.0, largest);
    rejecting &= p <= alpha / left;
    out.holm.reject[i] = rejecting;
  }
  // Of equal p-values the last in order faces the mildest step: they stand or fall together.
  for (std::size_t rank = 1; rank < m; ++rank) {
    if (p_values[order[rank]] == p_values[order[rank - 1]] && out.holm.reject[order[rank - 1]]) {
      out.holm.reject[order[rank]] = true;
    }
  }
  double harmonic = 0;
  for (std::size_t i = 1; i <= m; ++i) harmonic += 1 / static_cast<double>(i);
  out.bh = step_up(p_values, order, alpha, 1);
  out.by = step_up(p_values, order, alpha, harmonic);
  return out;
}

std::vector<bool> e_bh(std::span<const double> log_e_values, double alpha) {
  const std::size_t m = log_e_values.size();
  std::vector<bool> out(m, false);
  auto order = order_of(log_e_values);
  std::ranges::reverse(order);
  std::size_t discoveries = 0;
  for (std::size_t rank = 1; rank <= m; ++rank) {
    const double limit = std::log(static_cast<double>(m) / (alpha * static_cast<double>(rank)));
    if (log_e_values[order[rank - 1]] >= limit) discoveries = rank;
  }
  for (std::size_t rank = 0; rank < discoveries; ++rank) out[order[rank]] = true;
  return out;
}

}  // namespace covey::stats

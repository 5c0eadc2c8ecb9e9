#include "cohorts/rand_index.h"

namespace covey::cohorts {
namespace {

double pairs(std::uint64_t n) {
  return static_cast<double>(n) * (static_cast<double>(n) - 1) / 2;
}

}  // namespace

std::optional<double> adjusted_rand_index(const Overlap& shared) {
  std::array<std::uint64_t, kCenters> column{};
  std::uint64_t n = 0;
  double both = 0, before = 0, now = 0;
  for (const auto& row : shared) {
    std::uint64_t members = 0;
    for (std::size_t j = 0; j < kCenters; ++j) {
      both += pairs(row[j]);
      members += row[j];
      column[j] += row[j];
    }
    before += pairs(members);
    n += members;
  }
  if (n < 2) return std::nullopt;
  for (const std::uint64_t members : column) now += pairs(members);
  // The same pairs in both is the same partition; told apart first, as all-in-one and
  // all-alone leave 0/0 below.
  if (both == before && both == now) return 1.0;
  const double expected = before * now / pairs(n);
  return (both - expected) / ((before + now) / 2 - expected);
}

}  // namespace covey::cohorts

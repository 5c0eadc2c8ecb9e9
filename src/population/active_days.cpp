#include "population/active_days.h"

#include <cmath>

#include "base/result.h"

namespace covey::population {

ActiveDays::ActiveDays(double unevenness, const std::array<double, kEighths>& pace) : pace_(pace) {
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    const double u = (static_cast<double>(slot) + .5) / kSlots;
    weight_[slot] = static_cast<float>(std::pow(-std::log1p(-u), unevenness));
  }
}

void ActiveDays::draw(std::uint32_t count, std::uint32_t stay, Random& random,
                      std::vector<std::uint32_t>& out) const {
  COVEY_CHECK(count >= 1 && count <= stay);
  out.assign(1, 0);
  if (count == 1) return;
  const std::uint32_t gaps = count - 1;
  thread_local std::vector<double> up_to;
  up_to.clear();
  double sum = 0;
  for (std::uint32_t gap = 0; gap < gaps; ++gap) {
    sum += weight_[random.next() >> 54] * pace_[std::size_t{gap} * kEighths / gaps];
    up_to.push_back(sum);
  }
  // Rounding the sums, not the gaps, leaves no day over.
  const double left_over = stay - count;
  for (std::uint32_t gap = 0; gap < gaps; ++gap) {
    const double share = gap + 1 == gaps || sum == 0 ? 1 : up_to[gap] / sum;
    out.push_back(gap + 1 + static_cast<std::uint32_t>(std::lround(left_over * share)));
  }
}

}  // namespace covey::population

#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "population/preset.h"

namespace covey::population {

/// Places a learner's active days within its stay.
///
/// Gaps are 1 and a share of the days left over; shares are powers of exponential draws, times the
/// pace of the place in the stay. Power 1 is chance alone; above it most gaps are short and some
/// are long. The first and the last day of the stay are always active, so stays and numbers of
/// active days are what they were drawn to be, however uneven the gaps.
class ActiveDays {
 public:
  ActiveDays(double unevenness, const std::array<double, kEighths>& pace);

  /// Days from 0 to stay - 1, ascending. 1 <= count <= stay; a single day is day 0.
  void draw(std::uint32_t count, std::uint32_t stay, Random& random,
            std::vector<std::uint32_t>& out) const;

 private:
  static constexpr std::size_t kSlots = 1'024;
  std::array<float, kSlots> weight_{};  // quantiles of the powers
  std::array<double, kEighths> pace_;
};

}  // namespace covey::population

#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "load/generator.h"

namespace covey::load {

/// One block of each of two targets, next to one another in time, with the same arrivals.
struct Pair {
  Totals a, b;
};

/// Which of the two is next: A B B A A B B A ..., so that what drifts weighs on both alike.
constexpr bool second_at(std::size_t block) {
  return (block % 4 == 1) || (block % 4 == 2);
}

/// How latencies of one kind compare; nothing where either has no answer.
///
/// The interval is a percentile bootstrap over pairs (Efron and Tibshirani, "An Introduction to the
/// Bootstrap", 1993, chapter 13): blocks, not answers, are drawn, since answers within a block
/// share whatever the machine did in it. Below kPairsMin pairs it says little and is left out.
inline constexpr std::size_t kPairsMin = 5;
inline constexpr std::size_t kResamples = 2'000;
struct Comparison {
  std::size_t pairs = 0;
  double q = 0;
  std::optional<double> a_ms, b_ms;
  std::optional<double> ratio;
  std::optional<std::pair<double, double>> interval;
};
Comparison compare(const std::vector<Pair>& pairs, Kind kind, double q, std::uint64_t seed);

}  // namespace covey::load

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "base/random.h"
#include "cohorts/discovery.h"
#include "cohorts/kernels.h"

namespace covey::cohorts {

static_assert(kDims == learners::kTraits);
static_assert(kCenters == kCohortsMax);

/// Learners in weighted, standardised space: (kDims x n, one column per trait, f32, 64-byte
/// aligned). Not initialised at birth: every element is written before it is read.
class Points {
 public:
  Points() = default;
  explicit Points(std::size_t n);
  std::size_t size() const { return n_; }
  float* column(std::size_t d) { return column_[d].get(); }
  const float* column(std::size_t d) const { return column_[d].get(); }
  std::array<const float*, kDims> columns(std::size_t from = 0) const;
  std::array<float, kDims> at(std::size_t i) const;

 private:
  struct Free {
    void operator()(float* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::size_t n_ = 0;
  std::array<std::unique_ptr<float[], Free>, kDims> column_;
};

/// The learners that may join a cohort, standardised.
struct Standardised {
  std::array<double, kDims> mean{};
  std::array<double, kDims> scale{};  ///< population standard deviation; 1 where 0
  Points points;
  /// Clusterable learners before column row i * kChunk; one more than there are chunks.
  std::vector<std::size_t> before;
};

/// (trait - mean) * this is the coordinate: weight and scale in one factor.
std::array<double, kDims> coordinate_factor(const std::array<double, kDims>& scale);

/// Learns mean and scale from the clusterable learners and places them. Two passes; sums are taken
/// per chunk and combined in order, so `parallel` changes no bit.
Standardised standardise(const learners::TraitColumns& columns, Parallel& parallel);

/// One random index from each of `count` equal stretches of [0, n), ascending: everyone is as
/// likely as anyone, and columns sorted by course or age are sampled evenly. All if count >= n.
std::vector<std::uint32_t> draw(std::size_t n, std::size_t count, Random random);

Points gather(const Points& points, std::span<const std::uint32_t> index);

/// Sum of |x|^2, f64, in order.
double sum_of_squares(const Points& points, Parallel& parallel);

/// Calls `see(lane, i)` for i from `begin` to `end`, lanes 0 to 3 in turn: sums of four lanes need
/// not wait for each other, and their order depends on the place alone.
template <typename See>
void by_lane(std::size_t begin, std::size_t end, See see) {
  std::size_t i = begin;
  for (; i + 4 <= end; i += 4) {
    see(0, i);
    see(1, i + 1);
    see(2, i + 2);
    see(3, i + 3);
  }
  for (std::size_t lane = 0; i < end; ++i, ++lane) see(lane, i);
}

/// How many tasks cover `n` things at `each` per task.
constexpr std::size_t tasks_for(std::size_t n, std::size_t each) {
  return (n + each - 1) / each;
}

}  // namespace covey::cohorts

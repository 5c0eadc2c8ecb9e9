#pragma once

// Included by files compiled for AVX2 and AVX-512: nothing here may define an inline function, or
// the linker could keep the wide copy for everyone.
#include <cstddef>
#include <cstdint>

namespace covey::cohorts {

inline constexpr std::size_t kDims = 5;       ///< traits
inline constexpr std::size_t kCenters = 8;    ///< cohorts at most
inline constexpr std::size_t kLanes = 16;     ///< virtual lanes; fixes the order of additions
inline constexpr std::size_t kChunk = 4'096;  ///< learners per partial sum; fixes the order, too

enum class Isa : std::uint8_t { kScalar, kAvx2, kAvx512 };

/// Centroids as a pass reads them. A learner x belongs to the j that maximises x.c_j - |c_j|^2 / 2,
/// which is the nearest one; ties go to the lower j.
struct Centers {
  float at[kCenters][kDims];
  float half_norm[kCenters];
};

/// What a pass over a run of learners adds up: learner i of the run is in lane i % kLanes, so every
/// instruction set adds the same numbers in the same order. Zeroed by the kernel.
struct LaneSums {
  alignas(64) float sum[kCenters][kDims][kLanes];
  std::uint32_t count[kCenters];
};

/// One fused Lloyd step over `n` learners: writes each learner's nearest centroid to `label`, sums
/// the members of each, and returns how many labels differ from what `label` held before.
///
/// `columns` (kDims x n, f32, any alignment); 1 <= k <= kCenters. Equal to the bit on all
/// instruction sets: multiplications and additions only, none fused.
///
/// Budget: reads 20 B of traits and 1 B of label per learner and writes 1 B, so 5 M learners are
/// 110 MB: 3.9 ms at the 28 GB/s two threads read with. Arithmetic at k = 8 is 10 operations per
/// centroid to assign, 3 to keep the best, 6 to add up: 152 per learner / 16 lanes / 2 ports
/// = 4.75 cycles with AVX-512, 1.7 ns at 2.8 GHz. Two threads are thus near the memory's bound.
using Kernel = std::uint32_t (*)(const float* const* columns, std::size_t n, const Centers& centers,
                                 unsigned k, std::uint8_t* label, LaneSums& sums);

/// The kernel for an instruction set, or null where this machine lacks it.
Kernel kernel_for(Isa isa);
/// The widest one present.
Kernel best_kernel();

/// Index of the nearest centroid to one point, by the arithmetic of the kernels.
unsigned nearest(const float* point, const Centers& centers, unsigned k);

/// The scalar twin without the zeroing, from learner `begin` on: the kernels' ragged end.
std::uint32_t assign_rest(const float* const* columns, std::size_t begin, std::size_t n,
                          const Centers& centers, unsigned k, std::uint8_t* label, LaneSums& sums);

std::uint32_t pass_scalar(const float* const* columns, std::size_t n, const Centers& centers,
                          unsigned k, std::uint8_t* label, LaneSums& sums);
std::uint32_t pass_avx2(const float* const* columns, std::size_t n, const Centers& centers,
                        unsigned k, std::uint8_t* label, LaneSums& sums);
std::uint32_t pass_avx512(const float* const* columns, std::size_t n, const Centers& centers,
                          unsigned k, std::uint8_t* label, LaneSums& sums);

}  // namespace covey::cohorts

#include "cohorts/kernels.h"

#include <cstring>
#include <initializer_list>

namespace covey::cohorts {

unsigned nearest(const float* point, const Centers& centers, unsigned k) {
  unsigned best = 0;
  float best_score = 0;
  for (unsigned j = 0; j < k; ++j) {
    const float* c = centers.at[j];
    float score = point[0] * c[0];
    for (std::size_t d = 1; d < kDims; ++d) score = score + point[d] * c[d];
    score = score - centers.half_norm[j];
    if (j == 0 || score > best_score) {
      best = j;
      best_score = score;
    }
  }
  return best;
}

std::uint32_t assign_rest(const float* const* columns, std::size_t begin, std::size_t n,
                          const Centers& centers, unsigned k, std::uint8_t* label, LaneSums& sums) {
  std::uint32_t changed = 0;
  for (std::size_t i = begin; i < n; ++i) {
    float point[kDims];
    for (std::size_t d = 0; d < kDims; ++d) point[d] = columns[d][i];
    const unsigned j = nearest(point, centers, k);
    changed += label[i] != j;
    label[i] = static_cast<std::uint8_t>(j);
    ++sums.count[j];
    for (std::size_t d = 0; d < kDims; ++d) sums.sum[j][d][i % kLanes] += point[d];
  }
  return changed;
}

std::uint32_t pass_scalar(const float* const* columns, std::size_t n, const Centers& centers,
                          unsigned k, std::uint8_t* label, LaneSums& sums) {
  std::memset(&sums, 0, sizeof sums);
  return assign_rest(columns, 0, n, centers, k, label, sums);
}

Kernel kernel_for(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return pass_scalar;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") ? pass_avx2 : nullptr;
    case Isa::kAvx512:
      return __builtin_cpu_supports("avx512f") ? pass_avx512 : nullptr;
  }
  return nullptr;
}

Kernel best_kernel() {
  for (const Isa isa : {Isa::kAvx512, Isa::kAvx2})
    if (const Kernel kernel = kernel_for(isa)) return kernel;
  return pass_scalar;
}

}  // namespace covey::cohorts

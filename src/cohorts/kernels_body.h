#pragma once

// The Lloyd step, once for every width. `V` lives in the including file's anonymous namespace, so
// each instantiation stays inside that file. V offers:
//   Floats, Labels                       kLanes of each
//   load, splat, mul, add, sub           on Floats
//   first(), better(score, best, label, j), narrow(label, bytes), widen(bytes)
//   add_where(sum, x, labels, j), count(labels, j), store
//   kGroup                               centroids whose sums fit in the registers at once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cohorts/kernels.h"

namespace covey::cohorts {

// Traits of a block stay in L1 between its two loops.
inline constexpr std::size_t kBlock = 512;

template <class V, unsigned K>
std::uint32_t assign_block(const float* const* x, std::size_t begin, std::size_t end,
                           const Centers& centers, std::uint8_t* label) {
  std::uint32_t changed = 0;
  for (std::size_t i = begin; i < end; i += kLanes) {
    const typename V::Floats x0 = V::load(x[0] + i), x1 = V::load(x[1] + i), x2 = V::load(x[2] + i),
                             x3 = V::load(x[3] + i), x4 = V::load(x[4] + i);
    typename V::Floats best{};
    typename V::Labels nearest = V::first();
#pragma GCC unroll 8
    for (unsigned j = 0; j < K; ++j) {
      const float* c = centers.at[j];
      typename V::Floats score = V::mul(x0, V::splat(c[0]));
      score = V::add(score, V::mul(x1, V::splat(c[1])));
      score = V::add(score, V::mul(x2, V::splat(c[2])));
      score = V::add(score, V::mul(x3, V::splat(c[3])));
      score = V::add(score, V::mul(x4, V::splat(c[4])));
      score = V::sub(score, V::splat(centers.half_norm[j]));
      if (j == 0)
        best = score;
      else
        V::better(score, best, nearest, j);
    }
    const __m128i bytes = V::narrow(nearest);
    const __m128i before = _mm_loadu_si128(reinterpret_cast<const __m128i*>(label + i));
    const int same = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, before));
    changed += 16u - static_cast<std::uint32_t>(__builtin_popcount(static_cast<unsigned>(same)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(label + i), bytes);
  }
  return changed;
}

template <class V, unsigned G>
void add_block(const float* const* x, std::size_t begin, std::size_t end, const std::uint8_t* label,
               unsigned first, LaneSums& sums) {
  typename V::Floats sum[G][kDims];
  std::uint32_t count[G];
#pragma GCC unroll 8
  for (unsigned g = 0; g < G; ++g) {
    count[g] = sums.count[first + g];
#pragma GCC unroll 8
    for (std::size_t d = 0; d < kDims; ++d) sum[g][d] = V::load(sums.sum[first + g][d]);
  }
  for (std::size_t i = begin; i < end; i += kLanes) {
    const typename V::Labels labels =
        V::widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(label + i)));
#pragma GCC unroll 8
    for (unsigned g = 0; g < G; ++g) {
      const typename V::Members members = V::members(labels, first + g);
      count[g] += V::count(members);
#pragma GCC unroll 8
      for (std::size_t d = 0; d < kDims; ++d)
        sum[g][d] = V::add_where(sum[g][d], V::load(x[d] + i), members);
    }
  }
#pragma GCC unroll 8
  for (unsigned g = 0; g < G; ++g) {
    sums.count[first + g] = count[g];
#pragma GCC unroll 8
    for (std::size_t d = 0; d < kDims; ++d) V::store(sums.sum[first + g][d], sum[g][d]);
  }
}

template <class V, unsigned K, unsigned First = 0>
void add_groups(const float* const* x, std::size_t begin, std::size_t end,
                const std::uint8_t* label, LaneSums& sums) {
  constexpr unsigned kGroups = (K + V::kGroup - 1) / V::kGroup;
  constexpr unsigned kEven = (K + kGroups - 1) / kGroups;
  constexpr unsigned kNow = K - First < kEven ? K - First : kEven;
  add_block<V, kNow>(x, begin, end, label, First, sums);
  if constexpr (First + kNow < K) add_groups<V, K, First + kNow>(x, begin, end, label, sums);
}

template <class V, unsigned K>
std::uint32_t pass_k(const float* const* x, std::size_t n, const Centers& centers,
                     std::uint8_t* label, LaneSums& sums) {
  std::memset(&sums, 0, sizeof sums);
  const std::size_t whole = n / kLanes * kLanes;
  std::uint32_t changed = 0;
  for (std::size_t begin = 0; begin < whole; begin += kBlock) {
    const std::size_t end = whole - begin < kBlock ? whole : begin + kBlock;
    changed += assign_block<V, K>(x, begin, end, centers, label);
    add_groups<V, K>(x, begin, end, label, sums);
  }
  // Said here: g++ leaves it out where link-time optimisation shows it a callee that needs none,
  // and whatever runs next with registers half full of this takes up to four times as long.
  _mm256_zeroupper();
  return changed + assign_rest(x, whole, n, centers, K, label, sums);
}

template <class V>
std::uint32_t pass(const float* const* x, std::size_t n, const Centers& centers, unsigned k,
                   std::uint8_t* label, LaneSums& sums) {
  switch (k) {
    case 1:
      return pass_k<V, 1>(x, n, centers, label, sums);
    case 2:
      return pass_k<V, 2>(x, n, centers, label, sums);
    case 3:
      return pass_k<V, 3>(x, n, centers, label, sums);
    case 4:
      return pass_k<V, 4>(x, n, centers, label, sums);
    case 5:
      return pass_k<V, 5>(x, n, centers, label, sums);
    case 6:
      return pass_k<V, 6>(x, n, centers, label, sums);
    case 7:
      return pass_k<V, 7>(x, n, centers, label, sums);
    default:
      return pass_k<V, 8>(x, n, centers, label, sums);
  }
}

}  // namespace covey::cohorts

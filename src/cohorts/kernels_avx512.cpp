#include "cohorts/kernels_body.h"

namespace covey::cohorts {
namespace {

struct Avx512 {
  using Floats = __m512;
  using Labels = __m512i;
  using Members = __mmask16;
  static constexpr unsigned kGroup = 5;  // 25 sums of the 32 registers

  static Floats load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Floats a) { _mm512_storeu_ps(to, a); }
  static Floats splat(float a) { return _mm512_set1_ps(a); }
  static Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
  static Labels first() { return _mm512_setzero_si512(); }
  static void better(Floats score, Floats& best, Labels& nearest, unsigned j) {
    const __mmask16 wins = _mm512_cmp_ps_mask(score, best, _CMP_GT_OQ);
    best = _mm512_mask_mov_ps(best, wins, score);
    nearest = _mm512_mask_mov_epi32(nearest, wins, _mm512_set1_epi32(static_cast<int>(j)));
  }
  static __m128i narrow(Labels a) { return _mm512_cvtepi32_epi8(a); }
  static Labels widen(__m128i a) { return _mm512_cvtepu8_epi32(a); }
  static Members members(Labels a, unsigned j) {
    return _mm512_cmpeq_epi32_mask(a, _mm512_set1_epi32(static_cast<int>(j)));
  }
  static std::uint32_t count(Members m) {
    return static_cast<std::uint32_t>(__builtin_popcount(static_cast<unsigned>(m)));
  }
  static Floats add_where(Floats sum, Floats x, Members m) {
    return _mm512_mask_add_ps(sum, m, sum, x);
  }
};

}  // namespace

std::uint32_t pass_avx512(const float* const* columns, std::size_t n, const Centers& centers,
                          unsigned k, std::uint8_t* label, LaneSums& sums) {
  return pass<Avx512>(columns, n, centers, k, label, sums);
}

}  // namespace covey::cohorts

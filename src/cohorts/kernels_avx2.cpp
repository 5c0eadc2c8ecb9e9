#include "cohorts/kernels_body.h"

namespace covey::cohorts {
namespace {

// Sixteen lanes as two halves, so that sums are added in the order every other width adds them.
struct Avx2 {
  struct Floats {
    __m256 low, high;
  };
  struct Labels {
    __m256i low, high;
  };
  using Members = Labels;
  static constexpr unsigned kGroup = 1;  // ten of the sixteen registers

  static Floats load(const float* from) {
    return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
  }
  static void store(float* to, Floats a) {
    _mm256_storeu_ps(to, a.low);
    _mm256_storeu_ps(to + 8, a.high);
  }
  static Floats splat(float a) { return {_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
  static Floats mul(Floats a, Floats b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static Floats add(Floats a, Floats b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static Floats sub(Floats a, Floats b) {
    return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
  }
  static Labels first() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static void better(Floats score, Floats& best, Labels& nearest, unsigned j) {
    const __m256i mine = _mm256_set1_epi32(static_cast<int>(j));
    const __m256 low = _mm256_cmp_ps(score.low, best.low, _CMP_GT_OQ);
    const __m256 high = _mm256_cmp_ps(score.high, best.high, _CMP_GT_OQ);
    // max(score, best) keeps `best` on a tie, as the comparison does.
    best.low = _mm256_max_ps(score.low, best.low);
    best.high = _mm256_max_ps(score.high, best.high);
    nearest.low = _mm256_blendv_epi8(nearest.low, mine, _mm256_castps_si256(low));
    nearest.high = _mm256_blendv_epi8(nearest.high, mine, _mm256_castps_si256(high));
  }
  static __m128i narrow(Labels a) {
    const __m256i words =
        _mm256_permute4x64_epi64(_mm256_packs_epi32(a.low, a.high), _MM_SHUFFLE(3, 1, 2, 0));
    return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  }
  static Labels widen(__m128i a) {
    return {_mm256_cvtepu8_epi32(a), _mm256_cvtepu8_epi32(_mm_srli_si128(a, 8))};
  }
  static Members members(Labels a, unsigned j) {
    const __m256i mine = _mm256_set1_epi32(static_cast<int>(j));
    return {_mm256_cmpeq_epi32(a.low, mine), _mm256_cmpeq_epi32(a.high, mine)};
  }
  static std::uint32_t count(Members m) {
    const int low = _mm256_movemask_ps(_mm256_castsi256_ps(m.low));
    const int high = _mm256_movemask_ps(_mm256_castsi256_ps(m.high));
    return static_cast<std::uint32_t>(__builtin_popcount(static_cast<unsigned>(low | high << 8)));
  }
  // Adding +0 where a lane is no member changes nothing: a sum that starts at +0 is never -0.
  static Floats add_where(Floats sum, Floats x, Members m) {
    return {_mm256_add_ps(sum.low, _mm256_and_ps(x.low, _mm256_castsi256_ps(m.low))),
            _mm256_add_ps(sum.high, _mm256_and_ps(x.high, _mm256_castsi256_ps(m.high)))};
  }
};

}  // namespace

std::uint32_t pass_avx2(const float* const* columns, std::size_t n, const Centers& centers,
                        unsigned k, std::uint8_t* label, LaneSums& sums) {
  return pass<Avx2>(columns, n, centers, k, label, sums);
}

}  // namespace covey::cohorts

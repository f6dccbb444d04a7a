/* MMX between x87: pixels blended, then floating point after emms. guest-test: flags=-mmmx */
#include <mmintrin.h>
#include <stdint.h>
#include <stdio.h>

int main(void) {
  static uint32_t pixels[1024], other[1024];
  uint32_t sum = 0;
  double average = 0;
  for (int i = 0; i < 1024; i++)
    pixels[i] = (uint32_t)i * 2654435761u, other[i] = (uint32_t)i * 40503u + 77;
  for (int round = 0; round < 5; round++) {
    __m64 zero = _mm_setzero_si64(), alpha = _mm_set1_pi16((short)(40 + round * 30));
    for (int i = 0; i < 1024; i++) {
      __m64 a = _mm_unpacklo_pi8(_mm_cvtsi32_si64((int)pixels[i]), zero), c = _mm_unpacklo_pi8(_mm_cvtsi32_si64((int)other[i]), zero);
      __m64 mixed = _mm_add_pi16(_mm_srli_pi16(_mm_mullo_pi16(_mm_sub_pi16(a, c), alpha), 8), c);
      pixels[i] = (uint32_t)_mm_cvtsi64_si32(_mm_packs_pu16(_mm_and_si64(mixed, _mm_set1_pi16(255)), zero));
      sum = sum * 31 + pixels[i];
    }
    _mm_empty();
    average += (double)sum / 3.0;
    printf("%08x %.3f\n", sum, average);
  }
  __m64 v = _mm_set_pi16(-30000, 20000, 300, -4);
  v = _mm_adds_pi16(v, _mm_slli_si64(v, 16));
  v = _mm_xor_si64(_mm_madd_pi16(v, v), _mm_cmpgt_pi16(v, _mm_setzero_si64()));
  uint32_t high = (uint32_t)_mm_cvtsi64_si32(_mm_srli_si64(v, 32)), low = (uint32_t)_mm_cvtsi64_si32(v);
  _mm_empty();
  printf("%08x%08x %.2f\n", high, low, (long double)low / 7);
  return 0;
}

/* SSE2 by intrinsics: vectors of floats, doubles and integers. guest-test: flags=-msse2 */
#include <emmintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static float f[256] __attribute__((aligned(16)));
static double d[256] __attribute__((aligned(16)));
static int16_t s[256] __attribute__((aligned(16)));
static uint8_t b[256] __attribute__((aligned(16)));

static void show(const char *name, __m128i v) {
  uint32_t w[4];
  _mm_storeu_si128((__m128i *)w, v);
  printf("%s %08x%08x%08x%08x\n", name, w[3], w[2], w[1], w[0]);
}

int main(void) {
  for (int i = 0; i < 256; i++)
    f[i] = i * 0.37f - 20, d[i] = i * 1.1 - 100, s[i] = (int16_t)(i * 517), b[i] = (uint8_t)(i * 37);
  __m128 sum4 = _mm_setzero_ps(), low = _mm_set1_ps(1e9f), high = _mm_set1_ps(-1e9f);
  for (int i = 0; i < 256; i += 4) {
    __m128 v = _mm_load_ps(f + i);
    sum4 = _mm_add_ps(sum4, _mm_mul_ps(v, _mm_loadu_ps(f + 252 - i)));
    low = _mm_min_ps(low, v), high = _mm_max_ps(high, v);
  }
  float out[4];
  _mm_storeu_ps(out, sum4);
  printf("dot %.6g %.6g %.6g %.6g\n", out[0], out[1], out[2], out[3]);
  _mm_storeu_ps(out, _mm_shuffle_ps(low, high, 0x1b));
  printf("range %.6g %.6g %.6g %.6g\n", out[0], out[1], out[2], out[3]);
  __m128d sum2 = _mm_setzero_pd();
  for (int i = 0; i < 256; i += 2)
    sum2 = _mm_add_pd(sum2, _mm_sqrt_pd(_mm_and_pd(_mm_load_pd(d + i), _mm_castsi128_pd(_mm_set1_epi64x(INT64_MAX)))));
  double two[2];
  _mm_storeu_pd(two, sum2);
  printf("roots %.15g %.15g\n", two[0], two[1]);
  __m128i dot = _mm_setzero_si128(), sad = dot, packed = dot, minimum = _mm_set1_epi16(32767);
  for (int i = 0; i < 256; i += 8) {
    __m128i v = _mm_load_si128((__m128i *)(s + i));
    dot = _mm_add_epi32(dot, _mm_madd_epi16(v, _mm_srai_epi16(v, 3)));
    packed = _mm_xor_si128(packed, _mm_packs_epi16(v, _mm_slli_epi16(v, 1)));
    minimum = _mm_min_epi16(minimum, v);
  }
  for (int i = 0; i < 240; i += 16)
    sad = _mm_add_epi64(sad, _mm_sad_epu8(_mm_load_si128((__m128i *)(b + i)), _mm_load_si128((__m128i *)(b + i + 16))));
  show("madd", dot), show("sad", sad), show("packed", packed), show("min", minimum);
  int found = 0;
  for (int i = 0; i < 256; i += 16)
    found += __builtin_popcount((unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(_mm_load_si128((__m128i *)(b + i)), _mm_set1_epi8(20))));
  printf("found %d\n", found);
  __m128i x = _mm_set_epi32(0x12345678, (int)0x9abcdef0, 0x0f1e2d3c, 0x4b5a6978);
  show("unpack", _mm_unpacklo_epi8(x, _mm_srli_si128(x, 5)));
  show("shuffle", _mm_shufflehi_epi16(_mm_shufflelo_epi16(_mm_shuffle_epi32(x, 0x4e), 0x1b), 0xb1));
  show("mul", _mm_mul_epu32(x, _mm_slli_epi64(x, 7)));
  show("avg", _mm_avg_epu8(x, _mm_subs_epu8(_mm_set1_epi8(100), x)));
  show("convert", _mm_cvtps_epi32(_mm_mul_ps(_mm_cvtepi32_ps(x), _mm_set1_ps(1e-3f))));
  show("truncate", _mm_cvttpd_epi32(_mm_set_pd(-2.9, 1e10)));
  show("insert", _mm_insert_epi16(x, _mm_extract_epi16(x, 6) * 3, 1));
  printf("compare %d %d %d\n", _mm_comilt_sd(_mm_set_sd(1), _mm_set_sd(2)), _mm_ucomieq_ss(_mm_set_ss(0.0f / 1), _mm_set_ss(-0.0f)), _mm_movemask_pd(_mm_set_pd(-1, 1)));
  _mm_stream_si128((__m128i *)b, x);
  _mm_mfence();
  printf("streamed %u\n", b[3]);
  return 0;
}

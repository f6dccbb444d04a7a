/* 64-bit integers on a 32-bit CPU: carries, shifts across words, libgcc's division, bit operations. */
#include <inttypes.h>
#include <stdio.h>

int main(void) {
  static const uint64_t v[] = {0, 1, 2, 10, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x123456789abcdef,
                               0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 1000000007};
  enum { count = sizeof v / sizeof v[0] };
  uint64_t sum = 0;
  for (int i = 0; i < count; i++)
    for (int j = 0; j < count; j++) {
      volatile uint64_t a = v[i], b = v[j];
      int64_t sa = (int64_t)a, sb = (int64_t)b;
      sum = sum * 31 + (a + b) + (a - b) * 3 + a * b * 7;
      if (b)
        sum = sum * 31 + a / b + a % b * 3;
      if (sb && !(sa == INT64_MIN && sb == -1))
        sum = sum * 31 + (uint64_t)(sa / sb + sa % sb * 3);
      sum = sum * 31 + (a << (b & 63)) + (a >> (b & 63)) + (uint64_t)(sa >> (b & 63));
      sum = sum * 31 + (a < b) + 2 * (sa < sb) + 4 * (a == b) + 8 * (sa >= sb);
      int64_t r;
      sum = sum * 31 + __builtin_add_overflow(sa, sb, &r) + 2 * __builtin_sub_overflow(sa, sb, &r) + 4 * __builtin_mul_overflow(sa, sb, &r);
      if (j == (i * 5 + 3) % count)
        printf("%" PRIu64 " %" PRIu64 ": %016" PRIx64 " %016" PRIx64 "\n", a, b, a * b, sum);
    }
  for (int i = 1; i < count; i++) {
    volatile uint64_t a = v[i];
    volatile uint32_t w = (uint32_t)a | 1;
    printf("%d %d %d %d %d %d %d %016" PRIx64 " %08x\n", __builtin_clzll(a), __builtin_ctzll(a), __builtin_popcountll(a), __builtin_ffsll(a),
           __builtin_parityll(a), __builtin_clz(w), __builtin_ctz(w), __builtin_bswap64(a), __builtin_bswap32(w));
  }
  struct {
    unsigned a : 3, b : 11, c : 18;
    int d : 7;
    long long e : 40;
  } fields = {0};
  for (int i = 0; i < 1000; i++) {
    fields.a += 3, fields.b += 77, fields.c ^= fields.b * 5, fields.d -= 5, fields.e = fields.e * 3 + i;
  }
  printf("%u %u %u %d %lld\n", fields.a, fields.b, fields.c, fields.d, (long long)fields.e);
  volatile double d = 1.8e19;
  volatile float f = -9.0e18f;
  printf("%" PRIu64 " %" PRId64 " %.1f %.1f\n", (uint64_t)d, (int64_t)f, (double)v[11], (float)(int64_t)v[10]);
  return 0;
}

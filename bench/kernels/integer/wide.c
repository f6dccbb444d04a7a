/* 64-bit arithmetic on 32-bit registers: adc, sbb, shld, mul, division by library call. */
#include "../kernel.h"

enum { ROUNDS = 60000000 };

int main(void) {
  uint64_t x = 88172645463325252ull, sum = 0, product = 1;
  for (int i = 0; i < ROUNDS; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    product = product * 6364136223846793005ull + x;
    sum += product > x ? product - x : x - product;
    if ((i & 15) == 0)
      sum += x / (product >> 40 | 1);
  }
  return kernel_end((uint32_t)(sum ^ sum >> 32));
}

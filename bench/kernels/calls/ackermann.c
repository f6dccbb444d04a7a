/* Ackermann's function: recursion tens of thousands deep, deeper than any return predictor. */
#include "../kernel.h"

static uint32_t ackermann(uint32_t m, uint32_t n) {
  if (m == 0)
    return n + 1;
  return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

int main(void) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < 25; i++)
    sum = mix(sum, ackermann(3, 10) + i);
  return kernel_end(sum);
}

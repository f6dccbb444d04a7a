/* All solutions of the N-queens problem with bit masks. */
#include "../kernel.h"

enum { N = 14 };

static uint32_t solve(uint32_t columns, uint32_t left, uint32_t right) {
  const uint32_t all = (1u << N) - 1;
  if (columns == all)
    return 1;
  uint32_t count = 0;
  for (uint32_t free = all & ~(columns | left | right); free;) {
    uint32_t bit = free & -free;
    free ^= bit;
    count += solve(columns | bit, (left | bit) << 1, (right | bit) >> 1);
  }
  return count;
}

int main(void) {
  uint32_t sum = 0;
  for (int round = 0; round < 3; round++)
    sum = mix(sum, solve(0, 0, 0));
  return kernel_end(sum);
}

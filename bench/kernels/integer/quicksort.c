/* Quicksort of random integers: unpredictable branches, recursion. */
#include "../kernel.h"

enum { COUNT = 1 << 20, ROUNDS = 9 };
static int32_t value[COUNT];

static void sort(int32_t *low, int32_t *high) {
  while (low < high) {
    int32_t pivot = low[(high - low) / 2], *i = low, *j = high;
    while (i <= j) {
      while (*i < pivot)
        i++;
      while (*j > pivot)
        j--;
      if (i <= j) {
        int32_t t = *i;
        *i++ = *j;
        *j-- = t;
      }
    }
    sort(low, j);
    low = i;
  }
}

int main(void) {
  uint32_t sum = 0;
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < COUNT; i++)
      value[i] = (int32_t)random_next();
    sort(value, value + COUNT - 1);
    for (int i = 0; i < COUNT; i += 1000)
      sum = mix(sum, (uint32_t)value[i]);
  }
  return kernel_end(sum);
}

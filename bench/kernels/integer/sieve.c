/* The sieve of Eratosthenes: byte stores at a stride. */
#include "../kernel.h"

enum { LIMIT = 1 << 20, ROUNDS = 150 };
static uint8_t composite[LIMIT];

int main(void) {
  uint32_t sum = 0;
  for (int round = 0; round < ROUNDS; round++) {
    memset(composite, 0, sizeof composite);
    uint32_t count = 0;
    for (uint32_t i = 2; i < LIMIT; i++) {
      if (composite[i])
        continue;
      count++;
      for (uint32_t j = i + i; j < LIMIT; j += i)
        composite[j] = 1;
    }
    sum = mix(sum, count + (uint32_t)round);
  }
  return kernel_end(sum);
}

/* What the kernels share: repeatable random numbers, and the checksum that each prints at its end. */
#ifndef UEMU_BENCH_KERNEL_H
#define UEMU_BENCH_KERNEL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t random_state = 2463534242u;

/* Marsaglia's xorshift32. */
static inline uint32_t random_next(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

static inline uint32_t mix(uint32_t sum, uint32_t value) { return (sum ^ value) * 16777619u; }

static inline int kernel_end(uint32_t sum) {
  printf("%08x\n", (unsigned)sum);
  return 0;
}

#endif

/* Calls through a table of functions, in an order that does not repeat soon. */
#include "../kernel.h"

enum { ROUNDS = 80000000 };

static uint32_t f0(uint32_t x) { return x + 1; }
static uint32_t f1(uint32_t x) { return x ^ 0x55; }
static uint32_t f2(uint32_t x) { return x * 3; }
static uint32_t f3(uint32_t x) { return x - 7; }
static uint32_t f4(uint32_t x) { return x << 1 | x >> 31; }
static uint32_t f5(uint32_t x) { return ~x; }
static uint32_t f6(uint32_t x) { return x >> 1; }
static uint32_t f7(uint32_t x) { return x + (x << 4); }
static uint32_t (*volatile const function[8])(uint32_t) = {f0, f1, f2, f3, f4, f5, f6, f7};

int main(void) {
  uint8_t order[256];
  for (int i = 0; i < 256; i++)
    order[i] = random_next() & 7;
  uint32_t x = 1;
  for (int i = 0; i < ROUNDS; i++)
    x = function[order[i & 255]](x);
  return kernel_end(x);
}

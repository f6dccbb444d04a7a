/* Doubly recursive Fibonacci numbers: calls and returns and little else. */
#include "../kernel.h"

static __attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) uint32_t fibonacci(uint32_t n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

int main(int argc, char **argv) {
  (void)argv;
  return kernel_end(fibonacci(41 + (uint32_t)argc));
}

/* Recursion: Ackermann, hanoi, mutual, a hundred thousand frames deep, and returns by the million. */
#include <stdio.h>

static unsigned ackermann(unsigned m, unsigned n) { return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1)); }
static unsigned moves;
static void hanoi(int n, int from, int to, int spare) {
  if (n == 0)
    return;
  hanoi(n - 1, from, spare, to);
  moves = moves * 7 + (unsigned)(from * 3 + to);
  hanoi(n - 1, spare, to, from);
}
static int is_odd(unsigned n);
static __attribute__((noinline)) int is_even(unsigned n) { return n == 0 ? 1 : is_odd(n - 1); }
static __attribute__((noinline)) int is_odd(unsigned n) { return n == 0 ? 0 : is_even(n - 1); }
static __attribute__((noinline)) unsigned deep(unsigned n) {
  volatile unsigned keep = n;
  return n == 0 ? 1 : deep(n - 1) * 3 + keep;
}
static unsigned catalan(int n) {
  unsigned sum = 0;
  if (n <= 1)
    return 1;
  for (int i = 0; i < n; i++)
    sum += catalan(i) * catalan(n - 1 - i);
  return sum;
}

int main(void) {
  printf("%u\n", ackermann(2, 300));
  printf("%u\n", ackermann(3, 6));
  hanoi(16, 0, 1, 2);
  printf("%u\n", moves);
  printf("%d %d\n", is_even(30000), is_odd(30001));
  for (unsigned depth = 10; depth <= 100000; depth *= 10)
    printf("%u\n", deep(depth));
  printf("%u\n", catalan(12));
  return 0;
}

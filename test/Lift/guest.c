/* Functions of the kinds that --lift must find: called, only in the symbol table, static ones of one name
 * with another file's (main's own copy), behind a jump table, with instructions that helpers do and that have
 * no meaning. */
#include <stdio.h>

__attribute__((noinline)) int called(int x) { return x * 3 + 1; }

__attribute__((noinline, used)) static int only_a_symbol(int x) { return called(x) - 7; }

__attribute__((noinline)) int by_table(int x) {
  switch (x) {
  case 0:
    return called(7);
  case 1:
    return 11 * x + 5;
  case 2:
    return puts("two");
  case 3:
    return x - 99;
  case 4:
    return x * x;
  case 5:
    return called(x) ^ 0x55;
  default:
    return -1;
  }
}

__attribute__((noinline)) unsigned cpu(void) {
  unsigned a = 0, b, c, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
  return a ^ b ^ c ^ d;
}

__attribute__((noinline, used)) static void not_for_users(void) { __asm__ volatile("xbegin 1f\n1:"); }

int main(int argc, char **argv) {
  (void)argv;
  int (*indirect)(int) = argc > 3 ? called : by_table;
  return indirect(argc) + (int)cpu();
}

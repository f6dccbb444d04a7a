/* Digits of pi by a spigot, factorials and Fibonacci numbers in long arithmetic with inline assembly. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { words = 80 };
static void multiply(uint32_t *n, uint32_t by) {
  uint32_t carry = 0;
  for (int i = 0; i < words; i++) {
    uint32_t high, low;
    __asm__("mull %3\n\taddl %4,%0\n\tadcl $0,%1" : "=&a"(low), "=&d"(high) : "0"(n[i]), "r"(by), "r"(carry) : "cc");
    n[i] = low;
    carry = high;
  }
}
static void add(uint32_t *to, const uint32_t *from) {
  int count = words;
  __asm__ volatile("clc\n1:\tlodsl\n\tadcl %%eax,(%%edi)\n\tlea 4(%%edi),%%edi\n\tdecl %2\n\tjnz 1b"
                   : "+S"(from), "+D"(to), "+c"(count)::"eax", "memory", "cc");
}
static uint32_t divide(uint32_t *n, uint32_t by) {
  uint32_t rest = 0;
  for (int i = words - 1; i >= 0; i--)
    __asm__("divl %4" : "=a"(n[i]), "=d"(rest) : "0"(n[i]), "1"(rest), "r"(by) : "cc");
  return rest;
}
static void print(const uint32_t *number) {
  uint32_t n[words];
  char digits[800];
  int count = 0, any;
  memcpy(n, number, sizeof n);
  do {
    digits[count++] = (char)('0' + divide(n, 10));
    any = 0;
    for (int i = 0; i < words; i++)
      any |= n[i] != 0;
  } while (any);
  while (count)
    putchar(digits[--count]);
  putchar('\n');
}

int main(void) {
  enum { digits = 500, cells = digits * 10 / 3 + 1 };
  static int a[cells];
  for (int i = 0; i < cells; i++)
    a[i] = 2;
  int nines = 0, held = 0, first = 1;
  for (int d = 0; d < digits; d++) {
    int carry = 0;
    for (int i = cells - 1; i >= 0; i--) {
      int x = a[i] * 10 + carry * (i + 1);
      a[i] = x % (2 * i + 1);
      carry = x / (2 * i + 1);
    }
    a[0] = carry % 10;
    carry /= 10;
    if (carry == 9)
      nines++;
    else {
      if (!first)
        putchar('0' + held + carry / 10);
      for (; nines; nines--)
        putchar(carry == 10 ? '0' : '9');
      held = carry % 10;
      first = 0;
    }
  }
  putchar('\n');
  uint32_t n[words] = {1}, b[words] = {0};
  for (uint32_t i = 2; i <= 300; i++)
    multiply(n, i);
  print(n);
  memset(n, 0, sizeof n), n[0] = 1;
  for (int i = 0; i < 1500; i++) {
    add(b, n);
    add(n, b);
  }
  print(n);
  return 0;
}

/* Stack frames of odd shapes: varargs, alloca, variable arrays, large structs by value, nested functions
 * (trampolines on an executable stack). */
#include <alloca.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct big { int values[40]; double d; char c; };
struct small { char a; short b; };
struct pair { float x, y; };

static double sum_of(const char *kinds, ...) {
  va_list list, copy;
  double sum = 0;
  va_start(list, kinds);
  va_copy(copy, list);
  for (const char *k = kinds; *k; k++)
    switch (*k) {
    case 'i': sum += va_arg(list, int); break;
    case 'l': sum += (double)va_arg(list, long long); break;
    case 'd': sum += va_arg(list, double); break;
    case 'L': sum += (double)va_arg(list, long double); break;
    case 's': sum += (double)strlen(va_arg(list, char *)); break;
    case 'b': sum += va_arg(list, struct big).values[39]; break;
    case 'm': sum += va_arg(list, struct small).b; break;
    }
  va_end(list);
  sum += va_arg(copy, int);
  va_end(copy);
  return sum;
}

static struct big transform(struct big b, struct small s, struct pair p) {
  for (int i = 0; i < 40; i++)
    b.values[i] += s.a * i + s.b;
  b.d *= p.x + p.y;
  return b;
}

static unsigned with_alloca(int n) {
  unsigned char *bytes = alloca((size_t)n);
  int numbers[n % 37 + 1];
  for (int i = 0; i < n; i++)
    bytes[i] = (unsigned char)(i * n);
  for (int i = 0; i <= n % 37; i++)
    numbers[i] = bytes[n * i / 40];
  unsigned sum = 0;
  for (int i = 0; i <= n % 37; i++)
    sum = sum * 31 + (unsigned)numbers[i];
  return n > 60 ? sum + with_alloca(n - 60) : sum;
}

static int apply(int (*function)(int), int n) {
  int sum = 0;
  for (int i = 0; i < n; i++)
    sum += function(i);
  return sum;
}

static int with_nested(int factor) {
  int calls = 0;
  int scale(int n) {
    calls++;
    return n * factor;
  }
  return apply(scale, 50) + calls;
}

static __attribute__((regparm(3), noinline)) int in_registers(int a, int b, int c, int d) { return a - 2 * b + 3 * c - 4 * d; }
static __attribute__((stdcall, noinline)) int callee_pops(int a, int b, int c) { return a * b - c; }
static __attribute__((fastcall, noinline)) int fast(int a, int b, int c) { return a * 100 + b * 10 + c; }

int main(void) {
  struct big b = {.values[39] = 7, .d = 1.5, .c = 'x'};
  printf("%.3f\n", sum_of("iildLsbmi", 1, -2, 10000000000LL, 2.5, 3.25L, "four", b, (struct small){1, 9}, 6));
  struct big t = transform(b, (struct small){3, -5}, (struct pair){0.5f, 0.25f});
  printf("%d %d %.4f %c\n", t.values[0], t.values[39], t.d, t.c);
  printf("%u %u\n", with_alloca(50), with_alloca(20000));
  printf("%d %d\n", with_nested(3), with_nested(-7));
  int sum = 0;
  for (int i = 0; i < 1000; i++)
    sum += in_registers(i, i + 1, i + 2, i + 3) + callee_pops(i, 3, 4) + fast(i, 2, 3);
  printf("%d\n", sum);
  volatile char *pages = alloca(300000);
  for (int i = 0; i < 300000; i += 1000)
    pages[i] = (char)i;
  printf("%d\n", pages[299000]);
  return 0;
}

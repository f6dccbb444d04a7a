/* printf and strtod of floating point: shortest, fixed, scientific, hexadecimal, extreme values. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
  static const double values[] = {0, -0.0, 1, -1, 0.1, 1.0 / 3, 123456789, 1e15, 1e16, 1e22, 1e23, 5e-324,
                                  DBL_MIN, DBL_MAX, 0.5, 1.5, 2.5, 9.5, 99.5, 1e-5, 12345.6789, INFINITY, -INFINITY};
  static const char *const formats[] = {"%f", "%e", "%g", "%a", "%.0f", "%.3e", "%.17g", "%#g", "%+10.2f", "%-12.3g|", "%012.4f"};
  for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++) {
      char text[400];
      snprintf(text, sizeof text, formats[f], values[v]);
      printf("%.60s ", text);
    }
    puts("");
  }
  static const long double longs[] = {0.1L, 1.0L / 3, LDBL_MAX, LDBL_MIN, 3.14159265358979323846L, 1e4000L};
  for (size_t i = 0; i < sizeof longs / sizeof longs[0]; i++)
    printf("%Lg %.20Le %La\n", longs[i], longs[i], longs[i]);
  static const char *const texts[] = {"3.14", "1e308", "1e309", "4.9e-324", "1e-400", "0x1.8p3", "  -17.5xyz", "nan", "inf",
                                      "2.2250738585072011e-308", "9007199254740993", "179769313486231580793e289", ".", "-.5e1"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    char *end;
    double d = strtod(texts[i], &end);
    float f = strtof(texts[i], NULL);
    long double l = strtold(texts[i], NULL);
    printf("%s: %a %a %La, %zu characters\n", texts[i], d, f, l, (size_t)(end - texts[i]));
  }
  unsigned bad = 0;
  unsigned long long bits = 88172645463325252ull;
  for (int i = 0; i < 3000; i++) {
    bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
    double d, back;
    char text[64];
    memcpy(&d, &bits, sizeof d);
    if (d != d)
      continue;
    snprintf(text, sizeof text, "%.17g", d);
    back = strtod(text, NULL);
    bad += memcmp(&back, &d, sizeof d) != 0;
  }
  printf("round trips that failed: %u\n", bad);
  double a, b;
  int n = sscanf("12.5 -3e2 77", "%lf %lf %d", &a, &b, (int[1]){0});
  printf("%d %g %g\n", n, a, b);
  return 0;
}

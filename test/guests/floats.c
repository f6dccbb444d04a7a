/* Floating point in loops: n-body, mandelbrot, spectral norm, in float, double and long double. */
#include <math.h>
#include <stdio.h>

#define SPECTRAL_NORM(name, type, root)                                                                      \
  static double name(int n) {                                                                                \
    type u[64], v[64], w[64], vbv = 0, vv = 0;                                                               \
    for (int i = 0; i < n; i++)                                                                              \
      u[i] = 1;                                                                                              \
    for (int round = 0; round < 10; round++) {                                                               \
      type *from = round & 1 ? v : u, *to = round & 1 ? u : v;                                               \
      for (int i = 0; i < n; i++) {                                                                          \
        w[i] = 0;                                                                                            \
        for (int j = 0; j < n; j++)                                                                          \
          w[i] += from[j] / (type)((i + j) * (i + j + 1) / 2 + i + 1);                                       \
      }                                                                                                      \
      for (int i = 0; i < n; i++) {                                                                          \
        to[i] = 0;                                                                                           \
        for (int j = 0; j < n; j++)                                                                          \
          to[i] += w[j] / (type)((j + i) * (j + i + 1) / 2 + j + 1);                                         \
      }                                                                                                      \
    }                                                                                                        \
    for (int i = 0; i < n; i++)                                                                              \
      vbv += u[i] * v[i], vv += v[i] * v[i];                                                                 \
    return (double)root(vbv / vv);                                                                           \
  }
SPECTRAL_NORM(norm_float, float, sqrtf)
SPECTRAL_NORM(norm_double, double, sqrt)
SPECTRAL_NORM(norm_long, long double, sqrtl)

static unsigned mandelbrot(void) {
  unsigned checksum = 0;
  for (int y = 0; y < 40; y++)
    for (int x = 0; x < 60; x++) {
      double re = x / 20.0 - 2.2, im = y / 20.0 - 1, zr = 0, zi = 0;
      unsigned n = 0;
      for (; n < 200 && zr * zr + zi * zi < 4; n++) {
        double t = zr * zr - zi * zi + re;
        zi = 2 * zr * zi + im;
        zr = t;
      }
      checksum = checksum * 33 + n;
    }
  return checksum;
}

struct body {
  double p[3], v[3], mass;
};

static double n_body(int steps) {
  struct body b[4] = {{{0, 0, 0}, {0, 0, 0}, 39.47},
                      {{4.84, -1.16, -0.10}, {0.606, 2.81, -0.02}, 0.037},
                      {{8.34, 4.12, -0.4}, {-1.01, 1.82, 0.008}, 0.011},
                      {{12.89, -15.11, -0.22}, {1.08, 0.868, -0.01}, 0.0017}};
  for (int s = 0; s < steps; s++) {
    for (int i = 0; i < 4; i++)
      for (int j = i + 1; j < 4; j++) {
        double d[3], square = 0;
        for (int k = 0; k < 3; k++)
          d[k] = b[i].p[k] - b[j].p[k], square += d[k] * d[k];
        double pull = 0.01 / (square * sqrt(square));
        for (int k = 0; k < 3; k++)
          b[i].v[k] -= d[k] * b[j].mass * pull, b[j].v[k] += d[k] * b[i].mass * pull;
      }
    for (int i = 0; i < 4; i++)
      for (int k = 0; k < 3; k++)
        b[i].p[k] += 0.01 * b[i].v[k];
  }
  double energy = 0;
  for (int i = 0; i < 4; i++)
    energy += b[i].mass * (b[i].v[0] * b[i].v[0] + b[i].v[1] * b[i].v[1] + b[i].v[2] * b[i].v[2]) / 2;
  return energy;
}

int main(void) {
  printf("spectral norm %.9f %.17g %.17g\n", norm_float(60), norm_double(60), norm_long(60));
  printf("mandelbrot %08x\n", mandelbrot());
  printf("n-body %.17g\n", n_body(1000));
  volatile float f = 16777216, one = 1;
  volatile double d = 9007199254740992.0;
  printf("rounding %.1f %.1f %.1f\n", f + one, (float)(f + one), d + one);
  double sum = 0;
  for (int i = 1; i < 10000; i++)
    sum += (i & 1 ? 1.0 : -1.0) / i;
  printf("ln 2 %.15f\n", sum);
  int counts[3] = {0};
  volatile double nan = NAN;
  for (int i = -3; i <= 3; i++) {
    volatile double x = i == 3 ? nan : i;
    counts[0] += x < 0, counts[1] += x >= 0, counts[2] += x != x;
  }
  printf("comparisons %d %d %d\n", counts[0], counts[1], counts[2]);
  for (int i = 0; i < 6; i++) {
    static const double values[] = {2.5, -2.5, 2147483646.7, -0.99, 1e9 + 0.5, 123456789012.0};
    printf("to integer %d %lld %u\n", i == 5 ? 0 : (int)values[i], (long long)values[i], i == 1 || i == 3 || i == 5 ? 0 : (unsigned)values[i]);
  }
  return 0;
}

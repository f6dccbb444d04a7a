/* After the Whetstone benchmark's mix: array elements, transcendental functions, procedure calls,
 * conversions. */
#include "../kernel.h"
#include <math.h>

enum { ROUNDS = 1500000 };

/* Bounded, as x below is away from zero: NaNs and denormals would have the CPU's slow paths measured. */
static void __attribute__((noinline)) rotate(double e[4], double t) {
  e[0] = (e[0] + e[1] + e[2] - e[3]) * t;
  e[1] = (e[0] + e[1] - e[2] + e[3]) * t;
  e[2] = (e[0] - e[1] + e[2] + e[3]) * t;
  e[3] = (-e[0] + e[1] + e[2] + e[3]) * t;
}

int main(void) {
  double e[4] = {1.0, -1.0, -1.0, -1.0}, x = 0.5, y = 0.5, z = 0.75;
  uint32_t sum = 0;
  for (int i = 0; i < ROUNDS; i++) {
    rotate(e, 0.499975);
    x = 0.25 + 0.499 * atan(2.0 * sin(x) * cos(x) / (cos(x + y) + cos(x - y) + 1.5));
    y = 0.5 + 0.3 * sin(x + y) + e[1] * 1e-3;
    z = sqrt(exp(log(z + 1.0) / 1.1)) * 0.6;
    sum = mix(sum, (uint32_t)(int32_t)floor(z * 1000 + y * 10));
  }
  printf("%08x %.6f %.6f %.6f\n", (unsigned)sum, x, y, z);
  return 0;
}

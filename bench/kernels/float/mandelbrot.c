/* The Mandelbrot set: a compare and a branch every few multiplications. */
#include "../kernel.h"

enum { SIZE = 900, LIMIT = 700 };

int main(void) {
  uint32_t sum = 0;
  for (int row = 0; row < SIZE; row++)
    for (int column = 0; column < SIZE; column++) {
      double cx = column * 3.0 / SIZE - 2.0, cy = row * 2.0 / SIZE - 1.0, x = 0, y = 0;
      int i = 0;
      while (i < LIMIT && x * x + y * y < 4.0) {
        double t = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = t;
        i++;
      }
      sum = mix(sum, (uint32_t)i);
    }
  return kernel_end(sum);
}

/* Integer matrix product, the plain three loops. */
#include "../kernel.h"

enum { N = 256, ROUNDS = 40 };
static uint32_t a[N][N], b[N][N], c[N][N];

int main(void) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      a[i][j] = random_next() >> 16;
      b[i][j] = random_next() >> 16;
    }
  uint32_t sum = 0;
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        uint32_t s = 0;
        for (int k = 0; k < N; k++)
          s += a[i][k] * b[k][j];
        c[i][j] = s;
      }
    a[round % N][round % N] = c[round][3];
    sum = mix(sum, c[round % N][7]);
  }
  return kernel_end(sum);
}

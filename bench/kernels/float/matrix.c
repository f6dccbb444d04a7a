/* Matrix product in double. */
#include "../kernel.h"

enum { N = 256, ROUNDS = 120 };
static double a[N][N], b[N][N], c[N][N];

int main(void) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      a[i][j] = random_next() / 4294967296.0;
      b[i][j] = random_next() / 4294967296.0;
    }
  for (int round = 0; round < ROUNDS; round++) {
    memset(c, 0, sizeof c);
    for (int i = 0; i < N; i++)
      for (int k = 0; k < N; k++)
        for (int j = 0; j < N; j++)
          c[i][j] += a[i][k] * b[k][j];
    a[round % N][round % N] = c[round][3] / N;
  }
  printf("%.9f %.9f\n", c[1][2], c[N - 1][N - 1]);
  return 0;
}

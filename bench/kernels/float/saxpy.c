/* Vectors of float: y += a x, and their dot product; in the first-level cache. */
#include "../kernel.h"

enum { N = 2048, ROUNDS = 800000 };
static float x[N], y[N];

int main(void) {
  for (int i = 0; i < N; i++) {
    x[i] = (float)(random_next() >> 8) / 16777216.0f - 0.5f;
    y[i] = (float)(random_next() >> 8) / 16777216.0f - 0.5f;
  }
  float sum = 0;
  for (int round = 0; round < ROUNDS; round++) {
    float factor = round & 1 ? 0.25f : -0.25f;
    for (int i = 0; i < N; i++)
      y[i] += factor * x[i];
    if ((round & 15) == 0)
      for (int i = 0; i < N; i++)
        sum += x[i] * y[i];
  }
  printf("%.4f\n", (double)sum);
  return 0;
}

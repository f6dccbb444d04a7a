/* Planets and their gravity: chains of multiplications, square roots, divisions. */
#include "../kernel.h"
#include <math.h>

enum { BODIES = 5, STEPS = 5000000 };
struct body {
  double x, y, z, vx, vy, vz, mass;
};
static struct body body[BODIES];

static void advance(double dt) {
  for (int i = 0; i < BODIES; i++)
    for (int j = i + 1; j < BODIES; j++) {
      struct body *a = &body[i], *b = &body[j];
      double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
      double square = dx * dx + dy * dy + dz * dz;
      double pull = dt / (square * sqrt(square));
      a->vx -= dx * b->mass * pull;
      a->vy -= dy * b->mass * pull;
      a->vz -= dz * b->mass * pull;
      b->vx += dx * a->mass * pull;
      b->vy += dy * a->mass * pull;
      b->vz += dz * a->mass * pull;
    }
  for (int i = 0; i < BODIES; i++) {
    body[i].x += dt * body[i].vx;
    body[i].y += dt * body[i].vy;
    body[i].z += dt * body[i].vz;
  }
}

int main(void) {
  for (int i = 0; i < BODIES; i++)
    body[i] = (struct body){i * 3.5, i * i * 0.7, (i & 1) - 0.5, 0, i ? 6.0 / sqrt(i * 3.5) : 0, 0, i ? 0.02 / i : 39.0};
  for (int step = 0; step < STEPS; step++)
    advance(0.0005);
  printf("%.9f %.9f\n", body[1].x, body[4].y);
  return 0;
}

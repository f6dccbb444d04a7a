/* Virtual methods: a load of the table, a load of the method, a call; small bodies with frames. */
#include "../kernel.h"

enum { OBJECTS = 64, ROUNDS = 1500000 };
struct shape;
struct methods {
  uint32_t (*area)(const struct shape *);
  void (*grow)(struct shape *, uint32_t);
};
struct shape {
  const struct methods *methods;
  uint32_t width, height;
};

static uint32_t box_area(const struct shape *s) { return s->width * s->height; }
static uint32_t triangle_area(const struct shape *s) { return s->width * s->height / 2; }
static uint32_t line_area(const struct shape *s) { return s->width; }
static void grow_both(struct shape *s, uint32_t by) {
  s->width += by;
  s->height += by;
}
static void grow_width(struct shape *s, uint32_t by) { s->width += by; }
static const struct methods methods[3] = {
    {box_area, grow_both}, {triangle_area, grow_both}, {line_area, grow_width}};
static struct shape shape[OBJECTS];

int main(void) {
  for (int i = 0; i < OBJECTS; i++)
    shape[i] = (struct shape){&methods[random_next() % 3], random_next() & 255, random_next() & 255};
  uint32_t sum = 0;
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < OBJECTS; i++) {
      sum += shape[i].methods->area(&shape[i]);
      if ((round & 7) == 0)
        shape[i].methods->grow(&shape[i], sum & 3);
    }
  return kernel_end(sum);
}

/* The demo: a 32-bit x86 program that shows what runs it.
 *
 * It prints what the kernel and the CPU say of themselves, then draws: a Julia set, computed with the
 * x87 FPU; the sun and five planets after some years of Newton, with doubles; and a count of primes,
 * all integers. Each with the time it took. */
#include <cpuid.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void show_machine(void) {
  unsigned eax, ebx, ecx, edx;
  char vendor[13] = "", brand[49] = "";
  struct utsname names;
  uname(&names);
  __cpuid(0, eax, ebx, ecx, edx);
  memcpy(vendor, &ebx, 4);
  memcpy(vendor + 4, &edx, 4);
  memcpy(vendor + 8, &ecx, 4);
  __cpuid(0x80000000u, eax, ebx, ecx, edx);
  if (eax >= 0x80000004u && eax < 0x80000100u)
    for (unsigned leaf = 0; leaf < 3; leaf++)
      __cpuid(0x80000002u + leaf, ((unsigned *)brand)[4 * leaf], ((unsigned *)brand)[4 * leaf + 1],
              ((unsigned *)brand)[4 * leaf + 2], ((unsigned *)brand)[4 * leaf + 3]);
  __cpuid(1, eax, ebx, ecx, edx);

  static const struct {
    const char *name;
    unsigned in_ecx, bit;
  } features[] = {
      {"fpu", 0, 0},     {"tsc", 0, 4},     {"cx8", 0, 8},  {"cmov", 0, 15}, {"mmx", 0, 23},
      {"sse", 0, 25},    {"sse2", 0, 26},   {"sse3", 1, 0}, {"ssse3", 1, 9}, {"sse4.1", 1, 19},
      {"sse4.2", 1, 20}, {"popcnt", 1, 23}, {"avx", 1, 28},
  };
  printf("A %u-bit program on %s %s, machine %s\n", (unsigned)sizeof(void *) * 8, names.sysname,
         names.release, names.machine);
  printf("cpuid: %s", vendor);
  if (brand[0])
    printf(", %s", brand + strspn(brand, " "));
  printf("\nfeatures:");
  for (unsigned i = 0; i < sizeof features / sizeof features[0]; i++)
    if ((features[i].in_ecx ? ecx : edx) >> features[i].bit & 1)
      printf(" %s", features[i].name);
  printf("\n\n");
}

static void draw_julia(void) {
  static const char shade[] = " .:-=+*%#@";
  enum { width = 76, height = 25, limit = 2000, samples = 3 };
  const double c_re = -0.8, c_im = 0.156;
  for (int y = 0; y < height; y++) {
    char line[width + 1];
    for (int x = 0; x < width; x++) {
      long total = 0;
      for (int s = 0; s < samples * samples; s++) {
        double re = ((x + (s % samples) / (double)samples) / width - 0.5) * 3.2;
        double im = ((y + (s / samples) / (double)samples) / height - 0.5) * 2.2;
        int n = 0;
        while (n < limit && re * re + im * im < 4) {
          double next = re * re - im * im + c_re;
          im = 2 * re * im + c_im;
          re = next;
          n++;
        }
        total += n;
      }
      double mean = (double)total / (samples * samples);
      int level = (int)(log2(1 + mean) * 1.25);
      line[x] = shade[level > 9 ? 9 : level];
    }
    line[width] = 0;
    puts(line);
  }
}

/* Sun, Jupiter, Saturn, Uranus, Neptune, Mars: circular orbits in one plane, in AU, years, solar masses. */
struct body {
  const char *name;
  double mass, x, y, vx, vy;
};

static double energy(const struct body *body, int count) {
  double sum = 0;
  const double gravity = 4 * M_PI * M_PI;
  for (int i = 0; i < count; i++) {
    sum += body[i].mass * (body[i].vx * body[i].vx + body[i].vy * body[i].vy) / 2;
    for (int j = i + 1; j < count; j++)
      sum -= gravity * body[i].mass * body[j].mass / hypot(body[i].x - body[j].x, body[i].y - body[j].y);
  }
  return sum;
}

static void orbit(void) {
  static struct body body[] = {
      {.name = "Sun", .mass = 1},
      {.name = "Mars", .mass = 3.2e-7, .x = 1.524},
      {.name = "Jupiter", .mass = 9.5e-4, .x = 5.203},
      {.name = "Saturn", .mass = 2.9e-4, .x = 9.537},
      {.name = "Uranus", .mass = 4.4e-5, .x = 19.19},
      {.name = "Neptune", .mass = 5.2e-5, .x = 30.07},
  };
  enum { count = sizeof body / sizeof body[0], steps_a_year = 2000, years = 12 };
  const double gravity = 4 * M_PI * M_PI, dt = 1.0 / steps_a_year;
  for (int i = 1; i < count; i++)
    body[i].vy = sqrt(gravity / body[i].x);
  double before = energy(body, count);
  for (int step = 0; step < years * steps_a_year; step++) {
    for (int i = 0; i < count; i++) {
      for (int j = i + 1; j < count; j++) {
        double dx = body[i].x - body[j].x, dy = body[i].y - body[j].y;
        double square = dx * dx + dy * dy;
        double pull = gravity * dt / (square * sqrt(square));
        body[i].vx -= dx * body[j].mass * pull;
        body[i].vy -= dy * body[j].mass * pull;
        body[j].vx += dx * body[i].mass * pull;
        body[j].vy += dy * body[i].mass * pull;
      }
    }
    for (int i = 0; i < count; i++) {
      body[i].x += body[i].vx * dt;
      body[i].y += body[i].vy * dt;
    }
  }
  for (int i = 0; i < count; i++)
    printf("  %-8s %10.5f AU from the centre, at %6.1f degrees\n", body[i].name, hypot(body[i].x, body[i].y),
           atan2(body[i].y, body[i].x) * 180 / M_PI);
  printf("  energy drift over %d years: %.1e\n", years, fabs((energy(body, count) - before) / before));
}

static void count_primes(void) {
  enum { limit = 4000000 };
  static uint8_t composite[limit];
  unsigned count = 0;
  for (unsigned i = 2; i < limit; i++) {
    if (composite[i])
      continue;
    count++;
    for (uint64_t j = (uint64_t)i * i; j < limit; j += i)
      composite[j] = 1;
  }
  printf("  %u primes below %d\n", count, limit);
}

static void timed(const char *title, void (*work)(void)) {
  printf("%s\n", title);
  double start = seconds();
  work();
  printf("  %.0f ms\n\n", (seconds() - start) * 1000);
}

int main(void) {
  show_machine();
  timed("A Julia set (x87):", draw_julia);
  timed("The solar system, 12 years on (doubles):", orbit);
  timed("The sieve of Eratosthenes (integers):", count_primes);
  return 0;
}

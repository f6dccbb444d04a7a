/* The vDSO's functions, as 32-bit code of the guest.
 *
 * The kernel's read clocks from a page that it shares with the process; these ask by a system call. What a
 * program can see is the same: results go to the caller's memory by the function's own stores, so that a bad
 * pointer is a SIGSEGV and not EFAULT, but for the clocks that the kernel's functions leave to the system
 * call, too. */

struct timespec {
  int seconds, nanoseconds;
};
struct timespec64 {
  long long seconds;
  int nanoseconds, padding;
};
struct timezone {
  int minutes_west, dst;
};

/* asm/unistd_32.h */
enum {
  NR_TIME = 13,
  NR_GETTIMEOFDAY = 78,
  NR_CLOCK_GETTIME = 265,
  NR_CLOCK_GETRES = 266,
  NR_GETCPU = 318,
  NR_CLOCK_GETTIME64 = 403
};

int __vdso_clock_gettime(int clock, struct timespec *to);
int __vdso_clock_gettime64(int clock, struct timespec64 *to);
int __vdso_clock_getres(int clock, struct timespec *to);
int __vdso_gettimeofday(struct timespec *to, struct timezone *zone);
int __vdso_time(int *to);
int __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);

static inline int call(int number, int a, void *b, int c) {
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
  return result;
}

/* REALTIME, MONOTONIC, MONOTONIC_RAW, the two coarse ones, BOOTTIME, TAI: those that a page can tell. */
static inline int is_shared(int clock) { return (unsigned)clock < 12 && 0x8F3 >> clock & 1; }

int __vdso_clock_gettime(int clock, struct timespec *to) {
  struct timespec now;
  if (!is_shared(clock))
    return call(NR_CLOCK_GETTIME, clock, to, 0);
  const int error = call(NR_CLOCK_GETTIME, clock, &now, 0);
  if (!error)
    *to = now;
  return error;
}

int __vdso_clock_gettime64(int clock, struct timespec64 *to) {
  struct timespec64 now;
  if (!is_shared(clock))
    return call(NR_CLOCK_GETTIME64, clock, to, 0);
  const int error = call(NR_CLOCK_GETTIME64, clock, &now, 0);
  if (!error) {
    to->seconds = now.seconds;
    to->nanoseconds = now.nanoseconds;
  }
  return error;
}

int __vdso_clock_getres(int clock, struct timespec *to) {
  struct timespec resolution;
  if (!is_shared(clock))
    return call(NR_CLOCK_GETRES, clock, to, 0);
  const int error = call(NR_CLOCK_GETRES, clock, &resolution, 0);
  if (!error && to)
    *to = resolution;
  return error;
}

int __vdso_gettimeofday(struct timespec *to, struct timezone *zone) {
  struct timespec now;
  struct timezone there;
  const int error = call(NR_GETTIMEOFDAY, (int)&now, &there, 0);
  if (!error && to)
    *to = now;
  if (!error && zone)
    *zone = there;
  return error;
}

int __vdso_time(int *to) {
  const int now = call(NR_TIME, 0, 0, 0);
  if (to)
    *to = now;
  return now;
}

int __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused) {
  unsigned where[2];
  (void)unused;
  const int error = call(NR_GETCPU, (int)&where[0], &where[1], 0);
  if (!error && cpu)
    *cpu = where[0];
  if (!error && node)
    *node = where[1];
  return error;
}

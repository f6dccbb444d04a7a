#include "Observe/statistics.h"
#include "Observe/sampler.h"

#include "Linux/log.h"
#include "Runtime/observe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* What a sample was in: translated code by kind, other code of the code cache (exits on their own, stubs), or
 * the emulator itself. */
enum { IN_STUBS = UNIT_KIND_COUNT, IN_EMULATOR, PLACE_COUNT };

static uint64_t samples[PLACE_COUNT];
static bool sampling;
static struct timespec began;

static void count_sample(uint64_t pc) {
  enum unit_kind kind = UNIT_SMALL;
  switch (runtime_code_at((uintptr_t)pc, &kind)) {
  case CODE_IN_UNIT:
    samples[kind]++;
    break;
  case CODE_ELSEWHERE:
    samples[IN_STUBS]++;
    break;
  case CODE_NONE:
    samples[IN_EMULATOR]++;
    break;
  }
}

void statistics_start(void) {
  clock_gettime(CLOCK_MONOTONIC, &began);
  sampling = sampler_start();
}

void statistics_forked(void) {
  memset(samples, 0, sizeof samples);
  clock_gettime(CLOCK_MONOTONIC, &began);
  if (sampling)
    sampler_forked();
}

void statistics_drain(void) {
  if (sampling)
    sampler_drain(count_sample);
}

/* --- The table -------------------------------------------------------------------------------------------
 */

static struct {
  char bytes[8192];
  size_t length;
} text;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(text.bytes + text.length, sizeof text.bytes - text.length, format, arguments);
  va_end(arguments);
  text.length += length > 0 ? (size_t)length : 0;
  if (text.length > sizeof text.bytes - 1)
    text.length = sizeof text.bytes - 1;
}

static unsigned long long number(uint64_t value) { return value; }

/* A time in milliseconds, from nanoseconds, with one decimal. */
static const char *milliseconds(uint64_t nanoseconds, char buffer[32]) {
  snprintf(buffer, 32, "%llu.%llu", number(nanoseconds / 1000000), number(nanoseconds / 100000 % 10));
  return buffer;
}

static void put_units(const struct statistics *s) {
  put("  %-8s %10s %10s %13s %12s %12s %12s\n", "units", "made", "dropped", "instructions", "guest bytes",
      "host bytes", "ms");
  for (unsigned k = 0; k < UNIT_KIND_COUNT; k++) {
    const struct statistics_units *u = &s->unit[k];
    char time[32];
    if (u->count)
      put("    %-6s %10llu %10llu %13llu %12llu %12llu %12s\n", unit_kind_name(k), number(u->count),
          number(u->dropped), number(u->insns), number(u->guest_bytes), number(u->host_bytes),
          milliseconds(u->nanoseconds, time));
  }
}

static void put_exits(const struct statistics *s) {
  static const char *const names[HELPER_COUNT] = {
#define HELPER_NAME(name) #name,
      UEMU_HELPERS(HELPER_NAME)
#undef HELPER_NAME
  };
  put("  to C     %llu exits linked, %llu got hot, %llu jump cache misses, %llu faults and interrupts\n",
      number(s->exit.links), number(s->exit.hot), number(s->exit.misses), number(s->exit.stops));
  put("  helpers ");
  const char *separator = "";
  for (unsigned h = 0; h < HELPER_COUNT; h++)
    if (s->exit.helper[h] && h != HELPER_syscall) {
      put("%s %s %llu", separator, names[h], number(s->exit.helper[h]));
      separator = ",";
    }
  put("%s\n", *separator ? "" : " none");
}

static uint64_t nanoseconds_of(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

static void put_time(void) {
  static const char *const places[PLACE_COUNT] = {[IN_STUBS] = "stubs", [IN_EMULATOR] = "emulator"};
  struct rusage used;
  struct timespec now;
  char wall[32], user[32], kernel[32];
  getrusage(RUSAGE_SELF, &used);
  clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t elapsed = (now.tv_sec - began.tv_sec) * INT64_C(1000000000) + now.tv_nsec - began.tv_nsec;
  put("  time     %s ms, user %s, kernel %s; memory at most %ld KiB\n", milliseconds((uint64_t)elapsed, wall),
      milliseconds(nanoseconds_of(used.ru_utime), user), milliseconds(nanoseconds_of(used.ru_stime), kernel),
      used.ru_maxrss);
  uint64_t total = 0;
  for (unsigned i = 0; i < PLACE_COUNT; i++)
    total += samples[i];
  put("  user in  %s", sampling ? "" : "not known: perf_event_open(2) is not permitted here\n");
  if (!sampling)
    return;
  for (unsigned i = 0; i < PLACE_COUNT; i++)
    if (samples[i])
      put("%s %llu.%llu%%, ", i < UNIT_KIND_COUNT ? unit_kind_name(i) : places[i],
          number(samples[i] * 100 / total), number(samples[i] * 1000 / total % 10));
  put("by %llu samples\n", number(total));
}

void statistics_print(const struct process *process, const char *how) {
  struct statistics s;
  char time[32];
  runtime_statistics(&s);
  runtime_look(statistics_drain);
  text.length = 0;
  put("statistics of %d, %s, at %s\n", (int)getpid(), process->exe_path, how);
  put_units(&s);
  put("  stencils %llu put into units, %llu made on demand\n", number(s.stencils), number(s.stencils_made));
  put("  LLVM     %llu compilations in %s ms", number(s.compilations),
      milliseconds(s.compile_nanoseconds, time));
  put("; %s ms of CPU time in the background\n", milliseconds(s.background_nanoseconds, time));
  put_exits(&s);
  put("  code     changed or went %llu times; flushed %llu times, %llu bytes freed\n", number(s.drops),
      number(s.flushes), number(s.freed_bytes));
  put("  kernel   %llu system calls, %llu signals delivered\n", number(s.exit.helper[HELPER_syscall]),
      number(__atomic_load_n(&process->signals_delivered, __ATOMIC_RELAXED)));
  put_time();
  log_text(text.bytes);
}

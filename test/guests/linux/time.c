/* Clocks, sleeping and timers in both widths of time. Output is the same on every run, also on a machine that is so busy
 * that seconds pass between two lines. Compile with -m32.
 *
 * guest-test: levels=O2 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct time32 {
  int seconds, nanoseconds;
};
struct time64 {
  long long seconds, nanoseconds;
};
#define PADDING 0x1234567800000000LL /* what a 32-bit C library may leave above the nanoseconds */

static void show(const char *what, long result) {
  if (result == -1)
    printf("%s: %s\n", what, strerrorname_np(errno));
  else
    printf("%s: %ld\n", what, result);
}

static long long now(void) {
  struct time64 t;
  syscall(403, CLOCK_MONOTONIC, &t);
  return t.seconds * 1000 + t.nanoseconds / 1000000;
}

static const char *lasted(long long start, int least) {
  const long long took = now() - start;
  return took < least ? "too short" : took > least + 20000 ? "too long" : "as asked";
}

/* Of `asked` seconds nearly all are left. */
static const char *left_of(long long asked, long long left) {
  return left < asked && left > asked - 20 ? "most" : "?";
}

static void clocks(void) {
  const int before = syscall(SYS_time, 0);
  int stored = 0;
  struct time32 t;
  struct time64 t64;
  struct timeval tv;
  struct timezone zone = {77, 77};
  show("time stores", syscall(SYS_time, &stored) == stored);
  show("time unwritable", syscall(SYS_time, 4));
  show("gettimeofday", syscall(SYS_gettimeofday, &tv, &zone));
  printf("  %s zone %d %d\n", tv.tv_sec - before < 100u ? "now" : "?", zone.tz_minuteswest, zone.tz_dsttime);
  show("gettimeofday nothing", syscall(SYS_gettimeofday, 0, 0));
  show("gettimeofday unwritable", syscall(SYS_gettimeofday, 4, 0));
  for (int clock = -8; clock < 14; clock++) {
    if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
      continue; /* not every machine has the device */
    printf("clock %d:", clock);
    long result = syscall(SYS_clock_gettime, clock, &t);
    printf(" %s", result ? strerrorname_np(errno) : "ok");
    result = syscall(403, clock, &t64);
    printf(" %s", result ? strerrorname_np(errno) : t64.seconds - t.seconds <= 20 ? "ok" : "?");
    result = syscall(SYS_clock_getres, clock, &t);
    printf(" %s", result ? strerrorname_np(errno) : t.seconds == 0 && t.nanoseconds > 0 ? "ok" : "?");
    result = syscall(406, clock, &t64);
    printf(" %s", result ? strerrorname_np(errno) : t64.seconds == 0 && t64.nanoseconds > 0 ? "ok" : "?");
    result = syscall(SYS_clock_getres, clock, 0);
    printf(" %s\n", result ? strerrorname_np(errno) : "ok");
  }
  show("clock_gettime unwritable", syscall(SYS_clock_gettime, 0, 4));
  show("clock_settime unreadable", syscall(SYS_clock_settime, 0, 4));
  show("clock_settime bad clock", syscall(SYS_clock_settime, 99, 4));
  show("clock_settime monotonic", syscall(SYS_clock_settime, 1, &t));
  t = (struct time32){0, -1};
  show("clock_settime bad time", syscall(SYS_clock_settime, 0, &t));
  t64 = (struct time64){0, 1000000000 | PADDING};
  show("clock_settime64 bad time", syscall(404, 0, &t64));
  show("settimeofday bad time", syscall(SYS_settimeofday, (int[]){0, -1}, 0));
  show("settimeofday unreadable", syscall(SYS_settimeofday, 4, 0));
  show("settimeofday nothing", syscall(SYS_settimeofday, 0, 0));
  show("stime unreadable", syscall(SYS_stime, 4));
}

static void adjustments(void) {
  struct timex state = {0};
  const long result = syscall(SYS_adjtimex, &state);
  /* time() is the time of the last tick */
  printf("adjtimex: %s, %s, tick %ld tolerance %ld precision %ld\n", result >= 0 && result <= 5 ? "ok" : "?",
         time(NULL) + 1 - state.time.tv_sec < 100u ? "now" : "?", state.tick, state.tolerance, state.precision);
  struct {
    unsigned modes, padding;
    long long offset, freq, maxerror, esterror;
    int status, padding2;
    long long constant, precision, tolerance, seconds, microseconds, tick;
    char rest[96];
  } wide = {0};
  const int ok = syscall(405, 0, &wide) >= 0;
  printf("clock_adjtime64: %s, tick %lld same %d %d\n", ok ? "ok" : "?", wide.tick, wide.freq == state.freq,
         wide.status == state.status);
  printf("clock_adjtime: %s\n", syscall(SYS_clock_adjtime, 0, &state) >= 0 ? "ok" : "?");
  show("clock_adjtime bad clock", syscall(SYS_clock_adjtime, 99, &state));
  show("clock_adjtime no clock", syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &state));
  state.modes = ADJ_TICK;
  state.tick = 1;
  show("adjtimex bad tick", syscall(SYS_adjtimex, &state));
  show("adjtimex unreadable", syscall(SYS_adjtimex, 4));
  show("clock_adjtime64 unreadable", syscall(405, 0, 4));
}

/* --- Sleeping ------------------------------------------------------------------------------ */

static volatile int signals;
static void on_signal(int number) {
  signals++;
  (void)number;
}

/* From 100 ms on, again and again: the first signal may come before what it should interrupt. */
static void start_interrupting(int flags) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
  const struct itimerval timer = {{0, 500000}, {0, 100000}};
  signals = 0;
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
}

static long interrupted(long result) {
  const int error = errno;
  const struct itimerval never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &never, NULL);
  printf("%s: ", signals ? "signals came" : "no signal");
  errno = error;
  return result;
}

static void sleeping(void) {
  struct time32 t = {0, 30000000}, left = {7, 7};
  struct time64 t64 = {0, 30000000 | PADDING}, left64 = {7, 7};
  long long start = now();
  show("nanosleep", syscall(SYS_nanosleep, &t, &left));
  printf("  %s, left %d %d\n", lasted(start, 30), left.seconds, left.nanoseconds);
  start = now();
  show("clock_nanosleep64", syscall(407, CLOCK_REALTIME, 0, &t64, &left64));
  printf("  %s, left %lld %lld\n", lasted(start, 30), left64.seconds, left64.nanoseconds);
  syscall(403, CLOCK_MONOTONIC, &t64);
  start = now();
  t64.nanoseconds += 40000000;
  if (t64.nanoseconds >= 1000000000) {
    t64.nanoseconds -= 1000000000;
    t64.seconds++;
  }
  show("clock_nanosleep64 absolute", syscall(407, CLOCK_MONOTONIC, TIMER_ABSTIME, &t64, &left64));
  printf("  %s\n", lasted(start, 38));
  show("nanosleep unreadable", syscall(SYS_nanosleep, 4, 0));
  t = (struct time32){-1, 0};
  show("nanosleep negative", syscall(SYS_nanosleep, &t, 0));
  t = (struct time32){0, 1000000000};
  show("nanosleep bad", syscall(SYS_nanosleep, &t, 0));
  t = (struct time32){0, 0};
  show("clock_nanosleep bad clock", syscall(SYS_clock_nanosleep, 99, 0, &t, 0));
  show("clock_nanosleep bad clock, unreadable", syscall(SYS_clock_nanosleep, 99, 0, 4, 0));
  show("clock_nanosleep unreadable", syscall(SYS_clock_nanosleep, 0, 0, 4, 0));
  show("clock_nanosleep nothing", syscall(SYS_clock_nanosleep, 0, 0, 0, 0));
  show("clock_nanosleep raw", syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &t, 0));
  show("clock_nanosleep thread", syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &t, 0));

  /* A handler ends it, restarting or not, and the rest is told. */
  for (int flags = 0; flags < 2; flags++) {
    t = (struct time32){50, 0};
    left = (struct time32){-1, -1};
    start = now();
    start_interrupting(flags ? SA_RESTART : 0);
    show("nanosleep", interrupted(syscall(SYS_nanosleep, &t, &left)));
    printf("  %s, left %s and %s\n", lasted(start, 100), left_of(50, left.seconds),
           left.nanoseconds > 0 && left.nanoseconds < 1000000000 ? "some" : "?");
  }
  t64 = (struct time64){50, 0};
  start_interrupting(0);
  show("clock_nanosleep64", interrupted(syscall(407, CLOCK_REALTIME, 0, &t64, &left64)));
  printf("  left %s\n", left_of(50, left64.seconds));
  start_interrupting(0);
  show("clock_nanosleep64 unwritable", interrupted(syscall(407, CLOCK_REALTIME, 0, &t64, 4)));
  t64 = (struct time64){time(NULL) + 50, 0};
  left64 = (struct time64){-1, -1};
  start_interrupting(SA_RESTART);
  show("absolute", interrupted(syscall(407, CLOCK_REALTIME, TIMER_ABSTIME, &t64, &left64)));
  printf("  left %lld\n", left64.seconds);
  show("restart_syscall", syscall(SYS_restart_syscall));
}

/* Stopped and continued, a sleep goes on to its first end. */
static void stopped(void) {
  const pid_t child = fork();
  if (child == 0) {
    struct time32 t = {3, 0}, left = {7, 7};
    const long long start = now();
    const long result = syscall(SYS_nanosleep, &t, &left);
    const long long took = now() - start;
    _exit(result == 0 && took >= 3000 && took < 4600 ? 1 : 2);
  }
  int status;
  usleep(50000);
  kill(child, SIGSTOP);
  waitpid(child, &status, WUNTRACED);
  usleep(2000000);
  kill(child, SIGCONT);
  waitpid(child, &status, 0);
  printf("stopped sleep: %s\n", WIFEXITED(status) && WEXITSTATUS(status) == 1 ? "to its first end" : "?");
}

/* --- Timers -------------------------------------------------------------------------------- */

static void interval_timers(void) {
  struct itimerval timer = {{3, 250000}, {100, 500000}}, old;
  signal(SIGVTALRM, on_signal);
  show("setitimer", setitimer(ITIMER_VIRTUAL, &timer, NULL));
  show("getitimer", getitimer(ITIMER_VIRTUAL, &old));
  printf("  %ld %ld, %s\n", (long)old.it_interval.tv_sec, (long)old.it_interval.tv_usec / 10000,
         old.it_value.tv_sec <= 100 && old.it_value.tv_sec > 80 ? "as set" : "?");
  timer = (struct itimerval){0};
  show("setitimer off", setitimer(ITIMER_VIRTUAL, &timer, &old));
  printf("  %ld %s\n", (long)old.it_interval.tv_sec, old.it_value.tv_sec > 80 ? "as set" : "?");
  show("setitimer bad", syscall(SYS_setitimer, 9, &timer, 0));
  show("setitimer bad time", syscall(SYS_setitimer, 0, (int[]){0, 0, 0, 1000000}, 0));
  show("setitimer unreadable", syscall(SYS_setitimer, 0, 4, 0));
  show("setitimer unwritable", syscall(SYS_setitimer, 0, &timer, 4));
  show("setitimer nothing", syscall(SYS_setitimer, 0, 0, 0));
  show("getitimer bad", syscall(SYS_getitimer, 9, &timer));
  show("getitimer unwritable", syscall(SYS_getitimer, 0, 4));
  show("alarm", alarm(100));
  const int rest = alarm(0);
  printf("alarm: %s\n", rest <= 100 && rest > 80 ? "as set" : "?");
  start_interrupting(0);
  show("pause", interrupted(pause()));
}

static volatile int timer_signal, timer_code, timer_value, timer_number;
static void on_timer(int number, siginfo_t *info, void *context) {
  timer_signal = number;
  timer_code = info->si_code;
  timer_value = info->si_value.sival_int;
  timer_number = info->si_timerid;
  (void)context;
}

static void posix_timers(void) {
  struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO};
  sigaction(SIGRTMIN + 1, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
  struct sigevent event = {
      .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = -77};
  int id = -1;
  show("timer_create", syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
  struct {
    struct time32 interval, value;
  } t = {{0, 0}, {0, 20000000}}, old = {{-1, -1}, {-1, -1}};
  struct {
    struct time64 interval, value;
  } t64 = {{50, PADDING | 5}, {100, PADDING | 6}}, old64;
  show("timer_settime", syscall(SYS_timer_settime, id, 0, &t, &old));
  printf("  %d %d %d %d\n", old.interval.seconds, old.interval.nanoseconds, old.value.seconds,
         old.value.nanoseconds);
  while (!timer_signal)
    usleep(1000);
  printf("  signal %s code %d value %d %s\n", timer_signal == SIGRTMIN + 1 ? "ok" : "?", timer_code,
         timer_value, timer_number == id ? "same timer" : "?");
  show("timer_settime64", syscall(409, id, 0, &t64, 0));
  show("timer_gettime64", syscall(408, id, &old64));
  printf("  %lld %lld %s\n", old64.interval.seconds, old64.interval.nanoseconds,
         old64.value.seconds <= 100 && old64.value.seconds > 80 ? "as set" : "?");
  show("timer_gettime", syscall(SYS_timer_gettime, id, &old));
  printf("  %d %d %s\n", old.interval.seconds, old.interval.nanoseconds,
         old.value.seconds <= 100 && old.value.seconds > 80 ? "as set" : "?");
  show("timer_getoverrun", syscall(SYS_timer_getoverrun, id));
  show("timer_settime nothing", syscall(SYS_timer_settime, id, 0, 0, 0));
  show("timer_settime unreadable", syscall(SYS_timer_settime, id, 0, 4, 0));
  t64.value.nanoseconds = 1000000000;
  show("timer_settime64 bad time", syscall(409, id, 0, &t64, 0));
  show("timer_gettime unwritable", syscall(SYS_timer_gettime, id, 4));
  show("timer_delete", syscall(SYS_timer_delete, id));
  show("timer_delete again", syscall(SYS_timer_delete, id));
  show("timer_gettime gone", syscall(SYS_timer_gettime, id, &old));

  event = (struct sigevent){
      .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = 5};
  event._sigev_un._tid = syscall(SYS_gettid);
  timer_signal = 0;
  show("timer_create for thread", syscall(SYS_timer_create, CLOCK_REALTIME, &event, &id));
  show("timer_settime", syscall(SYS_timer_settime, id, 0, &t, 0));
  while (!timer_signal)
    usleep(1000);
  printf("  value %d\n", timer_value);
  syscall(SYS_timer_delete, id);
  event._sigev_un._tid = 1;
  show("timer_create other thread", syscall(SYS_timer_create, CLOCK_REALTIME, &event, &id));
  event = (struct sigevent){.sigev_notify = SIGEV_NONE};
  show("timer_create silent", syscall(SYS_timer_create, CLOCK_REALTIME, &event, &id));
  syscall(SYS_timer_delete, id);
  timer_signal = 0;
  show("timer_create default", syscall(SYS_timer_create, CLOCK_REALTIME, 0, &id));
  show("timer_settime", syscall(SYS_timer_settime, id, 0, &t, 0));
  while (!timer_signal)
    usleep(1000);
  printf("  signal %d value %s\n", timer_signal, timer_value == id ? "its id" : "?");
  syscall(SYS_timer_delete, id);
  event = (struct sigevent){.sigev_notify = 99};
  show("timer_create bad", syscall(SYS_timer_create, CLOCK_REALTIME, &event, &id));
  show("timer_create unreadable", syscall(SYS_timer_create, CLOCK_REALTIME, 4, &id));
  show("timer_create unwritable", syscall(SYS_timer_create, CLOCK_REALTIME, 0, 4));
  show("timer_create bad clock", syscall(SYS_timer_create, 99, 0, &id));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  clocks();
  adjustments();
  sleeping();
  stopped();
  interval_timers();
  posix_timers();
  return 0;
}

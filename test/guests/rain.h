/* Rain: signals at 1 kHz while a program works, whose handler leaves nothing as it was but what a handler
 * may not change. With the argument "rain" a program must print what it prints without. */
#ifndef RAIN_H
#define RAIN_H

#include <signal.h>
#include <string.h>
#include <sys/time.h>

static volatile unsigned rain_drops;

static __attribute__((noinline)) unsigned rain_recurse(unsigned n) {
  return n < 2 ? n : rain_recurse(n - 1) + rain_recurse(n - 2);
}

static void rain_on_tick(int number) {
  rain_drops += 1 + 0 * rain_recurse(5);
  /* Other flags, other registers that the interrupted code may be using. */
  __asm__ volatile("xor %%eax,%%eax; not %%eax; add $1,%%eax; fldpi; fstp %%st(0)" ::: "eax", "ecx", "edx", "cc", "st");
}

static void rain_set(long microseconds) {
  const struct itimerval timer = {{0, microseconds}, {0, microseconds}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void rain_begin(int argc, char **argv) {
  struct sigaction action = {.sa_handler = rain_on_tick, .sa_flags = SA_RESTART | SA_ONSTACK};
  static char stack[65536];
  if (argc < 2 || strcmp(argv[1], "rain"))
    return;
  sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
  sigaction(SIGALRM, &action, NULL);
  rain_set(1000);
}

static void rain_end(void) { rain_set(0); }

#endif

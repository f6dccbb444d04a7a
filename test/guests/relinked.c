/* Calls, jumps and branches of hot code to code elsewhere, which changes, or goes and comes back: in the
 * process, in a forked child, in another thread. They lead to it directly (docs/engine.md).
 *
 * guest-test: runs=|rain
 * guest-test: tiers=stencil
 * guest-test: link=static
 * guest-test: flags=-Wl,-z,execstack
 * guest-test: levels=O2 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rain.h"

enum { PAGE = 4096, VARIANTS = 8, HOT = 60000, ROOM = 256 };

/* The callers' page, and that of what they lead to. */
static unsigned char *callers, *targets;

static unsigned char *target_of(unsigned variant) { return targets + variant * ROOM; }

/* mov $value,%eax; ret */
static void put(unsigned char *at, uint32_t value) {
  at[0] = 0xb8;
  memcpy(at + 1, &value, 4);
  at[5] = 0xc3;
}

static unsigned char *byte(unsigned char *at, unsigned value) {
  *at = (unsigned char)value;
  return at + 1;
}

static unsigned char *leads_to(unsigned char *at, const unsigned char *target) {
  const int32_t distance = (int32_t)(target - (at + 4));
  memcpy(at, &distance, 4);
  return at + 4;
}

static uint32_t sum;

/* unsigned f(unsigned n): calls the target n times, with the sum of what it returned to `sum`; then goes
 * there by a branch if n is even, else by a jump. How the host's code lies depends on the variant. */
static void put_caller(unsigned variant) {
  static const unsigned char begin[] = {0x53, 0x56,                /* push %ebx; push %esi */
                                        0x8b, 0x74, 0x24, 0x0c,    /* mov 12(%esp),%esi */
                                        0x31, 0xdb};               /* xor %ebx,%ebx */
  static const unsigned char turn[] = {0x01, 0xc3,                 /* add %eax,%ebx */
                                       0x4e};                      /* dec %esi */
  static const unsigned char test[] = {0xf6, 0x44, 0x24, 0x0c, 1}; /* testb $1,12(%esp) */
  static const unsigned char leave[] = {0x5e, 0x5b};               /* pop %esi; pop %ebx */
  const unsigned char *target = target_of(variant);
  unsigned char *at = callers + variant * ROOM, *loop;
  memcpy(at, begin, sizeof begin);
  at += sizeof begin;
  for (unsigned i = 0; i < variant; i++)
    at = byte(at, 0xf9 - i % 2); /* stc, clc */
  loop = at;
  at = leads_to(byte(at, 0xe8), target);
  memcpy(at, turn, sizeof turn);
  at = leads_to(byte(byte(at + sizeof turn, 0x0f), 0x85), loop); /* jnz */
  at = byte(byte(at, 0x89), 0x1d);                               /* mov %ebx,sum */
  memcpy(at, &(uint32_t *){&sum}, 4);
  at += 4;
  for (unsigned i = 0; i < variant / 2; i++)
    at = byte(byte(at, 0x89), 0xf1); /* mov %esi,%ecx */
  memcpy(at, test, sizeof test);
  at += sizeof test;
  memcpy(at, leave, sizeof leave);
  at = leads_to(byte(byte(at + sizeof leave, 0x0f), 0x84), target); /* jz */
  leads_to(byte(at, 0xe9), target);
}

static uint32_t run(unsigned variant, unsigned n) {
  return ((uint32_t(*)(unsigned))(callers + variant * ROOM))(n);
}

static void map_all(void) {
  callers = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  targets = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (unsigned v = 0; v < VARIANTS; v++)
    put_caller(v);
}

static void put_all(uint32_t value) {
  for (unsigned v = 0; v < VARIANTS; v++)
    put(target_of(v), value + v);
}

static unsigned wrong_values(uint32_t value) {
  unsigned wrong = 0;
  for (unsigned v = 0; v < VARIANTS; v++)
    for (unsigned n = 1; n < 4; n++)
      wrong += run(v, n) != value + v || sum != n * (value + v);
  return wrong;
}

/* Both sides hot: in large units. */
static void heat(void) {
  for (unsigned v = 0; v < VARIANTS; v++) {
    run(v, HOT);
    for (unsigned i = 0; i < HOT / 4; i++)
      run(v, 1 + i % 2);
  }
}

static void changes(void) {
  unsigned wrong = 0;
  for (uint32_t value = 0; value < 50; value++) {
    put_all(value * 1000);
    wrong += wrong_values(value * 1000);
    if (value % 10 == 0)
      heat();
    wrong += wrong_values(value * 1000);
  }
  printf("changes: wrong %u\n", wrong);
}

static void goes_and_comes_back(void) {
  unsigned wrong = 0;
  for (uint32_t value = 0; value < 20; value++) {
    munmap(targets, PAGE);
    mmap(targets, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    put_all(7000 + value);
    wrong += wrong_values(7000 + value);
    if (value % 8 == 0)
      heat();
  }
  printf("unmapped: wrong %u\n", wrong);
}

/* Who changes what the other one shares: child, parent, both. */
static void forks(void) {
  for (unsigned who = 0; who < 4; who++) {
    int status;
    put_all(100);
    heat();
    unsigned wrong = wrong_values(100);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      wrong = wrong_values(100);
      if (who & 1)
        put_all(2000);
      for (unsigned i = 0; i < 3; i++) {
        wrong += wrong_values(who & 1 ? 2000 : 100);
        heat();
      }
      put_caller(3);
      wrong += wrong_values(who & 1 ? 2000 : 100);
      _exit(wrong != 0);
    }
    if (who & 2)
      put_all(3000);
    for (unsigned i = 0; i < 3; i++) {
      wrong += wrong_values(who & 2 ? 3000 : 100);
      heat();
    }
    waitpid(child, &status, 0);
    wrong += wrong_values(who & 2 ? 3000 : 100);
    printf("fork %u: wrong %u, child %#x\n", who, wrong, status);
  }
}

/* A thread that is in the caller, calling on and on, comes to see the change. */
static volatile int wanted;
static void *waits(void *argument) {
  const unsigned variant = (unsigned)(uintptr_t)argument;
  for (int value = 1; value <= 30; value++)
    while (run(variant, 500) < (uint32_t)value * 1000)
      ;
  __atomic_add_fetch(&wanted, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

static void threads(void) {
  pthread_t thread[2];
  put_all(0);
  for (unsigned t = 0; t < 2; t++)
    pthread_create(&thread[t], NULL, waits, (void *)(uintptr_t)(t * 5));
  for (uint32_t value = 1; value <= 30; value++) {
    usleep(2000);
    for (unsigned v = 0; v < VARIANTS; v++) { /* one aligned store: a thread may be running it */
      uint32_t *const word = (uint32_t *)target_of(v);
      const uint32_t low = (value * 1000 + v) << 8 | 0xb8;
      __atomic_store_n(word, low, __ATOMIC_SEQ_CST);
    }
  }
  for (unsigned t = 0; t < 2; t++)
    pthread_join(thread[t], NULL);
  printf("threads: %d done\n", wanted);
}

int main(int argc, char **argv) {
  rain_begin(argc, argv);
  map_all();
  changes();
  goes_and_comes_back();
  forks();
  threads();
  rain_end();
  return 0;
}

/* A program that makes code for ever, as a just-in-time compiler does: the emulator's translations have to go
 * at some time, whoever is inside them. The first argument says who is, the second how many functions are
 * made.
 * guest-test: runs=plain 1500|rain 1500|nest 1500|threads 300|fork 1000
 * guest-test: flags=-msse2
 * guest-test: levels=O2
 * guest-test: options=--code-cache=256K */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rain.h"

enum {
  room = 1 << 16,
  function_room = 512,
  place_count = room / function_room,
  op_count = 24,
  thread_count = 3
};

static unsigned char *map(void) {
  return mmap(NULL, room, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static unsigned next_random(unsigned *state) { return *state = *state * 1664525 + 1013904223; }

static unsigned char *put(unsigned char *at, unsigned opcode, unsigned opcode_size, unsigned value) {
  memcpy(at, &opcode, opcode_size);
  memcpy(at + opcode_size, &value, 4);
  return at + opcode_size + 4;
}

/* Writes a function of one argument: operations on it, in a loop. Returns what it makes of the argument. */
static unsigned make(unsigned char *at, unsigned seed, unsigned argument) {
  const unsigned turns = 1 + seed % 5;
  unsigned kind[op_count], value[op_count];
  for (unsigned i = 0; i < op_count; i++) {
    kind[i] = next_random(&seed) >> 16 & 3;
    value[i] = next_random(&seed) >> 3;
  }
  at = put(at, 0x0424448b, 4, 0x000000b9) - 4; /* mov 4(%esp),%eax */
  at = put(at, 0xb9, 1, turns);                /* mov $turns,%ecx */
  const unsigned char *loop = at;
  for (unsigned i = 0; i < op_count; i++)
    switch (kind[i]) {
    case 0:
      at = put(at, 0x05, 1, value[i]); /* add $,%eax */
      break;
    case 1:
      at = put(at, 0x35, 1, value[i]); /* xor $,%eax */
      break;
    case 2:
      at = put(at, 0xc069, 2, value[i] | 1); /* imul $,%eax,%eax */
      break;
    default:
      memcpy(at, "\xc1\xc0\x07", 3); /* rol $7,%eax */
      at += 3;
    }
  memcpy(at, "\x49\x0f\x85", 3); /* dec %ecx; jne loop */
  at += 3;
  const int back = (int)(loop - (at + 4));
  memcpy(at, &back, 4);
  at[4] = 0xc3;
  for (unsigned turn = 0; turn < turns; turn++)
    for (unsigned i = 0; i < op_count; i++)
      argument = kind[i] == 0   ? argument + value[i]
                 : kind[i] == 1 ? argument ^ value[i]
                 : kind[i] == 2 ? argument * (value[i] | 1)
                                : argument << 7 | argument >> 25;
  return argument;
}

static unsigned call(const unsigned char *code, unsigned argument) {
  return ((unsigned (*)(unsigned))code)(argument);
}

/* Makes `count` functions at the same few places, and calls each a few times. Returns how many were wrong. */
static unsigned make_many(unsigned char *code, unsigned count, unsigned seed) {
  unsigned wrong = 0;
  for (unsigned i = 0; i < count; i++) {
    unsigned char *at = code + i % place_count * function_room;
    const unsigned right = make(at, next_random(&seed), i);
    for (unsigned k = 0; k < 3; k++)
      wrong += call(at, i) != right;
  }
  return wrong;
}

/* --- Calls that are open while code goes ------------------------------------------------------------- */

static unsigned char *nest_code;
static unsigned nest_seed, nest_left;

/* Made code calls this, and this makes code and calls it: there is always some to return to. */
static unsigned nest(unsigned depth) {
  if (!depth || !nest_left)
    return depth;
  nest_left--;
  unsigned char *at = nest_code + depth % place_count * function_room, *end = at;
  memcpy(end, "\xff\x74\x24\x04", 4);                     /* push 4(%esp) */
  end = put(end + 4, 0xb8, 1, (unsigned)(uintptr_t)nest); /* mov $nest,%eax */
  memcpy(end, "\xff\xd0\x59", 3);                         /* call *%eax; pop %ecx */
  end = put(end + 3, 0x05, 1, 0x10001);                   /* add $,%eax */
  *end = 0xc3;
  const unsigned right = make(at + 64, next_random(&nest_seed), depth);
  const unsigned wrong = call(at + 64, depth) != right;
  return call(at, depth - 1) + (wrong << 24);
}

static void nest_all(unsigned count) {
  unsigned sum = 0;
  nest_code = map();
  for (nest_left = count; nest_left;)
    sum = sum * 31 + nest(place_count - 1);
  printf("nest %x\n", sum);
}

/* --- Threads ------------------------------------------------------------------------------------------- */

static unsigned total;
static volatile int done;
static int ends[2];
static unsigned char *lasting; /* functions that are not made anew */
static unsigned lasting_result[place_count];

static void *run_lasting(void *unused) {
  unsigned wrong = 0;
  (void)unused;
  while (!done)
    for (unsigned i = 0; i < place_count; i++)
      wrong += call(lasting + i * function_room, i) != lasting_result[i];
  return (void *)(uintptr_t)wrong;
}

static void *run_own(void *argument) {
  return (void *)(uintptr_t)make_many(map(), total / 2, (unsigned)(uintptr_t)argument);
}

/* Calls open, in a system call for all the time. */
static unsigned wait_for_end(unsigned depth) {
  char byte;
  if (depth)
    return wait_for_end(depth - 1) + 1;
  return (unsigned)read(ends[0], &byte, 1) - 1;
}
static void *run_waiting(void *unused) {
  (void)unused;
  return (void *)(uintptr_t)(wait_for_end(100) - 100);
}

static void with_threads(unsigned count) {
  void *(*const runs[])(void *) = {run_lasting, run_own, run_waiting};
  pthread_t thread[2 * thread_count];
  unsigned wrong = 0;
  total = count;
  lasting = map();
  for (unsigned i = 0; i < place_count; i++)
    lasting_result[i] = make(lasting + i * function_room, i * 7919, i);
  if (pipe(ends) < 0)
    exit(1);
  for (unsigned i = 0; i < 2 * thread_count; i++)
    pthread_create(&thread[i], NULL, runs[i % thread_count], (void *)(uintptr_t)i);
  wrong += make_many(map(), count, 1);
  for (unsigned i = 0; i < 2 * thread_count; i++)
    if (runs[i % thread_count] == run_own) {
      void *result;
      pthread_join(thread[i], &result);
      wrong += (unsigned)(uintptr_t)result;
    }
  done = 1;
  if (write(ends[1], "ab", 2) != 2)
    exit(1);
  for (unsigned i = 0; i < 2 * thread_count; i++)
    if (runs[i % thread_count] != run_own) {
      void *result;
      pthread_join(thread[i], &result);
      wrong += (unsigned)(uintptr_t)result;
    }
  printf("threads wrong %u\n", wrong);
}

/* --- Processes ------------------------------------------------------------------------------------------ */

/* Both have the code of before the fork, and make other code after it. */
static void with_children(unsigned count) {
  enum { children = 4 };
  unsigned char *code = map(), *shared = map();
  unsigned right[place_count], wrong = make_many(code, count / 4, 5);
  for (unsigned i = 0; i < place_count; i++) {
    right[i] = make(shared + i * function_room, i, i);
    wrong += call(shared + i * function_room, i) != right[i];
  }
  for (unsigned c = 0; c < children; c++) {
    const pid_t child = fork();
    wrong += make_many(code, count / 4, c + (child == 0));
    for (unsigned i = 0; i < place_count; i++)
      wrong += call(shared + i * function_room, i) != right[i];
    if (child == 0)
      _exit(wrong != 0);
    int status;
    waitpid(child, &status, 0);
    wrong += status != 0;
  }
  printf("children wrong %u\n", wrong);
}

int main(int argc, char **argv) {
  const unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
  rain_begin(argc, argv);
  if (argc > 1 && strcmp(argv[1], "nest") == 0)
    nest_all(count);
  else if (argc > 1 && strcmp(argv[1], "threads") == 0)
    with_threads(count);
  else if (argc > 1 && strcmp(argv[1], "fork") == 0)
    with_children(count);
  else
    printf("wrong %u\n", make_many(map(), count, 3));
  rain_end();
  return 0;
}

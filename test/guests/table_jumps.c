/* Jumps by tables, as compilers write them for a switch: a table in its place, one that the jump's own register has the
 * index for, and offsets from a base. The tables are longer than a row of the emulator's own, lead to code that lies close
 * together, are changed while they are hot, as is the code, and have zeros. Two threads do it at once.
 * guest-test: link=static
 * guest-test: levels=O2 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { TARGETS = 600, STUB = 6, ROUNDS = 60000, SIZE = 4096 };

uint32_t table[TARGETS], offsets[TARGETS], offsets_base;
int by_place(uint32_t index), by_own_register(uint32_t index), by_offset(uint32_t index), by_sum(uint32_t index);

__asm__(".text\n"
        "by_place:\n"
        "  mov 4(%esp),%eax\n"
        "  jmp *table(,%eax,4)\n"
        "by_own_register:\n"
        "  mov 4(%esp),%edx\n"
        "  mov table(,%edx,4),%edx\n"
        "  jmp *%edx\n"
        "by_offset:\n"
        "  mov 4(%esp),%eax\n"
        "  mov offsets_base,%ecx\n"
        "  mov offsets(,%eax,4),%eax\n"
        "  add %ecx,%eax\n"
        "  jmp *%eax\n"
        "by_sum:\n"
        "  mov 4(%esp),%edx\n"
        "  mov offsets_base,%ecx\n"
        "  lea offsets,%eax\n"
        "  add (%eax,%edx,4),%ecx\n"
        "  jmp *%ecx\n"
        "came_to_zero:\n"
        "  mov $-1,%eax\n"
        "  ret\n");
extern char came_to_zero[];

static uint8_t *code;

/* mov $value,%eax; ret */
static void write_targets(uint32_t first) {
  for (uint32_t i = 0; i < TARGETS; i++) {
    const uint32_t value = first + i * 7;
    code[i * STUB] = 0xB8;
    memcpy(code + i * STUB + 1, &value, 4);
    code[i * STUB + 5] = 0xC3;
  }
}

static void write_tables(uint32_t step) {
  for (uint32_t i = 0; i < TARGETS; i++) {
    const uint32_t address = (uint32_t)(uintptr_t)code + i * step % TARGETS * STUB;
    table[i] = address;
    offsets[i] = address - offsets_base;
  }
}

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)signal;
  greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
  if (info->si_addr != NULL || gregs[REG_EIP] != 0)
    _Exit(1);
  gregs[REG_EIP] = (greg_t)(uintptr_t)came_to_zero;
}

static uint32_t run(uint32_t seed) {
  static int (*const way[4])(uint32_t) = {by_place, by_own_register, by_offset, by_sum};
  uint32_t sum = 0;
  for (uint32_t i = 0; i < ROUNDS; i++) {
    seed = seed * 1664525 + 1013904223;
    /* most often the first few */
    const uint32_t index = (seed >> 8) % (seed >> 30 ? 8 : TARGETS);
    sum = sum * 31 + (uint32_t)way[seed >> 4 & 3](index);
  }
  return sum;
}

static void *run_in_thread(void *result) {
  *(uint32_t *)result = run(77);
  return NULL;
}

static void run_both(const char *what) {
  pthread_t thread;
  uint32_t other = 0;
  pthread_create(&thread, NULL, run_in_thread, &other);
  const uint32_t own = run(5);
  pthread_join(thread, NULL);
  printf("%s: %08x %08x\n", what, (unsigned)own, (unsigned)other);
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  code = mmap(NULL, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  offsets_base = (uint32_t)(uintptr_t)code + 1000;
  write_targets(1);
  write_tables(1);
  run_both("at first");
  write_tables(7);
  run_both("other tables");
  write_targets(1000);
  run_both("other code");
  for (uint32_t i = 0; i < TARGETS; i += 3) {
    table[i] = 0;
    offsets[i] = 0 - offsets_base;
  }
  sigaction(SIGSEGV, &action, NULL);
  run_both("zeros");
  write_tables(1);
  run_both("at last");
  return 0;
}

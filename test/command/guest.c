/* What a guest sees of the command line: each argument asks for one thing.
 *   argv0        prints its own name       env NAME   prints a variable, or that it is unset
 *   deep N       uses N bytes of stack     exit N     ends with status N
 *   kill N       ends by signal N          collide N  calls functions whose places in the jump
 *                                                     cache meet, N times
 *   unpaired N   returns where no call of that frame was, N times
 *   many N       calls many functions N times each, and then very many once */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static __attribute__((noinline)) void use_stack(unsigned long size) {
  volatile char *space = __builtin_alloca(size);
  for (unsigned long at = size; at > 0; at -= at < 4096 ? at : 4096)
    space[at - 1] = 1;
}

enum { CODE_SIZE = 1 << 20, RET = 0xC3 };

/* A place for a function with this index in the jump cache (Runtime/cpu_state.h), from `at` on. */
static uint8_t *place(uint8_t *at, uint32_t index) {
  while (((uint32_t)(uintptr_t)at * 9 >> 4 & 0x1FFF) != index)
    at++;
  *at = RET;
  return at;
}

static void call_in_turn(uint8_t *one, uint8_t *other, unsigned long count) {
  void (*volatile functions[])(void) = {(void (*)(void))(uintptr_t)one, (void (*)(void))(uintptr_t)other};
  for (unsigned long i = 0; i < 2 * count; i++)
    functions[i % 2]();
}

/* Two functions of one entry, and two of a pair's entries after a third was there. */
static void collide(unsigned long count) {
  enum { INDEX = 0x124 };
  uint8_t *code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED)
    exit(1);
  uint8_t *first = place(code, INDEX), *second = place(first + 1, INDEX), *third = place(second + 1, INDEX);
  uint8_t *beside = place(code, INDEX + 1);
  mprotect(code, CODE_SIZE, PROT_READ | PROT_EXEC);
  call_in_turn(first, second, count);
  call_in_turn(third, third, 1);
  call_in_turn(first, beside, count);
}

/* Calls a function as the resolver of lazy symbols does, by a return; it reads flags at its start. */
static __attribute__((noinline)) void call_by_return(void) {
  __asm__ volatile("call 1f\n jmp 3f\n"
                   "1: push $0\n movl $2f,(%%esp)\n ret\n"
                   "2: pushf\n pop %%eax\n ret\n"
                   "3:" ::: "eax", "cc", "memory");
}

/* Its caller's frames are others than the host's from here on: none of them is there any more. */
static __attribute__((noinline)) void return_by_jump(void) {
  __asm__ volatile("call 1f\n jmp 2f\n1: pop %%eax\n jmp *%%eax\n2:" ::: "eax", "memory");
}

static __attribute__((noinline)) int descend(int depth) {
  if (depth == 0)
    return_by_jump();
  return depth == 0 ? 0 : descend(depth - 1) + *(volatile int *)&depth;
}

static void return_unpaired(unsigned long count) {
  enum { DEPTH = 20 };
  for (unsigned long i = 0; i < count; i++) {
    call_by_return();
    descend(DEPTH);
  }
}

static void call_many(unsigned long count) {
  enum { HOT = 300, ALL = 2000, APART = 64 };
  uint8_t *code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (unsigned f = 0; f < ALL; f++)
    code[f * APART] = RET;
  for (unsigned f = 0; f < ALL; f++)
    for (unsigned long i = 0; i < (f < HOT ? count : 1); i++)
      ((void (*)(void))(uintptr_t)(code + f * APART))();
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  for (int i = 1; i < argc; i++) {
    const char *ask = argv[i], *argument = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(ask, "argv0") == 0) {
      puts(argv[0]);
    } else if (strcmp(ask, "collide") == 0) {
      collide(strtoul(argument, NULL, 0));
      i++;
    } else if (strcmp(ask, "unpaired") == 0) {
      return_unpaired(strtoul(argument, NULL, 0));
      i++;
    } else if (strcmp(ask, "many") == 0) {
      call_many(strtoul(argument, NULL, 0));
      i++;
    } else if (strcmp(ask, "deep") == 0) {
      use_stack(strtoul(argument, NULL, 0));
      i++;
    } else if (strcmp(ask, "env") == 0) {
      const char *value = getenv(argument);
      printf("%s%s%s\n", argument, value ? "=" : " unset", value ? value : "");
      i++;
    } else if (strcmp(ask, "exit") == 0) {
      exit(atoi(argument));
    } else if (strcmp(ask, "kill") == 0) {
      raise(atoi(argument));
      i++;
    } else {
      printf("%s?\n", ask);
    }
  }
  return 0;
}

/* Threads that loop within a few bytes of code, without a call or a system call, until another thread changes
 * these bytes: a jump to itself, a counting loop, and one that is hot by then. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile int running;

struct loop {
  const char *name;
  uint8_t code[16];
  unsigned size, patch_at;
  uint8_t patch[2];
};
static const struct loop loops[] = {
    {"jump to itself", {0xEB, 0xFE, 0xB8, 1, 0, 0, 0, 0xC3}, 8, 0, {0x90, 0x90}},
    /* 1: inc %eax; test $0,%al; jz 1b; mov $2,%eax; ret: the jump goes */
    {"count", {0x40, 0xA8, 0x00, 0x74, 0xFB, 0xB8, 2, 0, 0, 0, 0xC3}, 11, 3, {0x90, 0x90}},
    /* 1: mov (%esp),%eax; jmp 1b; mov $3,%eax; ret */
    {"load", {0x8B, 0x04, 0x24, 0xEB, 0xFB, 0xB8, 3, 0, 0, 0, 0xC3}, 11, 3, {0x90, 0x90}},
};

static void *spin(void *code) {
  running = 1;
  return (void *)(uintptr_t)((int (*)(void))code)();
}

static int run(const struct loop *loop, unsigned wait) {
  uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(code, loop->code, loop->size);
  pthread_t thread;
  void *result;
  running = 0;
  pthread_create(&thread, NULL, spin, code);
  while (!running)
    usleep(100);
  usleep(wait);
  /* Both bytes at once: they are in one aligned word or the loop does not mind. */
  uint16_t patch;
  memcpy(&patch, loop->patch, 2);
  *(volatile uint16_t *)(code + loop->patch_at) = patch;
  pthread_join(thread, &result);
  munmap(code, 4096);
  return (int)(uintptr_t)result;
}

int main(void) {
  for (unsigned i = 0; i < sizeof loops / sizeof loops[0]; i++)
    for (unsigned round = 0; round < 3; round++)
      printf("%s: %d\n", loops[i].name, run(&loops[i], round * 10000));
  return 0;
}

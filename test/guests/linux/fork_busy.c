/* Forks while other threads map, unmap and protect memory, and run code for the first time: the child has none of these
 * threads, and must not wait for one.
 * guest-test: levels=O2
 * guest-test: seconds=120
 * guest-test: tiers=stencil
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 40, PAGE = 4096 };
static volatile int is_over;

static void *anonymous(size_t size, int protection) {
  return mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *maps(void *argument) {
  while (!is_over) {
    char *memory = anonymous(16 * PAGE, PROT_READ | PROT_WRITE);
    mprotect(memory, 4 * PAGE, PROT_READ);
    munmap(memory, 16 * PAGE);
  }
  return argument;
}

/* Writes a function, runs it, writes another over it. */
static int runs_new_code(unsigned char *code, int value) {
  const unsigned char returns[] = {0xB8, (unsigned char)value, 0, 0, 0, 0xC3}; /* mov $value,%eax; ret */
  for (unsigned i = 0; i < sizeof returns; i++)
    code[i] = returns[i];
  return ((int (*)(void))code)();
}

static void *translates(void *argument) {
  unsigned char *code = anonymous(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
  for (int i = 0; !is_over; i++)
    if (runs_new_code(code, i & 127) != (i & 127))
      printf("old code ran\n");
  return argument;
}

int main(void) {
  void *(*const work[])(void *) = {maps, translates, maps};
  pthread_t thread[3];
  int good = 0;
  setvbuf(stdout, NULL, _IONBF, 0);
  for (int i = 0; i < 3; i++)
    pthread_create(&thread[i], NULL, work[i], NULL);
  for (int i = 0; i < CHILDREN; i++) {
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(100); /* the parent's own limit is 120 s */
      _exit(runs_new_code(anonymous(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), i & 127));
    }
    int status = -1;
    waitpid(pid, &status, 0);
    good += status == (i & 127) << 8;
  }
  is_over = 1;
  for (int i = 0; i < 3; i++)
    pthread_join(thread[i], NULL);
  printf("%d of %d children ended well\n", good, CHILDREN);
}

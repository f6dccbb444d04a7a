/* Signals that come while a fault is being dealt with: each of a queue is delivered, in every number that the
 * kernel has, the C library's own two as well.
 *
 * guest-test: levels=O2
 * guest-test: link=static
 * guest-test: tiers=stencil */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { EACH = 4000, FIRST = 32, LAST = 35 };

struct shared {
  volatile int ready, received[64];
};
static struct shared *shared;

static void count(int signal) { shared->received[signal]++; }

static void skip(int signal, siginfo_t *info, void *context) {
  enum { LOAD_LENGTH = 5 };
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_EIP] += LOAD_LENGTH;
}

/* Past the C library, which keeps the first two to itself. */
static void handle(int signal, void *handler, unsigned long flags) {
  struct {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint32_t mask[2];
  } action = {handler, flags, NULL, {0, 0}};
  syscall(SYS_rt_sigaction, signal, &action, NULL, 8);
}

static int all_received(void) {
  for (int signal = FIRST; signal <= LAST; signal++)
    if (shared->received[signal] < EACH)
      return 0;
  return 1;
}

static void receive(void) {
  for (int signal = FIRST; signal <= LAST; signal++)
    handle(signal, count, SA_RESTART);
  handle(SIGSEGV, skip, SA_SIGINFO | SA_NODEFER);
  alarm(30); /* instead of waiting for what does not come */
  shared->ready = 1;
  while (!all_received())
    __asm__ volatile(".byte 0xa1, 0, 0, 0, 0" ::: "eax"); /* mov 0, %eax */
  _exit(0);
}

int main(void) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const pid_t child = fork();
  if (child == 0)
    receive();
  while (!shared->ready)
    usleep(1000);
  for (int i = 0; i < EACH; i++)
    for (int signal = FIRST; signal <= LAST; signal++) {
      siginfo_t info = {.si_signo = signal, .si_code = SI_QUEUE};
      while (syscall(SYS_rt_sigqueueinfo, child, signal, &info) != 0 && kill(child, 0) == 0)
        usleep(1000); /* the queue is full */
    }
  int status;
  waitpid(child, &status, 0);
  printf("end %#x\n", status);
  for (int signal = FIRST; signal <= LAST; signal++)
    printf("signal %d: %s\n", signal, shared->received[signal] == EACH ? "all" : "some are missing");
  return 0;
}

/* The stack runs out: SIGSEGV on an alternate stack, and back by siglongjmp, three times. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static sigjmp_buf back;
static uintptr_t alternate, top;
static volatile int on_alternate, near_limit;

static void on_fault(int number, siginfo_t *info, void *context) {
  uintptr_t here = (uintptr_t)&number, address = (uintptr_t)info->si_addr;
  on_alternate += here >= alternate && here < alternate + 65536;
  near_limit += address < top && top - address > 3u << 20 && top - address < 9u << 20;
  siglongjmp(back, info->si_code);
}

static __attribute__((noinline)) int endless(int n) {
  volatile char frame[500];
  frame[n % 500] = (char)n;
  return endless(n + 1) + frame[n % 300];
}

int main(void) {
  struct rlimit limit = {4 << 20, 4 << 20};
  getrlimit(RLIMIT_STACK, &limit);
  printf("limit %lu\n", (unsigned long)limit.rlim_cur >> 20);
  char *memory = malloc(65536);
  alternate = (uintptr_t)memory;
  top = (uintptr_t)&limit;
  sigaltstack(&(stack_t){.ss_sp = memory, .ss_size = 65536}, NULL);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &action, NULL);
  for (volatile int i = 0; i < 3; i++) {
    int code = sigsetjmp(back, 1);
    if (code == 0)
      endless(0);
    printf("code %d, on the alternate stack %d, below the stack %d\n", code, on_alternate, near_limit);
  }
  return 0;
}

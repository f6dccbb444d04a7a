/* How programs end: exit status, atexit order, uncaught signals.
 * guest-test: runs=exit|return|_exit|abort|segv|null-call|fpe|ill|trap|kill|term|assert|bus */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void last(void) { puts("last"); }
static void first(void) { puts("first"); }
__attribute__((destructor)) static void destroyed(void) { puts("destructor"); }
__attribute__((constructor)) static void constructed(void) { puts("constructor"); }

int main(int argc, char *argv[]) {
  const char *how = argc > 1 ? argv[1] : "";
  volatile int zero = 0;
  atexit(last), atexit(first);
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("%s\n", how);
  if (!strcmp(how, "exit"))
    exit(300);
  if (!strcmp(how, "_exit"))
    _exit(7);
  if (!strcmp(how, "abort"))
    abort();
  if (!strcmp(how, "segv"))
    *(volatile int *)16 = 1;
  if (!strcmp(how, "null-call"))
    ((void (*)(void))zero)();
  if (!strcmp(how, "fpe"))
    return 5 / zero;
  if (!strcmp(how, "ill"))
    __builtin_trap();
  if (!strcmp(how, "trap"))
    __asm__("int3");
  if (!strcmp(how, "kill"))
    raise(SIGKILL);
  if (!strcmp(how, "term"))
    kill(getpid(), SIGTERM);
  if (!strcmp(how, "assert"))
    close(2), assert(zero);
  if (!strcmp(how, "bus")) /* beyond the end of the file behind a mapping */
    return *(volatile char *)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(tmpfile()), 0);
  return 42;
}

/* Variables that a dynamic linker and an allocator obey are the new program's, not those of whatever runs it:
 * they arrive as they were given, in their places, and do nothing else. (Statically linked: a dynamic linker
 * would obey.)
 *
 * guest-test: link=static */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
  if (argc > 1) {
    for (char **e = environ; *e; e++)
      puts(*e);
    if (argv[1][0] == '1') {
      char *again[] = {argv[0], "2", NULL};
      fflush(stdout);
      execv("/proc/self/exe", again);
    }
    return 0;
  }
  char *arguments[] = {argv[0], "1", NULL};
  char *environment[] = {"FIRST=1",
                         "LD_TRACE_LOADED_OBJECTS=1",
                         "LD_PRELOAD=/no/such/library.so",
                         "LD_DEBUG=all",
                         "LD_=",
                         "BETWEEN=LD_DEBUG=all",
                         "LD_LIBRARY_PATH=/lib32:/nowhere",
                         "MALLOC_PERTURB_=85",
                         "UEMU_GUEST_LD_DEBUG=all",
                         "LAST=1",
                         NULL};
  if (fork() == 0) {
    execve("/proc/self/exe", arguments, environment);
    _exit(111);
  }
  int status;
  wait(&status);
  printf("status %d\n", WEXITSTATUS(status));
  return 0;
}

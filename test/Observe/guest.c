/* An i386 program with functions that can be told apart: hot_leaf is called often enough to get hot,
 * child_only runs only in a forked child. Prints both process numbers. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) unsigned hot_leaf(unsigned x) { return x * 2654435761u ^ x >> 7; }
__attribute__((noinline)) unsigned child_only(unsigned x) { return x % 77 + 3; }

int main(void) {
  volatile unsigned sum = 0;
  for (unsigned i = 0; i < 200000; i++)
    sum += hot_leaf(i);
  pid_t child = fork();
  if (child == 0) {
    sum = child_only(sum);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  printf("%d %d %d\n", (int)getpid(), (int)child, status);
  return 0;
}

/* Runs enough code to fill more than a page of translations, in two threads' worth of functions and a child,
 * says so, and waits until its input ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static unsigned work(void) {
  static char text[200][32];
  char *list[200];
  unsigned sum = 0;
  for (int i = 0; i < 200; i++) {
    snprintf(text[i], sizeof text[i], "%x-%g", i * 7919 % 1000, i / 7.0);
    list[i] = text[i];
  }
  qsort(list, 200, sizeof *list, compare);
  for (int i = 0; i < 200; i++)
    sum = sum * 31 + (unsigned)atoi(list[i]);
  return sum;
}

int main(void) {
  char byte;
  int status;
  unsigned sum = 0;
  for (int i = 0; i < 50; i++)
    sum += work();
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 5; i++)
      sum += work();
    puts(getenv("NOTHING") ? "" : "child");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
      ;
    _exit(0);
  }
  printf("ready %u\n", sum & 1);
  fflush(stdout);
  while (read(0, &byte, 1) > 0)
    ;
  waitpid(pid, &status, 0);
  return status != 0;
}

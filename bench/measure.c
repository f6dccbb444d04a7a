/* measure REPORT PROGRAM [ARGUMENT…]: runs the program and writes to the file REPORT one line: its CPU time
 * (user and system, of all its threads and children) and its elapsed time in microseconds, its peak
 * resident size in KiB, and its status as the shell has it.
 *
 * A small program of its own, because Linux lets a process inherit the peak of the one that
 * called execve: forked from Python, everything would seem to need Python's memory. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long microseconds(struct timeval t) { return t.tv_sec * 1000000ll + t.tv_usec; }

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: measure REPORT PROGRAM [ARGUMENT…]\n");
    return 2;
  }
  const long long began = now();
  pid_t child = fork();
  if (child == 0) {
    execv(argv[2], argv + 2);
    perror(argv[2]);
    _exit(127);
  }
  struct rusage usage;
  int status;
  if (child < 0 || wait4(child, &status, 0, &usage) < 0) {
    perror("measure");
    return 1;
  }
  const long long elapsed = now() - began;
  FILE *report = fopen(argv[1], "w");
  if (!report) {
    perror(argv[1]);
    return 1;
  }
  fprintf(report, "%lld %lld %ld %d\n", microseconds(usage.ru_utime) + microseconds(usage.ru_stime), elapsed,
          usage.ru_maxrss, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  return fclose(report) ? 1 : 0;
}

/* A signal that comes while a program executes another is handled by the first or kills the second; it is not
 * lost between them. A timer goes off at some moment around execve(2), and goes on through it.
 *
 * guest-test: levels=O2
 * guest-test: link=static
 * guest-test: tiers=stencil */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 300, SHORTEST = 10, SPREAD = 256 /* microseconds */, REPORT = 10 };

static void on_signal(int signal) { write(REPORT, "h", 1); }

static int first_program(char *self, int delay) {
  char *arguments[] = {self, "second", NULL};
  const struct itimerval once = {.it_value = {.tv_usec = delay}};
  signal(SIGALRM, on_signal);
  setitimer(ITIMER_REAL, &once, NULL);
  execv(self, arguments);
  return 1;
}

/* By then the timer has gone off. */
static int second_program(void) {
  struct itimerval left;
  do
    getitimer(ITIMER_REAL, &left);
  while (left.it_value.tv_sec || left.it_value.tv_usec);
  return 0;
}

static int is_lost(char *self, int delay) {
  int report[2], status;
  char byte = 0;
  if (pipe(report) != 0)
    return 1;
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(report[1], REPORT);
    close(report[0]);
    close(report[1]);
    _exit(first_program(self, delay));
  }
  close(report[1]);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
  const int handled = read(report[0], &byte, 1) == 1;
  close(report[0]);
  const int killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
  return handled == killed || !(killed || status == 0);
}

int main(int argc, char **argv) {
  if (argc > 1)
    return second_program();
  char self[4096] = "";
  readlink("/proc/self/exe", self, sizeof self - 1);
  int lost = 0;
  for (int i = 0; i < ROUNDS; i++)
    lost += is_lost(self, SHORTEST + i * 89 % SPREAD);
  printf("lost: %d\n", lost);
  return 0;
}

/* Threads that create threads and processes in every way, all at once, in a rain of signals. Nothing is lost,
 * nothing waits for ever. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 12 };
static char self[4096];
extern char **environ;
static volatile int ticks;
static int failures;

static void on_tick(int signal) { __sync_fetch_and_add(&ticks, 1); }

static int reap(pid_t pid) {
  int status = -1;
  while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
    ;
  return status;
}

static void expect(const char *what, int got, int wanted) {
  if (got != wanted) {
    __sync_fetch_and_add(&failures, 1);
    printf("%s: %#x instead of %#x\n", what, got, wanted);
  }
}

static void *forks(void *argument) {
  for (int i = 0; i < ROUNDS; i++) {
    pid_t pid = fork();
    if (pid == 0)
      _exit(i);
    expect("fork", reap(pid), i << 8);
  }
  return NULL;
}

static void *spawns(void *argument) {
  for (int i = 0; i < ROUNDS; i++) {
    char number[16], *arguments[] = {self, number, NULL};
    pid_t pid;
    sprintf(number, "%d", i);
    const int error = posix_spawn(&pid, self, NULL, NULL, arguments, environ);
    expect("posix_spawn", error, 0);
    if (!error)
      expect("spawned", reap(pid), i << 8);
  }
  return NULL;
}

static void *vforks(void *argument) {
  for (int i = 0; i < ROUNDS; i++) {
    pid_t pid = vfork();
    if (pid == 0)
      _exit(i + 1);
    expect("vfork", reap(pid), (i + 1) << 8);
  }
  return NULL;
}

static void *nothing(void *argument) { return argument; }

static void *threads(void *argument) {
  for (int i = 0; i < 4 * ROUNDS; i++) {
    pthread_t thread;
    void *result = NULL;
    const int error = pthread_create(&thread, NULL, nothing, (void *)(i + 7));
    expect("pthread_create", error, 0);
    if (!error)
      pthread_join(thread, &result);
    expect("joined", (int)result, i + 7);
  }
  return NULL;
}

static void *computes(void *argument) {
  unsigned value = 1;
  for (int i = 0; i < 3000000; i++)
    value = value * 1664525 + 1013904223;
  expect("computed", value, 0xD93EA4C1);
  return NULL;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  if (argc > 1)
    return atoi(argv[1]);
  realpath(argv[0], self);
  struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &often, NULL);
  void *(*const work[])(void *) = {forks, spawns, vforks, threads, computes, forks, vforks};
  pthread_t thread[7];
  for (int i = 0; i < 7; i++)
    pthread_create(&thread[i], NULL, work[i], NULL);
  for (int i = 0; i < 7; i++)
    pthread_join(thread[i], NULL);
  while (ticks < 5)
    ;
  setitimer(ITIMER_REAL, &never, NULL);
  printf("failures %d, children left %d\n", failures, waitpid(-1, NULL, WNOHANG) != -1);
}

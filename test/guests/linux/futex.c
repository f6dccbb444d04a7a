/* futex(2) itself, robust lists, and the words that the kernel writes when a thread ends. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int *word;
static volatile int waiting, woken;

static long futex(int *address, int operation, int value, void *timeout, int *second, int third) {
  return syscall(SYS_futex, address, operation, value, timeout, second, third);
}

static void show(const char *name, long result) {
  printf("%s: %ld errno %d\n", name, result, result < 0 ? errno : 0);
}

static void *waiter(void *argument) {
  int *address = argument;
  __sync_fetch_and_add(&waiting, 1);
  while (futex(address, FUTEX_WAIT, 0, NULL, NULL, 0) == -1 && errno == EINTR)
    ;
  __sync_fetch_and_add(&woken, 1);
  return NULL;
}

/* Until `count` waiters sleep: they can be counted only by requeueing none of them. */
static void let_them_sleep(int count) {
  while (waiting < count)
    sched_yield();
  usleep(30000);
}

static void test_waits(void) {
  printf("-- waits\n");
  struct timespec shortly = {0, 1000000}, bad = {0, 2000000000};
  show("value differs", futex(word, FUTEX_WAIT, 1, NULL, NULL, 0));
  show("timeout", futex(word, FUTEX_WAIT, 0, &shortly, NULL, 0));
  show("bad timeout", futex(word, FUTEX_WAIT, 0, &bad, NULL, 0));
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  show("absolute timeout", futex(word, FUTEX_WAIT_BITSET, 0, &now, NULL, -1));
  clock_gettime(CLOCK_REALTIME, &now);
  show("real time", futex(word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &now, NULL, 1));
  struct {
    int64_t seconds, nanoseconds;
  } wide = {0, 1000000};
  show("time64", syscall(422, word, FUTEX_WAIT, 0, &wide, NULL, 0));
  show("unaligned", futex((int *)((char *)word + 1), FUTEX_WAIT, 0, NULL, NULL, 0));
  show("bad address", futex((int *)16, FUTEX_WAIT, 0, NULL, NULL, 0));
  show("bad operation", futex(word, 77, 0, NULL, NULL, 0));
  show("wake nobody", futex(word, FUTEX_WAKE, 1, NULL, NULL, 0));
  show("empty bitset", futex(word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
}

static void test_wakes(void) {
  printf("-- wakes\n");
  pthread_t thread[6];
  waiting = woken = 0;
  for (int i = 0; i < 6; i++)
    pthread_create(&thread[i], NULL, waiter, &word[0]);
  let_them_sleep(6);
  show("wake one", futex(&word[0], FUTEX_WAKE, 1, NULL, NULL, 0));
  show("requeue", futex(&word[0], FUTEX_CMP_REQUEUE, 1, (void *)2, &word[1], 0));
  show("requeue, other value", futex(&word[0], FUTEX_CMP_REQUEUE, 1, (void *)2, &word[1], 5));
  show("wake the rest", futex(&word[0], FUTEX_WAKE, 100, NULL, NULL, 0));
  /* word[1] += 1; wake 1 on word[0], and 10 on word[1] if it was 0. */
  show("wake op", futex(&word[0], FUTEX_WAKE_OP, 1, (void *)10, &word[1],
                        FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)));
  for (int i = 0; i < 6; i++)
    pthread_join(thread[i], NULL);
  printf("woken %d, word %d\n", woken, word[1]);
  word[1] = 0;
}

static volatile int ticks;
static void on_alarm(int signal) {
  ticks++;
  if (ticks == 3) {
    word[0] = 1;
    futex(word, FUTEX_WAKE, 1, NULL, NULL, 0);
  }
}

static void test_signals(void) {
  printf("-- signals\n");
  const struct itimerval timer = {{0, 10000}, {0, 10000}}, none = {{0, 0}, {0, 0}};
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
  long result = futex(word, FUTEX_WAIT, 0, NULL, NULL, 0);
  int ok = result == 0 || errno == EAGAIN;
  printf("with SA_RESTART: %d, ticks %d\n", ok, ticks >= 3);
  word[0] = 0;
  struct timespec seconds = {5, 0};
  show("with a timeout", futex(word, FUTEX_WAIT, 0, &seconds, NULL, 0));
  action.sa_flags = 0;
  sigaction(SIGALRM, &action, NULL);
  show("without SA_RESTART", futex(word, FUTEX_WAIT, 0, NULL, NULL, 0));
  setitimer(ITIMER_REAL, &none, NULL);
}

/* Between processes, in shared memory. */
static void test_shared(void) {
  printf("-- shared\n");
  word[2] = 0;
  pid_t child = fork();
  if (child == 0) {
    while (word[2] == 0)
      futex(&word[2], FUTEX_WAIT, 0, NULL, NULL, 0);
    _exit(word[2]);
  }
  usleep(10000);
  word[2] = 33;
  futex(&word[2], FUTEX_WAKE, 1, NULL, NULL, 0);
  int status;
  waitpid(child, &status, 0);
  printf("child saw %d\n", WEXITSTATUS(status));
}

/* --- Robust mutexes ------------------------------------------------------------------------------ */

static pthread_mutex_t *robust;

static void *leave_locked(void *argument) {
  pthread_mutex_lock(robust);
  return NULL;
}

static void test_robust(void) {
  printf("-- robust\n");
  pthread_mutexattr_t attributes;
  robust = (pthread_mutex_t *)(word + 64);
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(robust, &attributes);
  pthread_t thread;
  pthread_create(&thread, NULL, leave_locked, NULL);
  pthread_join(thread, NULL);
  int result = pthread_mutex_lock(robust);
  printf("after a thread: %d\n", result == EOWNERDEAD);
  pthread_mutex_consistent(robust);
  pthread_mutex_unlock(robust);
  pid_t child = fork();
  if (child == 0) {
    pthread_mutex_lock(robust);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  result = pthread_mutex_lock(robust);
  printf("after a process: %d\n", result == EOWNERDEAD);
  pthread_mutex_consistent(robust);
  pthread_mutex_unlock(robust);
  uint32_t head, length;
  printf("get_robust_list %ld", syscall(SYS_get_robust_list, 0, &head, &length));
  printf(" length %u\n", length);
  show("set_robust_list", syscall(SYS_set_robust_list, head, 24));
  pthread_mutex_t inherit;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&inherit, &attributes);
  pthread_mutex_lock(&inherit);
  result = pthread_mutex_trylock(&inherit);
  printf("priority inheritance: %d", result == EBUSY);
  printf(" %d\n", pthread_mutex_unlock(&inherit));
}

/* A thread by hand: its tid is stored, and cleared at its end. */
static int tids[2];
static char stack[65536] __attribute__((aligned(16)));

static int by_hand(void *argument) {
  word[3] = tids[0] == syscall(SYS_gettid) && tids[1] == tids[0];
  usleep(10000);
  syscall(SYS_exit, 0);
}

static void test_clear(void) {
  printf("-- clear\n");
  tids[1] = 1;
  int tid = clone(by_hand, stack + sizeof stack,
                  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                      CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                  NULL, &tids[0], NULL, &tids[1]);
  while (tids[1])
    futex(&tids[1], FUTEX_WAIT, tid, NULL, NULL, 0);
  printf("tids agree %d, the same as clone's %d\n", word[3], tids[0] == tid);
  printf("set_tid_address %d\n", syscall(SYS_set_tid_address, &tids[1]) == getpid());
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  test_waits();
  test_wakes();
  test_signals();
  test_shared();
  test_robust();
  test_clear();
  printf("done\n");
}

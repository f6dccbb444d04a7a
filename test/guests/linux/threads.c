/* Threads: creation, thread-local storage, joining, cancellation, signals to threads, exits, segments. */
#include <asm/ldt.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The result first, then what the call changed. */
#define RESULT(format, call, ...)                                                                            \
  do {                                                                                                       \
    errno = 0;                                                                                               \
    const long result_ = (call);                                                                             \
    printf(format, result_, ##__VA_ARGS__);                                                                  \
  } while (0)

static __thread int local = 5;
static volatile int counter;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;

static void *count(void *argument) {
  local += (int)argument;
  for (int i = 0; i < 20000; i++) {
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
    __sync_fetch_and_add((int *)argument == NULL ? &local : &local, 1);
  }
  return (void *)local;
}

static void test_basics(void) {
  printf("-- basics\n");
  pthread_t thread[8];
  for (int i = 0; i < 8; i++)
    pthread_create(&thread[i], NULL, count, (void *)(i * 1000000));
  for (int i = 0; i < 8; i++) {
    void *result;
    pthread_join(thread[i], &result);
    printf("thread %d: %d\n", i, (int)result);
  }
  printf("counter %d, local here %d\n", counter, local);
}

static volatile unsigned atomic_sum;
static void *add(void *argument) {
  for (int i = 0; i < 100000; i++)
    __sync_fetch_and_add(&atomic_sum, 3);
  return NULL;
}

static int turn;
static void *ping_pong(void *argument) {
  for (int i = 0; i < 500; i++) {
    pthread_mutex_lock(&mutex);
    while (turn != (int)argument)
      pthread_cond_wait(&condition, &mutex);
    turn = !turn;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static void *meet(void *argument) {
  return (void *)(pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD);
}

static void test_synchronisation(void) {
  printf("-- synchronisation\n");
  pthread_t thread[4];
  for (int i = 0; i < 4; i++)
    pthread_create(&thread[i], NULL, add, NULL);
  for (int i = 0; i < 4; i++)
    pthread_join(thread[i], NULL);
  printf("atomic %u\n", atomic_sum);
  for (int i = 0; i < 2; i++)
    pthread_create(&thread[i], NULL, ping_pong, (void *)i);
  for (int i = 0; i < 2; i++)
    pthread_join(thread[i], NULL);
  printf("turn %d\n", turn);
  pthread_barrier_init(&barrier, NULL, 4);
  int serial = 0;
  for (int i = 0; i < 4; i++)
    pthread_create(&thread[i], NULL, meet, NULL);
  for (int i = 0; i < 4; i++) {
    void *result;
    pthread_join(thread[i], &result);
    serial += (int)result;
  }
  printf("serial threads %d\n", serial);
}

/* Two threads that pass messages through plain memory, as x86's memory order allows. */
static volatile int box_value[1024], box_flag[1024];
static void *produce(void *argument) {
  for (int i = 0; i < 1024; i++) {
    box_value[i] = i * 7;
    box_flag[i] = 1;
  }
  return NULL;
}
static void test_order(void) {
  printf("-- memory order\n");
  pthread_t thread;
  pthread_create(&thread, NULL, produce, NULL);
  int wrong = 0;
  for (int i = 0; i < 1024; i++) {
    while (!box_flag[i])
      ;
    wrong += box_value[i] != i * 7;
  }
  pthread_join(thread, NULL);
  printf("wrong %d\n", wrong);
}

static sem_t started;
static void clean(void *argument) { printf("cleanup %d\n", (int)argument); }
static void *cancelled(void *argument) {
  pthread_cleanup_push(clean, (void *)3);
  sem_post(&started);
  for (;;)
    pause();
  pthread_cleanup_pop(0);
}
static pthread_key_t key;
static void destroy(void *value) { printf("destructor %d\n", (int)value); }
static void *with_key(void *argument) {
  pthread_setspecific(key, (void *)17);
  pthread_exit((void *)18);
}

static void test_ends(void) {
  printf("-- ends\n");
  pthread_t thread;
  void *result;
  sem_init(&started, 0, 0);
  pthread_create(&thread, NULL, cancelled, NULL);
  sem_wait(&started);
  pthread_cancel(thread);
  pthread_join(thread, &result);
  printf("cancelled %d\n", result == PTHREAD_CANCELED);
  pthread_key_create(&key, destroy);
  pthread_create(&thread, NULL, with_key, NULL);
  pthread_join(thread, &result);
  printf("exited with %d\n", (int)result);
  /* On a busy machine some of these live for long, and should not take the signals that are for others. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  for (int i = 0; i < 200; i++) {
    pthread_create(&thread, NULL, meet, NULL);
    pthread_detach(thread);
    if (i % 4 == 3)
      usleep(100);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  for (int i = 0; i < 100; i++) {
    pthread_create(&thread, NULL, with_key == NULL ? NULL : add, NULL);
    pthread_join(thread, NULL);
    if (i == 3)
      atomic_sum = 0;
  }
  printf("many %u\n", atomic_sum);
}

/* --- Signals ----------------------------------------------------------------------------------- */

static volatile int got_in;
static __thread int my_number;
static void on_signal(int signal) { got_in = my_number * 100 + signal; }
static void *listen(void *argument) {
  my_number = (int)argument;
  sigset_t set;
  sigemptyset(&set);
  if (my_number == 2)
    sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_SETMASK, &set, NULL);
  sem_post(&started);
  while (!got_in || my_number == 2 && got_in != 210)
    sched_yield();
  return NULL;
}

static void test_signals(void) {
  printf("-- signals\n");
  pthread_t one, two;
  signal(SIGUSR1, on_signal);
  signal(SIGUSR2, on_signal);
  sigset_t both;
  sigemptyset(&both);
  sigaddset(&both, SIGUSR1);
  sigaddset(&both, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &both, NULL);
  pthread_create(&one, NULL, listen, (void *)1);
  sem_wait(&started);
  pthread_create(&two, NULL, listen, (void *)2);
  sem_wait(&started);
  kill(getpid(), SIGUSR2); /* only thread 1 takes it */
  pthread_join(one, NULL);
  printf("for the process: %d\n", got_in);
  pthread_kill(two, SIGUSR1);
  pthread_join(two, NULL);
  printf("for a thread: %d\n", got_in);
  /* Blocked everywhere it waits for the first who wants it. */
  kill(getpid(), SIGUSR1);
  int which = 0;
  printf("sigwait %d", sigwait(&both, &which));
  printf(" signal %d\n", which);
  RESULT("tgkill of a dead thread: %ld errno %d\n", syscall(SYS_tgkill, getpid(), 0x3FFFFF, 0), errno);
  pthread_sigmask(SIG_UNBLOCK, &both, NULL);
}

/* --- Segments ------------------------------------------------------------------------------------ */

static int words[16];

static unsigned read_gs(int offset) {
  unsigned value;
  __asm__ volatile("movl %%gs:(%1), %0" : "=r"(value) : "r"(offset));
  return value;
}
static unsigned get_gs(void) {
  unsigned selector;
  __asm__ volatile("movl %%gs, %0" : "=r"(selector));
  return selector & 0xFFFF;
}
static void set_gs(unsigned selector) { __asm__ volatile("movl %0, %%gs" ::"r"(selector)); }

static void test_segments(void) {
  printf("-- segments\n");
  for (int i = 0; i < 16; i++)
    words[i] = 100 + i;
  unsigned thread_gs = get_gs();
  printf("gs %#x\n", thread_gs);
  struct user_desc desc = {.entry_number = -1,
                           .base_addr = (unsigned)words,
                           .limit = 0xFFFFF,
                           .seg_32bit = 1,
                           .limit_in_pages = 1,
                           .useable = 1};
  int result = syscall(SYS_set_thread_area, &desc);
  unsigned entry = desc.entry_number, value;
  set_gs(entry * 8 + 3);
  value = read_gs(8);
  set_gs(thread_gs);
  printf("set_thread_area %d entry %u: %u\n", result, entry, value);
  memset(&desc, 0, sizeof desc);
  desc.entry_number = entry;
  result = syscall(SYS_get_thread_area, &desc);
  printf("get_thread_area %d: base %d limit %#x 32bit %d pages %d useable %d contents %d\n", result,
         desc.base_addr == (unsigned)words, desc.limit, desc.seg_32bit, desc.limit_in_pages, desc.useable,
         desc.contents);
  desc.entry_number = 5;
  result = syscall(SYS_set_thread_area, &desc);
  printf("entry 5: %d errno %d\n", result, errno);
  desc.entry_number = entry;
  desc.seg_32bit = 0;
  result = syscall(SYS_set_thread_area, &desc);
  printf("16-bit: %d errno %d\n", result, errno);
  struct user_desc local_desc = {
      .entry_number = 3, .base_addr = (unsigned)(words + 2), .limit = 63, .seg_32bit = 1, .useable = 1};
  result = syscall(SYS_modify_ldt, 0x11, &local_desc, sizeof local_desc);
  set_gs(3 * 8 + 7);
  value = read_gs(4);
  local_desc.base_addr = (unsigned)(words + 4);
  /* The C library's way into the kernel needs its own gs. */
  int ignored;
  __asm__ volatile("xchgl %%ebx, %1\n int $0x80\n xchgl %%ebx, %1"
                   : "=a"(ignored)
                   : "r"(0x11), "0"(SYS_modify_ldt), "c"(&local_desc), "d"(sizeof local_desc)
                   : "memory");
  unsigned moved = read_gs(4);
  set_gs(thread_gs);
  printf("modify_ldt %d: %u, moved: %u\n", result, value, moved);
  uint64_t table[8] = {1, 1, 1, 1, 1};
  result = syscall(SYS_modify_ldt, 0, table, sizeof table);
  printf("read back %d, entry 2 %llx, entry 3 type %llx\n", result, (unsigned long long)table[2],
         (unsigned long long)(table[3] >> 40 & 0xFFFF));
  RESULT("bad: %ld errno %d\n", syscall(SYS_modify_ldt, 0x11, &local_desc, 5), errno);
  int status;
  pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    set_gs(0x9F);
    _exit(0);
  }
  waitpid(child, &status, 0);
  printf("bad selector: %#x\n", status);
}

/* --- The process and its threads --------------------------------------------------------------- */

static void *exit_all(void *argument) {
  usleep(10000);
  exit(9);
}
enum { LEADER_HAS_LEFT = 300000 }; /* even on a busy machine */
static void *last_to_leave(void *argument) {
  usleep(LEADER_HAS_LEFT);
  printf("last thread, process %d\n", getpid() != syscall(SYS_gettid));
  return NULL;
}
static void *fork_here(void *argument) {
  pid_t child = fork();
  if (child == 0) {
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, with_key, NULL);
    pthread_join(thread, &result);
    _exit((int)result + (getpid() == syscall(SYS_gettid)));
  }
  int status;
  waitpid(child, &status, 0);
  return (void *)WEXITSTATUS(status);
}

static void *sleep_for_ever(void *argument) {
  for (;;)
    pause();
}
static void *leave_with_status(void *argument) {
  usleep(LEADER_HAS_LEFT);
  syscall(SYS_exit, 8);
}

static void test_process(void) {
  printf("-- process\n");
  pthread_t thread;
  int status;
  pid_t child = fork();
  if (child == 0) {
    pthread_create(&thread, NULL, exit_all, NULL);
    for (;;)
      pause();
  }
  waitpid(child, &status, 0);
  printf("exit from a thread: %#x\n", status);
  child = fork();
  if (child == 0) {
    pthread_create(&thread, NULL, last_to_leave, NULL);
    syscall(SYS_exit, 6);
  }
  waitpid(child, &status, 0);
  printf("leader left first: %#x\n", status);
  child = fork();
  if (child == 0) {
    pthread_create(&thread, NULL, leave_with_status, NULL);
    syscall(SYS_exit, 6);
  }
  waitpid(child, &status, 0);
  printf("the last one's status: %#x\n", status);
  child = fork();
  if (child == 0) {
    pthread_create(&thread, NULL, last_to_leave, NULL);
    pthread_exit(NULL);
  }
  waitpid(child, &status, 0);
  printf("pthread_exit in main: %#x\n", status);
  child = fork();
  if (child == 0) {
    pthread_create(&thread, NULL, sleep_for_ever, NULL);
    pthread_kill(thread, SIGKILL);
    for (;;)
      pause();
  }
  waitpid(child, &status, 0);
  printf("killed through a thread: %#x\n", status);
  void *result;
  pthread_create(&thread, NULL, fork_here, NULL);
  pthread_join(thread, &result);
  printf("fork in a thread: %d\n", (int)result);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  test_basics();
  test_synchronisation();
  test_order();
  test_ends();
  test_signals();
  test_segments();
  test_process();
  printf("done\n");
}

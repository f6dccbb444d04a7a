/* fork, clone without shared memory, wait in all its forms, exits, orphans, process groups, identities and
 * limits. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <unistd.h>

/* The result first, then what the call changed. */
#define RESULT(format, call, ...)                                                                            \
  do {                                                                                                       \
    errno = 0;                                                                                               \
    const long result_ = (call);                                                                             \
    printf(format, result_, ##__VA_ARGS__);                                                                  \
  } while (0)

static int private_value = 1;
static int *shared;

static void test_memory(void) {
  printf("-- memory\n");
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int status;
  pid_t child = fork();
  if (child == 0) {
    private_value = 2;
    shared[0] = private_value + 10;
    _exit(getppid() == 1 ? 1 : 42);
  }
  printf("waited %d", waitpid(child, &status, 0) == child);
  printf(" status %#x, private %d shared %d\n", status, private_value, shared[0]);
  /* Three generations, each waits for the next. */
  for (int depth = 0;; depth++) {
    child = fork();
    if (child) {
      waitpid(child, &status, 0);
      if (depth)
        _exit(WEXITSTATUS(status) + 1);
      break;
    }
    if (depth == 3)
      _exit(10);
  }
  printf("generations: %d\n", WEXITSTATUS(status));
}

static void test_wait(void) {
  printf("-- wait\n");
  int status = -1;
  struct rusage usage;
  pid_t child = fork();
  if (child == 0)
    for (;;)
      pause();
  printf("WNOHANG %d\n", waitpid(child, &status, WNOHANG));
  kill(child, SIGTERM);
  memset(&usage, 0xFF, sizeof usage);
  RESULT("wait4 %ld status %#x rss %d\n", wait4(child, &status, 0, &usage) == child, status,
         usage.ru_maxrss >= 0 && usage.ru_maxrss < 1 << 24 && usage.ru_utime.tv_sec < 1000 &&
             usage.ru_nivcsw < 1000000);
  RESULT("again %ld errno %d\n", waitpid(child, &status, 0), errno);
  for (int how = 0; how < 3; how++) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    child = fork();
    if (child == 0) {
      if (how == 1)
        raise(SIGKILL);
      if (how == 2)
        raise(SIGSTOP);
      _exit(77);
    }
    int result = waitid(P_PID, child, &info, WEXITED | WSTOPPED | WNOWAIT);
    printf("waitid %d signo %d code %d status %d pid %d\n", result, info.si_signo, info.si_code,
           info.si_status, info.si_pid == child);
    if (how == 2)
      kill(child, SIGCONT);
    info.si_pid = 1;
    result = waitid(P_PID, child, &info, WEXITED);
    printf("waitid %d code %d status %d\n", result, info.si_code, info.si_status);
    if (result == 0 && info.si_code != CLD_EXITED && how == 2)
      waitpid(child, NULL, 0);
  }
  /* Automatic reaping. */
  signal(SIGCHLD, SIG_IGN);
  child = fork();
  if (child == 0)
    _exit(1);
  RESULT("ignored SIGCHLD: %ld errno %d\n", waitpid(child, &status, 0), errno);
  signal(SIGCHLD, SIG_DFL);
  child = fork();
  if (child == 0)
    _exit(0x1234);
  waitpid(child, &status, 0);
  printf("exit(0x1234): %#x\n", status);
}

static void test_clone(void) {
  printf("-- clone\n");
  static int tids[2];
  shared[1] = shared[2] = 0;
  int status;
  signal(SIGUSR1, SIG_IGN);
  int pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGUSR1, 0, &tids[0], 0, &tids[1]);
  if (pid == 0) {
    shared[1] = tids[1] == getpid();
    shared[2] = tids[0];
    _exit(5);
  }
  RESULT("plain wait %ld errno %d\n", waitpid(pid, &status, 0), errno);
  RESULT("__WCLONE %ld status %#x, tids: parent's %d, child's %d\n", waitpid(pid, &status, __WCLONE) == pid,
         status, tids[0] == pid && tids[1] == 0, shared[1]);
  /* Shared descriptors, not shared memory. */
  int fd = open("/dev/null", O_RDONLY);
  pid = syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) {
    close(fd);
    chdir("/");
    private_value = 99;
    _exit(0);
  }
  waitpid(pid, &status, 0);
  char directory[100];
  RESULT("CLONE_FILES: close again %ld errno %d, in %s, value %d\n", close(fd), errno, getcwd(directory, 100),
         private_value);
  int bad[] = {CLONE_SIGHAND, CLONE_THREAD, CLONE_THREAD | CLONE_SIGHAND, CLONE_FS | CLONE_NEWNS};
  for (int i = 0; i < 4; i++)
    RESULT("bad flags: %ld errno %d\n", syscall(SYS_clone, bad[i] | SIGCHLD, 0, 0, 0, 0), errno);
  /* A stack of the child's own. */
  static char stack[65536];
  static int seen;
  uint64_t arguments[8] = {0};
  arguments[4] = SIGCHLD;
  pid = syscall(435 /* clone3 */, arguments, sizeof arguments);
  if (pid == 0)
    _exit(11);
  waitpid(pid, &status, 0);
  printf("clone3 %#x\n", status);
  RESULT("clone3 too small %ld errno %d\n", syscall(435, arguments, 56), errno);
  int pidfd = -1;
  pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);
  if (pid == 0)
    _exit(12);
  siginfo_t info;
  memset(&info, 0, sizeof info);
  int result = waitid(P_PIDFD, pidfd, &info, WEXITED);
  printf("CLONE_PIDFD: waitid %d status %d\n", result, info.si_status);
}

/* What a child inherits, and what it does not. */
static void test_inheritance(void) {
  printf("-- inheritance\n");
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR2);
  pid_t child = fork();
  if (child == 0) {
    sigset_t pending, mask;
    sigpending(&pending);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    shared[3] = sigismember(&pending, SIGUSR2);
    shared[4] = sigismember(&mask, SIGUSR2);
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    shared[5] = action.sa_handler == SIG_IGN;
    _exit(0);
  }
  waitpid(child, NULL, 0);
  printf("pending %d blocked %d ignored %d\n", shared[3], shared[4], shared[5]);
  signal(SIGUSR2, SIG_IGN);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  /* x87 and SSE state. */
  double root = 1.5;
  unsigned control = 0, wanted = 0x7F80;
  __asm__ volatile("fldl %0\n ldmxcsr %1" ::"m"(root), "m"(wanted));
  child = syscall(SYS_fork);
  double got;
  __asm__ volatile("fstpl %0\n stmxcsr %1" : "=m"(got), "=m"(control));
  if (child == 0)
    _exit(got == 1.5 && control == wanted);
  int status;
  waitpid(child, &status, 0);
  wanted = 0x1F80;
  __asm__ volatile("ldmxcsr %0" ::"m"(wanted));
  printf("FPU in the child %d, in the parent %d\n", WEXITSTATUS(status), got == 1.5);
}

static void test_groups(void) {
  printf("-- groups\n");
  int status, ends[2];
  pipe(ends);
  pid_t child = fork();
  if (child == 0) {
    char byte;
    int result = setpgid(0, 0) == 0 && getpgrp() == getpid() && getsid(0) == getsid(getppid());
    result += 2 * (setsid() == -1 && errno == EPERM);
    _exit(result);
  }
  waitpid(child, &status, 0);
  printf("setpgid %d\n", WEXITSTATUS(status));
  child = fork();
  if (child == 0)
    _exit(setsid() == getpid() && getsid(0) == getpid() && getpgid(0) == getpid());
  waitpid(child, &status, 0);
  printf("setsid %d\n", WEXITSTATUS(status));
  /* An orphan gets a new parent. */
  child = fork();
  if (child == 0) {
    pid_t middle = getpid();
    if (fork() == 0) {
      while (getppid() == middle)
        usleep(1000);
      write(ends[1], "o", 1);
      _exit(0);
    }
    _exit(0);
  }
  waitpid(child, NULL, 0);
  char byte = 0;
  read(ends[0], &byte, 1);
  printf("orphan %c\n", byte);
}

static void test_identity(void) {
  printf("-- identity\n");
  uid_t r, e, s;
  getresuid(&r, &e, &s);
  printf("uids agree %d\n",
         r == getuid() && e == geteuid() && syscall(SYS_getuid) == (r > 65535 ? 65534 : r));
  unsigned short r16, e16, s16;
  printf("getresuid16 %ld", syscall(SYS_getresuid, &r16, &e16, &s16));
  printf(" %d\n", r16 == (r > 65535 ? 65534 : r));
  printf("setreuid(-1, -1) %ld, 16-bit %ld\n", syscall(SYS_setreuid32, -1, -1),
         syscall(SYS_setreuid, 0xFFFF, 0xFFFF));
  int count = getgroups(0, NULL);
  printf("getgroups: same count %d\n", count == syscall(SYS_getgroups, 0, NULL));
  RESULT("negative %ld errno %d\n", getgroups(-1, NULL), errno);
  char name[16] = "";
  prctl(PR_SET_NAME, "a name that is too long");
  prctl(PR_GET_NAME, name);
  printf("PR_SET_NAME %s\n", name);
  int signal = 5;
  prctl(PR_SET_PDEATHSIG, SIGHUP);
  prctl(PR_GET_PDEATHSIG, &signal);
  printf("PR_GET_PDEATHSIG %d\n", signal);
  prctl(PR_SET_PDEATHSIG, 0);
  printf("ids %d %d\n", getpid() == syscall(SYS_gettid), getpgrp() == getpgid(0));
}

static void test_limits(void) {
  printf("-- limits\n");
  struct rlimit limit = {100, 200}, got;
  printf("RLIMIT_NOFILE %d", setrlimit(RLIMIT_NOFILE, &limit));
  unsigned old[2], wide[2];
  syscall(SYS_getrlimit, RLIMIT_NOFILE, old);
  printf(" %u %u\n", old[0], old[1]);
  limit = (struct rlimit){512 << 20, RLIM_INFINITY};
  getrlimit(RLIMIT_AS, &got);
  limit.rlim_max = got.rlim_max;
  printf("RLIMIT_AS %d", setrlimit(RLIMIT_AS, &limit));
  syscall(SYS_ugetrlimit, RLIMIT_AS, wide);
  printf(" %u", wide[0]);
  void *big = mmap(NULL, 600 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf(" too big %d errno %d\n", big == MAP_FAILED, errno);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_AS, &limit);
  limit = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
  getrlimit(RLIMIT_FSIZE, &got);
  syscall(SYS_getrlimit, RLIMIT_FSIZE, old);
  syscall(SYS_ugetrlimit, RLIMIT_FSIZE, wide);
  printf("RLIMIT_FSIZE: infinite %d, %#x %#x\n", got.rlim_cur == RLIM_INFINITY, old[0], wide[0]);
  limit = (struct rlimit){2, 1};
  RESULT("soft above hard: %ld errno %d\n", setrlimit(RLIMIT_AS, &limit), errno);
  RESULT("bad resource: %ld errno %d\n", getrlimit(99, &got), errno);
  struct tms times_now;
  struct rusage usage;
  printf("times %d getrusage %d\n", times(&times_now) != -1, getrusage(RUSAGE_SELF, &usage));
  cpu_set_t set;
  CPU_ZERO(&set);
  long length = syscall(SYS_sched_getaffinity, 0, sizeof set, &set);
  printf("affinity %d %d\n", length > 0 && length % 4 == 0, CPU_COUNT(&set) > 0);
  long priority = syscall(SYS_getpriority, 0, 0); /* 20 - nice: whatever the test was started with */
  RESULT("nice %ld, lower by %ld\n", syscall(SYS_nice, 2), priority - syscall(SYS_getpriority, 0, 0));
  RESULT("getpriority of nobody %ld errno %d\n", getpriority(9, 0), errno);
  printf("policy %d, fifo %d to %d\n", sched_getscheduler(0), sched_get_priority_min(SCHED_FIFO),
         sched_get_priority_max(SCHED_FIFO));
}

/* Many at once: no child is lost, none is counted twice. */
static void test_many(void) {
  printf("-- many\n");
  int sum = 0, status;
  for (int i = 0; i < 50; i++)
    if (fork() == 0)
      _exit(i);
  while (waitpid(-1, &status, 0) > 0)
    sum += WEXITSTATUS(status);
  printf("sum %d\n", sum);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  test_memory();
  test_wait();
  test_clone();
  test_inheritance();
  test_groups();
  test_identity();
  test_many();
  test_limits();
  printf("done\n");
}

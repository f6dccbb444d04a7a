/* Children that share memory with their parent: vfork, clone(CLONE_VM|CLONE_VFORK) as posix_spawn uses it,
 * and processes in one memory as LinuxThreads had them. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
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

static volatile int value;
static char *self;
extern char **environ;

static void test_vfork(void) {
  printf("-- vfork\n");
  int status;
  value = 1;
  pid_t parent = getpid();
  pid_t child = vfork();
  if (child == 0) {
    value = getppid() == parent && getpid() != parent ? 2 : -1;
    usleep(20000); /* the parent is suspended meanwhile */
    value += 10;
    _exit(7);
  }
  printf("value %d", value);
  waitpid(child, &status, 0);
  printf(" status %#x\n", status);
  child = vfork();
  if (child == 0) {
    execl("/nonexistent/program", "x", NULL);
    value = errno;
    execl(self, self, "echo", "from the child of vfork", NULL);
    _exit(1);
  }
  waitpid(child, &status, 0);
  printf("failed exec errno %d, then status %#x\n", value, status);
  child = vfork();
  if (child == 0) {
    raise(SIGKILL);
    _exit(1);
  }
  waitpid(child, &status, 0);
  printf("killed: %#x\n", status);
}

static void on_signal(int signal) { value = signal; }

/* Dispositions, masks and descriptors are the child's own. */
static void test_separate(void) {
  printf("-- what is not shared\n");
  int status, fd = open("/dev/null", O_RDONLY);
  signal(SIGUSR1, on_signal);
  pid_t child = vfork();
  if (child == 0) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGUSR1, SIG_IGN);
    close(fd);
    chdir("/");
    _exit(0);
  }
  waitpid(child, &status, 0);
  value = 0;
  raise(SIGUSR1);
  printf("handler ran for %d, descriptor %d\n", value, fcntl(fd, F_GETFD));
  /* A signal for the child is not one for the parent. */
  value = 0;
  child = vfork();
  if (child == 0) {
    signal(SIGUSR2, on_signal);
    raise(SIGUSR2);
    _exit(value);
  }
  waitpid(child, &status, 0);
  struct sigaction action;
  sigaction(SIGUSR2, NULL, &action);
  printf("child's handler: %d, parent's %p\n", WEXITSTATUS(status), action.sa_handler);
  for (int i = 0; i < 20; i++) {
    child = vfork();
    if (child == 0)
      _exit(i);
    waitpid(child, &status, 0);
    if (WEXITSTATUS(status) != i)
      printf("child %d: %#x\n", i, status);
  }
  printf("twenty\n");
}

static void test_spawn(void) {
  printf("-- posix_spawn\n");
  pid_t child;
  int status;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  int ends[2];
  pipe2(ends, O_CLOEXEC);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  char *arguments[] = {self, "echo", "spawned", NULL};
  int error = posix_spawn(&child, self, &actions, NULL, arguments, environ);
  close(ends[1]);
  char text[64] = "";
  int length = 0, more;
  while (length < 63 && (more = read(ends[0], text + length, 63 - length)) > 0)
    length += more;
  waitpid(child, &status, 0);
  printf("error %d status %#x output %s", error, status, length > 0 ? text : "none\n");
  close(ends[0]);
  error = posix_spawn(&child, "/nonexistent/program", NULL, NULL, arguments, environ);
  printf("missing program: %d\n", error);
  FILE *pipe = popen("exit 3", "r");
  if (pipe)
    pclose(pipe);
  printf("popen %d\n", pipe != NULL);
}

/* clone with a stack of the child's own, memory shared, nobody suspended. */
static char stack[65536] __attribute__((aligned(16)));
static volatile int go;

static int companion(void *argument) {
  while (!go)
    sched_yield();
  value = getpid() != getppid() ? (int)argument : -1;
  return 21;
}

static int companion_files(void *argument) {
  close((int)argument);
  signal(SIGUSR2, on_signal);
  return 0;
}

static void test_companion(void) {
  printf("-- processes in one memory\n");
  int status;
  value = go = 0;
  pid_t child = clone(companion, stack + sizeof stack, CLONE_VM | SIGCHLD, (void *)1234);
  go = 1;
  waitpid(child, &status, 0);
  printf("value %d status %#x\n", value, status);
  int fd = open("/dev/null", O_RDONLY);
  child = clone(companion_files, stack + sizeof stack,
                CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | SIGCHLD, (void *)fd);
  waitpid(child, &status, 0);
  struct sigaction action;
  sigaction(SIGUSR2, NULL, &action);
  RESULT("descriptor %ld errno %d, status %#x, disposition shared %d\n", fcntl(fd, F_GETFD), errno, status,
         action.sa_handler == on_signal);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  if (argc > 2) {
    printf("%s\n", argv[2]);
    return 0;
  }
  static char path[4096];
  self = realpath(argv[0], path);
  test_vfork();
  test_separate();
  test_spawn();
  test_companion();
  printf("done\n");
}

/* execve and execveat: what the new program is given, what stays, what goes, and how it fails. The program
 * runs itself with a word that says what to do. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char self[4096];
extern char **environ;

static void run(const char *name, void (*child)(void)) {
  int status;
  printf("-- %s\n", name);
  pid_t pid = fork();
  if (pid == 0) {
    child();
    printf("child came back, errno %d\n", errno);
    _exit(111);
  }
  waitpid(pid, &status, 0);
  printf("status %#x\n", status);
}

/* --- The new program's side -------------------------------------------------------------------- */

static void show_arguments(int argc, char **argv) {
  for (int i = 0; i < argc; i++)
    printf("argv[%d] \"%s\"\n", i, argv[i]);
  printf("argv[argc] %p\n", argv[argc]);
  for (char **e = environ; *e; e++)
    printf("env \"%s\"\n", *e);
}

static void show_state(void) {
  sigset_t mask, pending;
  struct sigaction action[3];
  const int signals[] = {SIGUSR1, SIGUSR2, SIGTRAP};
  sigprocmask(SIG_BLOCK, NULL, &mask);
  sigpending(&pending);
  for (int i = 0; i < 3; i++) {
    sigaction(signals[i], NULL, &action[i]);
    printf("signal %d: %s\n", signals[i],
           action[i].sa_handler == SIG_IGN ? "ignored"
           : action[i].sa_handler          ? "handler"
                                           : "default");
  }
  for (int i = 1; i <= 64; i++)
    if (sigismember(&mask, i) == 1 || sigismember(&pending, i) == 1)
      printf("signal %d: blocked %d pending %d\n", i, sigismember(&mask, i), sigismember(&pending, i));
  stack_t stack;
  sigaltstack(NULL, &stack);
  unsigned short control;
  unsigned mxcsr, eflags;
  __asm__ volatile("fnstcw %0\n stmxcsr %1" : "=m"(control), "=m"(mxcsr));
  printf("altstack flags %#x size %u, cw %#x mxcsr %#x\n", stack.ss_flags, (unsigned)stack.ss_size, control,
         mxcsr);
  printf("descriptors 20: %d, 21: %d\n", fcntl(20, F_GETFD), fcntl(21, F_GETFD));
  char name[16], link[4096] = "";
  prctl(PR_GET_NAME, name);
  readlink("/proc/self/exe", link, sizeof link - 1);
  printf("named after the file %d, umask %#o, tid is pid %d\n", strncmp(strrchr(link, '/') + 1, name, 15) == 0, umask(0), syscall(SYS_gettid) == getpid());
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  printf("RLIMIT_NOFILE is 99: %d\n", limit.rlim_cur == 99);
}

/* --- The old program's side -------------------------------------------------------------------- */

static void with_arguments(void) {
  char *arguments[] = {"another name", "arguments", "", "two words", "-x", "--", "\xff\n", NULL};
  char *environment[] = {"A=1", "EMPTY=", "NOEQUALS", "A=2", NULL};
  execve(self, arguments, environment);
}

static void without_environment(void) {
  char *arguments[] = {self, "arguments", NULL};
  syscall(SYS_execve, self, arguments, NULL);
}

static void on_signal(int signal) {}

static void with_state(void) {
  char stack[8192];
  const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  signal(SIGUSR1, SIG_IGN);
  signal(SIGUSR2, on_signal);
  signal(SIGTRAP, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGSEGV);
  sigaddset(&set, 40);
  sigprocmask(SIG_SETMASK, &set, NULL);
  raise(SIGHUP);
  raise(SIGSEGV);
  raise(40);
  unsigned short control = 0x27F;
  __asm__ volatile("fldcw %0" ::"m"(control));
  int fd = open("/dev/null", O_RDONLY);
  dup2(fd, 20);
  dup3(fd, 21, O_CLOEXEC);
  umask(027);
  struct rlimit limit = {99, 99};
  setrlimit(RLIMIT_NOFILE, &limit);
  execl(self, "x", "state", NULL);
}

static void *execute_from_thread(void *argument) {
  execl(self, "x", "state", NULL);
  return NULL;
}
static void *wait_for_ever(void *argument) {
  for (;;)
    pause();
}
static void from_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, wait_for_ever, NULL);
  pthread_create(&thread, NULL, execute_from_thread, NULL);
  pthread_join(thread, NULL);
}

static void a_script(void) {
  char path[] = "/tmp/uemu-exec-test-XXXXXX", line[5000];
  int fd = mkstemp(path);
  snprintf(line, sizeof line, "#! %s arguments \nrest\n", self);
  write(fd, line, strlen(line));
  fchmod(fd, 0755);
  close(fd);
  int ends[2];
  pipe(ends);
  if (fork() == 0) {
    char *arguments[] = {"lost", "one", "two", NULL}, *environment[] = {NULL};
    dup2(ends[1], 1);
    execve(path, arguments, environment);
    _exit(1);
  }
  close(ends[1]);
  FILE *output = fdopen(ends[0], "r");
  while (fgets(line, sizeof line, output)) {
    char *where = strstr(line, path);
    if (where) /* the only thing that differs from run to run */
      memcpy(where + strlen("/tmp/uemu-exec-test-"), "NAME..", 6);
    where = strstr(line, self);
    if (where)
      printf("argv[0] is this program\n");
    else
      fputs(line, stdout);
  }
  int status;
  wait(&status);
  unlink(path);
  _exit(WEXITSTATUS(status));
}

static void by_descriptor(void) {
  char *arguments[] = {"by descriptor", "arguments", NULL}, *environment[] = {"X=y", NULL};
  int fd = open(self, O_PATH | O_CLOEXEC);
  syscall(SYS_execveat, fd, "", arguments, environment, AT_EMPTY_PATH);
}
static void by_directory(void) {
  char directory[4096], *arguments[] = {"by directory", "arguments", NULL}, *environment[] = {NULL};
  strcpy(directory, self);
  char *slash = strrchr(directory, '/');
  *slash = 0;
  int fd = open(directory, O_RDONLY | O_DIRECTORY);
  syscall(SYS_execveat, fd, slash + 1, arguments, environment, 0);
}
static void by_relative_path(void) {
  char directory[4096], name[4096], *arguments[] = {"relative", "arguments", NULL}, *environment[] = {NULL};
  strcpy(directory, self);
  char *slash = strrchr(directory, '/');
  *slash = 0;
  chdir(directory);
  snprintf(name, sizeof name, "./%s", slash + 1);
  execve(name, arguments, environment);
}
static void by_proc(void) {
  char *arguments[] = {"by /proc/self/exe", "arguments", NULL}, *environment[] = {NULL};
  execve("/proc/self/exe", arguments, environment);
}

static void fail(const char *what, int result) {
  printf("%s: %d errno %d\n", what, result, result ? errno : 0);
}

static void test_failures(void) {
  printf("-- failures\n");
  char *arguments[] = {"x", NULL};
  fail("missing", execve("/nonexistent", arguments, environ));
  fail("empty", execve("", arguments, environ));
  fail("directory", execve("/", arguments, environ));
  fail("through a file", execve("/dev/null/x", arguments, environ));
  fail("not executable", execve("/etc/passwd", arguments, environ));
  fail("bad path", syscall(SYS_execve, 1, arguments, environ));
  fail("bad argv", syscall(SYS_execve, self, 1, environ));
  fail("bad envp", syscall(SYS_execve, self, arguments, 1));
  char *bad[] = {"x", (char *)8, NULL};
  fail("bad string", execve(self, bad, environ));
  char path[] = "/tmp/uemu-exec-test-XXXXXX";
  int fd = mkstemp(path);
  fchmod(fd, 0755);
  write(fd, "garbage, not a program", 22);
  close(fd);
  fail("no format", execve(path, arguments, environ));
  fd = open(path, O_WRONLY | O_TRUNC);
  write(fd, "#!/nonexistent/interpreter\n", 27);
  close(fd);
  fail("no interpreter", execve(path, arguments, environ));
  unlink(path);
  char *long_string = malloc(200000);
  memset(long_string, 'x', 199999);
  long_string[199999] = 0;
  bad[1] = long_string;
  fail("long string", execve(self, bad, environ));
  fail("bad flags", syscall(SYS_execveat, -1, self, arguments, environ, 0x10));
  fail("bad descriptor", syscall(SYS_execveat, 999, "x", arguments, environ, 0));
  fail("empty without the flag", syscall(SYS_execveat, 1, "", arguments, environ, 0));
  /* Nothing has changed. */
  signal(SIGUSR2, on_signal);
  raise(SIGUSR2);
  printf("still here\n");
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  if (argc > 1 && strcmp(argv[1], "arguments") == 0) {
    show_arguments(argc, argv);
    return 4;
  }
  if (argc > 1 && strcmp(argv[1], "state") == 0) {
    show_state();
    return 5;
  }
  realpath(argv[0], self);
  run("arguments", with_arguments);
  run("no environment", without_environment);
  run("what stays", with_state);
  run("from a thread", from_thread);
  run("script", a_script);
  run("by descriptor", by_descriptor);
  run("by directory", by_directory);
  run("relative path", by_relative_path);
  run("/proc/self/exe", by_proc);
  test_failures();
  printf("done\n");
}

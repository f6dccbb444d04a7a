#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_LIMIT = 8 << 20 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* In the child: set up and execute. Why that failed goes through `report`, which a success closes. */
static _Noreturn void child_execute(char *const argv[], const char *directory, char *const environment[],
                                    int out, int err, int report) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int null = open("/dev/null", O_RDONLY);
  if (null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(err, 2) >= 0 &&
      (!directory || chdir(directory) == 0)) {
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* also what the test itself was started with */
    execvpe(argv[0], argv, environment);
  }
  int error = errno;
  if (write(report, &error, sizeof error) != sizeof error)
    _exit(126);
  _exit(127);
}

/* Appends what `fd` has; false at its end. */
static bool output_read(struct child_output *output, int fd) {
  char buffer[65536];
  ssize_t got = read(fd, buffer, sizeof buffer);
  if (got < 0)
    return errno == EINTR || errno == EAGAIN;
  if (got == 0)
    return false;
  size_t keep = (size_t)got;
  if (output->length + keep > OUTPUT_LIMIT) {
    keep = OUTPUT_LIMIT - output->length;
    output->cut = true;
  }
  char *bytes = realloc(output->bytes, output->length + keep + 1);
  if (!bytes)
    abort();
  memcpy(bytes + output->length, buffer, keep);
  output->bytes = bytes;
  output->length += keep;
  bytes[output->length] = 0;
  return true;
}

/* Reads both pipes until the child has ended and they are empty, or the deadline has passed. A
 * descendant may hold a pipe open after that; what it writes within a short wait still counts. */
static void collect(pid_t pid, int out, int err, double deadline, struct child_result *result) {
  enum { OUT, ERR, CHILD, COUNT };
  const int linger_ms = 50;
  int child = pidfd_open(pid, 0);
  if (child < 0)
    abort();
  struct pollfd waiting[COUNT] = {[OUT] = {.fd = out, .events = POLLIN},
                                  [ERR] = {.fd = err, .events = POLLIN},
                                  [CHILD] = {.fd = child, .events = POLLIN}};
  struct child_output *outputs[] = {[OUT] = &result->out, [ERR] = &result->err};
  while (waiting[CHILD].fd >= 0 || waiting[OUT].fd >= 0 || waiting[ERR].fd >= 0) {
    bool running = waiting[CHILD].fd >= 0;
    double left = deadline - now();
    if (running && left <= 0) {
      result->timed_out = true;
      kill(-pid, SIGKILL);
      kill(pid, SIGKILL);
    }
    int ready = poll(waiting, COUNT, !running ? linger_ms : left > 0 ? (int)(left * 1000) + 1 : -1);
    if (ready == 0 && !running)
      break;
    for (int i = OUT; i <= ERR && ready > 0; i++)
      if (waiting[i].revents && !output_read(outputs[i], waiting[i].fd))
        waiting[i].fd = -1;
    if (running && ready > 0 && waiting[CHILD].revents) {
      waitpid(pid, &result->wait_status, 0);
      waiting[CHILD].fd = -1;
    }
  }
  close(child);
}

int child_run(char *const argv[], const char *directory, char *const environment[], int seconds,
              struct child_result *result) {
  extern char **environ;
  int out[2], err[2], report[2], error = 0;
  memset(result, 0, sizeof *result);
  result->out.bytes = calloc(1, 1);
  result->err.bytes = calloc(1, 1);
  if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0)
    abort();
  double start = now();
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0)
    abort();
  if (pid == 0)
    child_execute(argv, directory, environment ? environment : environ, out[1], err[1], report[1]);
  close(out[1]);
  close(err[1]);
  close(report[1]);
  bool refused = read(report[0], &error, sizeof error) == sizeof error;
  close(report[0]);
  if (refused) {
    waitpid(pid, &result->wait_status, 0);
  } else {
    collect(pid, out[0], err[0], start + seconds, result);
    kill(-pid, SIGKILL);
  }
  close(out[0]);
  close(err[0]);
  result->seconds = now() - start;
  return refused ? -error : 0;
}

void child_result_free(struct child_result *result) {
  free(result->out.bytes);
  free(result->err.bytes);
  memset(result, 0, sizeof *result);
}

void child_describe(const struct child_result *result, char *text, size_t size) {
  if (result->timed_out)
    snprintf(text, size, "no end after %.0f s", result->seconds);
  else if (WIFSIGNALED(result->wait_status))
    snprintf(text, size, "killed by SIG%s", sigabbrev_np(WTERMSIG(result->wait_status)));
  else
    snprintf(text, size, "exit status %d", WEXITSTATUS(result->wait_status));
}

bool host_runs_i386(void) {
  pid_t pid = fork();
  if (pid < 0)
    return false;
  if (pid == 0) {
    long result = 20; /* getpid(2) of the i386 table; writev(2) of x86-64's */
    __asm__ volatile("int $0x80" : "+a"(result)::"memory", "r8", "r9", "r10", "r11");
    _exit(result == getpid() ? 0 : 1);
  }
  int status;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool cpu_has(const char *flag) {
  FILE *file = fopen("/proc/cpuinfo", "r");
  char line[8192];
  bool found = false;
  while (file && fgets(line, sizeof line, file) && strncmp(line, "flags", 5) != 0) {
  }
  if (file)
    fclose(file);
  char *rest = line;
  for (char *word; !found && (word = strtok_r(rest, " \t\n", &rest));)
    found = strcmp(word, flag) == 0;
  return found;
}

const char *host_cpu_lacks(const char *flags) {
  static char copy[256];
  snprintf(copy, sizeof copy, "%s", flags);
  char *rest = copy;
  for (char *flag; (flag = strtok_r(rest, " \n", &rest));)
    if (!cpu_has(flag))
      return flag;
  return NULL;
}

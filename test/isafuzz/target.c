/* Targets: starting them, watching them, and going on behind what killed them. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_PATIENCE_MS = 20000, HANG_PATIENCE_MS = 5000 };

static void *shared_file(const char *name, size_t size, int *fd) {
  *fd = memfd_create(name, MFD_CLOEXEC);
  void *at = MAP_FAILED;
  if (*fd >= 0 && ftruncate(*fd, (off_t)size) == 0)
    at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
  if (at == MAP_FAILED) {
    perror("isafuzz: memfd");
    exit(2);
  }
  return at;
}

struct job *job_new(int *fd) {
  return shared_file("isafuzz-job", sizeof(struct job), fd);
}

void target_init(struct target *target, const char *name, char *const *command, struct job *job, int job_fd,
                 int patience_ms) {
  *target = (struct target){
      .name = name, .command = command, .job = job, .job_fd = job_fd, .patience_ms = patience_ms};
  target->results = shared_file("isafuzz-results", sizeof(struct results), &target->result_fd);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The child's descriptors: 0 and 1 are pipes, 3 and 4 the job and the results. */
static _Noreturn void become(const struct target *target, int in, int out) {
  enum { HIGH = 20 };
  int high[4] = {fcntl(in, F_DUPFD, HIGH), fcntl(out, F_DUPFD, HIGH), fcntl(target->job_fd, F_DUPFD, HIGH),
                 fcntl(target->result_fd, F_DUPFD, HIGH)};
  const int low[4] = {0, 1, JOB_FD, RESULT_FD};
  for (int i = 0; i < 4; i++) {
    dup2(high[i], low[i]);
    close(high[i]);
  }
  /* Stencils made on demand stay in the process: adding each to a file costs more than making it. */
  unsetenv("UEMU_CACHE_DIR");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* a program that loops would not see that nobody waits for it */
  execv(target->command[0], target->command);
  fprintf(stderr, "isafuzz: %s: %s\n", target->command[0], strerror(errno));
  _exit(127);
}

/* Waits for the runner's byte. 1: it came; 0: not in time; -1: the process is gone. */
static int wait_byte(struct target *target, int timeout_ms) {
  struct pollfd poll_fd = {.fd = target->from, .events = POLLIN};
  char byte;
  int ready = poll(&poll_fd, 1, timeout_ms);
  if (ready == 0 || (ready < 0 && errno == EINTR))
    return 0;
  return read(target->from, &byte, 1) == 1 ? 1 : -1;
}

static bool start(struct target *target) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
    perror("isafuzz: pipe");
    exit(2);
  }
  target->pid = fork();
  if (target->pid == 0)
    become(target, in[0], out[1]);
  close(in[0]);
  close(out[1]);
  target->to = in[1];
  target->from = out[0];
  if (target->pid > 0 && wait_byte(target, START_PATIENCE_MS) == 1)
    return true;
  fprintf(stderr, "isafuzz: %s does not start\n", target->name);
  target_stop(target);
  return false;
}

/* Returns the wait status. */
static int reap(struct target *target) {
  int status = 0;
  close(target->to);
  close(target->from);
  while (waitpid(target->pid, &status, 0) < 0 && errno == EINTR) {
  }
  target->pid = 0;
  return status;
}

void target_stop(struct target *target) {
  if (target->pid <= 0)
    return;
  kill(target->pid, SIGKILL);
  reap(target);
}

uint32_t target_exit_routine(struct target *target) {
  return target->pid > 0 || start(target) ? target->results->exit_routine : 0;
}

/* Until the byte comes or the process dies. An execution that takes too long is told to end, then ended with
 * its process. 1: done; -1: dead; 0: killed because it hung. */
static int watch(struct target *target) {
  uint32_t last = ~0u;
  int64_t since = now_ms(), alarmed = 0;
  for (;;) {
    int state = wait_byte(target, target->patience_ms);
    if (state != 0)
      return state;
    int64_t now = now_ms();
    if (target->results->execution != last) {
      last = target->results->execution;
      since = now;
      alarmed = 0;
    } else if (alarmed && now - alarmed > HANG_PATIENCE_MS) {
      return 0;
    } else if (!alarmed && now - since >= target->patience_ms) {
      kill(target->pid, SIGALRM);
      alarmed = now;
    }
  }
}

static uint32_t execution_count(const struct job *job) {
  uint32_t count = 0;
  for (uint32_t p = 0; p < job->program_count; p++)
    count += job->program[p].state_count;
  return count;
}

/* Goes on behind what was written before the process died, without what killed it. */
static void note_death(struct target *target, bool hung, int status) {
  uint32_t at = target->results->execution;
  if (target->death_count < DEATH_LIMIT)
    target->death[target->death_count++] =
        (struct death){at, hung ? SIGNAL_HUNG : SIGNAL_DIED, (uint32_t)status};
  target->job->skip[at] = 1;
  target->job->first_execution = target->results->written;
}

static void report_deaths(struct target *target) {
  for (unsigned i = 0; i < target->death_count; i++) {
    struct result *result = &target->results->result[target->death[i].execution];
    memset(result, 0, sizeof *result);
    result->signal = target->death[i].signal;
    result->code = target->death[i].status;
  }
}

bool target_run(struct target *target) {
  uint32_t count = execution_count(target->job);
  target->job->first_execution = target->results->written = 0;
  target->death_count = 0;
  while (target->job->first_execution < count) {
    if (target->pid <= 0 && !start(target))
      return false;
    target->results->execution = target->job->first_execution;
    int state = -1;
    if (write(target->to, "", 1) == 1)
      state = watch(target);
    if (state == 1)
      break;
    if (state == 0)
      kill(target->pid, SIGKILL);
    note_death(target, state == 0, reap(target));
  }
  report_deaths(target);
  return true;
}

/* A process that executes jobs: the runner by itself, or under the emulator. */
#ifndef UEMU_TEST_ISAFUZZ_TARGET_H
#define UEMU_TEST_ISAFUZZ_TARGET_H

#include "protocol.h"

#include <sys/types.h>

/* Beside signal numbers and SIGNAL_SKIPPED, in result.signal: the process itself died, or hung. */
enum { SIGNAL_DIED = 0xfe, SIGNAL_HUNG = 0xfd };

/* An execution that ended its process. */
struct death {
  uint32_t execution, signal, status;
};
enum { DEATH_LIMIT = 256 }; /* in one job: further ones are as if they had been skipped */

struct target {
  const char *name;
  char *const *command;
  int job_fd, result_fd;
  struct job *job;
  struct results *results;
  int patience_ms; /* for one execution, before it gets SIGALRM */
  pid_t pid;       /* 0: not running */
  int to, from;
  struct death death[DEATH_LIMIT];
  unsigned death_count;
};

/* A job that targets can map. Exits the program if there is no memory. */
struct job *job_new(int *fd);

/* `command` is started when there is something to do. */
void target_init(struct target *target, const char *name, char *const *command, struct job *job, int job_fd,
                 int patience_ms);

/* Executes the job, all of it: a process that dies is started again behind the execution that killed it.
 * False: the target cannot be started at all. */
bool target_run(struct target *target);

/* The address that programs jump to in the end. 0: the target cannot be started. */
uint32_t target_exit_routine(struct target *target);

void target_stop(struct target *target);

#endif

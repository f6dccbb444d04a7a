/* Child processes for tests: run a command with a time limit and keep what it wrote. */
#ifndef UEMU_TEST_SUPPORT_CHILD_H
#define UEMU_TEST_SUPPORT_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* The exit status by which a test tells ctest that it could not be run here (SKIP_RETURN_CODE). */
enum { TEST_SKIPPED = 77 };

struct child_output {
  char *bytes; /* NUL-terminated behind length bytes */
  size_t length;
  bool cut; /* the child wrote more than was kept */
};

struct child_result {
  int wait_status; /* as waitpid(2) gives it */
  bool timed_out;  /* it was killed, with its whole process group, after the time limit */
  double seconds;
  struct child_output out, err; /* standard output and error */
};

/* Runs argv (argv[0] by PATH, or a path) in `directory` (NULL: here) with `environment` (NULL: ours) and
 * /dev/null as input. Waits until it has ended, but `seconds` at most; descendants that are left over are
 * killed. Returns 0, or the negative errno of why it could not be started: -ENOEXEC where the host's
 * kernel does not run such programs. The result is freed with child_result_free. */
int child_run(char *const argv[], const char *directory, char *const environment[], int seconds,
              struct child_result *result);
void child_result_free(struct child_result *result);

/* "exit status 3", "killed by SIGSEGV", "no end after 60 s": into `text`. */
void child_describe(const struct child_result *result, char *text, size_t size);

/* Does this kernel run i386 code itself? Asked by int $0x80, not by starting an i386 program: that could
 * also mean that an emulator is registered with binfmt_misc. */
bool host_runs_i386(void);

/* The first of `flags` (names of /proc/cpuinfo, with blanks between) that the CPU lacks; NULL if it has
 * them all. Good until the next call. */
const char *host_cpu_lacks(const char *flags);

#endif

/* isa_test: runs a case file through isa_native (native.c), on the CPU or under the emulator.
 *
 *     isa_test ISA_NATIVE FILE                       on the CPU
 *     isa_test ISA_NATIVE FILE EMULATOR [OPTION…]    under the emulator
 *
 * An instruction that kills the emulator, or hangs it, costs that instruction's cases only: isa_native
 * says where it is, and is started again behind that line.
 *
 * The results in a file named *.host.txt differ from one make of CPU to another (approximations,
 * transcendental functions), so none are recorded: they are asked from this host's CPU first.
 *
 * A file whose head has a line "needs avx2 fma" is for CPUs that have these flags in /proc/cpuinfo; on others
 * it is skipped.
 *
 * Exit status: 0 all cases pass; 1 some do not; 77 (skipped) where it takes a host that runs i386 code,
 * or another CPU. */
#include "child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIME_LIMIT = 120, RESTART_LIMIT = 25 };

static int count_cases(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) {
    fprintf(stderr, "isa_test: %s: %s\n", path, strerror(errno));
    exit(2);
  }
  char line[8192];
  int count = 0;
  while (fgets(line, sizeof line, file))
    count += line[0] == ' ';
  fclose(file);
  return count;
}

/* The first flag that the file needs and this CPU lacks; NULL. */
static const char *cpu_lacks(const char *path) {
  FILE *file = fopen(path, "r");
  char line[256];
  const char *lacking = NULL;
  while (file && !lacking && fgets(line, sizeof line, file))
    if (strncmp(line, "needs ", 6) == 0)
      lacking = host_cpu_lacks(line + 6);
  if (file)
    fclose(file);
  return lacking;
}

/* Asks this host's CPU for the results of `path`, into a new temporary file. */
static char *record_on_host(char *program, char *path) {
  struct child_result result;
  int error = child_run((char *[]){program, "record", path, NULL}, NULL, NULL, TIME_LIMIT, &result);
  if (error || result.wait_status != 0) {
    fprintf(stderr, "isa_test: %s record %s: %s\n", program, path,
            error ? strerror(-error) : result.err.bytes);
    exit(2);
  }
  static char name[] = "/tmp/isa_test.XXXXXX";
  int fd = mkstemp(name);
  if (fd < 0 || write(fd, result.out.bytes, result.out.length) != (ssize_t)result.out.length) {
    perror("isa_test: mkstemp");
    exit(2);
  }
  close(fd);
  child_result_free(&result);
  return name;
}

/* What one run of isa_native told. */
struct report {
  int last_line; /* the heading that it was at */
  int checked, failed;
  bool finished;
};

/* Takes isa_native's own bookkeeping out of its output, and prints the rest: the differences. */
static void read_report(char *output, struct report *report) {
  for (char *line = strtok(output, "\n"); line; line = strtok(NULL, "\n")) {
    if (sscanf(line, "at %d", &report->last_line) == 1)
      continue;
    if (sscanf(line, "checked %d cases, %d failed", &report->checked, &report->failed) == 2)
      report->finished = true;
    else
      puts(line);
  }
}

static void print_heading(const char *path, int number) {
  FILE *file = fopen(path, "r");
  char line[8192] = "";
  for (int i = 0; file && i < number && fgets(line, sizeof line, file); i++) {
  }
  if (file)
    fclose(file);
  line[strcspn(line, "\n")] = 0;
  printf("%s:%d: %s\n", path, number, line);
}

int main(int argc, char *argv[]) {
  if (argc < 3) {
    fputs("usage: isa_test ISA_NATIVE FILE [EMULATOR [OPTION…]]\n", stderr);
    return 2;
  }
  char *program = argv[1], *path = argv[2], *recorded = NULL;
  char **emulator = argv + 3;
  bool of_host = strstr(path, ".host.txt") != NULL;
  const char *lacking = cpu_lacks(path);
  if (lacking) {
    printf("skipped: this CPU has no %s\n", lacking);
    return TEST_SKIPPED;
  }
  if ((of_host || !*emulator) && !host_runs_i386()) {
    puts("skipped: this kernel runs no i386 code, so there is no CPU to compare with");
    return TEST_SKIPPED;
  }
  if (of_host)
    path = recorded = record_on_host(program, path);

  char **command = calloc((size_t)argc + 4, sizeof *command), after[16] = "0";
  int length = 0;
  while (emulator[length]) {
    command[length] = emulator[length];
    length++;
  }
  command[length++] = program;
  command[length++] = "check";
  command[length++] = path;
  command[length++] = after;

  int deaths = 0;
  struct report total = {0};
  while (!total.finished && deaths < RESTART_LIMIT) {
    struct report report = {.last_line = atoi(after)};
    struct child_result result;
    int error = child_run(command, NULL, NULL, TIME_LIMIT, &result);
    if (error) {
      fprintf(stderr, "isa_test: cannot run %s: %s\n", command[0], strerror(-error));
      return 2;
    }
    read_report(result.out.bytes, &report);
    total.checked += report.checked;
    total.failed += report.failed;
    if (result.err.length)
      printf("%s", result.err.bytes);
    total.finished = report.finished && WIFEXITED(result.wait_status) && WEXITSTATUS(result.wait_status) <= 1;
    if (!total.finished) {
      char how[64];
      child_describe(&result, how, sizeof how);
      print_heading(path, report.last_line);
      printf("  %s\n", how);
      deaths++;
      if (report.last_line == atoi(after))
        break; /* it did not even get to the next heading */
      snprintf(after, sizeof after, "%d", report.last_line);
    }
    child_result_free(&result);
  }

  int cases = count_cases(path);
  printf("%s: %d cases, %d checked to the end, %d failed; died %d times%s\n", argv[2], cases, total.checked,
         total.failed, deaths, total.finished ? "" : ", and was given up");
  if (recorded)
    unlink(recorded);
  free(command);
  return total.finished && !deaths && !total.failed && total.checked == cases && cases > 0 ? 0 : 1;
}

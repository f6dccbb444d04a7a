/* Is any memory of a running emulator writable and executable?
 *
 *     code_mappings_test EMULATOR OPTION PROGRAM
 *
 * PROGRAM prints two lines, one of a child, and then waits until its input ends. Meanwhile its mappings and its
 * child's, as the host's kernel has them, must have no page with both permissions, and some that is executable
 * beside those of files: the code cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char **arguments;
static pid_t emulator;
static int to_guest, from_guest;

static int start(void **state) {
  (void)state;
  int in[2], out[2];
  if (pipe(in) < 0 || pipe(out) < 0 || (emulator = fork()) < 0)
    return -1;
  if (emulator == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    close(in[0]), close(in[1]), close(out[0]), close(out[1]);
    execv(arguments[1], arguments + 1);
    _exit(127);
  }
  close(in[0]), close(out[1]);
  to_guest = in[1], from_guest = out[0];
  for (int lines = 0; lines < 2;) {
    char byte;
    if (read(from_guest, &byte, 1) != 1)
      return -1;
    lines += byte == '\n';
  }
  return 0;
}

static int stop(void **state) {
  (void)state;
  int status;
  close(to_guest);
  close(from_guest);
  return waitpid(emulator, &status, 0) == emulator && status == 0 ? 0 : -1;
}

/* Looks at every mapping of a process. */
static void check_mappings(pid_t pid) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
  FILE *maps = fopen(path, "r");
  assert_non_null(maps);
  unsigned both = 0, translated = 0;
  while (fgets(line, sizeof line, maps)) {
    unsigned long long first, end;
    char permissions[5], file[256] = "";
    assert_true(sscanf(line, "%llx-%llx %4s %*s %*s %*s %255[^\n]", &first, &end, permissions, file) >= 3);
    if (permissions[1] == 'w' && permissions[2] == 'x') {
      print_error("writable and executable: %s", line);
      both++;
    }
    bool of_code_cache = !file[0] || strstr(file, "memfd:") || strstr(file, "/dev/zero");
    translated += permissions[2] == 'x' && of_code_cache && first > UINT32_MAX;
  }
  fclose(maps);
  assert_int_equal(both, 0);
  assert_true(translated > 0); /* else this looks at the wrong thing */
}

static void no_writable_code(void **state) {
  (void)state;
  check_mappings(emulator);
}

static void nor_in_a_child(void **state) {
  (void)state;
  char path[64];
  int child = 0;
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)emulator, (int)emulator);
  FILE *children = fopen(path, "r");
  if (!children)
    skip(); /* a kernel without CONFIG_PROC_CHILDREN */
  assert_int_equal(fscanf(children, "%d", &child), 1);
  fclose(children);
  check_mappings(child);
}

int main(int argc, char *argv[]) {
  if (argc != 4) {
    fprintf(stderr, "usage: code_mappings_test EMULATOR OPTION PROGRAM\n");
    return 2;
  }
  arguments = argv;
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_writable_code), cmocka_unit_test(nor_in_a_child)};
  return cmocka_run_group_tests(tests, start, stop);
}

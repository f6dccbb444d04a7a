/* profile_files_test UEMU GUEST: what --perf-map and --jitdump write while the guest runs. */
#include "child.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *emulator, *guest;

/* Runs the guest with the option and its argument; the process numbers that it prints. */
static void run(const char *option, const char *argument, int *parent, int *child) {
  char *argv[6] = {emulator, (char *)option};
  struct child_result result;
  int status;
  argv[2] = argument ? (char *)argument : guest;
  argv[3] = argument ? guest : NULL;
  assert_int_equal(child_run(argv, NULL, NULL, 60, &result), 0);
  assert_int_equal(result.wait_status, 0);
  assert_int_equal(result.err.length, 0);
  assert_int_equal(sscanf(result.out.bytes, "%d %d %d", parent, child, &status), 3);
  assert_int_equal(status, 0);
  child_result_free(&result);
}

/* --- The map ----------------------------------------------------------------------------------------------
 */

struct map {
  unsigned lines;
  bool hot_small, hot_large, child_only, main;
};

static struct map read_map(int pid) {
  char path[64], *line = NULL;
  size_t room = 0;
  struct map map = {0};
  snprintf(path, sizeof path, "/tmp/perf-%d.map", pid);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  while (getline(&line, &room, file) > 0) {
    uint64_t start, size;
    int name = 0;
    assert_int_equal(sscanf(line, "%lx %lx %n", &start, &size, &name), 2);
    assert_true(name > 0 && size > 0);
    assert_non_null(strstr(line + name, "]\n"));
    map.lines++;
    map.hot_small |= strcmp(line + name, "hot_leaf [small]\n") == 0;
    map.hot_large |= strcmp(line + name, "hot_leaf [large]\n") == 0;
    map.child_only |= strcmp(line + name, "child_only [small]\n") == 0;
    map.main |= strncmp(line + name, "main ", 5) == 0;
  }
  fclose(file);
  free(line);
  unlink(path);
  return map;
}

static void perf_map(void **state) {
  (void)state;
  int parent, child;
  run("--perf-map", NULL, &parent, &child);
  const struct map of_parent = read_map(parent), of_child = read_map(child);
  assert_true(of_parent.hot_small && of_parent.hot_large && of_parent.main);
  assert_false(of_parent.child_only);
  /* The child runs what was there before, too. */
  assert_true(of_child.hot_small && of_child.hot_large && of_child.main && of_child.child_only);
  assert_true(of_parent.lines > 50);
}

/* --- The dump
 * ------------------------------------------------------------------------------------------------- */

enum { LOAD = 0, UNWINDING = 4 };

static uint8_t *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  uint8_t *bytes = malloc(*size);
  assert_int_equal(fread(bytes, 1, *size, file), *size);
  fclose(file);
  return bytes;
}

static uint64_t field(const uint8_t *at, unsigned size) {
  uint64_t value = 0;
  memcpy(&value, at, size);
  return value;
}

/* Walks the records to the file's end; is a function of this name loaded? */
static bool dump_has(const char *folder, int pid, const char *wanted) {
  char path[128];
  size_t size;
  snprintf(path, sizeof path, "%s/jit-%d.dump", folder, pid);
  uint8_t *bytes = read_file(path, &size);
  unlink(path);
  assert_int_equal(field(bytes, 4), 0x4A695444);
  assert_int_equal(field(bytes + 4, 4), 1);
  assert_int_equal(field(bytes + 8, 4), 40);
  assert_int_equal(field(bytes + 12, 4), EM_X86_64);
  assert_int_equal(field(bytes + 20, 4), pid);
  bool found = false, unwinding = false;
  uint64_t index = 0, time = field(bytes + 24, 8);
  size_t at = 40;
  for (unsigned loads = 0; at < size;) {
    const uint8_t *record = bytes + at;
    assert_true(size - at >= 16);
    const size_t length = field(record + 4, 4);
    assert_true(length >= 16 && length <= size - at);
    assert_true(field(record + 8, 8) >= time);
    time = field(record + 8, 8);
    if (field(record, 4) == UNWINDING) {
      assert_int_equal(40 + field(record + 16, 8), length);
      unwinding = true;
    } else {
      assert_int_equal(field(record, 4), LOAD);
      assert_true(unwinding); /* of this load */
      assert_int_equal(field(record + 16, 4), pid);
      assert_int_equal(field(record + 24, 8), field(record + 32, 8));
      assert_true(loads++ == 0 || field(record + 48, 8) > index);
      index = field(record + 48, 8);
      const char *name = (const char *)record + 56;
      assert_int_equal(56 + strlen(name) + 1 + field(record + 40, 8), length);
      found |= strcmp(name, wanted) == 0;
      unwinding = false;
    }
    at += length;
  }
  assert_int_equal(at, size);
  free(bytes);
  return found;
}

static void jitdump(void **state) {
  (void)state;
  char folder[] = "/tmp/uemu-jitdump-XXXXXX";
  int parent, child;
  assert_non_null(mkdtemp(folder));
  run("--jitdump", folder, &parent, &child);
  assert_true(dump_has(folder, parent, "hot_leaf [large]"));
  assert_true(dump_has(folder, child, "child_only [small]"));
  assert_int_equal(rmdir(folder), 0); /* nothing else in it */
}

/* A folder that is not there is a line on stderr; the program runs all the same. */
static void no_folder(void **state) {
  (void)state;
  char *argv[] = {emulator, "--jitdump", "/nonexistent", guest, NULL};
  struct child_result result;
  assert_int_equal(child_run(argv, NULL, NULL, 60, &result), 0);
  assert_int_equal(result.wait_status, 0);
  assert_non_null(strstr(result.err.bytes, "/nonexistent: the jitdump cannot be written: No such file"));
  child_result_free(&result);
}

/* --- Statistics -------------------------------------------------------------------------------------------
 */

static unsigned long long number_after(const char *text, const char *what) {
  const char *found = strstr(text, what);
  assert_non_null(found);
  return strtoull(found + strlen(what), NULL, 10);
}

static void statistics(void **state) {
  (void)state;
  char *argv[] = {emulator, "--stats", guest, NULL};
  struct child_result result;
  int parent, child;
  assert_int_equal(child_run(argv, NULL, NULL, 60, &result), 0);
  assert_int_equal(result.wait_status, 0);
  assert_int_equal(sscanf(result.out.bytes, "%d %d", &parent, &child), 2);
  /* The child's table comes first: its parent waits for it. */
  char head[64];
  snprintf(head, sizeof head, "statistics of %d, ", child);
  const char *childs = strstr(result.err.bytes, head);
  snprintf(head, sizeof head, "statistics of %d, ", parent);
  char *parents = strstr(result.err.bytes, head);
  assert_non_null(childs);
  assert_non_null(parents);
  assert_true(childs < parents);
  assert_true(number_after(parents, "\n    small ") > 50);
  assert_in_range(number_after(parents, "\n    large "), 1, 100);
  assert_in_range(number_after(parents, "exits linked, "), 1, 100); /* got hot */
  assert_true(number_after(parents, "stencils ") > 500);
  assert_true(number_after(parents, "kernel   ") >= 4);
  *parents = '\0';
  assert_in_range(number_after(childs, "\n    small "), 1, 50);
  assert_null(strstr(childs, "\n    large "));
  assert_int_equal(number_after(childs, "exits linked, "), 0);
  assert_in_range(number_after(childs, "kernel   "), 1, 5);
  child_result_free(&result);
}

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  emulator = argv[1];
  guest = argv[2];
  const struct CMUnitTest tests[] = {cmocka_unit_test(perf_map), cmocka_unit_test(jitdump),
                                     cmocka_unit_test(no_folder), cmocka_unit_test(statistics)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

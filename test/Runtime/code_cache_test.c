/* Does the emulator's memory grow with the code that a program makes?
 *
 *     code_cache_test EMULATOR PROGRAM THOUSANDS BOUND OPTION…
 *
 * PROGRAM (test/guests/makes_code.c) is run with a code cache of BOUND bytes, to make some functions,
 * THOUSANDS thousand, and to make five times as many. The cache must have been emptied each time, and far
 * more often the second time; the most memory that the process had must not have grown. */
#include "child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char **arguments;

/* From --stats. */
struct figures {
  unsigned long long flushes, freed_bytes, memory; /* memory: KiB */
};

static unsigned long long number_after(const char *text, const char *what) {
  const char *found = strstr(text, what);
  assert_non_null(found);
  return strtoull(found + strlen(what), NULL, 10);
}

static struct figures run(const char *mode, unsigned count) {
  enum { ARGUMENT_LIMIT = 32 };
  char *argv[ARGUMENT_LIMIT], bound[64], functions[32];
  unsigned argc = 0;
  struct child_result result;
  snprintf(bound, sizeof bound, "--code-cache=%s", arguments[4]);
  snprintf(functions, sizeof functions, "%u", count);
  argv[argc++] = arguments[1];
  argv[argc++] = bound;
  argv[argc++] = (char *)"--stats";
  for (unsigned i = 5; arguments[i] && argc < ARGUMENT_LIMIT - 4; i++)
    argv[argc++] = arguments[i];
  argv[argc++] = arguments[2];
  argv[argc++] = (char *)mode;
  argv[argc++] = functions;
  argv[argc] = NULL;
  assert_int_equal(child_run(argv, NULL, NULL, 250, &result), 0);
  assert_int_equal(result.wait_status, 0);
  assert_string_equal(result.out.bytes, "wrong 0\n");
  const struct figures figures = {.flushes = number_after(result.err.bytes, "; flushed "),
                                  .freed_bytes = number_after(result.err.bytes, " times, "),
                                  .memory = number_after(result.err.bytes, "memory at most ")};
  child_result_free(&result);
  return figures;
}

static void does_not_grow(void **state) {
  (void)state;
  enum { ALLOWED = 2048 /* KiB */ };
  const unsigned count = (unsigned)atoi(arguments[3]) * 1000;
  const struct figures some = run("plain", count), many = run("plain", 5 * count);
  print_message("%llu flushes, %llu KiB; then %llu flushes, %llu KiB\n", some.flushes, some.memory,
                many.flushes, many.memory);
  assert_in_range(some.flushes, 4, UINT32_MAX);
  assert_in_range(many.flushes, 3 * some.flushes, UINT32_MAX);
  assert_in_range(many.freed_bytes, 3 * some.freed_bytes, UINT64_MAX);
  assert_in_range(many.memory, 0, some.memory + ALLOWED);
}

int main(int argc, char **argv) {
  if (argc < 5)
    return 2;
  arguments = argv;
  const struct CMUnitTest tests[] = {cmocka_unit_test(does_not_grow)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

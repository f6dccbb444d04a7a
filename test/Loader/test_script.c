/* The #! line: what it means, and the same asked of the kernel. */
#include "support.h"

#include "Loader/script.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct row {
  const char *label, *text; /* what follows "#!" */
  const char *interpreter;  /* NULL: refused */
  const char *argument;     /* NULL: none */
};

static const struct row rows[] = {
    {"plain", "/bin/sh\n", "/bin/sh", NULL},
    {"blanks before", " \t /bin/sh\nrest", "/bin/sh", NULL},
    {"blanks behind", "/bin/sh \t\n", "/bin/sh", NULL},
    {"argument", "/bin/sh -e\n", "/bin/sh", "-e"},
    {"argument with blanks", "/bin/sh  -e\t-u  x \t\n", "/bin/sh", "-e\t-u  x"},
    {"carriage return is text", "/bin/sh\r\n", "/bin/sh\r", NULL},
    {"no newline", "/bin/sh", "/bin/sh", NULL},
    {"no newline, argument", "/bin/sh -e", "/bin/sh", "-e"},
    {"no newline, blank behind argument", "/bin/sh -e ", "/bin/sh", "-e "},
    {"no newline, blank behind path", "/bin/sh ", "/bin/sh", ""},
    {"relative", "sh\n", "sh", NULL},
    {"empty", "\n", NULL, NULL},
    {"only blanks", " \t \n", NULL, NULL},
};

static void fill(uint8_t head[SCRIPT_HEAD_SIZE], const char *text) {
  memset(head, 0, SCRIPT_HEAD_SIZE);
  head[0] = '#';
  head[1] = '!';
  memcpy(head + 2, text, strnlen(text, SCRIPT_HEAD_SIZE - 2));
}

static void test_lines(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uint8_t head[SCRIPT_HEAD_SIZE];
    struct script_line line;
    fill(head, rows[i].text);
    const char *wrong = script_parse(head, &line);
    print_message("%s\n", rows[i].label);
    if (!rows[i].interpreter) {
      assert_non_null(wrong);
      continue;
    }
    assert_null(wrong);
    assert_string_equal(line.interpreter, rows[i].interpreter);
    assert_int_equal(line.has_argument, rows[i].argument != NULL);
    if (rows[i].argument)
      assert_string_equal(line.argument, rows[i].argument);
  }
}

/* Lines around the 256 bytes that exec looks at. */
static void test_long_lines(void **state) {
  (void)state;
  for (size_t length = 250; length < 257; length++) {
    char text[300];
    uint8_t head[SCRIPT_HEAD_SIZE];
    struct script_line line;
    memset(text, 'a', length);
    strcpy(text + length, "\n");
    fill(head, text);
    /* 2 + length bytes and the newline: it must be seen. */
    assert_int_equal(script_parse(head, &line) == NULL, length <= 253);
    strcpy(text + length, " ");
    fill(head, text);
    assert_int_equal(script_parse(head, &line) == NULL, length <= 253);
    if (length <= 253)
      assert_int_equal(strlen(line.interpreter), length);
  }
  /* An argument may be cut. */
  char text[300];
  uint8_t head[SCRIPT_HEAD_SIZE];
  struct script_line line;
  memset(text, 'b', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  memcpy(text, "/bin/sh ", 8);
  fill(head, text);
  assert_null(script_parse(head, &line));
  assert_string_equal(line.interpreter, "/bin/sh");
  assert_int_equal(strlen(line.argument), 255 - 2 - 8);
}

/* This program is the interpreter: it writes its arguments, each with its NUL, to the file in $OUT. */
static int as_interpreter(int argc, char **argv, const char *out) {
  FILE *file = fopen(out, "w");
  for (int i = 1; file && i < argc; i++)
    fwrite(argv[i], 1, strlen(argv[i]) + 1, file);
  return file && fclose(file) == 0 ? 0 : 1;
}

static char self[4096];

static void test_like_kernel(void **state) {
  (void)state;
  static const char *const tails[] = {"\n",   " \n", " a\n", " a b \n", "\t a\tb", " ",
                                      "  x ", "",    "\n\n", " \t",     " a\r\n"};
  char link[128];
  snprintf(link, sizeof link, "%s", test_path("i"));
  assert_int_equal(symlink(self, link), 0);
  char out[4096];
  snprintf(out, sizeof out, "OUT=%s", test_path("out"));
  for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++)
    for (int pad = 0; pad < 2; pad++) {
      char text[600];
      int length = snprintf(text, sizeof text, "#!%s%s", link, tails[i]);
      if (pad) { /* beyond 256 bytes */
        memset(text + length, 'z', sizeof text - (size_t)length);
        length = sizeof text;
      }
      uint8_t head[SCRIPT_HEAD_SIZE] = {0};
      memcpy(head, text, (size_t)(length < SCRIPT_HEAD_SIZE ? length : SCRIPT_HEAD_SIZE));
      struct script_line line;
      const char *wrong = script_parse(head, &line);

      const char *script = test_file("script", text, (size_t)length, 0755);
      unlink(test_path("out"));
      const struct native_result native =
          native_exec(script, (char *const[]){"zero", "one", NULL}, (char *const[]){out, NULL}, NULL);
      char got[2048] = {0};
      size_t size = 0;
      FILE *file = fopen(test_path("out"), "r");
      if (file) {
        size = fread(got, 1, sizeof got, file);
        fclose(file);
      }
      char expected[2048];
      size_t expected_size = 0;
      if (!wrong && strcmp(line.interpreter, link) == 0) {
        if (line.has_argument)
          expected_size += (size_t)sprintf(expected, "%s", line.argument) + 1;
        expected_size += (size_t)sprintf(expected + expected_size, "%s", script) + 1;
        expected_size += (size_t)sprintf(expected + expected_size, "one") + 1;
      }
      print_message("tail %zu pad %d: kernel errno %d, %zu bytes\n", i, pad, native.error, size);
      assert_int_equal(native.error == 0, expected_size != 0);
      assert_int_equal(size, expected_size);
      assert_memory_equal(got, expected, size);
    }
}

int main(int argc, char **argv) {
  const char *out = getenv("OUT");
  if (out)
    return as_interpreter(argc, argv, out);
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
    return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lines),
      cmocka_unit_test(test_long_lines),
      cmocka_unit_test(test_like_kernel),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

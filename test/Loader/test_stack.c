/* The first stack: its rules, and byte for byte what the kernel gives the same program. */
#include "support.h"

#include "Loader/stack.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_layout(void **state) {
  (void)state;
  const struct stack_strings strings = {.filename = "./pie",
                                        .argv = (char *const[]){"./pie", "x", "yy", NULL},
                                        .envp = (char *const[]){"A=b", NULL}};
  struct stack_layout layout;
  assert_int_equal(stack_layout(&layout, &strings, 24), 0);
  /* As seen under Linux 6.18. */
  assert_int_equal(layout.filename, 0xffffdff2);
  assert_int_equal(layout.env_start, 0xffffdfee);
  assert_int_equal(layout.arg_start, 0xffffdfe3);
  assert_int_equal(layout.platform, 0xffffdfdb);
  assert_int_equal(layout.random, 0xffffdfcb);
  assert_int_equal(layout.auxv, 0xffffdefc);
  assert_int_equal(layout.esp, 0xffffdee0);
  assert_int_equal(layout.argc, 3);
  assert_int_equal(layout.envc, 1);
}

static void test_argv0(void **state) {
  (void)state;
  const struct stack_strings strings = {.filename = "f",
                                        .argv = (char *const[]){"f", "x", NULL},
                                        .envp = (char *const[]){NULL},
                                        .argv0 = "another"};
  struct stack_layout layout;
  assert_int_equal(stack_layout(&layout, &strings, 1), 0);
  uint8_t *bytes = malloc(GUEST_TASK_SIZE - layout.esp);
  const struct stack_auxv auxv = {.count = 1};
  const uint8_t random[16] = {0};
  stack_compose(bytes, &layout, &strings, &auxv, random);
  assert_string_equal((char *)bytes + (layout.arg_start - layout.esp), "another");
  assert_string_equal((char *)bytes + (layout.arg_start - layout.esp) + 8, "x");
  assert_int_equal(layout.esp % 16, 0);
  free(bytes);
}

static void test_initial_size(void **state) {
  (void)state;
  const uint64_t kib = 1024, infinity = UINT64_MAX;
  const guest_addr top = GUEST_TASK_SIZE;
  const struct {
    guest_addr strings, vectors; /* bytes from the top */
    uint64_t limit, expected;
  } rows[] = {
      {100, 500, 8192 * kib, 132 * kib},
      {100, 500, infinity, 132 * kib},
      {5000, 9000, infinity, 136 * kib},
      {100, 500, 64 * kib, 64 * kib},
      {100, 500, 64 * kib + 4095, 64 * kib},
      {100 * kib, 101 * kib, 64 * kib, 0},           /* the strings alone are beyond the limit */
      {100 * kib, 300 * kib, 8192 * kib, 300 * kib}, /* many pointers */
      {100, 300 * kib, 256 * kib, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const struct stack_layout layout = {.arg_start = top - rows[i].strings, .esp = top - rows[i].vectors};
    assert_int_equal(stack_initial_size(&layout, rows[i].limit), rows[i].expected);
  }
}

/* Runs a program that writes its stack out. Returns the bytes' count. */
static size_t native_stack(const char *path, char *const argv[], char *const envp[], uint8_t *to,
                           size_t size) {
  int output[2], error, status;
  assert_int_equal(pipe(output), 0);
  const struct native_options options = {.output = output[1]};
  const pid_t child = native_start(path, argv, envp, &options, &error);
  close(output[1]);
  assert_int_equal(error, 0);
  size_t length = 0;
  for (ssize_t got; length < size && (got = read(output[0], to + length, size - length)) > 0;)
    length += (size_t)got;
  close(output[0]);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  return length;
}

static uint32_t native_auxv(const uint8_t *auxv, uint32_t type) {
  for (const uint32_t *entry = (const uint32_t *)auxv; entry[0]; entry += 2)
    if (entry[0] == type)
      return entry[1];
  return 0;
}

static void compare_with_kernel(char *const argv[], char *const envp[]) {
  static uint8_t native[1 << 20], ours[1 << 20];
  struct test_elf elf;
  elf_reset(&elf, CODE_DUMP_STACK);
  const char *path = test_elf_file("dump", &elf);
  const size_t length = native_stack(path, argv, envp, native, sizeof native);

  static char *const empty[] = {"", NULL};
  const struct stack_strings strings = {path, argv[0] ? argv : empty, envp, NULL};
  struct stack_layout layout;
  assert_int_equal(stack_layout(&layout, &strings, 0), 0);
  uint32_t words = 1 + layout.argc + 1 + layout.envc + 1;
  const uint8_t *auxv_bytes = native + 4 * words;
  const struct loader_image image = {.vdso = native_auxv(auxv_bytes, AT_SYSINFO_EHDR),
                                     .vsyscall = native_auxv(auxv_bytes, AT_SYSINFO),
                                     .header_address = 0x08048034,
                                     .header_count = 2,
                                     .program_entry = 0x08048000 + TEST_ELF_CODE};
  const struct loader_options options = {.hwcap = native_auxv(auxv_bytes, AT_HWCAP),
                                         .hwcap2 = native_auxv(auxv_bytes, AT_HWCAP2),
                                         .min_signal_stack = native_auxv(auxv_bytes, AT_MINSIGSTKSZ),
                                         .rseq_feature_size = native_auxv(auxv_bytes, 27),
                                         .rseq_align = native_auxv(auxv_bytes, 28)};
  struct stack_auxv auxv;
  stack_auxv_fill(&auxv, &image, &options, &layout);
  assert_int_equal(stack_layout(&layout, &strings, auxv.count), 0);
  stack_auxv_fill(&auxv, &image, &options, &layout);
  assert_int_equal(length, GUEST_TASK_SIZE - layout.esp);
  stack_compose(ours, &layout, &strings, &auxv, native + (layout.random - layout.esp));
  /* Between the vectors and the random bytes the kernel leaves what was there: zeros. */
  for (size_t i = 0; i < length; i++)
    if (native[i] != ours[i])
      fail_msg("byte at %#zx: kernel %02x, here %02x", layout.esp + i, native[i], ours[i]);
}

static void test_like_kernel(void **state) {
  (void)state;
  if (!native_is_i386())
    skip();
  compare_with_kernel((char *const[]){"dump", "one", "", "three", NULL}, (char *const[]){"A=b", "C", NULL});
  compare_with_kernel((char *const[]){NULL}, (char *const[]){NULL});
  static char *many[3001];
  for (int i = 0; i < 3000; i++)
    many[i] = "an argument of some length";
  compare_with_kernel(many, many + 500);
  char text[64];
  for (int length = 0; length < 33; length++) {
    memset(text, 'x', sizeof text);
    text[length] = '\0';
    compare_with_kernel((char *const[]){text, NULL}, (char *const[]){"ENV=1", NULL});
    compare_with_kernel((char *const[]){"dump", NULL}, (char *const[]){text, text, NULL});
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layout),
      cmocka_unit_test(test_argv0),
      cmocka_unit_test(test_initial_size),
      cmocka_unit_test(test_like_kernel),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

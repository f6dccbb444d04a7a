/* A scenario: system calls of the i386 ABI by number, and a transcript of what they did.
 *
 * A scenario's file is used twice. As a guest program of its own it prints the transcript; natively and under
 * the emulator it must be the same. And it is compiled into a unit test (SCENARIO_IN_PROCESS), a 64-bit
 * program that runs it once through the kernel's own i386 entry and once through lib/Linux.
 *
 * So everything a call points to comes from low(), structs are spelled out with fields of fixed size, and
 * nothing is printed that differs from run to run: no inode numbers, times or descriptors. */
#ifndef UEMU_TEST_SCENARIO_H
#define UEMU_TEST_SCENARIO_H

#include <asm/unistd_32.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif

/* The result, or a negative errno. */
int32_t scenario_call(int number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f);
#define WORD(x) ((uint32_t)(uintptr_t)(x))
#define CALL(number, ...) CALL_WITH(number __VA_OPT__(, ) __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_WITH(number, a, b, c, d, e, f, ...)                                                             \
  scenario_call(number, WORD(a), WORD(b), WORD(c), WORD(d), WORD(e), WORD(f))

/* A 64-bit number as two arguments. */
#define PAIR(x) (uint32_t)(uint64_t)(x), (uint32_t)((uint64_t)(x) >> 32)

/* Zeroed memory below 4 GiB, kept for the scenario's time. */
void *low(size_t length);
static inline char *low_string(const char *text) { return strcpy(low(strlen(text) + 1), text); }

/* One line of the transcript. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a call answered; for a call that makes a descriptor only that it did. Both hand the result on. */
static inline int32_t answer(const char *what, int32_t result) {
  if (result < 0)
    say("%s: %s", what, strerrorname_np(-result));
  else
    say("%s: %d", what, result);
  return result;
}
static inline int32_t descriptor(const char *what, int32_t result) {
  if (result < 0)
    return answer(what, result);
  say("%s: a descriptor", what);
  return result;
}

static inline int32_t close_descriptor(int32_t fd) { return CALL(__NR_close, fd); }

/* The scenario itself, started in an empty directory of its own. */
void scenario(void);

#ifndef SCENARIO_IN_PROCESS
#include <dirent.h>
#include <sys/syscall.h>

static char scenario_memory[1 << 20] __attribute__((aligned(16)));
static size_t scenario_used;

void *low(size_t length) {
  void *memory = scenario_memory + scenario_used;
  scenario_used += (length + 15) & ~(size_t)15;
  if (scenario_used > sizeof scenario_memory)
    abort();
  return memory;
}

void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
}

int32_t scenario_call(int number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f) {
  long result = syscall(number, a, b, c, d, e, f);
  return result == -1 ? -errno : (int32_t)result;
}

/* Without stat(2), which 32-bit programs cannot use on everything that scenarios leave behind. */
static void scenario_remove(int parent, const char *name) {
  if (unlinkat(parent, name, 0) == 0)
    return;
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  for (struct dirent64 *entry; directory && (entry = readdir64(directory));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      scenario_remove(fd, entry->d_name);
  if (directory)
    closedir(directory);
  if (unlinkat(parent, name, AT_REMOVEDIR) != 0)
    perror(name);
}

/* What only the C library's wrappers show; each program has its own. */
static void with_libc(void);

int main(void) {
  char directory[] = "/tmp/uemu-scenario-XXXXXX";
  if (!mkdtemp(directory) || chdir(directory) != 0) {
    perror(directory);
    return 1;
  }
  scenario();
  with_libc();
  fflush(stdout);
  scenario_remove(AT_FDCWD, directory);
  return 0;
}
#endif

#endif

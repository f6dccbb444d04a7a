/* For the loader's tests: files made on the spot, and the kernel of this machine as the oracle. */
#ifndef UEMU_TEST_LOADER_SUPPORT_H
#define UEMU_TEST_LOADER_SUPPORT_H

#include <elf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <setjmp.h>

#include <cmocka.h> /* wants what is above */

/* An ELF32 file in memory. elf_reset makes a good ET_EXEC of one page at 0x08048000 (R+X, program code at
 * 0x100) with PT_GNU_STACK RW; tests change what they are about. */
enum { TEST_ELF_CODE = 0x400, TEST_ELF_SIZE = 0x8000 };
struct test_elf {
  _Alignas(4096) uint8_t bytes[TEST_ELF_SIZE];
  uint32_t size; /* how much of it the file gets */
};
static inline Elf32_Ehdr *elf_header(struct test_elf *elf) { return (Elf32_Ehdr *)elf->bytes; }
static inline Elf32_Phdr *elf_segment(struct test_elf *elf, unsigned number) {
  return (Elf32_Phdr *)(elf->bytes + sizeof(Elf32_Ehdr)) + number;
}
enum test_code { CODE_EXIT /* exit(0) */, CODE_PAUSE, CODE_DUMP_STACK /* writes [ESP, top) to stdout */ };
void elf_reset(struct test_elf *elf, enum test_code code);
/* Appends a program header; the one to fill. */
Elf32_Phdr *elf_add_segment(struct test_elf *elf, Elf32_Phdr segment);
/* Appends PT_INTERP with this path. */
void elf_add_interpreter(struct test_elf *elf, const char *path);

/* A directory of the test's own, removed at exit. */
const char *test_directory(void);
/* Its file NAME's path: in a buffer that lasts for eight more calls. */
const char *test_path(const char *name);
const char *test_file(const char *name, const void *bytes, size_t length, mode_t mode);
static inline const char *test_elf_file(const char *name, const struct test_elf *elf) {
  return test_file(name, elf->bytes, elf->size, 0755);
}

/* What execve(2) of the host does with it. */
struct native_result {
  int error;  /* errno of execve, 0 if it began to run */
  int signal; /* that killed it, 0 if none */
};
struct native_options {
  const char *directory; /* to run it in, or NULL */
  uint64_t stack_limit;  /* RLIMIT_STACK's soft limit, 0: unchanged */
  int output;            /* becomes its stdout, or 0 */
};
pid_t native_start(const char *path, char *const argv[], char *const envp[],
                   const struct native_options *options, int *error);
struct native_result native_exec(const char *path, char *const argv[], char *const envp[],
                                 const struct native_options *options);
/* Can this machine's kernel run i386 programs? */
bool native_is_i386(void);

#endif

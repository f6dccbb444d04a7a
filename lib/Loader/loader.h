/* exec(2): from a path to a process image that is ready to run (docs/loading.md).
 *
 * loader_open checks and reads without touching guest memory, so that a bad file leaves nothing
 * half-loaded and execve(2) can fail with the caller untouched; loader_load maps. */
#ifndef UEMU_LOADER_LOADER_H
#define UEMU_LOADER_LOADER_H

#include "Runtime/cpu_state.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a file was refused. `message` is one line without a newline: which file, which field, what
 * was expected. */
struct loader_error {
  int error; /* a positive errno, as execve(2) would give */
  char message[512];
};

struct loader_program; /* an opened, checked program: owns descriptors and strings */

/* Opens `path` with argv as exec(2) would: permissions, `#!` scripts, then the formats' probes. Absolute
 * paths (this one, a script's interpreter, PT_INTERP) mean the file under sysroot if there is one, with
 * symbolic links kept inside it, else the host's; /proc, /sys and /dev are always the host's. argv is
 * copied; an empty one becomes {""}, as the kernel has it. sysroot may be NULL. NULL on failure, with
 * *error filled. */
struct loader_program *loader_open(const char *path, char *const argv[], const char *sysroot,
                                   struct loader_error *error);
void loader_close(struct loader_program *program);

/* The file to be executed is the host's own kind of program (ELF64 x86-64), not ours. */
bool loader_is_host_program(const struct loader_program *program);

/* The final argument vector (after scripts) and the path of the executable; owned by program. */
char *const *loader_argv(const struct loader_program *program);
const char *loader_path(const struct loader_program *program);

/* The path that was asked for, as given to loader_open: AT_EXECFN; its last component is the
 * process's short name, for scripts too. */
const char *loader_filename(const struct loader_program *program);

/* E2BIG as exec(2) has it: a string beyond 128 KiB, or strings and pointers beyond a quarter of
 * stack_limit (at least 128 KiB, at most 6 MiB). 0 or -E2BIG with *error filled. loader_load checks it too;
 * this is for callers that must know while they can still fail. */
int loader_check_arguments(const struct loader_program *program, char *const envp[], uint64_t stack_limit,
                           struct loader_error *error);

/* What a shell's exit status says of a program that could not be run: 127 not found, 126 otherwise. */
static inline int loader_exit_status(const struct loader_error *error) {
  return error->error == 2 /* ENOENT */ ? 127 : 126;
}

struct loader_image {
  guest_addr entry; /* where to start: the interpreter's entry, if there is one */
  guest_addr stack; /* first ESP */
  guest_addr program_entry, interpreter_base;
  guest_addr header_address; /* the program headers: AT_PHDR */
  uint32_t header_count;
  guest_addr start_code, end_code, start_data, end_data, start_brk, start_stack;
  guest_addr arg_start, arg_end, env_start, env_end, auxv_start;
  uint32_t auxv_length;
  guest_addr vdso, vsyscall; /* the vDSO's ELF header and __kernel_vsyscall; 0 without one */
  guest_addr sigreturn_trampoline, rt_sigreturn_trampoline;
  uint32_t personality;
  bool executable_stack;
  bool secure;   /* AT_SECURE */
  bool sets_ids; /* the file is set-user-ID or set-group-ID and the ids are unchanged: worth a warning */
  char exe_path[PATH_MAX]; /* absolute */
};

struct loader_options {
  uint64_t stack_limit; /* bytes; RLIMIT_STACK's soft limit unless -s says otherwise */
  const char *argv0;    /* -0, or NULL: instead of the argv[0] given to loader_open (a script drops it) */
  uint32_t personality; /* inherited, as personality(2) */

  /* Entries of the auxiliary vector, getauxval(3). */
  uint32_t hwcap;             /* AT_HWCAP: EDX of CPUID leaf 1 */
  uint32_t hwcap2;            /* AT_HWCAP2 */
  uint32_t min_signal_stack;  /* AT_MINSIGSTKSZ; 0: left out */
  uint32_t rseq_feature_size; /* AT_RSEQ_FEATURE_SIZE; 0: left out, with AT_RSEQ_ALIGN */
  uint32_t rseq_align;
};

/* Maps the program and its interpreter into guest memory and builds the first stack. envp is
 * NULL-terminated. 0 or a negative errno with *error filled. */
int loader_load(struct loader_program *program, char *const envp[], const struct loader_options *options,
                struct loader_image *image, struct loader_error *error);

#endif

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

/* Opens `path` with argv as exec(2) would: permissions, `#!` scripts (interpreters looked up under
 * sysroot first), then the formats' probes. argv is copied. sysroot may be NULL. NULL on failure,
 * with *error filled. */
struct loader_program *loader_open(const char *path, char *const argv[], const char *sysroot,
                                   struct loader_error *error);
void loader_close(struct loader_program *program);

/* The file to be executed is the host's own kind of program (ELF64 x86-64), not ours. */
bool loader_is_host_program(const struct loader_program *program);

/* The final argument vector (after scripts) and the path of the executable; owned by program. */
char *const *loader_argv(const struct loader_program *program);
const char *loader_path(const struct loader_program *program);

struct loader_image {
  guest_addr entry; /* where to start: the interpreter's entry, if there is one */
  guest_addr stack; /* first ESP */
  guest_addr program_entry, interpreter_base;
  guest_addr start_code, end_code, start_data, end_data, start_brk, start_stack;
  guest_addr arg_start, arg_end, env_start, env_end, auxv_start;
  uint32_t auxv_length;
  guest_addr sigreturn_trampoline, rt_sigreturn_trampoline;
  uint32_t personality;
  bool executable_stack;
  char exe_path[PATH_MAX]; /* absolute */
};

struct loader_options {
  uint64_t stack_limit; /* bytes; RLIMIT_STACK's soft limit unless -s says otherwise */
  const char *argv0;    /* -0, or NULL */
};

/* Maps the program and its interpreter into guest memory and builds the first stack. envp is
 * NULL-terminated. 0 or a negative errno with *error filled. */
int loader_load(struct loader_program *program, char *const envp[], const struct loader_options *options,
                struct loader_image *image, struct loader_error *error);

#endif

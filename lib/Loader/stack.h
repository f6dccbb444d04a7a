/* The first stack of an ELF process (System V ABI, i386 supplement, "Process Initialization"), laid out byte
 * for byte as the kernel does. From the top, 0xffffe000, down:
 *
 *     8 bytes of zero
 *     the file's name (AT_EXECFN), the environment's strings, the arguments' strings
 *     alignment to 16
 *     "i686" (AT_PLATFORM), 16 random bytes (AT_RANDOM)
 *     alignment so that ESP is a multiple of 16
 *     auxiliary vector, envp with its NULL, argv with its NULL, argc    <- ESP
 *
 * Pure functions: addresses are computed and bytes composed in a buffer of the host's; load.c copies it. */
#ifndef UEMU_LOADER_STACK_H
#define UEMU_LOADER_STACK_H

#include "Loader/loader.h"

enum { STACK_AUXV_MAX = 32 /* entries, with AT_NULL */ };

struct stack_auxv {
  uint32_t count; /* entries, with AT_NULL once it is complete */
  struct {
    uint32_t type, value;
  } entry[STACK_AUXV_MAX];
};

struct stack_strings {
  const char *filename;
  char *const *argv, *const *envp;
  const char *argv0; /* takes the place of argv[0], or NULL */
};

struct stack_layout {
  uint32_t argc, envc;
  guest_addr filename, env_start, env_end, arg_start, arg_end;
  guest_addr platform, random;
  guest_addr auxv, envp, argv, esp;
};

/* Addresses of everything; `auxv_count` entries. 0, or -E2BIG if it does not fit in 32 bits. */
int stack_layout(struct stack_layout *layout, const struct stack_strings *strings, uint32_t auxv_count);

/* The kernel's entries in the kernel's order. */
void stack_auxv_fill(struct stack_auxv *auxv, const struct loader_image *image,
                     const struct loader_options *options, const struct stack_layout *layout);

/* Writes the bytes [layout->esp, GUEST_TASK_SIZE) to `to`. */
void stack_compose(uint8_t *to, const struct stack_layout *layout, const struct stack_strings *strings,
                   const struct stack_auxv *auxv, const uint8_t random[16]);

/* How many bytes below GUEST_TASK_SIZE are mapped at first: what the strings need and 128 KiB, but no more
 * than the limit; and all that the vectors need. 0 if the vectors are beyond the limit. */
uint64_t stack_initial_size(const struct stack_layout *layout, uint64_t stack_limit);

#endif

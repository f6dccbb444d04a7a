/* loader_load: the order of things as in the kernel's load_elf_binary, because addresses depend on it:
 * the stack's place, the program, its interpreter, the kernel's own code, the stack's contents. */
#include "Loader/program.h"
#include "Loader/stack.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <unistd.h>

/* MAX_ARG_STRLEN, ARG_MAX and three quarters of _STK_LIM. */
enum { STRING_MAX = 128 * 1024, ARGUMENTS_MIN = 128 * 1024, ARGUMENTS_MAX = 6 * 1024 * 1024 };

int loader_check_arguments(const struct loader_program *program, char *const envp[], uint64_t stack_limit,
                           struct loader_error *error) {
  uint64_t limit = stack_limit / 4;
  if (limit > ARGUMENTS_MAX)
    limit = ARGUMENTS_MAX;
  if (limit < ARGUMENTS_MIN)
    limit = ARGUMENTS_MIN;

  uint64_t envc = 0, shared = strlen(program->filename) + 1, arguments = 0, longest = shared;
  for (; envp[envc]; envc++) {
    const uint64_t length = strlen(envp[envc]) + 1;
    shared += length;
    longest = length > longest ? length : longest;
  }
  for (size_t i = 0; i < program->argc; i++) {
    const uint64_t length = strlen(program->argv[i]) + 1;
    arguments += length;
    longest = length > longest ? length : longest;
  }
  if (longest > STRING_MAX)
    return loader_fail(error, E2BIG, "%.256s: an argument has %" PRIu64 " bytes, expected at most %d",
                       program->filename, longest, STRING_MAX);
  /* Before and after a script's line has lengthened it. The kernel counts eight bytes a pointer. */
  if (arguments < program->given_argv_bytes)
    arguments = program->given_argv_bytes;
  const uint64_t argc = program->given_argc ? program->given_argc : 1;
  const uint64_t total = (argc + envc) * 8 + shared + arguments;
  if (total > limit)
    return loader_fail(error, E2BIG,
                       "%.256s: arguments and environment take %" PRIu64 " bytes, expected at most %" PRIu64,
                       program->filename, total, limit);
  return 0;
}

static int map_stack(const struct stack_strings *strings, const struct loader_image *image,
                     uint64_t stack_limit, struct loader_error *error) {
  struct stack_layout layout;
  int result = stack_layout(&layout, strings, STACK_AUXV_MAX);
  const uint64_t size = result == 0 ? stack_initial_size(&layout, stack_limit) : 0;
  if (size == 0)
    return loader_fail(error, EFAULT,
                       "%.256s: a stack of %" PRIu64
                       " bytes cannot hold the arguments; expected a higher limit",
                       strings->filename, stack_limit);
  const int protection = PROT_READ | PROT_WRITE | (image->executable_stack ? PROT_EXEC : 0);
  const int64_t mapped =
      guest_memory_map(GUEST_TASK_SIZE - (uint32_t)size, (uint32_t)size, protection,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN | MAP_STACK, -1, 0);
  if (mapped < 0)
    return loader_fail(error, (int)-mapped, "%.256s: cannot map a stack of %" PRIu64 " bytes: %s",
                       strings->filename, size, strerror((int)-mapped));
  return 0;
}

static int fill_random(uint8_t bytes[16]) {
  for (size_t done = 0; done < 16;) {
    const ssize_t got = getrandom(bytes + done, 16 - done, 0);
    if (got < 0 && errno != EINTR)
      return -errno;
    done += got > 0 ? (size_t)got : 0;
  }
  return 0;
}

static int fill_stack(const struct stack_strings *strings, const struct loader_options *options,
                      struct loader_image *image, struct loader_error *error) {
  struct stack_layout layout = {0};
  struct stack_auxv auxv;
  stack_auxv_fill(&auxv, image, options, &layout); /* for its length */
  uint8_t random[16];
  int result = stack_layout(&layout, strings, auxv.count);
  if (result == 0)
    result = fill_random(random);
  const size_t size = GUEST_TASK_SIZE - layout.esp;
  uint8_t *bytes = result == 0 ? malloc(size) : NULL;
  if (result == 0 && !bytes)
    result = -ENOMEM;
  if (result == 0) {
    stack_auxv_fill(&auxv, image, options, &layout);
    stack_compose(bytes, &layout, strings, &auxv, random);
    result = guest_copy_out(layout.esp, bytes, size);
  }
  free(bytes);
  if (result < 0)
    return loader_fail(error, -result, "%.256s: cannot fill the stack: %s", strings->filename,
                       strerror(-result));
  image->stack = image->start_stack = layout.esp;
  image->arg_start = layout.arg_start;
  image->arg_end = layout.arg_end;
  image->env_start = layout.env_start;
  image->env_end = layout.env_end;
  image->auxv_start = layout.auxv;
  image->auxv_length = auxv.count * sizeof auxv.entry[0];
  return 0;
}

int loader_load(struct loader_program *program, char *const envp[], const struct loader_options *options,
                struct loader_image *image, struct loader_error *error) {
  const struct loader_format *format = program->format;
  memset(image, 0, sizeof *image);
  if (program->is_host_program)
    return loader_fail(error, ENOEXEC, "%s: is a program of the host itself, expected an i386 one",
                       program->name);
  int result = loader_check_arguments(program, envp, options->stack_limit, error);
  if (result < 0)
    return result;

  image->personality = options->personality;
  image->sets_ids = loader_file_sets_ids(&program->file);
  image->secure = image->sets_ids || getauxval(AT_SECURE) || geteuid() != getuid() || getegid() != getgid();
  const size_t path_length = strlen(program->file.path);
  if (path_length >= sizeof image->exe_path)
    return loader_fail(error, ENAMETOOLONG, "%.256s: %s", program->file.path, strerror(ENAMETOOLONG));
  memcpy(image->exe_path, program->file.path, path_length + 1);
  format->prepare(program, image);
  guest_memory_set_read_implies_exec(image->personality & READ_IMPLIES_EXEC);
  guest_memory_set_stack_limit(options->stack_limit);

  const struct stack_strings strings = {.filename = program->filename,
                                        .argv = program->argv,
                                        .envp = envp,
                                        .argv0 = program->is_interpreted ? NULL : options->argv0};
  result = map_stack(&strings, image, options->stack_limit, error);
  if (result == 0)
    result = format->load(program, image, error);
  if (result == 0)
    result = vdso_map(image, error);
  if (result == 0)
    result = fill_stack(&strings, options, image, error);
  if (result < 0)
    return result;
  guest_memory_set_brk_start(image->start_brk);
  if (image->personality & MMAP_PAGE_ZERO) /* System V lets programs read address 0; the host may not */
    guest_memory_map(0, GUEST_PAGE_SIZE, PROT_READ | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  return 0;
}

/* loader_open: from a path and arguments to a checked program, through as many interpreters as it takes. */
#include "Loader/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Tried in order, as the kernel does. */
static const struct loader_format *const formats[] = {
    &loader_format_script,
    &loader_format_elf,
};
enum { FORMAT_COUNT = sizeof formats / sizeof formats[0] };

/* How many files exec(2) looks at: five scripts and the program. */
enum { FILES_MAX = 6 };

static int open_format(struct loader_program *program, struct loader_error *error) {
  int result = loader_fail(error, ENOEXEC,
                           "%s: its first bytes are those of no known format; expected ELF or a #! line",
                           program->name);
  for (size_t i = 0; i < FORMAT_COUNT && result == -ENOEXEC; i++) {
    if (!formats[i]->probe(program->file.head))
      continue;
    program->format = formats[i];
    result = formats[i]->open(program, error);
  }
  return result;
}

static int copy_arguments(struct loader_program *program, char *const argv[]) {
  static char *const empty[] = {"", NULL};
  while (argv && argv[program->given_argc])
    program->given_argc++;
  if (program->given_argc == 0)
    argv = empty;
  const size_t count = program->given_argc ? program->given_argc : 1;
  program->argv = calloc(count + 1, sizeof *program->argv);
  if (!program->argv)
    return -ENOMEM;
  for (; program->argc < count; program->argc++) {
    char *copy = program->argv[program->argc] = strdup(argv[program->argc]);
    if (!copy)
      return -ENOMEM;
    program->given_argv_bytes += strlen(copy) + 1;
  }
  return 0;
}

static int open_program(struct loader_program *program, const char *path, char *const argv[],
                        const char *sysroot, struct loader_error *error) {
  program->file.fd = program->elf.interpreter.fd = -1;
  program->filename = strdup(path);
  program->name = strdup(path);
  program->sysroot = sysroot ? strdup(sysroot) : NULL;
  if (!program->filename || !program->name || (sysroot && !program->sysroot) ||
      copy_arguments(program, argv) < 0)
    return loader_fail(error, ENOMEM, "%s: %s", path, strerror(ENOMEM));
  int result = loader_file_open(&program->file, path, sysroot, error);
  for (int files = 1; result == 0; files++) {
    if (files > FILES_MAX)
      return loader_fail(error, ELOOP, "%s: interpreted by scripts, expected at most %d", path,
                         FILES_MAX - 1);
    result = open_format(program, error);
    if (result != LOADER_INTERPRET)
      return result;
    result = 0;
  }
  return result;
}

struct loader_program *loader_open(const char *path, char *const argv[], const char *sysroot,
                                   struct loader_error *error) {
  struct loader_program *program = calloc(1, sizeof *program);
  if (!program) {
    loader_fail(error, ENOMEM, "%s: %s", path, strerror(ENOMEM));
    return NULL;
  }
  if (open_program(program, path, argv, sysroot, error) < 0) {
    loader_close(program);
    return NULL;
  }
  return program;
}

void loader_close(struct loader_program *program) {
  if (!program)
    return;
  loader_file_close(&program->file);
  loader_file_close(&program->elf.interpreter);
  free(program->elf.interpreter_path);
  for (size_t i = 0; i < program->argc; i++)
    free(program->argv[i]);
  free(program->argv);
  free(program->filename);
  free(program->name);
  free(program->sysroot);
  free(program);
}

bool loader_is_host_program(const struct loader_program *program) { return program->is_host_program; }
char *const *loader_argv(const struct loader_program *program) { return program->argv; }
const char *loader_path(const struct loader_program *program) { return program->file.path; }
const char *loader_filename(const struct loader_program *program) { return program->filename; }

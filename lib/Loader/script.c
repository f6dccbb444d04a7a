/* `#!` scripts.
 *
 * The line is "#!", blanks, the interpreter's path, and at most one argument: all the rest, inner
 * blanks included. The line ends at a newline; where there is none within the first 256 bytes, its
 * text ends at the first NUL (a file that just ends is padded with them) or is cut. A cut argument
 * is fine, the interpreter reads the line again; a cut path is not. Blanks are space and tab. Blanks
 * before the newline are dropped; before the end of a file without a newline they stay, as the
 * kernel has it. */
#include "Loader/script.h"

#include "Loader/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(uint8_t byte) { return byte == ' ' || byte == '\t'; }

/* The text in [at, end), up to a NUL. */
static void copy_text(char *to, const uint8_t *at, const uint8_t *end) {
  while (at < end && *at)
    *to++ = (char)*at++;
  *to = '\0';
}

const char *script_parse(const uint8_t head[SCRIPT_HEAD_SIZE], struct script_line *line) {
  const uint8_t *at = head + 2, *const limit = head + SCRIPT_HEAD_SIZE;
  const uint8_t *end = at;
  while (end < limit && *end && *end != '\n')
    end++;
  const bool has_newline = end < limit && *end == '\n';
  if (!has_newline)
    end = limit - 1;
  while (end > head + 2 && is_blank(end[-1]))
    end--;

  while (at < limit && is_blank(*at))
    at++;
  if (at >= end)
    return "no interpreter after #!";
  const uint8_t *name_end = at;
  while (name_end < end && *name_end && !is_blank(*name_end))
    name_end++;
  if (!has_newline && name_end == limit - 1 && *name_end && !is_blank(*name_end))
    return "the interpreter's path does not end within the first 256 bytes";
  copy_text(line->interpreter, at, name_end);

  const uint8_t *argument = name_end;
  while (argument < end && is_blank(*argument))
    argument++;
  line->has_argument = argument < end && *name_end != '\0';
  copy_text(line->argument, argument, line->has_argument ? end : argument);
  return NULL;
}

static bool script_probe(const uint8_t head[LOADER_HEAD_SIZE]) { return head[0] == '#' && head[1] == '!'; }

/* argv becomes: interpreter, argument if any, script, argv[1]... */
static int replace_arguments(struct loader_program *program, const char *script,
                             const struct script_line *line) {
  const size_t added = line->has_argument ? 3 : 2, kept = program->argc ? program->argc - 1 : 0;
  char **argv = calloc(added + kept + 1, sizeof *argv);
  if (!argv)
    return -ENOMEM;
  size_t count = 0;
  argv[count++] = strdup(line->interpreter);
  if (line->has_argument)
    argv[count++] = strdup(line->argument);
  argv[count++] = strdup(script);
  bool complete = true;
  for (size_t i = 0; i < count; i++)
    complete &= argv[i] != NULL;
  if (!complete) {
    for (size_t i = 0; i < count; i++)
      free(argv[i]);
    free(argv);
    return -ENOMEM;
  }
  for (size_t i = 1; i < program->argc; i++)
    argv[count++] = program->argv[i];
  if (program->argc)
    free(program->argv[0]);
  free(program->argv);
  program->argv = argv;
  program->argc = count;
  program->is_interpreted = true;
  return 0;
}

static int script_open(struct loader_program *program, struct loader_error *error) {
  const char *script = program->name;
  struct script_line line;
  const char *wrong = script_parse(program->file.head, &line);
  if (wrong)
    return loader_fail(error, ENOEXEC, "%s: line 1: %s", script, wrong);
  if (replace_arguments(program, script, &line) < 0)
    return loader_fail(error, ENOMEM, "%s: %s", script, strerror(ENOMEM));

  struct loader_file interpreter;
  struct loader_error why;
  int result = loader_interpreter_open(&interpreter, line.interpreter, program->sysroot, &why);
  if (result < 0)
    return loader_fail(error, -result, "%.200s: line 1: bad interpreter: %.250s", script, why.message);
  loader_file_close(&program->file);
  program->file = interpreter;
  free(program->name);
  program->name = strdup(line.interpreter);
  if (!program->name)
    return loader_fail(error, ENOMEM, "%s: %s", line.interpreter, strerror(ENOMEM));
  return LOADER_INTERPRET;
}

const struct loader_format loader_format_script = {
    .name = "script",
    .probe = script_probe,
    .open = script_open,
};

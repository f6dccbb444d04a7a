/* The first line of an interpreter script (execve(2), "Interpreter scripts"). */
#ifndef UEMU_LOADER_SCRIPT_H
#define UEMU_LOADER_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

enum { SCRIPT_HEAD_SIZE = 256 };

struct script_line {
  char interpreter[SCRIPT_HEAD_SIZE];
  char argument[SCRIPT_HEAD_SIZE];
  bool has_argument;
};

/* Parses the first 256 bytes of a file (zeros after its end) that begin with "#!". NULL on success,
 * else what is wrong with the line, in words; exec gives ENOEXEC then. Pure. */
const char *script_parse(const uint8_t head[SCRIPT_HEAD_SIZE], struct script_line *line);

#endif

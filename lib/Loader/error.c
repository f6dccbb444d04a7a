#include "Loader/program.h"

#include <stdarg.h>
#include <stdio.h>

int loader_fail(struct loader_error *error, int number, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  error->error = number;
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  for (char *at = error->message; *at; at++)
    if ((unsigned char)*at < ' ') /* a file's name may hold anything; a message is one line */
      *at = '?';
  return -number;
}

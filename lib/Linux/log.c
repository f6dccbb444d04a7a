/* The log: one write(2) a line, so that lines of several threads and processes do not mix. */
#include "Linux/log.h"
#include "Linux/descriptor_table.h"
#include "Linux/host_syscall.h"
#include "Linux/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint32_t log_items;
static int log_fd = -1;

int log_open(const char *file) {
  /* Without a file a copy of stderr, so that the guest can do with its own what it likes. */
  const int fd =
      (int)(file ? HOST_CALL(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)
                 : HOST_CALL(SYS_dup, 2));
  const int high = fd < 0 ? fd : descriptor_move_high(fd);
  if (high < 0)
    return high;
  log_fd = high;
  return 0;
}

int log_descriptor(void) { return log_fd; }

int log_move(void) {
  const int moved = descriptor_move_high(log_fd);
  if (moved < 0)
    return moved;
  log_fd = moved;
  return 0;
}

void log_text(const char *text) {
  for (size_t left = strlen(text); left;) {
    long n = HOST_CALL(SYS_write, log_fd < 0 ? 2 : log_fd, text, left);
    if (n == -EINTR)
      continue;
    if (n <= 0)
      return;
    text += n;
    left -= (size_t)n;
  }
}

void log_line(uint32_t item, const char *format, ...) {
  if (!(log_items & item))
    return;
  char line[4096];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (length < 0)
    return;
  if ((size_t)length > sizeof line - 2)
    length = (int)sizeof line - 2;
  line[length++] = '\n';
  HOST_CALL(SYS_write, log_fd < 0 ? 2 : log_fd, line, length);
}

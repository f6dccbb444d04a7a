/* The log: one write(2) a line, so that lines of several threads and processes do not mix. */
#include "Linux/log.h"
#include "Linux/host_syscall.h"
#include "Linux/syscall.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

uint32_t log_items;
static int log_fd = -1;

/* A descriptor as high as the limit allows: guests take the lowest ones, and count on their numbers. */
static int move_high(int fd) {
  struct rlimit limit;
  int top = HOST_CALL(SYS_getrlimit, RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1024
                ? (int)limit.rlim_cur
                : 1024;
  return (int)HOST_CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, top > 32 ? top - 8 : 0);
}

int log_open(const char *file) {
  int fd = 2;
  if (file) {
    fd = (int)HOST_CALL(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
      return fd;
  }
  int high = move_high(fd);
  if (file)
    HOST_CALL(SYS_close, fd);
  if (high < 0)
    return high;
  log_fd = high;
  return 0;
}

int log_descriptor(void) { return log_fd; }

int log_move(void) {
  int moved = move_high(log_fd);
  if (moved < 0)
    return moved;
  HOST_CALL(SYS_close, log_fd);
  log_fd = moved;
  return 0;
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

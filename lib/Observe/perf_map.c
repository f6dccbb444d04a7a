/* /tmp/perf-PID.map: a line "START SIZE NAME" for each piece of code, in hexadecimal (perf's source,
 * tools/perf/Documentation/jit-interface.txt).
 *
 * The file is opened anew for each unit, so that no descriptor is kept that the guest could see or close. A
 * forked child starts with a copy of its parent's: the code is the same. */
#include "Observe/span.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void choose_path(void) { snprintf(path, sizeof path, "/tmp/perf-%d.map", (int)getpid()); }

static int open_map(int flags) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0644);
  return fd < 0 ? -errno : fd;
}

int perf_map_start(void) {
  choose_path();
  const int fd = open_map(O_TRUNC); /* another process had the number once, or this one before an execve */
  if (fd >= 0)
    close(fd);
  return fd < 0 ? fd : 0;
}

static void put(int fd, const char *bytes, size_t size) {
  while (size) {
    const ssize_t done = write(fd, bytes, size);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return; /* a full disk: the rest has no names */
    bytes += done;
    size -= (size_t)done;
  }
}

void perf_map_add(const struct span *span, unsigned count) {
  const int fd = open_map(O_APPEND);
  if (fd < 0)
    return;
  char text[16384];
  size_t used = 0;
  for (unsigned i = 0; i < count; i++) {
    used += (size_t)snprintf(text + used, sizeof text - used, "%lx %x %s\n", (unsigned long)span[i].code,
                             span[i].size, span[i].name);
    if (used > sizeof text - SPAN_NAME_SIZE - 64 || i + 1 == count) {
      put(fd, text, used);
      used = 0;
    }
  }
  close(fd);
}

void perf_map_forked(void) {
  char text[16384];
  ssize_t got;
  const int from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  choose_path();
  const int to = open_map(O_TRUNC);
  while (from >= 0 && to >= 0 && (got = read(from, text, sizeof text)) > 0)
    put(to, text, (size_t)got);
  if (from >= 0)
    close(from);
  if (to >= 0)
    close(to);
}

/* Guest paths.
 *
 * With a sysroot, an absolute path means the file of that name under the sysroot if there is one,
 * else the host's file. Three things make this usable:
 *
 * - Symbolic links inside the sysroot are followed here, component by component, because the host's
 *   kernel would take an absolute one (/etc/alternatives is full of them) to the host's root.
 * - An empty directory in the sysroot's root, or an empty /var/tmp, is taken for what it usually is, a
 *   mount point or a place for files to come (/tmp, /home, /run): the host's directory is meant, if
 *   it has one. /proc, /sys and /dev are always the host's.
 * - Paths that the kernel reports (getcwd) lose the sysroot's name again.
 *
 * Relative paths go to the kernel as they are. /proc/self/exe, where it would be followed, is
 * the guest's program. */
#include "Linux/path.h"
#include "Linux/host_syscall.h"
#include "Linux/syscall.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LINKS_LIMIT = 40 /* as the kernel's MAXSYMLINKS */ };

/* Appends one component; false if it does not fit into PATH_MAX. */
static bool append_component(char *path, size_t *length, const char *component, size_t component_length) {
  if (*length + 1 + component_length >= PATH_MAX)
    return false;
  path[(*length)++] = '/';
  memcpy(path + *length, component, component_length);
  *length += component_length;
  path[*length] = '\0';
  return true;
}

int path_in_sysroot(const char *sysroot, const char *path, bool follow, char *buffer) {
  char rest[PATH_MAX], target[PATH_MAX];
  const size_t root = strlen(sysroot);
  size_t length = root;
  int links = 0;

  if (root >= PATH_MAX || strlen(path) >= sizeof rest)
    return -ENAMETOOLONG;
  memcpy(buffer, sysroot, root + 1);
  strcpy(rest, path);

  for (const char *at = rest; *at;) {
    const size_t span = strcspn(at, "/");
    const char *next = at + span;
    const bool slash_after = *next == '/';
    while (*next == '/')
      next++;
    if (span == 0 || (span == 1 && at[0] == '.')) {
      at = next;
      continue;
    }
    if (span == 2 && at[0] == '.' && at[1] == '.') {
      while (length > root && buffer[--length] != '/')
        ;
      buffer[length] = '\0';
      at = next;
      continue;
    }
    const size_t parent = length;
    if (!append_component(buffer, &length, at, span))
      return -ENAMETOOLONG;
    const bool last = *next == '\0' && !slash_after;
    long got = last && !follow ? -EINVAL : HOST_CALL(SYS_readlink, buffer, target, sizeof target - 1);
    if (got < 0) { /* -EINVAL: there, and no link */
      if (got != -EINVAL)
        return (int)got;
      at = next;
      continue;
    }
    target[got] = '\0';
    if (++links > LINKS_LIMIT)
      return -ELOOP;
    const size_t rest_length = strlen(next);
    if ((size_t)got + 1 + rest_length >= sizeof rest)
      return -ENAMETOOLONG;
    if (slash_after)
      target[got++] = '/';
    memmove(rest + got, next, rest_length + 1);
    memcpy(rest, target, (size_t)got);
    at = rest;
    length = target[0] == '/' ? root : parent;
    buffer[length] = '\0';
  }
  if (length == root && !append_component(buffer, &length, "", 0))
    return -ENAMETOOLONG;
  struct stat status;
  return lstat(buffer, &status) < 0 ? -errno : 0;
}

static bool is_below(const char *path, const char *directory) {
  const size_t length = strlen(directory);
  return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* A directory without entries; anything else, or one we may not read, is not. */
static bool is_empty_directory(const char *path) {
  int fd = (int)HOST_CALL(SYS_open, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return false;
  char entries[512];
  long got = HOST_CALL(SYS_getdents64, fd, entries, sizeof entries);
  HOST_CALL(SYS_close, fd);
  return got > 0 && got <= 2 * 24; /* "." and "..": 24 bytes each */
}

/* A place in the sysroot where something of the host's usually is mounted or kept. */
static bool is_usual_mount_point(const char *sysroot, const char *path) {
  const char *name = path + strlen(sysroot);
  while (*name == '/')
    name++;
  return !strchr(name, '/') || strcmp(name, "var/tmp") == 0;
}

const char *path_in_proc_self(const char *path) {
  if (strncmp(path, "/proc/", 6) != 0)
    return NULL;
  const char *at = path + 6;
  if (strncmp(at, "self/", 5) == 0)
    return at + 5;
  if (strncmp(at, "thread-self/", 12) == 0)
    return at + 12;
  char *end;
  long pid = *at >= '1' && *at <= '9' ? strtol(at, &end, 10) : 0;
  return pid > 0 && *end == '/' && pid == getpid() ? end + 1 : NULL;
}

int host_path(const struct process *process, const char *path, bool follow, char *buffer) {
  if (path[0] == '\0')
    return -ENOENT;
  const char *self = follow ? path_in_proc_self(path) : NULL;
  if (self && strcmp(self, "exe") == 0 && process->exe_path[0]) {
    strcpy(buffer, process->exe_path);
    return 0;
  }
  if (process->sysroot && path[0] == '/' && !is_below(path, "/proc") && !is_below(path, "/sys") &&
      !is_below(path, "/dev") && !is_below(path, process->sysroot) &&
      path_in_sysroot(process->sysroot, path, follow, buffer) == 0) {
    struct stat status;
    if (!is_usual_mount_point(process->sysroot, buffer) || !is_empty_directory(buffer) ||
        lstat(path, &status) < 0)
      return 0;
  }
  const size_t length = strlen(path);
  if (length >= PATH_MAX)
    return -ENAMETOOLONG;
  memcpy(buffer, path, length + 1);
  return 0;
}

static int copy_path(struct thread *thread, guest_addr path, bool follow, char *buffer) {
  char copy[PATH_MAX];
  int64_t length = guest_string_length(path, sizeof copy - 1);
  if (length < 0)
    return (int)length;
  if (guest_copy_in(copy, path, (size_t)length) < 0)
    return -EFAULT;
  copy[length] = '\0';
  return host_path(thread->process, copy, follow, buffer);
}

int guest_path(struct thread *thread, guest_addr path, char *buffer) {
  return copy_path(thread, path, true, buffer);
}

int guest_path_nofollow(struct thread *thread, guest_addr path, char *buffer) {
  return copy_path(thread, path, false, buffer);
}

int guest_path_at(struct thread *thread, guest_addr path, uint32_t flags, char *buffer) {
  if ((flags & AT_EMPTY_PATH) && path == 0) {
    buffer[0] = '\0';
    return 0;
  }
  int error = copy_path(thread, path, !(flags & AT_SYMLINK_NOFOLLOW), buffer);
  if (error == -ENOENT && (flags & AT_EMPTY_PATH)) {
    buffer[0] = '\0';
    error = 0;
  }
  return error;
}

void path_strip_sysroot(const struct process *process, char *path) {
  if (!process->sysroot || !is_below(path, process->sysroot))
    return;
  const size_t root = strlen(process->sysroot);
  if (path[root] == '\0')
    strcpy(path, "/");
  else
    memmove(path, path + root, strlen(path + root) + 1);
}

/* Opening a file for execution, with the errno that exec(2) would give.
 *
 * The host's kernel knows best: execveat(2) with AT_EXECVE_CHECK (Linux 6.14) does all of exec's
 * checks on a descriptor (permission bits, ACLs, security modules, noexec mounts, files open for
 * writing) and runs nothing. Where a kernel lacks it, the permission bits and the mount's flags are
 * looked at here; ETXTBSY cannot be told then.
 *
 * The type is looked at before the file is opened for reading: opening a FIFO or a device has
 * effects of its own.
 *
 * With a sysroot, absolute paths are resolved by openat2(2) with the sysroot as root directory, so
 * that absolute symbolic links and ".." stay inside it. */
#include "Loader/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000
#endif

static bool is_below(const char *path, const char *directory) {
  const size_t length = strlen(directory);
  return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static int open_at_root(const char *root, const char *path, int flags) {
  const int directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0)
    return -errno;
  const struct open_how how = {.flags = (uint64_t)flags, .resolve = RESOLVE_IN_ROOT};
  int result = -EAGAIN;
  for (int attempt = 0; attempt < 16 && result == -EAGAIN; attempt++) { /* a rename was in the way */
    result = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (result < 0)
      result = -errno;
  }
  close(directory);
  if (result == -ENOSYS || result == -EPERM) { /* before Linux 5.6: absolute links lead out of the root */
    char joined[PATH_MAX];
    if (snprintf(joined, sizeof joined, "%s%s", root, path) >= (int)sizeof joined)
      return -ENAMETOOLONG;
    result = open(joined, flags);
    if (result < 0)
      result = -errno;
  }
  return result;
}

/* A descriptor, or a negative errno. */
static int open_path(const char *path, const char *sysroot, int flags) {
  if (sysroot && path[0] == '/' && !is_below(path, sysroot) && !is_below(path, "/proc") &&
      !is_below(path, "/sys") && !is_below(path, "/dev")) {
    const int fd = open_at_root(sysroot, path, flags);
    if (fd >= 0 || (fd != -ENOENT && fd != -ENOTDIR))
      return fd;
  }
  const int fd = open(path, flags);
  return fd < 0 ? -errno : fd;
}

bool loader_mode_allows_execute(const struct stat *status) {
  if (geteuid() == 0)
    return status->st_mode & 0111;
  if (geteuid() == status->st_uid)
    return status->st_mode & S_IXUSR;
  const bool member = getegid() == status->st_gid || group_member(status->st_gid);
  return status->st_mode & (member ? S_IXGRP : S_IXOTH);
}

static bool mount_has(int fd, unsigned long flag) {
  struct statvfs mount;
  return fstatvfs(fd, &mount) == 0 && (mount.f_flag & flag);
}

static int check_execute(int fd, const struct stat *status) {
  char *const none[] = {NULL};
  if (syscall(SYS_execveat, fd, "", none, none, AT_EMPTY_PATH | AT_EXECVE_CHECK) == 0)
    return 0;
  if (errno != EINVAL && errno != ENOSYS && errno != EPERM)
    return -errno;
  return loader_mode_allows_execute(status) && !mount_has(fd, ST_NOEXEC) ? 0 : -EACCES;
}

static const char *why_not_execute(int fd, const struct stat *status, int number) {
  if (number != EACCES)
    return strerror(number);
  if (!loader_mode_allows_execute(status))
    return "no execute permission for this user";
  if (mount_has(fd, ST_NOEXEC))
    return "the file system is mounted noexec";
  return strerror(number);
}

/* The host's path of an open file: the kernel's own, links resolved. */
static char *path_of(int fd, const char *given) {
  char link[64], target[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, target, sizeof target - 1);
  if (length <= 0 || target[0] != '/')
    return realpath(given, NULL);
  target[length] = '\0';
  return strdup(target);
}

int loader_file_open(struct loader_file *file, const char *path, const char *sysroot,
                     struct loader_error *error) {
  *file = (struct loader_file){.fd = -1};
  const int place = open_path(path, sysroot, O_PATH | O_CLOEXEC);
  if (place < 0)
    return loader_fail(error, -place, "%s: %s", path, strerror(-place));
  struct stat status;
  int result = 0;
  if (fstat(place, &status) < 0)
    result = loader_fail(error, errno, "%s: %s", path, strerror(errno));
  else if (!S_ISREG(status.st_mode))
    result = loader_fail(error, EACCES, "%s: is %s, expected a regular file", path,
                         S_ISDIR(status.st_mode) ? "a directory" : "a special file");
  else if ((result = check_execute(place, &status)) < 0)
    result =
        loader_fail(error, -result, "%s: cannot execute: %s", path, why_not_execute(place, &status, -result));
  close(place);
  if (result < 0)
    return result;

  file->fd = open_path(path, sysroot, O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (file->fd < 0)
    return loader_fail(error, -file->fd, "%s: may be executed but not read, and an emulator must read it: %s",
                       path, strerror(-file->fd));
  if (fstat(file->fd, &file->status) < 0 || !S_ISREG(file->status.st_mode))
    result = loader_fail(error, EACCES, "%s: changed while it was being opened", path);
  else if (!(file->path = path_of(file->fd, path)) && !(file->path = strdup(path)))
    result = loader_fail(error, ENOMEM, "%s: %s", path, strerror(ENOMEM));
  size_t length = 0;
  while (result == 0 && length < sizeof file->head) {
    const ssize_t got = pread(file->fd, file->head + length, sizeof file->head - length, (off_t)length);
    if (got == 0)
      break;
    if (got > 0)
      length += (size_t)got;
    else if (errno != EINTR)
      result = loader_fail(error, errno, "%s: cannot read: %s", path, strerror(errno));
  }
  if (result < 0)
    loader_file_close(file);
  return result;
}

int loader_interpreter_open(struct loader_file *file, const char *path, const char *sysroot,
                            struct loader_error *error) {
  /* The kernel takes an empty name that a file gives for the working directory. */
  return loader_file_open(file, path[0] ? path : ".", sysroot, error);
}

void loader_file_close(struct loader_file *file) {
  if (file->fd >= 0)
    close(file->fd);
  free(file->path);
  *file = (struct loader_file){.fd = -1};
}

int loader_file_read(const struct loader_file *file, void *to, size_t length, uint64_t offset) {
  for (size_t done = 0; done < length;) {
    const ssize_t got = pread(file->fd, (char *)to + done, length - done, (off_t)(offset + done));
    if (got == 0)
      return -EIO;
    if (got > 0)
      done += (size_t)got;
    else if (errno != EINTR)
      return -errno;
  }
  return 0;
}

bool loader_file_sets_ids(const struct loader_file *file) {
  const mode_t mode = file->status.st_mode;
  if (mount_has(file->fd, ST_NOSUID) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
    return false;
  /* Set-group-ID without group execute once meant mandatory locking. */
  const bool group = (mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
  return ((mode & S_ISUID) && file->status.st_uid != getuid()) || (group && file->status.st_gid != getgid());
}

/* File status: stat(2) in its three layouts, statx(2), access(2), statfs(2), ustat(2). */
#include "Linux/descriptor_table.h"
#include "Linux/host_syscall.h"
#include "Linux/path.h"
#include "Linux/stat_convert.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>

/* The host's status of a path or, with path 0 and AT_EMPTY_PATH, of a descriptor. */
/* Programs look for their open descriptors with fstat: the emulator's own are not there. */
static int32_t host_stat(struct thread *thread, uint32_t directory, guest_addr name, uint32_t flags,
                         struct stat *status) {
  char path[PATH_MAX];
  int error = guest_path_at(thread, name, flags, path);
  if (!error && path[0] != '/' && descriptor_is_reserved(thread->process, (int)directory))
    error = -EBADF;
  return error ? error : (int32_t)HOST_CALL(SYS_newfstatat, (int)directory, path, status, flags);
}

static int32_t host_fstat(struct thread *thread, uint32_t fd, struct stat *status) {
  if (descriptor_is_reserved(thread->process, (int)fd))
    return -EBADF;
  return (int32_t)HOST_CALL(SYS_fstat, fd, status);
}

static int32_t put_old(int32_t result, const struct stat *status, guest_addr to) {
  struct guest_old_stat guest;
  if (!result)
    result = stat_convert_old(status, &guest);
  return result ? result : guest_copy_out(to, &guest, sizeof guest);
}

static int32_t put(int32_t result, const struct stat *status, guest_addr to) {
  struct guest_stat guest;
  if (!result)
    result = stat_convert(status, &guest);
  return result ? result : guest_copy_out(to, &guest, sizeof guest);
}

static int32_t put_64(int32_t result, const struct stat *status, guest_addr to) {
  struct guest_stat64 guest;
  if (!result)
    result = stat_convert_64(status, &guest);
  return result ? result : guest_copy_out(to, &guest, sizeof guest);
}

int32_t sys_oldstat(struct thread *thread, const uint32_t arg[6]) {
  struct stat status;
  return put_old(host_stat(thread, (uint32_t)AT_FDCWD, arg[0], 0, &status), &status, arg[1]);
}
int32_t sys_oldlstat(struct thread *thread, const uint32_t arg[6]) {
  struct stat status;
  return put_old(host_stat(thread, (uint32_t)AT_FDCWD, arg[0], AT_SYMLINK_NOFOLLOW, &status), &status,
                 arg[1]);
}
int32_t sys_oldfstat(struct thread *thread, const uint32_t arg[6]) {
  struct stat status;
  return put_old(host_fstat(thread, arg[0], &status), &status, arg[1]);
}

int32_t sys_stat(struct thread *thread, const uint32_t arg[6]) {
  struct stat status;
  return put(host_stat(thread, (uint32_t)AT_FDCWD, arg[0], 0, &status), &status, arg[1]);
}
int32_t sys_lstat(struct thread *thread, const uint32_t arg[6]) {
  struct stat status;
  return put(host_stat(thread, (uint32_t)AT_FDCWD, arg[0], AT_SYMLINK_NOFOLLOW, &status), &status, arg[1]);
}
int32_t sys_fstat(struct thread *thread, const uint32_t arg[6]) {
  struct stat status;
  return put(host_fstat(thread, arg[0], &status), &status, arg[1]);
}

int32_t sys_stat64(struct thread *thread, const uint32_t arg[6]) {
  struct stat status;
  return put_64(host_stat(thread, (uint32_t)AT_FDCWD, arg[0], 0, &status), &status, arg[1]);
}
int32_t sys_lstat64(struct thread *thread, const uint32_t arg[6]) {
  struct stat status;
  return put_64(host_stat(thread, (uint32_t)AT_FDCWD, arg[0], AT_SYMLINK_NOFOLLOW, &status), &status, arg[1]);
}
int32_t sys_fstat64(struct thread *thread, const uint32_t arg[6]) {
  struct stat status;
  return put_64(host_fstat(thread, arg[0], &status), &status, arg[1]);
}
int32_t sys_fstatat64(struct thread *thread, const uint32_t arg[6]) {
  struct stat status;
  return put_64(host_stat(thread, arg[0], arg[1], arg[3], &status), &status, arg[2]);
}

/* The same layout for both. */
int32_t sys_statx(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  int error = guest_path_at(thread, arg[1], arg[2], path);
  if (!error && path[0] != '/' && descriptor_is_reserved(thread->process, (int)arg[0]))
    error = -EBADF;
  if (error)
    return error;
  guest_memory_write_begin(arg[4], sizeof(struct statx));
  return (int32_t)HOST_CALL(SYS_statx, (int)arg[0], path, arg[2], arg[3], arg[4]);
}

static int32_t access_at(struct thread *thread, uint32_t directory, guest_addr name, uint32_t mode,
                         uint32_t flags) {
  char path[PATH_MAX];
  int error = guest_path_at(thread, name, flags, path);
  if (error)
    return error;
  return (int32_t)(flags ? HOST_CALL(SYS_faccessat2, (int)directory, path, mode, flags)
                         : HOST_CALL(SYS_faccessat, (int)directory, path, mode));
}

int32_t sys_access(struct thread *thread, const uint32_t arg[6]) {
  return access_at(thread, (uint32_t)AT_FDCWD, arg[0], arg[1], 0);
}
int32_t sys_faccessat(struct thread *thread, const uint32_t arg[6]) {
  return access_at(thread, arg[0], arg[1], arg[2], 0);
}
int32_t sys_faccessat2(struct thread *thread, const uint32_t arg[6]) {
  return access_at(thread, arg[0], arg[1], arg[2], arg[3]);
}

static int32_t path_statfs(struct thread *thread, guest_addr name, struct statfs *status) {
  char path[PATH_MAX];
  int error = guest_path(thread, name, path);
  return error ? error : (int32_t)HOST_CALL(SYS_statfs, path, status);
}

static int32_t put_statfs(int32_t result, const struct statfs *status, guest_addr to) {
  struct guest_statfs guest;
  if (!result)
    result = statfs_convert(status, &guest);
  return result ? result : guest_copy_out(to, &guest, sizeof guest);
}

static int32_t put_statfs64(int32_t result, const struct statfs *status, guest_addr to) {
  struct guest_statfs64 guest;
  if (!result)
    result = statfs_convert_64(status, &guest);
  return result ? result : guest_copy_out(to, &guest, sizeof guest);
}

/* The caller names the size of its struct. */
static bool is_statfs64_size(uint32_t size) { return size == sizeof(struct guest_statfs64); }

int32_t sys_statfs(struct thread *thread, const uint32_t arg[6]) {
  struct statfs status;
  return put_statfs(path_statfs(thread, arg[0], &status), &status, arg[1]);
}
int32_t sys_fstatfs(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct statfs status;
  return put_statfs((int32_t)HOST_CALL(SYS_fstatfs, arg[0], &status), &status, arg[1]);
}
int32_t sys_statfs64(struct thread *thread, const uint32_t arg[6]) {
  struct statfs status;
  if (!is_statfs64_size(arg[1]))
    return -EINVAL;
  return put_statfs64(path_statfs(thread, arg[0], &status), &status, arg[2]);
}
int32_t sys_fstatfs64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct statfs status;
  if (!is_statfs64_size(arg[1]))
    return -EINVAL;
  return put_statfs64((int32_t)HOST_CALL(SYS_fstatfs, arg[0], &status), &status, arg[2]);
}

int32_t sys_ustat(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct {
    int32_t free_blocks;
    uint64_t free_inodes;
    char name[6], pack[6];
  } host;
  const int32_t result = (int32_t)HOST_CALL(SYS_ustat, arg[0], &host);
  if (result)
    return result;
  struct {
    uint32_t free_blocks, free_inodes;
    char name[6], pack[6];
  } guest = {(uint32_t)host.free_blocks, (uint32_t)host.free_inodes, {0}, {0}};
  return guest_copy_out(arg[1], &guest, sizeof guest);
}

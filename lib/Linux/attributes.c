/* A file's mode, owner, times and extended attributes: chmod(2), chown(2), utimensat(2), xattr(7). */
#include "Linux/host_syscall.h"
#include "Linux/path.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

enum { NO_FLAGS = 0 };
static const uint32_t here = (uint32_t)AT_FDCWD;

static int32_t chmod_at(struct thread *thread, uint32_t directory, guest_addr name, uint32_t mode) {
  char path[PATH_MAX];
  int error = guest_path(thread, name, path);
  return error ? error : (int32_t)HOST_CALL(SYS_fchmodat, (int)directory, path, mode);
}

int32_t sys_chmod(struct thread *thread, const uint32_t arg[6]) {
  return chmod_at(thread, here, arg[0], arg[1]);
}
int32_t sys_fchmodat(struct thread *thread, const uint32_t arg[6]) {
  return chmod_at(thread, arg[0], arg[1], arg[2]);
}
int32_t sys_fchmod(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fchmod, arg[0], arg[1]);
}
int32_t sys_fchmodat2(struct thread *thread, const uint32_t arg[6]) {
  enum { NUMBER_FCHMODAT2 = 452 /* newer than some hosts' headers */ };
  char path[PATH_MAX];
  int error = guest_path_at(thread, arg[1], arg[3], path);
  return error ? error : (int32_t)HOST_CALL(NUMBER_FCHMODAT2, (int)arg[0], path, arg[2], arg[3]);
}

static int32_t chown_at(struct thread *thread, uint32_t directory, guest_addr name, uint32_t user,
                        uint32_t group, uint32_t flags) {
  char path[PATH_MAX];
  int error = guest_path_at(thread, name, flags, path);
  return error ? error : (int32_t)HOST_CALL(SYS_fchownat, (int)directory, path, user, group, flags);
}

/* Ids of the 16-bit calls: 65535 stands for "leave it". */
static uint32_t long_id(uint32_t id) { return (id & 0xFFFF) == 0xFFFF ? UINT32_MAX : id & 0xFFFF; }

int32_t sys_chown(struct thread *thread, const uint32_t arg[6]) {
  return chown_at(thread, here, arg[0], long_id(arg[1]), long_id(arg[2]), NO_FLAGS);
}
int32_t sys_lchown(struct thread *thread, const uint32_t arg[6]) {
  return chown_at(thread, here, arg[0], long_id(arg[1]), long_id(arg[2]), AT_SYMLINK_NOFOLLOW);
}
int32_t sys_fchown(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fchown, arg[0], long_id(arg[1]), long_id(arg[2]));
}
int32_t sys_chown32(struct thread *thread, const uint32_t arg[6]) {
  return chown_at(thread, here, arg[0], arg[1], arg[2], NO_FLAGS);
}
int32_t sys_lchown32(struct thread *thread, const uint32_t arg[6]) {
  return chown_at(thread, here, arg[0], arg[1], arg[2], AT_SYMLINK_NOFOLLOW);
}
int32_t sys_fchown32(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fchown, arg[0], arg[1], arg[2]);
}
int32_t sys_fchownat(struct thread *thread, const uint32_t arg[6]) {
  return chown_at(thread, arg[0], arg[1], arg[2], arg[3], arg[4]);
}

/* --- Times ----------------------------------------------------------------------------------- */

/* Sets both times; times NULL: now; name 0: of the descriptor itself, as utimensat(2) allows. */
static int32_t set_times(struct thread *thread, uint32_t directory, guest_addr name,
                         const struct timespec *times, uint32_t flags) {
  char path[PATH_MAX];
  if (name == 0 && directory != here)
    return (int32_t)HOST_CALL(SYS_utimensat, (int)directory, NULL, times, flags);
  int error = guest_path_at(thread, name, flags, path);
  return error ? error : (int32_t)HOST_CALL(SYS_utimensat, (int)directory, path, times, flags);
}

int32_t sys_utime(struct thread *thread, const uint32_t arg[6]) {
  int32_t guest[2];
  if (arg[1] == 0)
    return set_times(thread, here, arg[0], NULL, NO_FLAGS);
  if (guest_copy_in(guest, arg[1], sizeof guest) < 0)
    return -EFAULT;
  const struct timespec times[2] = {{.tv_sec = guest[0]}, {.tv_sec = guest[1]}};
  return set_times(thread, here, arg[0], times, NO_FLAGS);
}

/* struct timeval[2] of 32-bit members. */
static int32_t set_timevals(struct thread *thread, uint32_t directory, guest_addr name, guest_addr values) {
  int32_t guest[2][2];
  struct timespec times[2];
  if (values == 0)
    return set_times(thread, directory, name, NULL, NO_FLAGS);
  if (guest_copy_in(guest, values, sizeof guest) < 0)
    return -EFAULT;
  for (int i = 0; i < 2; i++) {
    if (guest[i][1] < 0 || guest[i][1] >= 1000000)
      return -EINVAL;
    times[i] = (struct timespec){.tv_sec = guest[i][0], .tv_nsec = guest[i][1] * 1000L};
  }
  return set_times(thread, directory, name, times, NO_FLAGS);
}

int32_t sys_utimes(struct thread *thread, const uint32_t arg[6]) {
  return set_timevals(thread, here, arg[0], arg[1]);
}
int32_t sys_futimesat(struct thread *thread, const uint32_t arg[6]) {
  return set_timevals(thread, arg[0], arg[1], arg[2]);
}

int32_t sys_utimensat(struct thread *thread, const uint32_t arg[6]) {
  int32_t guest[2][2];
  if (arg[2] == 0)
    return set_times(thread, arg[0], arg[1], NULL, arg[3]);
  if (guest_copy_in(guest, arg[2], sizeof guest) < 0)
    return -EFAULT;
  const struct timespec times[2] = {{guest[0][0], guest[0][1]}, {guest[1][0], guest[1][1]}};
  if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
    return 0; /* whatever the path */
  return set_times(thread, arg[0], arg[1], times, arg[3]);
}

/* A 32-bit caller's nanoseconds are 32 bits and 32 bits of padding. */
int32_t sys_utimensat_time64(struct thread *thread, const uint32_t arg[6]) {
  struct {
    int64_t seconds;
    int32_t nanoseconds, padding;
  } guest[2];
  if (arg[2] == 0)
    return set_times(thread, arg[0], arg[1], NULL, arg[3]);
  if (guest_copy_in(guest, arg[2], sizeof guest) < 0)
    return -EFAULT;
  const struct timespec times[2] = {{guest[0].seconds, guest[0].nanoseconds},
                                    {guest[1].seconds, guest[1].nanoseconds}};
  if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
    return 0;
  return set_times(thread, arg[0], arg[1], times, arg[3]);
}

/* --- Extended attributes: only the path differs ------------------------------------------------ */

static int32_t xattr_path(struct thread *thread, long number, const uint32_t arg[6], uint32_t flags) {
  char path[PATH_MAX];
  int error = guest_path_at(thread, arg[0], flags, path);
  return error ? error : (int32_t)HOST_CALL(number, path, arg[1], arg[2], arg[3], arg[4]);
}

static int32_t xattr_fd(long number, const uint32_t arg[6]) {
  return (int32_t)HOST_CALL(number, arg[0], arg[1], arg[2], arg[3], arg[4]);
}

#define XATTR_CALLS(name)                                                                                    \
  int32_t sys_##name(struct thread *thread, const uint32_t arg[6]) {                                         \
    return xattr_path(thread, SYS_##name, arg, NO_FLAGS);                                                    \
  }                                                                                                          \
  int32_t sys_l##name(struct thread *thread, const uint32_t arg[6]) {                                        \
    return xattr_path(thread, SYS_l##name, arg, AT_SYMLINK_NOFOLLOW);                                        \
  }                                                                                                          \
  int32_t sys_f##name(struct thread *thread, const uint32_t arg[6]) {                                        \
    (void)thread;                                                                                            \
    return xattr_fd(SYS_f##name, arg);                                                                       \
  }
XATTR_CALLS(setxattr)
XATTR_CALLS(getxattr)
XATTR_CALLS(listxattr)
XATTR_CALLS(removexattr)

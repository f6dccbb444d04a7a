/* Opening, closing, copying and controlling descriptors: open(2), close(2), dup(2), pipe(2), fcntl(2),
 * flock(2).
 *
 * Every call that makes or ends a descriptor tells descriptor_table.c. */
#include "Linux/descriptor_table.h"
#include "Linux/host_syscall.h"
#include "Linux/log.h"
#include "Linux/path.h"
#include "Linux/proc.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#define SMALL_FILE_END INT64_C(0x7FFFFFFF)
enum { GUEST_O_LARGEFILE = 0100000, OPEN_HOW_SIZE = 24 /* of its first version */ };

/* Does an open with these flags follow a link in the last place? */
static bool follows(uint64_t flags) {
  return !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
}

static bool is_beyond_small(const struct stat *status) {
  return S_ISREG(status->st_mode) && status->st_size > SMALL_FILE_END;
}

/* open(2) without O_LARGEFILE: files of 2 GiB and more are EOVERFLOW, and are not truncated before
 * that is known. */
static int32_t open_small(struct thread *thread, int directory, const char *path, uint32_t flags,
                          uint32_t mode) {
  struct stat status;
  if ((flags & O_TRUNC) && HOST_CALL(SYS_newfstatat, directory, path, &status, 0) == 0 &&
      is_beyond_small(&status))
    return -EOVERFLOW;
  int32_t fd = syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_openat, directory, path, flags, mode));
  if (fd < 0)
    return fd;
  if (flags & O_PATH) {
    descriptor_opened(thread->process, fd, 0);
    return fd;
  }
  uint8_t record = DESCRIPTOR_SMALL;
  if (HOST_CALL(SYS_fstat, fd, &status) == 0) {
    if (is_beyond_small(&status)) {
      HOST_CALL(SYS_close, fd);
      return -EOVERFLOW;
    }
    if (S_ISREG(status.st_mode) && (flags & O_ACCMODE) != O_RDONLY)
      record |= DESCRIPTOR_LIMITED;
    if (S_ISBLK(status.st_mode))
      record = 0; /* block devices are always large */
  }
  descriptor_opened(thread->process, fd, record);
  return fd;
}

static int32_t open_at(struct thread *thread, int directory, guest_addr name, uint32_t flags, uint32_t mode) {
  char path[PATH_MAX];
  int error = follows(flags) ? guest_path(thread, name, path) : guest_path_nofollow(thread, name, path);
  if (error)
    return error;
  int32_t fd = proc_open(thread, path, flags);
  if (fd != -ENOENT)
    return fd;
  if (!(flags & GUEST_O_LARGEFILE))
    return open_small(thread, directory, path, flags, mode);
  fd = syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_openat, directory, path, flags, mode));
  if (fd >= 0)
    descriptor_opened(thread->process, fd, 0);
  return fd;
}

int32_t sys_open(struct thread *thread, const uint32_t arg[6]) {
  return open_at(thread, AT_FDCWD, arg[0], arg[1], arg[2]);
}
int32_t sys_openat(struct thread *thread, const uint32_t arg[6]) {
  return open_at(thread, (int)arg[0], arg[1], arg[2], arg[3]);
}
/* An x86-64 kernel forgets here, and in openat2, that the caller has 32 bits. */
int32_t sys_creat(struct thread *thread, const uint32_t arg[6]) {
  return open_at(thread, AT_FDCWD, arg[0], O_CREAT | O_WRONLY | O_TRUNC | GUEST_O_LARGEFILE, arg[1]);
}

int32_t sys_openat2(struct thread *thread, const uint32_t arg[6]) {
  struct open_how how;
  if (arg[3] >= OPEN_HOW_SIZE && guest_copy_in(&how, arg[2], OPEN_HOW_SIZE) < 0)
    return -EFAULT;
  char path[PATH_MAX];
  const void *name = guest_to_host(arg[1]);
  /* Where paths are resolved below a directory, absolute ones do not mean the root's. */
  if (arg[3] >= OPEN_HOW_SIZE && !(how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT))) {
    const bool follow = follows(how.flags) && !(how.resolve & RESOLVE_NO_SYMLINKS);
    int error = follow ? guest_path(thread, arg[1], path) : guest_path_nofollow(thread, arg[1], path);
    if (error)
      return error;
    name = path;
  }
  int32_t fd =
      syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_openat2, (int)arg[0], name, arg[2], arg[3]));
  if (fd >= 0)
    descriptor_opened(thread->process, fd, 0);
  return fd;
}

int32_t sys_name_to_handle_at(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX] = "";
  int error = arg[4] & AT_SYMLINK_FOLLOW ? guest_path(thread, arg[1], path)
                                         : guest_path_nofollow(thread, arg[1], path);
  if (error == -ENOENT && (arg[4] & AT_EMPTY_PATH))
    path[0] = '\0';
  else if (error)
    return error;
  uint32_t handle_bytes;
  if (guest_copy_in(&handle_bytes, arg[2], sizeof handle_bytes) < 0)
    return -EFAULT;
  if (handle_bytes <= MAX_HANDLE_SZ)
    guest_memory_write_begin(arg[2], 8 + handle_bytes);
  guest_memory_write_begin(arg[3], sizeof(uint64_t));
  return (int32_t)HOST_CALL(SYS_name_to_handle_at, (int)arg[0], path, arg[2], arg[3], arg[4]);
}

int32_t sys_open_by_handle_at(struct thread *thread, const uint32_t arg[6]) {
  int32_t fd = (int32_t)HOST_CALL(SYS_open_by_handle_at, (int)arg[0], arg[1], arg[2]);
  if (fd >= 0)
    descriptor_opened(thread->process, fd, arg[2] & GUEST_O_LARGEFILE ? 0 : DESCRIPTOR_SMALL);
  return fd;
}

int32_t sys_close(struct thread *thread, const uint32_t arg[6]) {
  const int fd = (int)arg[0];
  if (descriptor_is_reserved(thread->process, fd))
    return -EBADF;
  descriptor_closing(thread->process, fd);
  return (int32_t)HOST_CALL(SYS_close, fd);
}

int32_t sys_close_range(struct thread *thread, const uint32_t arg[6]) {
  const uint32_t last = arg[1], flags = arg[2];
  uint32_t first = arg[0];
  if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) || (flags & CLOSE_RANGE_CLOEXEC))
    return (int32_t)HOST_CALL(SYS_close_range, first, last, flags); /* ours are close-on-exec anyway */

  descriptor_closing_range(thread->process, first, last);
  uint32_t own[2] = {(uint32_t)thread->process->self_fd, (uint32_t)log_descriptor()};
  if (own[0] > own[1]) {
    uint32_t low = own[1];
    own[1] = own[0];
    own[0] = low;
  }
  for (int i = 0; i < 2; i++) {
    if (own[i] < first || own[i] > last)
      continue;
    if (own[i] > first) {
      int32_t result = (int32_t)HOST_CALL(SYS_close_range, first, own[i] - 1, flags);
      if (result < 0)
        return result;
    }
    if (own[i] == last)
      return 0;
    first = own[i] + 1;
  }
  return (int32_t)HOST_CALL(SYS_close_range, first, last, flags);
}

/* After a successful copy. */
static int32_t duplicated(struct thread *thread, uint32_t from, int32_t to) {
  if (to >= 0 && (uint32_t)to != from)
    descriptor_duplicated(thread->process, (int)from, to);
  return to;
}

int32_t sys_dup(struct thread *thread, const uint32_t arg[6]) {
  return duplicated(thread, arg[0], (int32_t)HOST_CALL(SYS_dup, arg[0]));
}

static int32_t dup_to(struct thread *thread, uint32_t from, uint32_t to, bool is_dup3, uint32_t flags) {
  int error = descriptor_vacate(thread->process, (int)to);
  if (error)
    return error;
  if (from != to && HOST_CALL(SYS_fcntl, from, F_GETFD) >= 0)
    descriptor_closing(thread->process, (int)to);
  return duplicated(
      thread, from,
      (int32_t)(is_dup3 ? HOST_CALL(SYS_dup3, from, to, flags) : HOST_CALL(SYS_dup2, from, to)));
}

int32_t sys_dup2(struct thread *thread, const uint32_t arg[6]) {
  return dup_to(thread, arg[0], arg[1], false, 0);
}
int32_t sys_dup3(struct thread *thread, const uint32_t arg[6]) {
  return dup_to(thread, arg[0], arg[1], true, arg[2]);
}

static int32_t make_pipe(struct thread *thread, guest_addr pair, uint32_t flags) {
  int fds[2];
  int32_t result = (int32_t)HOST_CALL(SYS_pipe2, fds, flags);
  if (result < 0)
    return result;
  if (guest_copy_out(pair, fds, sizeof fds) < 0) {
    HOST_CALL(SYS_close, fds[0]);
    HOST_CALL(SYS_close, fds[1]);
    return -EFAULT;
  }
  descriptor_opened(thread->process, fds[0], 0);
  descriptor_opened(thread->process, fds[1], 0);
  return 0;
}

int32_t sys_pipe(struct thread *thread, const uint32_t arg[6]) { return make_pipe(thread, arg[0], 0); }
int32_t sys_pipe2(struct thread *thread, const uint32_t arg[6]) { return make_pipe(thread, arg[0], arg[1]); }

int32_t sys_flock(struct thread *thread, const uint32_t arg[6]) {
  return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_flock, arg[0], arg[1]));
}

/* --- fcntl ----------------------------------------------------------------------------------- */

/* The commands whose numbers i386 has and x86-64 has not. */
enum { GUEST_F_GETLK64 = 12, GUEST_F_SETLK64 = 13, GUEST_F_SETLKW64 = 14 };

struct guest_flock {
  int16_t type, whence;
  int32_t start, length, pid;
};
struct guest_flock64 {
  int16_t type, whence;
  int64_t start, length;
  int32_t pid;
} __attribute__((packed));
_Static_assert(sizeof(struct guest_flock) == 16 && sizeof(struct guest_flock64) == 24, "fcntl(2)");

static int read_flock(guest_addr address, bool wide, struct flock *lock) {
  if (wide) {
    struct guest_flock64 guest;
    if (guest_copy_in(&guest, address, sizeof guest) < 0)
      return -EFAULT;
    *lock = (struct flock){.l_type = guest.type,
                           .l_whence = guest.whence,
                           .l_start = guest.start,
                           .l_len = guest.length,
                           .l_pid = guest.pid};
  } else {
    struct guest_flock guest;
    if (guest_copy_in(&guest, address, sizeof guest) < 0)
      return -EFAULT;
    *lock = (struct flock){.l_type = guest.type,
                           .l_whence = guest.whence,
                           .l_start = guest.start,
                           .l_len = guest.length,
                           .l_pid = guest.pid};
  }
  return 0;
}

static int write_flock(guest_addr address, bool wide, const struct flock *lock) {
  if (wide) {
    const struct guest_flock64 guest = {lock->l_type, lock->l_whence, lock->l_start, lock->l_len,
                                        lock->l_pid};
    return guest_copy_out(address, &guest, sizeof guest);
  }
  if (lock->l_start > SMALL_FILE_END)
    return -EOVERFLOW;
  const struct guest_flock guest = {lock->l_type, lock->l_whence, (int32_t)lock->l_start,
                                    (int32_t)(lock->l_len > SMALL_FILE_END ? SMALL_FILE_END : lock->l_len),
                                    lock->l_pid};
  return guest_copy_out(address, &guest, sizeof guest);
}

static int32_t lock_call(struct thread *thread, uint32_t fd, int command, guest_addr address, bool wide) {
  struct flock lock;
  long valid = HOST_CALL(SYS_fcntl, fd, F_GETFD);
  if (valid < 0)
    return (int32_t)valid;
  int error = read_flock(address, wide, &lock);
  if (error)
    return error;
  int32_t result = syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_fcntl, fd, command, &lock));
  if (result == 0 && (command == F_GETLK || command == F_OFD_GETLK))
    return write_flock(address, wide, &lock);
  return result;
}

/* How many bytes the kernel writes to the argument of these commands. */
static uint32_t written_by(uint32_t command) {
  switch (command) {
  case 16: /* F_GETOWN_EX */
  case 17: /* F_GETOWNER_UIDS */
  case F_GET_RW_HINT:
  case F_GET_FILE_RW_HINT:
    return 8;
  default:
    return 0;
  }
}

static int32_t fcntl_any(struct thread *thread, uint32_t fd, uint32_t command, uint32_t argument) {
  switch (command) {
  case F_GETLK:
  case F_SETLK:
  case F_SETLKW:
    return lock_call(thread, fd, (int)command, argument, false);
  case F_DUPFD:
  case F_DUPFD_CLOEXEC:
    return duplicated(thread, fd, (int32_t)HOST_CALL(SYS_fcntl, fd, command, argument));
  case F_GETFL: {
    int32_t result = (int32_t)HOST_CALL(SYS_fcntl, fd, F_GETFL);
    if (result >= 0 && (descriptor_flags(thread->process, (int)fd) & DESCRIPTOR_SMALL))
      result &= ~GUEST_O_LARGEFILE;
    return result;
  }
  default:
    if (written_by(command))
      guest_memory_write_begin(argument, written_by(command));
    return (int32_t)HOST_CALL(SYS_fcntl, fd, command, argument);
  }
}

int32_t sys_fcntl64(struct thread *thread, const uint32_t arg[6]) {
  if (descriptor_is_reserved(thread->process, (int)arg[0]))
    return -EBADF;
  switch (arg[1]) {
  case GUEST_F_GETLK64:
    return lock_call(thread, arg[0], F_GETLK, arg[2], true);
  case GUEST_F_SETLK64:
    return lock_call(thread, arg[0], F_SETLK, arg[2], true);
  case GUEST_F_SETLKW64:
    return lock_call(thread, arg[0], F_SETLKW, arg[2], true);
  case F_OFD_GETLK:
  case F_OFD_SETLK:
  case F_OFD_SETLKW:
    return lock_call(thread, arg[0], (int)arg[1], arg[2], true);
  default:
    return fcntl_any(thread, arg[0], arg[1], arg[2]);
  }
}

/* For x86-64 kernels the older call is the same as the newer one. */
int32_t sys_fcntl(struct thread *thread, const uint32_t arg[6]) { return sys_fcntl64(thread, arg); }

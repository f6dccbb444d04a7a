/* Directories and names: getdents(2), mkdir(2), link(2), rename(2), readlink(2), chdir(2) …
 *
 * Reading a directory. A 32-bit process natively gets offsets that fit into 31 bits, because the
 * kernel asks its file systems for shorter hashes; a 64-bit process like ours gets 64-bit hashes
 * from some (ext4), which 32-bit C libraries refuse with EOVERFLOW. So offsets that do not fit are
 * replaced by cookies (descriptor_table.h), and lseek (files.c) takes them back. */
#include "Linux/descriptor_table.h"
#include "Linux/host_syscall.h"
#include "Linux/path.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

/* getdents64(2)'s entry, the same on both sides. */
struct entry64 {
  uint64_t inode;
  int64_t offset; /* of the next entry */
  uint16_t length;
  uint8_t type;
  char name[];
} __attribute__((packed));
enum { ENTRY64_NAME = 19, ENTRY64_LARGEST = 280 /* a name of 255 bytes */ };
_Static_assert(offsetof(struct entry64, name) == ENTRY64_NAME, "getdents64(2)");

/* getdents(2)'s entry of i386; the type is its last byte. */
struct guest_entry {
  uint32_t inode;
  uint32_t offset;
  uint16_t length;
  char name[];
} __attribute__((packed));

/* readdir(2)'s. */
struct guest_old_entry {
  uint32_t inode;
  uint32_t offset; /* of this entry */
  uint16_t name_length;
  char name[];
} __attribute__((packed));

enum { READ_AT_ONCE = 16384 };

/* Cookie of the position at which the descriptor stands. */
static int64_t current_cookie(const struct process *process, int fd) {
  const int64_t offset = HOST_CALL(SYS_lseek, fd, 0, SEEK_CUR);
  const int64_t cookie = offset < 0 ? offset : descriptor_cookie_of(process, fd, (uint64_t)offset);
  return cookie == -ENOENT ? 0 : cookie;
}

/* Reads entries as the host has them, at most `size` bytes; at least one, if there is one, whatever its
 * length. */
static long read_entries(int fd, void *entries, uint32_t size) {
  if (size > READ_AT_ONCE)
    size = READ_AT_ONCE;
  return HOST_CALL(SYS_getdents64, fd, entries, size < ENTRY64_LARGEST ? ENTRY64_LARGEST : size);
}

/* Converts entries one by one with `put`, which returns the bytes it used at `to`, 0 for no room, or a
 * negative errno; what did not fit is left to be read again. */
typedef int32_t put_entry(const struct entry64 *entry, uint32_t cookie, uint8_t *to, uint32_t room);

static int32_t read_directory(const struct process *process, int fd, guest_addr buffer, uint32_t size,
                              put_entry *put) {
  uint8_t host[READ_AT_ONCE], guest[READ_AT_ONCE];
  const int64_t start = HOST_CALL(SYS_lseek, fd, 0, SEEK_CUR);
  int64_t cookie = current_cookie(process, fd);
  const long got = read_entries(fd, host, size);
  if (got <= 0)
    return (int32_t)got;

  const uint32_t room = size < sizeof guest ? size : (uint32_t)sizeof guest;
  uint32_t used = 0;
  int64_t position = start;
  int32_t error = 0;
  for (long at = 0; at < got;) {
    const struct entry64 *entry = (const struct entry64 *)(host + at);
    cookie = descriptor_cookie(process, fd, (uint32_t)cookie, (uint64_t)entry->offset);
    const int32_t length =
        cookie < 0 ? (int32_t)cookie : put(entry, (uint32_t)cookie, guest + used, room - used);
    if (length <= 0) {
      error = length ? length : -EINVAL;
      break;
    }
    used += (uint32_t)length;
    position = entry->offset;
    at += entry->length;
  }
  if (error)
    HOST_CALL(SYS_lseek, fd, position, SEEK_SET);
  if (used == 0)
    return error;
  if (guest_copy_out(buffer, guest, used) < 0) {
    HOST_CALL(SYS_lseek, fd, start, SEEK_SET);
    return -EFAULT;
  }
  return (int32_t)used;
}

static int32_t put_entry64(const struct entry64 *entry, uint32_t cookie, uint8_t *to, uint32_t room) {
  if (entry->length > room)
    return 0;
  memcpy(to, entry, entry->length);
  ((struct entry64 *)to)->offset = cookie;
  return entry->length;
}

static int32_t put_guest_entry(const struct entry64 *entry, uint32_t cookie, uint8_t *to, uint32_t room) {
  const size_t name_length = strlen(entry->name);
  const size_t length = (offsetof(struct guest_entry, name) + name_length + 2 + 3) & ~(size_t)3;
  if (length > room)
    return 0;
  if (entry->inode > UINT32_MAX)
    return -EOVERFLOW;
  struct guest_entry *guest = (struct guest_entry *)to;
  memset(to, 0, length);
  guest->inode = (uint32_t)entry->inode;
  guest->offset = cookie;
  guest->length = (uint16_t)length;
  memcpy(guest->name, entry->name, name_length);
  to[length - 1] = entry->type;
  return (int32_t)length;
}

int32_t sys_getdents64(struct thread *thread, const uint32_t arg[6]) {
  return read_directory(thread->process, (int)arg[0], arg[1], arg[2], put_entry64);
}

int32_t sys_getdents(struct thread *thread, const uint32_t arg[6]) {
  return read_directory(thread->process, (int)arg[0], arg[1], arg[2], put_guest_entry);
}

/* One entry a call, and 1; 0 at the end. */
int32_t sys_readdir(struct thread *thread, const uint32_t arg[6]) {
  const struct process *process = thread->process;
  const int fd = (int)arg[0];
  uint8_t host[ENTRY64_LARGEST], guest[sizeof(struct guest_old_entry) + 256];
  const int64_t start = HOST_CALL(SYS_lseek, fd, 0, SEEK_CUR);
  const int64_t cookie = current_cookie(process, fd);
  const long got = read_entries(fd, host, 0);
  if (got <= 0)
    return (int32_t)got;
  const struct entry64 *entry = (const struct entry64 *)host;
  const int64_t next = descriptor_cookie(process, fd, (uint32_t)cookie, (uint64_t)entry->offset);
  if (next < 0 || entry->inode > UINT32_MAX) {
    HOST_CALL(SYS_lseek, fd, start, SEEK_SET);
    return next < 0 ? (int32_t)next : -EOVERFLOW;
  }
  const size_t name_length = strlen(entry->name);
  struct guest_old_entry *old = (struct guest_old_entry *)guest;
  old->inode = (uint32_t)entry->inode;
  old->offset = (uint32_t)cookie;
  old->name_length = (uint16_t)name_length;
  memcpy(old->name, entry->name, name_length + 1);
  if (guest_copy_out(arg[1], guest, sizeof *old + name_length + 1) < 0) {
    HOST_CALL(SYS_lseek, fd, start, SEEK_SET);
    return -EFAULT;
  }
  HOST_CALL(SYS_lseek, fd, entry->offset, SEEK_SET);
  return 1;
}

/* --- Names ----------------------------------------------------------------------------------- */

/* The calls below act on the last component itself, never on what a link there points to. */
static int32_t call_at(struct thread *thread, long number, uint32_t directory, guest_addr name, uint32_t a,
                       uint32_t b) {
  char path[PATH_MAX];
  int error = guest_path_nofollow(thread, name, path);
  return error ? error : (int32_t)HOST_CALL(number, (int)directory, path, a, b);
}

int32_t sys_mkdir(struct thread *thread, const uint32_t arg[6]) {
  return call_at(thread, SYS_mkdirat, (uint32_t)AT_FDCWD, arg[0], arg[1], 0);
}
int32_t sys_mkdirat(struct thread *thread, const uint32_t arg[6]) {
  return call_at(thread, SYS_mkdirat, arg[0], arg[1], arg[2], 0);
}
int32_t sys_mknod(struct thread *thread, const uint32_t arg[6]) {
  return call_at(thread, SYS_mknodat, (uint32_t)AT_FDCWD, arg[0], arg[1], arg[2]);
}
int32_t sys_mknodat(struct thread *thread, const uint32_t arg[6]) {
  return call_at(thread, SYS_mknodat, arg[0], arg[1], arg[2], arg[3]);
}
int32_t sys_unlink(struct thread *thread, const uint32_t arg[6]) {
  return call_at(thread, SYS_unlinkat, (uint32_t)AT_FDCWD, arg[0], 0, 0);
}
int32_t sys_rmdir(struct thread *thread, const uint32_t arg[6]) {
  return call_at(thread, SYS_unlinkat, (uint32_t)AT_FDCWD, arg[0], AT_REMOVEDIR, 0);
}
int32_t sys_unlinkat(struct thread *thread, const uint32_t arg[6]) {
  return call_at(thread, SYS_unlinkat, arg[0], arg[1], arg[2], 0);
}

static int32_t rename_at(struct thread *thread, uint32_t from, guest_addr from_name, uint32_t to,
                         guest_addr to_name, uint32_t flags) {
  char old[PATH_MAX], new[PATH_MAX];
  int error = guest_path_nofollow(thread, from_name, old);
  if (!error)
    error = guest_path_nofollow(thread, to_name, new);
  return error ? error : (int32_t)HOST_CALL(SYS_renameat2, (int)from, old, (int)to, new, flags);
}

int32_t sys_rename(struct thread *thread, const uint32_t arg[6]) {
  return rename_at(thread, (uint32_t)AT_FDCWD, arg[0], (uint32_t)AT_FDCWD, arg[1], 0);
}
int32_t sys_renameat(struct thread *thread, const uint32_t arg[6]) {
  return rename_at(thread, arg[0], arg[1], arg[2], arg[3], 0);
}
int32_t sys_renameat2(struct thread *thread, const uint32_t arg[6]) {
  return rename_at(thread, arg[0], arg[1], arg[2], arg[3], arg[4]);
}

static int32_t link_at(struct thread *thread, uint32_t from, guest_addr from_name, uint32_t to,
                       guest_addr to_name, uint32_t flags) {
  char old[PATH_MAX], new[PATH_MAX];
  int error = flags & AT_SYMLINK_FOLLOW ? guest_path(thread, from_name, old)
                                        : guest_path_nofollow(thread, from_name, old);
  if (error == -ENOENT && (flags & AT_EMPTY_PATH)) {
    old[0] = '\0';
    error = 0;
  }
  if (!error)
    error = guest_path_nofollow(thread, to_name, new);
  return error ? error : (int32_t)HOST_CALL(SYS_linkat, (int)from, old, (int)to, new, flags);
}

int32_t sys_link(struct thread *thread, const uint32_t arg[6]) {
  return link_at(thread, (uint32_t)AT_FDCWD, arg[0], (uint32_t)AT_FDCWD, arg[1], 0);
}
int32_t sys_linkat(struct thread *thread, const uint32_t arg[6]) {
  return link_at(thread, arg[0], arg[1], arg[2], arg[3], arg[4]);
}

/* The link's text is the guest's own business: it goes to the kernel unchanged. */
static int32_t symlink_at(struct thread *thread, guest_addr text, uint32_t directory, guest_addr name) {
  char path[PATH_MAX];
  int error = guest_path_nofollow(thread, name, path);
  return error ? error : (int32_t)HOST_CALL(SYS_symlinkat, text, (int)directory, path);
}
int32_t sys_symlink(struct thread *thread, const uint32_t arg[6]) {
  return symlink_at(thread, arg[0], (uint32_t)AT_FDCWD, arg[1]);
}
int32_t sys_symlinkat(struct thread *thread, const uint32_t arg[6]) {
  return symlink_at(thread, arg[0], arg[1], arg[2]);
}

/* Links of /proc that would show the emulator or the sysroot show the guest's view instead. */
static int32_t read_proc_link(struct thread *thread, const char *path, guest_addr buffer, uint32_t size) {
  const char *name = path_in_proc_self(path);
  char text[PATH_MAX];
  if (!name || size == 0)
    return -ENOENT;
  if (strcmp(name, "exe") == 0 && thread->process->exe_path[0]) {
    strcpy(text, thread->process->exe_path);
    path_strip_sysroot(thread->process, text);
  } else if (thread->process->sysroot && (strncmp(name, "fd/", 3) == 0 || strcmp(name, "cwd") == 0)) {
    const long length = HOST_CALL(SYS_readlink, path, text, sizeof text - 1);
    if (length < 0)
      return (int32_t)length;
    text[length] = '\0';
    path_strip_sysroot(thread->process, text);
  } else {
    return -ENOENT;
  }
  const size_t length = strlen(text) < size ? strlen(text) : size;
  return guest_copy_out(buffer, text, length) < 0 ? -EFAULT : (int32_t)length;
}

static int32_t readlink_at(struct thread *thread, uint32_t directory, guest_addr name, guest_addr buffer,
                           uint32_t size) {
  char path[PATH_MAX];
  int error = guest_path_nofollow(thread, name, path);
  if (error == -ENOENT) /* readlinkat(2): an O_PATH descriptor of a link, with an empty path */
    path[0] = '\0';
  else if (error)
    return error;
  if ((int32_t)size <= 0)
    return -EINVAL;
  int32_t result = read_proc_link(thread, path, buffer, size);
  return result == -ENOENT ? (int32_t)HOST_CALL(SYS_readlinkat, (int)directory, path, buffer, size) : result;
}

int32_t sys_readlink(struct thread *thread, const uint32_t arg[6]) {
  return readlink_at(thread, (uint32_t)AT_FDCWD, arg[0], arg[1], arg[2]);
}
int32_t sys_readlinkat(struct thread *thread, const uint32_t arg[6]) {
  return readlink_at(thread, arg[0], arg[1], arg[2], arg[3]);
}

int32_t sys_chdir(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  int error = guest_path(thread, arg[0], path);
  return error ? error : (int32_t)HOST_CALL(SYS_chdir, path);
}
int32_t sys_fchdir(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fchdir, arg[0]);
}
int32_t sys_chroot(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  int error = guest_path(thread, arg[0], path);
  return error ? error : (int32_t)HOST_CALL(SYS_chroot, path);
}

int32_t sys_getcwd(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  const long got = HOST_CALL(SYS_getcwd, path, sizeof path);
  if (got < 0)
    return (int32_t)got;
  path_strip_sysroot(thread->process, path);
  const uint32_t length = (uint32_t)strlen(path) + 1;
  if (length > arg[1])
    return -ERANGE;
  return guest_copy_out(arg[0], path, length) < 0 ? -EFAULT : (int32_t)length;
}

int32_t sys_umask(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_umask, arg[0]);
}

/* Reading, writing and moving bytes: read(2), readv(2), pread(2), lseek(2), sendfile(2), splice(2) …
 *
 * Buffers go to the host's kernel as they are, since guest addresses are host addresses. What
 * differs for a 32-bit process: vectors of buffers, offsets of 32 bits or in two registers, and
 * files opened without O_LARGEFILE. */
#include "Linux/descriptor_table.h"
#include "Linux/host_syscall.h"
#include "Linux/iovec.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The largest offset in a file without O_LARGEFILE, and in a 32-bit off_t (the kernel's MAX_NON_LFS). */
#define SMALL_FILE_END INT64_C(0x7FFFFFFF)

static int64_t pair(uint32_t low, uint32_t high) { return (int64_t)((uint64_t)high << 32 | low); }

/* Writing at `position` (-1: the file's own) through a descriptor that is not large: takes from
 * *count what lies past 2 GiB. 0, or -EFBIG if nothing is left. */
static int limit_write(const struct process *process, int fd, int64_t position, size_t *count) {
  if (!(descriptor_flags(process, fd) & DESCRIPTOR_LIMITED) || *count == 0)
    return 0;
  struct stat status;
  if ((HOST_CALL(SYS_fcntl, fd, F_GETFL) & O_APPEND) && HOST_CALL(SYS_fstat, fd, &status) == 0)
    position = status.st_size;
  else if (position < 0)
    position = HOST_CALL(SYS_lseek, fd, 0, SEEK_CUR);
  if (position < 0)
    return 0; /* the call itself will say why */
  if (position >= SMALL_FILE_END)
    return -EFBIG;
  if (*count > (uint64_t)(SMALL_FILE_END - position))
    *count = (size_t)(SMALL_FILE_END - position);
  return 0;
}

/* The same for a vector: shortens it. */
static int limit_write_vector(const struct process *process, int fd, int64_t position, struct iovec *vector,
                              int *count) {
  if (!(descriptor_flags(process, fd) & DESCRIPTOR_LIMITED))
    return 0;
  size_t total = 0;
  for (int i = 0; i < *count; i++)
    total += vector[i].iov_len;
  int error = limit_write(process, fd, position, &total);
  for (int i = 0; i < *count; i++) {
    if (vector[i].iov_len > total)
      vector[i].iov_len = total;
    total -= vector[i].iov_len;
  }
  return error;
}

int32_t sys_read(struct thread *thread, const uint32_t arg[6]) {
  return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_read, arg[0], arg[1], arg[2]));
}

int32_t sys_write(struct thread *thread, const uint32_t arg[6]) {
  size_t count = arg[2];
  int error = limit_write(thread->process, (int)arg[0], -1, &count);
  if (error)
    return error;
  return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_write, arg[0], arg[1], count));
}

int32_t sys_pread64(struct thread *thread, const uint32_t arg[6]) {
  return syscall_restartable(
      HOST_CALL_BLOCKING(thread, SYS_pread64, arg[0], arg[1], arg[2], pair(arg[3], arg[4])));
}

int32_t sys_pwrite64(struct thread *thread, const uint32_t arg[6]) {
  const int64_t position = pair(arg[3], arg[4]);
  size_t count = arg[2];
  int error = position < 0 ? -EINVAL : limit_write(thread->process, (int)arg[0], position, &count);
  if (error)
    return error;
  return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_pwrite64, arg[0], arg[1], count, position));
}

/* All of readv, preadv, preadv2 and their writing twins: `number` is the host's, position -1 for none.
 * The host's p-calls take the position's low half in one register and ignore the high one. */
static int32_t vector_call(struct thread *thread, long number, const uint32_t arg[6], bool writes,
                           bool positioned, uint32_t flags) {
  struct iovec vector[GUEST_IOVEC_LIMIT];
  const int64_t position = positioned ? pair(arg[3], arg[4]) : -1;
  int count = guest_iovec(arg[1], arg[2], !writes, vector);
  if (count < 0) { /* a bad descriptor goes before a bad vector */
    long valid = HOST_CALL(SYS_fcntl, arg[0], F_GETFD);
    return valid < 0 ? (int32_t)valid : count;
  }
  int error = writes ? limit_write_vector(thread->process, (int)arg[0], position, vector, &count) : 0;
  if (error)
    return error;
  return syscall_restartable(HOST_CALL_BLOCKING(thread, number, arg[0], vector, count, position, 0, flags));
}

int32_t sys_readv(struct thread *thread, const uint32_t arg[6]) {
  return vector_call(thread, SYS_readv, arg, false, false, 0);
}
int32_t sys_writev(struct thread *thread, const uint32_t arg[6]) {
  return vector_call(thread, SYS_writev, arg, true, false, 0);
}
int32_t sys_preadv(struct thread *thread, const uint32_t arg[6]) {
  return vector_call(thread, SYS_preadv, arg, false, true, 0);
}
int32_t sys_pwritev(struct thread *thread, const uint32_t arg[6]) {
  return vector_call(thread, SYS_pwritev, arg, true, true, 0);
}
int32_t sys_preadv2(struct thread *thread, const uint32_t arg[6]) {
  return vector_call(thread, SYS_preadv2, arg, false, true, arg[5]);
}
int32_t sys_pwritev2(struct thread *thread, const uint32_t arg[6]) {
  return vector_call(thread, SYS_pwritev2, arg, true, true, arg[5]);
}

/* lseek(2) in host terms. A directory's offsets may be cookies, in and out. */
static int64_t seek(const struct process *process, int fd, int64_t offset, uint32_t whence) {
  if (!(descriptor_flags(process, fd) & DESCRIPTOR_COOKIES))
    return HOST_CALL(SYS_lseek, fd, offset, whence);
  if (whence == SEEK_SET && offset >= 0 && offset <= INT32_MAX) {
    offset = descriptor_offset(process, fd, (uint32_t)offset);
    if (offset < 0)
      return offset;
  }
  int64_t result = HOST_CALL(SYS_lseek, fd, offset, whence);
  if (result == 0 && whence == SEEK_SET)
    descriptor_cookies_forget(process, fd);
  const int64_t cookie = result > 0 ? descriptor_cookie_of(process, fd, (uint64_t)result) : result;
  return cookie == -ENOENT ? result : cookie;
}

/* An i386 kernel says EOVERFLOW to what does not fit; an x86-64 one cuts it off. */
int32_t sys_lseek(struct thread *thread, const uint32_t arg[6]) {
  return (int32_t)seek(thread->process, (int)arg[0], (int32_t)arg[1], arg[2]);
}

int32_t sys__llseek(struct thread *thread, const uint32_t arg[6]) {
  const int64_t result = seek(thread->process, (int)arg[0], pair(arg[2], arg[1]), arg[4]);
  if (result < 0)
    return (int32_t)result;
  return guest_copy_out(arg[3], &result, sizeof result);
}

int32_t sys_sync(struct thread *thread, const uint32_t arg[6]) {
  (void)thread, (void)arg;
  return (int32_t)HOST_CALL(SYS_sync, 0);
}
int32_t sys_fsync(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fsync, arg[0]);
}
int32_t sys_fdatasync(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fdatasync, arg[0]);
}
int32_t sys_syncfs(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_syncfs, arg[0]);
}
int32_t sys_sync_file_range(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_sync_file_range, arg[0], pair(arg[1], arg[2]), pair(arg[3], arg[4]), arg[5]);
}

static int32_t truncate_path(struct thread *thread, guest_addr name, int64_t length) {
  char path[PATH_MAX];
  if (length < 0)
    return -EINVAL;
  int error = guest_path(thread, name, path);
  return error ? error : (int32_t)HOST_CALL(SYS_truncate, path, length);
}

int32_t sys_truncate(struct thread *thread, const uint32_t arg[6]) {
  return truncate_path(thread, arg[0], (int32_t)arg[1]);
}
int32_t sys_truncate64(struct thread *thread, const uint32_t arg[6]) {
  return truncate_path(thread, arg[0], pair(arg[1], arg[2]));
}
int32_t sys_ftruncate(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_ftruncate, arg[0], (int32_t)arg[1]);
}
int32_t sys_ftruncate64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_ftruncate, arg[0], pair(arg[1], arg[2]));
}

int32_t sys_fallocate(struct thread *thread, const uint32_t arg[6]) {
  return syscall_restartable(
      HOST_CALL_BLOCKING(thread, SYS_fallocate, arg[0], arg[1], pair(arg[2], arg[3]), pair(arg[4], arg[5])));
}
int32_t sys_readahead(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_readahead, arg[0], pair(arg[1], arg[2]), arg[3]);
}
int32_t sys_fadvise64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fadvise64, arg[0], pair(arg[1], arg[2]), arg[3], arg[4]);
}
int32_t sys_fadvise64_64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fadvise64, arg[0], pair(arg[1], arg[2]), pair(arg[3], arg[4]), arg[5]);
}

/* A 32-bit offset in memory: the kernel sends nothing past 2 GiB. */
int32_t sys_sendfile(struct thread *thread, const uint32_t arg[6]) {
  if (arg[2] == 0)
    return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_sendfile, arg[0], arg[1], 0, arg[3]));
  int32_t position;
  if (guest_copy_in(&position, arg[2], sizeof position) < 0)
    return -EFAULT;
  size_t count = arg[3];
  int64_t offset = position;
  if (position >= 0 && offset + (int64_t)count > SMALL_FILE_END) {
    if (offset >= SMALL_FILE_END)
      return -EOVERFLOW;
    count = (size_t)(SMALL_FILE_END - offset);
  }
  int32_t result =
      syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_sendfile, arg[0], arg[1], &offset, count));
  position = (int32_t)offset;
  return guest_copy_out(arg[2], &position, sizeof position) < 0 ? -EFAULT : result;
}

/* 64-bit offsets in memory are the same for both; the kernel writes them back. */
static void release_offset(guest_addr address) {
  if (address)
    guest_memory_write_begin(address, sizeof(int64_t));
}

int32_t sys_sendfile64(struct thread *thread, const uint32_t arg[6]) {
  release_offset(arg[2]);
  return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_sendfile, arg[0], arg[1], arg[2], arg[3]));
}
int32_t sys_splice(struct thread *thread, const uint32_t arg[6]) {
  release_offset(arg[1]);
  release_offset(arg[3]);
  return syscall_restartable(
      HOST_CALL_BLOCKING(thread, SYS_splice, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]));
}
int32_t sys_tee(struct thread *thread, const uint32_t arg[6]) {
  return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_tee, arg[0], arg[1], arg[2], arg[3]));
}
int32_t sys_copy_file_range(struct thread *thread, const uint32_t arg[6]) {
  release_offset(arg[1]);
  release_offset(arg[3]);
  return syscall_restartable(
      HOST_CALL_BLOCKING(thread, SYS_copy_file_range, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]));
}
int32_t sys_vmsplice(struct thread *thread, const uint32_t arg[6]) {
  struct iovec vector[GUEST_IOVEC_LIMIT];
  int count = guest_iovec(arg[1], arg[2], true, vector); /* a pipe's reading end fills the buffers */
  if (count < 0)
    return count;
  return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_vmsplice, arg[0], vector, count, arg[3]));
}

/* Another process under the emulator has its guest's memory at the guest's addresses, as we have. */
static int32_t process_vm(const uint32_t arg[6], long number, bool local_written) {
  struct iovec local[GUEST_IOVEC_LIMIT], remote[GUEST_IOVEC_LIMIT];
  const bool own = (pid_t)arg[0] == getpid();
  int local_count = guest_iovec(arg[1], arg[2], local_written, local);
  if (local_count < 0)
    return local_count;
  int remote_count = guest_iovec(arg[3], arg[4], own && !local_written, remote);
  if (remote_count < 0)
    return remote_count;
  return (int32_t)HOST_CALL(number, (pid_t)arg[0], local, local_count, remote, remote_count, arg[5]);
}
int32_t sys_process_vm_readv(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return process_vm(arg, SYS_process_vm_readv, true);
}
int32_t sys_process_vm_writev(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return process_vm(arg, SYS_process_vm_writev, false);
}

int32_t sys_cachestat(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  enum { NUMBER_CACHESTAT = 451 /* newer than some hosts' headers */, SIZE_OF_RESULT = 40 };
  if (arg[2])
    guest_memory_write_begin(arg[2], SIZE_OF_RESULT);
  return (int32_t)HOST_CALL(NUMBER_CACHESTAT, arg[0], arg[1], arg[2], arg[3]);
}

/* What a guest's path means on the host, beyond guest_path() (syscall.h). */
#ifndef UEMU_LINUX_PATH_H
#define UEMU_LINUX_PATH_H

#include "Linux/process.h"

/* The path argument of the *at calls with flags: follows a last link unless AT_SYMLINK_NOFOLLOW is among
 * them; with AT_EMPTY_PATH an empty (or no) path is fine and means the directory descriptor itself. */
int guest_path_at(struct thread *thread, guest_addr path, uint32_t flags, char *buffer);

/* guest_path() for calls that do not follow a last symbolic link (lstat, unlink, rename, O_NOFOLLOW …). */
int guest_path_nofollow(struct thread *thread, guest_addr path, char *buffer);

/* The same for a string of the host's: path, absolute or not, PATH_MAX bytes in buffer. */
int host_path(const struct process *process, const char *path, bool follow, char *buffer);

/* Looks up the absolute `path` as if sysroot were the root directory: absolute symbolic links and ".."
 * stay inside. follow: also when the last component is a link. On success (0) buffer (PATH_MAX) holds
 * the host's path of a file that exists; -ENOENT, -ELOOP, -ENAMETOOLONG, -ENOTDIR otherwise. */
int path_in_sysroot(const char *sysroot, const char *path, bool follow, char *buffer);

/* Takes the sysroot's name off the front of a path that the host's kernel reported (getcwd,
 * /proc/self/fd), in place. */
void path_strip_sysroot(const struct process *process, char *path);

/* Is `path` /proc/self/NAME, /proc/thread-self/NAME or /proc/<this process>/NAME? Returns NAME (which may
 * hold slashes), else NULL. */
const char *path_in_proc_self(const char *path);

#endif

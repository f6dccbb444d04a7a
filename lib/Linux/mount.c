/* Mounting and what else names a piece of the system by path: mount(2), swapon(2), acct(2). Data of file
 * systems is text: nothing to convert. Absolute paths mean the sysroot's, as everywhere. */
#include "Linux/host_syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <limits.h>

/* The host's path; or the guest's own pointer where there is no path to translate (absent, empty, not
 * readable, too long), for the host to judge. */
static const char *path_or_pointer(struct thread *thread, guest_addr path, char buffer[PATH_MAX]) {
  return path != 0 && guest_path(thread, path, buffer) == 0 ? buffer : guest_to_host(path);
}

/* A source can be a device, a directory to bind, or just a word. */
int32_t sys_mount(struct thread *thread, const uint32_t arg[6]) {
  char source[PATH_MAX], target[PATH_MAX];
  return (int32_t)HOST_CALL(SYS_mount, path_or_pointer(thread, arg[0], source),
                            path_or_pointer(thread, arg[1], target), guest_to_host(arg[2]), arg[3],
                            guest_to_host(arg[4]));
}

int32_t sys_umount2(struct thread *thread, const uint32_t arg[6]) {
  char target[PATH_MAX];
  return (int32_t)HOST_CALL(SYS_umount2, path_or_pointer(thread, arg[0], target), (int)arg[1]);
}

int32_t sys_umount(struct thread *thread, const uint32_t arg[6]) {
  return sys_umount2(thread, (const uint32_t[6]){arg[0], 0});
}

int32_t sys_pivot_root(struct thread *thread, const uint32_t arg[6]) {
  char root[PATH_MAX], old[PATH_MAX];
  return (int32_t)HOST_CALL(SYS_pivot_root, path_or_pointer(thread, arg[0], root),
                            path_or_pointer(thread, arg[1], old));
}

int32_t sys_swapon(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  return (int32_t)HOST_CALL(SYS_swapon, path_or_pointer(thread, arg[0], path), (int)arg[1]);
}

int32_t sys_swapoff(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  return (int32_t)HOST_CALL(SYS_swapoff, path_or_pointer(thread, arg[0], path));
}

int32_t sys_acct(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  return (int32_t)HOST_CALL(SYS_acct, path_or_pointer(thread, arg[0], path));
}

/* sysfs(2): the types of file systems, by number and name. */
int32_t sys_sysfs(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  enum { TYPE_TO_NAME = 2, TYPE_NAME_MAX = 256 };
  if (arg[0] == TYPE_TO_NAME)
    guest_memory_write_begin(arg[2], TYPE_NAME_MAX);
  return (int32_t)HOST_CALL(SYS_sysfs, (int)arg[0], arg[1], guest_to_host(arg[2]));
}

int32_t sys_open_tree(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  return (int32_t)HOST_CALL(SYS_open_tree, (int)arg[0], path_or_pointer(thread, arg[1], path), arg[2]);
}

int32_t sys_move_mount(struct thread *thread, const uint32_t arg[6]) {
  char from[PATH_MAX], to[PATH_MAX];
  return (int32_t)HOST_CALL(SYS_move_mount, (int)arg[0], path_or_pointer(thread, arg[1], from), (int)arg[2],
                            path_or_pointer(thread, arg[3], to), arg[4]);
}

int32_t sys_fsopen(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fsopen, guest_to_host(arg[0]), arg[1]);
}

int32_t sys_fsconfig(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fsconfig, (int)arg[0], arg[1], guest_to_host(arg[2]), guest_to_host(arg[3]),
                            (int)arg[4]);
}

int32_t sys_fsmount(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fsmount, (int)arg[0], arg[1], arg[2]);
}

int32_t sys_fspick(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  return (int32_t)HOST_CALL(SYS_fspick, (int)arg[0], path_or_pointer(thread, arg[1], path), arg[2]);
}

int32_t sys_mount_setattr(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  return (int32_t)HOST_CALL(SYS_mount_setattr, (int)arg[0], path_or_pointer(thread, arg[1], path), arg[2],
                            guest_to_host(arg[3]), arg[4]);
}

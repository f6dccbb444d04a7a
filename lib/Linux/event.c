/* Descriptors for events. The structures that are read from them, and struct epoll_event, have one layout on
 * i386 and x86-64; times and paths differ. */
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/path.h"
#include "Linux/poll_mask.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>

_Static_assert(sizeof(struct epoll_event) == 12, "as on i386");

/* --- epoll ----------------------------------------------------------------------------------- */

int32_t sys_epoll_create(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_epoll_create, arg[0]);
}
int32_t sys_epoll_create1(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_epoll_create1, arg[0]);
}
int32_t sys_epoll_ctl(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_epoll_ctl, arg[0], arg[1], arg[2], arg[3]);
}

/* Waiting, with number being the host's epoll_pwait or epoll_pwait2 and timeout its fourth argument. An
 * interrupted wait is EINTR, never restarted (signal(7)). */
static int32_t epoll_wait_any(struct thread *thread, long number, const uint32_t arg[6], long timeout,
                              struct poll_mask *mask) {
  const uint32_t room = (UINT32_MAX - arg[1]) / (uint32_t)sizeof(struct epoll_event);
  if ((int32_t)arg[2] > 0)
    guest_memory_write_begin(arg[1], (arg[2] < room ? arg[2] : room) * (uint32_t)sizeof(struct epoll_event));
  const uint64_t *host_mask = poll_mask_begin(thread, mask);
  const long result = HOST_CALL_BLOCKING(thread, number, arg[0], arg[1], (int32_t)arg[2], timeout, host_mask,
                                         sizeof *host_mask);
  poll_mask_end(thread, mask, result);
  return result == -ERESTARTSYS ? -ERESTARTNOINTR : (int32_t)result;
}

int32_t sys_epoll_wait(struct thread *thread, const uint32_t arg[6]) {
  struct poll_mask no_mask = {.given = false};
  return epoll_wait_any(thread, SYS_epoll_pwait, arg, (int32_t)arg[3], &no_mask);
}
int32_t sys_epoll_pwait(struct thread *thread, const uint32_t arg[6]) {
  struct poll_mask mask;
  int error = poll_mask_read(&mask, arg[4], arg[5]);
  return error ? error : epoll_wait_any(thread, SYS_epoll_pwait, arg, (int32_t)arg[3], &mask);
}
int32_t sys_epoll_pwait2(struct thread *thread, const uint32_t arg[6]) {
  struct poll_mask mask;
  struct timespec time;
  const struct timespec *timeout = guest_timespec_for_host(arg[3], TIME64, &time);
  if (timeout == HOST_UNREADABLE)
    return -EFAULT;
  int error = poll_mask_read(&mask, arg[4], arg[5]);
  return error ? error : epoll_wait_any(thread, SYS_epoll_pwait2, arg, (long)timeout, &mask);
}

/* --- eventfd, signalfd, timerfd -------------------------------------------------------------- */

int32_t sys_eventfd(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_eventfd2, arg[0], 0);
}
int32_t sys_eventfd2(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_eventfd2, arg[0], arg[1]);
}

/* The host's mask follows the guest's, so what the guest blocks stays for the host's signalfd. */
int32_t sys_signalfd4(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_signalfd4, (int)arg[0], arg[1], arg[2], arg[3]);
}
int32_t sys_signalfd(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_signalfd4, (int)arg[0], arg[1], arg[2], 0);
}

int32_t sys_timerfd_create(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_timerfd_create, arg[0], arg[1]);
}

static int32_t timer_set(const uint32_t arg[6], enum time_width width) {
  struct itimerspec new_value, old_value;
  const struct itimerspec *new = guest_itimerspec_for_host(arg[2], width, &new_value);
  const int32_t result =
      (int32_t)HOST_CALL(SYS_timerfd_settime, arg[0], arg[1], new ? new : HOST_UNREADABLE, &old_value);
  return result || arg[3] == 0 ? result : guest_itimerspec_out(arg[3], width, &old_value);
}
static int32_t timer_get(const uint32_t arg[6], enum time_width width) {
  struct itimerspec value;
  const int32_t result = (int32_t)HOST_CALL(SYS_timerfd_gettime, arg[0], &value);
  return result ? result : guest_itimerspec_out(arg[1], width, &value);
}

int32_t sys_timerfd_settime(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return timer_set(arg, TIME32);
}
int32_t sys_timerfd_settime64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return timer_set(arg, TIME64);
}
int32_t sys_timerfd_gettime(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return timer_get(arg, TIME32);
}
int32_t sys_timerfd_gettime64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return timer_get(arg, TIME64);
}

/* --- inotify, fanotify ----------------------------------------------------------------------- */

int32_t sys_inotify_init(struct thread *thread, const uint32_t arg[6]) {
  (void)thread, (void)arg;
  return (int32_t)HOST_CALL(SYS_inotify_init1, 0);
}
int32_t sys_inotify_init1(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_inotify_init1, arg[0]);
}
int32_t sys_inotify_add_watch(struct thread *thread, const uint32_t arg[6]) {
  char path[PATH_MAX];
  int error = guest_path_at(thread, arg[1], arg[2] & IN_DONT_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0, path);
  return error ? error : (int32_t)HOST_CALL(SYS_inotify_add_watch, arg[0], path, arg[2]);
}
int32_t sys_inotify_rm_watch(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_inotify_rm_watch, arg[0], (int32_t)arg[1]);
}

int32_t sys_fanotify_init(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_fanotify_init, arg[0], arg[1]);
}
/* The mask of 64 bits stands in two registers. */
int32_t sys_fanotify_mark(struct thread *thread, const uint32_t arg[6]) {
  const uint64_t mask = (uint64_t)arg[3] << 32 | arg[2];
  char path[PATH_MAX];
  const char *name = NULL; /* the descriptor itself */
  if (arg[5]) {
    int error = guest_path_at(thread, arg[5], arg[1] & FAN_MARK_DONT_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0, path);
    if (error)
      return error;
    name = path;
  }
  return (int32_t)HOST_CALL(SYS_fanotify_mark, arg[0], arg[1], mask, (int)arg[4], name);
}

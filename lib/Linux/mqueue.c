/* POSIX message queues: mq_overview(7). Descriptors and names are the host's. */
#include "Linux/abi_ipc.h"
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <linux/mqueue.h>
#include <signal.h>

static struct mq_attr *attributes_for_host(guest_addr from, struct mq_attr *to) {
  if (from == 0)
    return NULL;
  struct guest_mq_attr narrow;
  if (guest_copy_in(&narrow, from, sizeof narrow) != 0)
    return HOST_UNREADABLE;
  *to = (struct mq_attr){.mq_flags = narrow.mq_flags,
                         .mq_maxmsg = narrow.mq_maxmsg,
                         .mq_msgsize = narrow.mq_msgsize,
                         .mq_curmsgs = narrow.mq_curmsgs};
  return to;
}

int32_t sys_mq_open(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct mq_attr attributes;
  return (int32_t)HOST_CALL(SYS_mq_open, guest_to_host(arg[0]), (int)arg[1], arg[2],
                            attributes_for_host(arg[3], &attributes));
}

int32_t sys_mq_unlink(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_mq_unlink, guest_to_host(arg[0]));
}

/* Timeouts are absolute: starting again does not lengthen them. */
static int32_t queue_send(struct thread *thread, const uint32_t arg[6], enum time_width width) {
  struct timespec timeout;
  return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_mq_timedsend, (int)arg[0], guest_to_host(arg[1]),
                                                arg[2], arg[3],
                                                guest_timespec_for_host(arg[4], width, &timeout)));
}

int32_t sys_mq_timedsend(struct thread *thread, const uint32_t arg[6]) {
  return queue_send(thread, arg, TIME32);
}

int32_t sys_mq_timedsend_time64(struct thread *thread, const uint32_t arg[6]) {
  return queue_send(thread, arg, TIME64);
}

static int32_t queue_receive(struct thread *thread, const uint32_t arg[6], enum time_width width) {
  struct timespec timeout;
  if (arg[3] != 0)
    guest_memory_write_begin(arg[3], sizeof(uint32_t));
  return syscall_restartable(HOST_CALL_BLOCKING(thread, SYS_mq_timedreceive, (int)arg[0],
                                                guest_to_host(arg[1]), arg[2], guest_to_host(arg[3]),
                                                guest_timespec_for_host(arg[4], width, &timeout)));
}

int32_t sys_mq_timedreceive(struct thread *thread, const uint32_t arg[6]) {
  return queue_receive(thread, arg, TIME32);
}

int32_t sys_mq_timedreceive_time64(struct thread *thread, const uint32_t arg[6]) {
  return queue_receive(thread, arg, TIME64);
}

/* With SIGEV_THREAD the value points to a cookie and the signal is a netlink socket: the C library's way to
 * start a thread. Both are as good on the host. */
int32_t sys_mq_notify(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct sigevent event;
  const struct sigevent *host = guest_sigevent_for_host(arg[1], &event);
  return (int32_t)HOST_CALL(SYS_mq_notify, (int)arg[0], host);
}

int32_t sys_mq_getsetattr(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct mq_attr attributes, old;
  const long result =
      HOST_CALL(SYS_mq_getsetattr, (int)arg[0], attributes_for_host(arg[1], &attributes), &old);
  if (result < 0 || arg[2] == 0)
    return (int32_t)result;
  const struct guest_mq_attr narrow = {.mq_flags = (int32_t)old.mq_flags,
                                       .mq_maxmsg = (int32_t)old.mq_maxmsg,
                                       .mq_msgsize = (int32_t)old.mq_msgsize,
                                       .mq_curmsgs = (int32_t)old.mq_curmsgs};
  return guest_copy_out(arg[2], &narrow, sizeof narrow);
}

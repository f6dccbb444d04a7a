/* futex(2): the host's, on the guest's own words.
 *
 * Guest addresses are host addresses, so every operation means the same; only timeouts differ in shape. A
 * wait without a timeout restarts after a handler with SA_RESTART; one with a timeout ends with EINTR. */
#include "Linux/host_syscall.h"
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <linux/futex.h>
#include <time.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static bool takes_timeout(uint32_t command) {
  return command == FUTEX_WAIT || command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2 ||
         command == FUTEX_WAIT_BITSET || command == FUTEX_WAIT_REQUEUE_PI;
}

/* The kernel writes the words of these itself. */
static void release_words(uint32_t command, const uint32_t arg[6]) {
  switch (command) {
  case FUTEX_WAKE_OP:
  case FUTEX_CMP_REQUEUE_PI:
  case FUTEX_WAIT_REQUEUE_PI:
    guest_memory_write_begin(arg[4], sizeof(uint32_t));
    break;
  case FUTEX_LOCK_PI:
  case FUTEX_LOCK_PI2:
  case FUTEX_TRYLOCK_PI:
  case FUTEX_UNLOCK_PI:
    guest_memory_write_begin(arg[0], sizeof(uint32_t));
    break;
  }
}

static int32_t futex(struct thread *thread, const uint32_t arg[6], const struct timespec *timeout) {
  const uint32_t command = arg[1] & (uint32_t)FUTEX_CMD_MASK;
  release_words(command, arg);
  const long fourth = takes_timeout(command) ? (long)timeout : (long)arg[3];
  const long result = HOST_CALL_BLOCKING(thread, SYS_futex, guest_to_host(arg[0]), arg[1], arg[2], fourth,
                                         guest_to_host(arg[4]), arg[5]);
  if (result == -ERESTARTSYS)
    return -ERESTARTNOINTR; /* not entered: the signal came before */
  return timeout ? (int32_t)result : syscall_restartable(result);
}

int32_t sys_futex(struct thread *thread, const uint32_t arg[6]) {
  if (!takes_timeout(arg[1] & (uint32_t)FUTEX_CMD_MASK) || !arg[3])
    return futex(thread, arg, NULL);
  int32_t time[2];
  if (guest_copy_in(time, arg[3], sizeof time) < 0)
    return -EFAULT;
  const struct timespec timeout = {.tv_sec = time[0], .tv_nsec = time[1]};
  return futex(thread, arg, &timeout);
}

int32_t sys_futex_time64(struct thread *thread, const uint32_t arg[6]) {
  if (!takes_timeout(arg[1] & (uint32_t)FUTEX_CMD_MASK) || !arg[3])
    return futex(thread, arg, NULL);
  struct {
    int64_t seconds;
    int32_t nanoseconds, padding;
  } time;
  if (guest_copy_in(&time, arg[3], sizeof time) < 0)
    return -EFAULT;
  const struct timespec timeout = {.tv_sec = time.seconds, .tv_nsec = time.nanoseconds};
  return futex(thread, arg, &timeout);
}

/* struct futex_waitv and its timespec are the same on both sides. */
int32_t sys_futex_waitv(struct thread *thread, const uint32_t arg[6]) {
  enum { FUTEX_WAITV = 449 };
  const long result = HOST_CALL_BLOCKING(thread, FUTEX_WAITV, guest_to_host(arg[0]), arg[1], arg[2],
                                         guest_to_host(arg[3]), (int32_t)arg[4]);
  return result == -ERESTARTSYS ? -ERESTARTNOINTR : (int32_t)result;
}

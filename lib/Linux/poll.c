/* Waiting for descriptors: poll(2), select(2) and their relatives with a signal mask.
 *
 * How they are restarted when no handler ran: select, pselect and ppoll leave what remains of the time in the
 * caller's memory and start again with that; poll cannot, and goes on through restart_syscall(2) with
 * its deadline. With a handler all of them are EINTR. */
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/poll_mask.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>

enum { NANOSECONDS = 1000000000 };

static struct timespec monotonic_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now;
}

/* --- Signal masks ---------------------------------------------------------------------------- */

int poll_mask_read(struct poll_mask *mask, guest_addr address, uint32_t size) {
  *mask = (struct poll_mask){.given = address != 0};
  if (!mask->given)
    return 0;
  if (size != sizeof mask->guest)
    return -EINVAL;
  return guest_copy_in(&mask->guest, address, sizeof mask->guest);
}

const uint64_t *poll_mask_begin(struct thread *thread, struct poll_mask *mask) {
  if (!mask->given)
    return NULL;
  signal_temporary_mask_begin(thread, mask->guest);
  mask->host = signal_host_mask(mask->guest);
  return &mask->host;
}

void poll_mask_end(struct thread *thread, const struct poll_mask *mask, long result) {
  if (mask->given)
    signal_temporary_mask_end(thread, result);
}

/* What the dispatcher should do with a call that leaves the remaining time with its caller. */
static int32_t restart_if_silent(long result) {
  if (result == -ERESTARTSYS)
    return -ERESTARTNOINTR;
  return result == -EINTR ? -ERESTARTNOHAND : (int32_t)result;
}

/* The time that is left goes to the caller, unless it was zero or its personality forbids. If it cannot be
 * written, the result stands, but a silent restart would wait too long. */
static int32_t finish(const struct thread *thread, int32_t result, bool timed, int written) {
  const bool sticky = thread->process->personality & STICKY_TIMEOUTS;
  return result == -ERESTARTNOHAND && timed && (sticky || written < 0) ? -EINTR : result;
}

static bool keeps_timeout(const struct thread *thread) {
  return thread->process->personality & STICKY_TIMEOUTS;
}

/* --- poll ------------------------------------------------------------------------------------ */

static void release_pollfds(guest_addr fds, uint32_t count) {
  const uint32_t room = (UINT32_MAX - fds) / sizeof(struct pollfd);
  if (fds && count)
    guest_memory_write_begin(fds, (count < room ? count : room) * (uint32_t)sizeof(struct pollfd));
}

enum { POLL_FDS, POLL_COUNT, POLL_FOREVER }; /* syscall_restart.argument */

static int32_t poll_until(struct thread *thread, guest_addr fds, uint32_t count, int timeout);

static int32_t poll_resume(struct thread *thread) {
  const struct syscall_restart *restart = &thread->restart;
  const struct timespec now = monotonic_now();
  int64_t left = -1;
  if (!restart->argument[POLL_FOREVER]) {
    left = (restart->deadline_seconds - now.tv_sec) * 1000 +
           (restart->deadline_nanoseconds - now.tv_nsec + 999999) / 1000000;
    if (left < 0)
      left = 0;
  }
  return poll_until(thread, restart->argument[POLL_FDS], restart->argument[POLL_COUNT], (int)left);
}

static int32_t poll_until(struct thread *thread, guest_addr fds, uint32_t count, int timeout) {
  struct timespec deadline = monotonic_now();
  release_pollfds(fds, count);
  const long result = HOST_CALL_BLOCKING(thread, SYS_poll, fds, count, timeout);
  if (result != -EINTR && result != -ERESTARTSYS)
    return (int32_t)result;
  if (timeout > 0) {
    deadline.tv_sec += timeout / 1000;
    deadline.tv_nsec += timeout % 1000 * 1000000L;
    if (deadline.tv_nsec >= NANOSECONDS) {
      deadline.tv_nsec -= NANOSECONDS;
      deadline.tv_sec++;
    }
  }
  thread->restart = (struct syscall_restart){
      .resume = poll_resume,
      .deadline_seconds = deadline.tv_sec,
      .deadline_nanoseconds = deadline.tv_nsec,
      .argument = {[POLL_FDS] = fds, [POLL_COUNT] = count, [POLL_FOREVER] = timeout < 0},
  };
  /* Not entered and not a restart: the signal came first, and then comes the call as a whole. */
  if (result == -ERESTARTSYS && thread->syscall_number != 0)
    return -ERESTARTNOINTR;
  return -ERESTART_RESTARTBLOCK;
}

int32_t sys_poll(struct thread *thread, const uint32_t arg[6]) {
  return poll_until(thread, arg[0], arg[1], (int)arg[2]);
}

static int32_t poll_masked(struct thread *thread, const uint32_t arg[6], enum time_width width) {
  struct timespec time, *timeout = guest_timespec_for_host(arg[2], width, &time);
  struct poll_mask mask;
  if (timeout == HOST_UNREADABLE)
    return -EFAULT;
  if (timeout && (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= NANOSECONDS))
    return -EINVAL;
  int error = poll_mask_read(&mask, arg[3], arg[4]);
  if (error)
    return error;
  const bool timed = timeout && (time.tv_sec || time.tv_nsec);

  release_pollfds(arg[0], arg[1]);
  const uint64_t *host_mask = poll_mask_begin(thread, &mask);
  const long result =
      HOST_CALL_BLOCKING(thread, SYS_ppoll, arg[0], arg[1], timeout, host_mask, sizeof *host_mask);
  poll_mask_end(thread, &mask, result);
  const int written = timed && !keeps_timeout(thread) ? guest_timespec_out(arg[2], width, &time) : 0;
  return finish(thread, restart_if_silent(result), timed, written);
}

int32_t sys_ppoll(struct thread *thread, const uint32_t arg[6]) { return poll_masked(thread, arg, TIME32); }
int32_t sys_ppoll_time64(struct thread *thread, const uint32_t arg[6]) {
  return poll_masked(thread, arg, TIME64);
}

/* --- select ---------------------------------------------------------------------------------- */

/* Sets of the guest are whole 32-bit words, the host's whole 64-bit words: the bits are in the same
 * bytes, but the kernel must not touch the last four. */
enum { FIXED_BITS = 1024, SETS = 3 };
struct fd_sets {
  uint32_t guest_bytes, host_bytes;
  guest_addr address[SETS];
  uint8_t *bits; /* SETS times host_bytes; `fixed` or allocated */
  uint64_t fixed[SETS][FIXED_BITS / 64];
};

static uint8_t *set_bits(struct fd_sets *sets, int i) {
  return sets->address[i] ? sets->bits + (size_t)i * sets->host_bytes : NULL;
}

static int fd_sets_read(struct fd_sets *sets, int32_t *count, const guest_addr address[SETS]) {
  if (*count < 0)
    return -EINVAL;
  if (*count > FIXED_BITS) { /* the kernel looks at no more than the process can have */
    struct rlimit limit;
    if (HOST_CALL(SYS_getrlimit, RLIMIT_NOFILE, &limit) == 0 && (rlim_t)*count > limit.rlim_cur)
      *count = limit.rlim_cur > FIXED_BITS ? (int32_t)limit.rlim_cur : FIXED_BITS;
  }
  sets->guest_bytes = ((uint32_t)*count + 31) / 32 * 4;
  sets->host_bytes = ((uint32_t)*count + 63) / 64 * 8;
  sets->bits = (uint8_t *)sets->fixed;
  if (*count > FIXED_BITS)
    sets->bits = malloc((size_t)sets->host_bytes * SETS);
  if (!sets->bits)
    return -ENOMEM;
  memset(sets->bits, 0, (size_t)sets->host_bytes * SETS);
  for (int i = 0; i < SETS; i++) {
    sets->address[i] = address[i];
    if (address[i] && guest_copy_in(set_bits(sets, i), address[i], sets->guest_bytes) < 0)
      return -EFAULT;
  }
  return 0;
}

static int fd_sets_write(struct fd_sets *sets) {
  for (int i = 0; i < SETS; i++)
    if (sets->address[i] && guest_copy_out(sets->address[i], set_bits(sets, i), sets->guest_bytes) < 0)
      return -EFAULT;
  return 0;
}

static void fd_sets_free(struct fd_sets *sets) {
  if (sets->bits != (uint8_t *)sets->fixed)
    free(sets->bits);
}

/* The common part; *timeout becomes the time that is left. */
static int32_t select_sets(struct thread *thread, int32_t count, const guest_addr address[SETS],
                           struct timespec *timeout, struct poll_mask *mask) {
  struct fd_sets sets = {.bits = NULL};
  sets.bits = (uint8_t *)sets.fixed;
  long result = fd_sets_read(&sets, &count, address);
  if (result == 0) {
    const struct {
      const uint64_t *mask;
      size_t size;
    } host_mask = {poll_mask_begin(thread, mask), sizeof *host_mask.mask};
    result = HOST_CALL_BLOCKING(thread, SYS_pselect6, count, set_bits(&sets, 0), set_bits(&sets, 1),
                                set_bits(&sets, 2), timeout, &host_mask);
    poll_mask_end(thread, mask, result);
    if (result >= 0 && fd_sets_write(&sets) < 0)
      result = -EFAULT;
  }
  fd_sets_free(&sets);
  return restart_if_silent(result);
}

static int32_t select_timeval(struct thread *thread, int32_t count, const guest_addr address[SETS],
                              guest_addr timeout) {
  struct guest_timeval value;
  struct timespec time = {0};
  struct poll_mask no_mask = {.given = false};
  if (timeout) {
    if (guest_copy_in(&value, timeout, sizeof value) < 0)
      return -EFAULT;
    time.tv_sec = (int64_t)value.tv_sec + value.tv_usec / 1000000;
    time.tv_nsec = value.tv_usec % 1000000 * 1000L;
    if (time.tv_sec < 0 || time.tv_nsec < 0)
      return -EINVAL;
  }
  const bool timed = time.tv_sec || time.tv_nsec;
  const int32_t result = select_sets(thread, count, address, timeout ? &time : NULL, &no_mask);
  int written = 0;
  if (timed && !keeps_timeout(thread)) {
    value = (struct guest_timeval){(int32_t)time.tv_sec, (int32_t)(time.tv_nsec / 1000)};
    written = guest_copy_out(timeout, &value, sizeof value);
  }
  return finish(thread, result, timed, written);
}

int32_t sys__newselect(struct thread *thread, const uint32_t arg[6]) {
  return select_timeval(thread, (int32_t)arg[0], arg + 1, arg[4]);
}

/* The first Linux had only one argument for all five. */
int32_t sys_select(struct thread *thread, const uint32_t arg[6]) {
  uint32_t block[5];
  if (guest_copy_in(block, arg[0], sizeof block) < 0)
    return -EFAULT;
  return select_timeval(thread, (int32_t)block[0], block + 1, block[4]);
}

static int32_t select_masked(struct thread *thread, const uint32_t arg[6], enum time_width width) {
  struct timespec time, *timeout = guest_timespec_for_host(arg[4], width, &time);
  uint32_t mask_block[2] = {0, 0}; /* address and size */
  struct poll_mask mask;
  if (arg[5] && guest_copy_in(mask_block, arg[5], sizeof mask_block) < 0)
    return -EFAULT;
  if (timeout == HOST_UNREADABLE)
    return -EFAULT;
  if (timeout && (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= NANOSECONDS))
    return -EINVAL;
  int error = poll_mask_read(&mask, mask_block[0], mask_block[1]);
  if (error)
    return error;
  const bool timed = timeout && (time.tv_sec || time.tv_nsec);
  const int32_t result = select_sets(thread, (int32_t)arg[0], arg + 1, timeout, &mask);
  const int written = timed && !keeps_timeout(thread) ? guest_timespec_out(arg[4], width, &time) : 0;
  return finish(thread, result, timed, written);
}

int32_t sys_pselect6(struct thread *thread, const uint32_t arg[6]) {
  return select_masked(thread, arg, TIME32);
}
int32_t sys_pselect6_time64(struct thread *thread, const uint32_t arg[6]) {
  return select_masked(thread, arg, TIME64);
}

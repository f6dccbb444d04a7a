/* Clocks, sleeping and timers: time(7).
 *
 * Every call exists for 32-bit and, but for the oldest, for 64-bit seconds; one function does both, told
 * the width (abi_time.h). Clock readings go through the C library, whose vDSO call costs no kernel entry.
 *
 * A relative sleep that a signal interrupts reports what was left; if no handler ran, restart_syscall(2)
 * goes on to the deadline that was computed when the sleep began, so that stopping and continuing a
 * program does not lengthen its sleep. An absolute sleep simply starts again. */
#include "Linux/abi_time.h"
#include "Linux/host_syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <signal.h>
#include <sys/timex.h>

enum { NANOSECONDS = 1000000000 };

/* The kernel's KTIME_SEC_MAX: it counts nanoseconds in 63 bits. */
static const int64_t clock_seconds_max = INT64_MAX / NANOSECONDS;

/* --- The time of day ----------------------------------------------------------------------- */

int32_t sys_time(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  const int32_t now = (int32_t)HOST_CALL(SYS_time, 0);
  if (arg[0] != 0 && guest_copy_out(arg[0], &now, sizeof now) != 0)
    return -EFAULT;
  return now;
}

int32_t sys_stime(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  int32_t seconds;
  if (guest_copy_in(&seconds, arg[0], sizeof seconds) != 0)
    return -EFAULT;
  const struct timeval time = {.tv_sec = seconds};
  return (int32_t)HOST_CALL(SYS_settimeofday, &time, NULL);
}

int32_t sys_gettimeofday(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct timeval now;
  struct timezone zone;
  gettimeofday(&now, &zone);
  const struct guest_timeval narrow = {(int32_t)now.tv_sec, (int32_t)now.tv_usec};
  if (arg[0] != 0 && guest_copy_out(arg[0], &narrow, sizeof narrow) != 0)
    return -EFAULT;
  if (arg[1] != 0 && guest_copy_out(arg[1], &zone, sizeof zone) != 0)
    return -EFAULT;
  return 0;
}

int32_t sys_settimeofday(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct timeval time;
  struct guest_timeval narrow;
  struct timezone zone;
  if (arg[0] != 0) {
    if (guest_copy_in(&narrow, arg[0], sizeof narrow) != 0)
      return -EFAULT;
    time = (struct timeval){.tv_sec = narrow.tv_sec, .tv_usec = narrow.tv_usec};
  }
  if (arg[1] != 0 && guest_copy_in(&zone, arg[1], sizeof zone) != 0)
    return -EFAULT;
  return (int32_t)HOST_CALL(SYS_settimeofday, arg[0] ? &time : NULL, arg[1] ? &zone : NULL);
}

/* --- Clocks -------------------------------------------------------------------------------- */

static int32_t clock_read(clockid_t clock, guest_addr to, enum time_width width) {
  struct timespec now;
  if (clock_gettime(clock, &now) != 0)
    return -errno;
  return guest_timespec_out(to, width, &now);
}

int32_t sys_clock_gettime(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return clock_read((clockid_t)arg[0], arg[1], TIME32);
}

int32_t sys_clock_gettime64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return clock_read((clockid_t)arg[0], arg[1], TIME64);
}

static int32_t clock_set(clockid_t clock, guest_addr from, enum time_width width) {
  struct timespec time;
  const struct timespec *host = guest_timespec_for_host(from, width, &time);
  return (int32_t)HOST_CALL(SYS_clock_settime, clock, host ? host : HOST_UNREADABLE);
}

int32_t sys_clock_settime(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return clock_set((clockid_t)arg[0], arg[1], TIME32);
}

int32_t sys_clock_settime64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return clock_set((clockid_t)arg[0], arg[1], TIME64);
}

static int32_t clock_resolution(clockid_t clock, guest_addr to, enum time_width width) {
  struct timespec resolution;
  const long result = HOST_CALL(SYS_clock_getres, clock, &resolution);
  if (result < 0 || to == 0)
    return (int32_t)result;
  return guest_timespec_out(to, width, &resolution);
}

int32_t sys_clock_getres(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return clock_resolution((clockid_t)arg[0], arg[1], TIME32);
}

int32_t sys_clock_getres_time64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return clock_resolution((clockid_t)arg[0], arg[1], TIME64);
}

/* adjtimex(2) writes its struct back even when it fails, clock_adjtime(2) only when it does not. */
int32_t sys_adjtimex(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct guest_timex narrow;
  struct timex wide;
  if (guest_copy_in(&narrow, arg[0], sizeof narrow) != 0)
    return -EFAULT;
  guest_timex_to_host(&narrow, &wide);
  const long result = HOST_CALL(SYS_adjtimex, &wide);
  guest_timex_from_host(&wide, &narrow);
  return guest_copy_out(arg[0], &narrow, sizeof narrow) != 0 ? -EFAULT : (int32_t)result;
}

int32_t sys_clock_adjtime(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct guest_timex narrow;
  struct timex wide;
  if (guest_copy_in(&narrow, arg[1], sizeof narrow) != 0)
    return -EFAULT;
  guest_timex_to_host(&narrow, &wide);
  const long result = HOST_CALL(SYS_clock_adjtime, (clockid_t)arg[0], &wide);
  if (result < 0)
    return (int32_t)result;
  guest_timex_from_host(&wide, &narrow);
  return guest_copy_out(arg[1], &narrow, sizeof narrow) != 0 ? -EFAULT : (int32_t)result;
}

int32_t sys_clock_adjtime64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  guest_memory_write_begin(arg[1], sizeof(struct timex));
  return (int32_t)HOST_CALL(SYS_clock_adjtime, (clockid_t)arg[0], guest_to_host(arg[1]));
}

/* --- Sleeping ------------------------------------------------------------------------------ */

/* syscall_restart.argument of an interrupted relative sleep. */
enum { SLEEP_CLOCK, SLEEP_REMAINING, SLEEP_WIDTH };

static int32_t sleep_resume(struct thread *thread);

/* Reports what is left and leaves the rest to restart_syscall. */
static int32_t sleep_interrupted(struct thread *thread, const struct timespec *left) {
  const struct syscall_restart *restart = &thread->restart;
  const guest_addr remaining = restart->argument[SLEEP_REMAINING];
  if (remaining != 0 &&
      guest_timespec_out(remaining, (enum time_width)restart->argument[SLEEP_WIDTH], left) != 0)
    return -EFAULT;
  thread->restart.resume = sleep_resume;
  return -ERESTART_RESTARTBLOCK;
}

static int32_t sleep_resume(struct thread *thread) {
  const clockid_t clock = (clockid_t)thread->restart.argument[SLEEP_CLOCK];
  const struct timespec deadline = {.tv_sec = thread->restart.deadline_seconds,
                                    .tv_nsec = thread->restart.deadline_nanoseconds};
  const long result = HOST_CALL_BLOCKING(thread, SYS_clock_nanosleep, clock, TIMER_ABSTIME, &deadline, NULL);
  if (result != -EINTR && result != -ERESTARTSYS)
    return (int32_t)result;
  struct timespec now;
  clock_gettime(clock, &now);
  struct timespec left = {deadline.tv_sec - now.tv_sec, deadline.tv_nsec - now.tv_nsec};
  if (left.tv_nsec < 0) {
    left.tv_nsec += NANOSECONDS;
    left.tv_sec--;
  }
  return left.tv_sec < 0 ? 0 : sleep_interrupted(thread, &left);
}

static int32_t sleep_relative(struct thread *thread, clockid_t clock, const struct timespec *request,
                              guest_addr remaining, enum time_width width) {
  /* Setting the clock does not move the end of a relative sleep. */
  const clockid_t deadline_clock = clock == CLOCK_REALTIME ? CLOCK_MONOTONIC : clock;
  struct timespec start = {0}, left = {0};
  clock_gettime(deadline_clock, &start);

  const long result = HOST_CALL_BLOCKING(thread, SYS_clock_nanosleep, clock, 0, request, &left);
  if (result != -EINTR)
    return syscall_restartable(result);

  struct syscall_restart *restart = &thread->restart;
  restart->deadline_nanoseconds = start.tv_nsec + request->tv_nsec;
  const int64_t carry = restart->deadline_nanoseconds >= NANOSECONDS;
  restart->deadline_nanoseconds -= carry * NANOSECONDS;
  restart->deadline_seconds = request->tv_sec < clock_seconds_max - start.tv_sec - carry
                                  ? start.tv_sec + request->tv_sec + carry
                                  : clock_seconds_max;
  restart->argument[SLEEP_CLOCK] = (uint32_t)deadline_clock;
  restart->argument[SLEEP_REMAINING] = remaining;
  restart->argument[SLEEP_WIDTH] = width;
  return sleep_interrupted(thread, &left);
}

static int32_t sleep_on_clock(struct thread *thread, const uint32_t arg[6], enum time_width width) {
  const clockid_t clock = (clockid_t)arg[0];
  struct timespec time;
  const struct timespec *request = guest_timespec_for_host(arg[2], width, &time);
  if (request == NULL)
    request = HOST_UNREADABLE;
  if (!(arg[1] & TIMER_ABSTIME) && request == &time)
    return sleep_relative(thread, clock, request, arg[3], width);
  const long result = HOST_CALL_BLOCKING(thread, SYS_clock_nanosleep, clock, arg[1], request, NULL);
  return syscall_interrupted(result, -ERESTARTNOHAND);
}

int32_t sys_clock_nanosleep(struct thread *thread, const uint32_t arg[6]) {
  return sleep_on_clock(thread, arg, TIME32);
}

int32_t sys_clock_nanosleep_time64(struct thread *thread, const uint32_t arg[6]) {
  return sleep_on_clock(thread, arg, TIME64);
}

int32_t sys_nanosleep(struct thread *thread, const uint32_t arg[6]) {
  struct timespec time;
  if (guest_timespec_for_host(arg[0], TIME32, &time) != &time)
    return -EFAULT;
  return sleep_relative(thread, CLOCK_MONOTONIC, &time, arg[1], TIME32);
}

int32_t sys_restart_syscall(struct thread *thread, const uint32_t arg[6]) {
  (void)arg;
  int32_t (*resume)(struct thread *) = thread->restart.resume;
  thread->restart.resume = NULL;
  return resume ? resume(thread) : -EINTR;
}

/* --- Interval timers: setitimer(2) --------------------------------------------------------- */

int32_t sys_alarm(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_alarm, arg[0]);
}

int32_t sys_getitimer(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct itimerval value;
  const long result = HOST_CALL(SYS_getitimer, (int32_t)arg[0], &value);
  return result < 0 ? (int32_t)result : guest_itimerval_out(arg[1], &value);
}

int32_t sys_setitimer(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct itimerval value, old;
  const long result =
      HOST_CALL(SYS_setitimer, (int32_t)arg[0], guest_itimerval_for_host(arg[1], &value), &old);
  return result < 0 || arg[2] == 0 ? (int32_t)result : guest_itimerval_out(arg[2], &old);
}

/* --- POSIX timers: timer_create(2). Their ids are the host's. -------------------------------- */

int32_t sys_timer_create(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct sigevent event;
  int32_t id;
  const long result =
      HOST_CALL(SYS_timer_create, (clockid_t)arg[0], guest_sigevent_for_host(arg[1], &event), &id);
  if (result < 0)
    return (int32_t)result;
  if (guest_copy_out(arg[2], &id, sizeof id) != 0) {
    HOST_CALL(SYS_timer_delete, id);
    return -EFAULT;
  }
  return 0;
}

static int32_t timer_set(const uint32_t arg[6], enum time_width width) {
  struct itimerspec value, old;
  const long result = HOST_CALL(SYS_timer_settime, (int32_t)arg[0], (int32_t)arg[1],
                                guest_itimerspec_for_host(arg[2], width, &value), &old);
  return result < 0 || arg[3] == 0 ? (int32_t)result : guest_itimerspec_out(arg[3], width, &old);
}

int32_t sys_timer_settime(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return timer_set(arg, TIME32);
}

int32_t sys_timer_settime64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return timer_set(arg, TIME64);
}

static int32_t timer_get(const uint32_t arg[6], enum time_width width) {
  struct itimerspec value;
  const long result = HOST_CALL(SYS_timer_gettime, (int32_t)arg[0], &value);
  return result < 0 ? (int32_t)result : guest_itimerspec_out(arg[1], width, &value);
}

int32_t sys_timer_gettime(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return timer_get(arg, TIME32);
}

int32_t sys_timer_gettime64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return timer_get(arg, TIME64);
}

int32_t sys_timer_getoverrun(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_timer_getoverrun, (int32_t)arg[0]);
}

int32_t sys_timer_delete(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_timer_delete, (int32_t)arg[0]);
}

#include "Linux/abi_time.h"

#include "Runtime/guest_memory.h"

#include <signal.h>
#include <string.h>
#include <sys/timex.h>

/* linux/uapi names the thread of SIGEV_THREAD_ID; older C libraries do not. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static struct timespec timespec_widen(struct guest_timespec time) {
  return (struct timespec){.tv_sec = time.tv_sec, .tv_nsec = time.tv_nsec};
}

static struct guest_timespec timespec_narrow(struct timespec time) {
  return (struct guest_timespec){.tv_sec = (int32_t)time.tv_sec, .tv_nsec = (int32_t)time.tv_nsec};
}

static struct timeval timeval_widen(struct guest_timeval time) {
  return (struct timeval){.tv_sec = time.tv_sec, .tv_usec = time.tv_usec};
}

static struct guest_timeval timeval_narrow(struct timeval time) {
  return (struct guest_timeval){.tv_sec = (int32_t)time.tv_sec, .tv_usec = (int32_t)time.tv_usec};
}

struct timespec *guest_timespec_for_host(guest_addr from, enum time_width width, struct timespec *to) {
  if (from == 0)
    return NULL;
  if (width == TIME64) {
    if (guest_copy_in(to, from, sizeof *to) != 0)
      return HOST_UNREADABLE;
    to->tv_nsec &= UINT32_MAX;
    return to;
  }
  struct guest_timespec narrow;
  if (guest_copy_in(&narrow, from, sizeof narrow) != 0)
    return HOST_UNREADABLE;
  *to = timespec_widen(narrow);
  return to;
}

struct itimerspec *guest_itimerspec_for_host(guest_addr from, enum time_width width, struct itimerspec *to) {
  if (from == 0)
    return NULL;
  const guest_addr value = from + (width == TIME64 ? sizeof to->it_interval : sizeof(struct guest_timespec));
  if (guest_timespec_for_host(from, width, &to->it_interval) != &to->it_interval ||
      guest_timespec_for_host(value, width, &to->it_value) != &to->it_value)
    return HOST_UNREADABLE;
  return to;
}

struct itimerval *guest_itimerval_for_host(guest_addr from, struct itimerval *to) {
  if (from == 0)
    return NULL;
  struct guest_itimerval narrow;
  if (guest_copy_in(&narrow, from, sizeof narrow) != 0)
    return HOST_UNREADABLE;
  to->it_interval = timeval_widen(narrow.it_interval);
  to->it_value = timeval_widen(narrow.it_value);
  return to;
}

struct sigevent *guest_sigevent_for_host(guest_addr from, struct sigevent *to) {
  if (from == 0)
    return NULL;
  struct guest_sigevent event;
  if (guest_copy_in(&event, from, offsetof(struct guest_sigevent, reserved)) != 0)
    return HOST_UNREADABLE;
  *to = (struct sigevent){.sigev_signo = event.sigev_signo, .sigev_notify = event.sigev_notify};
  to->sigev_value.sival_ptr = guest_to_host(event.sigev_value);
  to->sigev_notify_thread_id = event.notify_thread_id;
  return to;
}

int guest_timespec_out(guest_addr to, enum time_width width, const struct timespec *from) {
  if (width == TIME64)
    return guest_copy_out(to, from, sizeof *from);
  const struct guest_timespec narrow = timespec_narrow(*from);
  return guest_copy_out(to, &narrow, sizeof narrow);
}

int guest_itimerspec_out(guest_addr to, enum time_width width, const struct itimerspec *from) {
  if (width == TIME64)
    return guest_copy_out(to, from, sizeof *from);
  const struct guest_itimerspec narrow = {timespec_narrow(from->it_interval),
                                          timespec_narrow(from->it_value)};
  return guest_copy_out(to, &narrow, sizeof narrow);
}

int guest_itimerval_out(guest_addr to, const struct itimerval *from) {
  const struct guest_itimerval narrow = {timeval_narrow(from->it_interval), timeval_narrow(from->it_value)};
  return guest_copy_out(to, &narrow, sizeof narrow);
}

/* The members that both structs have under one name and that only differ in width. */
#define TIMEX_MEMBERS(X)                                                                                     \
  X(modes)                                                                                                   \
  X(offset)                                                                                                  \
  X(freq)                                                                                                    \
  X(maxerror)                                                                                                \
  X(esterror) X(status) X(constant) X(precision) X(tolerance) X(tick) X(ppsfreq) X(jitter) X(shift)          \
      X(stabil) X(jitcnt) X(calcnt) X(errcnt) X(stbcnt) X(tai)

void guest_timex_to_host(const struct guest_timex *from, struct timex *to) {
  memset(to, 0, sizeof *to);
#define COPY(member) to->member = from->member;
  TIMEX_MEMBERS(COPY)
#undef COPY
  to->time = timeval_widen(from->time);
}

void guest_timex_from_host(const struct timex *from, struct guest_timex *to) {
  memset(to, 0, sizeof *to);
#define COPY(member) to->member = (int32_t)from->member;
  TIMEX_MEMBERS(COPY)
#undef COPY
  to->time = timeval_narrow(from->time);
}

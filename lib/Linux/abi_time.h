/* Times as the i386 kernel and its programs exchange them, and their way to the host's structs.
 *
 * Two widths: the old calls have 32-bit seconds (and end in 2038), the *64 and *_time64 calls the host's own
 * layout. There the kernel ignores the upper half of a nanosecond count that a 32-bit program passes, since
 * its C library leaves padding there; what the kernel writes is whole. */
#ifndef UEMU_LINUX_ABI_TIME_H
#define UEMU_LINUX_ABI_TIME_H

#include "Linux/abi.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

struct guest_timespec {
  int32_t tv_sec, tv_nsec;
};

struct guest_timeval {
  int32_t tv_sec, tv_usec;
};

struct guest_itimerspec {
  struct guest_timespec it_interval, it_value;
};

struct guest_itimerval {
  struct guest_timeval it_interval, it_value;
};

/* adjtimex(2) */
struct guest_timex {
  uint32_t modes;
  int32_t offset, freq, maxerror, esterror;
  int32_t status;
  int32_t constant, precision, tolerance;
  struct guest_timeval time;
  int32_t tick, ppsfreq, jitter, shift, stabil, jitcnt, calcnt, errcnt, stbcnt;
  int32_t tai;
  int32_t reserved[11];
};

/* sigevent(7): only the first four words are ever read. */
struct guest_sigevent {
  uint32_t sigev_value; /* union sigval */
  int32_t sigev_signo;
  int32_t sigev_notify;
  int32_t notify_thread_id;
  uint32_t reserved[12];
};

_Static_assert(sizeof(struct guest_itimerspec) == 16, "");
_Static_assert(sizeof(struct guest_itimerval) == 16, "");
_Static_assert(sizeof(struct guest_timex) == 128, "");
_Static_assert(sizeof(struct guest_sigevent) == 64, "");

enum time_width { TIME32, TIME64 };

/* A host pointer that the host's kernel cannot access. Handing it over instead of failing at once leaves
 * the kernel to decide whether EFAULT or another error comes first. */
#define HOST_UNREADABLE ((void *)-4096L)

/* What to hand to the host for a guest pointer to an input: NULL for 0, `to` filled from the guest, or
 * HOST_UNREADABLE. */
struct timespec *guest_timespec_for_host(guest_addr from, enum time_width width, struct timespec *to);
struct itimerspec *guest_itimerspec_for_host(guest_addr from, enum time_width width, struct itimerspec *to);
struct itimerval *guest_itimerval_for_host(guest_addr from, struct itimerval *to);
struct sigevent *guest_sigevent_for_host(guest_addr from, struct sigevent *to);

/* 0 or -EFAULT. */
int guest_timespec_out(guest_addr to, enum time_width width, const struct timespec *from);
int guest_itimerspec_out(guest_addr to, enum time_width width, const struct itimerspec *from);
int guest_itimerval_out(guest_addr to, const struct itimerval *from);

struct timex;
void guest_timex_to_host(const struct guest_timex *from, struct timex *to);
void guest_timex_from_host(const struct timex *from, struct guest_timex *to);

#endif

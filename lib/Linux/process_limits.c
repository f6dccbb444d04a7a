/* What a process may use, and how it is scheduled: getrlimit(2), nice(2), sched_setaffinity(2);
 * personality(2), prctl(2), and calls of system administrators that the host answers. */
#include "Linux/host_syscall.h"
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* --- Resource limits ---------------------------------------------------------------------------------
 * RLIMIT_AS and RLIMIT_DATA would count the emulator's own memory, the 4 GiB it reserves first of all: their
 * soft limits are the guest memory's business, their hard limits are kept here and only lowered. */

static bool is_memory_limit(uint32_t resource) { return resource == RLIMIT_AS || resource == RLIMIT_DATA; }

static uint64_t *hard_limit(struct process *process, uint32_t resource) {
  return resource == RLIMIT_AS ? &process->limit_address_space : &process->limit_data;
}

/* A hard limit of 0 is one that was never set: the host's. */
static int get_memory_limit(struct process *process, uint32_t resource, struct rlimit *limit) {
  if (getrlimit(resource, limit) != 0)
    return -errno;
  uint64_t soft[2];
  guest_memory_limits(&soft[0], &soft[1]);
  limit->rlim_cur = resource == RLIMIT_AS ? soft[0] : soft[1];
  if (*hard_limit(process, resource))
    limit->rlim_max = *hard_limit(process, resource) - 1;
  return 0;
}

static int set_memory_limit(struct process *process, uint32_t resource, const struct rlimit *limit) {
  struct rlimit now;
  const int error = get_memory_limit(process, resource, &now);
  if (error)
    return error;
  if (limit->rlim_cur > limit->rlim_max)
    return -EINVAL;
  if (limit->rlim_max > now.rlim_max && geteuid() != 0)
    return -EPERM;
  /* One more, so that 0 stays "never set"; infinity becomes just that. */
  *hard_limit(process, resource) = limit->rlim_max + 1;
  uint64_t soft[2];
  guest_memory_limits(&soft[0], &soft[1]);
  soft[resource == RLIMIT_AS ? 0 : 1] = limit->rlim_cur;
  guest_memory_set_limits(soft[0], soft[1]);
  return 0;
}

static int get_limit(struct thread *thread, uint32_t resource, struct rlimit *limit) {
  if (is_memory_limit(resource))
    return get_memory_limit(thread->process, resource, limit);
  return (int)HOST_CALL(SYS_prlimit64, 0, resource, NULL, limit);
}

static int set_limit(struct thread *thread, uint32_t resource, const struct rlimit *limit) {
  if (is_memory_limit(resource))
    return set_memory_limit(thread->process, resource, limit);
  return (int)HOST_CALL(SYS_prlimit64, 0, resource, limit, NULL);
}

/* 32-bit limits: what does not fit is the greatest that does. */
static int32_t get_limit_32(struct thread *thread, const uint32_t arg[6], uint32_t greatest) {
  struct rlimit limit;
  const int error = get_limit(thread, arg[0], &limit);
  if (error)
    return error;
  const uint32_t guest[2] = {limit.rlim_cur > greatest ? greatest : (uint32_t)limit.rlim_cur,
                             limit.rlim_max > greatest ? greatest : (uint32_t)limit.rlim_max};
  return guest_copy_out(arg[1], guest, sizeof guest);
}

int32_t sys_ugetrlimit(struct thread *thread, const uint32_t arg[6]) {
  return get_limit_32(thread, arg, UINT32_MAX);
}
int32_t sys_getrlimit(struct thread *thread, const uint32_t arg[6]) {
  return get_limit_32(thread, arg, INT32_MAX);
}

int32_t sys_setrlimit(struct thread *thread, const uint32_t arg[6]) {
  uint32_t guest[2];
  if (guest_copy_in(guest, arg[1], sizeof guest) < 0)
    return -EFAULT;
  const struct rlimit limit = {.rlim_cur = guest[0] == UINT32_MAX ? RLIM_INFINITY : guest[0],
                               .rlim_max = guest[1] == UINT32_MAX ? RLIM_INFINITY : guest[1]};
  return set_limit(thread, arg[0], &limit);
}

int32_t sys_prlimit64(struct thread *thread, const uint32_t arg[6]) {
  const int32_t pid = (int32_t)arg[0];
  const bool self = pid == 0 || pid == getpid();
  struct rlimit new_limit, old_limit;
  if (arg[2] && guest_copy_in(&new_limit, arg[2], sizeof new_limit) < 0)
    return -EFAULT;
  int error;
  if (self) {
    error = get_limit(thread, arg[1], &old_limit);
    if (error == 0 && arg[2])
      error = set_limit(thread, arg[1], &new_limit);
  } else {
    error = (int)HOST_CALL(SYS_prlimit64, pid, arg[1], arg[2] ? &new_limit : NULL, &old_limit);
  }
  if (error || !arg[3])
    return error;
  return guest_copy_out(arg[3], &old_limit, sizeof old_limit);
}

/* --- Priority and scheduling -------------------------------------------------------------------------- */

int32_t sys_getpriority(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_getpriority, (int32_t)arg[0], (int32_t)arg[1]);
}

int32_t sys_setpriority(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_setpriority, (int32_t)arg[0], (int32_t)arg[1], (int32_t)arg[2]);
}

int32_t sys_nice(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  enum { NICE_RANGE = 40, RAW_ZERO = 20 }; /* the raw getpriority answers 20 - nice */
  int32_t increment = (int32_t)arg[0];
  if (increment > NICE_RANGE)
    increment = NICE_RANGE;
  if (increment < -NICE_RANGE)
    increment = -NICE_RANGE;
  const int32_t now = RAW_ZERO - (int32_t)HOST_CALL(SYS_getpriority, PRIO_PROCESS, 0);
  const long error = HOST_CALL(SYS_setpriority, PRIO_PROCESS, 0, now + increment);
  return error == -EACCES ? -EPERM : (int32_t)error;
}

#define SCHED_CALL(name, count)                                                                              \
  int32_t sys_##name(struct thread *thread, const uint32_t arg[6]) {                                         \
    (void)thread;                                                                                            \
    (void)arg;                                                                                               \
    return (int32_t)HOST_CALL(SYS_##name, (count) > 0 ? (int32_t)arg[0] : 0,                                 \
                              (count) > 1 ? (int32_t)arg[1] : 0, (count) > 2 ? (int32_t)arg[2] : 0);         \
  }
SCHED_CALL(sched_yield, 0)
SCHED_CALL(sched_getscheduler, 1)
SCHED_CALL(sched_get_priority_max, 1)
SCHED_CALL(sched_get_priority_min, 1)

/* struct sched_param is one int, on both sides. */
int32_t sys_sched_setparam(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_sched_setparam, (int32_t)arg[0], guest_to_host(arg[1]));
}
int32_t sys_sched_getparam(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  guest_memory_write_begin(arg[1], sizeof(struct sched_param));
  return (int32_t)HOST_CALL(SYS_sched_getparam, (int32_t)arg[0], guest_to_host(arg[1]));
}
int32_t sys_sched_setscheduler(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_sched_setscheduler, (int32_t)arg[0], (int32_t)arg[1], guest_to_host(arg[2]));
}

/* struct sched_attr has only fields of fixed sizes. */
int32_t sys_sched_setattr(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  guest_memory_write_begin(arg[1], sizeof(uint32_t)); /* a size that is refused is corrected there */
  return (int32_t)HOST_CALL(SYS_sched_setattr, (int32_t)arg[0], guest_to_host(arg[1]), arg[2]);
}
int32_t sys_sched_getattr(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  guest_memory_write_begin(arg[1], arg[2] <= GUEST_PAGE_SIZE ? arg[2] : 0);
  return (int32_t)HOST_CALL(SYS_sched_getattr, (int32_t)arg[0], guest_to_host(arg[1]), arg[2], arg[3]);
}

static int32_t round_robin_interval(const uint32_t arg[6], bool time64) {
  struct timespec interval;
  const long error = HOST_CALL(SYS_sched_rr_get_interval, (int32_t)arg[0], &interval);
  if (error < 0)
    return (int32_t)error;
  const int64_t wide[2] = {interval.tv_sec, interval.tv_nsec};
  const int32_t small[2] = {(int32_t)interval.tv_sec, (int32_t)interval.tv_nsec};
  return time64 ? guest_copy_out(arg[1], wide, sizeof wide) : guest_copy_out(arg[1], small, sizeof small);
}
int32_t sys_sched_rr_get_interval(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return round_robin_interval(arg, false);
}
int32_t sys_sched_rr_get_interval_time64(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return round_robin_interval(arg, true);
}

/* CPU sets are arrays of longs: little-endian, so only their granularity differs. */
enum { CPU_SET_ROOM = 8192 / 8 };

int32_t sys_sched_setaffinity(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  uint8_t set[CPU_SET_ROOM] = {0};
  const uint32_t length = arg[1] < sizeof set ? arg[1] : sizeof set;
  if (guest_copy_in(set, arg[2], length) < 0)
    return -EFAULT;
  return (int32_t)HOST_CALL(SYS_sched_setaffinity, (int32_t)arg[0], sizeof set, set);
}

int32_t sys_sched_getaffinity(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  uint8_t set[CPU_SET_ROOM] = {0};
  if (arg[1] % sizeof(uint32_t))
    return -EINVAL;
  uint32_t length = arg[1] < sizeof set ? arg[1] : sizeof set;
  const uint32_t host_length = (length + 7) & ~7u;
  const long result = HOST_CALL(SYS_sched_getaffinity, (int32_t)arg[0], host_length, set);
  if (result < 0)
    return (int32_t)result;
  if (length > (uint32_t)result)
    length = (uint32_t)result;
  return guest_copy_out(arg[2], set, length) < 0 ? -EFAULT : (int32_t)length;
}

/* --- Personality --------------------------------------------------------------------------------------
 * The emulator lives with the host's personality too: what would change its own mappings stays out of it. */
int32_t sys_personality(struct thread *thread, const uint32_t arg[6]) {
  enum { QUERY = -1 };
  const uint32_t kept_from_host =
      READ_IMPLIES_EXEC | MMAP_PAGE_ZERO | ADDR_COMPAT_LAYOUT | ADDR_LIMIT_32BIT | ADDR_LIMIT_3GB;
  struct process *process = thread->process;
  const uint32_t old = process->personality;
  if (arg[0] != (uint32_t)QUERY) {
    process->personality = arg[0];
    guest_memory_set_read_implies_exec(arg[0] & READ_IMPLIES_EXEC);
    HOST_CALL(SYS_personality, arg[0] & ~kept_from_host);
  }
  return (int32_t)old;
}

/* --- prctl(2) ---------------------------------------------------------------------------------------- */

/* Options with plain numbers, or strings and buffers whose layout does not depend on the ABI. */
static const bool prctl_same[] = {
    [PR_SET_PDEATHSIG] = true,
    [PR_GET_DUMPABLE] = true,
    [PR_SET_DUMPABLE] = true,
    [PR_GET_KEEPCAPS] = true,
    [PR_SET_KEEPCAPS] = true,
    [PR_GET_TIMING] = true,
    [PR_SET_TIMING] = true,
    [PR_SET_NAME] = true,
    [PR_CAPBSET_READ] = true,
    [PR_CAPBSET_DROP] = true,
    [PR_GET_SECUREBITS] = true,
    [PR_SET_SECUREBITS] = true,
    [PR_SET_TIMERSLACK] = true,
    [PR_GET_TIMERSLACK] = true,
    [PR_MCE_KILL] = true,
    [PR_MCE_KILL_GET] = true,
    [PR_SET_CHILD_SUBREAPER] = true,
    [PR_SET_NO_NEW_PRIVS] = true,
    [PR_GET_NO_NEW_PRIVS] = true,
    [PR_GET_THP_DISABLE] = true,
    [PR_SET_THP_DISABLE] = true,
    [PR_CAP_AMBIENT] = true,
    [PR_GET_SPECULATION_CTRL] = true,
    [PR_GET_SECCOMP] = true,
};

int32_t sys_prctl(struct thread *thread, const uint32_t arg[6]) {
  enum { NAME_SIZE = 16 };
  const uint32_t option = arg[0];
  int number = 0;
  long result;
  switch (option) {
  case PR_GET_NAME:
    guest_memory_write_begin(arg[1], NAME_SIZE);
    return (int32_t)HOST_CALL(SYS_prctl, option, arg[1], arg[2], arg[3], arg[4]);
  case PR_GET_PDEATHSIG:
  case PR_GET_CHILD_SUBREAPER:
    result = HOST_CALL(SYS_prctl, option, &number, arg[2], arg[3], arg[4]);
    return result < 0 ? (int32_t)result : guest_copy_out(arg[1], &number, sizeof number);
  case PR_GET_TID_ADDRESS:
    return guest_copy_out(arg[1], &thread->clear_child_tid, sizeof thread->clear_child_tid);
  case PR_SET_SECCOMP:
    return -EINVAL; /* as a kernel without it: a filter would judge the emulator's calls */
  }
  if (option >= sizeof prctl_same || !prctl_same[option]) {
    log_line(LOG_UNIMPLEMENTED, "prctl option %u is not implemented", option);
    return -EINVAL;
  }
  result = HOST_CALL(SYS_prctl, option, arg[1], arg[2], arg[3], arg[4]);
  if (result == 0 && option == PR_SET_NAME && thread->tid == getpid())
    HOST_CALL(SYS_prctl, PR_GET_NAME, thread->process->comm);
  return (int32_t)result;
}

int32_t sys_seccomp(struct thread *thread, const uint32_t arg[6]) {
  (void)thread, (void)arg;
  return -EINVAL;
}

/* The options that 32-bit x86 has there are about CPUID faulting, which is not to be had. */
int32_t sys_arch_prctl(struct thread *thread, const uint32_t arg[6]) {
  (void)thread, (void)arg;
  return -EINVAL;
}

/* --- Others' processes ------------------------------------------------------------------------------- */

int32_t sys_ptrace(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  log_line(LOG_UNIMPLEMENTED, "ptrace request %u is not implemented", arg[0]);
  return -EPERM;
}

int32_t sys_unshare(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_unshare, arg[0]);
}

int32_t sys_setns(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_setns, (int32_t)arg[0], arg[1]);
}

int32_t sys_pidfd_open(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_pidfd_open, (int32_t)arg[0], arg[1]);
}

int32_t sys_pidfd_getfd(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_pidfd_getfd, (int32_t)arg[0], (int32_t)arg[1], arg[2]);
}

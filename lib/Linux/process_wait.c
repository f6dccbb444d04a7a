/* wait4(2), waitid(2), and the accounting that comes with it: getrusage(2), times(2). */
#include "Linux/host_syscall.h"
#include "Linux/signal.h"
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/wait.h>

/* struct rusage of the i386 ABI: sixteen 32-bit words. */
struct guest_rusage {
  int32_t user[2], system[2];
  int32_t count[14];
};

static int store_rusage(guest_addr address, const struct rusage *from) {
  const struct guest_rusage to = {
      .user = {(int32_t)from->ru_utime.tv_sec, (int32_t)from->ru_utime.tv_usec},
      .system = {(int32_t)from->ru_stime.tv_sec, (int32_t)from->ru_stime.tv_usec},
      .count = {(int32_t)from->ru_maxrss, (int32_t)from->ru_ixrss, (int32_t)from->ru_idrss,
                (int32_t)from->ru_isrss, (int32_t)from->ru_minflt, (int32_t)from->ru_majflt,
                (int32_t)from->ru_nswap, (int32_t)from->ru_inblock, (int32_t)from->ru_oublock,
                (int32_t)from->ru_msgsnd, (int32_t)from->ru_msgrcv, (int32_t)from->ru_nsignals,
                (int32_t)from->ru_nvcsw, (int32_t)from->ru_nivcsw},
  };
  return guest_copy_out(address, &to, sizeof to);
}

/* A wait that was not entered restarts whatever the handler says: the signal came before it. */
static int32_t wait_result(long result) {
  return result == -ERESTARTSYS ? -ERESTARTNOINTR : syscall_restartable(result);
}

int32_t sys_wait4(struct thread *thread, const uint32_t arg[6]) {
  int status = 0;
  struct rusage usage;
  const long result = HOST_CALL_BLOCKING(thread, SYS_wait4, (int32_t)arg[0], &status, (int32_t)arg[2],
                                         arg[3] ? &usage : NULL);
  if (result > 0) {
    if (arg[1] && guest_copy_out(arg[1], &status, sizeof status) < 0)
      return -EFAULT;
    if (arg[3] && store_rusage(arg[3], &usage) < 0)
      return -EFAULT;
  }
  return wait_result(result);
}

int32_t sys_waitpid(struct thread *thread, const uint32_t arg[6]) {
  const uint32_t as_wait4[6] = {arg[0], arg[1], arg[2], 0};
  return sys_wait4(thread, as_wait4);
}

int32_t sys_waitid(struct thread *thread, const uint32_t arg[6]) {
  siginfo_t info;
  struct rusage usage;
  memset(&info, 0, sizeof info);
  const long result = HOST_CALL_BLOCKING(thread, SYS_waitid, (int32_t)arg[0], (int32_t)arg[1], &info,
                                         (int32_t)arg[3], arg[4] ? &usage : NULL);
  if (result < 0)
    return wait_result(result);
  if (info.si_pid && arg[4] && store_rusage(arg[4], &usage) < 0)
    return -EFAULT;
  if (!arg[2])
    return 0;
  /* The kernel writes these fields and leaves the rest of the guest's siginfo as it was. */
  const int32_t words[] = {info.si_signo, 0, info.si_code, info.si_pid, (int32_t)info.si_uid, info.si_status};
  return guest_copy_out(arg[2], words, sizeof words);
}

int32_t sys_getrusage(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct rusage usage;
  const long error = HOST_CALL(SYS_getrusage, (int32_t)arg[0], &usage);
  return error < 0 ? (int32_t)error : store_rusage(arg[1], &usage);
}

int32_t sys_times(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  struct tms times;
  const long ticks = HOST_CALL(SYS_times, &times);
  if (arg[0]) {
    const int32_t guest[] = {(int32_t)times.tms_utime, (int32_t)times.tms_stime, (int32_t)times.tms_cutime,
                             (int32_t)times.tms_cstime};
    if (guest_copy_out(arg[0], guest, sizeof guest) < 0)
      return -EFAULT;
  }
  return (int32_t)ticks;
}

/* Raw system calls of the host: results or negative errnos, errno untouched.
 *
 * HOST_CALL enters the kernel whatever is pending: for calls that cannot block. HOST_CALL_BLOCKING
 * is host_syscall() (syscall.h) with missing arguments zero: for calls that can. */
#ifndef UEMU_LINUX_HOST_SYSCALL_H
#define UEMU_LINUX_HOST_SYSCALL_H

#include "Linux/syscall.h"

#include <sys/syscall.h>

long host_syscall_now(long number, long a0, long a1, long a2, long a3, long a4, long a5);

/* For the handlers of host signals. A thread whose PC lies in [host_syscall_start, host_syscall_end)
 * has looked at cpu->interrupt, or is about to, and has not entered the kernel, or the kernel has put it
 * back before the call: setting the PC to host_syscall_interrupted makes host_syscall() return
 * -ERESTARTSYS. At host_syscall_end the call is done and its result must be kept. */
extern const char host_syscall_start[], host_syscall_end[], host_syscall_interrupted[];

#define HOST_ARGUMENTS(a0, a1, a2, a3, a4, a5, ...)                                                          \
  (long)(a0), (long)(a1), (long)(a2), (long)(a3), (long)(a4), (long)(a5)
#define HOST_CALL(number, ...) host_syscall_now(number, HOST_ARGUMENTS(__VA_ARGS__, 0, 0, 0, 0, 0, 0))
#define HOST_CALL_BLOCKING(thread, number, ...)                                                              \
  host_syscall(thread, number, HOST_ARGUMENTS(__VA_ARGS__, 0, 0, 0, 0, 0, 0))

#endif

/* -strace: one line a system call, in the manner of strace(1). */
#ifndef UEMU_LINUX_STRACE_H
#define UEMU_LINUX_STRACE_H

#include "Linux/syscall.h"

/* The call with its result; row NULL: a number that the table does not know. */
void strace_call(const struct thread *thread, uint32_t number, const struct syscall_row *row,
                 const uint32_t arg[6], int32_t result);

/* The call alone, for those that do not come back. */
void strace_final_call(const struct thread *thread, uint32_t number, const struct syscall_row *row,
                       const uint32_t arg[6]);

#endif

/* What host_syscall.S takes for granted. */
#include "Linux/host_syscall.h"

#include <stddef.h>

_Static_assert(offsetof(struct thread, cpu) == 0, "THREAD_CPU");
_Static_assert(offsetof(struct cpu_state, interrupt) == 84, "CPU_INTERRUPT");
_Static_assert(ERESTARTSYS == 512, "ERESTARTSYS");

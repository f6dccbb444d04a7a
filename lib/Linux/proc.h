/* Files of /proc/self that would show the emulator: the guest's own instead (docs/syscalls.md). */
#ifndef UEMU_LINUX_PROC_H
#define UEMU_LINUX_PROC_H

#include "Linux/process.h"

/* Opens `path` (the host's) with the guest's flags if it is one of them: a descriptor of what the file
 * says now, or a negative errno. -ENOENT: it is none of them, open it as usual. */
int32_t proc_open(struct thread *thread, const char *path, uint32_t flags);

/* Once the program is loaded: tells the host's kernel where the guest's arguments, environment, stack and
 * segments are and what it is called, so that /proc/PID/cmdline, environ, stat and comm show them to
 * everybody (ps(1), other guests). Kernels that do not let us (prctl(2), PR_SET_MM_MAP) show the
 * emulator to others. */
void proc_publish(const struct process *process);

#endif

/* Files of /proc/self that would show the emulator: the guest's own instead (docs/syscalls.md). */
#ifndef UEMU_LINUX_PROC_H
#define UEMU_LINUX_PROC_H

#include "Linux/process.h"

/* Opens `path` (the host's) with the guest's flags if it is one of them: a descriptor of what the file
 * says now, or a negative errno. -ENOENT: it is none of them, open it as usual. */
int32_t proc_open(struct thread *thread, const char *path, uint32_t flags);

#endif

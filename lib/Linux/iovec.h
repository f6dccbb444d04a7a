/* struct iovec arrays of the guest. */
#ifndef UEMU_LINUX_IOVEC_H
#define UEMU_LINUX_IOVEC_H

#include "Runtime/cpu_state.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/uio.h>

enum { GUEST_IOVEC_LIMIT = 1024 /* UIO_MAXIOV */ };

/* Reads `count` elements at `vector` into host[GUEST_IOVEC_LIMIT]. kernel_writes: the kernel will write to
 * the buffers, so their pages are released first. Returns the count, -EINVAL (too many, or a length
 * that is negative as a 32-bit number) or -EFAULT. */
int guest_iovec(guest_addr vector, uint32_t count, bool kernel_writes, struct iovec *host);

#endif

/* The signal mask argument of ppoll(2), pselect(2) and epoll_pwait(2). */
#ifndef UEMU_LINUX_POLL_MASK_H
#define UEMU_LINUX_POLL_MASK_H

#include "Linux/signal.h"

struct poll_mask {
  bool given;
  uint64_t guest, host;
};

/* address 0: no mask. 0, -EINVAL (size is not 8) or -EFAULT. */
int poll_mask_read(struct poll_mask *mask, guest_addr address, uint32_t size);

/* Around the host's call: begin gives the mask to hand to it (NULL: none), end takes its result. */
const uint64_t *poll_mask_begin(struct thread *thread, struct poll_mask *mask);
void poll_mask_end(struct thread *thread, const struct poll_mask *mask, long result);

#endif

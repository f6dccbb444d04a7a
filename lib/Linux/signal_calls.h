/* The alternate signal stack (sigaltstack(2)), for frames and their return. */
#ifndef UEMU_LINUX_SIGNAL_CALLS_H
#define UEMU_LINUX_SIGNAL_CALLS_H

#include "Linux/process.h"

/* Is `sp` on it, as far as the kernel lets that matter (never with SS_AUTODISARM)? */
bool signal_on_altstack(const struct thread *thread, uint32_t sp);
/* The same by address alone. */
bool signal_on_altstack_memory(const struct thread *thread, uint32_t sp);
/* Sets it; 0, -EPERM, -EINVAL or -ENOMEM. */
int signal_altstack_set(struct thread *thread, guest_addr base, uint32_t flags, uint32_t size);
/* None, as a new thread has. */
void signal_altstack_reset(struct thread *thread);

#endif

/* Between the signal_*.c files. */
#ifndef UEMU_LINUX_SIGNAL_PRIVATE_H
#define UEMU_LINUX_SIGNAL_PRIVATE_H

#include "Linux/signal.h"

/* Dispositions and special flags as the i386 ABI numbers them (the same as the host's). */
enum { GUEST_SIG_DFL = 0, GUEST_SIG_IGN = 1 };
#define GUEST_SA_RESTORER 0x04000000u

static inline uint64_t signal_bit(int signal) { return UINT64_C(1) << (signal - 1); }

/* signal_frame.c: builds the frame on the guest's stack and turns the registers to the handler. 0, or
 * -EFAULT when the stack cannot hold it. `mask` is the one that sigreturn brings back. */
int signal_frame_push(struct thread *thread, int signal, const siginfo_t *info,
                      const struct guest_sigaction *action, uint64_t mask);

/* signal.c */
/* Gives the host the disposition that fits `action`. */
void signal_host_action(int signal, const struct guest_sigaction *action);
/* The five of SIGNAL_FAULT_COUNT: their index in signal_fault_info, -1 for every other signal. */
int signal_fault_index(int signal);
/* The kernel drops a signal that has this disposition without anybody seeing it. */
bool signal_is_ignored(int signal, const struct guest_sigaction *action);
/* Takes one of the five out of the inbox, if it is there and in `set`: its number, else 0. */
int signal_take_fault(struct thread *thread, uint64_t set, siginfo_t *info);

#endif

/* Signals of the guest: signal(7), sigaction(2), and the frames of the i386 kernel.
 *
 * Host handlers only queue; delivery happens at safe points, in the interrupt hook and on the way
 * out of system calls (docs/signals.md). */
#ifndef UEMU_LINUX_SIGNAL_H
#define UEMU_LINUX_SIGNAL_H

#include "Linux/process.h"
#include "Runtime/runtime.h"

/* Once a process: takes over the host dispositions (ignored stays ignored) and the mask. */
void signal_init(struct process *process, struct thread *main_thread);

/* Runtime hooks. */
void linux_trap(struct cpu_state *cpu, const struct trap *trap);
void linux_interrupt(struct cpu_state *cpu);

/* Before going back to guest code: delivers what is pending and not blocked; `result` is the
 * running system call's, and gets restarted or turned into EINTR as its handler says. */
void signal_deliver_pending(struct thread *thread);

/* Ends the emulator as the guest would end: by the same signal, with the same core bit. */
_Noreturn void signal_die(struct thread *thread, int signal);

#endif

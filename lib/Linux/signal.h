/* Signals of the guest: signal(7), sigaction(2), and the frames of the i386 kernel.
 *
 * Host handlers only queue; delivery happens at safe points, in the interrupt hook and on the way
 * out of system calls (docs/signals.md). */
#ifndef UEMU_LINUX_SIGNAL_H
#define UEMU_LINUX_SIGNAL_H

#include "Linux/process.h"
#include "Runtime/runtime.h"

/* Once a process, before runtime_init, which installs handlers: takes over the host's dispositions (ignored
 * stays ignored). */
void signal_inherit(struct process *process);

/* Once a process, on the main thread, after runtime_init: takes over the mask, makes main_thread the current
 * one, and lets signals in. */
void signal_init(struct process *process, struct thread *main_thread);

/* Runtime hooks. */
void linux_trap(struct cpu_state *cpu, const struct trap *trap);
void linux_interrupt(struct cpu_state *cpu);

/* Before going back to guest code: delivers what is pending and not blocked; `result` is the
 * running system call's, and gets restarted or turned into EINTR as its handler says. */
void signal_deliver_pending(struct thread *thread);

/* Ends the emulator as the guest would end: by the same signal, with the same core bit. */
_Noreturn void signal_die(struct thread *thread, int signal);

/* Sends `thread` itself a signal that it can neither block nor ignore, as a fault does. */
void signal_force(struct thread *thread, int signal, int code, guest_addr address);

/* --- Masks --------------------------------------------------------------------------------
 * Bit n-1 stands for signal n. The host's mask follows the guest's, less the five of
 * SIGNAL_FAULT_COUNT. */
uint64_t signal_host_mask(uint64_t guest_mask);

/* Sets the guest's mask (SIGKILL and SIGSTOP taken out), the host's too. False if a signal had arrived
 * before: nothing was changed, and the caller answers -ERESTARTNOINTR so that it is delivered first. */
bool signal_set_mask(struct thread *thread, uint64_t mask);

/* For calls that block under a mask of their own (ppoll, pselect6, epoll_pwait): begin says that the
 * guest's mask is `mask` from now on; the host call gets signal_host_mask(mask); end, with its
 * result, puts the old mask back unless the call was interrupted: then delivery does. */
void signal_temporary_mask_begin(struct thread *thread, uint64_t mask);
void signal_temporary_mask_end(struct thread *thread, long result);

/* Holds every host signal off, for a call that must not be mixed with one (fork, execve, exit). False if
 * one has arrived already: not held, and the caller answers -ERESTARTNOINTR. Release lets them in again
 * as the guest's mask says. */
bool signal_hold(struct thread *thread);
void signal_release(struct thread *thread);

/* On a new host thread, with its signals held: what the host keeps for each thread. */
void signal_thread_init(struct thread *thread);
/* Before the host thread ends: no signal finds it any more; thread_current() is NULL. */
void signal_thread_end(struct thread *thread);

/* In a child process: forgets what had arrived for the parent. */
void signal_forget(struct thread *thread);

/* The dispositions and the mask that a program started by execve(2) inherits, put where the host kernel
 * hands them on; restore undoes it after a failure. Signals are held; between the two the caller does
 * nothing but the host call: the host may block what the runtime needs. */
struct signal_exec_saved {
  uint64_t action[SIGNAL_FAULT_COUNT][4];
};
void signal_exec_prepare(struct thread *thread, struct signal_exec_saved *saved);
void signal_exec_restore(struct thread *thread, const struct signal_exec_saved *saved);

/* siginfo as the i386 ABI has it: 128 bytes. */
struct guest_siginfo {
  int32_t signo, error, code;
  uint32_t field[29];
};
void signal_info_to_guest(struct guest_siginfo *to, const siginfo_t *from);
void signal_info_from_guest(siginfo_t *to, const struct guest_siginfo *from);

#endif

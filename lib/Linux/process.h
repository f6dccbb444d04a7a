/* The guest's process and threads, as the Linux layer keeps them.
 *
 * One struct process for the process (a vfork child that shares memory gets its own copy), one
 * struct thread a guest thread. There is no other mutable state in lib/Linux. */
#ifndef UEMU_LINUX_PROCESS_H
#define UEMU_LINUX_PROCESS_H

#include "Runtime/cpu_state.h"

#include <linux/limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { GUEST_SIGNAL_COUNT = 64 };

/* SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP: the runtime needs them for faults, so the host never blocks
 * them, whatever the guest does. */
enum { SIGNAL_FAULT_COUNT = 5 };

/* struct sigaction as the i386 kernel keeps it (rt_sigaction(2)). */
struct guest_sigaction {
  guest_addr handler; /* 0 SIG_DFL, 1 SIG_IGN */
  guest_addr restorer;
  uint32_t flags;
  uint64_t mask; /* bit n-1: signal n */
};

struct process {
  /* What execve under the emulator hands on, and what opens look under. */
  const char *sysroot;       /* -L DIR without a trailing slash, or NULL */
  int self_fd;               /* the emulator's own executable, O_PATH|O_CLOEXEC */
  char *const *self_options; /* the options to start it with again, NULL-terminated */
  bool strace;
  char exe_path[PATH_MAX]; /* the guest program, absolute, as /proc/self/exe shows it */
  char comm[16];           /* its short name */

  /* The image's record (exec.md: code, data, brk, stack, arguments). */
  guest_addr start_code, end_code, start_data, end_data, start_brk, start_stack;
  guest_addr arg_start, arg_end, env_start, env_end, auxv_start;
  uint32_t auxv_length;                                     /* bytes */
  guest_addr vdso;                                          /* its ELF header, 0 without one */
  guest_addr sigreturn_trampoline, rt_sigreturn_trampoline; /* code the frames return to */
  uint32_t personality;

  int thread_count; /* where thread->thread_count of the first threads points */

  struct guest_sigaction action[GUEST_SIGNAL_COUNT]; /* index signal-1; under signal_lock */
  int signal_lock;                                   /* process_lock() */

  /* segment.c: the local descriptor table of modify_ldt(2), as the CPU has its entries; NULL before
   * the first entry is written. ldt_count: entries up to the last one in use. */
  uint64_t *ldt;
  uint32_t ldt_count;
  uint32_t ldt_changes; /* how often it was written to (atomic) */
  int ldt_lock;

  /* Called before the process ends or executes another program; `how` says which. NULL: nobody asked. */
  void (*at_end)(const struct process *process, const char *how);
  uint64_t signals_delivered; /* to handlers; atomic */

  /* process_limits.c: the guest's hard limits of RLIMIT_AS and RLIMIT_DATA plus one; 0: the host's. */
  uint64_t limit_address_space, limit_data;
};

struct thread;

/* How restart_syscall(2) goes on with a call that answered ERESTART_RESTARTBLOCK. The call fills it;
 * deadline and argument mean what its resume function says. NULL: nothing to go on with, EINTR. */
struct syscall_restart {
  int32_t (*resume)(struct thread *thread);
  int64_t deadline_seconds;
  int64_t deadline_nanoseconds;
  uint32_t argument[4];
};

struct thread {
  struct cpu_state *cpu; /* cpu->owner points back here */
  struct process *process;
  pid_t tid;
  bool in_syscall;
  uint32_t syscall_number; /* of the running call; restarts and strace */
  struct syscall_restart restart;

  /* signal.c */
  uint64_t signal_mask;       /* the guest's; bit n-1: signal n */
  uint64_t signal_saved_mask; /* sigsuspend, ppoll … */
  bool signal_restore_mask;
  guest_addr altstack_base;
  uint32_t altstack_size, altstack_flags;
  /* What the host handlers left for the next safe point (docs/signals.md). While signal_arrived is
   * set, the host blocks every further signal but those of enum signal_fault, which have places of
   * their own: bit i of signal_faults says that signal_fault_info[i] is filled. */
  volatile int signal_arrived;
  siginfo_t signal_arrived_info;
  volatile uint32_t signal_faults;
  siginfo_t signal_fault_info[SIGNAL_FAULT_COUNT];
  void *host_altstack; /* where host handlers run, if this layer allocated it */
  size_t host_altstack_size;
  /* The last fault, which every signal frame shows: trapno, err, cr2. */
  uint32_t trap_number, trap_error;
  guest_addr trap_address;

  /* thread.c */
  guest_addr clear_child_tid; /* set_tid_address(2) */
  guest_addr robust_list;     /* set_robust_list(2) */
  uint32_t robust_list_length;
  uint64_t gdt_tls[3]; /* the three TLS descriptors of set_thread_area(2) */
  uint32_t ldt_seen;   /* process->ldt_changes when its segment registers were loaded from there */
  void **exit_point;   /* where exit(2) jumps to on a host thread of its own; NULL: the host's exit */
  int *thread_count;   /* the guest threads of this thread group, atomic: the emulator has others */
};

static inline struct thread *thread_of(struct cpu_state *cpu) { return cpu->owner; }

/* The thread that the calling host thread runs; NULL if it runs none. Async-signal-safe. */
struct thread *thread_current(void);

/* Makes the calling host thread `thread`'s: before its first guest instruction. */
void thread_set_current(struct thread *thread);

static inline void process_at_end(const struct process *process, const char *how) {
  if (process->at_end)
    process->at_end(process, how);
}

/* Locks of struct process: a word each, zero when free. They work across fork and in memory shared with
 * a vfork child; not recursive, not for signal handlers. */
void process_lock(int *lock);
void process_unlock(int *lock);

#endif

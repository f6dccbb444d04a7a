/* Delivery: from the inbox (signal.c) to a frame on the guest's stack, and what happens to a system call
 * that the signal interrupted; faults of guest code; death by a signal.
 *
 * The order of things is the kernel's (kernel/signal.c get_signal(), arch/x86/kernel/signal.c
 * arch_do_signal_or_restart()): a handler's own mask is set only after its frame is built, SA_RESETHAND
 * resets when the signal is taken, a frame that does not fit is a SIGSEGV. */
#include "Linux/host_syscall.h"
#include "Linux/segment.h"
#include "Linux/signal_private.h"
#include "Linux/syscall.h"
#include "Linux/thread.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* Lowest first, as the kernel looks for the signals that faults raise before all others. */
static int take_fault(struct thread *thread, uint64_t set, siginfo_t *info) {
  int best = 0, best_index = -1;
  for (int signal = 1; signal <= 31 && !best; signal++) {
    best_index = signal_fault_index(signal);
    if (best_index >= 0 && thread->signal_faults & 1u << best_index && set & signal_bit(signal))
      best = signal;
  }
  if (best) {
    *info = thread->signal_fault_info[best_index];
    thread->signal_faults &= ~(1u << best_index);
  }
  return best;
}

int signal_take_fault(struct thread *thread, uint64_t set, siginfo_t *info) {
  return thread->signal_faults ? take_fault(thread, set, info) : 0;
}

/* The next signal to deliver; 0 when there is none. */
static int take_signal(struct thread *thread, siginfo_t *info) {
  int signal = signal_take_fault(thread, ~thread->signal_mask, info);
  if (signal)
    return signal;
  signal = thread->signal_arrived;
  if (signal) {
    *info = thread->signal_arrived_info;
    thread->signal_arrived = 0;
  }
  return signal;
}

/* --- System calls that were interrupted ------------------------------------------------------- */

static bool wants_restart(const struct thread *thread) {
  const int32_t result = (int32_t)thread->cpu->gpr[GPR_EAX];
  return thread->in_syscall && (result == -ERESTARTSYS || result == -ERESTARTNOINTR ||
                                result == -ERESTARTNOHAND || result == -ERESTART_RESTARTBLOCK);
}

static void call_again(struct thread *thread, uint32_t number) {
  enum { INT_0X80_LENGTH = 2 };
  thread->cpu->gpr[GPR_EAX] = number;
  thread->cpu->eip -= INT_0X80_LENGTH;
  runtime_redirect(thread->cpu);
}

/* A handler is about to run. */
static void restart_with_handler(struct thread *thread, uint32_t handler_flags) {
  if (wants_restart(thread)) {
    const int32_t result = (int32_t)thread->cpu->gpr[GPR_EAX];
    if (result == -ERESTARTNOINTR || (result == -ERESTARTSYS && handler_flags & SA_RESTART))
      call_again(thread, thread->syscall_number);
    else
      thread->cpu->gpr[GPR_EAX] = (uint32_t)-EINTR;
  }
  thread->in_syscall = false;
}

/* No handler ran. */
static void restart_silently(struct thread *thread) {
  enum { RESTART_SYSCALL = 0 };
  if (wants_restart(thread))
    call_again(thread, (int32_t)thread->cpu->gpr[GPR_EAX] == -ERESTART_RESTARTBLOCK ? RESTART_SYSCALL
                                                                                    : thread->syscall_number);
  thread->in_syscall = false;
}

/* --- Delivery ------------------------------------------------------------------------------ */

/* Copies the action; a one-shot handler is used up by that. */
static struct guest_sigaction take_action(struct process *process, int signal) {
  process_lock(&process->signal_lock);
  struct guest_sigaction *action = &process->action[signal - 1];
  const struct guest_sigaction taken = *action;
  if (taken.handler > GUEST_SIG_IGN && taken.flags & SA_RESETHAND) {
    action->handler = GUEST_SIG_DFL;
    signal_host_action(signal, action);
  }
  process_unlock(&process->signal_lock);
  return taken;
}

/* The signal has no handler (any more): let the host do what its default is, to the whole process. */
static void default_action(struct thread *thread, int signal, const siginfo_t *info) {
  if (signal_fault_index(signal) >= 0)
    signal_die(thread, signal);
  /* The host's disposition is the default too; the signal is let in when the mask is set again. */
  HOST_CALL(SYS_rt_tgsigqueueinfo, getpid(), gettid(), signal, info);
}

static void altstack_disarm(struct thread *thread) {
  enum { GUEST_SS_DISABLE = 2 };
  if (!(thread->altstack_flags & 1u << 31)) /* SS_AUTODISARM */
    return;
  thread->altstack_base = thread->altstack_size = 0;
  thread->altstack_flags = GUEST_SS_DISABLE;
}

static void deliver(struct thread *thread, int signal, const siginfo_t *info) {
  const struct guest_sigaction action = take_action(thread->process, signal);
  if (action.handler == GUEST_SIG_IGN ||
      (action.handler == GUEST_SIG_DFL && signal_is_ignored(signal, &action))) {
    signal_release(thread);
    return;
  }
  if (action.handler == GUEST_SIG_DFL) {
    default_action(thread, signal, info);
    signal_release(thread);
    return;
  }
  log_line(LOG_SIGNAL, "signal %d (code %d): handler %#x at eip %#x", signal, info->si_code, action.handler,
           thread->cpu->eip);
  restart_with_handler(thread, action.flags);
  const uint64_t saved = thread->signal_restore_mask ? thread->signal_saved_mask : thread->signal_mask;
  if (signal_frame_push(thread, signal, info, &action, saved) < 0) {
    if (signal == SIGSEGV)
      signal_die(thread, SIGSEGV);
    signal_force(thread, SIGSEGV, SI_KERNEL, 0);
    return;
  }
  thread->signal_restore_mask = false;
  __atomic_add_fetch(&thread->process->signals_delivered, 1, __ATOMIC_RELAXED);
  thread->signal_mask |= action.mask;
  if (!(action.flags & SA_NODEFER))
    thread->signal_mask |= signal_bit(signal);
  altstack_disarm(thread);
  signal_release(thread);
}

void signal_deliver_pending(struct thread *thread) {
  for (;;) {
    atomic_store_explicit((_Atomic uint32_t *)&thread->cpu->interrupt, 0, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    segment_see_changes(thread);
    siginfo_t info;
    const int signal = take_signal(thread, &info);
    if (signal) {
      deliver(thread, signal, &info);
      continue;
    }
    restart_silently(thread);
    if (!thread->signal_restore_mask)
      return;
    thread->signal_restore_mask = false;
    thread->signal_mask = thread->signal_saved_mask;
    signal_release(thread);
  }
}

void linux_interrupt(struct cpu_state *cpu) {
  struct thread *thread = thread_of(cpu);
  thread->in_syscall = false;
  signal_deliver_pending(thread);
}

/* --- Faults -------------------------------------------------------------------------------- */

static void force(struct thread *thread, const siginfo_t *info) {
  const int signal = info->si_signo;
  struct process *process = thread->process;
  process_lock(&process->signal_lock);
  const guest_addr handler = process->action[signal - 1].handler;
  process_unlock(&process->signal_lock);
  const bool blocked = thread->signal_mask & signal_bit(signal);
  if (blocked || handler <= GUEST_SIG_IGN) {
    log_line(LOG_SIGNAL, "signal %d (code %d) %s at eip %#x, address %#x", signal, info->si_code,
             blocked ? "while blocked" : "without a handler", thread->cpu->eip,
             (uint32_t)(uintptr_t)info->si_addr);
    signal_die(thread, signal);
  }
  deliver(thread, signal, info);
}

void signal_force(struct thread *thread, int signal, int code, guest_addr address) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  info.si_signo = signal;
  info.si_code = code;
  if (code != SI_KERNEL)
    info.si_addr = guest_to_host(address);
  force(thread, &info);
}

/* What each vector is to the guest (arch/x86/kernel/traps.c). Code 0: found out by fault_code(). */
struct trap_row {
  uint8_t signal;
  uint8_t code;
  enum { ADDRESS_NONE, ADDRESS_EIP, ADDRESS_FAULT } address;
};
static const struct trap_row trap_table[] = {
    [TRAP_DE] = {SIGFPE, FPE_INTDIV, ADDRESS_EIP},
    [TRAP_DB] = {SIGTRAP, 0, ADDRESS_EIP},
    [TRAP_BP] = {SIGTRAP, SI_KERNEL, ADDRESS_NONE},
    [TRAP_OF] = {SIGSEGV, SI_KERNEL, ADDRESS_NONE},
    [TRAP_BR] = {SIGSEGV, SI_KERNEL, ADDRESS_NONE},
    [TRAP_UD] = {SIGILL, ILL_ILLOPN, ADDRESS_EIP},
    [TRAP_NM] = {SIGSEGV, SI_KERNEL, ADDRESS_NONE},
    [10 /* #TS */] = {SIGSEGV, SI_KERNEL, ADDRESS_NONE},
    [11 /* #NP */] = {SIGBUS, SI_KERNEL, ADDRESS_NONE},
    [TRAP_SS] = {SIGBUS, SI_KERNEL, ADDRESS_NONE},
    [TRAP_GP] = {SIGSEGV, SI_KERNEL, ADDRESS_NONE},
    [TRAP_PF] = {SIGSEGV, 0, ADDRESS_FAULT},
    [TRAP_MF] = {SIGFPE, 0, ADDRESS_EIP},
    [TRAP_AC] = {SIGBUS, BUS_ADRALN, ADDRESS_NONE},
    [TRAP_XM] = {SIGFPE, 0, ADDRESS_EIP},
};

/* The exception that is raised and unmasked, in the order of the bits' meaning (fpu__exception_code()). */
static int fpu_code(const struct cpu_state *cpu, uint32_t vector) {
  enum {
    INVALID = 0x01,
    DENORMAL = 0x02,
    ZERO_DIVIDE = 0x04,
    OVERFLOW = 0x08,
    UNDERFLOW = 0x10,
    PRECISION = 0x20
  };
  uint8_t image[512] __attribute__((aligned(16)));
  runtime_fpu_save(cpu, image);
  uint16_t control, status;
  uint32_t mxcsr;
  memcpy(&control, image, 2);
  memcpy(&status, image + 2, 2);
  memcpy(&mxcsr, image + 24, 4);
  const uint32_t raised = vector == TRAP_MF ? status & ~control : mxcsr & ~(mxcsr >> 7);
  if (raised & INVALID)
    return FPE_FLTINV;
  if (raised & ZERO_DIVIDE)
    return FPE_FLTDIV;
  if (raised & OVERFLOW)
    return FPE_FLTOVF;
  if (raised & (DENORMAL | UNDERFLOW))
    return FPE_FLTUND;
  return raised & PRECISION ? FPE_FLTRES : FPE_FLTUNK;
}

static int fault_code(const struct cpu_state *cpu, const struct trap *trap) {
  switch (trap->vector) {
  case TRAP_DB:
    return trap->host_code ? trap->host_code : TRAP_BRKPT; /* a single step; int1 */
  case TRAP_PF:
    return guest_memory_page(trap->address) & GUEST_PAGE_MAPPED ? SEGV_ACCERR : SEGV_MAPERR;
  default:
    return fpu_code(cpu, trap->vector);
  }
}

void linux_trap(struct cpu_state *cpu, const struct trap *trap) {
  enum { PAGE_FAULT_USER = 4 };
  struct thread *thread = thread_of(cpu);
  struct trap_row row = {SIGSEGV, SI_KERNEL, ADDRESS_NONE};
  if (trap->vector < sizeof trap_table / sizeof *trap_table && trap_table[trap->vector].signal)
    row = trap_table[trap->vector];

  thread->in_syscall = false;
  thread->trap_number = trap->vector;
  thread->trap_error = trap->error_code;
  if (trap->vector == TRAP_PF) {
    thread->trap_error |= PAGE_FAULT_USER;
    thread->trap_address = trap->address;
  }

  /* After a fault the instruction is tried again, which no breakpoint on it shall stop (SDM vol. 3, 6.8.3 and
   * 17.3.1.1). Nothing else of RF can be seen, so it is not kept. */
  const bool is_trap = trap->vector == TRAP_DB || trap->vector == TRAP_BP || trap->vector == TRAP_OF;
  if (!is_trap)
    cpu->eflags_rest |= EFLAGS_RF;

  siginfo_t info;
  memset(&info, 0, sizeof info);
  info.si_signo = row.signal;
  info.si_code = row.code ? row.code : fault_code(cpu, trap);
  if (trap->vector == TRAP_PF && trap->host_signal == SIGBUS) { /* beyond the end of a file */
    info.si_signo = SIGBUS;
    info.si_code = trap->host_code;
  }
  if (row.address != ADDRESS_NONE)
    info.si_addr = guest_to_host(row.address == ADDRESS_EIP ? cpu->eip : trap->address);
  force(thread, &info);
  signal_deliver_pending(thread);
}

/* --- The end ------------------------------------------------------------------------------- */

void signal_die(struct thread *thread, int signal) {
  process_at_end(thread->process, "a fatal signal");
  thread_release_robust(thread);
  struct {
    uint64_t handler, flags, restorer, mask;
  } fallback = {0};
  HOST_CALL(SYS_rt_sigaction, signal, &fallback, 0, 8);
  const uint64_t mask = ~signal_bit(signal);
  HOST_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
  HOST_CALL(SYS_tgkill, getpid(), gettid(), signal);
  /* Only the init of a PID namespace survives that. */
  for (;;)
    HOST_CALL(SYS_exit_group, 128 + signal);
}

/* Signals on their way from the host to a guest handler.
 *
 * The host's kernel keeps the books. What the guest ignores or leaves to default is ignored or default on
 * the host, what the guest blocks is blocked on the host, so the host does by itself what the guest's kernel
 * would: it discards, stops, kills, queues, merges, picks a thread, and passes everything on through
 * execve. Only a signal that has a guest handler gets a host handler.
 *
 * A host handler may run at any instruction, guest state is in order only at safe points. So the handler
 * puts the signal into the thread's inbox, blocks all others in the context that it returns to, asks for
 * a safe point, and returns. The inbox needs one place only: until its signal is delivered the others wait
 * in the kernel, in the order and with the merging that the kernel gives them. Delivery empties it, builds
 * the frame, and sets the host's mask to what the guest's has become; if that lets the next signal in, its
 * frame goes on top before the guest runs, as in a kernel that finds two signals pending.
 *
 * SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP are the runtime's: the host never blocks them. When a
 * process sends one, the runtime hands it over (foreign_signal) and it waits here, in a place of its own,
 * while the guest blocks it.
 *
 * docs/signals.md has the whole story. */
#include "Linux/signal.h"
#include "Linux/host_syscall.h"
#include "Linux/signal_private.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <unistd.h>

static const int fault_signal[SIGNAL_FAULT_COUNT] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

#define FAULT_SIGNALS                                                                                        \
  (UINT64_C(1) << (SIGSEGV - 1) | UINT64_C(1) << (SIGBUS - 1) | UINT64_C(1) << (SIGFPE - 1) |                \
   UINT64_C(1) << (SIGILL - 1) | UINT64_C(1) << (SIGTRAP - 1))
#define UNBLOCKABLE_SIGNALS (UINT64_C(1) << (SIGKILL - 1) | UINT64_C(1) << (SIGSTOP - 1))
#define HELD_SIGNALS (~FAULT_SIGNALS)

int signal_fault_index(int signal) {
  for (int i = 0; i < SIGNAL_FAULT_COUNT; i++)
    if (fault_signal[i] == signal)
      return i;
  return -1;
}

uint64_t signal_host_mask(uint64_t guest_mask) { return guest_mask & ~FAULT_SIGNALS; }

/* --- The host's side of a disposition --------------------------------------------------------
 * Raw system calls: the C library keeps two signals for itself that are the guest's here. */

struct host_sigaction {
  uintptr_t handler;
  uint64_t flags;
  void (*restorer)(void);
  uint64_t mask;
};
enum { HOST_SA_RESTORER = 0x04000000, KERNEL_SIGSET_SIZE = 8 };

extern void signal_host_restorer(void) __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".globl signal_host_restorer\n"
        ".hidden signal_host_restorer\n"
        ".type signal_host_restorer, @function\n"
        "signal_host_restorer:\n"
        "  mov $15, %eax\n" /* rt_sigreturn */
        "  syscall\n"
        ".size signal_host_restorer, . - signal_host_restorer\n");

static void set_host_mask(uint64_t mask) {
  HOST_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, KERNEL_SIGSET_SIZE);
}

/* If the thread is about to enter a system call that may block, it must not: see host_syscall.S. */
static void leave_host_syscall(ucontext_t *context) {
  greg_t *pc = &context->uc_mcontext.gregs[REG_RIP];
  if (*pc >= (greg_t)(uintptr_t)host_syscall_start && *pc < (greg_t)(uintptr_t)host_syscall_end)
    *pc = (greg_t)(uintptr_t)host_syscall_interrupted;
}

static void want_safe_point(struct thread *thread, void *context) {
  atomic_store_explicit((_Atomic uint32_t *)&thread->cpu->interrupt, 1, memory_order_release);
  leave_host_syscall(context);
  runtime_interrupted(context);
}

static __attribute__((noinline)) void take_signal(int signal, siginfo_t *info, ucontext_t *context) {
  struct thread *thread = thread_current();
  if (!thread)
    return; /* a host thread on its way out, with every signal held: nothing gets here */
  thread->signal_arrived_info = *info;
  thread->signal_arrived = signal;
  /* The kernel's 8 bytes of it; glibc's type is longer than what the kernel put on the stack. */
  const uint64_t held = HELD_SIGNALS;
  memcpy(&context->uc_sigmask, &held, sizeof held);
  want_safe_point(thread, context);
}

static void host_handler(int signal, siginfo_t *info, void *context) {
  runtime_alignment_unchecked();
  take_signal(signal, info, context);
}

/* One of the five that does not come from guest code: sent by a process, or a fault of our own. */
static void foreign_signal(int signal, siginfo_t *info, void *context) {
  struct thread *thread = thread_current();
  const int index = signal_fault_index(signal);
  if (info->si_code > 0 || !thread || index < 0) {
    /* The emulator itself is broken. Die of the instruction's second try, with an honest core. */
    static const char text[] = "uemu-llvm: internal fault\n";
    HOST_CALL(SYS_write, STDERR_FILENO, text, sizeof text - 1);
    const struct host_sigaction fallback = {0};
    HOST_CALL(SYS_rt_sigaction, signal, &fallback, 0, KERNEL_SIGSET_SIZE);
    return;
  }
  const struct guest_sigaction *action = &thread->process->action[signal - 1];
  if (signal_is_ignored(signal, action) && !(thread->signal_mask & signal_bit(signal)))
    return;
  if (thread->signal_faults & 1u << index)
    return; /* standard signals do not queue */
  thread->signal_fault_info[index] = *info;
  thread->signal_faults |= 1u << index;
  want_safe_point(thread, context);
}

void signal_host_action(int signal, const struct guest_sigaction *action) {
  if (signal_fault_index(signal) >= 0 || signal == SIGKILL || signal == SIGSTOP)
    return;
  struct host_sigaction host = {.flags = HOST_SA_RESTORER, .restorer = signal_host_restorer};
  host.flags |= action->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT);
  if (action->handler == GUEST_SIG_IGN) {
    host.handler = (uintptr_t)SIG_IGN;
  } else if (action->handler != GUEST_SIG_DFL) {
    host.handler = (uintptr_t)host_handler;
    host.flags |= SA_SIGINFO | SA_ONSTACK;
    host.mask = ~UINT64_C(0);
  }
  HOST_CALL(SYS_rt_sigaction, signal, &host, 0, KERNEL_SIGSET_SIZE);
}

bool signal_is_ignored(int signal, const struct guest_sigaction *action) {
  return action->handler == GUEST_SIG_IGN ||
         (action->handler == GUEST_SIG_DFL &&
          (signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT));
}

/* --- What each thread has ------------------------------------------------------------------ */

void signal_thread_init(struct thread *thread) {
  thread_set_current(thread);
  thread->signal_arrived = 0;
  thread->signal_faults = 0;
  stack_t stack;
  if (sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE))
    return; /* the runtime has given this thread one */
  enum { HOST_ALTSTACK_SIZE = 64 * 1024 };
  void *memory = mmap(NULL, HOST_ALTSTACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return; /* handlers then run on the stack that they interrupt */
  stack = (stack_t){.ss_sp = memory, .ss_size = HOST_ALTSTACK_SIZE};
  sigaltstack(&stack, NULL);
  thread->host_altstack = memory;
  thread->host_altstack_size = HOST_ALTSTACK_SIZE;
}

void signal_thread_end(struct thread *thread) {
  set_host_mask(HELD_SIGNALS);
  thread_set_current(NULL);
  if (!thread->host_altstack)
    return;
  const stack_t none = {.ss_flags = SS_DISABLE};
  sigaltstack(&none, NULL);
  munmap(thread->host_altstack, thread->host_altstack_size);
  thread->host_altstack = NULL;
}

void signal_inherit(struct process *process) {
  for (int signal = 1; signal <= GUEST_SIGNAL_COUNT; signal++) {
    process->action[signal - 1] = (struct guest_sigaction){0};
    struct host_sigaction host = {0};
    if (HOST_CALL(SYS_rt_sigaction, signal, 0, &host, KERNEL_SIGSET_SIZE) == 0 &&
        host.handler == (uintptr_t)SIG_IGN)
      process->action[signal - 1].handler = GUEST_SIG_IGN;
  }
}

void signal_init(struct process *process, struct thread *main_thread) {
  signal_thread_init(main_thread);
  runtime_set_foreign_signal(foreign_signal);
  process->thread_count = 1;
  main_thread->thread_count = &process->thread_count;
  uint64_t mask = 0;
  HOST_CALL(SYS_rt_sigprocmask, SIG_SETMASK, 0, &mask, KERNEL_SIGSET_SIZE);
  main_thread->signal_mask = mask & ~UNBLOCKABLE_SIGNALS;
  set_host_mask(signal_host_mask(main_thread->signal_mask));
}

void signal_forget(struct thread *thread) {
  thread->signal_arrived = 0;
  thread->signal_faults = 0;
}

/* --- Masks ------------------------------------------------------------------------------- */

bool signal_set_mask(struct thread *thread, uint64_t mask) {
  mask &= ~UNBLOCKABLE_SIGNALS;
  const uint64_t host = signal_host_mask(mask);
  /* Not entered once a signal has arrived: then it still belongs to the time before the change. */
  if (HOST_CALL_BLOCKING(thread, SYS_rt_sigprocmask, SIG_SETMASK, &host, 0, KERNEL_SIGSET_SIZE) < 0)
    return false;
  thread->signal_mask = mask;
  return true;
}

bool signal_hold(struct thread *thread) {
  const uint64_t held = HELD_SIGNALS;
  return HOST_CALL_BLOCKING(thread, SYS_rt_sigprocmask, SIG_SETMASK, &held, 0, KERNEL_SIGSET_SIZE) == 0;
}

void signal_release(struct thread *thread) {
  const int signal = thread->signal_arrived;
  if (signal) {
    if (!(thread->signal_mask & signal_bit(signal)))
      return; /* it is delivered next, and the host holds the others off until then */
    /* The handler of another signal, which went first, blocks it: the kernel takes it back. */
    HOST_CALL(SYS_rt_tgsigqueueinfo, getpid(), gettid(), signal, &thread->signal_arrived_info);
    thread->signal_arrived = 0;
  }
  set_host_mask(signal_host_mask(thread->signal_mask));
}

void signal_temporary_mask_begin(struct thread *thread, uint64_t mask) {
  thread->signal_saved_mask = thread->signal_mask;
  thread->signal_mask = mask & ~UNBLOCKABLE_SIGNALS;
  thread->signal_restore_mask = true;
}

void signal_temporary_mask_end(struct thread *thread, long result) {
  if (result == -EINTR)
    return;
  thread->signal_mask = thread->signal_saved_mask;
  thread->signal_restore_mask = false;
}

/* --- execve ------------------------------------------------------------------------------ */

void signal_exec_prepare(struct thread *thread, struct signal_exec_saved *saved) {
  set_host_mask(~UINT64_C(0));
  for (int i = 0; i < SIGNAL_FAULT_COUNT; i++) {
    const int signal = fault_signal[i];
    struct host_sigaction host;
    _Static_assert(sizeof host == sizeof saved->action[i], "the kernel's sigaction");
    HOST_CALL(SYS_rt_sigaction, signal, 0, saved->action[i], KERNEL_SIGSET_SIZE);
    if (thread->process->action[signal - 1].handler == GUEST_SIG_IGN) {
      host = (struct host_sigaction){.handler = (uintptr_t)SIG_IGN};
      HOST_CALL(SYS_rt_sigaction, signal, &host, 0, KERNEL_SIGSET_SIZE);
    } else if (thread->signal_faults & 1u << i) {
      /* Sent again while the host blocks it, it is pending in the kernel, and so for the next program. */
      HOST_CALL(SYS_rt_tgsigqueueinfo, getpid(), gettid(), signal, &thread->signal_fault_info[i]);
    }
  }
  set_host_mask(thread->signal_mask);
}

void signal_exec_restore(struct thread *thread, const struct signal_exec_saved *saved) {
  for (int i = 0; i < SIGNAL_FAULT_COUNT; i++)
    HOST_CALL(SYS_rt_sigaction, fault_signal[i], saved->action[i], 0, KERNEL_SIGSET_SIZE);
  signal_release(thread);
}

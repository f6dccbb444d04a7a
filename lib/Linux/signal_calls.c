/* The system calls about signals: sigaction(2), sigprocmask(2), sigsuspend(2), sigtimedwait(2), kill(2) and
 * their families. What they promise is kept by signal.c; signals are sent by the host's kernel. */
#include "Linux/signal_calls.h"
#include "Linux/host_syscall.h"
#include "Linux/signal_private.h"
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

enum { SIGSET_SIZE = 8 };

/* Host calls that were not entered since a signal had arrived: it belongs before the call. */
static int32_t not_entered(long result) { return result == -ERESTARTSYS ? -ERESTARTNOINTR : (int32_t)result; }

/* --- Dispositions ---------------------------------------------------------------------------- */

static const uint32_t known_flags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART |
                                    SA_NODEFER | SA_RESETHAND | GUEST_SA_RESTORER |
                                    0x800 /* SA_EXPOSE_TAGBITS */;

static int32_t set_action(struct thread *thread, uint32_t signal, const struct guest_sigaction *new_action,
                          struct guest_sigaction *old_action) {
  if (signal < 1 || signal > GUEST_SIGNAL_COUNT || (new_action && (signal == SIGKILL || signal == SIGSTOP)))
    return -EINVAL;
  struct process *process = thread->process;
  struct guest_sigaction *action = &process->action[signal - 1];
  const int fault = signal_fault_index((int)signal);

  process_lock(&process->signal_lock);
  *old_action = *action;
  if (new_action) {
    *action = *new_action;
    action->flags &= known_flags;
    action->mask &= ~(signal_bit(SIGKILL) | signal_bit(SIGSTOP));
    signal_host_action((int)signal, action);
    /* An ignored signal does not stay pending; for the others the host sees to that. */
    if (fault >= 0 && signal_is_ignored((int)signal, action))
      thread->signal_faults &= ~(1u << fault);
  }
  process_unlock(&process->signal_lock);

  if (new_action && fault >= 0 && new_action->handler > GUEST_SIG_IGN)
    runtime_commit_regions();
  /* Exact flags cost much: only a handler that is given the context gets them (docs/flags.md). */
  if (new_action && fault >= 0 && new_action->handler > GUEST_SIG_IGN && new_action->flags & SA_SIGINFO)
    runtime_set_precise(true);
  return 0;
}

/* struct sigaction as rt_sigaction(2) and sigaction(2) have it. */
struct rt_action {
  guest_addr handler;
  uint32_t flags;
  guest_addr restorer;
  uint32_t mask[2];
};
struct old_action {
  guest_addr handler;
  uint32_t mask, flags;
  guest_addr restorer;
};

int32_t sys_rt_sigaction(struct thread *thread, const uint32_t arg[6]) {
  if (arg[3] != SIGSET_SIZE)
    return -EINVAL;
  struct rt_action user;
  struct guest_sigaction action, old;
  if (arg[1]) {
    if (guest_copy_in(&user, arg[1], sizeof user) < 0)
      return -EFAULT;
    action = (struct guest_sigaction){.handler = user.handler,
                                      .restorer = user.restorer,
                                      .flags = user.flags,
                                      .mask = (uint64_t)user.mask[1] << 32 | user.mask[0]};
  }
  const int32_t error = set_action(thread, arg[0], arg[1] ? &action : NULL, &old);
  if (error || !arg[2])
    return error;
  user = (struct rt_action){
      old.handler, old.flags, old.restorer, {(uint32_t)old.mask, (uint32_t)(old.mask >> 32)}};
  return guest_copy_out(arg[2], &user, sizeof user);
}

int32_t sys_sigaction(struct thread *thread, const uint32_t arg[6]) {
  struct old_action user;
  struct guest_sigaction action, old;
  if (arg[1]) {
    if (guest_copy_in(&user, arg[1], sizeof user) < 0)
      return -EFAULT;
    action = (struct guest_sigaction){user.handler, user.restorer, user.flags, user.mask};
  }
  const int32_t error = set_action(thread, arg[0], arg[1] ? &action : NULL, &old);
  if (error || !arg[2])
    return error;
  user = (struct old_action){old.handler, (uint32_t)old.mask, old.flags, old.restorer};
  return guest_copy_out(arg[2], &user, sizeof user);
}

int32_t sys_signal(struct thread *thread, const uint32_t arg[6]) {
  const struct guest_sigaction action = {.handler = arg[1], .flags = SA_RESETHAND | SA_NODEFER};
  struct guest_sigaction old;
  const int32_t error = set_action(thread, arg[0], &action, &old);
  return error ? error : (int32_t)old.handler;
}

/* --- The mask -------------------------------------------------------------------------------- */

static int32_t change_mask(struct thread *thread, uint32_t how, uint64_t set) {
  uint64_t mask = thread->signal_mask;
  switch (how) {
  case SIG_BLOCK:
    mask |= set;
    break;
  case SIG_UNBLOCK:
    mask &= ~set;
    break;
  case SIG_SETMASK:
    mask = set;
    break;
  default:
    return -EINVAL;
  }
  return signal_set_mask(thread, mask) ? 0 : -ERESTARTNOINTR;
}

int32_t sys_rt_sigprocmask(struct thread *thread, const uint32_t arg[6]) {
  if (arg[3] != SIGSET_SIZE)
    return -EINVAL;
  const uint64_t old = thread->signal_mask;
  uint64_t set;
  if (arg[1]) {
    if (guest_copy_in(&set, arg[1], sizeof set) < 0)
      return -EFAULT;
    const int32_t error = change_mask(thread, arg[0], set);
    if (error)
      return error;
  }
  return arg[2] ? guest_copy_out(arg[2], &old, sizeof old) : 0;
}

/* The calls of old know the first 32 signals; the mask keeps its upper half. */
static const uint64_t upper_half = ~UINT64_C(0) << 32;

int32_t sys_sigprocmask(struct thread *thread, const uint32_t arg[6]) {
  const uint32_t old = (uint32_t)thread->signal_mask;
  uint32_t set;
  if (arg[1]) {
    if (guest_copy_in(&set, arg[1], sizeof set) < 0)
      return -EFAULT;
    const uint64_t whole = arg[0] == SIG_SETMASK ? (thread->signal_mask & upper_half) | set : set;
    const int32_t error = change_mask(thread, arg[0], whole);
    if (error)
      return error;
  }
  return arg[2] ? guest_copy_out(arg[2], &old, sizeof old) : 0;
}

int32_t sys_sgetmask(struct thread *thread, const uint32_t arg[6]) {
  (void)arg;
  return (int32_t)thread->signal_mask;
}

int32_t sys_ssetmask(struct thread *thread, const uint32_t arg[6]) {
  const int32_t old = (int32_t)thread->signal_mask;
  return signal_set_mask(thread, arg[0]) ? old : -ERESTARTNOINTR;
}

/* --- What is pending --------------------------------------------------------------------------- */

static uint64_t pending_set(const struct thread *thread) {
  uint64_t set = 0;
  HOST_CALL(SYS_rt_sigpending, &set, SIGSET_SIZE);
  for (int signal = 1; signal <= 31; signal++) {
    const int fault = signal_fault_index(signal);
    if (fault >= 0 && thread->signal_faults & 1u << fault)
      set |= signal_bit(signal);
  }
  return set & thread->signal_mask;
}

int32_t sys_rt_sigpending(struct thread *thread, const uint32_t arg[6]) {
  if (arg[1] > SIGSET_SIZE)
    return -EINVAL;
  const uint64_t set = pending_set(thread);
  return guest_copy_out(arg[0], &set, arg[1]);
}

int32_t sys_sigpending(struct thread *thread, const uint32_t arg[6]) {
  const uint32_t set = (uint32_t)pending_set(thread);
  return guest_copy_out(arg[0], &set, sizeof set);
}

/* --- Waiting ---------------------------------------------------------------------------------- */

int32_t sys_pause(struct thread *thread, const uint32_t arg[6]) {
  (void)arg;
  const long result = HOST_CALL_BLOCKING(thread, SYS_pause, 0);
  return result == -EINTR ? -ERESTARTNOHAND : not_entered(result);
}

static int32_t suspend(struct thread *thread, uint64_t mask) {
  signal_temporary_mask_begin(thread, mask);
  /* One of the five may be waiting for just this. */
  if (thread->signal_faults) {
    for (int signal = 1; signal <= 31; signal++) {
      const int fault = signal_fault_index(signal);
      if (fault >= 0 && thread->signal_faults & 1u << fault && !(mask & signal_bit(signal)))
        return -ERESTARTNOHAND;
    }
  }
  const uint64_t host = signal_host_mask(thread->signal_mask);
  const long result = HOST_CALL_BLOCKING(thread, SYS_rt_sigsuspend, &host, SIGSET_SIZE);
  signal_temporary_mask_end(thread, result);
  return result == -EINTR ? -ERESTARTNOHAND : not_entered(result);
}

int32_t sys_sigsuspend(struct thread *thread, const uint32_t arg[6]) { return suspend(thread, arg[2]); }

int32_t sys_rt_sigsuspend(struct thread *thread, const uint32_t arg[6]) {
  uint64_t mask;
  if (arg[1] != SIGSET_SIZE)
    return -EINVAL;
  if (guest_copy_in(&mask, arg[0], sizeof mask) < 0)
    return -EFAULT;
  return suspend(thread, mask);
}

static int32_t timed_wait(struct thread *thread, const uint32_t arg[6], const struct timespec *timeout) {
  uint64_t set;
  if (arg[3] != SIGSET_SIZE)
    return -EINVAL;
  if (guest_copy_in(&set, arg[0], sizeof set) < 0)
    return -EFAULT;
  siginfo_t info;
  long result = signal_take_fault(thread, set, &info);
  if (!result) {
    result = not_entered(HOST_CALL_BLOCKING(thread, SYS_rt_sigtimedwait, &set, &info, timeout, SIGSET_SIZE));
    if (result == -EINTR) {
      const int fault = signal_take_fault(thread, set, &info);
      if (fault)
        result = fault;
    }
  }
  if (result > 0 && arg[1]) {
    struct guest_siginfo guest;
    signal_info_to_guest(&guest, &info);
    if (guest_copy_out(arg[1], &guest, sizeof guest) < 0)
      return -EFAULT;
  }
  return (int32_t)result;
}

int32_t sys_rt_sigtimedwait(struct thread *thread, const uint32_t arg[6]) {
  if (!arg[2])
    return timed_wait(thread, arg, NULL);
  int32_t time[2];
  if (guest_copy_in(time, arg[2], sizeof time) < 0)
    return -EFAULT;
  const struct timespec timeout = {.tv_sec = time[0], .tv_nsec = time[1]};
  return timed_wait(thread, arg, &timeout);
}

int32_t sys_rt_sigtimedwait_time64(struct thread *thread, const uint32_t arg[6]) {
  if (!arg[2])
    return timed_wait(thread, arg, NULL);
  struct {
    int64_t seconds;
    int32_t nanoseconds, padding;
  } time;
  if (guest_copy_in(&time, arg[2], sizeof time) < 0)
    return -EFAULT;
  const struct timespec timeout = {.tv_sec = time.seconds, .tv_nsec = time.nanoseconds};
  return timed_wait(thread, arg, &timeout);
}

/* --- Sending ---------------------------------------------------------------------------------- */

int32_t sys_kill(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_kill, (int32_t)arg[0], (int32_t)arg[1]);
}

int32_t sys_tkill(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_tkill, (int32_t)arg[0], (int32_t)arg[1]);
}

int32_t sys_tgkill(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  return (int32_t)HOST_CALL(SYS_tgkill, (int32_t)arg[0], (int32_t)arg[1], (int32_t)arg[2]);
}

static int read_info(guest_addr address, siginfo_t *info, uint32_t signal) {
  struct guest_siginfo guest;
  if (guest_copy_in(&guest, address, sizeof guest) < 0)
    return -EFAULT;
  signal_info_from_guest(info, &guest);
  info->si_signo = (int)signal;
  return 0;
}

int32_t sys_rt_sigqueueinfo(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  siginfo_t info;
  if (read_info(arg[2], &info, arg[1]) < 0)
    return -EFAULT;
  return (int32_t)HOST_CALL(SYS_rt_sigqueueinfo, (int32_t)arg[0], (int32_t)arg[1], &info);
}

int32_t sys_rt_tgsigqueueinfo(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  siginfo_t info;
  if (read_info(arg[3], &info, arg[2]) < 0)
    return -EFAULT;
  return (int32_t)HOST_CALL(SYS_rt_tgsigqueueinfo, (int32_t)arg[0], (int32_t)arg[1], (int32_t)arg[2], &info);
}

int32_t sys_pidfd_send_signal(struct thread *thread, const uint32_t arg[6]) {
  (void)thread;
  siginfo_t info;
  if (arg[2]) {
    struct guest_siginfo guest;
    if (guest_copy_in(&guest, arg[2], sizeof guest) < 0)
      return -EFAULT;
    signal_info_from_guest(&info, &guest);
  }
  return (int32_t)HOST_CALL(SYS_pidfd_send_signal, (int32_t)arg[0], (int32_t)arg[1], arg[2] ? &info : NULL,
                            arg[3]);
}

/* --- The alternate stack ------------------------------------------------------------------------ */

enum { GUEST_SS_ONSTACK = 1, GUEST_SS_DISABLE = 2, GUEST_MINSIGSTKSZ = 2048 };
#define GUEST_SS_AUTODISARM (1u << 31)

bool signal_on_altstack_memory(const struct thread *thread, uint32_t sp) {
  return sp > thread->altstack_base && sp - thread->altstack_base <= thread->altstack_size;
}

bool signal_on_altstack(const struct thread *thread, uint32_t sp) {
  return !(thread->altstack_flags & GUEST_SS_AUTODISARM) && signal_on_altstack_memory(thread, sp);
}

int signal_altstack_set(struct thread *thread, guest_addr base, uint32_t flags, uint32_t size) {
  if (signal_on_altstack(thread, thread->cpu->gpr[GPR_ESP]))
    return -EPERM;
  const uint32_t mode = flags & ~GUEST_SS_AUTODISARM;
  if (mode != GUEST_SS_DISABLE && mode != GUEST_SS_ONSTACK && mode != 0)
    return -EINVAL;
  if (thread->altstack_base == base && thread->altstack_size == size && thread->altstack_flags == flags)
    return 0;
  if (mode == GUEST_SS_DISABLE)
    base = size = 0;
  else if (size < GUEST_MINSIGSTKSZ)
    return -ENOMEM;
  thread->altstack_base = base;
  thread->altstack_size = size;
  thread->altstack_flags = flags;
  return 0;
}

void signal_altstack_reset(struct thread *thread) {
  thread->altstack_base = thread->altstack_size = 0;
  thread->altstack_flags = GUEST_SS_DISABLE;
}

int32_t sys_sigaltstack(struct thread *thread, const uint32_t arg[6]) {
  struct {
    guest_addr base;
    uint32_t flags, size;
  } stack, old = {thread->altstack_base, 0, thread->altstack_size};
  if (!thread->altstack_size)
    old.flags = GUEST_SS_DISABLE;
  else if (signal_on_altstack(thread, thread->cpu->gpr[GPR_ESP]))
    old.flags = GUEST_SS_ONSTACK;
  old.flags |= thread->altstack_flags & GUEST_SS_AUTODISARM;
  if (arg[0]) {
    if (guest_copy_in(&stack, arg[0], sizeof stack) < 0)
      return -EFAULT;
    const int error = signal_altstack_set(thread, stack.base, stack.flags, stack.size);
    if (error)
      return error;
  }
  return arg[1] ? guest_copy_out(arg[1], &old, sizeof old) : 0;
}

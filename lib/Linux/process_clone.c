/* fork(2), vfork(2), clone(2), clone3(2): new processes. (New threads: thread.c.)
 *
 * A child with memory of its own is made by the host's fork(2): it inherits guest memory, translations and
 * the emulator's heap, and goes on on the stack where its parent was, in the same system call.
 *
 * A child that shares memory is the harder one: vfork(2) and posix_spawn(3), which suspend the parent, and
 * the threads of LinuxThreads, which are processes that share memory. The host's kernel makes it the same
 * way, with CLONE_VM, so that everything guests may see of such a relation holds: parenthood, the suspension,
 * memory, signals. Inside the emulator the two then share the heap, so the child gets
 *
 *   - a struct thread and a struct cpu_state of its own, and a struct process of its own unless
 *     CLONE_SIGHAND shares the dispositions;
 *   - a host stack of its own;
 *   - a C thread pointer of its own. Thread-local variables belong to a pthread, and there is no way to get
 *     them but to create one: the lender. It sleeps as long as the child lives in this memory, and
 *     lends it its own thread pointer (CLONE_SETTLS). The child's parent is still the caller.
 *
 * The kernel clears lease.alive and wakes the lender when the child exits or executes a program
 * (CLONE_CHILD_CLEARTID), and the lender cleans up. docs/processes.md says what of the emulator is whose. */
#include "Linux/host_syscall.h"
#include "Linux/segment.h"
#include "Linux/signal.h"
#include "Linux/signal_private.h"
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"
#include "Linux/thread.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND UINT64_C(0x100000000)
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP UINT64_C(0x200000000)
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#define CLONE_EXIT_SIGNAL 0xFFu
#define CLONE_NAMESPACES                                                                                     \
  (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* CLONE_CLEAR_SIGHAND: handlers go, ignored signals stay ignored. */
static void clear_handlers(struct process *process) {
  for (int signal = 1; signal <= GUEST_SIGNAL_COUNT; signal++) {
    struct guest_sigaction *action = &process->action[signal - 1];
    if (action->handler != GUEST_SIG_IGN)
      *action = (struct guest_sigaction){0};
    signal_host_action(signal, action);
  }
}

static void store_pidfd(const struct clone_request *request, pid_t pid) {
  if (!(request->flags & CLONE_PIDFD))
    return;
  const int32_t fd = (int32_t)HOST_CALL(SYS_pidfd_open, pid, 0);
  if (fd >= 0 && guest_copy_out(request->pidfd, &fd, sizeof fd) < 0)
    close(fd);
}

/* --- A child with its own memory ---------------------------------------------------------------- */

/* The C library's fork() keeps its own locks in order, the host kernel's clone() knows the rest. */
static pid_t host_fork(const struct clone_request *request) {
  const uint64_t passed = CLONE_FS | CLONE_FILES | CLONE_PARENT | CLONE_VFORK | CLONE_IO | CLONE_NAMESPACES;
  const uint64_t flags = request->flags & passed;
  if (flags == 0 && request->exit_signal == SIGCHLD) {
    const pid_t pid = fork();
    return pid < 0 ? -errno : pid;
  }
  return (pid_t)HOST_CALL(SYS_clone, flags | (uint32_t)request->exit_signal);
}

static void forked_child(struct thread *thread, const struct clone_request *request) {
  signal_forget(thread);
  thread->restart.resume = NULL;
  thread->robust_list = 0;
  thread->exit_point = NULL;
  *thread->thread_count = 1;
  thread->clear_child_tid = request->flags & CLONE_CHILD_CLEARTID ? request->child_tid : 0;
  thread_started(thread, request);
  if (request->stack)
    thread->cpu->gpr[GPR_ESP] = request->stack;
  if (request->flags & CLONE_CLEAR_SIGHAND)
    clear_handlers(thread->process);
}

static int32_t fork_held(struct thread *thread, const struct clone_request *request) {
  /* The child's TLS is set before there is a child, while the call can still fail. */
  struct cpu_state *cpu = thread->cpu;
  uint64_t tls[3];
  const struct segment_registers segments = segment_registers_of(cpu);
  memcpy(tls, thread->gdt_tls, sizeof tls);
  if (request->flags & CLONE_SETTLS) {
    const int error = segment_set_tls(thread, request->tls);
    if (error < 0)
      return error;
  }

  struct process *process = thread->process;
  process_lock(&process->signal_lock);
  process_lock(&process->ldt_lock);
  runtime_fork_prepare();
  const pid_t pid = host_fork(request);
  if (pid == 0)
    runtime_fork_child();
  else
    runtime_fork_parent();
  process_unlock(&process->ldt_lock);
  process_unlock(&process->signal_lock);
  if (pid == 0) {
    forked_child(thread, request);
    return 0;
  }
  memcpy(thread->gdt_tls, tls, sizeof tls);
  segment_registers_set(cpu, &segments);
  if (pid > 0) {
    if (request->flags & CLONE_PARENT_SETTID)
      (void)guest_copy_out(request->parent_tid, &pid, sizeof pid);
    store_pidfd(request, pid);
  }
  return pid;
}

static int32_t process_fork(struct thread *thread, const struct clone_request *request) {
  if (!signal_hold(thread))
    return -ERESTARTNOINTR;
  const int32_t result = fork_held(thread, request);
  signal_release(thread);
  return result;
}

/* --- A child that shares memory ----------------------------------------------------------------- */

struct lease {
  struct thread *thread;
  struct process *process; /* to be freed with the child, or NULL */
  void *stack;
  const struct clone_request *request; /* the parent's: valid until the child has started */
  uint8_t fpu[HOST_FXSAVE_SIZE] __attribute__((aligned(16)));
  pthread_t lender;
  _Atomic int ready; /* the lender sleeps */
  _Atomic int alive; /* the child uses what it was lent; 0 ends the lease */
  _Atomic int started;
  int thread_count; /* of the child's thread group */
};

static void wait_while_equal(_Atomic int *word, int value) {
  while (atomic_load(word) == value)
    HOST_CALL(SYS_futex, word, FUTEX_WAIT, value);
}

static void set_and_wake(_Atomic int *word, int value) {
  atomic_store(word, value);
  HOST_CALL(SYS_futex, word, FUTEX_WAKE, 1);
}

static void *lender_main(void *argument) {
  struct lease *lease = argument;
  lease->lender = pthread_self();
  set_and_wake(&lease->ready, 1);
  wait_while_equal(&lease->alive, 1);
  if (lease->thread->host_altstack)
    munmap(lease->thread->host_altstack, lease->thread->host_altstack_size);
  thread_free(lease->thread);
  host_stack_free(lease->stack);
  free(lease->process);
  free(lease);
  return NULL;
}

static int shared_child(void *argument) {
  struct lease *lease = argument;
  struct thread *thread = lease->thread;
  signal_thread_init(thread);
  thread_started(thread, lease->request);
  if (lease->request->flags & CLONE_CLEAR_SIGHAND)
    clear_handlers(thread->process);
  set_and_wake(&lease->started, 1);
  signal_release(thread);
  runtime_run(thread->cpu, lease->fpu);
}

static struct process *process_copy(struct process *process) {
  struct process *copy = malloc(sizeof *copy);
  if (!copy)
    return NULL;
  process_lock(&process->signal_lock);
  process_lock(&process->ldt_lock);
  *copy = *process;
  process_unlock(&process->ldt_lock);
  process_unlock(&process->signal_lock);
  copy->signal_lock = copy->ldt_lock = 0;
  copy->at_end = NULL; /* what it did is in its parent's record */
  return copy;
}

static int lender_create(struct lease *lease) {
  pthread_attr_t attributes;
  pthread_t unused;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  const int error = pthread_create(&unused, &attributes, lender_main, lease);
  pthread_attr_destroy(&attributes);
  return -error;
}

/* A lease that was never let: nobody sleeps on it yet. */
static int32_t lease_abandon(struct lease *lease, int error) {
  if (lease->thread)
    thread_free(lease->thread);
  host_stack_free(lease->stack);
  free(lease->process);
  free(lease);
  return error;
}

static int32_t share_memory(struct thread *thread, const struct clone_request *request) {
  struct lease *lease = aligned_alloc(16, sizeof *lease);
  if (!lease)
    return -ENOMEM;
  memset(lease, 0, sizeof *lease);
  lease->alive = 1;
  lease->request = request;
  struct process *process = thread->process;
  if (!(request->flags & CLONE_SIGHAND)) {
    process = process_copy(process);
    if (!process)
      return lease_abandon(lease, -ENOMEM);
  }
  const bool suspends = request->flags & CLONE_VFORK;
  if (suspends && process != thread->process)
    lease->process = process; /* in the other case children of the child may come to share it */
  lease->stack = host_stack_new();
  int error = -ENOMEM;
  if (lease->stack)
    lease->thread = thread_new(thread, process, request, &error);
  if (lease->thread) {
    lease->thread_count = 1;
    lease->thread->thread_count = &lease->thread_count;
    error = lender_create(lease);
  }
  if (error < 0)
    return lease_abandon(lease, error);

  runtime_fpu_save(thread->cpu, lease->fpu);
  wait_while_equal(&lease->ready, 0);
  const uint64_t passed = CLONE_VM | CLONE_VFORK | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_PARENT |
                          CLONE_IO | CLONE_SYSVSEM | CLONE_NAMESPACES;
  const uint64_t flags =
      (request->flags & passed) | (uint32_t)request->exit_signal | CLONE_SETTLS | CLONE_CHILD_CLEARTID;
  /* On this host a pthread_t is the thread pointer itself. */
  const pid_t pid = clone(shared_child, (char *)lease->stack + HOST_STACK_SIZE, (int)flags, lease, NULL,
                          (void *)lease->lender, &lease->alive);
  if (pid < 0) {
    error = -errno;
    set_and_wake(&lease->alive, 0);
    return error;
  }
  /* A suspended parent comes back when the child is done, and the lease with it. */
  if (!suspends)
    wait_while_equal(&lease->started, 0);
  store_pidfd(request, pid);
  return pid;
}

static int32_t process_share_memory(struct thread *thread, const struct clone_request *request) {
  if (!signal_hold(thread))
    return -ERESTARTNOINTR;
  const int32_t result = share_memory(thread, request);
  signal_release(thread);
  return result;
}

/* --- The calls ---------------------------------------------------------------------------------- */

/* The combinations that make no sense (kernel/fork.c, copy_process()). */
static bool is_valid(uint64_t flags) {
  if (flags & CLONE_FS && flags & (CLONE_NEWNS | CLONE_NEWUSER))
    return false;
  if (flags & CLONE_THREAD && !(flags & CLONE_SIGHAND))
    return false;
  if (flags & CLONE_SIGHAND && (!(flags & CLONE_VM) || flags & CLONE_CLEAR_SIGHAND))
    return false;
  if (flags & CLONE_THREAD && flags & (CLONE_NEWUSER | CLONE_NEWPID))
    return false;
  return !(flags & CLONE_PIDFD && flags & CLONE_DETACHED);
}

static int32_t do_clone(struct thread *thread, const struct clone_request *request) {
  if (!is_valid(request->flags))
    return -EINVAL;
  if (request->flags & CLONE_THREAD)
    return thread_clone(thread, request);
  if (request->flags & CLONE_VM)
    return process_share_memory(thread, request);
  return process_fork(thread, request);
}

int32_t sys_fork(struct thread *thread, const uint32_t arg[6]) {
  (void)arg;
  return do_clone(thread, &(struct clone_request){.exit_signal = SIGCHLD});
}

int32_t sys_vfork(struct thread *thread, const uint32_t arg[6]) {
  (void)arg;
  return do_clone(thread, &(struct clone_request){.flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD});
}

int32_t sys_clone(struct thread *thread, const uint32_t arg[6]) {
  const struct clone_request request = {
      .flags = arg[0] & ~CLONE_EXIT_SIGNAL,
      .exit_signal = (int)(arg[0] & CLONE_EXIT_SIGNAL),
      .stack = arg[1],
      .parent_tid = arg[2],
      .tls = arg[3],
      .child_tid = arg[4],
      .pidfd = arg[2],
  };
  if (request.flags & CLONE_PIDFD && request.flags & (CLONE_PARENT_SETTID | CLONE_THREAD))
    return -EINVAL; /* both would go to the same place */
  return do_clone(thread, &request);
}

/* struct clone_args of clone3(2), as far as it is known here; the first version ended with tls. */
struct clone_arguments {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  uint64_t set_tid, set_tid_size, cgroup;
};
enum { CLONE_ARGUMENTS_FIRST_SIZE = 64 };

static int read_arguments(struct clone_arguments *arguments, guest_addr address, uint32_t size) {
  if (size > GUEST_PAGE_SIZE)
    return -E2BIG;
  if (size < CLONE_ARGUMENTS_FIRST_SIZE)
    return -EINVAL;
  memset(arguments, 0, sizeof *arguments);
  if (guest_copy_in(arguments, address, size < sizeof *arguments ? size : sizeof *arguments) < 0)
    return -EFAULT;
  for (uint32_t i = sizeof *arguments; i < size; i++) {
    uint8_t byte;
    if (guest_copy_in(&byte, address + i, 1) < 0)
      return -EFAULT;
    if (byte)
      return -E2BIG;
  }
  return 0;
}

int32_t sys_clone3(struct thread *thread, const uint32_t arg[6]) {
  struct clone_arguments arguments;
  const int error = read_arguments(&arguments, arg[0], arg[1]);
  if (error)
    return error;
  const uint64_t known = UINT64_C(0xFFFFFFFF) | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP;
  const uint64_t flags = arguments.flags;
  if (flags & ~known || flags & (CLONE_DETACHED | CLONE_EXIT_SIGNAL) ||
      arguments.exit_signal & ~(uint64_t)CLONE_EXIT_SIGNAL || arguments.exit_signal > GUEST_SIGNAL_COUNT)
    return -EINVAL;
  if (flags & (CLONE_THREAD | CLONE_PARENT) && arguments.exit_signal)
    return -EINVAL;
  if ((arguments.stack == 0) != (arguments.stack_size == 0))
    return -EINVAL;
  /* Chosen pids, time namespaces and cgroups are for those who build containers. */
  if (arguments.set_tid || arguments.set_tid_size || flags & (CLONE_INTO_CGROUP | CLONE_NEWTIME))
    return -EINVAL;
  const struct clone_request request = {
      .flags = flags,
      .exit_signal = (int)arguments.exit_signal,
      .stack = (guest_addr)(arguments.stack + arguments.stack_size),
      .parent_tid = (guest_addr)arguments.parent_tid,
      .child_tid = (guest_addr)arguments.child_tid,
      .tls = (guest_addr)arguments.tls,
      .pidfd = (guest_addr)arguments.pidfd,
  };
  return do_clone(thread, &request);
}

/* --- The end ------------------------------------------------------------------------------------- */

int32_t sys_exit_group(struct thread *thread, const uint32_t arg[6]) {
  process_at_end(thread->process, "exit");
  thread_release_robust(thread);
  thread_release_tid(thread);
  for (;;)
    HOST_CALL(SYS_exit_group, (int32_t)arg[0]);
}

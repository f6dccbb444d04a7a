/* Guest threads: clone(2) with CLONE_THREAD, their end, and what the kernel keeps for each.
 *
 * A guest thread is a host thread (pthread: translated code, the runtime and the C library need its thread
 * pointer, which the guest never sees: the guest's own are segments). Tids are the host's. The new thread
 * stores its tid where the guest asked before anybody runs on, as the kernel does.
 *
 * exit(2) leaves the guest by jumping back into thread_main(), whose return ends the host thread in the
 * orderly way. A thread that leads its process ends by the host's exit(2) itself: others may live on. The
 * last guest thread ends the process, with its own status, as the last thread does; the emulator's own
 * threads, which the host counts too, must not keep it alive. */
#include "Linux/thread.h"
#include "Linux/host_syscall.h"
#include "Linux/segment.h"
#include "Linux/signal.h"
#include "Linux/signal_calls.h"
#include "Linux/syscall.h"
#include "Linux/syscall_functions.h"

#include "Runtime/guest_memory.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static __thread struct thread *current_thread;

struct thread *thread_current(void) {
  return current_thread;
}
void thread_set_current(struct thread *thread) { current_thread = thread; }

/* --- Locks --------------------------------------------------------------------------------- */

enum { LOCK_FREE, LOCK_HELD, LOCK_WAITED_FOR };

void process_lock(int *lock) {
  _Atomic int *word = (_Atomic int *)lock;
  int seen = LOCK_FREE;
  if (atomic_compare_exchange_strong(word, &seen, LOCK_HELD))
    return;
  while (atomic_exchange(word, LOCK_WAITED_FOR) != LOCK_FREE)
    HOST_CALL(SYS_futex, lock, FUTEX_WAIT_PRIVATE, LOCK_WAITED_FOR);
}

void process_unlock(int *lock) {
  if (atomic_exchange((_Atomic int *)lock, LOCK_FREE) == LOCK_WAITED_FOR)
    HOST_CALL(SYS_futex, lock, FUTEX_WAKE_PRIVATE, 1);
}

/* --- Host stacks ----------------------------------------------------------------------------- */

void *host_stack_new(void) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
  char *stack = mmap(NULL, HOST_STACK_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (stack == MAP_FAILED)
    return NULL;
  mprotect(stack, GUEST_PAGE_SIZE, PROT_NONE);
  return stack;
}

void host_stack_free(void *stack) {
  if (stack)
    munmap(stack, HOST_STACK_SIZE);
}

/* --- Birth --------------------------------------------------------------------------------- */

static void copy_cpu(struct cpu_state *to, const struct cpu_state *from) {
  memcpy(to->gpr, from->gpr, sizeof to->gpr);
  to->eip = from->eip;
  cpu_set_eflags(to, cpu_eflags(from));
  const struct segment_registers segments = segment_registers_of(from);
  segment_registers_set(to, &segments);
  memcpy(to->xmm, from->xmm, sizeof to->xmm);
  memcpy(to->ymm_high, from->ymm_high, sizeof to->ymm_high);
}

struct thread *thread_new(struct thread *parent, struct process *process, const struct clone_request *request,
                          int *error) {
  *error = -ENOMEM;
  struct thread *thread = malloc(sizeof *thread);
  if (!thread)
    return NULL;
  *thread = *parent;
  thread->process = process;
  thread->in_syscall = false;
  thread->restart.resume = NULL;
  thread->signal_restore_mask = false;
  thread->host_altstack = NULL;
  thread->exit_point = NULL;
  thread->robust_list = 0;
  thread->clear_child_tid = request->flags & CLONE_CHILD_CLEARTID ? request->child_tid : 0;
  signal_forget(thread);
  if ((request->flags & (CLONE_VM | CLONE_VFORK)) == CLONE_VM)
    signal_altstack_reset(thread);

  thread->cpu = runtime_cpu_new(thread);
  if (!thread->cpu) {
    free(thread);
    return NULL;
  }
  copy_cpu(thread->cpu, parent->cpu);
  thread->cpu->gpr[GPR_EAX] = 0;
  if (request->stack)
    thread->cpu->gpr[GPR_ESP] = request->stack;
  if (request->flags & CLONE_SETTLS) {
    *error = segment_set_tls(thread, request->tls);
    if (*error < 0) {
      thread_free(thread);
      return NULL;
    }
  }
  *error = 0;
  return thread;
}

void thread_free(struct thread *thread) {
  runtime_cpu_free(thread->cpu);
  free(thread);
}

void thread_started(struct thread *thread, const struct clone_request *request) {
  thread->tid = gettid();
  /* The kernel does not mind addresses that cannot be written either. */
  if (request->flags & CLONE_CHILD_SETTID)
    (void)guest_copy_out(request->child_tid, &thread->tid, sizeof thread->tid);
  if (request->flags & CLONE_PARENT_SETTID && request->flags & CLONE_VM)
    (void)guest_copy_out(request->parent_tid, &thread->tid, sizeof thread->tid);
}

/* Handed from the creator to the new thread; lives on the creator's stack until `tid` is set. */
struct thread_start {
  struct thread *thread;
  const struct clone_request *request;
  uint8_t fpu[HOST_FXSAVE_SIZE] __attribute__((aligned(16)));
  _Atomic int tid;
};

static void wait_while_zero(_Atomic int *word) {
  while (atomic_load(word) == 0)
    HOST_CALL(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0);
}

static void *thread_main(void *argument) {
  struct thread_start *start = argument;
  struct thread *thread = start->thread;
  uint8_t fpu[HOST_FXSAVE_SIZE] __attribute__((aligned(16)));
  void *exit_point[5];

  memcpy(fpu, start->fpu, sizeof fpu);
  signal_thread_init(thread);
  thread_started(thread, start->request);
  /* A host thread shares both; the guest may have asked for less. */
  const uint64_t flags = start->request->flags;
  if (!(flags & CLONE_FS))
    unshare(CLONE_FS);
  if (!(flags & CLONE_FILES))
    unshare(CLONE_FILES);
  atomic_store(&start->tid, thread->tid);
  HOST_CALL(SYS_futex, &start->tid, FUTEX_WAKE_PRIVATE, 1); /* from here on *start is gone */

  if (__builtin_setjmp(exit_point) == 0) {
    thread->exit_point = exit_point;
    signal_release(thread);
    runtime_run(thread->cpu, fpu);
  }
  thread = thread_current();
  signal_thread_end(thread);
  thread_free(thread);
  return NULL;
}

static int host_thread_create(struct thread_start *start) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, HOST_STACK_SIZE);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t host;
  const int error = pthread_create(&host, &attributes, thread_main, start);
  pthread_attr_destroy(&attributes);
  return -error;
}

int32_t thread_clone(struct thread *thread, const struct clone_request *request) {
  if (!signal_hold(thread))
    return -ERESTARTNOINTR;
  struct thread_start start = {.request = request};
  int error;
  start.thread = thread_new(thread, thread->process, request, &error);
  if (start.thread) {
    runtime_fpu_save(thread->cpu, start.fpu);
    atomic_fetch_add((_Atomic int *)thread->thread_count, 1);
    error = host_thread_create(&start);
    if (error == 0) {
      wait_while_zero(&start.tid);
      error = atomic_load(&start.tid);
    } else {
      atomic_fetch_sub((_Atomic int *)thread->thread_count, 1);
      thread_free(start.thread);
    }
  }
  signal_release(thread);
  return error;
}

/* --- Death --------------------------------------------------------------------------------- */

static void futex_wake_one(guest_addr address) {
  HOST_CALL(SYS_futex, guest_to_host(address), FUTEX_WAKE, 1);
}

struct robust_head {
  guest_addr next;
  int32_t futex_offset;
  guest_addr pending;
};
enum { LINK_PI = 1 }; /* bit 0 of a link: a PI mutex */

/* One mutex of the list: if the thread owns it, mark it as orphaned and wake a waiter
 * (kernel/futex/core.c, handle_futex_death()). False if the list is not to be followed further. */
static bool orphan(const struct thread *thread, guest_addr address, bool pi, bool pending) {
  const uint8_t writable = GUEST_PAGE_READ | GUEST_PAGE_WRITE;
  if (address % 4 || !guest_memory_has(address, 4, writable))
    return false;
  _Atomic uint32_t *word = guest_to_host(address);
  uint32_t value = atomic_load(word);
  for (;;) {
    if (pending && !pi && !value) {
      futex_wake_one(address);
      return true;
    }
    if ((value & FUTEX_TID_MASK) != (uint32_t)thread->tid)
      return true;
    if (atomic_compare_exchange_strong(word, &value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
      break;
  }
  if (!pi && value & FUTEX_WAITERS)
    futex_wake_one(address);
  return true;
}

void thread_release_robust(struct thread *thread) {
  const guest_addr list = thread->robust_list;
  struct robust_head head;
  thread->robust_list = 0;
  if (!list || guest_copy_in(&head, list, sizeof head) < 0)
    return;
  const guest_addr pending = head.pending & ~(guest_addr)LINK_PI;
  guest_addr link = head.next;
  for (int limit = ROBUST_LIST_LIMIT; limit > 0; limit--) {
    const guest_addr entry = link & ~(guest_addr)LINK_PI;
    const bool pi = link & LINK_PI;
    if (entry == list)
      break;
    const bool more = guest_copy_in(&link, entry, sizeof link) == 0;
    if (entry != pending && !orphan(thread, entry + (uint32_t)head.futex_offset, pi, false))
      return;
    if (!more)
      return;
  }
  if (pending)
    orphan(thread, pending + (uint32_t)head.futex_offset, head.pending & LINK_PI, true);
}

void thread_release_tid(struct thread *thread) {
  static const uint32_t zero;
  if (!thread->clear_child_tid)
    return;
  if (guest_copy_out(thread->clear_child_tid, &zero, sizeof zero) == 0)
    futex_wake_one(thread->clear_child_tid);
  thread->clear_child_tid = 0;
}

int32_t sys_exit(struct thread *thread, const uint32_t arg[6]) {
  if (!signal_hold(thread))
    return -ERESTARTNOINTR;
  thread_release_robust(thread);
  thread_release_tid(thread);
  if (atomic_fetch_sub((_Atomic int *)thread->thread_count, 1) == 1) {
    process_at_end(thread->process, "exit");
    HOST_CALL(SYS_exit_group, (int32_t)arg[0]);
  }
  if (thread->exit_point)
    __builtin_longjmp(thread->exit_point, 1);
  for (;;)
    HOST_CALL(SYS_exit, (int32_t)arg[0]);
}

/* --- What the kernel keeps for each thread ------------------------------------------------------ */

int32_t sys_gettid(struct thread *thread, const uint32_t arg[6]) {
  (void)arg;
  return thread->tid;
}

int32_t sys_set_tid_address(struct thread *thread, const uint32_t arg[6]) {
  thread->clear_child_tid = arg[0];
  return thread->tid;
}

int32_t sys_set_robust_list(struct thread *thread, const uint32_t arg[6]) {
  if (arg[1] != sizeof(struct robust_head))
    return -EINVAL;
  thread->robust_list = arg[0];
  thread->robust_list_length = arg[1];
  return 0;
}

int32_t sys_get_robust_list(struct thread *thread, const uint32_t arg[6]) {
  const int32_t tid = (int32_t)arg[0];
  if (tid != 0 && tid != thread->tid) {
    /* Another's list is in another struct thread, or in another process altogether. */
    return HOST_CALL(SYS_kill, tid, 0) == -ESRCH ? -ESRCH : -EPERM;
  }
  const uint32_t length = sizeof(struct robust_head);
  if (guest_copy_out(arg[2], &length, sizeof length) < 0)
    return -EFAULT;
  return guest_copy_out(arg[1], &thread->robust_list, sizeof thread->robust_list);
}

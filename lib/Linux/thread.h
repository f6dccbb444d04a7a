/* Threads and processes that share memory: what thread.c and process_clone.c need of each other. */
#ifndef UEMU_LINUX_THREAD_H
#define UEMU_LINUX_THREAD_H

#include "Linux/process.h"

/* What clone(2) and clone3(2) ask for. */
struct clone_request {
  uint64_t flags; /* CLONE_…, without the exit signal */
  int exit_signal;
  guest_addr stack;                 /* the child's first ESP; 0: the parent's */
  guest_addr parent_tid, child_tid; /* where tids go */
  guest_addr tls;                   /* struct user_desc */
  guest_addr pidfd;                 /* where CLONE_PIDFD stores */
};

enum { HOST_FXSAVE_SIZE = 512, HOST_STACK_SIZE = 4 * 1024 * 1024 };

/* A copy of `parent` that clone's child starts with: its own CPU, EAX 0, the stack and the TLS of the
 * request, nothing pending. NULL when there is no memory; *error is set then, or when the TLS is bad. */
struct thread *thread_new(struct thread *parent, struct process *process, const struct clone_request *request,
                          int *error);
void thread_free(struct thread *thread);

/* The child's own part of clone, on its host thread: tid, CLONE_CHILD_SETTID, CLONE_PARENT_SETTID. */
void thread_started(struct thread *thread, const struct clone_request *request);

/* clone(2) with CLONE_THREAD: the tid or a negative errno. */
int32_t thread_clone(struct thread *thread, const struct clone_request *request);

/* A guard page and a stack above it, on the host; NULL when there is no memory. */
void *host_stack_new(void);
void host_stack_free(void *stack);

/* Gives up what the kernel takes from a thread that ends: robust mutexes it holds; and, if it leaves
 * others behind in its memory, the word of CLONE_CHILD_CLEARTID. */
void thread_release_robust(struct thread *thread);
void thread_release_tid(struct thread *thread);

#endif

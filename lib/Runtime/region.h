/* Between region.c, which knows what a region is, and region_queue.c, which has a thread to compile it. */
#ifndef UEMU_RUNTIME_REGION_H
#define UEMU_RUNTIME_REGION_H

#include "Frontend/region_source.h"
#include "Runtime/engine.h"

/* A region to be made: all that the compiler needs to know, as it was when it was asked for. */
struct region_job {
  struct lift_region_source source;
  struct fetch fetch;
  uint64_t began; /* observe_clock() */
  bool stale;     /* what it was made from has changed since */
};

/* Compiles a job; no lock is needed, and the guest's state must not be in the FPU. As jit_compile_region. */
int region_compile(const struct jit_interface *compiler, struct region_job *job, struct jit_region *region);
/* What became of it: publishes the region, or says why there is none. Engine lock held. */
void region_finish(const struct jit_interface *compiler, const struct region_job *job, int status,
                   struct jit_region *region);

/* --- region_queue.c. Engine lock held, as for all but the two of fork.
 * -------------------------------------- */

/* Is code at eip, where a block begins, in a region that is waited for? */
bool region_queue_has(guest_addr eip);
/* Is there room for one more? Not in a process that shares memory with the one that has the thread. */
bool region_queue_room(void);
/* Takes the job, from malloc. */
void region_queue_add(struct region_job *job);
/* The CPU time that this process' thread has used, in nanoseconds. */
uint64_t region_queue_cpu_time(void);

#endif

/* Emptying the code cache (docs/engine.md, "When the cache is full").
 *
 * All units are forgotten at once, and what is made from then on is a new generation of code. The old one
 * cannot go at once: threads may be inside it, and their frames return into it. They are asked to come out,
 * as for dropped code, but nobody waits for them: each thread notes which generation it is of when it next
 * comes by here, and the last one that leaves a generation has it freed.
 *
 * A thread in a system call is outside, however long that takes: it comes back through `redirect`, which has
 * it forget its frames, and so by here. */
#include "Runtime/careful.h"
#include "Runtime/engine.h"

#include <time.h>

static uint64_t oldest = 1; /* generation that is not freed */

/* May the thread run, or return into, code of an older generation? */
static bool is_behind(struct engine_thread *thread) {
  if (!thread->tid || thread->generation == code_cache.generation)
    return false;
  /* In this order: it looks at `redirect` after it has left the system call (engine_helper). */
  engine_frames_stale_of(thread);
  return !__atomic_load_n(&thread->in_syscall, __ATOMIC_SEQ_CST);
}

static void free_old(void) {
  uint64_t used = code_cache.generation;
  for (struct engine_thread *thread = engine.threads; thread; thread = thread->next)
    if (is_behind(thread) && thread->generation < used)
      used = thread->generation;
  if (used > oldest)
    engine_statistics.freed_bytes += code_cache_free(used);
  oldest = used;
}

/* The thread is in C, has no host address of code in hand, and goes on with its frames forgotten. */
static void catch_up(struct engine_thread *thread) {
  if (thread->generation == code_cache.generation)
    return;
  thread->generation = code_cache.generation;
  thread->stopping = NULL;
  engine_frames_stale_of(thread);
}

static void flush(void) {
  engine_statistics.flushes++;
  engine_log("the code cache is full: flushed");
  observe_flush();
  units_forget();
  careful_forget();
  code_cache_begin_generation();
  engine_forget_jumps();
  engine_frames_stale();
  engine_interrupt_others();
}

void flush_if_full(struct cpu_state *cpu) {
  struct engine_thread *self = engine_thread_of(cpu);
  catch_up(self);
  if (oldest < code_cache.generation)
    free_old();
  if (!code_cache_is_full())
    return;
  flush();
  catch_up(self);
  free_old();
  /* Others have not run since many flushes ago. */
  while (!code_cache_has_chunks() && oldest < code_cache.generation) {
    static const struct timespec moment = {.tv_nsec = 100000};
    engine_unlock();
    nanosleep(&moment, NULL);
    engine_lock();
    catch_up(self);
    free_old();
  }
}

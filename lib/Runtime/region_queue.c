/* The thread that compiles regions, and the queue that it works on.
 *
 * Jobs have all that the compiler needs, so it runs without a lock; the engine lock is taken to take a job
 * and to publish what became of it. A job whose pages are dropped meanwhile is stale, and what is made of it
 * is thrown away. Jobs are done in the order that they came in.
 *
 * The thread is started with the first job, and sleeps when there is none. It is not the guest's: it has no
 * CPU (GS), no signal is delivered to it, and it has none of the guest's descriptors. fork(2) waits for the job
 * in work, since a child must not find the compiler or the allocator in the middle of something; the child has
 * the queue, and starts a thread of its own. */
#include "Runtime/region.h"

#include <asm/prctl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { QUEUE_LIMIT = 32 };
static struct region_job *waiting[QUEUE_LIMIT], *working;
static unsigned waiting_count;
static pid_t owner;      /* the process that has the thread; 0: there is none */
static uint32_t ready;   /* it is where no signal reaches it */
static bool loading;     /* it is starting, and loads the compiler */
static bool failed;      /* there will never be one */
static uint32_t changes; /* counts what the thread and those who fork wait for (futex) */
static uint32_t forking; /* threads that are about to fork: no new job is begun */

static void notify(void) {
  __atomic_add_fetch(&changes, 1, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &changes, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void wait_for_change(uint32_t since, const struct timespec *limit) {
  syscall(SYS_futex, &changes, FUTEX_WAIT, since, limit, NULL, 0);
}

/* --- The thread --------------------------------------------------------------------------------------------
 */

static clockid_t thread_clock; /* the thread's CPU time */

static uint64_t cpu_time(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* The thread's share of the process' CPU time is a fifth at most: an interpreter has much code that is warm,
 * and compiling may cost more than it saves. */
static bool within_budget(void) {
  enum { SHARE = 5 };
  return engine.region_rounds == 1 ||
         cpu_time(CLOCK_THREAD_CPUTIME_ID) * SHARE < cpu_time(CLOCK_PROCESS_CPUTIME_ID);
}

static struct region_job *take_job(void) {
  if (!waiting_count || !within_budget() || __atomic_load_n(&forking, __ATOMIC_SEQ_CST))
    return NULL;
  struct region_job *job = waiting[0];
  memmove(waiting, waiting + 1, --waiting_count * sizeof waiting[0]);
  return job;
}

/* The C library's new threads do not block a signal that it keeps for itself, and that is the guest's. */
static void leave_guest(void) {
  const uint64_t all = UINT64_MAX;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
  const uint32_t mxcsr = 0x1F80;
  __asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(mxcsr));
  syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
  if (engine.options.thread_begins)
    engine.options.thread_begins();
}

static void *work(void *unused) {
  (void)unused;
  leave_guest();
  pthread_getcpuclockid(pthread_self(), &thread_clock);
  __atomic_store_n(&ready, 1, __ATOMIC_SEQ_CST);
  notify();
  const char *why;
  const struct jit_interface *compiler = compiler_open(&why);
  if (!compiler)
    engine_log("no regions: %s", why);
  engine_lock();
  failed = !compiler;
  loading = false;
  notify();
  while (compiler) {
    const uint32_t seen = __atomic_load_n(&changes, __ATOMIC_SEQ_CST);
    struct region_job *job = working = take_job();
    const bool waits = waiting_count > 0;
    engine_unlock();
    if (!job) {
      static const struct timespec soon = {.tv_nsec = 20000000};
      wait_for_change(seen, waits ? &soon : NULL);
      engine_lock();
      continue;
    }
    struct jit_region region;
    int status = region_compile(compiler, job, &region);
    engine_lock();
    observe_compiled(job->began);
    region_finish(compiler, job, status, &region);
    free(job);
    working = NULL;
    notify();
  }
  engine_unlock();
  return NULL;
}

/* With all signals blocked. */
static void start(void) {
  const uint64_t all = UINT64_MAX;
  uint64_t old;
  pthread_t thread;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0)
    return;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof all);
  ready = 0;
  failed = pthread_create(&thread, &attributes, work, NULL) != 0;
  while (!failed) {
    const uint32_t seen = __atomic_load_n(&changes, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&ready, __ATOMIC_SEQ_CST))
      break;
    wait_for_change(seen, NULL);
  }
  loading = !failed;
  owner = getpid();
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof old);
  pthread_attr_destroy(&attributes);
}

/* --- The queue ---------------------------------------------------------------------------------------------
 */

uint64_t region_queue_cpu_time(void) { return owner == getpid() && !failed ? cpu_time(thread_clock) : 0; }

static bool has_block(const struct region_job *job, guest_addr eip) {
  const struct unit *unit = &job->source.unit;
  for (unsigned b = 0; b < unit->block_count; b++)
    if (unit->insn[unit->block[b].first].eip == eip)
      return true;
  return false;
}

bool region_queue_has(guest_addr eip) {
  for (unsigned i = 0; i < waiting_count; i++)
    if (has_block(waiting[i], eip))
      return true;
  return working && has_block(working, eip);
}

bool region_queue_room(void) {
  return waiting_count < QUEUE_LIMIT && !failed && (owner == 0 || owner == getpid());
}

void region_queue_add(struct region_job *job) {
  waiting[waiting_count++] = job;
  if (!owner)
    start();
  notify();
}

static void mark_stale(struct region_job *job, uint32_t first_page, uint32_t last_page) {
  for (unsigned i = 0; i < job->fetch.page_count; i++)
    job->stale |= job->fetch.page[i] >= first_page && job->fetch.page[i] <= last_page;
}

void regions_drop_pages(uint32_t first_page, uint32_t last_page) {
  if (working)
    mark_stale(working, first_page, last_page);
  for (unsigned i = 0; i < waiting_count;) {
    mark_stale(waiting[i], first_page, last_page);
    if (!waiting[i]->stale) {
      i++;
      continue;
    }
    free(waiting[i]);
    memmove(waiting + i, waiting + i + 1, (--waiting_count - i) * sizeof waiting[0]);
  }
}

/* --- fork --------------------------------------------------------------------------------------------------
 */

void regions_fork_prepare(void) {
  __atomic_add_fetch(&forking, 1, __ATOMIC_SEQ_CST);
  for (;;) {
    const uint32_t seen = __atomic_load_n(&changes, __ATOMIC_SEQ_CST);
    engine_lock();
    if ((!working && !loading) || owner != getpid())
      return;
    engine_unlock();
    wait_for_change(seen, NULL);
  }
}

void regions_fork_parent(void) {
  __atomic_sub_fetch(&forking, 1, __ATOMIC_SEQ_CST);
  notify();
}

void regions_fork_child(void) {
  forking = 0;
  owner = 0;
  loading = false;
  working = NULL;
}

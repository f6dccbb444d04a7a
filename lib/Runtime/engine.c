/* The engine: what happens when translated code comes to C, and the public interface. */
#include "Runtime/engine.h"
#include "Runtime/careful.h"
#include "Runtime/guest_memory.h"
#include "Runtime/helpers.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct engine engine;

/* --- The lock ---------------------------------------------------------------------------------------------
 * A futex of its own: 0 free, 1 held, 2 held and waited for. Not a pthread mutex, because a vfork
 * child that shares this memory may take it. */

static uint32_t lock_word;

static void futex(int operation, uint32_t value) {
  syscall(SYS_futex, &lock_word, operation, value, NULL, NULL, 0);
}

static void drain_drops(void);

void engine_lock(void) {
  uint32_t expected = 0;
  if (!__atomic_compare_exchange_n(&lock_word, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    while (__atomic_exchange_n(&lock_word, 2, __ATOMIC_ACQUIRE) != 0)
      futex(FUTEX_WAIT, 2);
  drain_drops();
}

void engine_unlock(void) {
  if (__atomic_exchange_n(&lock_word, 0, __ATOMIC_RELEASE) == 2)
    futex(FUTEX_WAKE, 1);
}

void engine_wait_unlocked(void) {
  while (__atomic_load_n(&lock_word, __ATOMIC_ACQUIRE))
    syscall(SYS_sched_yield);
}

/* --- Drops -------------------------------------------------------------------------------------------------
 * Guest memory tells of changed code with its own lock held, perhaps in a signal handler; the engine
 * lock comes before that lock. So drops are queued, and done by whoever takes the engine lock
 * next: at the latest this thread, before it runs translated code again. */

enum { DROP_LIMIT = 64 };
static struct {
  struct {
    guest_addr address;
    uint32_t length;
  } range[DROP_LIMIT];
  unsigned count; /* more than DROP_LIMIT: all */
  bool busy;
} drops;

static void drops_lock(void) {
  while (__atomic_exchange_n(&drops.busy, true, __ATOMIC_ACQUIRE))
    syscall(SYS_sched_yield);
}
static void drops_unlock(void) { __atomic_store_n(&drops.busy, false, __ATOMIC_RELEASE); }

static void queue_drop(guest_addr address, uint32_t length) {
  drops_lock();
  if (drops.count < DROP_LIMIT) {
    drops.range[drops.count].address = address;
    drops.range[drops.count].length = length;
  }
  if (drops.count <= DROP_LIMIT)
    __atomic_store_n(&drops.count, drops.count + 1, __ATOMIC_RELEASE);
  drops_unlock();
}

static void drain_drops(void) {
  if (!__atomic_load_n(&drops.count, __ATOMIC_ACQUIRE))
    return;
  drops_lock();
  if (drops.count > DROP_LIMIT)
    unit_drop_all();
  else
    for (unsigned i = 0; i < drops.count; i++)
      unit_drop(drops.range[i].address, drops.range[i].length);
  drops.count = 0;
  drops_unlock();
}

/* cpu->redirect: 1, a hook moved eip; 2, open frames may lead into dropped code. */
enum { REDIRECT_EIP = 1, REDIRECT_FRAMES = 2 };

void engine_frames_stale_of(struct engine_thread *thread) {
  __atomic_or_fetch(&thread->cpu->redirect, REDIRECT_FRAMES, __ATOMIC_SEQ_CST);
}

void engine_frames_stale(void) {
  for (struct engine_thread *thread = engine.threads; thread; thread = thread->next)
    engine_frames_stale_of(thread);
}

/* By a signal that is never blocked and that the handler knows by its sender's value. A thread in a system
 * call looks at `interrupt` when it comes back. It must not be SIGTRAP: the kernel keeps one signal of a
 * kind, so a breakpoint's (region_stop.c) would be lost if this one came first, and the thread go on behind a
 * byte that it has not executed. A fault that is lost like that happens again. */
enum { INTERRUPTION = SIGILL };

void engine_interrupt_others(void) {
  const struct cpu_state *self = runtime_current();
  siginfo_t info;
  memset(&info, 0, sizeof info);
  info.si_code = SI_QUEUE;
  info.si_value.sival_ptr = &engine;
  for (struct engine_thread *thread = engine.threads; thread; thread = thread->next) {
    if (thread->cpu == self)
      continue;
    __atomic_store_n(&thread->cpu->interrupt, 1, __ATOMIC_SEQ_CST);
    if (thread->tid && !__atomic_load_n(&thread->in_syscall, __ATOMIC_SEQ_CST))
      syscall(SYS_rt_tgsigqueueinfo, thread->pid, thread->tid, INTERRUPTION, &info);
  }
}

/* Is there another thread that may be in translated code, and has not come to its hook? Engine lock held. */
static bool others_run_on(const struct cpu_state *self) {
  for (const struct engine_thread *thread = engine.threads; thread; thread = thread->next)
    if (thread->cpu != self && thread->tid && __atomic_load_n(&thread->cpu->interrupt, __ATOMIC_SEQ_CST) &&
        !__atomic_load_n(&thread->in_syscall, __ATOMIC_SEQ_CST))
      return true;
  return false;
}

void runtime_interrupt_others(void) {
  const struct cpu_state *self = runtime_current();
  engine_lock();
  engine_interrupt_others();
  while (others_run_on(self)) {
    engine_unlock();
    syscall(SYS_sched_yield);
    engine_lock();
  }
  engine_unlock();
}

bool engine_is_interruption(int signal, const siginfo_t *info) {
  return signal == INTERRUPTION && info->si_code == SI_QUEUE && info->si_value.sival_ptr == &engine;
}

/* --- Messages ------------------------------------------------------------------------------------------------ */

void engine_log(const char *format, ...) {
  if (!engine.options.log)
    return;
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  engine.options.log("%s", line);
}

void engine_fatal(guest_addr eip, const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  fprintf(stderr, "uemu-llvm: internal error at guest address 0x%08x: %s\n", eip, line);
  fprintf(stderr, "uemu-llvm: please report it with the program, its arguments, and what -d jit logs\n");
  abort();
}

/* --- Going on -------------------------------------------------------------------------------------------------- */

/* How code at an address is wanted. */
enum wanted {
  WANT_COLD,
  WANT_HOT,
  WANT_ONCE,   /* its first instruction alone */
  WANT_CACHED, /* to be found in the jump cache next time */
};

/* Must flags be up to date, though they need not be kept there? */
static bool needs_flags(guest_addr eip) {
  bool is_cut = false;
  if (engine.options.tier == RUNTIME_TIER_LLVM)
    return false;
  const uint8_t read = translate_flags_read(eip, &is_cut);
  return engine.precise ? read || is_cut : read & ~engine.return_flags;
}

/* Code that may get hotter is entered from the jump cache by way of an exit, too, which counts. Engine lock held. */
static uintptr_t cache_jump(struct cpu_state *cpu, guest_addr eip, uintptr_t host) {
  const bool reads_flags = needs_flags(eip);
  if (engine.options.tier != RUNTIME_TIER_LLVM && !unit_is_settled(eip))
    host = translate_exit(eip);
  if (eip)
    *engine_room_for_jump(cpu, eip) =
        (struct jump_cache_entry){.eip = eip, .reads_flags = reads_flags, .host = host};
  return host;
}

/* Before the guest's state is shown, or code runs that knows nothing of records. */
static void show_flags(struct cpu_state *cpu) {
  if (!cpu->flag_operation)
    return;
  engine_lock();
  flag_record_end(cpu);
  engine_unlock();
}

/* Host code for cpu->eip. Fetch faults and interrupts go to the hooks first. */
static uintptr_t resume(struct cpu_state *cpu, enum wanted wanted) {
  for (;;) {
    if (__atomic_load_n(&cpu->interrupt, __ATOMIC_ACQUIRE)) {
      show_flags(cpu);
      engine.hooks.interrupt(cpu);
      wanted = WANT_COLD; /* eip may be another's */
    }
    guest_addr fault = 0;
    if (careful_wanted(cpu))
      show_flags(cpu);
    engine_lock();
    flush_if_full(cpu);
    bool careful = careful_wanted(cpu);
    uintptr_t host = careful               ? careful_code(cpu, wanted == WANT_ONCE, &fault)
                     : wanted == WANT_ONCE ? translate_once(cpu->eip, NULL, &fault)
                                           : translate(cpu, wanted == WANT_HOT, &fault);
    if (host && wanted == WANT_CACHED && !careful)
      host = cache_jump(cpu, cpu->eip, host);
    engine_unlock();
    if (host)
      return host;
    enum { FETCH_ERROR = 16 };
    bool mapped = guest_memory_page(fault) & GUEST_PAGE_MAPPED;
    struct trap trap = {.vector = TRAP_PF,
                        .error_code = fault_error(fault, false) | FETCH_ERROR,
                        .address = fault,
                        .host_signal = SIGSEGV,
                        .host_code = mapped ? SEGV_ACCERR : SEGV_MAPERR};
    engine_thread_of(cpu)->traps_after = false;
    flag_record_read(cpu);
    engine.hooks.trap(cpu, &trap);
    wanted = WANT_COLD;
  }
}

/* The single step's trap, if one is due. */
static void trap_after_instruction(struct cpu_state *cpu) {
  static const struct trap single_step = {.vector = TRAP_DB, .host_code = TRAP_TRACE};
  if (careful_ended(engine_thread_of(cpu)))
    engine.hooks.trap(cpu, &single_step);
}

uintptr_t engine_link(struct cpu_state *cpu, uint32_t slot) {
  const bool is_hot = slot & SLOT_IS_HOT;
  struct statistics_exits *exits = &engine_thread_of(cpu)->exits;
  ++*(is_hot ? &exits->hot : &exits->links);
  slot &= ~(uint32_t)SLOT_IS_HOT;
  cpu->eip = slot_target(slot);
  const uint64_t generation = engine_thread_of(cpu)->generation;
  uintptr_t host = resume(cpu, is_hot ? WANT_HOT : WANT_COLD);
  engine_lock();
  if (generation == code_cache.generation) /* else the slot is gone */
    slot_used(slot);
  engine_unlock();
  return host;
}

/* What the jump cache has for eip, if it may be gone to; else 0. */
static uintptr_t cached_jump(struct cpu_state *cpu) {
  const struct jump_cache_entry *entry = engine_cached_jump(cpu, cpu->eip);
  const bool is_usual = !__atomic_load_n(&cpu->interrupt, __ATOMIC_ACQUIRE) && !careful_wanted(cpu);
  return is_usual && entry ? entry->host : 0;
}

/* What is not in the jump cache, or is, but reads flags that may be older than the record. That is up to date wherever a unit
 * is left. */
uintptr_t engine_dispatch(struct cpu_state *cpu) {
  engine_thread_of(cpu)->exits.misses++;
  flag_record_read(cpu);
  trap_after_instruction(cpu);
  const uintptr_t host = cached_jump(cpu);
  return host ? host : resume(cpu, WANT_CACHED);
}

uintptr_t engine_table_miss(struct cpu_state *cpu, uint32_t offset) {
  const guest_addr eip = cpu->eip;
  const uintptr_t host = engine_dispatch(cpu);
  engine_lock();
  if (cpu->eip == eip) /* else something came between */
    engine_cache_table_jump(cpu, offset, eip);
  engine_unlock();
  return host;
}

/* In the middle of a unit. */
uintptr_t engine_leave(struct cpu_state *cpu) {
  engine_thread_of(cpu)->exits.misses++;
  show_flags(cpu);
  trap_after_instruction(cpu);
  return resume(cpu, WANT_CACHED);
}

/* As engine_dispatch, for a return to another place than behind its call. Without records flags that are read there are lost this time, but
 * not the next. */
uintptr_t engine_return(struct cpu_state *cpu) {
  if (!engine.precise) {
    bool is_cut;
    engine_lock();
    const uint8_t missing = translate_flags_read(cpu->eip, &is_cut) & (uint8_t)~engine.return_flags;
    engine.return_flags |= missing;
    if (missing)
      unit_drop_all();
    engine_unlock();
  }
  return engine_dispatch(cpu);
}

static void change_regions(void (*change)(void)) {
  if (engine.options.tier != RUNTIME_TIER_REGION)
    return;
  engine_lock();
  change();
  engine_unlock();
}

uintptr_t engine_helper(struct cpu_state *cpu, uint32_t index) {
  const bool was_careful = careful_wanted(cpu);
  struct engine_thread *thread = engine_thread_of(cpu);
  thread->exits.helper[index]++;
  if (index == HELPER_syscall)
    __atomic_store_n(&thread->in_syscall, 1, __ATOMIC_SEQ_CST);
  helper_functions[index](cpu);
  if (index == HELPER_syscall)
    __atomic_store_n(&thread->in_syscall, 0, __ATOMIC_SEQ_CST);
  /* The mode changed: usual code may run up to the next instruction. */
  if (careful_wanted(cpu) && !was_careful)
    runtime_interrupt(cpu);
  if (cpu->eflags_rest & EFLAGS_AC)
    change_regions(regions_end); /* what they spill is not aligned */
  /* Translations that the helper made stale (munmap, a write to code) go now. */
  if (__atomic_load_n(&drops.count, __ATOMIC_ACQUIRE)) {
    engine_lock();
    engine_unlock();
  }
  uint64_t redirect = __atomic_load_n(&cpu->redirect, __ATOMIC_SEQ_CST);
  /* Only a system call's eip is where it goes on; after others, stale frames are forgotten later. */
  if (!(redirect & REDIRECT_EIP) && !(redirect && index == HELPER_syscall))
    return 0;
  trap_after_instruction(cpu);
  uintptr_t host = resume(cpu, WANT_COLD);
  __atomic_store_n(&cpu->redirect, 0, __ATOMIC_RELEASE);
  return host;
}

uintptr_t engine_after_signal(struct cpu_state *cpu) {
  struct engine_thread *thread = engine_thread_of(cpu);
  thread->exits.stops++;
  if (thread->pending_trap) {
    struct trap trap = thread->trap;
    thread->pending_trap = thread->traps_after = false;
    flag_record_read(cpu);
    fault_complete(cpu, &trap);
    engine.hooks.trap(cpu, &trap);
  }
  bool once = thread->once;
  thread->once = false;
  uintptr_t host = resume(cpu, once ? WANT_ONCE : WANT_COLD);
  __atomic_store_n(&cpu->redirect, 0, __ATOMIC_RELEASE);
  return host;
}

/* --- The public interface --------------------------------------------------------------------------------------- */

enum { REGION_COUNT = 48000 };
#define CODE_CACHE_USUAL ((size_t)256 << 20)

int runtime_init(const struct runtime_options *options, const struct runtime_hooks *hooks) {
  engine.options = *options;
  engine.hooks = *hooks;
  const uint32_t count = options->region_count ? options->region_count : REGION_COUNT;
  const uint32_t hot_count = options->hot_count ? options->hot_count : HOT_COUNT;
  engine.hot_count = options->tier == RUNTIME_TIER_REGION && count < hot_count ? count : hot_count;
  engine.regions_at_once = options->tier == RUNTIME_TIER_REGION && count == 1;
  engine.region_rounds = (count + HOT_COUNT - 1) / HOT_COUNT;
  int status = code_cache_init(options->tier == RUNTIME_TIER_LLVM,
                               options->code_cache_size ? options->code_cache_size : CODE_CACHE_USUAL);
  if (status == 0)
    status = units_init();
  if (status == 0)
    status = stencil_source_init();
  if (status == 0)
    status = signals_init();
  if (status < 0)
    return status;
  stubs_init();
  code_cache_begin_generation();
  guest_memory_set_code_dropper(queue_drop);
  return 0;
}

void runtime_set_foreign_signal(void (*handler)(int, siginfo_t *, void *)) { engine.foreign_signal = handler; }

enum { FRAMES_SIZE = 1 << 20, SIGNAL_STACK_SIZE = 1 << 16, GUARD_SIZE = 4096 };

static void *map(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

/* One mapping: guard page, frames, signal stack, thread, CPU. */
enum { THREAD_SIZE = 16384, CPU_OFFSET = GUARD_SIZE + FRAMES_SIZE + SIGNAL_STACK_SIZE + THREAD_SIZE };
_Static_assert(sizeof(struct engine_thread) <= THREAD_SIZE, "the CPU lies behind it");
#define CPU_MAPPING_SIZE (CPU_OFFSET + sizeof(struct cpu_state))

struct cpu_state *runtime_cpu_new(void *owner) {
  uint8_t *memory = map(CPU_MAPPING_SIZE);
  if (!memory)
    return NULL;
  struct engine_thread *thread =
      (struct engine_thread *)(memory + GUARD_SIZE + FRAMES_SIZE + SIGNAL_STACK_SIZE);
  struct cpu_state *cpu = (struct cpu_state *)(memory + CPU_OFFSET);
  if (mprotect(memory, GUARD_SIZE, PROT_NONE) < 0 ||
      mprotect(cpu->guarded_base, sizeof cpu->guarded_base, PROT_NONE) < 0) {
    munmap(memory, CPU_MAPPING_SIZE);
    return NULL;
  }
  thread->cpu = cpu;
  thread->frames = memory + GUARD_SIZE;
  thread->frames_size = FRAMES_SIZE;
  thread->signal_stack = memory + GUARD_SIZE + FRAMES_SIZE;
  cpu_set_eflags(cpu, EFLAGS_ONE | EFLAGS_IF);
  cpu->runtime_private = (uint64_t)(uintptr_t)thread;
  cpu->self = (uint64_t)(uintptr_t)cpu;
  cpu->owner = owner;
  uint64_t *base = (uint64_t *)(thread->frames + FRAMES_SIZE - 64);
  *base = (uint64_t)stub_address(STENCIL_MISPAIRED); /* a frame that comes back here was nobody's */
  cpu->frame_base = cpu->frame_stack = (uint64_t)(uintptr_t)base;
  engine_lock();
  thread->generation = code_cache.generation;
  engine_begin_jumps(cpu);
  thread->next = engine.threads;
  engine.threads = thread;
  engine_unlock();
  return cpu;
}

void runtime_cpu_free(struct cpu_state *cpu) {
  struct engine_thread *thread = engine_thread_of(cpu);
  engine_lock();
  for (struct engine_thread **link = &engine.threads; *link; link = &(*link)->next)
    if (*link == thread) {
      *link = thread->next;
      observe_thread_ended(thread);
      break;
    }
  engine_unlock();
  if (runtime_current() == cpu) {
    /* The thread that frees its own: its signal stack goes, and nothing finds the CPU any more. */
    stack_t off = {.ss_flags = SS_DISABLE};
    sigaltstack(&off, NULL);
    syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
  }
  munmap((uint8_t *)cpu - CPU_OFFSET, CPU_MAPPING_SIZE);
}

struct cpu_state *runtime_current(void) {
  unsigned long base = 0;
  syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
  return (struct cpu_state *)base;
}

void runtime_run(struct cpu_state *cpu, const void *fxsave) {
  struct engine_thread *thread = engine_thread_of(cpu);
  thread->pid = getpid();
  thread->tid = gettid();
  stack_t stack = {.ss_sp = thread->signal_stack, .ss_size = SIGNAL_STACK_SIZE};
  if (sigaltstack(&stack, NULL) < 0 || syscall(SYS_arch_prctl, ARCH_SET_GS, cpu) < 0)
    engine_fatal(cpu->eip, "cannot set up the thread: errno %d", errno);
  if (fxsave) {
    runtime_fpu_load(cpu, fxsave);
  } else {
    __asm__ volatile("fninit");
    uint32_t mxcsr = 0x1F80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
  }
  enter_guest(cpu, resume(cpu, WANT_COLD));
}

void runtime_set_segment_base(struct cpu_state *cpu, enum segment segment, uint32_t base, bool is_null) {
  cpu->segment_base[segment] = base;
  if (segment < SEG_FS)
    return;
  struct engine_thread *thread = engine_thread_of(cpu);
  struct guarded_base *guarded = &cpu->guarded_base[segment - SEG_FS];
  const uint8_t bit = (uint8_t)(1 << (segment - SEG_FS));
  const bool is_open = thread->open_bases & bit;
  if (is_open == is_null) {
    if (mprotect(guarded, offsetof(struct guarded_base, closed), is_null ? PROT_NONE : PROT_READ | PROT_WRITE) < 0)
      engine_fatal(cpu->eip, "cannot protect the base of a segment: errno %d", errno);
    thread->open_bases ^= bit;
  }
  if (!is_null)
    guarded->base = base;
}

void runtime_interrupt(struct cpu_state *cpu) { __atomic_store_n(&cpu->interrupt, 1, __ATOMIC_RELEASE); }

void runtime_set_precise(bool on) {
  engine_lock();
  if (engine.precise != on) {
    engine.precise = on;
    for (struct engine_thread *thread = engine.threads; thread; thread = thread->next)
      thread->cpu->flag_operation = 0;
    unit_drop_all();
  }
  engine_unlock();
}

void runtime_commit_regions(void) { change_regions(regions_commit); }

/* Other threads may be inside guest memory at this moment, and the child has nobody to leave it again. */
void runtime_fork_prepare(void) {
  regions_fork_prepare();
  guest_memory_fork_prepare();
}

void runtime_fork_parent(void) {
  guest_memory_fork_done();
  code_cache_fork_parent();
  regions_fork_parent();
  engine_unlock();
}

void runtime_fork_child(void) {
  /* Only the calling thread is left. */
  struct cpu_state *cpu = runtime_current();
  struct engine_thread *self = cpu ? engine_thread_of(cpu) : NULL;
  engine.threads = self;
  if (self) {
    self->next = NULL;
    self->pid = getpid();
    self->tid = gettid();
  }
  lock_word = 1;
  guest_memory_fork_done();
  regions_fork_child();
  code_cache_fork_child();
  observe_forked(self);
  engine_unlock();
}

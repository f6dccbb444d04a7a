/* The runtime: runs guest code from translations, and calls the operating-system layer when
 * guest code leaves it.
 *
 * What leaves translated code: a system call (int 0x80), a guest fault or software trap, an
 * interrupt that another thread or a host signal asked for, and code not translated yet. The
 * first three end in a hook, with the whole guest state in struct cpu_state. A hook that changes
 * only general registers, flags or xmm needs to do nothing more; one that changes where execution
 * goes on (sets eip itself: signal delivery, sigreturn) calls runtime_redirect. A hook may never
 * return (exit, execve).
 *
 * Threads: one struct cpu_state a host thread. Hooks run on the thread's C stack, outside any
 * host signal handler, with host signals deliverable. */
#ifndef UEMU_RUNTIME_RUNTIME_H
#define UEMU_RUNTIME_RUNTIME_H

#include "Runtime/cpu_state.h"
#include "Runtime/observe.h"

#include <signal.h>
#include <stdbool.h>

/* Exception vectors (SDM vol. 3, table 6-1). */
enum trap_vector {
  TRAP_DE = 0,  /* divide error */
  TRAP_DB = 1,  /* debug */
  TRAP_BP = 3,  /* int3; eip is after it */
  TRAP_OF = 4,  /* into; eip is after it */
  TRAP_BR = 5,  /* bound */
  TRAP_UD = 6,  /* invalid opcode */
  TRAP_NM = 7,
  TRAP_NP = 11,
  TRAP_SS = 12,
  TRAP_GP = 13,
  TRAP_PF = 14,
  TRAP_MF = 16, /* x87 */
  TRAP_AC = 17, /* alignment check */
  TRAP_XM = 19, /* SSE */
};

struct trap {
  uint32_t vector;     /* enum trap_vector */
  uint32_t error_code; /* as the CPU pushes it; 0 where it pushes none */
  guest_addr address;  /* TRAP_PF, TRAP_AC: the faulting address (CR2) */
  int host_signal;     /* the host signal it came from: SIGSEGV, SIGBUS, SIGFPE …; 0 for none */
  int host_code;       /* and its si_code */
};

/* What lar, lsl, verr and verw ask of a selector. */
enum segment_question { SEGMENT_RIGHTS, SEGMENT_LIMIT, SEGMENT_IS_READABLE, SEGMENT_IS_WRITABLE };

struct runtime_hooks {
  /* int 0x80: eip is after the instruction. */
  void (*syscall)(struct cpu_state *cpu);
  /* A fault or trap. eip is at the faulting instruction for faults, after it for traps. */
  void (*trap)(struct cpu_state *cpu, const struct trap *trap);
  /* cpu->interrupt was set: a safe point was reached; eip is the next instruction. The hook
   * clears cpu->interrupt itself, before it looks for what is pending. */
  void (*interrupt)(struct cpu_state *cpu);
  /* mov to a segment register and its kin: sets the selector, base and bounds of `segment`. 0, or the vector
   * of the fault, whose error code names the selector. */
  uint32_t (*load_segment)(struct cpu_state *cpu, enum segment segment, uint16_t selector);
  /* Answers a question about a selector: ZF; if that is set, *answer is the result of lar or lsl. */
  bool (*ask_segment)(struct cpu_state *cpu, uint16_t selector, enum segment_question question, uint32_t *answer);
};

struct jit_dump;

#define CODE_CACHE_LEAST ((size_t)128 << 10)
#define CODE_CACHE_MOST ((size_t)512 << 20)

/* Stencils; those, and regions for what is hot (docs/regions.md); LLVM for every block. */
enum runtime_tier { RUNTIME_TIER_STENCIL, RUNTIME_TIER_REGION, RUNTIME_TIER_LLVM };

struct runtime_options {
  enum runtime_tier tier;
  bool dump_ir;          /* give `dump` the IR of the blocks that the llvm tier runs */
  void (*dump)(const char *text); /* whole modules, with line ends */
  uint32_t
      hot_count; /* how often code runs before it is translated in larger units; 1: at once; 0: as is best */
  uint32_t region_count;    /* region tier: how often code runs, in stencils, before it is compiled; 0: as is best */
  size_t code_cache_size; /* bytes of host code, of CODE_CACHE_LEAST to _MOST, before all is made anew; 0: as
                             is best */
  unsigned compile_threads; /* region tier: 0 compiles while the guest waits, else a thread does */
  const struct jit_dump *dump_files; /* jit_dump.h: what to write of all that LLVM compiles; NULL: nothing */
  const char *cache_dir; /* where stencils made on demand are kept; NULL: nowhere */
  void (*log)(const char *format, ...) __attribute__((format(printf, 1, 2))); /* one line; may be NULL */
  void (*thread_begins)(void); /* first thing on a thread of the runtime's own; may be NULL */
  const struct runtime_observer *observer; /* NULL: nobody watches */
  bool measure;          /* how long translating takes, for runtime_statistics() */
};

/* Once a process, after guest_memory_init. 0 or a negative errno. Installs the host handlers of
 * SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP for faults of translated code; faults that are not
 * the guest's go to `runtime_foreign_signal`'s handler. */
int runtime_init(const struct runtime_options *options, const struct runtime_hooks *hooks);

/* A fatal host signal that does not stem from translated code or from a guest-memory copy, or one
 * that another process sent (kill -SEGV): called in the signal handler. */
void runtime_set_foreign_signal(void (*handler)(int signal, siginfo_t *info, void *ucontext));

/* A new CPU: all zero but what exec gives (flags 0x202, flat segments, FPU at its reset values).
 * owner is kept in cpu->owner. NULL when there is no memory. Freed by its own thread's end or by
 * another thread. */
struct cpu_state *runtime_cpu_new(void *owner);
void runtime_cpu_free(struct cpu_state *cpu);

/* Sets the base of a segment register; is_null: its selector is null, so that nothing may be accessed through it.
 * All else that a load of one changes is the caller's to set. By the CPU's thread, or before it runs. */
void runtime_set_segment_base(struct cpu_state *cpu, enum segment segment, uint32_t base, bool is_null);

/* Runs the guest from cpu->eip on the calling host thread, for ever: threads end inside a hook.
 * Loads the guest FPU state given (512 bytes as fxsave writes them, or NULL: reset state). */
_Noreturn void runtime_run(struct cpu_state *cpu, const void *fxsave);

/* The CPU of the calling thread, NULL if it runs no guest. Async-signal-safe. */
struct cpu_state *runtime_current(void);

/* eip (and perhaps more) was set by the hook: go on there, and forget open guest calls. */
static inline void runtime_redirect(struct cpu_state *cpu) { cpu->redirect = 1; }

/* Asks `cpu` to reach a safe point soon. From another thread: set cpu->interrupt, then send the
 * thread a host signal whose handler calls runtime_interrupted. */
void runtime_interrupt(struct cpu_state *cpu);

/* Has every other thread call its interrupt hook before it executes another instruction of the guest; none does, in
 * between, once this returns. Not in a hook that holds what the others may wait for. */
void runtime_interrupt_others(void);

/* For handlers of asynchronous host signals, last thing: if the handler interrupted translated
 * code and cpu->interrupt is set, arranges (in *ucontext) that execution stops at the next guest
 * instruction boundary and the interrupt hook is called there (docs/signals.md). */
void runtime_interrupted(void *ucontext);

/* For handlers of host signals, first thing: alignment checks (EFLAGS.AC), which are the guest's and in force
 * while its code runs, are switched off; the context's return brings them back. What the caller does must be
 * in a function of its own. */
static inline __attribute__((always_inline)) void runtime_alignment_unchecked(void) {
  __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandl $0xFFFBFFFF, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp"
                   :
                   :
                   : "cc", "memory");
}

/* The guest's x87, MMX and MXCSR state, which is in the host FPU of the calling thread, and its
 * xmm registers, which are in cpu->xmm: as one 512-byte fxsave image of a 32-bit process. */
void runtime_fpu_save(const struct cpu_state *cpu, void *fxsave);
void runtime_fpu_load(struct cpu_state *cpu, const void *fxsave);

/* Code outside the guest has made cpu->ymm_high other than zero, or the guest is about to. */
void runtime_use_ymm(void);

/* Makes every flag exact at instructions that can fault; called when the guest installs a handler
 * that could look (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP) or is traced. */
void runtime_set_precise(bool on);

/* The guest has installed a handler for one of these signals, any handler: from now on a fault's state must be that
 * of its instruction, in regions, too. Those that do not have it are dropped. */
void runtime_commit_regions(void);

/* Around fork(2): hold every lock of the runtime before, release after, in parent and child. */
void runtime_fork_prepare(void);
void runtime_fork_parent(void);
void runtime_fork_child(void);

#endif

/* Host signals of translated code: faults, self-modifying code, and stopping at an instruction.
 *
 * A fault in a stencil finds the guest's registers in their host registers, unchanged since the
 * instruction began (every stencil is checked for that). The handler copies them to the register
 * file, sets eip from the host pc, and changes the context to go on in enter_after_signal: what
 * the guest sees of the fault is decided there, in plain C outside the handler.
 *
 * Asynchronous interrupts take the same way, but only between two instructions: the handler sets
 * the trap flag and lets the host step until pc is the first byte of a guest instruction's code
 * (docs/signals.md). A host string instruction can be left in the middle, as the guest's can.
 *
 * Handlers run on the thread's signal stack with all signals blocked. */
#include "Runtime/careful.h"
#include "Runtime/engine.h"
#include "Runtime/fpu.h"
#include "Runtime/guest_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { HOST_TF = 0x100, ERROR_WRITE = 2, ERROR_FETCH = 16 };

static const int pinned[GPR_COUNT] = {[GPR_EAX] = REG_RAX, [GPR_ECX] = REG_RCX, [GPR_EDX] = REG_RDX,
                                      [GPR_EBX] = REG_RDI, [GPR_ESP] = REG_RSI, [GPR_EBP] = REG_R8,
                                      [GPR_ESI] = REG_R9,  [GPR_EDI] = REG_R12};

/* Is the host instruction at pc a string instruction or a masked move? Between their exchanges the
 * pinned registers rsi, rdi hold what r9, r12 should, and the reverse (Frontend/lift_string.c). */
static bool at_string_instruction(const uint8_t *pc) {
  for (unsigned i = 0; i < 6; i++, pc++) {
    switch (*pc) {
    case 0x66:
    case 0x67:
    case 0xF2:
    case 0xF3:
      continue;
    case 0xA4: case 0xA5: case 0xA6: case 0xA7: case 0xAA: case 0xAB:
    case 0xAC: case 0xAD: case 0xAE: case 0xAF:
      return true;
    case 0x0F:
      return pc[1] == 0xF7; /* maskmovq, maskmovdqu */
    default:
      return false;
    }
  }
  return false;
}

static void swap(greg_t *a, greg_t *b) {
  greg_t t = *a;
  *a = *b;
  *b = t;
}

/* Undoes that: what the registers hold is as it was before. A masked move without an address-size prefix has its address, for
 * rdi, from r11 (Frontend/lift_simd.c). */
static void undo_exchange(greg_t *r) {
  const uint8_t *pc = (const uint8_t *)r[REG_RIP];
  bool has_address_prefix = false;
  for (; *pc == 0x66 || *pc == 0x67 || *pc == 0xF2 || *pc == 0xF3; pc++)
    has_address_prefix |= *pc == 0x67;
  if (*pc == 0x0F && !has_address_prefix) {
    swap(&r[REG_RDI], &r[REG_R11]);
    return;
  }
  swap(&r[REG_RSI], &r[REG_R9]);
  swap(&r[REG_RDI], &r[REG_R12]);
}

/* A repeated comparison that is left in the middle has set the flags, unless it did not begin: r10 has
 * the count from before it (Frontend/lift_string.c). */
static void take_comparison_flags(struct cpu_state *cpu, const greg_t *r) {
  const uint8_t *pc = (const uint8_t *)r[REG_RIP];
  bool repeats = false;
  for (; *pc == 0x66 || *pc == 0x67 || *pc == 0xF2 || *pc == 0xF3; pc++)
    repeats |= *pc == 0xF2 || *pc == 0xF3;
  bool compares = *pc == 0xA6 || *pc == 0xA7 || *pc == 0xAE || *pc == 0xAF; /* cmps, scas */
  if (!repeats || !compares || (uint32_t)r[REG_RCX] == (uint32_t)r[REG_R10])
    return;
  cpu_change_eflags(cpu, eflags_of(FLAGS_ALL), (uint32_t)r[REG_EFL]);
}

/* A gather that faults has loaded the elements before, and cleared their masks: C4, map 0F38, prefix 66,
 * opcodes 90-93. Its registers are named in the instruction (Frontend/lift_passthrough.c). */
static void take_gather_progress(struct cpu_state *cpu, const uint8_t *pc, const mcontext_t *context) {
  enum { ADDRESS_SIZE = 0x67, VEX3 = 0xC4, MAP_0F38 = 2, PREFIX_66 = 1, GATHER = 0x90 };
  pc += *pc == ADDRESS_SIZE;
  if (pc[0] != VEX3 || (pc[1] & 31) != MAP_0F38 || (pc[2] & 3) != PREFIX_66 || (pc[3] & 0xFC) != GATHER)
    return;
  const unsigned target = pc[4] >> 3 & 7, mask = ~pc[2] >> 3 & 7;
  memcpy(cpu->xmm[target], &context->fpregs->_xmm[target], sizeof cpu->xmm[target]);
  memcpy(cpu->xmm[mask], &context->fpregs->_xmm[mask], sizeof cpu->xmm[mask]);
}

/* The same in a unit that commits: the register file is the state, but that eip is not in it yet at
 * a block's entry, that a repetition's progress is in the registers that the host's instruction uses, and that
 * upper halves of ymm registers are never in it. */
static void take_committed_state(struct cpu_state *cpu, const struct code_unit *unit,
                                 const mcontext_t *context) {
  const greg_t *r = context->gregs;
  const uint8_t *pc = (const uint8_t *)r[REG_RIP];
  if (pc == unit->code) {
    cpu->eip = unit->low;
    return;
  }
  take_gather_progress(cpu, pc, context);
  if (!at_string_instruction(pc))
    return;
  take_comparison_flags(cpu, r);
  bool repeats = false;
  for (; *pc == 0x66 || *pc == 0x67 || *pc == 0xF2 || *pc == 0xF3; pc++)
    repeats |= *pc == 0xF2 || *pc == 0xF3;
  if (!repeats || *pc == 0x0F)
    return;
  bool lods = *pc == 0xAC || *pc == 0xAD;
  cpu->gpr[GPR_ECX] = (uint32_t)r[REG_RCX];
  if (*pc <= 0xA7 || lods) /* movs, cmps */
    cpu->gpr[GPR_ESI] = (uint32_t)r[REG_RSI];
  if (lods)
    cpu->gpr[GPR_EAX] = (uint32_t)r[REG_RAX];
  else
    cpu->gpr[GPR_EDI] = (uint32_t)r[REG_RDI];
}

/* The upper halves of ymm0-7, which live nowhere else while translated code runs: in the XSAVE image
 * (standard format) that the kernel made of the interrupted state. */
static void take_ymm(struct cpu_state *cpu, const mcontext_t *context) {
  if (!fpu_uses_ymm)
    return;
  const uint8_t *image = (const uint8_t *)context->fpregs;
  uint64_t components;
  memcpy(&components, image + XSAVE_HEADER, sizeof components);
  if (components & XSTATE_YMM)
    memcpy(cpu->ymm_high, image + XSAVE_YMM, sizeof cpu->ymm_high);
  else
    memset(cpu->ymm_high, 0, sizeof cpu->ymm_high);
}

/* Flags that are nowhere but in the host's EFLAGS. If all are, a record would be an older one. */
static void take_host_flags(struct cpu_state *cpu, uint8_t flags, const greg_t *r) {
  const uint32_t operation = flags == FLAGS_ALL ? 0 : cpu->flag_operation;
  cpu_change_eflags(cpu, eflags_of(flags), (uint32_t)r[REG_EFL]);
  cpu->flag_operation = operation;
}

/* There, and at a region's returns, host registers have the state, as in stencils. */
static bool at_region_entry(const struct code_unit *unit, uintptr_t pc) {
  return unit->region && pc == (uintptr_t)unit->code;
}

/* The guest state at an interruption of the unit's instruction `index`, into the register file. */
static void take_state(struct cpu_state *cpu, const struct code_unit *unit, int index, mcontext_t *context) {
  greg_t *r = context->gregs;
  const uintptr_t pc = (uintptr_t)r[REG_RIP];
  const bool returns = region_stop_returns(unit, pc);
  take_ymm(cpu, context);
  if (unit->commits && !at_region_entry(unit, pc) && !returns) {
    take_committed_state(cpu, unit, context);
    return;
  }
  if (!unit->region && at_string_instruction((const uint8_t *)r[REG_RIP])) {
    undo_exchange(r);
    take_comparison_flags(cpu, r);
  }
  take_host_flags(cpu, unit->insn[index].host_flags, r);
  for (unsigned i = 0; i < GPR_COUNT; i++)
    cpu->gpr[i] = (uint32_t)r[pinned[i]];
  cpu->gpr[GPR_ESP] += (uint32_t)unit->insn[index].stack;
  memcpy(cpu->xmm, context->fpregs->_xmm, sizeof cpu->xmm);
  cpu->eip = returns ? (uint32_t)r[REG_R13] : unit->low + unit->insn[index].guest;
}

static void leave_through(mcontext_t *context, const char *where) {
  context->gregs[REG_RIP] = (greg_t)(uintptr_t)where;
  context->gregs[REG_EFL] &= ~(greg_t)(HOST_TF | EFLAGS_AC);
}

/* --- Stepping to the next instruction --------------------------------------------------------------- */

static bool in_stubs(uintptr_t pc) {
  return pc >= (uintptr_t)enter_text_start && pc < (uintptr_t)enter_text_end;
}

/* At a place where an interrupt may be taken: leave translated code. Else step on, as long as
 * control is in translated code or on its way there. True if the context was changed to leave. */
static bool stop_or_step(struct engine_thread *thread, mcontext_t *context) {
  uintptr_t pc = (uintptr_t)context->gregs[REG_RIP];
  const struct code_unit *unit = code_cache_contains(pc) ? unit_of_pc(pc) : NULL;
  if (unit) {
    bool exact = false;
    int index = unit_insn_of_pc(unit, pc, &exact);
    if (unit->commits || unit->region) /* its other rows are not boundaries */
      exact = pc == (uintptr_t)unit->code || region_stop_returns(unit, pc);
    const bool in_string = (unit->commits || !unit->region) && at_string_instruction((const uint8_t *)pc);
    /* An instruction without host code, a nop, shares the place of the one behind it: a single step's trap
     * comes after each. */
    while (exact && index > 0 && unit->insn[index - 1].host == unit->insn[index].host && careful_wanted(thread->cpu))
      index--;
    if (index >= 0 && (exact || in_string)) {
      take_state(thread->cpu, unit, index, context);
      leave_through(context, enter_after_signal);
      thread->stepping = false;
      return true;
    }
    if (unit->region && (region_stop_want(thread, unit, pc) || region_stop_leave(unit, pc, context))) {
      thread->stepping = false;
      context->gregs[REG_EFL] &= ~(greg_t)HOST_TF;
      return false;
    }
  }
  thread->stepping = code_cache_contains(pc) || in_stubs(pc);
  if (thread->stepping)
    context->gregs[REG_EFL] |= HOST_TF;
  else
    context->gregs[REG_EFL] &= ~(greg_t)HOST_TF; /* in C: it looks before it comes back */
  return false;
}

void runtime_interrupted(void *ucontext) {
  struct cpu_state *cpu = runtime_current();
  mcontext_t *context = &((ucontext_t *)ucontext)->uc_mcontext;
  uintptr_t pc = (uintptr_t)context->gregs[REG_RIP];
  if (cpu && __atomic_load_n(&cpu->interrupt, __ATOMIC_ACQUIRE) && (code_cache_contains(pc) || in_stubs(pc)))
    stop_or_step(engine_thread_of(cpu), context);
}

/* --- Faults ------------------------------------------------------------------------------------------- */

/* The trap a host signal stands for. The kernel gives the CPU's own numbers in the context. */
static struct trap trap_of(int signal, const siginfo_t *info, const mcontext_t *context) {
  struct trap trap = {.vector = (uint32_t)context->gregs[REG_TRAPNO],
                      .error_code = (uint32_t)context->gregs[REG_ERR],
                      .host_signal = signal,
                      .host_code = info->si_code};
  if (trap.vector == TRAP_PF || trap.vector == TRAP_AC)
    trap.address = (guest_addr)(uintptr_t)info->si_addr;
  if (trap.vector == TRAP_PF)
    trap.error_code &= 0x17; /* present, write, user, fetch */
  return trap;
}

/* The guest's frames have run out of their stack: forget them. The call that could not push is
 * tried again, at the base; what it will return to dispatches. */
static bool frames_overflow(struct engine_thread *thread, mcontext_t *context) {
  uintptr_t address = (uintptr_t)context->gregs[REG_CR2];
  if (address < (uintptr_t)thread->frames - 4096 || address >= (uintptr_t)thread->frames)
    return false;
  context->gregs[REG_RSP] = (greg_t)thread->cpu->frame_base;
  return true;
}

/* Is it the base of FS or GS, whose selector is null? */
static bool is_guarded_base(const struct cpu_state *cpu, uintptr_t address) {
  return address - (uintptr_t)cpu->guarded_base < sizeof cpu->guarded_base;
}

/* A fault at pc of translated code. False: it is not the guest's. */
static bool translated_fault(struct engine_thread *thread, int signal, const siginfo_t *info, mcontext_t *context) {
  uintptr_t pc = (uintptr_t)context->gregs[REG_RIP];
  if (context->gregs[REG_TRAPNO] == TRAP_BP) {
    const enum region_way way = region_stop_pass(thread, context);
    if (way == REGION_PASSED && __atomic_load_n(&thread->cpu->interrupt, __ATOMIC_ACQUIRE))
      stop_or_step(thread, context);
    if (way != REGION_NO_STOP)
      return true;
  }
  bool page_fault = context->gregs[REG_TRAPNO] == TRAP_PF;
  uintptr_t address = (uintptr_t)context->gregs[REG_CR2];
  if (page_fault && context->gregs[REG_ERR] & ERROR_FETCH && code_cache_contains(address)) {
    engine_wait_unlocked(); /* another thread is adding code on this page */
    return true;
  }
  if (page_fault && frames_overflow(thread, context))
    return true;
  if (page_fault && context->gregs[REG_ERR] & ERROR_WRITE && address <= UINT32_MAX &&
      guest_memory_write_fault((guest_addr)address)) {
    const struct code_unit *unit = unit_of_pc(pc);
    if (unit && unit->commits && !unit->region) {
      /* What follows in the block may be what the write changes: run this instruction alone. */
      thread->once = true;
      thread->stepping = false;
      take_state(thread->cpu, unit, 0, context);
      leave_through(context, enter_after_signal);
      return true;
    }
    /* The write goes through now; what follows may be what it changed: leave after it. A region's own code is on
     * pages that cannot be written: what it goes on to, or what it returns to, is what may have changed. */
    if (unit && unit->region)
      runtime_interrupt(thread->cpu);
    context->gregs[REG_EFL] |= HOST_TF;
    thread->stepping = true;
    return true;
  }
  const struct code_unit *unit = unit_of_pc(pc);
  bool exact;
  int index = unit ? unit_insn_of_pc(unit, pc, &exact) : -1;
  const bool is_null = page_fault && is_guarded_base(thread->cpu, address);
  if (index < 0 || (page_fault && address > UINT32_MAX && !is_null))
    return false;
  thread->trap = is_null ? (struct trap){.vector = TRAP_GP} : trap_of(signal, info, context);
  thread->pending_trap = true;
  thread->stepping = false;
  region_stop_forget(thread);
  take_state(thread->cpu, unit, index, context);
  leave_through(context, enter_after_signal);
  return true;
}

static __attribute__((noinline)) void handle_without_alignment_checks(int signal, siginfo_t *info, void *ucontext) {
  int saved_errno = errno;
  mcontext_t *context = &((ucontext_t *)ucontext)->uc_mcontext;
  uintptr_t pc = (uintptr_t)context->gregs[REG_RIP];
  struct cpu_state *cpu = runtime_current();
  struct engine_thread *thread = cpu ? engine_thread_of(cpu) : NULL;
  bool from_kernel = info->si_code > 0;
  bool done = false;

  if (engine_is_interruption(signal, info)) {
    runtime_interrupted(ucontext);
    errno = saved_errno;
    return;
  }
  /* The trap flag is only ever the runtime's: set here, or on the way in (STEP_IF_INTERRUPTED). */
  if (thread && signal == SIGTRAP && info->si_code == TRAP_TRACE) {
    stop_or_step(thread, context);
    done = true;
  } else if (from_kernel && guest_copy_fixup(pc)) {
    if (signal == SIGSEGV && context->gregs[REG_ERR] & ERROR_WRITE &&
        guest_memory_write_fault((guest_addr)context->gregs[REG_CR2]))
      done = true;
    else {
      context->gregs[REG_RIP] = (greg_t)guest_copy_fixup(pc);
      done = true;
    }
  } else if (thread && from_kernel && code_cache_contains(pc)) {
    done = translated_fault(thread, signal, info, context);
  }
  if (!done) {
    if (engine.foreign_signal)
      engine.foreign_signal(signal, info, ucontext);
    else
      engine_fatal(cpu ? cpu->eip : 0, "host signal %d at host address %p", signal, (void *)pc);
  }
  errno = saved_errno;
}

/* The guest may have alignment checks on; the C code of this process is not made for them. */
static void handle(int signal, siginfo_t *info, void *ucontext) {
  runtime_alignment_unchecked();
  handle_without_alignment_checks(signal, info, ucontext);
}

int signals_init(void) {
  static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  /* Really all: sigfillset() leaves out two that the C library keeps for itself and that are the guest's here. A
   * handler on top of this one would block signals in this one's context only, and see no code to stop. */
  memset(&action.sa_mask, 0xFF, sizeof action.sa_mask);
  for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++) {
    /* Not blocked inside: a fault of the handler itself should kill, not hang. */
    sigdelset(&action.sa_mask, faults[i]);
    if (sigaction(faults[i], &action, NULL) < 0)
      return -errno;
  }
  return 0;
}

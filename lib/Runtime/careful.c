/* Code for a CPU in an unusual mode.
 *
 * Usual translations know nothing of what EFLAGS.TF asks for, a trap after each instruction. While it is set,
 * code comes from here: blocks of one instruction, compiled by LLVM in either tier, that leave to C when they
 * end. Whoever gets into such a mode by an instruction (popf, iret) or by a signal's return comes to C first
 * (engine.c, resume()), so usual code needs no test.
 *
 * Such blocks are kept in a table of their own, by address and mode; nothing links to them. A block that was
 * dropped because its guest code changed is found to be so when it is looked up. */
#include "Runtime/careful.h"

enum { TABLE_SIZE = 1 << 12 };

/* The last block of each hash; another of the same hash takes its place. */
static const struct code_unit *table[TABLE_SIZE];

/* In the llvm tier an alignment check needs blocks of one instruction, too: larger ones may save registers on
 * a stack that is not aligned, and the host checks that as well (docs/signals.md). */
static uint32_t mode_of(const struct cpu_state *cpu) {
  const bool checks_alignment = cpu->eflags_rest & EFLAGS_AC;
  if (cpu->eflags_rest & EFLAGS_TF || (checks_alignment && engine.options.tier == RUNTIME_TIER_LLVM))
    return MODE_SINGLE;
  return 0;
}

bool careful_wanted(const struct cpu_state *cpu) { return mode_of(cpu) != 0; }

uintptr_t careful_code(struct cpu_state *cpu, bool once, guest_addr *fault) {
  struct engine_thread *thread = engine_thread_of(cpu);
  thread->traps_after = cpu->eflags_rest & EFLAGS_TF;
  if (once)
    return translate_once(cpu->eip, mode_of(cpu), fault);
  const struct code_unit **place = &table[(cpu->eip ^ cpu->eip >> 12) % TABLE_SIZE];
  if (!*place || (*place)->dropped || (*place)->low != cpu->eip)
    *place = translate_careful(cpu->eip, mode_of(cpu), fault);
  return *place ? (uintptr_t)(*place)->code : 0;
}

bool careful_ended(struct engine_thread *thread) {
  bool traps = thread->traps_after;
  thread->traps_after = false;
  return traps;
}

/* Code for a CPU in an unusual mode.
 *
 * Usual translations know nothing of what EFLAGS.TF asks for, a trap after each instruction, and of segments
 * that are not flat. While there is either, code comes from here: blocks compiled by LLVM in either tier, whose
 * lifter knows the mode (enum cpu_mode). With TF they are of one instruction; with segments, each access is
 * checked against the bounds in the register file, and the base added. All of them leave to C when they end.
 * Whoever gets into such a mode by an instruction (popf, iret, a load of a segment register) or by a signal's
 * return comes to C first (engine.c, resume()), so usual code needs no test.
 *
 * Such blocks are kept in a table of their own, by address and mode; nothing links to them. A block that was
 * dropped because its guest code changed is found to be so when it is looked up. */
#include "Runtime/careful.h"
#include "Runtime/guest_memory.h"

#include <string.h>

/* The last block of each hash; another of the same hash takes its place. */
enum { TABLE_SIZE = 1 << 12 };
static struct careful_block {
  const struct code_unit *unit;
  struct block_mode mode;
} table[TABLE_SIZE];

/* In the llvm tier an alignment check needs blocks of one instruction, too: larger ones may save registers on
 * a stack that is not aligned, and the host checks that as well (docs/signals.md). */
static bool wants_single(const struct cpu_state *cpu) {
  return cpu->eflags_rest & EFLAGS_TF ||
         (cpu->eflags_rest & EFLAGS_AC && (cpu->segments_special || engine.options.tier == RUNTIME_TIER_LLVM));
}

bool careful_wanted(const struct cpu_state *cpu) { return cpu->segments_special || wants_single(cpu); }

bool careful_stack_is_short(const struct cpu_state *cpu) {
  return cpu->segments_special & 1 << SEG_SS && !(cpu->segment_bounds[SEG_SS].rights & SEGMENT_BIG);
}

static bool code_is_short(const struct cpu_state *cpu) {
  return cpu->segments_special & 1 << SEG_CS && !(cpu->segment_bounds[SEG_CS].rights & SEGMENT_BIG);
}

static struct block_mode mode_of(const struct cpu_state *cpu) {
  struct block_mode mode = {.code_high = UINT32_MAX};
  if (wants_single(cpu))
    mode.bits |= MODE_SINGLE;
  if (!cpu->segments_special)
    return mode;
  mode.bits |= MODE_SEGMENTS;
  mode.code_base = cpu->segment_base[SEG_CS];
  mode.code_high = cpu->segment_bounds[SEG_CS].high;
  if (code_is_short(cpu))
    mode.bits |= MODE_CODE16;
  if (careful_stack_is_short(cpu))
    mode.bits |= MODE_STACK16;
  return mode;
}

static bool is_for(const struct careful_block *block, guest_addr eip, const struct block_mode *mode) {
  return block->unit && !block->unit->dropped && block->unit->low == eip && block->mode.bits == mode->bits &&
         block->mode.code_base == mode->code_base && block->mode.code_high == mode->code_high;
}

uintptr_t careful_code(struct cpu_state *cpu, bool once, guest_addr *fault) {
  struct engine_thread *thread = engine_thread_of(cpu);
  const struct block_mode mode = mode_of(cpu);
  thread->traps_after = cpu->eflags_rest & EFLAGS_TF;
  if (once)
    return translate_once(cpu->eip, &mode, fault);
  struct careful_block *block = &table[(cpu->eip ^ cpu->eip >> 12 ^ mode.bits) % TABLE_SIZE];
  if (!is_for(block, cpu->eip, &mode))
    *block = (struct careful_block){translate_careful(cpu->eip, &mode, fault), mode};
  return block->unit ? (uintptr_t)block->unit->code : 0;
}

void careful_forget(void) { memset(table, 0, sizeof table); }

bool careful_ended(struct engine_thread *thread) {
  bool traps = thread->traps_after;
  thread->traps_after = false;
  return traps;
}

enum insn_status careful_decode(const struct cpu_state *cpu, struct insn *insn) {
  const struct block_mode mode = mode_of(cpu);
  uint8_t bytes[15];
  size_t size = sizeof bytes;
  while (size && guest_copy_in(bytes, cpu->eip + mode.code_base, size) < 0)
    size--;
  return insn_decode_mode(insn, bytes, size, cpu->eip, mode.bits);
}

uint32_t careful_offset(const struct cpu_state *cpu, const struct insn *insn, unsigned i) {
  const struct operand *op = &insn->form.op[i];
  uint32_t offset = op->has_disp ? insn->disp : 0;
  if (op->reg != REGISTER_NONE)
    offset += cpu->gpr[op->reg];
  if (op->index != REGISTER_NONE)
    offset += cpu->gpr[op->index] << op->scale;
  return insn->form.attributes & INSN_ADDRESS16 ? offset & 0xFFFF : offset;
}

uint32_t careful_address(const struct cpu_state *cpu, enum segment segment, uint32_t *offset, uint32_t bytes,
                         bool write) {
  if (cpu->segments_special || segment >= SEG_FS) {
    const struct segment_bounds *bounds = &cpu->segment_bounds[segment];
    const uint32_t last = *offset + bytes - 1;
    if (*offset < bounds->low || *offset > bounds->high || last < *offset || last > bounds->high ||
        !(bounds->rights & (write ? SEGMENT_WRITE : SEGMENT_READ)))
      return segment == SEG_SS ? TRAP_SS : TRAP_GP;
  }
  *offset += cpu->segment_base[segment];
  return 0;
}

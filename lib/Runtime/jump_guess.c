/* A guess at where an indirect jump leads, made when its unit is.
 *
 * Nearly all calls between libraries come by a stub of one instruction, `jmp *disp(%ebx)`, which leads to the
 * same place whenever it runs. A unit that begins with such a jump is made when execution is about to enter
 * it, so the registers tell where it will lead this time. The unit compares, and goes there straight; the
 * jump cache is for the other times. That saves an indirect jump, and a line of the CPU's cache for each
 * stub. */
#include "Runtime/engine.h"
#include "Runtime/guest_memory.h"

#include <Zydis/Mnemonic.h>

static bool does_nothing(const struct insn *insn) {
  return insn->form.mnemonic == ZYDIS_MNEMONIC_NOP || insn->form.mnemonic == ZYDIS_MNEMONIC_ENDBR32;
}

static const struct insn *first_effective(const struct unit *unit) {
  const struct insn *insn = unit->insn, *end = insn + unit->insn_count;
  while (insn < end && insn->eip != unit->entry)
    insn++;
  while (insn + 1 < end && does_nothing(insn) && insn_next(insn) == insn[1].eip)
    insn++;
  return insn < end ? insn : NULL;
}

static guest_addr address_of(const struct cpu_state *cpu, const struct insn *insn, const struct operand *op) {
  guest_addr address = op->has_disp ? insn->disp : 0;
  if (op->reg != REGISTER_NONE)
    address += cpu->gpr[op->reg];
  if (op->index != REGISTER_NONE)
    address += cpu->gpr[op->index] << op->scale;
  return address;
}

guest_addr jump_guess(const struct unit *unit, const struct cpu_state *cpu) {
  const struct insn *jump = first_effective(unit);
  const struct operand *op = jump ? &jump->form.op[0] : NULL;
  guest_addr target;
  if (!jump || jump->flow != FLOW_JUMP_INDIRECT || op->kind != OPERAND_MEMORY || op->size != 4 ||
      op->segment || jump->form.attributes ||
      guest_copy_in(&target, address_of(cpu, jump, op), sizeof target) != 0)
    return 0;
  /* The jump may come with flags that are older than their record. */
  bool is_cut = false;
  return engine.precise && (translate_flags_read(target, &is_cut) || is_cut) ? 0 : target;
}

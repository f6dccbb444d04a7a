/* Flag records (flag_record.h) of code that is lifted: what stencils have written beside them is written
 * here by the lifted code itself. */
#include "Frontend/flag_record.h"
#include "Frontend/lift_internal.h"

/* A register is recorded with the larger one that it is part of. */
static LLVMValueRef recorded(struct lifter *l, const struct insn *insn, unsigned i) {
  const struct operand *op = &insn->form.op[i];
  if (op->kind == OPERAND_MEMORY)
    return operand_read_as(l, insn, i, 4);
  return l->gpr[operand_whole_register(op)];
}

static void record_operands(struct lifter *l, const struct insn *insn, enum operand_kind kind) {
  for (unsigned i = 0; i < 2; i++)
    if (operand_is(insn, i, kind) && !(i && flag_record_is_of_one(flag_record_operation(insn))))
      state_store(l, offsetof(struct cpu_state, flag_operand) + 4 * i, recorded(l, insn, i));
}

/* Memory first: if the access faults, the record is still the last one's. */
void lift_flag_record(struct lifter *l, const struct insn *insn) {
  const struct operand *second = &insn->form.op[1];
  const uint32_t operation = flag_record_operation(insn);
  record_operands(l, insn, OPERAND_MEMORY);
  record_operands(l, insn, OPERAND_GPR);
  if (second->kind == OPERAND_IMMEDIATE && !flag_record_has_immediate(operation))
    state_store(l, offsetof(struct cpu_state, flag_operand) + 4, lifter_const(l, 4, insn->imm[second->hole]));
  state_store(l, offsetof(struct cpu_state, flag_operation), lifter_const(l, 4, operation));
}

void lift_flag_record_void(struct lifter *l) {
  state_store(l, offsetof(struct cpu_state, flag_operation), lifter_const(l, 4, 0));
}

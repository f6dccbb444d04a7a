/* Writing and reading flag records (Frontend/flag_record.h). */
#include "Frontend/flag_record.h"
#include "Runtime/x86_64/emit.h"

_Static_assert(offsetof(struct cpu_state, flag_operand) + 8 <= INT8_MAX, "offsets of one byte");

/* mov %reg,%gs:offset */
static uint8_t *emit_store(uint8_t *at, unsigned reg, uint32_t offset) {
  const uint8_t code[] = {GS, rex_prefix(reg, ZERO, SIB_NO_INDEX), 0x89,
                          (uint8_t)(0x40 | (reg & 7) << 3 | (ZERO & 7)), (uint8_t)offset};
  return emit(at, code, sizeof code);
}

/* movl $value,%gs:offset */
static uint8_t *emit_set(uint8_t *at, uint32_t offset, uint32_t value) {
  const uint8_t code[] = {GS, rex_prefix(0, ZERO, SIB_NO_INDEX), 0xC7, 0x40 | (ZERO & 7), (uint8_t)offset};
  return emit32(emit(at, code, sizeof code), value);
}

/* The memory operand's value into r10, by an access like the instruction's own. */
static uint8_t *emit_access(uint8_t *at, const struct insn *insn, const struct operand *op, int32_t stack) {
  uint32_t disp = op->has_disp ? insn->disp : 0;
  unsigned base = host_base(op), index = host_index(op);
  if (op->reg == GPR_ESP)
    disp += (uint32_t)stack;
  if (op->segment) {
    at = emit_segment_base(at, op);
    index = R10;
  }
  *at++ = ADDRESS32;
  *at++ = rex_prefix(R10, base, index);
  if (op->size == 4) {
    *at++ = 0x8B; /* mov */
  } else {
    *at++ = 0x0F; /* movzx */
    *at++ = op->size == 2 ? 0xB7 : 0xB6;
  }
  return at + write_address(at, (R10 & 7) << 3, base, index, op->segment ? 0 : op->scale, disp);
}

static uint8_t *emit_operand(uint8_t *at, const struct insn *insn, const struct operand *op, int32_t stack,
                             uint32_t offset) {
  if (op->kind == OPERAND_MEMORY)
    return emit_store(emit_access(at, insn, op, stack), R10, offset);
  unsigned reg = operand_whole_register(op);
  if (reg != GPR_ESP || !stack)
    return emit_store(at, host_register[reg], offset);
  const uint8_t lea[] = {rex_prefix(R10, host_register[GPR_ESP], SIB_NO_INDEX), 0x8D,
                         (uint8_t)(0x80 | (R10 & 7) << 3 | host_register[GPR_ESP])};
  at = emit32(emit(at, lea, sizeof lea), (uint32_t)stack);
  return emit_store(at, R10, offset);
}

/* Memory first: if the access faults, the record is still the last one's. */
uint8_t *flag_record_write(uint8_t *at, const struct insn *insn, int32_t stack) {
  static const uint32_t offset[2] = {offsetof(struct cpu_state, flag_operand),
                                     offsetof(struct cpu_state, flag_operand) + 4};
  const uint32_t operation = flag_record_operation(insn);
  const struct operand *op = insn->form.op;
  for (unsigned i = 0; i < 2; i++)
    if (op[i].kind == OPERAND_MEMORY)
      at = emit_operand(at, insn, &op[i], stack, offset[i]);
  for (unsigned i = 0; i < 2; i++)
    if (op[i].kind == OPERAND_GPR && !(i && flag_record_is_of_one(operation)))
      at = emit_operand(at, insn, &op[i], stack, offset[i]);
    else if (op[i].kind == OPERAND_IMMEDIATE && !flag_record_has_immediate(operation))
      at = emit_set(at, offset[i], insn->imm[op[i].hole]);
  return emit_set(at, offsetof(struct cpu_state, flag_operation), operation);
}

uint8_t *flag_record_write_void(uint8_t *at) { return emit_set(at, offsetof(struct cpu_state, flag_operation), 0); }

static void show(struct cpu_state *cpu, uint8_t flags) {
  if (cpu->flag_operation)
    cpu_change_eflags(cpu, eflags_of(flags),
                      flag_record_eflags(cpu->flag_operation, cpu->flag_operand[0], cpu->flag_operand[1]));
}

void flag_record_read(struct cpu_state *cpu) { show(cpu, FLAGS_ALL); }

/* Before instructions that cannot fault the record may be an older one, and flags that are read are in their fields: only the
 * others are taken from it. */
void flag_record_end(struct cpu_state *cpu) {
  if (cpu->flag_operation)
    show(cpu, FLAGS_ALL & (uint8_t)~translate_newer_flags(cpu->eip));
}

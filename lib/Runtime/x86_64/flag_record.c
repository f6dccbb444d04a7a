/* Writing and reading flag records (Frontend/flag_record.h). */
#include "Frontend/flag_record.h"
#include "Runtime/direct.h"
#include "Runtime/x86_64/emit.h"

#include <Zydis/Mnemonic.h>

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

/* The memory operand's value into a register, by an access like the instruction's own. */
static uint8_t *emit_access(uint8_t *at, unsigned reg, const struct insn *insn, const struct operand *op,
                            int32_t stack) {
  uint32_t disp = op->has_disp ? insn->disp : 0;
  unsigned base = host_base(op), index = host_index(op);
  if (op->reg == GPR_ESP)
    disp += (uint32_t)stack;
  if (op->segment) {
    at = emit_segment_base(at, op);
    index = R10;
  }
  *at++ = ADDRESS32;
  *at++ = rex_prefix(reg, base, index);
  if (op->size == 4) {
    *at++ = 0x8B; /* mov */
  } else {
    *at++ = 0x0F; /* movzx */
    *at++ = op->size == 2 ? 0xB7 : 0xB6;
  }
  return at + write_address(at, (reg & 7) << 3, base, index, op->segment ? 0 : op->scale, disp);
}

static uint8_t *emit_operand(uint8_t *at, const struct insn *insn, const struct operand *op, int32_t stack,
                             uint32_t offset) {
  if (op->kind == OPERAND_MEMORY)
    return emit_store(emit_access(at, R10, insn, op, stack), R10, offset);
  const unsigned reg = op->reg == REGISTER_TEMPORARY ? op->reg : operand_whole_register(op);
  if (reg != GPR_ESP || !stack)
    return emit_store(at, host_gpr(reg), offset);
  const uint8_t lea[] = {rex_prefix(R10, host_register[GPR_ESP], SIB_NO_INDEX), 0x8D,
                         (uint8_t)(0x80 | (R10 & 7) << 3 | host_register[GPR_ESP])};
  at = emit32(emit(at, lea, sizeof lea), (uint32_t)stack);
  return emit_store(at, R10, offset);
}

static const uint32_t offset[2] = {offsetof(struct cpu_state, flag_operand),
                                   offsetof(struct cpu_state, flag_operand) + 4};

/* Memory first: if the access faults, the record is still the last one's. */
uint8_t *flag_record_write(uint8_t *at, const struct insn *insn, int32_t stack) {
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

uint8_t *flag_record_write_access(uint8_t *at, struct insn *rest, const struct insn *insn) {
  *rest = *insn;
  for (unsigned i = 0; i < 2; i++)
    if (insn->form.op[i].kind == OPERAND_MEMORY) {
      at = emit_access(at, R14, insn, &insn->form.op[i], 0);
      rest->form.op[i] = (struct operand){.kind = OPERAND_GPR,
                                          .size = insn->form.op[i].size,
                                          .reg = REGISTER_TEMPORARY,
                                          .index = REGISTER_NONE,
                                          .read = 1};
    }
  return at;
}

/* disp(base,index) into r10d, with the host's flags left alone. */
static uint8_t *emit_sum(uint8_t *at, unsigned base, unsigned index, uint32_t disp) {
  at = EMIT(at, rex_prefix(R10, base, index), 0x8D); /* lea */
  return at + write_address(at, (R10 & 7) << 3, base, index, 0, disp);
}

/* Where the operand's value is behind the instruction. */
static unsigned register_behind(const struct operand *op) {
  return op->kind == OPERAND_MEMORY ? R14 : host_gpr(op->reg);
}

/* What the sum or difference was made of, into r10d: its other operand is taken off it again. */
static uint8_t *emit_undone(uint8_t *at, const struct insn *insn) {
  const struct operand *op = insn->form.op;
  const unsigned result = register_behind(&op[0]);
  const bool is_sum = insn->form.mnemonic == ZYDIS_MNEMONIC_ADD;
  if (op[1].kind == OPERAND_IMMEDIATE)
    return emit_sum(at, result, SIB_NO_INDEX, is_sum ? 0 - insn->imm[op[1].hole] : insn->imm[op[1].hole]);
  const unsigned other = register_behind(&op[1]);
  if (!is_sum)
    return emit_sum(at, result, other, 0);
  at = EMIT(direct_write_move(at, R10, other), REX | REX_B, 0xF7, 0xD0 | (R10 & 7)); /* not %r10d */
  return emit_sum(at, result, R10, 1);
}

uint8_t *flag_record_write_late(uint8_t *at, const struct insn *insn) {
  const uint32_t operation = flag_record_operation_late(insn);
  const struct operand *op = insn->form.op;
  if (op[0].written && !flag_record_is_of_result(insn))
    at = emit_store(emit_undone(at, insn), R10, offset[0]);
  else
    at = emit_store(at, register_behind(&op[0]), offset[0]);
  const bool has_second = !flag_record_is_of_one(operation) && !flag_record_has_immediate(operation);
  if (has_second && op[1].kind == OPERAND_IMMEDIATE)
    at = emit_set(at, offset[1], insn->imm[op[1].hole]);
  else if (has_second)
    at = emit_store(at, register_behind(&op[1]), offset[1]);
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

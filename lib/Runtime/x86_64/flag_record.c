/* Writing and reading flag records (Frontend/flag_record.h). */
#include "Frontend/flag_record.h"
#include "Runtime/engine.h"

#include <string.h>

enum { R10 = 10, ZERO = 15 };
enum { GS = 0x65, ADDRESS32 = 0x67, REX = 0x40, REX_R = 4, REX_X = 2, REX_B = 1 };

static uint8_t *emit_bytes(uint8_t *at, const void *bytes, size_t size) {
  memcpy(at, bytes, size);
  return at + size;
}
static uint8_t *emit32(uint8_t *at, uint32_t value) { return emit_bytes(at, &value, 4); }

static uint8_t rex(unsigned reg, unsigned base, unsigned index) {
  return (uint8_t)(REX | (reg & 8 ? REX_R : 0) | (index & 8 ? REX_X : 0) | (base & 8 ? REX_B : 0));
}

_Static_assert(offsetof(struct cpu_state, flag_operand) + 8 <= INT8_MAX, "offsets of one byte");

/* mov %reg,%gs:offset */
static uint8_t *emit_store(uint8_t *at, unsigned reg, uint32_t offset) {
  const uint8_t code[] = {GS, rex(reg, ZERO, 0), 0x89, (uint8_t)(0x40 | (reg & 7) << 3 | (ZERO & 7)),
                          (uint8_t)offset};
  return emit_bytes(at, code, sizeof code);
}

/* mov %gs:offset,%r10d */
static uint8_t *emit_load(uint8_t *at, uint32_t offset) {
  const uint8_t code[] = {GS, rex(R10, ZERO, 0), 0x8B, (R10 & 7) << 3 | 0x80 | (ZERO & 7)};
  return emit32(emit_bytes(at, code, sizeof code), offset);
}

/* movl $value,%gs:offset */
static uint8_t *emit_set(uint8_t *at, uint32_t offset, uint32_t value) {
  const uint8_t code[] = {GS, rex(0, ZERO, 0), 0xC7, 0x40 | (ZERO & 7), (uint8_t)offset};
  return emit32(emit_bytes(at, code, sizeof code), value);
}

/* The memory operand's value into r10, by an access like the instruction's own. */
static uint8_t *emit_access(uint8_t *at, const struct insn *insn, const struct operand *op, int32_t stack) {
  uint32_t disp = op->has_disp ? insn->disp : 0;
  unsigned base = op->reg == REGISTER_NONE ? ZERO : host_register[op->reg];
  unsigned index = op->index == REGISTER_NONE ? SIB_NO_INDEX : host_register[op->index];
  if (op->reg == GPR_ESP)
    disp += (uint32_t)stack;
  if (op->segment) {
    const enum segment segment = (enum segment)(op->segment - 1);
    at = emit_load(at, (uint32_t)CPU_GUARDED_BASE(segment));
    index = R10;
  }
  *at++ = ADDRESS32;
  *at++ = rex(R10, base, index);
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
  const uint8_t lea[] = {rex(R10, host_register[GPR_ESP], 0), 0x8D,
                         (uint8_t)(0x80 | (R10 & 7) << 3 | host_register[GPR_ESP])};
  at = emit32(emit_bytes(at, lea, sizeof lea), (uint32_t)stack);
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

static const uint32_t all_flags = EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF;

static void show(struct cpu_state *cpu, uint32_t flags) {
  if (!cpu->flag_operation)
    return;
  const uint32_t value = flag_record_eflags(cpu->flag_operation, cpu->flag_operand[0], cpu->flag_operand[1]);
  cpu_set_eflags(cpu, (cpu_eflags(cpu) & ~flags) | (value & flags));
}

void flag_record_read(struct cpu_state *cpu) { show(cpu, all_flags); }

/* Before instructions that cannot fault the record may be an older one, and flags that are read are in their fields: only the
 * others are taken from it. */
void flag_record_end(struct cpu_state *cpu) {
  static const uint32_t bits[FLAG_COUNT] = {[FLAG_C] = EFLAGS_CF, [FLAG_P] = EFLAGS_PF, [FLAG_A] = EFLAGS_AF,
                                            [FLAG_Z] = EFLAGS_ZF, [FLAG_S] = EFLAGS_SF, [FLAG_O] = EFLAGS_OF};
  if (!cpu->flag_operation)
    return;
  const uint8_t newer = translate_newer_flags(cpu->eip);
  uint32_t others = 0;
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    others |= newer >> f & 1 ? 0 : bits[f];
  show(cpu, others);
}

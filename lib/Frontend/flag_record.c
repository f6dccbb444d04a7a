#include "Frontend/flag_record.h"

#include <Zydis/Mnemonic.h>

/* An operand whose value can be recorded: a general register, an immediate, memory that is plain or has its
 * segment's base for an index. */
static bool can_be_recorded(const struct operand *op) {
  if (op->kind == OPERAND_MEMORY)
    return !op->written && op->segment != SEGMENT_BEYOND &&
           (!op->segment || (op->reg == REGISTER_NONE && op->index == REGISTER_NONE));
  return op->kind == OPERAND_GPR || op->kind == OPERAND_IMMEDIATE;
}

static bool is_recordable(const struct insn *insn) {
  const struct insn_form *form = &insn->form;
  switch (form->mnemonic) {
  case ZYDIS_MNEMONIC_ADD:
  case ZYDIS_MNEMONIC_SUB:
  case ZYDIS_MNEMONIC_CMP:
  case ZYDIS_MNEMONIC_AND:
  case ZYDIS_MNEMONIC_OR:
  case ZYDIS_MNEMONIC_XOR:
  case ZYDIS_MNEMONIC_TEST:
    return !(form->attributes & (INSN_LOCK | INSN_ADDRESS16)) && can_be_recorded(&form->op[0]) &&
           can_be_recorded(&form->op[1]) && form->op[2].kind == OPERAND_NONE;
  default:
    return false;
  }
}

/* A string instruction that is not the host's own leaves after each turn, with its flags set. */
bool flag_record_leaves_early(const struct insn *insn) {
  return insn->form.attributes & INSN_STRING &&
         insn->form.attributes & (INSN_ADDRESS16 | INSN_SEGMENT_FS | INSN_SEGMENT_GS);
}

enum flag_record flag_record_kind(const struct insn *insn) {
  if (!insn->flags_changed)
    return FLAG_RECORD_NONE;
  if (is_recordable(insn))
    return FLAG_RECORD_OPERANDS;
  return insn->can_fault && insn->flow == FLOW_NEXT && !flag_record_leaves_early(insn)
             ? FLAG_RECORD_VOID_AFTER
             : FLAG_RECORD_VOID;
}

uint8_t flag_record_kept(const struct insn *insn) {
  if (insn->can_fault && flag_record_kind(insn) == FLAG_RECORD_VOID)
    return FLAGS_ALL;
  return FLAGS_ALL & (uint8_t)~insn->flags_written;
}

/* The fields of the number: */
enum {
  OPERATION = 7,
  SIZE_SHIFT = 3,
  SIZE = 3,
  FIRST_HIGH = 1 << 5,
  SECOND_HIGH = 1 << 6,
  IMMEDIATE = 1 << 7,
  SAME = 1 << 8,
  IMMEDIATE_SHIFT = 16
};
enum operation { OPERATION_ADD = 1, OPERATION_SUB, OPERATION_AND, OPERATION_OR, OPERATION_XOR };

static enum operation operation_of(const struct insn *insn) {
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_ADD:
    return OPERATION_ADD;
  case ZYDIS_MNEMONIC_SUB:
  case ZYDIS_MNEMONIC_CMP:
    return OPERATION_SUB;
  case ZYDIS_MNEMONIC_OR:
    return OPERATION_OR;
  case ZYDIS_MNEMONIC_XOR:
    return OPERATION_XOR;
  default:
    return OPERATION_AND; /* and, test */
  }
}

uint32_t flag_record_operation(const struct insn *insn) {
  const struct operand *op = insn->form.op;
  uint32_t number = operation_of(insn) | (uint32_t)__builtin_ctz(op[0].size) << SIZE_SHIFT;
  /* They are recorded with the register that they are part of. */
  number |= (operand_is_high_byte(&op[0]) ? FIRST_HIGH : 0) | (operand_is_high_byte(&op[1]) ? SECOND_HIGH : 0);
  if (op[0].kind == OPERAND_GPR && op[1].kind == OPERAND_GPR && op[0].reg == op[1].reg)
    return number | SAME;
  if (op[1].kind != OPERAND_IMMEDIATE)
    return number;
  const uint32_t immediate = insn->imm[op[1].hole];
  return (int32_t)immediate == (int16_t)immediate ? number | IMMEDIATE | immediate << IMMEDIATE_SHIFT : number;
}

bool flag_record_has_immediate(uint32_t number) { return number & IMMEDIATE; }

bool flag_record_is_of_one(uint32_t number) { return !(number & IMMEDIATE) && number & SAME; }

/* What is overwritten must follow from the result and the other operand. */
bool flag_record_can_be_late(const struct insn *insn) {
  const struct operand *op = insn->form.op;
  if (flag_record_kind(insn) != FLAG_RECORD_OPERANDS)
    return false;
  for (unsigned i = 0; i < 2; i++)
    if (op[i].kind == OPERAND_GPR && (operand_is_high_byte(&op[i]) || op[i].reg == GPR_ESP))
      return false;
  return !op[0].written || flag_record_is_of_result(insn) ||
         !flag_record_is_of_one(flag_record_operation(insn));
}

bool flag_record_is_of_result(const struct insn *insn) {
  return insn->form.op[0].written && operation_of(insn) > OPERATION_SUB;
}

uint32_t flag_record_operation_late(const struct insn *insn) {
  const uint32_t number = flag_record_operation(insn);
  return flag_record_is_of_result(insn) ? OPERATION_AND | SAME | (number & SIZE << SIZE_SHIFT) : number;
}

uint32_t flag_record_eflags(uint32_t number, uint32_t first, uint32_t second) {
  const uint32_t sign = 1u << ((8u << (number >> SIZE_SHIFT & SIZE)) - 1), mask = sign | (sign - 1);
  if (number & IMMEDIATE)
    second = (uint32_t)((int32_t)number >> IMMEDIATE_SHIFT);
  else if (number & SAME)
    second = first;
  const uint32_t a = (number & FIRST_HIGH ? first >> 8 : first) & mask;
  const uint32_t b = (number & SECOND_HIGH ? second >> 8 : second) & mask;
  uint32_t result, carry = 0, overflow = 0, adjust = 0;
  switch (number & OPERATION) {
  case OPERATION_ADD:
    result = (a + b) & mask;
    carry = result < a;
    overflow = (a ^ result) & (b ^ result) & sign;
    adjust = (a ^ b ^ result) & EFLAGS_AF;
    break;
  case OPERATION_SUB:
    result = (a - b) & mask;
    carry = a < b;
    overflow = (a ^ b) & (a ^ result) & sign;
    adjust = (a ^ b ^ result) & EFLAGS_AF;
    break;
  case OPERATION_OR:
    result = a | b;
    break;
  case OPERATION_XOR:
    result = a ^ b;
    break;
  default:
    result = a & b;
  }
  uint32_t even = __builtin_popcount(result & 0xFF) % 2 == 0;
  return (carry ? EFLAGS_CF : 0) | (even ? EFLAGS_PF : 0) | adjust | (result == 0 ? EFLAGS_ZF : 0) |
         (result & sign ? EFLAGS_SF : 0) | (overflow ? EFLAGS_OF : 0);
}

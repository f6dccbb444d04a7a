#include "Frontend/flag_record.h"

#include <Zydis/Mnemonic.h>

/* An operand whose value can be recorded: a general register, an immediate, memory that is plain or has its
 * segment's base for an index. */
static bool can_be_recorded(const struct operand *op) {
  if (op->kind == OPERAND_MEMORY)
    return !op->written && (!op->segment || op->index == REGISTER_NONE);
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

enum flag_record flag_record_kind(const struct insn *insn) {
  if (!insn->flags_changed)
    return FLAG_RECORD_NONE;
  return is_recordable(insn) ? FLAG_RECORD_OPERANDS : FLAG_RECORD_VOID;
}

/* ah, ch, dh, bh are recorded with the register that they are part of. */
static uint32_t operand_value(const struct operand *op, uint32_t recorded) {
  bool high_byte = op->kind == OPERAND_GPR && op->size == 1 && op->reg >= 4;
  return high_byte ? recorded >> 8 : recorded;
}

uint32_t flag_record_eflags(const struct insn *insn, uint32_t first, uint32_t second) {
  const struct operand *op = insn->form.op;
  uint32_t sign = 1u << (op[0].size * 8 - 1), mask = sign | (sign - 1);
  uint32_t a = operand_value(&op[0], first) & mask, b = operand_value(&op[1], second) & mask;
  uint32_t result, carry = 0, overflow = 0, adjust = 0;
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_ADD:
    result = (a + b) & mask;
    carry = result < a;
    overflow = (a ^ result) & (b ^ result) & sign;
    adjust = (a ^ b ^ result) & EFLAGS_AF;
    break;
  case ZYDIS_MNEMONIC_SUB:
  case ZYDIS_MNEMONIC_CMP:
    result = (a - b) & mask;
    carry = a < b;
    overflow = (a ^ b) & (a ^ result) & sign;
    adjust = (a ^ b ^ result) & EFLAGS_AF;
    break;
  case ZYDIS_MNEMONIC_OR:
    result = a | b;
    break;
  case ZYDIS_MNEMONIC_XOR:
    result = a ^ b;
    break;
  default: /* and, test */
    result = a & b;
  }
  uint32_t even = __builtin_popcount(result & 0xFF) % 2 == 0;
  return (carry ? EFLAGS_CF : 0) | (even ? EFLAGS_PF : 0) | adjust | (result == 0 ? EFLAGS_ZF : 0) |
         (result & sign ? EFLAGS_SF : 0) | (overflow ? EFLAGS_OF : 0);
}

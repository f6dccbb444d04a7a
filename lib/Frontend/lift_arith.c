/* Integer addition, subtraction, logic and comparison. */
#include "Frontend/lift.h"

#include <Zydis/Zydis.h>

static void lift_add(struct lifter *l, const struct insn *insn) {
  LLVMValueRef a = operand_read(l, insn, 0), b = operand_read(l, insn, 1), carry = NULL;
  LLVMValueRef result = LLVMBuildAdd(l->builder, a, b, "");
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_ADC) {
    carry = flag_read(l, FLAG_C);
    result = LLVMBuildAdd(l->builder, result, LLVMBuildZExt(l->builder, carry, LLVMTypeOf(a), ""), "");
  }
  operand_write(l, insn, 0, result);
  flags_set_add(l, a, b, carry, result, false);
}

static void lift_sub(struct lifter *l, const struct insn *insn) {
  LLVMValueRef a = operand_read(l, insn, 0), b = operand_read(l, insn, 1), borrow = NULL;
  LLVMValueRef negated = insn->form.mnemonic == ZYDIS_MNEMONIC_SUB ? operand_negated(l, insn, 1) : NULL;
  LLVMValueRef result = negated ? LLVMBuildAdd(l->builder, a, negated, "") : LLVMBuildSub(l->builder, a, b, "");
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_SBB) {
    borrow = flag_read(l, FLAG_C);
    result = LLVMBuildSub(l->builder, result, LLVMBuildZExt(l->builder, borrow, LLVMTypeOf(a), ""), "");
  }
  if (insn->form.mnemonic != ZYDIS_MNEMONIC_CMP)
    operand_write(l, insn, 0, result);
  flags_set_sub(l, a, b, borrow, result, false);
}

static void lift_logic(struct lifter *l, const struct insn *insn) {
  LLVMValueRef a = operand_read(l, insn, 0), b = operand_read(l, insn, 1), result;
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_OR:
    result = LLVMBuildOr(l->builder, a, b, "");
    break;
  case ZYDIS_MNEMONIC_XOR:
    result = LLVMBuildXor(l->builder, a, b, "");
    break;
  default:
    result = LLVMBuildAnd(l->builder, a, b, "");
  }
  if (insn->form.mnemonic != ZYDIS_MNEMONIC_TEST)
    operand_write(l, insn, 0, result);
  flags_set_logic(l, result);
}

static void lift_inc(struct lifter *l, const struct insn *insn) {
  LLVMValueRef a = operand_read(l, insn, 0);
  LLVMValueRef one = LLVMConstInt(LLVMTypeOf(a), 1, false), result;
  bool up = insn->form.mnemonic == ZYDIS_MNEMONIC_INC;
  result = up ? LLVMBuildAdd(l->builder, a, one, "") : LLVMBuildSub(l->builder, a, one, "");
  operand_write(l, insn, 0, result);
  if (up)
    flags_set_add(l, a, one, NULL, result, true);
  else
    flags_set_sub(l, a, one, NULL, result, true);
}

static void lift_neg(struct lifter *l, const struct insn *insn) {
  LLVMValueRef a = operand_read(l, insn, 0);
  LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(a));
  LLVMValueRef result = LLVMBuildSub(l->builder, zero, a, "");
  operand_write(l, insn, 0, result);
  flags_set_sub(l, zero, a, NULL, result, false);
}

static void lift_not(struct lifter *l, const struct insn *insn) {
  operand_write(l, insn, 0, LLVMBuildNot(l->builder, operand_read(l, insn, 0), ""));
}

/* With a lock prefix they are in lift_atomic.c. */
const struct lift_rule lift_rules_arith[] = {
    {ZYDIS_MNEMONIC_ADD, lift_add},   {ZYDIS_MNEMONIC_ADC, lift_add},   {ZYDIS_MNEMONIC_SUB, lift_sub},
    {ZYDIS_MNEMONIC_SBB, lift_sub},   {ZYDIS_MNEMONIC_CMP, lift_sub},   {ZYDIS_MNEMONIC_AND, lift_logic},
    {ZYDIS_MNEMONIC_OR, lift_logic},  {ZYDIS_MNEMONIC_XOR, lift_logic}, {ZYDIS_MNEMONIC_TEST, lift_logic},
    {ZYDIS_MNEMONIC_INC, lift_inc},   {ZYDIS_MNEMONIC_DEC, lift_inc},   {ZYDIS_MNEMONIC_NEG, lift_neg},
    {ZYDIS_MNEMONIC_NOT, lift_not},   {0, NULL},
};

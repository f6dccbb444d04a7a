/* Decimal adjustment: aaa, aas, aam, aad, daa, das (SDM vol. 2, with its pseudo-code). Flags that the manual
 * leaves undefined are as AMD's Zen sets them. */
#include "Frontend/lift_support.h"
#include "Runtime/helpers.h"

#include <Zydis/Zydis.h>

enum { REGISTER_AH = 4 }; /* of size 1 */

static LLVMValueRef above(struct lifter *l, LLVMValueRef value, unsigned limit) {
  return LLVMBuildICmp(l->builder, LLVMIntUGT, value, value_const(value, limit), "");
}

/* The condition chooses between a number and 0. */
static LLVMValueRef number_if(struct lifter *l, LLVMValueRef condition, LLVMTypeRef type, unsigned number) {
  LLVMValueRef value = LLVMConstInt(type, number, false);
  return LLVMBuildSelect(l->builder, condition, value, LLVMConstNull(type), "");
}

/* Is the low digit of al past 9, or was there a carry from it? */
static LLVMValueRef low_digit_overflows(struct lifter *l, LLVMValueRef al) {
  LLVMValueRef digit = LLVMBuildAnd(l->builder, al, lifter_const(l, 1, 15), "");
  return LLVMBuildOr(l->builder, above(l, digit, 9), flag_read(l, FLAG_A), "");
}

/* aaa, aas. */
static void lift_ascii_adjust(struct lifter *l, const struct insn *insn) {
  LLVMValueRef ax = gpr_read(l, GPR_EAX, 2), result;
  LLVMValueRef adjust = low_digit_overflows(l, gpr_read(l, GPR_EAX, 1));
  LLVMValueRef by = number_if(l, adjust, l->i16, 0x106);
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_AAA) {
    result = LLVMBuildAdd(l->builder, ax, by, "");
    flags_set_add(l, ax, by, NULL, result, false);
  } else {
    result = LLVMBuildSub(l->builder, ax, by, "");
    flags_set_sub(l, ax, by, NULL, result, false);
  }
  gpr_write(l, GPR_EAX, 2, LLVMBuildAnd(l->builder, result, lifter_const(l, 2, 0xFF0F), ""));
  flag_write(l, FLAG_C, adjust);
  flag_write(l, FLAG_A, adjust);
}

/* daa, das. */
static void lift_decimal_adjust(struct lifter *l, const struct insn *insn) {
  bool add = insn->form.mnemonic == ZYDIS_MNEMONIC_DAA;
  LLVMValueRef al = gpr_read(l, GPR_EAX, 1), result;
  LLVMValueRef low = low_digit_overflows(l, al);
  LLVMValueRef high = LLVMBuildOr(l->builder, above(l, al, 0x99), flag_read(l, FLAG_C), "");
  LLVMValueRef six = number_if(l, low, l->i8, 6), sixty = number_if(l, high, l->i8, 0x60);
  LLVMValueRef by = LLVMBuildAdd(l->builder, six, sixty, ""), carry = high;
  if (add) {
    result = LLVMBuildAdd(l->builder, al, by, "");
    flags_set_add(l, al, by, NULL, result, false);
  } else {
    result = LLVMBuildSub(l->builder, al, by, "");
    flags_set_sub(l, al, by, NULL, result, false);
    /* A borrow from taking six off counts too. */
    LLVMValueRef borrow = LLVMBuildICmp(l->builder, LLVMIntULT, al, six, "");
    carry = LLVMBuildOr(l->builder, carry, borrow, "");
  }
  gpr_write(l, GPR_EAX, 1, result);
  flag_write(l, FLAG_C, carry);
  flag_write(l, FLAG_A, low);
}

static void clear_carries(struct lifter *l) {
  flag_write(l, FLAG_C, LLVMConstNull(l->i1));
  flag_write(l, FLAG_A, LLVMConstNull(l->i1));
  flag_write(l, FLAG_O, LLVMConstNull(l->i1));
}

/* ah, al = al / base, al % base. */
static void lift_aam(struct lifter *l, const struct insn *insn) {
  unsigned base = operand_constant(insn, 0) & 0xFF;
  if (base == 0) {
    control_trap(l, HELPER_trap_de, insn_eip_value(l, insn));
    return;
  }
  LLVMValueRef al = gpr_read(l, GPR_EAX, 1), by = lifter_const(l, 1, base);
  LLVMValueRef quotient = LLVMBuildUDiv(l->builder, al, by, ""), rest = LLVMBuildURem(l->builder, al, by, "");
  LLVMValueRef ah = LLVMBuildShl(l->builder, value_resize(l, quotient, 2), lifter_const(l, 2, 8), "");
  gpr_write(l, GPR_EAX, 2, LLVMBuildOr(l->builder, ah, value_resize(l, rest, 2), ""));
  flags_set_result(l, rest);
  clear_carries(l);
}

/* al = al + ah * base, ah = 0. */
static void lift_aad(struct lifter *l, const struct insn *insn) {
  LLVMValueRef base = lifter_const(l, 1, operand_constant(insn, 0) & 0xFF);
  LLVMValueRef tens = LLVMBuildMul(l->builder, gpr_read(l, REGISTER_AH, 1), base, "");
  LLVMValueRef before = gpr_read(l, GPR_EAX, 1), al = LLVMBuildAdd(l->builder, before, tens, "");
  gpr_write(l, GPR_EAX, 2, value_resize(l, al, 2));
  flags_set_add(l, before, tens, NULL, al, false);
}

const struct lift_rule lift_rules_bcd[] = {
    {ZYDIS_MNEMONIC_AAA, lift_ascii_adjust},
    {ZYDIS_MNEMONIC_AAD, lift_aad},
    {ZYDIS_MNEMONIC_AAM, lift_aam},
    {ZYDIS_MNEMONIC_AAS, lift_ascii_adjust},
    {ZYDIS_MNEMONIC_DAA, lift_decimal_adjust},
    {ZYDIS_MNEMONIC_DAS, lift_decimal_adjust},
    {0, NULL},
};

/* EFLAGS: the arithmetic flags as SSA values, in the register file while nobody needs them.
 *
 * Family functions set all flags an instruction defines; what is not kept is dead code to LLVM.
 * After cmp and sub the operands are remembered, so that a condition becomes one comparison. */
#include "Frontend/lift.h"
#include "Frontend/lift_internal.h"

#include <string.h>

LLVMValueRef flag_read(struct lifter *l, enum flag flag) {
  if (!l->flag[flag]) {
    LLVMValueRef byte = state_load(l, offsetof(struct cpu_state, cf) + flag, l->i8);
    l->flag[flag] = LLVMBuildICmp(l->builder, LLVMIntNE, byte, lifter_const(l, 1, 0), "");
  }
  return l->flag[flag];
}

void flag_write(struct lifter *l, enum flag flag, LLVMValueRef i1) {
  l->flag[flag] = i1;
  l->flags_dirty |= (uint8_t)(1 << flag);
  l->compare[0] = l->compare[1] = l->above = NULL;
}

static LLVMValueRef is_zero(struct lifter *l, LLVMValueRef value) {
  return LLVMBuildICmp(l->builder, LLVMIntEQ, value, LLVMConstNull(LLVMTypeOf(value)), "");
}

static LLVMValueRef is_negative(struct lifter *l, LLVMValueRef value) {
  return LLVMBuildICmp(l->builder, LLVMIntSLT, value, LLVMConstNull(LLVMTypeOf(value)), "");
}

static LLVMValueRef parity(struct lifter *l, LLVMValueRef result) {
  LLVMValueRef byte = result;
  if (LLVMTypeOf(result) != l->i8)
    byte = LLVMBuildTrunc(l->builder, result, l->i8, "");
  unsigned id = LLVMLookupIntrinsicID("llvm.ctpop", 10);
  LLVMValueRef ctpop = LLVMGetIntrinsicDeclaration(l->module, id, &l->i8, 1);
  LLVMTypeRef type = LLVMIntrinsicGetType(l->context, id, &l->i8, 1);
  LLVMValueRef bits = LLVMBuildCall2(l->builder, type, ctpop, &byte, 1, "");
  LLVMValueRef odd = LLVMBuildAnd(l->builder, bits, lifter_const(l, 1, 1), "");
  return is_zero(l, odd);
}

void flags_set_result(struct lifter *l, LLVMValueRef result) {
  flag_write(l, FLAG_Z, is_zero(l, result));
  flag_write(l, FLAG_S, is_negative(l, result));
  flag_write(l, FLAG_P, parity(l, result));
}

void flags_set_logic(struct lifter *l, LLVMValueRef result) {
  LLVMValueRef zero = LLVMConstNull(l->i1);
  flags_set_result(l, result);
  flag_write(l, FLAG_C, zero);
  flag_write(l, FLAG_O, zero);
  flag_write(l, FLAG_A, zero);
}

/* Bit 4 of a ^ b ^ result: the carry between the low nibbles. */
static LLVMValueRef nibble_carry(struct lifter *l, LLVMValueRef a, LLVMValueRef b, LLVMValueRef result) {
  LLVMValueRef bits = LLVMBuildXor(l->builder, LLVMBuildXor(l->builder, a, b, ""), result, "");
  LLVMValueRef bit = LLVMBuildAnd(l->builder, bits, LLVMConstInt(LLVMTypeOf(result), 16, false), "");
  return LLVMBuildNot(l->builder, is_zero(l, bit), "");
}

static LLVMValueRef overflow_of(struct lifter *l, const char *intrinsic, LLVMValueRef a, LLVMValueRef b) {
  LLVMTypeRef type = LLVMTypeOf(a);
  unsigned id = LLVMLookupIntrinsicID(intrinsic, strlen(intrinsic));
  LLVMValueRef function = LLVMGetIntrinsicDeclaration(l->module, id, &type, 1);
  LLVMTypeRef signature = LLVMIntrinsicGetType(l->context, id, &type, 1);
  LLVMValueRef arguments[2] = {a, b};
  LLVMValueRef both = LLVMBuildCall2(l->builder, signature, function, arguments, 2, "");
  return LLVMBuildExtractValue(l->builder, both, 1, "");
}

void flags_set_add(struct lifter *l, LLVMValueRef a, LLVMValueRef b, LLVMValueRef carry, LLVMValueRef result,
                   bool keep_carry) {
  LLVMValueRef carry_out, overflow;
  if (!carry) {
    carry_out = LLVMBuildICmp(l->builder, LLVMIntULT, result, a, "");
    overflow = overflow_of(l, "llvm.sadd.with.overflow", a, b);
  } else {
    LLVMValueRef partial = LLVMBuildAdd(l->builder, a, b, "");
    carry_out = LLVMBuildOr(l->builder, LLVMBuildICmp(l->builder, LLVMIntULT, partial, a, ""),
                            LLVMBuildICmp(l->builder, LLVMIntULT, result, partial, ""), "");
    /* Signs of a and b equal, that of the result different. */
    LLVMValueRef flipped = LLVMBuildXor(l->builder, a, result, "");
    LLVMValueRef too = LLVMBuildXor(l->builder, b, result, "");
    overflow = is_negative(l, LLVMBuildAnd(l->builder, flipped, too, ""));
  }
  flags_set_result(l, result);
  flag_write(l, FLAG_A, nibble_carry(l, a, b, result));
  flag_write(l, FLAG_O, overflow);
  if (!keep_carry)
    flag_write(l, FLAG_C, carry_out);
}

void flags_set_sub(struct lifter *l, LLVMValueRef a, LLVMValueRef b, LLVMValueRef borrow, LLVMValueRef result,
                   bool keep_carry) {
  LLVMValueRef borrow_out, overflow;
  if (!borrow) {
    borrow_out = LLVMBuildICmp(l->builder, LLVMIntULT, a, b, "");
    overflow = overflow_of(l, "llvm.ssub.with.overflow", a, b);
  } else {
    LLVMValueRef partial = LLVMBuildSub(l->builder, a, b, "");
    borrow_out = LLVMBuildOr(l->builder, LLVMBuildICmp(l->builder, LLVMIntULT, a, b, ""),
                             LLVMBuildICmp(l->builder, LLVMIntULT, partial, result, ""), "");
    /* Signs of a and b different, and that of the result is not a's. */
    LLVMValueRef differ = LLVMBuildXor(l->builder, a, b, "");
    LLVMValueRef flipped = LLVMBuildXor(l->builder, a, result, "");
    overflow = is_negative(l, LLVMBuildAnd(l->builder, differ, flipped, ""));
  }
  flags_set_result(l, result);
  flag_write(l, FLAG_A, nibble_carry(l, a, b, result));
  flag_write(l, FLAG_O, overflow);
  if (!keep_carry)
    flag_write(l, FLAG_C, borrow_out);
  if (!borrow && !keep_carry) {
    l->compare[0] = a;
    l->compare[1] = b;
  }
}

/* SDM vol. 1, appendix B: the low bit of a condition inverts it. */
LLVMValueRef condition_value(struct lifter *l, unsigned condition) {
  static const LLVMIntPredicate after_compare[8] = {
      0, LLVMIntULT, LLVMIntEQ, LLVMIntULE, 0, 0, LLVMIntSLT, LLVMIntSLE,
  };
  LLVMIntPredicate predicate = after_compare[condition >> 1];
  LLVMValueRef value;
  if (l->compare[0] && predicate) {
    value = LLVMBuildICmp(l->builder, predicate, l->compare[0], l->compare[1], "");
  } else {
    switch (condition >> 1) {
    case 0:
      value = flag_read(l, FLAG_O);
      break;
    case 1:
      value = flag_read(l, FLAG_C);
      break;
    case 2:
      value = flag_read(l, FLAG_Z);
      break;
    case 3:
      value = l->above ? LLVMBuildNot(l->builder, l->above, "")
                       : LLVMBuildOr(l->builder, flag_read(l, FLAG_C), flag_read(l, FLAG_Z), "");
      break;
    case 4:
      value = flag_read(l, FLAG_S);
      break;
    case 5:
      value = flag_read(l, FLAG_P);
      break;
    case 6:
      value = LLVMBuildXor(l->builder, flag_read(l, FLAG_S), flag_read(l, FLAG_O), "");
      break;
    default:
      value = LLVMBuildXor(l->builder, flag_read(l, FLAG_S), flag_read(l, FLAG_O), "");
      value = LLVMBuildOr(l->builder, value, flag_read(l, FLAG_Z), "");
    }
  }
  return condition & 1 ? LLVMBuildNot(l->builder, value, "") : value;
}

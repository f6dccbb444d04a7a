/* Shifts and rotates (SDM vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD).
 *
 * The count is masked to five bits; a count of 0 leaves the flags alone. Eight- and sixteen-bit
 * operands are shifted in 32 bits, so that counts past their width need no special case. OF for counts other
 * than 1, and AF, undefined in the manual, are as AMD's Zen sets them. */
#include "Frontend/lift_support.h"

#include <Zydis/Zydis.h>
#include <stdio.h>

/* The masked count, as a value of type `like` and, if it is known now, as a number. */
struct count {
  LLVMValueRef value;
  LLVMValueRef not_zero; /* i1; NULL if the count is a constant */
  unsigned number;
};

static struct count count_read(struct lifter *l, const struct insn *insn, unsigned i, LLVMTypeRef like) {
  struct count count = {NULL, NULL, 0};
  if (operand_is(insn, i, OPERAND_CONSTANT)) {
    count.number = operand_constant(insn, i) & 31;
    count.value = LLVMConstInt(like, count.number, false);
    return count;
  }
  LLVMValueRef cl = LLVMBuildAnd(l->builder, l->gpr[GPR_ECX], lifter_const(l, 4, 31), "");
  count.value = value_resize(l, cl, LLVMGetIntTypeWidth(like) / 8);
  count.not_zero = LLVMBuildNot(l->builder, value_is_zero(l, cl), "");
  return count;
}

/* Flags set between these two stay as they were if the count is 0. */
static void count_guard_begin(struct lifter *l, const struct count *count, struct flags_guard *guard) {
  if (count->not_zero)
    flags_guard_begin(l, guard, count->not_zero);
}

static void count_guard_end(struct lifter *l, const struct count *count, struct flags_guard *guard) {
  if (count->not_zero)
    flags_guard_end(l, guard);
}

static bool count_is_constant_zero(const struct count *count) { return !count->not_zero && !count->number; }

static LLVMValueRef count_minus_one(struct lifter *l, const struct count *count) {
  LLVMValueRef less = LLVMBuildSub(l->builder, count->value, value_const(count->value, 1), "");
  return LLVMBuildAnd(l->builder, less, value_const(count->value, 31), "");
}

/* The top two bits differ: what every right shift and rotate sets OF to. */
static LLVMValueRef top_bits_differ(struct lifter *l, LLVMValueRef value) {
  LLVMValueRef shifted = LLVMBuildShl(l->builder, value, value_const(value, 1), "");
  return value_sign(l, LLVMBuildXor(l->builder, value, shifted, ""));
}

/* By the host's own instruction on a register. `other` is shld's and shrd's source, or the carry
 * (i32) of rcl and rcr, or NULL; of the flags, rotates change CF and OF only. */
static void lift_by_host(struct lifter *l, const struct insn *insn, LLVMValueRef other,
                         const struct count *count) {
  unsigned mnemonic = insn->form.mnemonic;
  bool through_carry = mnemonic == ZYDIS_MNEMONIC_RCL || mnemonic == ZYDIS_MNEMONIC_RCR;
  bool rotates = through_carry || mnemonic == ZYDIS_MNEMONIC_ROL || mnemonic == ZYDIS_MNEMONIC_ROR;
  LLVMValueRef value = operand_read(l, insn, 0), arguments[3] = {value};
  unsigned n = 1;
  if (other)
    arguments[n++] = other;
  if (count->not_zero)
    arguments[n++] = l->gpr[GPR_ECX];
  char text[64], by[8] = "%cl";
  if (!count->not_zero)
    snprintf(by, sizeof by, "$$%u", count->number);
  snprintf(text, sizeof text, "%s%s%c %s, %s$0", through_carry ? "btl $$0, @1\n" : "", insn_name(&insn->form),
           operand_suffix(value_bits(value) / 8), by, other && !through_carry ? "@1, " : "");
  struct host_asm code = {
      .text = text,
      .outputs = "=&r",
      .inputs = !count->not_zero ? other ? "0,r" : "0"
                : other          ? "0,r,{ecx}"
                                 : "0,{ecx}",
      .result = {LLVMTypeOf(value)},
      .flags = FLAGS_C | FLAGS_O,
  };
  host_asm(l, &code, arguments, n);
  operand_write(l, insn, 0, code.value[0]);
  if (count_is_constant_zero(count))
    return;

  struct flags_guard guard;
  count_guard_begin(l, count, &guard);
  if (!rotates) {
    flags_set_result(l, code.value[0]);
    flag_write(l, FLAG_A, LLVMConstAllOnes(l->i1));
  }
  host_asm_write_flags(l, &code);
  count_guard_end(l, count, &guard);
}

/* What LLVM makes of a shift by cl whose flags count may keep ecx elsewhere while it accesses memory:
 * such stencils take the host's instruction. */
static bool host_is_better(const struct lifter *l, const struct insn *insn, const struct count *count) {
  return l->setting == LIFT_STENCIL && count->not_zero &&
         (flags_wanted(l) || operand_is(insn, 0, OPERAND_MEMORY));
}

static void lift_shift(struct lifter *l, const struct insn *insn) {
  struct count count = count_read(l, insn, 1, l->i32);
  if (host_is_better(l, insn, &count)) {
    lift_by_host(l, insn, NULL, &count);
    return;
  }
  LLVMValueRef a = operand_read(l, insn, 0), wide, carry, result;
  LLVMTypeRef type = LLVMTypeOf(a);
  unsigned bits = value_bits(a);
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_SHL:
    wide = LLVMBuildShl(l->builder, value_resize(l, a, 4), count.value, "");
    if (bits == 32) {
      LLVMValueRef left =
          LLVMBuildAnd(l->builder, LLVMBuildNeg(l->builder, count.value, ""), lifter_const(l, 4, 31), "");
      carry = value_low_bit(l, LLVMBuildLShr(l->builder, a, left, ""));
    } else {
      carry = value_bit(l, wide, bits);
    }
    break;
  case ZYDIS_MNEMONIC_SHR:
    wide = value_resize(l, a, 4);
    carry = value_low_bit(l, LLVMBuildLShr(l->builder, wide, count_minus_one(l, &count), ""));
    wide = LLVMBuildLShr(l->builder, wide, count.value, "");
    break;
  default:
    wide = bits == 32 ? a : LLVMBuildSExt(l->builder, a, l->i32, "");
    carry = value_low_bit(l, LLVMBuildAShr(l->builder, wide, count_minus_one(l, &count), ""));
    wide = LLVMBuildAShr(l->builder, wide, count.value, "");
  }
  result = bits == 32 ? wide : LLVMBuildTrunc(l->builder, wide, type, "");
  operand_write(l, insn, 0, result);
  if (count_is_constant_zero(&count))
    return;

  struct flags_guard guard;
  count_guard_begin(l, &count, &guard);
  flags_set_result(l, result);
  flag_write(l, FLAG_C, carry);
  flag_write(l, FLAG_A, LLVMConstAllOnes(l->i1));
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_SHL)
    flag_write(l, FLAG_O, LLVMBuildXor(l->builder, value_sign(l, result), carry, ""));
  else
    flag_write(l, FLAG_O, top_bits_differ(l, result));
  count_guard_end(l, &count, &guard);
}

static void lift_rotate(struct lifter *l, const struct insn *insn) {
  bool left = insn->form.mnemonic == ZYDIS_MNEMONIC_ROL;
  struct count count = count_read(l, insn, 1, lifter_int(l, insn->form.op[0].size));
  if (host_is_better(l, insn, &count)) {
    lift_by_host(l, insn, NULL, &count);
    return;
  }
  LLVMValueRef a = operand_read(l, insn, 0);
  LLVMValueRef arguments[3] = {a, a, count.value};
  LLVMValueRef result = value_intrinsic(l, left ? "llvm.fshl" : "llvm.fshr", arguments, 3);
  operand_write(l, insn, 0, result);
  if (count_is_constant_zero(&count))
    return;

  struct flags_guard guard;
  count_guard_begin(l, &count, &guard);
  if (left) {
    LLVMValueRef carry = value_low_bit(l, result);
    flag_write(l, FLAG_C, carry);
    flag_write(l, FLAG_O, LLVMBuildXor(l->builder, value_sign(l, result), carry, ""));
  } else {
    flag_write(l, FLAG_C, value_sign(l, result));
    flag_write(l, FLAG_O, top_bits_differ(l, result));
  }
  count_guard_end(l, &count, &guard);
}

/* rcl, rcr. */
static void lift_rotate_carry(struct lifter *l, const struct insn *insn) {
  struct count count = count_read(l, insn, 1, l->i32);
  LLVMValueRef carry = LLVMBuildZExt(l->builder, flag_read(l, FLAG_C), l->i32, "");
  lift_by_host(l, insn, carry, &count);
}

/* shld, shrd. With 16-bit operands, counts past 16 are undefined in the manual: the host decides. */
static void lift_double_shift(struct lifter *l, const struct insn *insn) {
  bool left = insn->form.mnemonic == ZYDIS_MNEMONIC_SHLD;
  struct count count = count_read(l, insn, 2, l->i32);
  if (insn->form.op[0].size == 2 || host_is_better(l, insn, &count)) {
    lift_by_host(l, insn, operand_read(l, insn, 1), &count);
    return;
  }
  LLVMValueRef a = operand_read(l, insn, 0), b = operand_read(l, insn, 1);
  LLVMValueRef arguments[3] = {left ? a : b, left ? b : a, count.value};
  LLVMValueRef result = value_intrinsic(l, left ? "llvm.fshl" : "llvm.fshr", arguments, 3);
  operand_write(l, insn, 0, result);
  if (count_is_constant_zero(&count))
    return;

  struct flags_guard guard;
  count_guard_begin(l, &count, &guard);
  flags_set_result(l, result);
  flag_write(l, FLAG_A, LLVMConstAllOnes(l->i1));
  LLVMValueRef before_last = count_minus_one(l, &count);
  LLVMValueRef carry = left ? value_sign(l, LLVMBuildShl(l->builder, a, before_last, ""))
                            : value_low_bit(l, LLVMBuildLShr(l->builder, a, before_last, ""));
  flag_write(l, FLAG_C, carry);
  flag_write(l, FLAG_O,
             left ? LLVMBuildXor(l->builder, value_sign(l, result), carry, "") : top_bits_differ(l, result));
  count_guard_end(l, &count, &guard);
}

const struct lift_rule lift_rules_shift[] = {
    {ZYDIS_MNEMONIC_RCL, lift_rotate_carry},  {ZYDIS_MNEMONIC_RCR, lift_rotate_carry},
    {ZYDIS_MNEMONIC_ROL, lift_rotate},        {ZYDIS_MNEMONIC_ROR, lift_rotate},
    {ZYDIS_MNEMONIC_SAR, lift_shift},         {ZYDIS_MNEMONIC_SHL, lift_shift},
    {ZYDIS_MNEMONIC_SHLD, lift_double_shift}, {ZYDIS_MNEMONIC_SHR, lift_shift},
    {ZYDIS_MNEMONIC_SHRD, lift_double_shift}, {0, NULL},
};

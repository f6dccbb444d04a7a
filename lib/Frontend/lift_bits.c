/* Bit tests and scans, and the counting instructions. */
#include "Frontend/lift.h"

#include <Zydis/Zydis.h>
#include <string.h>

static LLVMValueRef intrinsic(struct lifter *l, const char *name, LLVMValueRef *arguments, unsigned count) {
  LLVMTypeRef type = LLVMTypeOf(arguments[0]);
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  LLVMValueRef function = LLVMGetIntrinsicDeclaration(l->module, id, &type, 1);
  return LLVMBuildCall2(l->builder, LLVMIntrinsicGetType(l->context, id, &type, 1), function, arguments, count, "");
}

/* The address of a bit string's word: a register offset reaches beyond the operand (SDM, BT). */
static LLVMValueRef bit_word_address(struct lifter *l, const struct insn *insn, LLVMValueRef offset) {
  unsigned bytes = insn->form.op[0].size;
  LLVMValueRef wide = LLVMBuildSExt(l->builder, offset, l->i32, "");
  LLVMValueRef words = LLVMBuildAShr(l->builder, wide, lifter_const(l, 4, bytes == 4 ? 5 : 4), "");
  LLVMValueRef displacement = LLVMBuildShl(l->builder, words, lifter_const(l, 4, bytes == 4 ? 2 : 1), "");
  return LLVMBuildAdd(l->builder, operand_address(l, insn, 0), displacement, "");
}

static void lift_bt(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.op[0].size;
  LLVMTypeRef type = lifter_int(l, bytes);
  bool memory = operand_is(insn, 0, OPERAND_MEMORY);
  LLVMValueRef offset = operand_read(l, insn, 1);
  LLVMValueRef address = NULL, word;
  if (memory) {
    bool far = operand_is(insn, 1, OPERAND_GPR);
    address = far ? bit_word_address(l, insn, offset) : operand_address(l, insn, 0);
    word = memory_load(l, type, address);
  } else {
    word = operand_read(l, insn, 0);
  }
  LLVMValueRef bit = LLVMBuildAnd(l->builder, offset, LLVMConstInt(type, 8 * bytes - 1, false), "");
  LLVMValueRef mask = LLVMBuildShl(l->builder, LLVMConstInt(type, 1, false), bit, ""), result = NULL;
  LLVMValueRef isolated = LLVMBuildLShr(l->builder, word, bit, "");
  LLVMValueRef set = LLVMBuildTrunc(l->builder, isolated, l->i1, "");
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_BTS:
    result = LLVMBuildOr(l->builder, word, mask, "");
    break;
  case ZYDIS_MNEMONIC_BTR:
    result = LLVMBuildAnd(l->builder, word, LLVMBuildNot(l->builder, mask, ""), "");
    break;
  case ZYDIS_MNEMONIC_BTC:
    result = LLVMBuildXor(l->builder, word, mask, "");
    break;
  default:
    break;
  }
  if (result && memory)
    memory_store(l, address, result);
  else if (result)
    operand_write(l, insn, 0, result);
  flag_write(l, FLAG_C, set);
}

/* bsf, bsr: a zero source leaves the destination, as every CPU does. */
static void lift_bsf(struct lifter *l, const struct insn *insn) {
  LLVMValueRef source = operand_read(l, insn, 1);
  LLVMTypeRef type = LLVMTypeOf(source);
  LLVMValueRef zero = LLVMBuildICmp(l->builder, LLVMIntEQ, source, LLVMConstNull(type), "");
  bool forward = insn->form.mnemonic == ZYDIS_MNEMONIC_BSF;
  LLVMValueRef arguments[2] = {source, LLVMConstInt(l->i1, 1, false)};
  LLVMValueRef index = intrinsic(l, forward ? "llvm.cttz" : "llvm.ctlz", arguments, 2);
  if (!forward)
    index = LLVMBuildXor(l->builder, index, LLVMConstInt(type, 8 * insn->form.op[1].size - 1, false), "");
  operand_write(l, insn, 0, LLVMBuildSelect(l->builder, zero, operand_read(l, insn, 0), index, ""));
  flag_write(l, FLAG_Z, zero);
}

static void clear_flags(struct lifter *l, uint8_t mask) {
  for (unsigned f = 0; f < FLAG_COUNT; f++)
    if (mask & 1 << f)
      flag_write(l, (enum flag)f, LLVMConstNull(l->i1));
}

static void lift_popcnt(struct lifter *l, const struct insn *insn) {
  LLVMValueRef source = operand_read(l, insn, 1);
  operand_write(l, insn, 0, intrinsic(l, "llvm.ctpop", &source, 1));
  clear_flags(l, FLAGS_ALL);
  flag_write(l, FLAG_Z, LLVMBuildICmp(l->builder, LLVMIntEQ, source, LLVMConstNull(LLVMTypeOf(source)), ""));
}

/* lzcnt, tzcnt: the operand's size for a zero source, with cf. */
static void lift_lzcnt(struct lifter *l, const struct insn *insn) {
  LLVMValueRef source = operand_read(l, insn, 1);
  LLVMTypeRef type = LLVMTypeOf(source);
  LLVMValueRef arguments[2] = {source, LLVMConstNull(l->i1)};
  bool leading = insn->form.mnemonic == ZYDIS_MNEMONIC_LZCNT;
  LLVMValueRef count = intrinsic(l, leading ? "llvm.ctlz" : "llvm.cttz", arguments, 2);
  operand_write(l, insn, 0, count);
  flag_write(l, FLAG_C, LLVMBuildICmp(l->builder, LLVMIntEQ, source, LLVMConstNull(type), ""));
  flag_write(l, FLAG_Z, LLVMBuildICmp(l->builder, LLVMIntEQ, count, LLVMConstNull(type), ""));
}

/* A mov with the bytes reversed, to or from memory. */
static void lift_movbe(struct lifter *l, const struct insn *insn) {
  LLVMValueRef value = operand_read(l, insn, 1);
  operand_write(l, insn, 0, intrinsic(l, "llvm.bswap", &value, 1));
}

const struct lift_rule lift_rules_bits[] = {
    {ZYDIS_MNEMONIC_BT, lift_bt},         {ZYDIS_MNEMONIC_BTS, lift_bt},      {ZYDIS_MNEMONIC_BTR, lift_bt},
    {ZYDIS_MNEMONIC_BTC, lift_bt},        {ZYDIS_MNEMONIC_BSF, lift_bsf},     {ZYDIS_MNEMONIC_BSR, lift_bsf},
    {ZYDIS_MNEMONIC_POPCNT, lift_popcnt}, {ZYDIS_MNEMONIC_LZCNT, lift_lzcnt}, {ZYDIS_MNEMONIC_TZCNT, lift_lzcnt},
    {ZYDIS_MNEMONIC_MOVBE, lift_movbe},   {0, NULL},
};

/* Instructions with a lock prefix, and those that compare and exchange or exchange and add: true
 * atomics under the prefix.
 *
 * LLVM is told that the operand is aligned, so that it emits the locked instruction; that works
 * at any address, as on the guest. */
#include "Frontend/lift.h"

#include <Zydis/Zydis.h>

static LLVMValueRef atomic(struct lifter *l, const struct insn *insn, LLVMAtomicRMWBinOp operation, LLVMValueRef value) {
  LLVMValueRef pointer = guest_pointer(l, operand_address(l, insn, 0));
  LLVMValueRef old = LLVMBuildAtomicRMW(l->builder, operation, pointer, value,
                                        LLVMAtomicOrderingSequentiallyConsistent, false);
  LLVMSetVolatile(old, true);
  LLVMSetAlignment(old, insn->form.op[0].size);
  return old;
}

/* {old value, whether `expected` was there and `wanted` is now}. */
static LLVMValueRef compare_exchange(struct lifter *l, LLVMValueRef address, unsigned bytes, LLVMValueRef expected,
                                     LLVMValueRef wanted) {
  LLVMValueRef both = LLVMBuildAtomicCmpXchg(l->builder, guest_pointer(l, address), expected, wanted,
                                             LLVMAtomicOrderingSequentiallyConsistent,
                                             LLVMAtomicOrderingSequentiallyConsistent, false);
  LLVMSetVolatile(both, true);
  LLVMSetAlignment(both, bytes);
  return both;
}

/* Without a memory operand the prefix is #UD; decoding has seen to that. */
static void lift_locked_add(struct lifter *l, const struct insn *insn) {
  LLVMValueRef b = operand_read(l, insn, 1);
  LLVMValueRef old = atomic(l, insn, LLVMAtomicRMWBinOpAdd, b);
  flags_set_add(l, old, b, NULL, LLVMBuildAdd(l->builder, old, b, ""), false);
}

static void lift_locked_sub(struct lifter *l, const struct insn *insn) {
  LLVMValueRef b = operand_read(l, insn, 1);
  LLVMValueRef old = atomic(l, insn, LLVMAtomicRMWBinOpSub, b);
  flags_set_sub(l, old, b, NULL, LLVMBuildSub(l->builder, old, b, ""), false);
}

static void lift_locked_logic(struct lifter *l, const struct insn *insn) {
  LLVMValueRef b = operand_read(l, insn, 1), result;
  switch (insn->form.mnemonic) {
  case ZYDIS_MNEMONIC_AND:
    result = LLVMBuildAnd(l->builder, atomic(l, insn, LLVMAtomicRMWBinOpAnd, b), b, "");
    break;
  case ZYDIS_MNEMONIC_OR:
    result = LLVMBuildOr(l->builder, atomic(l, insn, LLVMAtomicRMWBinOpOr, b), b, "");
    break;
  default:
    result = LLVMBuildXor(l->builder, atomic(l, insn, LLVMAtomicRMWBinOpXor, b), b, "");
  }
  flags_set_logic(l, result);
}

static void lift_locked_inc(struct lifter *l, const struct insn *insn) {
  LLVMValueRef one = LLVMConstInt(lifter_int(l, insn->form.op[0].size), 1, false);
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_INC) {
    LLVMValueRef old = atomic(l, insn, LLVMAtomicRMWBinOpAdd, one);
    flags_set_add(l, old, one, NULL, LLVMBuildAdd(l->builder, old, one, ""), true);
  } else {
    LLVMValueRef old = atomic(l, insn, LLVMAtomicRMWBinOpSub, one);
    flags_set_sub(l, old, one, NULL, LLVMBuildSub(l->builder, old, one, ""), true);
  }
}

static void lift_locked_not(struct lifter *l, const struct insn *insn) {
  atomic(l, insn, LLVMAtomicRMWBinOpXor, LLVMConstAllOnes(lifter_int(l, insn->form.op[0].size)));
}

/* neg, adc, sbb: a loop around compare-and-exchange. The first load is not pinned to eax, as the
 * exchange's comparand is, so that a fault finds eax unchanged. */
static void lift_locked_loop(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.op[0].size;
  LLVMTypeRef type = lifter_int(l, bytes);
  LLVMValueRef b = insn->form.mnemonic == ZYDIS_MNEMONIC_NEG ? NULL : operand_read(l, insn, 1);
  LLVMValueRef carry = b ? flag_read(l, FLAG_C) : NULL;
  LLVMValueRef address = operand_address(l, insn, 0);
  LLVMValueRef first = memory_load(l, type, address);
  LLVMBasicBlockRef before = LLVMGetInsertBlock(l->builder);
  LLVMBasicBlockRef loop = LLVMAppendBasicBlockInContext(l->context, l->function, "retry");
  LLVMBasicBlockRef done = LLVMAppendBasicBlockInContext(l->context, l->function, "done");
  LLVMBuildBr(l->builder, loop);
  LLVMPositionBuilderAtEnd(l->builder, loop);
  LLVMValueRef old = LLVMBuildPhi(l->builder, type, ""), result;
  if (!b) {
    result = LLVMBuildNeg(l->builder, old, "");
  } else {
    LLVMValueRef with = LLVMBuildZExt(l->builder, carry, type, "");
    bool add = insn->form.mnemonic == ZYDIS_MNEMONIC_ADC;
    result = add ? LLVMBuildAdd(l->builder, LLVMBuildAdd(l->builder, old, b, ""), with, "")
                 : LLVMBuildSub(l->builder, LLVMBuildSub(l->builder, old, b, ""), with, "");
  }
  LLVMValueRef both = compare_exchange(l, address, bytes, old, result);
  LLVMValueRef found = LLVMBuildExtractValue(l->builder, both, 0, "");
  LLVMBuildCondBr(l->builder, LLVMBuildExtractValue(l->builder, both, 1, ""), done, loop);
  LLVMValueRef values[2] = {first, found};
  LLVMBasicBlockRef blocks[2] = {before, loop};
  LLVMAddIncoming(old, values, blocks, 2);
  LLVMPositionBuilderAtEnd(l->builder, done);
  if (!b)
    flags_set_sub(l, LLVMConstNull(type), old, NULL, result, false);
  else if (insn->form.mnemonic == ZYDIS_MNEMONIC_ADC)
    flags_set_add(l, old, b, carry, result, false);
  else
    flags_set_sub(l, old, b, carry, result, false);
}

/* Exchange with memory is atomic, lock prefix or not (SDM, XCHG). */
static void lift_xchg(struct lifter *l, const struct insn *insn) {
  if (operand_is(insn, 0, OPERAND_MEMORY)) {
    operand_write(l, insn, 1, atomic(l, insn, LLVMAtomicRMWBinOpXchg, operand_read(l, insn, 1)));
    return;
  }
  LLVMValueRef first = operand_read(l, insn, 0), second = operand_read(l, insn, 1);
  operand_write(l, insn, 0, second);
  operand_write(l, insn, 1, first);
}

/* xadd: memory forms exchange first, so that the register changes last. */
static void lift_xadd(struct lifter *l, const struct insn *insn) {
  LLVMValueRef b = operand_read(l, insn, 1), a;
  if (insn->form.attributes & INSN_LOCK)
    a = atomic(l, insn, LLVMAtomicRMWBinOpAdd, b);
  else
    a = operand_read(l, insn, 0);
  LLVMValueRef sum = LLVMBuildAdd(l->builder, a, b, "");
  if (operand_is(insn, 0, OPERAND_GPR)) {
    operand_write(l, insn, 1, a);
    operand_write(l, insn, 0, sum); /* the destination wins where they are one register */
  } else {
    if (!(insn->form.attributes & INSN_LOCK))
      operand_write(l, insn, 0, sum);
    operand_write(l, insn, 1, insn->form.op[1].size == 4 ? value_after_accesses(l, a) : a);
  }
  flags_set_add(l, a, b, NULL, sum, false);
}

static void lift_cmpxchg(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.op[0].size;
  LLVMValueRef accumulator = gpr_read(l, GPR_EAX, bytes), source = operand_read(l, insn, 1), found, equal;
  if (operand_is(insn, 0, OPERAND_MEMORY)) {
    /* Without the prefix it may as well be atomic: nobody can tell. */
    LLVMValueRef both = compare_exchange(l, operand_address(l, insn, 0), bytes, accumulator, source);
    found = LLVMBuildExtractValue(l->builder, both, 0, "");
    equal = LLVMBuildExtractValue(l->builder, both, 1, "");
    gpr_write(l, GPR_EAX, bytes, found); /* equal: what it held */
  } else {
    found = operand_read(l, insn, 0);
    equal = LLVMBuildICmp(l->builder, LLVMIntEQ, accumulator, found, "");
    LLVMValueRef value = LLVMBuildSelect(l->builder, equal, source, found, "");
    gpr_write(l, GPR_EAX, bytes, LLVMBuildSelect(l->builder, equal, accumulator, found, ""));
    operand_write(l, insn, 0, value);
  }
  flags_set_sub(l, accumulator, found, NULL, LLVMBuildSub(l->builder, accumulator, found, ""), false);
}

static LLVMValueRef join(struct lifter *l, LLVMValueRef low, LLVMValueRef high) {
  LLVMValueRef top = LLVMBuildShl(l->builder, LLVMBuildZExt(l->builder, high, l->i64, ""), lifter_const(l, 8, 32), "");
  return LLVMBuildOr(l->builder, top, LLVMBuildZExt(l->builder, low, l->i64, ""), "");
}

static void lift_cmpxchg8b(struct lifter *l, const struct insn *insn) {
  LLVMValueRef expected = join(l, l->gpr[GPR_EAX], l->gpr[GPR_EDX]);
  LLVMValueRef wanted = join(l, l->gpr[GPR_EBX], l->gpr[GPR_ECX]);
  /* 64-bit operations need r10 and r11 here: rax is pinned and must be whole at a fault. */
  LLVMValueRef both = compare_exchange(l, operand_address(l, insn, 0), 8, expected, wanted);
  LLVMValueRef found = LLVMBuildExtractValue(l->builder, both, 0, "");
  gpr_write(l, GPR_EAX, 4, LLVMBuildTrunc(l->builder, found, l->i32, ""));
  LLVMValueRef high = LLVMBuildLShr(l->builder, found, lifter_const(l, 8, 32), "");
  gpr_write(l, GPR_EDX, 4, LLVMBuildTrunc(l->builder, high, l->i32, ""));
  flag_write(l, FLAG_Z, LLVMBuildExtractValue(l->builder, both, 1, ""));
}

/* lock bts, btr, btc: the bit as before, the word by and, or, xor. */
static void lift_locked_bt(struct lifter *l, const struct insn *insn) {
  unsigned bytes = insn->form.op[0].size;
  LLVMTypeRef type = lifter_int(l, bytes);
  LLVMValueRef offset = operand_read(l, insn, 1);
  LLVMValueRef address = operand_address(l, insn, 0);
  if (operand_is(insn, 1, OPERAND_GPR)) {
    LLVMValueRef wide = LLVMBuildSExt(l->builder, offset, l->i32, "");
    LLVMValueRef words = LLVMBuildAShr(l->builder, wide, lifter_const(l, 4, bytes == 4 ? 5 : 4), "");
    address = LLVMBuildAdd(l->builder, address,
                           LLVMBuildShl(l->builder, words, lifter_const(l, 4, bytes == 4 ? 2 : 1), ""), "");
  }
  LLVMValueRef bit = LLVMBuildAnd(l->builder, offset, LLVMConstInt(type, 8 * bytes - 1, false), "");
  LLVMValueRef mask = LLVMBuildShl(l->builder, LLVMConstInt(type, 1, false), bit, "");
  LLVMAtomicRMWBinOp operation = LLVMAtomicRMWBinOpOr;
  if (insn->form.mnemonic == ZYDIS_MNEMONIC_BTR) {
    operation = LLVMAtomicRMWBinOpAnd;
    mask = LLVMBuildNot(l->builder, mask, "");
  } else if (insn->form.mnemonic == ZYDIS_MNEMONIC_BTC) {
    operation = LLVMAtomicRMWBinOpXor;
  }
  LLVMValueRef old = LLVMBuildAtomicRMW(l->builder, operation, guest_pointer(l, address), mask,
                                        LLVMAtomicOrderingSequentiallyConsistent, false);
  LLVMSetVolatile(old, true);
  LLVMSetAlignment(old, bytes);
  flag_write(l, FLAG_C, LLVMBuildTrunc(l->builder, LLVMBuildLShr(l->builder, old, bit, ""), l->i1, ""));
}

const struct lift_rule lift_rules_atomic[] = {
    {ZYDIS_MNEMONIC_ADD, lift_locked_add},   {ZYDIS_MNEMONIC_SUB, lift_locked_sub},
    {ZYDIS_MNEMONIC_AND, lift_locked_logic}, {ZYDIS_MNEMONIC_OR, lift_locked_logic},
    {ZYDIS_MNEMONIC_XOR, lift_locked_logic}, {ZYDIS_MNEMONIC_INC, lift_locked_inc},
    {ZYDIS_MNEMONIC_DEC, lift_locked_inc},   {ZYDIS_MNEMONIC_NOT, lift_locked_not},
    {ZYDIS_MNEMONIC_NEG, lift_locked_loop},  {ZYDIS_MNEMONIC_ADC, lift_locked_loop},
    {ZYDIS_MNEMONIC_SBB, lift_locked_loop},  {ZYDIS_MNEMONIC_XADD, lift_xadd},
    {ZYDIS_MNEMONIC_CMPXCHG, lift_cmpxchg},  {ZYDIS_MNEMONIC_CMPXCHG8B, lift_cmpxchg8b},
    {ZYDIS_MNEMONIC_BTS, lift_locked_bt},    {ZYDIS_MNEMONIC_BTR, lift_locked_bt},
    {ZYDIS_MNEMONIC_BTC, lift_locked_bt},    {ZYDIS_MNEMONIC_XCHG, lift_xchg},
    {0, NULL},
};

/* The same instructions without the prefix. */
const struct lift_rule lift_rules_exchange[] = {
    {ZYDIS_MNEMONIC_XCHG, lift_xchg},
    {ZYDIS_MNEMONIC_XADD, lift_xadd},
    {ZYDIS_MNEMONIC_CMPXCHG, lift_cmpxchg},
    {ZYDIS_MNEMONIC_CMPXCHG8B, lift_cmpxchg8b},
    {0, NULL},
};
